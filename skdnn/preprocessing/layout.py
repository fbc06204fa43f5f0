"""From prepared columns to the encoded matrix: the arithmetic of every output, rows in blocks.

Prepared columns are float32: numbers centred and scaled, categories as codes, NaN for gaps. An
encoded row depends on its prepared row alone, so that rows can be encoded when they are needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from sklearn.utils import gen_batches

from skdnn import kernels

__all__ = ["CLIP", "Encoding", "Layout", "Output"]

Array = np.ndarray

# Where the smooth clipping levels off
CLIP = 3.0

# Entries of a block of encoded rows
_BLOCK_SIZE = 2**16

# In this order outputs stand
_KINDS = ("number", "bin", "level", "gap")


class Output(NamedTuple):
    """One column of the encoded matrix."""

    kind: str  # number, bin, level or gap
    source: int  # prepared column
    name: str
    at: float = 0.0  # lower edge of a bin, code of a level
    width: float = 1.0  # of a bin


class Encoding(NamedTuple):
    """A layout as compiled kernels take it."""

    last: list[int]  # the output after the last number, bin, level and gap
    sources: Array  # (n_outputs,), int32
    at: Array  # (n_outputs,), float32
    width: Array  # (n_outputs,), float32
    clip: float


class Layout:
    """Which output comes from which prepared column, and how.

    Parameters
    ----------
    outputs : iterable of Output
        In the order of the table's columns.

    Attributes
    ----------
    outputs : list of Output
        As they stand in the encoded matrix: all numbers, their bins, levels of categories, gaps.
    """

    def __init__(self, outputs: Iterable[Output]) -> None:
        self.outputs = sorted(outputs, key=lambda output: _KINDS.index(output.kind))
        kinds = [output.kind for output in self.outputs]
        self._edges = [0]
        self._sources: list[Array] = []
        for kind in _KINDS:
            first, last = self._edges[-1], self._edges[-1] + kinds.count(kind)
            sources = [output.source for output in self.outputs[first:last]]
            self._sources.append(np.array(sources, np.intp))
            self._edges.append(last)
        self._at = np.array([output.at for output in self.outputs], np.float32)
        self._width = np.array([output.width for output in self.outputs], np.float32)

    @property
    def encoding(self) -> Encoding:
        """What compiled kernels encode by."""
        sources = np.concatenate(self._sources).astype(np.int32)
        return Encoding(self._edges[1:], sources, self._at, self._width, CLIP)

    def select(self, places: Array) -> Layout:
        """Return the layout of some of the outputs."""
        return Layout([self.outputs[k] for k in places])

    def encode(self, prepared: Array, rows: Array | None = None) -> Array:
        """Return encoded rows.

        Parameters
        ----------
        prepared : ndarray of shape (n_prepared_rows, n_prepared)
            float32.
        rows : ndarray of int of shape (n_rows,), default=None
            Which of them; all by default.

        Returns
        -------
        encoded : ndarray of shape (n_rows, n_outputs)
            float32.
        """
        n_rows = len(prepared) if rows is None else rows.size
        encoded = np.empty((n_rows, len(self.outputs)), np.float32)
        if kernels.compiled is not None:
            kernels.compiled.encode(self.encoding, prepared, rows, encoded)
            return encoded
        step = max(1, _BLOCK_SIZE // max(1, len(self.outputs)))
        for block in gen_batches(n_rows, step):
            self._encode_block(prepared[block if rows is None else rows[block]], encoded[block])
        return encoded

    def _encode_block(self, prepared: Array, out: Array) -> None:
        of_numbers, of_bins, of_levels, of_gaps = self._sources
        numbers, bins, levels, gaps = (
            out[:, first:last]
            for first, last in zip(self._edges[:-1], self._edges[1:], strict=True)
        )
        gaps[...] = np.isnan(prepared[:, of_gaps])
        levels[...] = prepared[:, of_levels] == self._at[self._edges[2] : self._edges[3]]
        filled = np.where(np.isnan(prepared), np.float32(0), prepared)  # the median is 0
        part = np.take(filled, of_bins, axis=1)  # contiguous: several times faster than in place
        part -= self._at[self._edges[1] : self._edges[2]]
        with np.errstate(all="ignore"):
            part /= self._width[self._edges[1] : self._edges[2]]
            np.clip(part, 0, 1, out=part)
            bins[...] = part
            np.divide(filled, np.sqrt(1 + np.square(filled / CLIP)), out=filled)
        numbers[...] = filled[:, of_numbers]
