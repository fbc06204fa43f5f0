"""`PreparedRows`: a matrix in memory whose rows are made of narrower ones, if they are at all."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["PreparedRows"]

Array = np.ndarray


class PreparedRows:
    """Rows of which compiled kernels look up the encoding; others encode them batch by batch.

    Parameters
    ----------
    prepared : ndarray of shape (n_stored, n_prepared)
        float32; not copied.
    layout : Layout
        Encodes them, each by itself.
    places : ndarray of int64 of shape (n_samples,)
        Which of them are the rows.

    Attributes
    ----------
    shape : tuple
        (n_samples, n_outputs).
    dtype : dtype
        float32.
    compiled : CompiledRows
        The same as compiled kernels take them.
    """

    ndim = 2

    def __init__(self, prepared: Array, layout: Any, places: Array) -> None:
        self.prepared, self.layout, self.places = prepared, layout, places
        self.dtype, self.shape = prepared.dtype, (places.size, len(layout.outputs))

    @cached_property
    def compiled(self) -> Any:
        return self.layout.compile(self.prepared, self.places)

    def __reduce__(self) -> Any:
        return PreparedRows, (self.prepared, self.layout, self.places)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        """Return some rows, by slice, indices or mask, as an array."""
        return self.layout.encode(self.prepared, self.places[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self[:].astype(dtype or self.dtype, copy=False)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Return the rows themselves in their own dtype, else an array of all of them."""
        return self if dtype == self.dtype and not copy else self.__array__(dtype)

    def with_columns(self, columns: Array) -> PreparedRows:
        """Return the same rows with some of the columns."""
        return PreparedRows(self.prepared, self.layout.select(columns), self.places)
