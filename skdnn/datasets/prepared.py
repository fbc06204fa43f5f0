"""`PreparedRows`: rows of an array that become wide when they are needed, and never all at once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from skdnn.datasets.matrix import HDF5Matrix
from skdnn.datasets.stored import StoredRows

__all__ = ["PreparedRows"]

Array = np.ndarray

# Rows that stay together when the order is drawn
_GROUP_ROWS = 16


class _ArrayRows(StoredRows):
    """Rows of an array where `HDF5Matrix` expects those of a file."""

    def __init__(self, rows: Array) -> None:
        self._array = rows
        self.path, self.key = "memory", "prepared rows"
        self.shape, self.dtype = rows.shape, rows.dtype
        self.n_bytes = rows.nbytes
        self.row_bytes = rows.shape[1] * rows.dtype.itemsize
        self.chunk_rows, self.is_filtered = _GROUP_ROWS, False

    @contextmanager
    def open(self) -> Iterator[Any]:
        yield self._array

    def read(self, dataset: Any, rows: Array, out: Array, most: int) -> None:
        np.take(self._array, rows, axis=0, out=out, mode="clip")


class PreparedRows(HDF5Matrix):
    """What training reads window by window, as it reads an `HDF5Matrix`, from rows in memory.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_prepared)
        Not copied.
    transform : callable
        Makes wider rows of some of them, each by itself.
    memory_limit : int
        Bytes that the wider rows may take at once.
    """

    def __init__(self, rows: Array, transform: Callable[[Array], Array], memory_limit: int) -> None:
        self.scale, self.transform, self.memory_limit = None, transform, memory_limit
        self._stored = _ArrayRows(rows)
        self._rows = range(len(rows))
        self._n_stored = rows.shape[1]
        self._converted = self.dtype = rows.dtype
        self._probe()

    def with_columns(self, columns: Array) -> PreparedRows:
        """Return the same rows with some of the columns that the transform makes."""
        view = copy.copy(self)
        view.transform = partial(_some_columns, transform=self.transform, columns=columns)
        view._probe()
        return view


def _some_columns(rows: Array, transform: Any, columns: Array) -> Array:
    return np.take(transform(rows), columns, axis=1)
