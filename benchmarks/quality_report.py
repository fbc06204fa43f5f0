"""The quality benchmark as a Markdown table and a picture."""

from __future__ import annotations

from typing import Any

__all__ = ["write"]


def write(records: list[dict[str, Any]]) -> None:
    """Write ``results/quality.md`` and ``results/quality.png``."""
