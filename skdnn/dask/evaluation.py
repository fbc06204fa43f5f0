"""Loss and gradient of a worker's share of a batch, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from skdnn.dask.held import HeldRows
from skdnn.dask.order import Order
from skdnn.network.activations import get_activation
from skdnn.network.loss import log_loss_and_gradient
from skdnn.network.network import Network

__all__ = ["Evaluator", "NetworkPlan", "Piece", "cut_into_blocks", "length"]

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


Piece = tuple[HeldRows, Any]  # a slice or an array of row numbers


def length(rows: Any) -> int:
    """Return how many rows a slice or an array of row numbers is."""
    return rows.stop - rows.start if isinstance(rows, slice) else rows.size


def cut_into_blocks(shares: list[Piece], size: int, *, apart: bool) -> Iterator[list[Piece]]:
    """Cut shares into blocks of up to ``size`` rows, each of one partition if ``apart``."""
    block: list[Piece] = []
    room = size
    for rows, chosen in shares:
        done, n_rows = 0, length(chosen)
        while done < n_rows:
            n_taken = min(room, n_rows - done)
            if isinstance(chosen, slice):
                piece: Any = slice(chosen.start + done, chosen.start + done + n_taken)
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
    value, weight : float
        Loss and weight of the rows of the latest evaluation.
    total : ndarray of shape (n_parameters,)
        Their gradient.
    """

    def __init__(self, network: Network, plan: NetworkPlan) -> None:
        self.network = network
        self.value = self.weight = 0.0
        self.total = np.zeros_like(network.gradient)
        # made once: a worker gives memory back to the system, and a new array costs page faults
        n_rows = plan.block_rows
        self._X = np.empty((0 if plan.sparse else n_rows, plan.layer_sizes[0]), plan.dtype)
        self._bytes = np.empty(n_rows, np.int8)
        self._signs = np.empty(n_rows, plan.dtype)
        self._weight = np.empty(n_rows, plan.dtype)

    def evaluate(
        self, blocks: list[list[Piece]], n_rows: int, dropout: Order | None, batch: int | None
    ) -> None:
        """Sum loss and gradient of some blocks, divided by ``n_rows``."""
        network = self.network
        self.value = self.weight = 0.0
        self.total[...] = 0
        for block in blocks:
            X, signs, weight = self._gather(block)
            if dropout is not None:
                rows, piece = block[0]
                first = int(piece.start if isinstance(piece, slice) else piece[0])
                state = dropout.dropout_state(batch, rows.number, first)
                network.draw_dropout(X.shape[0], state)
            logits, dlogits = network.forward(X)
            value = log_loss_and_gradient(logits, signs, weight, dlogits, float(n_rows))
            network.backward(X)
            self.value += value
            self.weight += float(
                signs.size if weight is None else np.add.reduce(weight, dtype=np.float64)
            )
            self.total += network.gradient

    def _gather(self, block: list[Piece]) -> tuple[Any, Array, Array | None]:
        """Return X, signs and weights of a block: views, or copies in the evaluator's arrays."""
        if len(block) == 1 and isinstance(block[0][1], slice) and block[0][0].index is None:
            X, signs, weight = block[0][0].select(block[0][1])
            signs_out = self._signs[: signs.size]
            np.copyto(signs_out, signs)
            return X, signs_out, weight
        matrices, start, weighted = [], 0, False
        for rows, piece in block:
            index = _indices(rows, piece)
            part = slice(start, start + index.size)
            # mode="clip" spares a buffered copy; the indices are valid by construction
            rows.signs.take(index, out=self._bytes[part], mode="clip")
            if rows.weight is not None:
                rows.weight.take(index, out=self._weight[part], mode="clip")
                weighted = True
            if isinstance(rows.X, np.ndarray):
                rows.X.take(index, axis=0, out=self._X[part], mode="clip")
            else:
                matrices.append(rows.X[index])
            start = part.stop
        np.copyto(self._signs[:start], self._bytes[:start])
        X = scipy.sparse.vstack(matrices, "csr") if matrices else self._X[:start]
        return X, self._signs[:start], self._weight[:start] if weighted else None


def _indices(rows: HeldRows, piece: Any) -> Array:
    """Return which rows of a whole partition a piece is."""
    if rows.index is not None:
        return rows.index[piece]
    return np.arange(piece.start, piece.stop) if isinstance(piece, slice) else piece
