"""The function that solvers minimise: penalised weighted log loss of a batch of rows.

The objective owns the training rows and how batches are drawn from them. A solver sees it as a
function of one flat vector and never meets the network behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from skdnn import kernels
from skdnn.datasets.rows import row_blocks
from skdnn.network.evaluation import Batch, Batches, length, make_evaluator
from skdnn.network.loss import log_loss, signs_of
from skdnn.network.network import Network
from skdnn.network.prediction import dead_layers, predict_logits
from skdnn.numerics.threads import Crew
from skdnn.numerics.vectors import add_multiple, largest_magnitude, norm
from skdnn.training.rowspace import FullSpace, RowSpace

__all__ = ["HeldOut", "Objective", "penalise"]

Array = np.ndarray


class Objective:
    """(sum(w * loss) + alpha / 2 * sum(W ** 2)) / sum(w) over the rows, batch by batch.

    A batch's value is the weighted sum of its losses over (its rows times the mean weight of all
    rows), plus the whole penalty: an unbiased estimate of the objective, whatever the batch size.

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
    mean_weight : float, default=None
        Mean weight of more rows than these, where they are a part of them (partial_fit, a
        cluster); by default, of these.

    Attributes
    ----------
    parameters, gradient : ndarray of shape (n_parameters,)
        The point at which the objective is evaluated, and the gradient there.
    weight_sum : float
        What the sum over an epoch of rows times value is divided by, to give the objective.
    n_batches, n_weights : int
        Batches of an epoch, and leading parameters that the penalty acts on.
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
        mean_weight: float | None = None,
    ) -> None:
        self.parameters = network.parameters
        self.gradient = network.gradient
        self._n_samples = X.shape[0]
        self._network = network
        self._X = X
        self.weight_sum = float(self._n_samples)
        self._sample_weight: Any = None
        if sample_weight is not None:
            total_weight = float(sample_weight.sum())
            if mean_weight is None:
                mean_weight = total_weight / self._n_samples
            else:
                self.weight_sum = total_weight / mean_weight
            # Only the ratio of the weights matters to the loss: with a mean of 1 they fit any
            # dtype, and a batch's share of the weight is, in the mean, its share of the rows.
            self._sample_weight = (sample_weight / mean_weight).astype(network.dtype)
        self._penalty = alpha / (self._n_samples * (mean_weight or 1.0))
        self.n_weights = network.n_weights
        self._weights = network.parameters[: self.n_weights]
        self._weight_gradient = network.gradient[: self.n_weights]

        self._batch_size = min(batch_size or self._n_samples, self._n_samples)
        self.n_batches = math.ceil(self._n_samples / self._batch_size)
        self._shuffle = shuffle and self._batch_size < self._n_samples
        self._random_state = random_state
        self._space = FullSpace(X.shape[1]) if space is None else space
        self.crew: Any = crew
        n_parts = 1 if crew is None else crew.n_shares
        self._part_size = math.ceil(self._batch_size / n_parts)
        is_triangular = X is self._space.rows
        self._evaluators = [
            make_evaluator(network if k == 0 else network.replica(), is_triangular)
            for k in range(n_parts)
        ]
        # one byte a row: a batch's are copied to the dtype that they are multiplied in
        self._signs = signs_of(y, np.dtype(np.int8))
        self._rows = X, self._signs, self._sample_weight  # that batches are of

    def batches(self) -> Iterable[Batch]:
        """Draw one epoch's batches."""
        order = self._random_state.permutation(self._n_samples) if self._shuffle else None
        return Batches(self._n_samples, self._batch_size, order)

    @property
    def run_compiled(self) -> Callable[[Any, int, Any, Array], float] | None:
        """What runs an epoch's steps without coming back to Python; None where there is nothing.

        It takes a compiled rule, the number of steps before, the batches and the rates, and
        returns the sum of rows times value.
        """
        evaluator = self._evaluators[0]
        if kernels.compiled is None or len(self._evaluators) > 1:
            return None

        def run(rule: Any, n_steps: int, batches: Any, rates: Array) -> float:
            return evaluator.run(
                *self._rows, batches, self._penalty, rule, n_steps, rates, self._random_state
            )

        return run

    def value_and_gradient(self, batch: Batch) -> tuple[float, int]:
        """Evaluate a batch at `parameters` and write the gradient to `gradient`.

        Parameters
        ----------
        batch : slice or ndarray of int
            As `batches` gives it.

        Returns
        -------
        value : float
            Loss of the batch plus the penalty.
        n_rows : int
            How much the batch counts in the mean over an epoch.
        """
        n_rows = length(batch)
        value = self._loss(batch, float(n_rows))
        if self._penalty:
            value += penalise(self._weights, self._weight_gradient, self._penalty)
        return value, n_rows

    def _loss(self, batch: Batch, divisor: float) -> float:
        """Evaluate a batch without the penalty."""
        n_rows = length(batch)
        if n_rows > self._part_size:
            return self._evaluate_side_by_side(batch, n_rows, divisor)
        return self._evaluators[0].evaluate(*self._rows, batch, divisor, self._random_state)

    def _evaluate_side_by_side(self, batch: Batch, n_rows: int, divisor: float) -> float:
        """Give each thread its share of the rows, and add the gradients up."""
        starts = range(0, n_rows, self._part_size)
        values = [0.0] * len(starts)

        def evaluate(k: int, share: Batch) -> None:
            values[k] = self._evaluators[k].evaluate(*self._rows, share, divisor)

        tasks = []
        for k, start in enumerate(starts):
            stop = min(start + self._part_size, n_rows)
            if isinstance(batch, slice):
                share: Batch = slice(batch.start + start, batch.start + stop)
            else:
                share = batch[start:stop]
            # one generator for all: what it draws must not depend on which thread is faster
            self._evaluators[k].draw_dropout(stop - start, self._random_state)
            tasks.append(partial(evaluate, k, share))
        self.crew.run(tasks)
        for evaluator in self._evaluators[1 : len(starts)]:
            self.gradient += evaluator.network.gradient
        return sum(values)

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

    def dead_layers(self) -> list[int]:
        """Return the hidden layers, counted from 1, that none of the rows activates."""
        return dead_layers(self._network, self._X, self._part_size, row_blocks)

    def close(self) -> None:
        """Let go of what an epoch that was broken off still holds."""


def penalise(weights: Array, gradient: Array, strength: float) -> float:
    """Return strength / 2 * sum(weights ** 2), and add its gradient in place.

    Parameters
    ----------
    weights, gradient : ndarray of shape (n_weights,)
        The weights, without biases, and the gradient by them.
    strength : float
        alpha over the sum of the sample weights.

    Returns
    -------
    float
    """
    if kernels.compiled is not None:
        return kernels.compiled.penalise(weights, gradient, strength)
    size = norm(weights)
    add_multiple(gradient, strength, weights)
    return 0.5 * strength * size * size  # ** would raise where this is inf


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

    def evaluate(self) -> tuple[float, Array]:
        """Return the weighted mean log loss, NaN where a logit is, and the logits."""
        network = self._network
        logits = predict_logits(
            self._X, network.weights, network.biases, network.activation, row_blocks
        )
        return log_loss(logits, self._signs, self._sample_weight), logits
