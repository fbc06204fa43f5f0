"""Rows wherever they are, array, CSR matrix or file: block by block, by index, or all at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from sklearn import config_context
from sklearn.utils import assert_all_finite

from skdnn.datasets.matrix import HDF5Matrix
from skdnn.datasets.prepared import PreparedRows

__all__ = ["as_matrix", "check_finite", "is_on_disk", "row_blocks", "take_rows"]

Array = np.ndarray

# Bytes that are read from a file together
_READ_BYTES = 2**25
# Bytes that are made of prepared rows together
_ENCODED_BYTES = 2**20


def is_on_disk(X: Any) -> bool:
    """Return whether X is a matrix in a file, an HDF5Matrix or a bare dataset."""
    return isinstance(X, HDF5Matrix | h5py.Dataset)


def as_matrix(X: Any) -> Any:
    """Return an HDF5Matrix of a bare dataset, which must have two dimensions; others unchanged."""
    if not isinstance(X, h5py.Dataset):
        return X
    if X and len(X.shape or ()) != 2:
        raise ValueError(
            f"Expected a 2D dataset, got {X.name!r} of shape {X.shape}; "
            "skdnn.datasets.HDF5Matrix(dataset) makes a row of each sample."
        )
    return HDF5Matrix(X)


def take_rows(X: Any, rows: Array) -> Any:
    """Return some rows, by index, in memory."""
    return np.asarray(X[rows]) if isinstance(X, HDF5Matrix) else X[rows]


def row_blocks(X: Any, size: int) -> Iterator[Any]:
    """Return consecutive blocks of up to ``size`` rows, wherever they are."""
    if isinstance(X, HDF5Matrix):
        if X.memory_limit < X.least_limit:
            raise ValueError(
                f"memory_limit={X.memory_limit} is too small to read {X!r} by more than a few rows "
                f"at a time: raise it to {X.least_limit} bytes."
            )
        # few reads, each of whole blocks: those that an array would be cut into, if they fit into
        # what training leaves of the limit
        row_bytes = X.shape[1] * X.dtype.itemsize
        size = min(size, max(1, X.memory_limit // (4 * row_bytes)))
        n_rows = size * max(1, min(_READ_BYTES, X.memory_limit // 16) // (size * row_bytes))
        return (block for rows in X.blocks(n_rows) for block in row_blocks(rows, size))
    if isinstance(X, PreparedRows):
        size = min(size, max(1, _ENCODED_BYTES // (X.shape[1] * X.dtype.itemsize)))
    n_rows = X.shape[0]
    # scikit-learn's gen_batches checks its arguments for longer than a row's prediction takes
    return (X[start : min(start + size, n_rows)] for start in range(0, n_rows, size))


def check_finite(X: Any, name: str = "X") -> None:
    """Raise ValueError if rows hold NaN or infinity, though ``assume_finite`` was set.

    Rows in a file are looked at whenever they are read.
    """
    if not is_on_disk(X):
        with config_context(assume_finite=False):
            assert_all_finite(X, input_name=name)
