"""An epoch over the rows of a file: one window is trained on while the next is read.

Decides which rows stand together and in which order; `HDF5Matrix` reads them.
"""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import h5py
import numpy as np

from skdnn.datasets.matrix import HDF5Matrix

__all__ = ["Window", "Windows"]

Array = np.ndarray

# Two windows' rows and orders, and what is drawn for the next
_INDEX_BYTES = 6 * np.dtype(np.intp).itemsize

# What a window may always take of the limit; a quarter of what it could is enough beyond that
_WINDOW_BYTES = 2**25


class Window(NamedTuple):
    """Rows in memory, until the next window is asked for."""

    X: Array  # (n, n_features)
    rows: Array  # (n,), intp: where each row stands in the matrix
    order: Array | None  # (m,), intp: rows of X to train on, m <= n; None: all as they stand


class _Part(NamedTuple):
    """What is read for one window."""

    pieces: list[Array]  # rows of the matrix, intp, to be read together
    n_rows: int  # of all pieces
    n_carried: int  # rows that the window before leaves to this one


class Windows:
    """The rows of a matrix, window by window.

    Parameters
    ----------
    matrix : HDF5Matrix of shape (n_rows, n_features)
        Its ``memory_limit`` bounds what two windows, and what is on the way to them, take.
    batch_size : int
        Rows of a batch. All windows but an epoch's last order a multiple of it.
    dtype : {float32, float64}
        Of the windows.

    Attributes
    ----------
    n_rows : int
        Rows of an epoch.
    window_rows : int
        Rows that a window may have.

    Raises
    ------
    ValueError
        When ``memory_limit`` is too small for a batch and a group of chunks in each window.
    """

    def __init__(self, matrix: HDF5Matrix, *, batch_size: int, dtype: Any) -> None:
        self._matrix = matrix.astype(dtype)
        self.n_rows = len(matrix)
        self._batch_size = max(1, min(batch_size, self.n_rows))
        self._positions, self._edges = matrix.chunk_groups()
        self.window_rows = self._count_window_rows()
        self._buffers: list[Array] = []
        self._is_running = False

    def _count_window_rows(self) -> int:
        """Return the rows of the largest windows that two of fit into the limit."""
        matrix, largest = self._matrix, int(np.diff(self._edges).max(initial=0))
        row_bytes = 2 * matrix.shape[1] * matrix.dtype.itemsize + _INDEX_BYTES
        n_rows = max(0, matrix.memory_limit - matrix.staged_bytes) // row_bytes
        # a window that is short of a batch can then take one more group
        least = min(self.n_rows, self._batch_size + largest)
        # what training reads, prediction must read too
        if n_rows < least or matrix.memory_limit < matrix.least_limit:
            raise ValueError(
                f"memory_limit={matrix.memory_limit} is too small to train from {matrix!r}: two "
                f"windows of a batch of {self._batch_size} rows and {largest} rows of whole "
                f"chunks need {self._needed_limit(least * row_bytes)} bytes. Raise it, "
                "lower batch_size, or store smaller chunks."
            )
        # larger windows mix the rows little better, and memory that is new costs time
        enough = max(n_rows // 4, least, _WINDOW_BYTES // (matrix.shape[1] * matrix.dtype.itemsize))
        return min(n_rows, enough, self.n_rows)

    def _needed_limit(self, limit: int) -> int:
        """Return a ``memory_limit`` that will do: with it, the groups may be larger too."""
        matrix = copy.copy(self._matrix)
        row_bytes = 2 * matrix.shape[1] * matrix.dtype.itemsize + _INDEX_BYTES
        limit = max(limit, matrix.least_limit)
        while limit < matrix.nbytes:
            matrix.memory_limit = limit
            largest = int(np.diff(matrix.chunk_groups()[1]).max(initial=0))
            least = min(self.n_rows, self._batch_size + largest)
            needed = least * row_bytes + matrix.staged_bytes
            if needed <= limit:
                return limit
            limit = needed
        return matrix.nbytes  # is then trained on in memory

    def epoch(
        self, random_state: np.random.RandomState | None = None
    ) -> Generator[Window, None, None]:
        """Iterate over all rows once.

        Parameters
        ----------
        random_state : RandomState, default=None
            Draws the order of the groups of chunks when the first window is asked for, and the
            order of a window's new rows when that window is. None goes through the rows in the
            matrix's order.

        Yields
        ------
        window : Window
            ``X`` is overwritten once the next window is asked for. Rows of a shuffled window that
            do not fill a batch are left out of its ``order`` and come first in the next one's.

        Raises
        ------
        RuntimeError
            When another epoch of the same windows is under way.
        Exception
            What reading raised.
        """
        if self._is_running:
            raise RuntimeError("Another epoch of these windows is under way: close it first.")
        self._is_running = True
        stop = threading.Event()
        try:
            parts = list(self._in_order() if random_state is None else self._shuffled(random_state))
            if self.n_rows:
                # opened once an epoch: HDF5 then looks for the chunks once
                with self._matrix.open() as dataset:
                    pool = ThreadPoolExecutor(1, thread_name_prefix="skdnn-windows")
                    read = partial(self._read, pool, dataset, parts, stop)
                    try:
                        yield from self._windows(parts, random_state, read)
                    finally:
                        stop.set()
                        pool.shutdown(cancel_futures=True)
        finally:
            self._is_running = False

    def _windows(
        self,
        parts: list[_Part],
        random_state: np.random.RandomState | None,
        read: Callable[[int], Future[None]],
    ) -> Iterator[Window]:
        left_X, left_rows, left = np.empty((0, 0)), np.empty(0, np.intp), np.empty(0, np.intp)
        future = read(0)
        for k, part in enumerate(parts):
            future.result()
            X = self._buffers[k % 2][: part.n_carried + part.n_rows]
            if part.n_carried:
                np.take(left_X, left, axis=0, out=X[: part.n_carried], mode="clip")
            rows = np.concatenate([left_rows[left], *part.pieces])
            # from here on the window before is gone
            if k + 1 < len(parts):
                future = read(k + 1)
            if random_state is None:
                yield Window(X, rows, None)
                continue
            order = np.arange(rows.size)
            order[part.n_carried :] = part.n_carried + random_state.permutation(part.n_rows)
            n_left = parts[k + 1].n_carried if k + 1 < len(parts) else 0
            left_X, left_rows, left = X, rows, order[order.size - n_left :]
            yield Window(X, rows, order[: order.size - n_left])

    def _read(
        self,
        pool: ThreadPoolExecutor,
        dataset: h5py.Dataset,
        parts: list[_Part],
        stop: threading.Event,
        k: int,
    ) -> Future[None]:
        """Have a window read into the buffer that is free."""
        if len(self._buffers) < min(2, k + 1):
            shape = (self.window_rows, self._matrix.shape[1])
            self._buffers.append(np.empty(shape, self._matrix.dtype))
        return pool.submit(self._fill, dataset, self._buffers[k % 2], parts[k], stop)

    def _fill(self, dataset: h5py.Dataset, X: Array, part: _Part, stop: threading.Event) -> None:
        first = part.n_carried
        for positions in part.pieces:
            if stop.is_set():
                return
            last = first + positions.size
            self._matrix.read_rows(dataset, positions, X[first:last])
            first = last

    def _in_order(self) -> Iterator[_Part]:
        """Cut the rows into windows of whole batches."""
        step = max(1, self.window_rows // self._batch_size) * self._batch_size
        for first in range(0, self.n_rows, step):
            rows = np.arange(first, min(first + step, self.n_rows))
            yield _Part([rows], rows.size, 0)

    def _shuffled(self, random_state: np.random.RandomState) -> Iterator[_Part]:
        """Draw the order of the groups, and cut it into windows."""
        groups = list(itertools.pairwise(self._edges.tolist()))
        pieces: list[Array] = []
        n_rows = n_carried = 0
        for g in random_state.permutation(len(groups)).tolist():
            first, last = groups[g]
            if n_carried + n_rows + last - first > self.window_rows:
                yield _Part(pieces, n_rows, n_carried)
                n_carried = (n_carried + n_rows) % self._batch_size
                pieces, n_rows = [], 0
            pieces.append(
                np.arange(first, last) if self._positions is None else self._positions[first:last]
            )
            n_rows += last - first
        yield _Part(pieces, n_rows, n_carried)
