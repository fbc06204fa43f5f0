"""Results as columns that a person can read as they are printed."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
from sklearn.utils import Bunch

__all__ = ["Table"]


class Table(Bunch):
    """Columns of equal length by name; prints as a table, in a notebook as one of HTML.

    A `dict` and a :class:`sklearn.utils.Bunch`, so columns are items and attributes, and
    ``pandas.DataFrame(table)`` takes it as it is.

    Examples
    --------
    >>> from skdnn.inspection import Table
    >>> table = Table(layer=[1, 2], mean=[0.25, 1e-12], dead=[False, True])
    >>> table
    layer   mean  dead
        1   0.25    no
        2  1e-12   yes
    >>> table.mean
    [0.25, 1e-12]
    """

    def _columns(self) -> list[list[str]]:
        return [[name, *map(_as_text, column)] for name, column in self.items()]

    def __repr__(self) -> str:
        columns = self._columns()
        widths = [max(map(len, column)) for column in columns]
        lines = zip(*columns, strict=True)
        return "\n".join(
            "  ".join(entry.rjust(width) for entry, width in zip(line, widths, strict=True))
            for line in lines
        )

    def _repr_html_(self) -> str:
        def row(tag: str, entries: tuple[str, ...]) -> str:
            cells = "".join(f"<{tag}>{escape(entry)}</{tag}>" for entry in entries)
            return f'<tr style="text-align: right">{cells}</tr>'

        head, *body = zip(*self._columns(), strict=True)
        rows = "".join(row("td", entries) for entries in body)
        return f"<table><thead>{row('th', head)}</thead><tbody>{rows}</tbody></table>"


def _as_text(entry: Any) -> str:
    if isinstance(entry, bool | np.bool_):
        return "yes" if entry else "no"
    return f"{entry:.3g}" if isinstance(entry, float | np.floating) else str(entry)
