"""Columns of a frame's blocks: by name what the whole frame has, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dask.utils import is_dataframe_like

from skdnn.datasets.columns import check_columns, check_no_dates

__all__ = ["columns_of", "in_order", "of_numbers"]


def columns_of(X: Any) -> list[Any] | None:
    """Return the names of a frame's columns, None of anything else."""
    return list(X.columns) if is_dataframe_like(X) else None


def in_order(rows: Any, columns: list[Any] | None, what: str) -> Any:
    """Return a block of a frame with its columns as the whole frame has them.

    Dask does not compare them: blocks of arithmetic between frames, of joins or of several files
    may have another order.

    Parameters
    ----------
    rows : DataFrame or array
        A block.
    columns : list or None
        The whole frame's columns; None for what is no frame.
    what : str
        What to call the block in an error.
    """
    found = columns_of(rows)
    if columns is None or found is None or found == columns:
        return rows
    if len(found) != len(set(found)) or set(found) != set(columns):
        missing = [name for name in columns if name not in found]
        unknown = [name for name in found if name not in columns]
        raise ValueError(
            f"{what} has the columns {_shortened(found)} where the whole says "
            f"{_shortened(columns)}: missing are {_shortened(missing)}, unknown "
            f"{_shortened(unknown)}. Give every partition the same columns, each once."
        )
    return rows[columns]


@contextmanager
def of_numbers(rows: Any) -> Iterator[None]:
    """Tell what scikit-learn says of a block by the column that is not of numbers, if one is."""
    advice = "encode it, or leave it out."
    check_no_dates(rows, advice)
    try:
        yield
    except (TypeError, ValueError) as error:
        check_columns(rows, error, advice)
        raise


def _shortened(names: list[Any], most: int = 10) -> str:
    text = ", ".join(map(repr, names[:most])) + (", ..." if len(names) > most else "")
    return f"[{text}]"
