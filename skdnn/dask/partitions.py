"""From Dask collections to partitions: one delayed piece of rows, labels and weights each."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.base import is_dask_collection
from dask.delayed import Delayed
from dask.utils import is_dataframe_like, is_series_like

from skdnn.dask.columns import columns_of
from skdnn.dask.held import load_partition

__all__ = [
    "check_collection",
    "delayed_rows",
    "is_dask_frame",
    "make_partitions",
    "sample_of",
]

Names = tuple[str, str, str]


def is_dask_frame(X: Any) -> bool:
    """Return whether X is a Dask DataFrame."""
    return is_dask_collection(X) and is_dataframe_like(X)


def sample_of(X: Any) -> Any:
    """Return an empty array or frame with the features of a collection."""
    return X._meta if is_dask_frame(X) else np.empty((0, X.shape[1]), X.dtype)


def check_collection(value: Any, name: str, *, is_matrix: bool) -> None:
    """Raise unless a value is a Dask collection of rows, or of one number for each row."""
    frame = is_dask_frame(value)
    vector = is_dask_collection(value) and is_series_like(value)
    if not (isinstance(value, da.Array) or frame or vector):
        kind = "Array or DataFrame" if is_matrix else "Array, Series or DataFrame"
        raise TypeError(
            f"{name} must be a Dask {kind}, got {_name_of_type(value)}. Wrap what is in memory "
            "with dask.array.from_array or dask.dataframe.from_pandas, or use "
            "skdnn.DeepBinaryClassifier."
        )
    if is_matrix and value.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions, got {value.ndim}.")
    if is_matrix and np.isnan(value.shape[1]):
        raise ValueError(f"{name} must know its number of columns, got shape {value.shape}.")
    if not is_matrix and not (value.ndim == 1 or (value.ndim == 2 and value.shape[1] == 1)):
        raise ValueError(f"{name} must have one number a row, got shape {value.shape}.")


def _name_of_type(value: Any) -> str:
    """Return what a user calls a type: frames of several packages have one name."""
    kind = type(value).__name__
    package = type(value).__module__.partition(".")[0]
    return f"{package} {kind}" if kind in ("Array", "DataFrame", "Series") else kind


def make_partitions(
    X: Any, y: Any, weight: Any = None, names: Names = ("X", "y", "sample_weight")
) -> list[Callable[[], Delayed]]:
    """Return what makes the delayed partitions, in the order of the rows.

    Parameters
    ----------
    X : dask Array or DataFrame of shape (n_samples, n_features)
    y : dask Array, Series or DataFrame of shape (n_samples,)
    weight : dask Array, Series or DataFrame of shape (n_samples,), default=None
    names : tuple of str
        What to call them in an error.

    Returns
    -------
    list of callables
        Each returns a Delayed of a `Partition`, under a key of its own with each call: what became
        of a key before, a failure or that it was let go of, must not be met again.

    Raises
    ------
    TypeError or ValueError
        For other types, or blocks that do not match.
    """
    columns = columns_of(X)
    return [
        partial(_delay, number, *rows, names, columns)
        for number, rows in enumerate(delayed_rows(X, y, weight, names))
    ]


def _delay(number: int, *arguments: Any) -> Delayed:
    load = dask.delayed(load_partition, pure=False, traverse=False)
    return load(number, *arguments, dask_key_name=f"skdnn-partition-{uuid.uuid4().hex}-{number}")


def delayed_rows(
    X: Any, y: Any, weight: Any = None, names: Names = ("X", "y", "sample_weight")
) -> list[tuple[Delayed, Delayed, Delayed | None]]:
    """Return the blocks of X with the blocks of y and of the weights that go with them."""
    check_collection(X, names[0], is_matrix=True)
    check_collection(y, names[1], is_matrix=False)
    if weight is not None:
        check_collection(weight, names[2], is_matrix=False)
    columns = [_pieces(X, None)]
    for value, name in ((y, names[1]), (weight, names[2])):
        if value is None:
            columns.append([None] * len(columns[0]))
            continue
        pieces = _pieces(value, X)
        if len(pieces) != len(columns[0]):
            raise ValueError(
                f"{name} must be split as {names[0]} is: it has {len(pieces)} partitions, "
                f"{names[0]} has {len(columns[0])}."
            )
        columns.append(pieces)
    return list(zip(*columns, strict=True))


def _pieces(value: Any, X: Any) -> list[Any]:
    """Return the blocks of rows of a collection, cut as X's are where both are known."""
    if not isinstance(value, da.Array):
        # optimised one by one, two frames of one source would load it twice, and not alike if
        # loading is random
        return list(value.to_delayed(optimize_graph=False))
    if value.ndim == 2 and value.numblocks[1] > 1:
        value = value.rechunk({1: -1})
    if isinstance(X, da.Array) and value.chunks[0] != X.chunks[0]:
        n_rows, n_expected = value.shape[0], X.shape[0]
        if not np.isnan(n_rows) and n_rows == n_expected:
            value = value.rechunk({0: X.chunks[0]})
    # not optimised one by one: fused graphs of X and y would disagree on keys that they share
    return value.to_delayed(optimize_graph=False).ravel().tolist()
