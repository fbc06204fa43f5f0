"""From prepared columns to the encoded matrix: the arithmetic of every output, rows in blocks.

Prepared columns are float32: numbers centred and scaled, categories as codes, NaN for gaps. An
encoded row depends on its prepared row alone, so that rows can be encoded when they are needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

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
    """All outputs, in arrays."""

    last: list[int]  # the output after the last number, bin, level and gap
    sources: Array  # (n_outputs,), int32
    runs: Array  # (n_runs + 1,), int32: outputs of which a row has one, and parts of that alone
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
    encoding : Encoding
        The same.
    """

    def __init__(self, outputs: Iterable[Output]) -> None:
        self.outputs = sorted(outputs, key=lambda output: _KINDS.index(output.kind))
        kinds = [output.kind for output in self.outputs]
        last = np.cumsum([kinds.count(kind) for kind in _KINDS]).tolist()
        sources = np.array([output.source for output in self.outputs], np.int32)
        at = np.array([output.at for output in self.outputs], np.float32)
        width = np.array([output.width for output in self.outputs], np.float32)
        runs = _find_runs(last, sources, at, width)
        self.encoding = Encoding(last, sources, runs, at, width, CLIP)

    def compile(self, prepared: Array, rows: Array | None = None) -> Any:
        """Return prepared rows as compiled kernels take them; arguments as of `encode`."""
        assert kernels.compiled is not None
        return kernels.compiled.CompiledRows(self.encoding, prepared, rows)

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
            self.compile(prepared, rows).encode(encoded)
            return encoded
        step = max(1, _BLOCK_SIZE // max(1, len(self.outputs)))
        for block in gen_batches(n_rows, step):
            self._encode_block(prepared[block if rows is None else rows[block]], encoded[block])
        return encoded

    def _encode_block(self, prepared: Array, out: Array) -> None:
        edges = [0, *self.encoding.last]
        kinds = [slice(first, last) for first, last in pairwise(edges)]
        numbers, bins, levels, gaps = (out[:, kind] for kind in kinds)
        of_numbers, of_bins, of_levels, of_gaps = (self.encoding.sources[kind] for kind in kinds)
        at, width = self.encoding.at, self.encoding.width
        gaps[...] = np.isnan(prepared[:, of_gaps])
        levels[...] = prepared[:, of_levels] == at[kinds[2]]
        filled = np.where(np.isnan(prepared), np.float32(0), prepared)  # the median is 0
        part = np.take(filled, of_bins, axis=1)  # contiguous: several times faster than in place
        part -= at[kinds[1]]
        with np.errstate(all="ignore"):
            part /= width[kinds[1]]
            np.clip(part, 0, 1, out=part)
            bins[...] = part
            np.divide(filled, np.sqrt(1 + np.square(filled / CLIP)), out=filled)
        numbers[...] = filled[:, of_numbers]


def _find_runs(last: list[int], sources: Array, at: Array, width: Array) -> Array:
    """Return where runs of bins and of levels begin, and the last one ends.

    A run is of one prepared column: bins that follow upon each other, or successive levels.
    """
    bins, levels, end, _ = last
    steps = np.diff(at)
    follows = np.zeros(len(at) + 1, bool)
    follows[1:-1] = (np.diff(sources) == 0) & (steps > 0)
    # a bin is full where the number is in one that follows
    within = slice(bins, max(bins, levels - 1))
    follows[bins + 1 : levels] &= steps[within] >= width[within]
    follows[levels + 1 : end] &= steps[levels : max(levels, end - 1)] == 1
    follows[[bins, levels, end]] = False
    return (bins + np.flatnonzero(~follows[bins : end + 1])).astype(np.int32)
