"""Loss and gradient of a worker's share of a batch: cut into blocks, evaluated, added up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from skdnn.dask.held import HeldRows
from skdnn.dask.order import Order
from skdnn.network.activations import get_activation
from skdnn.network.evaluation import Batch, BatchEvaluator, length
from skdnn.network.network import Network

__all__ = ["Evaluator", "NetworkPlan", "Piece", "cut_into_blocks"]

Array = np.ndarray

# Activations of one layer that are computed together: they stay in a core's cache, and memory
# stays bounded whatever the batch.
_BLOCK_ACTIVATIONS = 2**17
_MOST_BLOCK_ROWS = 8192
_BLOCK_FEATURES = 2**22  # numbers of X that a block copies


class NetworkPlan(NamedTuple):
    """What a worker needs to build the network."""

    layer_sizes: tuple[int, ...]
    activation: str
    negative_slope: float
    dropout: tuple[float, ...]
    dtype: np.dtype
    sparse: bool

    @property
    def block_rows(self) -> int:
        """Rows that go through the network together."""
        n_rows = min(_MOST_BLOCK_ROWS, _BLOCK_ACTIVATIONS // max(self.layer_sizes[1:]))
        if not self.sparse:
            n_rows = min(n_rows, _BLOCK_FEATURES // self.layer_sizes[0])
        return max(1, n_rows)

    def build(self) -> Network:
        """Return the network, its parameters 0."""
        activation = get_activation(self.activation, self.negative_slope)
        dropout = self.dropout if any(self.dropout) else ()
        return Network(self.layer_sizes, activation, self.dtype, dropout)


Piece = tuple[HeldRows, Batch]  # some of the rows that count


def cut_into_blocks(shares: list[Piece], size: int, *, apart: bool) -> Iterator[list[Piece]]:
    """Cut shares into blocks of up to ``size`` rows, each of one partition if ``apart``."""
    block: list[Piece] = []
    room = size
    for rows, chosen in shares:
        done, n_rows = 0, length(chosen)
        while done < n_rows:
            n_taken = min(room, n_rows - done)
            if isinstance(chosen, slice):
                piece: Batch = slice(chosen.start + done, chosen.start + done + n_taken)
            else:
                piece = chosen[done : done + n_taken]
            block.append((rows, piece))
            done += n_taken
            room -= n_taken
            if room == 0 or apart:
                yield block
                block, room = [], size
    if block:
        yield block


class Evaluator:
    """What one thread of a worker computes, in arrays of its own.

    Parameters
    ----------
    network : Network
        Holds gradient and workspace.
    plan : NetworkPlan
        What the network was built from.

    Attributes
    ----------
    value : float
        Loss of the rows of the latest evaluation.
    total : ndarray of shape (n_parameters,)
        Their gradient.
    """

    def __init__(self, network: Network, plan: NetworkPlan) -> None:
        self.network = network
        self.value = 0.0
        self.total = np.zeros_like(network.gradient)
        self._evaluator = BatchEvaluator(network)
        # made once: a worker gives memory back to the system, and a new array costs page faults
        n_rows = plan.block_rows
        self._X = np.empty((0 if plan.sparse else n_rows, plan.layer_sizes[0]), plan.dtype)
        self._signs = np.empty(n_rows, np.int8)
        self._weight = np.empty(n_rows, plan.dtype)

    def evaluate(
        self, blocks: list[list[Piece]], n_rows: int, dropout: Order | None, batch: int | None
    ) -> None:
        """Sum loss and gradient of some blocks, divided by ``n_rows``."""
        self.value = 0.0
        self.total[...] = 0
        for block in blocks:
            X, signs, weight, chosen = self._rows_of(block)
            if dropout is not None:
                rows, piece = block[0]
                first = int(piece.start if isinstance(piece, slice) else piece[0])
                state = dropout.dropout_state(batch, rows.number, first)
                self._evaluator.draw_dropout(length(chosen), state)
            self.value += self._evaluator.evaluate(X, signs, weight, chosen, float(n_rows))
            self.total += self.network.gradient

    def _rows_of(self, block: list[Piece]) -> tuple[Any, Array, Array | None, Batch]:
        """Return X, signs and weights, and which of their rows a block is."""
        if len(block) > 1:
            return self._join(block)
        rows, piece = block[0]
        return rows.X, rows.signs, rows.weight, rows.numbers(piece)

    def _join(self, block: list[Piece]) -> tuple[Any, Array, Array | None, Batch]:
        """Copy the rows of several partitions together."""
        matrices, start, weighted = [], 0, False
        for rows, piece in block:
            chosen = rows.numbers(piece)
            part = slice(start, start + length(chosen))
            self._signs[part] = rows.signs[chosen]
            if rows.weight is not None:
                self._weight[part] = rows.weight[chosen]
                weighted = True
            if not isinstance(rows.X, np.ndarray):
                matrices.append(rows.X[chosen])
            elif isinstance(chosen, slice):
                self._X[part] = rows.X[chosen]
            else:
                # mode="clip" spares a buffered copy; the indices are valid by construction
                rows.X.take(chosen, axis=0, out=self._X[part], mode="clip")
            start = part.stop
        X = scipy.sparse.vstack(matrices, "csr") if matrices else self._X[:start]
        weight = self._weight[:start] if weighted else None
        return X, self._signs[:start], weight, slice(0, start)
