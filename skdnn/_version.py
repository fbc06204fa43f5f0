"""The version, and where the documentation is; apart so that any module may read them."""

from functools import cache
from importlib.metadata import PackageNotFoundError, metadata

__version__ = "0.1.0"


@cache
def documentation_url() -> str:
    """Return "Documentation" of ``project.urls`` in pyproject.toml; "": it has no host yet."""
    try:
        entries = metadata("skdnn").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    urls = dict(entry.split(", ", 1) for entry in entries)
    return urls.get("Documentation", "").rstrip("/")
