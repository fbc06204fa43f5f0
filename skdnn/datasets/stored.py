"""The rows of one dataset of an HDF5 file: where they are, and reading any of them.

Converts no values, and holds no file open between two reads.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from skdnn.datasets.hdf5 import check_features, get_dataset, open_for_reading
from skdnn.datasets.sources import source_files

__all__ = ["StoredRows"]

Array = np.ndarray

# What is read at once: enough to make calls cheap, little enough to stay in a processor's cache
_BLOCK_BYTES = 2**20

# HDF5's own cache of decompressed chunks, and the most that it is raised to
_CACHE_BYTES = 2**20
_MOST_CACHE_BYTES = 2**27

# Reading this much that is not needed costs about what one more call costs
_GAP_BYTES = 2**17


class StoredRows:
    """The rows of a dataset, along its first axis.

    Parameters
    ----------
    source : str, path-like or h5py.Dataset
        The file, or an open dataset, which is then read through its own file.
    key : str or None
        Key of the dataset in the file; None with an open dataset.

    Attributes
    ----------
    path, key : str
        The file, absolute, and the dataset in it.
    shape : tuple of int
        Shape of the dataset.
    dtype : dtype
        In the machine's byte order.
    n_bytes : int
        Size in the file.
    row_bytes : int
        Size of a row in memory.
    chunk_rows : int
        Rows of a chunk; 1 where there are none.
    is_filtered : bool
        Whether chunks are compressed, or otherwise encoded.
    """

    def __init__(self, source: Any, key: str | None) -> None:
        self._live: h5py.Dataset | None = None
        self.shape: tuple[int, ...] = ()
        self._cache: dict[str, int] = {}
        if isinstance(source, h5py.Dataset):
            if key is not None:
                raise TypeError(f"An open dataset is given without a key, got key={key!r}.")
            if not source:
                raise ValueError("The dataset belongs to a file that is closed.")
            self._live = source
            name, key = source.file.filename, (source.name or "").lstrip("/")
        else:
            if isinstance(source, h5py.Group) or not isinstance(source, str | bytes | os.PathLike):
                raise TypeError(
                    "path must be the path of an HDF5 file, with the key of a dataset, or an open "
                    f"h5py.Dataset, got {source!r}."
                )
            name = source
        # other processes may have another working directory
        self.path, self.key = str(Path(os.fsdecode(name)).absolute()), cast(str, key)
        with self.open() as dataset:
            check_features(dataset, self.key, "key")
            if not dataset.size:
                raise ValueError(f"{self} is empty: it has the shape {dataset.shape}.")
            self.shape = dataset.shape
            self.dtype = dataset.dtype.newbyteorder("=")
            self.n_bytes: int = dataset.id.get_storage_size()
            self.row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
            self.chunk_rows = min(dataset.chunks[0], len(dataset)) if dataset.chunks else 1
            self._files = [self.path, *source_files(dataset)]
            self.is_filtered = dataset.id.get_create_plist().get_nfilters() > 0
            if self.is_filtered:
                # else a chunk larger than the cache is decompressed again for each part of it
                wanted = self.chunk_rows * self.row_bytes
                self._cache = {"rdcc_nbytes": max(_CACHE_BYTES, min(wanted, _MOST_CACHE_BYTES))}

    def block_rows(self, most: int) -> int:
        """Return the rows of whole chunks of about 1 MiB, or about ``most`` if that is less."""
        n_rows = min(_BLOCK_BYTES / self.row_bytes, most)
        return self.chunk_rows * max(1, round(n_rows / self.chunk_rows))

    def __str__(self) -> str:
        return f"{self.key!r} in {self.path}"

    def __deepcopy__(self, memo: dict[int, Any]) -> StoredRows:
        return self

    def __getstate__(self) -> dict[str, Any]:
        if self._live is not None:
            if not self._live:
                raise TypeError(f"{self} cannot be pickled: its file is closed.")
            driver = self._live.file.driver
            in_memory = driver == "fileobj" or (
                driver == "core"
                and not self._live.file.id.get_access_plist().get_fapl_core()[1]  # backing store
            )
            if in_memory or not self.key:
                raise TypeError(
                    f"{self} cannot be pickled, so no other process can read it: it is not in a "
                    "file on disk."
                )
            self._live.file.flush()
        # what is hashed, by joblib.Memory say, is not the same once the file is not
        return {**self.__dict__, "_live": None, "_versions": list(map(_version, self._files))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        del state["_versions"]
        self.__dict__.update(state)

    @contextmanager
    def open(self) -> Iterator[h5py.Dataset]:
        """Open the dataset, and see that it is still the one that was looked at."""
        if self._live is not None:
            if not self._live:
                raise ValueError(f"{self} cannot be read: its file has been closed.")
            source_files(self._live)
            yield self._live
            return
        with open_for_reading(self.path, **self._cache) as file:
            dataset = get_dataset(file, self.key, "key")
            if self.shape and not (
                dataset.dtype.newbyteorder("=") == self.dtype
                and dataset.shape[1:] == self.shape[1:]
                and dataset.shape[0] >= self.shape[0]
            ):
                raise ValueError(
                    f"{self} has changed: it was {self.shape} of {self.dtype}, now it is "
                    f"{dataset.shape} of {dataset.dtype}."
                )
            yield dataset

    def read(self, dataset: h5py.Dataset, rows: Array, out: Array, most: int) -> None:
        """Read rows of the open dataset.

        Parameters
        ----------
        dataset : h5py.Dataset
            As `open` gave it.
        rows : ndarray of shape (n,), intp
            In ascending order; a row may come several times.
        out : ndarray of shape (n, row_size)
            C-contiguous, in the dtype of the rows.
        most : int
            Rows that may be read at once beside those of ``out``.
        """
        if not rows.size:
            return
        out = out.reshape(rows.size, *self.shape[1:])
        scratch = None
        edges = self._pieces(rows, most)
        for i, j in itertools.pairwise(edges):
            first, last = int(rows[i]), int(rows[j - 1]) + 1
            whole = last - first == j - i and bool((np.diff(rows[i:j]) == 1).all())
            if whole:
                target = out[i:j]
            else:
                if scratch is None:
                    scratch = np.empty((min(most, self.shape[0]), *self.shape[1:]), self.dtype)
                target = scratch[: last - first]
            try:
                dataset.read_direct(target, np.s_[first:last])
            except OSError as error:
                raise OSError(
                    f"Rows {first} to {last - 1} of {self} cannot be read: {error}"
                ) from error
            if not whole:
                # the indices are right; without clip, numpy would make a copy of out
                np.take(target, rows[i:j] - first, axis=0, out=out[i:j], mode="clip")

    def _pieces(self, rows: Array, most: int) -> list[int]:
        """Return where to cut ascending rows so that each piece is read at once."""
        steps = np.diff(rows)
        if (steps == 1).all():
            return [0, rows.size]
        apart = steps > max(1, _GAP_BYTES // self.row_bytes)
        if self.is_filtered:
            # a chunk is decompressed as a whole whatever is read of it
            apart &= np.diff(rows // self.chunk_rows) > 1
        apart |= np.diff(rows // most) > 0
        return [0, *(np.flatnonzero(apart) + 1).tolist(), rows.size]

    def blocks(self, rows: Array, most: int) -> Iterator[slice]:
        """Cut ascending rows into blocks of at most ``most``, between chunks where it can be."""
        ends = np.flatnonzero(np.diff(rows // self.chunk_rows)) + 1
        first = 0
        while first < rows.size:
            last = min(first + most, rows.size)
            if self.chunk_rows > 1 and last < rows.size:
                k = int(np.searchsorted(ends, last, side="right")) - 1
                if k >= 0 and ends[k] > first:
                    last = int(ends[k])
            yield slice(first, last)
            first = last


def _version(path: str) -> tuple[int, ...]:
    """Return what changes whenever a file is written or replaced."""
    try:
        status = Path(path).stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
