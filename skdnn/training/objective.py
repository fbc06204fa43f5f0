"""The function that solvers minimise: penalised weighted log loss of a batch of rows.

The objective owns the training rows and how batches are drawn from them. A solver sees it as a
function of one flat vector and never meets the network behind it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse

from skdnn.datasets.rows import row_blocks
from skdnn.network.loss import log_loss, log_loss_and_gradient, signs_of
from skdnn.network.network import Network
from skdnn.network.prediction import predict_logits
from skdnn.numerics.threads import Crew
from skdnn.numerics.vectors import AddMultiple, largest_magnitude, norm
from skdnn.training.rowspace import FullSpace, RowSpace

__all__ = ["HeldOut", "Objective"]

Array = np.ndarray
# A batch is a slice of consecutive rows or an array of row indices.
Batch = slice | np.ndarray


class Objective:
    """(sum(w * loss) + alpha / 2 * sum(W ** 2)) / sum(w) over the rows, batch by batch.

    A batch's value is its weighted mean loss plus the penalty over the weight sum of all rows, so
    the penalty acts alike whatever the batch size.

    Parameters
    ----------
    network : Network
        Holds the flat vectors.
    X : {ndarray, CSR matrix} of shape (n_samples, n_features)
        Training rows in the network's dtype; read only.
    y : ndarray of bool of shape (n_samples,)
        True for the positive class.
    sample_weight : ndarray of float64 of shape (n_samples,), default=None
        Positive weights.
    alpha : float, default=0.0
        Strength of the L2 penalty.
    batch_size : int, default=None
        Rows of a batch; all of them by default.
    shuffle : bool, default=True
        Whether an epoch goes through the rows in a new random order. A batch of all rows is
        never shuffled.
    random_state : RandomState, default=None
        Draws the orders and the dropout; needed for either.
    space : FullSpace or RowSpace, default=None
        The coordinates that X is in; by default those of the features.
    crew : Crew, default=None
        Threads that take a share of every batch each.

    Attributes
    ----------
    parameters, gradient : ndarray of shape (n_parameters,)
        The point at which the objective is evaluated, and the gradient there.
    weight_sum : float
        Sum of the weights that `value_and_gradient` counts in.
    n_batches, n_weights : int
        Batches of an epoch, and leading parameters that the penalty acts on.
    part_size : int
        Rows of a thread's share of a batch.
    crew : Crew or None
        The threads.
    """

    def __init__(
        self,
        network: Network,
        X: Array,
        y: Array,
        sample_weight: Array | None = None,
        *,
        alpha: float = 0.0,
        batch_size: int | None = None,
        shuffle: bool = True,
        random_state: Any = None,
        space: FullSpace | RowSpace | None = None,
        crew: Crew | None = None,
    ) -> None:
        self.parameters = network.parameters
        self.gradient = network.gradient
        self._n_samples = X.shape[0]
        self._network = network
        total_weight = float(self._n_samples)
        self._sample_weight: Any = None
        if sample_weight is not None:
            total_weight = float(sample_weight.sum())
            # Only the ratio of the weights matters to the loss: bring them near 1, so that they
            # fit any dtype.
            mean = total_weight / self._n_samples
            self._sample_weight = (sample_weight / mean).astype(network.dtype)
        self.weight_sum = float(self._n_samples)
        self._penalty = alpha / total_weight
        self.n_weights = network.n_weights
        self._weights = network.parameters[: self.n_weights]
        self._add_weights = AddMultiple(self._weights, network.gradient[: self.n_weights])

        self._batch_size = min(batch_size or self._n_samples, self._n_samples)
        self.n_batches = math.ceil(self._n_samples / self._batch_size)
        self._shuffle = shuffle and self._batch_size < self._n_samples
        self._random_state = random_state
        self._space = FullSpace(X) if space is None else space
        self.crew: Any = crew
        n_parts = 1 if crew is None else crew.n_shares
        self.part_size = math.ceil(self._batch_size / n_parts)
        # one byte a row: a batch's are copied to the dtype that they are multiplied in
        self._signs = signs_of(y, np.dtype(np.int8))
        self._rows = _Rows(X, self._signs, self._sample_weight)
        self._parts = [
            _Part(
                network if k == 0 else network.replica(),
                self._rows,
                self.part_size,
                gathers=self._shuffle,
            )
            for k in range(n_parts)
        ]

    def batches(self) -> Iterator[Batch]:
        """Draw one epoch's batches."""
        n_samples, size = self._n_samples, self._batch_size
        starts = range(0, n_samples, size)
        if not self._shuffle:
            return (slice(s, min(s + size, n_samples)) for s in starts)
        order = self._random_state.permutation(n_samples)
        return (order[s : s + size] for s in starts)

    def value_and_gradient(self, batch: Batch) -> tuple[float, float]:
        """Evaluate a batch at `parameters` and write the gradient to `gradient`.

        Parameters
        ----------
        batch : slice or ndarray of int
            As `batches` gives it.

        Returns
        -------
        value : float
            Weighted mean loss of the batch plus the penalty.
        weight : float
            What the batch counts in the mean over an epoch, out of `weight_sum`.
        """
        value, weight = self._mean_loss(batch)
        if self._penalty:
            length = norm(self._weights)
            value += 0.5 * self._penalty * length * length  # ** would raise where this is inf
            self._add_weights(self._penalty)
        return value, weight

    def _mean_loss(self, batch: Batch, weight_sum: float | None = None) -> tuple[float, float]:
        """Evaluate a batch without the penalty, as part of rows of some weight if that is given."""
        n_rows = batch.stop - batch.start if isinstance(batch, slice) else batch.size
        if n_rows <= self.part_size:
            return self._parts[0].evaluate(batch, self._random_state, weight_sum)
        return self._evaluate_side_by_side(batch, n_rows, weight_sum)

    def _evaluate_side_by_side(
        self, batch: Batch, n_rows: int, weight_sum: float | None
    ) -> tuple[float, float]:
        """Give each thread its share of the rows, and add the gradients up."""
        weight = float(n_rows)
        if self._rows.weight is not None:
            weight = float(self._rows.weight[batch].sum())
        starts = range(0, n_rows, self.part_size)
        parts = self._parts[: len(starts)]
        tasks = []
        for part, start in zip(parts, starts, strict=True):
            stop = min(start + self.part_size, n_rows)
            if isinstance(batch, slice):
                share: Batch = slice(batch.start + start, batch.start + stop)
            else:
                share = batch[start:stop]
            # one generator for all: what it draws must not depend on which thread is faster
            part.draw_dropout(stop - start, self._random_state)
            tasks.append(partial(part.evaluate, share, None, weight_sum or weight))
        self.crew.run(tasks)
        for part in parts[1:]:
            self.gradient += part.gradient
        return sum(part.value for part in parts), weight

    def is_stationary(self, tol: float) -> bool:
        """Return whether no component of `gradient`, by the features' weights, exceeds ``tol``."""
        first = self._network.weight_gradients[0]
        rest = self.gradient[first.size :]
        # The norm is the same in any orthonormal coordinates, and bounds the largest component:
        # the product with a basis is needed only near the end.
        n_parameters = self._space.n_features * first.shape[1] + rest.size
        if norm(self.gradient) > tol * math.sqrt(n_parameters):
            return False
        largest = max(largest_magnitude(self._space.leave(first)), largest_magnitude(rest))
        return largest <= tol

    def all_rows(self) -> Batch:
        """Return the batch of all rows."""
        return slice(0, self._n_samples)

    def close(self) -> None:
        """Let go of what an epoch that was broken off still holds."""


@dataclass
class _Rows:
    """The rows that batches are of; read only."""

    X: Any  # (n_rows, n_features), dense or CSR
    signs: Array  # (n_rows,), int8
    weight: Array | None  # (n_rows,), in the network's dtype


class _Part:
    """What one thread computes of a batch, in arrays of its own.

    Parameters
    ----------
    network : Network
        Holds gradient and workspace of the part.
    rows : _Rows
        What batches are of.
    size : int
        Largest number of rows of the part.
    gathers : bool
        Whether rows come as indices, so that there must be room to copy them to.

    Attributes
    ----------
    value : float
        Result of the latest evaluation.
    """

    def __init__(
        self,
        network: Network,
        rows: _Rows,
        size: int,
        *,
        gathers: bool,
    ) -> None:
        self.gradient = network.gradient
        self.value = 0.0
        self._network = network
        self._rows = rows
        self._signs_batch = np.empty(size, network.dtype)
        self._sparse = scipy.sparse.issparse(rows.X)
        if gathers:
            self._signs_bytes = np.empty(size, np.int8)
            self._weight_batch: Any = None if rows.weight is None else np.empty(size, network.dtype)
            self._X_batch: Any = (
                None if self._sparse else np.empty((size, rows.X.shape[1]), network.dtype)
            )

    def draw_dropout(self, n_rows: int, random_state: Any) -> None:
        """Draw what the next evaluation leaves out."""
        if self._network.dropout:
            self._network.draw_dropout(n_rows, random_state)

    def evaluate(
        self, rows: Batch, random_state: Any = None, weight_sum: float | None = None
    ) -> tuple[float, float]:
        """Write the gradient of some rows' loss; return the loss and the rows' weight.

        Parameters
        ----------
        rows : slice or ndarray of int
            Which rows.
        random_state : RandomState, default=None
            Draws the dropout, unless `draw_dropout` was called before.
        weight_sum : float, default=None
            Weight of the whole batch that the rows are of.
        """
        X, signs, sample_weight = self._select(rows)
        if random_state is not None:
            self.draw_dropout(X.shape[0], random_state)
        logits, dlogits = self._network.forward(X)
        self.value, weight = log_loss_and_gradient(
            logits, signs, sample_weight, dlogits, weight_sum
        )
        self._network.backward(X)
        return self.value, weight

    def _select(self, rows: Batch) -> tuple[Any, Array, Array | None]:
        """Return X, signs and weights of some rows: views, or copies in the part's arrays."""
        X, signs, weight = self._rows.X, self._rows.signs, self._rows.weight
        if isinstance(rows, slice):
            n_rows = rows.stop - rows.start
            signs = signs[rows]
            weight = weight if weight is None else weight[rows]
            if n_rows < X.shape[0]:
                X = X[rows]
        else:
            n_rows = rows.size
            # mode="clip" spares a buffered copy; the indices are valid by construction
            signs = signs.take(rows, out=self._signs_bytes[:n_rows], mode="clip")
            if weight is not None:
                weight = weight.take(rows, out=self._weight_batch[:n_rows], mode="clip")
            if self._sparse:
                X = X[rows]
            else:
                X = X.take(rows, axis=0, out=self._X_batch[:n_rows], mode="clip")
        signs_batch = self._signs_batch[:n_rows]
        np.copyto(signs_batch, signs)
        return X, signs_batch, weight


class HeldOut:
    """Mean log loss, without penalty, of rows that are not trained on.

    Parameters
    ----------
    network : Network
        Evaluated at its present parameters.
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
        Validation rows.
    y : ndarray of bool of shape (n_samples,)
        True for the positive class.
    sample_weight : ndarray of shape (n_samples,), default=None
        Positive weights.
    """

    def __init__(
        self, network: Network, X: Array, y: Array, sample_weight: Array | None = None
    ) -> None:
        self._network = network
        self._X = X
        self._signs = signs_of(y, network.dtype)
        self._sample_weight = sample_weight

    def log_loss(self) -> float:
        """Return the weighted mean log loss; NaN where a logit is."""
        network = self._network
        logits = predict_logits(
            self._X, network.weights, network.biases, network.activation, row_blocks
        )
        return log_loss(logits, self._signs, self._sample_weight)
