"""Columns of frames that are not of numbers, which a network cannot take, by name.

Knows pandas, polars and pyarrow by what their objects can do, and imports none of them.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["check_collected", "check_columns", "check_no_dates", "column_of", "is_frame"]

Array = np.ndarray

_DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
_NO_NUMBERS = "not of numbers, which are all that a network takes"
_ADVICE = (
    "encode X by skdnn.preprocessing.TableEncoder in a Pipeline, or take DeepEnsembleClassifier."
)


def check_collected(X: Any) -> None:
    """Raise TypeError for a LazyFrame, of polars."""
    if hasattr(X, "collect") and not hasattr(X, "shape"):
        raise TypeError(f"X is a {type(X).__name__}, of which no row is known: give X.collect().")


def check_no_dates(X: Any, advice: str = _ADVICE) -> None:
    """Raise TypeError if rows hold dates, times or durations.

    NumPy would take them for numbers where no others are beside them, whose unit depends on what
    holds them; polars and pyarrow in any case.

    Parameters
    ----------
    X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
    advice : str, default=to encode X
        What the caller's user can do.
    """
    check_collected(X)
    for j, (name, dtype) in enumerate(_columns(X)):
        if not _is_numeric(dtype) and _are_dates(_values(X, j)):
            raise TypeError(f"Column {name!r} of X, {dtype}, is {_NO_NUMBERS}: {advice}")
    if isinstance(X, list | tuple):
        try:
            X = np.asarray(X)
        except ValueError:  # scikit-learn says what is wrong with it
            return
    if isinstance(X, np.ndarray) and not _is_numeric(X.dtype) and _are_dates(X):
        raise TypeError(f"X holds {_found(X)}, and is {_NO_NUMBERS}: {advice}")


def check_columns(X: Any, error: Exception, advice: str = _ADVICE) -> None:
    """Raise an error that names a data frame's first column without numbers, if there is one.

    Parameters
    ----------
    X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
    error : exception
        What scikit-learn says of X.
    advice : str, default=to encode X
        What the caller's user can do.
    """
    for j, (name, dtype) in enumerate(_columns(X)):
        values = _values(X, j)
        try:
            # complex numbers would be cast, with a warning
            is_number = values.dtype.kind != "c" and values.astype(np.float64).ndim == 1
        except (TypeError, ValueError):
            is_number = False
        if values.ndim == 1 and not is_number:
            raise type(error)(
                f"Column {name!r} of X, {dtype}, is {_NO_NUMBERS}: {advice} {error}"
            ) from error


def _columns(X: Any) -> Iterator[tuple[Any, Any]]:
    """Return names and dtypes of the columns of a data frame; none of anything else."""
    if _is_arrow(X):
        yield from zip(X.column_names, X.schema.types, strict=True)
    elif is_frame(X):
        yield from zip(X.columns, X.dtypes, strict=True)


def _values(X: Any, j: int) -> Array:
    """Return column j of a data frame or a Table of pyarrow, as an array."""
    if _is_arrow(X):
        return np.asarray(X.column(j))
    return np.asarray(column_of(X, j))


def is_frame(X: Any) -> bool:
    """Return whether X is a data frame of pandas, or of polars."""
    return hasattr(X, "columns") and hasattr(X, "dtypes") and hasattr(X, "shape")


def column_of(frame: Any, j: int) -> Any:
    """Return column j of a data frame, as a series; by its number, since names may stand twice."""
    return frame.iloc[:, j] if hasattr(frame, "iloc") else frame.to_series(j)


def _is_arrow(X: Any) -> bool:
    """Return whether X is a Table of pyarrow."""
    return hasattr(X, "column_names") and hasattr(X, "schema")


def _is_numeric(dtype: Any) -> bool:
    """Return whether a dtype of NumPy, pandas, polars or pyarrow is one of numbers, for sure."""
    if hasattr(dtype, "is_numeric"):
        return bool(dtype.is_numeric())
    return getattr(dtype, "kind", "O") in "biufc"


def _are_dates(values: Array) -> bool:
    if values.dtype.kind == "O":
        return any(issubclass(type_, _DATES) for type_ in set(map(type, values.flat)))
    return values.dtype.kind in "mM"


def _found(values: Array) -> str:
    """Return what dates an array holds, as an error names them."""
    if values.dtype.kind in "mM":
        return str(values.dtype)
    found = next(value for value in values.flat if isinstance(value, _DATES))
    return f"{found!r:.50}"
