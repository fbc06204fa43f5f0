"""`HDF5Matrix`: rows of an HDF5 file that look like a matrix and are read when they are needed.

Selects rows and converts values; which rows are read together is decided in `stored`.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import itertools
import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any

import h5py
import numpy as np
import scipy.sparse

from skdnn.datasets.hdf5 import check_scale, scaled_dtype
from skdnn.datasets.lzf import check_lzf
from skdnn.datasets.stored import StoredRows

__all__ = ["HDF5Matrix"]

Array = np.ndarray

# Rows that show which columns and dtype a transform gives
_PROBE_ROWS = 8

# Rows on their way that make reading worth its while
_LEAST_ROWS = 32

# Rows that stand for a whole file in its fingerprint
_FINGERPRINT_ROWS = 1000


class HDF5Matrix:
    """A dataset of an HDF5 file as a matrix whose rows are read when they are needed.

    It takes the place of the array in ``fit``, ``predict`` and the other methods of
    `DeepBinaryClassifier`, and in scikit-learn's splitters and searches. Selecting rows gives
    another HDF5Matrix, a view, and reads nothing. The file is open only while it is read; what
    travels to another process is its path.

    Parameters
    ----------
    path : str, path-like or h5py.Dataset
        The file; or an open dataset, with ``key=None``. An open dataset is read through its own
        file, which must stay open.
    key : str, default=None
        Key of the dataset, of shape (n_samples, ...), with numbers or booleans. One inside groups
        is named as ``"group/name"``. Each sample becomes one row, in C order.
    scale : float, default=None
        Positive number that the values are divided by, 255 for pixels. float32 and float64 are
        kept, every other dtype becomes float64, unless ``dtype`` says otherwise.
    dtype : {None, float32, float64}, default=None
        What values are converted to before ``transform``. None keeps what is stored, or what
        ``scale`` makes of it.
    transform : transformer or callable, default=None
        What becomes of a block of rows, (n, n_stored_features): a fitted scikit-learn transformer
        or a function. It must give a dense two-dimensional array, or data frame, of as many rows
        with numbers, and treat each row by itself, since which rows come together is not fixed.
        It may run in another thread.
    memory_limit : int, default=2**28
        Bytes that reading and training may hold of the rows at once: 256 MiB. A matrix that fits
        into it is loaded by `fit`, and then costs what an array costs. What `load` returns is not
        counted.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    dtype : dtype
        Of the values, after ``scale``, ``dtype`` and ``transform``.
    ndim, size, nbytes : int
        As of an array; nbytes is what `load` would take.

    Raises
    ------
    OSError, KeyError, TypeError, ValueError
        As `load_hdf5` does, all when the matrix is made. Also a ValueError when the dataset is
        empty, or has another shape or dtype since, or when rows that are read contain NaN or
        infinity: the message names such a row, and says whether the file or ``transform`` is to
        blame.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import h5py
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skdnn.datasets import HDF5Matrix
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "images.h5"
    >>> with h5py.File(path, "w") as file:
    ...     file["images"] = np.arange(60, dtype=np.uint8).reshape(5, 2, 2, 3)
    >>> X = HDF5Matrix(path, "images", scale=255, dtype=np.float32)
    >>> X.shape, X.dtype
    ((5, 12), dtype('float32'))
    >>> X[::2].shape, X[[4, 0]].shape, X[1:][[True, False, False, True]].shape
    ((3, 12), (2, 12), (2, 12))
    >>> (X[-1] * 255).round().astype(int).tolist()
    [48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59]

    Standardise in one pass over the file, and then each block as it is read:

    >>> scaler = StandardScaler()
    >>> for block in X.blocks():
    ...     scaler = scaler.partial_fit(block)
    >>> standardised = HDF5Matrix(path, "images", scale=255, transform=scaler)
    >>> bool(np.allclose(standardised.load().std(axis=0), 1))
    True
    >>> folder.cleanup()
    """

    ndim = 2

    def __init__(
        self,
        path: str | os.PathLike[str] | h5py.Dataset,
        key: str | None = None,
        *,
        scale: float | None = None,
        dtype: Any = None,
        transform: Any | Callable[[Array], Any] = None,
        memory_limit: int = 2**28,
    ) -> None:
        check_scale(scale)
        is_number = isinstance(memory_limit, int | np.integer) and memory_limit is not True
        if not is_number or memory_limit < 1:
            raise ValueError(f"memory_limit must be a positive int, got {memory_limit!r}.")
        if transform is not None and (
            inspect.isclass(transform)
            or not (callable(transform) or hasattr(transform, "transform"))
        ):
            raise TypeError(
                f"transform must be a fitted transformer, a function or None, got {transform!r}."
            )
        self.scale = scale
        self.transform = transform
        self.memory_limit = int(memory_limit)
        self._stored = StoredRows(path, key)
        self._rows: range | Array = range(self._stored.shape[0])
        self._n_stored = math.prod(self._stored.shape[1:])
        if dtype is not None:
            self._converted = _float_dtype(dtype)
        elif scale is not None:
            self._converted = scaled_dtype(self._stored.dtype)
        else:
            self._converted = self._stored.dtype
        self.dtype, self._n_features = self._converted, self._n_stored
        if transform is not None:
            self._probe()

    def _probe(self) -> None:
        """Find what ``transform`` gives from the first rows."""
        rows = np.arange(min(_PROBE_ROWS, len(self)))
        block = np.empty((rows.size, self._n_stored), self._stored.dtype)
        with self._stored.open() as dataset:
            self._stored.read(dataset, rows, block, rows.size)
        # rows that cannot be used are reported when they are read: others may be selected
        block[~np.isfinite(block)] = 0
        values = self._apply_transform(self._convert(block))
        if not values.shape[1]:
            raise ValueError(f"transform={self.transform!r} gives no columns.")
        self._transformed = values.dtype
        self.dtype, self._n_features = values.dtype, values.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), self._n_features

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self) * self._n_features

    @property
    def nbytes(self) -> int:
        """Bytes of the array that `load` would give."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        scale = "" if self.scale is None else f", scale={self.scale!r}"
        return (
            f"HDF5Matrix({self._stored.path!r}, {self._stored.key!r}{scale}, "
            f"shape={self.shape}, dtype={self.dtype})"
        )

    def __getitem__(self, key: Any) -> HDF5Matrix | Array:
        key = _row_key(key)
        if isinstance(key, slice):
            return self._view(self._rows[key])
        index = _row_index(key, len(self))
        if index.ndim == 0:
            return self._view(np.asarray(self._rows[int(index)], np.intp)[None]).load()[0]
        if isinstance(self._rows, range):
            return self._view(self._rows.start + self._rows.step * index)
        return self._view(self._rows[index])

    def _view(self, rows: range | Array) -> HDF5Matrix:
        view = copy.copy(self)
        view._rows = rows
        return view

    def __iter__(self) -> Iterator[Array]:
        for block in self.blocks():
            yield from block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("An HDF5Matrix has to be read: an array of it is always a copy.")
        values = self.load()
        return values if dtype is None else values.astype(dtype, copy=False)

    def load(self) -> Array:
        """Read all rows.

        Returns
        -------
        values : ndarray of shape (n_samples, n_features)
            C-contiguous.

        Raises
        ------
        OSError, ValueError
            When the file cannot be read or has changed, or a row contains NaN or infinity.
        """
        values = np.empty(self.shape, self.dtype)
        with self.open() as dataset:
            self.read_rows(dataset, np.arange(len(self)), values)
        return values

    def blocks(self, n_rows: int | None = None) -> Iterator[Array]:
        """Iterate over arrays of consecutive rows.

        Parameters
        ----------
        n_rows : int, default=None
            Rows of each array; the last may have fewer. None takes an eighth of ``memory_limit``,
            which leaves room for what is computed from them.

        Returns
        -------
        blocks : iterator of ndarray of shape (n_rows, n_features)
        """
        if n_rows is None:
            n_rows = max(1, self.memory_limit // 8 // self._row_bytes)
            if n_rows > self._stored.chunk_rows:
                n_rows -= n_rows % self._stored.chunk_rows
        elif not isinstance(n_rows, int | np.integer) or n_rows < 1:
            raise ValueError(f"n_rows must be a positive int or None, got {n_rows!r}.")
        return self._read_blocks(int(n_rows))

    def _read_blocks(self, n_rows: int) -> Iterator[Array]:
        if not len(self):
            return
        # opened once: HDF5's cache of chunks goes with the file
        with self.open() as dataset:
            for start in range(0, len(self), n_rows):
                positions = np.arange(start, min(start + n_rows, len(self)))
                values = np.empty((positions.size, self._n_features), self.dtype)
                self.read_rows(dataset, positions, values)
                yield values

    def astype(self, dtype: Any, copy: bool = False) -> HDF5Matrix:
        """Return a view with values in another dtype.

        Parameters
        ----------
        dtype : {float32, float64}
            Values are converted to it last, after ``transform``.
        copy : bool, default=False
            Ignored: a view holds no values.

        Returns
        -------
        view : HDF5Matrix
        """
        view = self._view(self._rows)
        view.dtype = _float_dtype(dtype)
        return view

    def fingerprint(self) -> str:
        """Return a hash of the content, which does not depend on where the file is.

        Returns
        -------
        fingerprint : str
            SHA-256 over shape, dtype, size in the file, rows of a chunk, and 1,000 evenly spaced
            rows.
        """
        stored = self._stored
        form = f"{self.shape} {self.dtype} {stored.n_bytes} {stored.chunk_rows}"
        digest = hashlib.sha256(form.encode())
        if len(self):
            spaced = np.linspace(0, len(self) - 1, min(len(self), _FINGERPRINT_ROWS))
            for block in self._view(self._rows_at(spaced.astype(np.intp))).blocks():
                digest.update(block.tobytes())
        return digest.hexdigest()

    # ------------------------------------------------------------------------------- reading

    @property
    def _row_bytes(self) -> int:
        return self._n_features * self.dtype.itemsize

    @property
    def _staged_row_bytes(self) -> int:
        """What a row takes on its way: as stored, selected, converted, transformed and cast."""
        converted = self._n_stored * self._converted.itemsize
        return 2 * self._stored.row_bytes + 2 * converted + 2 * self._row_bytes

    @property
    def _block_rows(self) -> int:
        """Rows that are on their way at once."""
        most = self.memory_limit // (4 * self._staged_row_bytes)
        return max(1, min(self._group_rows, most))

    @property
    def _group_rows(self) -> int:
        """Rows of whole chunks that stay together when the order is drawn."""
        return self._stored.block_rows(self.memory_limit // (32 * self._staged_row_bytes))

    def _rows_at(self, positions: Array) -> Array:
        """Return which rows of the dataset stand at positions of this view."""
        if isinstance(self._rows, range):
            return self._rows.start + self._rows.step * positions
        return self._rows[positions]

    @property
    def keeps_busy(self) -> bool:
        """Whether to read rows takes a processor rather than a disk."""
        return self._stored.is_filtered or self.transform is not None

    @property
    def least_limit(self) -> int:
        """The ``memory_limit`` below which rows come one by one, or nearly so."""
        return min(self.nbytes, _LEAST_ROWS * self._staged_row_bytes)

    @property
    def staged_bytes(self) -> int:
        """What is held by the way while rows are read."""
        return self._block_rows * self._staged_row_bytes

    def chunk_groups(self) -> tuple[Array | None, Array]:
        """Group the rows by the chunks that they are stored in.

        Returns
        -------
        positions : ndarray of shape (n_samples,), intp, or None
            Rows of this view group by group. None: as they stand.
        edges : ndarray of shape (n_groups + 1,), intp
            Where in ``positions`` each group begins, and the last ends.
        """
        n_rows, group_rows = len(self), self._group_rows
        if isinstance(self._rows, range) and self._rows.step == 1 and n_rows:
            start = self._rows.start
            inner = np.arange(group_rows - start % group_rows, n_rows, group_rows)
            return None, np.concatenate([[0], inner, [n_rows]])
        rows = np.asarray(self._rows, np.intp)
        positions = np.argsort(rows, kind="stable")
        inner = np.flatnonzero(np.diff(rows[positions] // group_rows)) + 1
        edges = np.concatenate([[0], inner, [n_rows]])
        if np.diff(edges).max(initial=0) > group_rows:
            # rows that come many times do not make a group larger than others
            edges = np.concatenate(
                [*(np.arange(a, b, group_rows) for a, b in itertools.pairwise(edges)), [n_rows]]
            )
        return positions, edges

    def open(self) -> AbstractContextManager[h5py.Dataset]:
        """Open the dataset for `read_rows`."""
        return self._stored.open()

    def read_rows(self, dataset: h5py.Dataset, positions: Array, out: Array) -> None:
        """Read the rows at positions of this view, in any order, into ``out``, of its dtype."""
        rows = self._rows_at(positions)  # (n,)
        order = None
        if (np.diff(rows) < 0).any():
            # in the file's order, so that each part of it is read once
            order = np.argsort(rows, kind="stable")
            rows, positions = rows[order], positions[order]
        most = self._block_rows
        is_direct = (
            order is None
            and self.scale is None
            and self.transform is None
            and self.dtype == self._stored.dtype
            and out.flags.c_contiguous
        )
        staging = None
        for block in self._stored.blocks(rows, most):
            part, place = rows[block], positions[block]
            if is_direct:
                self._stored.read(dataset, part, out[block], most)
                self._check_finite(out[block], out[block], part, place)
                continue
            if staging is None:
                staging = np.empty((min(most, rows.size), self._n_stored), self._stored.dtype)
            stored = staging[: part.size]
            self._stored.read(dataset, part, stored, most)
            values = self._convert(stored)
            if self.transform is not None:
                try:
                    values = self._apply_transform(values)
                except Exception:
                    # many refuse NaN, and cannot name the row
                    self._check_finite(values, stored, part, place)
                    raise
                self._check_transformed(values)
            with np.errstate(all="ignore"):
                values = values.astype(self.dtype, copy=False)
            self._check_finite(values, stored, part, place, self.transform)
            out[block if order is None else order[block]] = values

    def _convert(self, stored: Array) -> Array:
        """Return stored rows as ``transform`` is to have them."""
        with np.errstate(all="ignore"):
            if self.scale is not None:
                return np.divide(stored, float(self.scale), dtype=self._converted)
            return stored.astype(self._converted, copy=False)

    def _apply_transform(self, values: Array) -> Array:
        n_rows = len(values)
        function: Any = getattr(self.transform, "transform", self.transform)
        with np.errstate(all="ignore"):
            result = function(values)
        given = f"transform={self.transform!r} gives"
        if scipy.sparse.issparse(result):
            raise TypeError(f"{given} a sparse {type(result).__name__}; it must be dense.")
        result = np.asarray(result)
        if result.dtype.kind not in "biuf":
            raise TypeError(f"{given} {result.dtype}; it must give numbers.")
        if result.ndim != 2 or len(result) != n_rows:
            raise ValueError(
                f"{given} the shape {result.shape} for {n_rows} rows; it must be two-dimensional "
                "with as many rows."
            )
        return result

    def _check_transformed(self, values: Array) -> None:
        """Raise an error if ``transform`` gives something else than for the first rows."""
        before = f"transform={self.transform!r} gave"
        if values.shape[1] != self._n_features:
            raise ValueError(
                f"{before} {self._n_features} columns before, now {values.shape[1]}; it must give "
                "the same for all rows."
            )
        if not np.can_cast(values.dtype, self._transformed, "same_kind"):
            raise TypeError(
                f"{before} {self._transformed} before, now {values.dtype}; it must give the same "
                "for all rows."
            )

    def _check_finite(
        self, values: Array, stored: Array, rows: Array, positions: Array, transform: Any = None
    ) -> None:
        """Raise a ValueError that names the first row with NaN or infinity, if there is one."""
        if values.dtype.kind != "f":
            return
        with np.errstate(all="ignore"):
            # a sum is several times faster than a test of each value, and may itself overflow
            if np.isfinite(values.sum()):
                return
            bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if not bad.size:
            return
        i = bad[0]
        where = f"row {rows[i]} (of {self._stored}"
        where += ")" if rows[i] == positions[i] else f"; row {positions[i]} of the view)"
        if np.isfinite(stored[i]).all():
            what = "NaN" if np.isnan(values[i]).any() else "infinity"
            if transform is not None:
                raise ValueError(f"transform={transform!r} makes {what} of {where}.")
            raise ValueError(f"Input X has values too large for {values.dtype} in {where}.")
        with self.open() as dataset:
            check_lzf(dataset, rows[i], rows[i] + 1)
            is_lzf = dataset.compression == "lzf"
        hint = " LZF has no checksum: damage may look so, too." if is_lzf else ""
        what = "NaN" if np.isnan(stored[i]).any() else "infinity"
        raise ValueError(
            f"Input X contains {what} in {where}. Select the other rows, or mend the file: X[mask] "
            f"with a boolean mask leaves rows out.{hint}"
        )


def _float_dtype(dtype: Any) -> np.dtype:
    for known in (np.dtype(np.float32), np.dtype(np.float64)):
        # numpy takes None for float64
        with suppress(TypeError):
            if dtype is not None and known == dtype:
                return known
    raise TypeError(f"dtype must be float32 or float64, got {dtype!r}.")


def _row_key(key: Any) -> Any:
    """Return what a key says about rows; of columns it may select all."""
    if key is Ellipsis:
        return slice(None)
    if not isinstance(key, tuple):
        return key
    if any(part is Ellipsis for part in key):
        # as numpy reads it: whatever is between the parts around it
        at = next(i for i, part in enumerate(key) if part is Ellipsis)
        missing = 3 - len(key)
        key = (*key[:at], *[slice(None)] * missing, *key[at + 1 :])
    rows, *columns = key or (slice(None),)
    if len(columns) > 1 or any(
        not isinstance(part, slice) or part != slice(None) for part in columns
    ):
        raise IndexError(
            f"An HDF5Matrix selects whole rows, got the index {key!r}; choose columns with "
            "transform, as in transform=lambda rows: rows[:, [0, 3]]."
        )
    return rows


def _row_index(key: Any, n_rows: int) -> Array:
    """Return an int, sequence of int or mask as positions from 0, an array of 0 or 1 dimension."""
    index = np.asarray(key)
    if not index.size and not isinstance(key, np.ndarray):
        index = index.astype(np.intp)
    if index.ndim > 1 or index.dtype.kind not in "biu" or (index.dtype == bool and not index.ndim):
        raise IndexError(
            "An HDF5Matrix is indexed by an int, a slice, a sequence of int or a boolean mask, got "
            f"{key!r}."
        )
    if index.dtype == bool:
        if index.size != n_rows:
            raise IndexError(f"The mask has {index.size} values for {n_rows} rows.")
        return np.flatnonzero(index)
    if index.size:
        for extreme in (int(index.min()), int(index.max())):
            if not -n_rows <= extreme < n_rows:
                raise IndexError(f"Row {extreme} is out of range: there are {n_rows} rows.")
    index = index.astype(np.intp)
    return np.where(index < 0, index + n_rows, index)
