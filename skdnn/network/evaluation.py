"""Loss and gradient of a batch: gather its rows, forward pass, loss, backward pass.

Whoever trains, on rows in memory, in a file or on a cluster, evaluates its batches here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from skdnn import kernels
from skdnn.network.loss import log_loss_and_gradient
from skdnn.network.network import Network

__all__ = ["Batch", "BatchEvaluator", "Batches", "length", "make_evaluator"]

Array = np.ndarray
# A batch is a slice of consecutive rows or an array of row indices.
Batch = slice | np.ndarray


def length(batch: Batch) -> int:
    """Return the number of rows of a batch."""
    return batch.stop - batch.start if isinstance(batch, slice) else batch.size


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches of an epoch over rows in memory."""

    n_rows: int
    size: int
    order: Array | None = None  # (n_rows,), of the rows; as they are by default

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, self.n_rows, self.size):
            batch = slice(start, min(start + self.size, self.n_rows))
            yield batch if self.order is None else self.order[batch]


def make_evaluator(network: Network, is_triangular: bool = False) -> Any:
    """Return what evaluates batches on a network: compiled, or a `BatchEvaluator`.

    ``is_triangular`` says that row i of X is 0 right of column i, which saves half of a product.
    """
    if kernels.compiled is None:
        return BatchEvaluator(network)
    return kernels.compiled.CompiledEvaluator(network, is_triangular)


class BatchEvaluator:
    """Evaluates batches on a network, in arrays of its own; one thread at a time.

    Parameters
    ----------
    network : Network
        Holds the parameters, the gradient and the workspace.

    Attributes
    ----------
    network : Network
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._buffers: dict[str, Array] = {}

    def draw_dropout(self, n_rows: int, random_state: np.random.RandomState) -> None:
        """Draw what the next evaluation, of so many rows, leaves out."""
        if self.network.dropout:
            self.network.draw_dropout(n_rows, random_state)

    def evaluate(
        self,
        X: Any,
        signs: Array,
        sample_weight: Array | None,
        batch: Batch,
        divisor: float,
        random_state: np.random.RandomState | None = None,
    ) -> float:
        """Return the loss of some rows, and write its gradient to the network's.

        Parameters
        ----------
        X : {ndarray, CSR matrix} of shape (n_samples, n_features)
            Rows in the network's dtype.
        signs : ndarray of shape (n_samples,)
            1 - 2y, int8.
        sample_weight : ndarray of shape (n_samples,) or None
            Weights in the network's dtype; 1 by default.
        batch : slice or ndarray of int
            Which rows.
        divisor : float
            What the weighted sum of the losses is divided by: the rows of the whole batch that
            these are a part of, if the weights are 1 in the mean.
        random_state : RandomState, default=None
            Draws the dropout, unless `draw_dropout` was called before.

        Returns
        -------
        float
        """
        network = self.network
        X, signs, sample_weight = self._gather(X, signs, sample_weight, batch)
        if random_state is not None:
            self.draw_dropout(X.shape[0], random_state)
        logits, dlogits = network.forward(X)
        value = log_loss_and_gradient(logits, signs, sample_weight, dlogits, divisor)
        network.backward(X)
        return value

    def _gather(
        self, X: Any, signs: Array, weight: Array | None, batch: Batch
    ) -> tuple[Any, Array, Array | None]:
        """Return X, signs and weights of a batch: views, or copies in the evaluator's arrays."""
        n_rows = length(batch)
        if isinstance(batch, slice):
            signs = signs[batch]
            weight = weight if weight is None else weight[batch]
            if not (scipy.sparse.issparse(X) and n_rows == X.shape[0]):  # which would be copied
                X = X[batch]
        else:
            # mode="clip" spares a buffered copy; the indices are valid by construction
            signs_bytes = self._buffer("bytes", (n_rows,), signs.dtype)
            signs = signs.take(batch, out=signs_bytes, mode="clip")
            if weight is not None:
                weight_batch = self._buffer("weight", (n_rows,), weight.dtype)
                weight = weight.take(batch, out=weight_batch, mode="clip")
            if isinstance(X, np.ndarray):
                X_batch = self._buffer("X", (n_rows, X.shape[1]), X.dtype)
                X = X.take(batch, axis=0, out=X_batch, mode="clip")
            else:
                X = X[batch]
        factors = self._buffer("signs", (n_rows,), self.network.dtype)
        np.copyto(factors, signs)
        return X, factors, weight

    def _buffer(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return an array to copy to; made anew only when more rows come than ever before."""
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < shape[0]:
            buffer = self._buffers[name] = np.empty(shape, dtype)
        return buffer[: shape[0]]
