"""The gradient of training against central differences of the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skdnn.inspection.subject import Subject, check_count
from skdnn.inspection.table import Table
from skdnn.network.loss import log_loss, signs_of
from skdnn.numerics.vectors import norm
from skdnn.training.objective import Objective

__all__ = ["check_gradients"]

Array = np.ndarray

# Activations whose slope jumps, or bends, at 0: a difference across it is no derivative
_KINKED = ("relu", "leaky_relu", "elu")

# Share of a gradient that rounding may make up before differences say nothing of it
_UNRESOLVED = 0.1


def check_gradients(
    model: Any,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    max_samples: int = 100,
    max_parameters: int = 20,
    random_state: int | np.random.RandomState | None = 0,
) -> Table:
    """Compare the gradient that training uses with central differences of the loss.

    Both are of the objective that `fit` minimises (with penalty, sample and class weights, without
    dropout) at the fitted parameters, in float64 whatever the model's dtype. The step of a weight
    shrinks with the size of the layer's inputs. Where a step takes any unit of 'relu',
    'leaky_relu' or 'elu' across its kink at 0 on any row, it is shortened tenfold, three times at
    most; a parameter whose kink is nearer still has no derivative to compare with and is left out.

    Parameters
    ----------
    model : DeepBinaryClassifier or Pipeline
        Fitted. A pipeline must end with the network; X goes through the steps before.
    X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
        Rows that the loss is of. Of rows on disk only the drawn ones are read.
    y : array-like or h5py.Dataset of shape (n_samples,)
        Their labels, of the classes that the model knows.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    max_samples : int, default=100
        Number of rows used; drawn without replacement where there are more.
    max_parameters : int, default=20
        Number of parameters checked in each block, each of which costs two forward passes: half
        of them those of largest gradient, the others drawn from the rest.
    random_state : int, RandomState instance or None, default=0
        Draws the rows and the parameters.

    Returns
    -------
    Table
        One entry a block, ``coefs_[0]`` to ``intercepts_[-1]``:

        - ``block``, ``n_parameters``: its name and size.
        - ``n_checked``, ``n_kinks``: parameters compared, and left out at a kink.
        - ``error``: norm of the difference over the norm of the gradient, over the parameters
          compared; NaN if there are none.
        - ``rounding``: what the rounding of the losses alone may make of the error. Large where
          the gradient has vanished: no difference of losses can resolve it then.
        - ``agrees``: whether ``error`` is at most 1e-5 plus ``rounding``. False where nothing could
          be compared, or where ``rounding`` is 0.1 or more: the gradient cannot be resolved there,
          right or wrong.

    Raises
    ------
    TypeError
        When the model is no such network.
    ValueError
        When X, y, ``sample_weight`` or a number do not suit the model or each other.
    sklearn.exceptions.NotFittedError
        When the model is not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from skdnn import DeepBinaryClassifier
    >>> from skdnn.inspection import check_gradients
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = DeepBinaryClassifier((16, 8), random_state=0, max_iter=5, tol=None)
    >>> checks = check_gradients(model.fit(scale(X), y), scale(X), y)
    >>> checks.block[:2], bool(checks.agrees.all())
    (['coefs_[0]', 'coefs_[1]'], True)
    """
    for name, number in (("max_samples", max_samples), ("max_parameters", max_parameters)):
        check_count(name, number)
    generator: Any = check_random_state(random_state)
    subject = Subject(model, X)
    positive, weight = subject.check_targets(y, sample_weight)
    candidates = np.arange(subject.n_samples) if weight is None else np.flatnonzero(weight)
    if candidates.size > max_samples:
        candidates = np.sort(generator.choice(candidates, max_samples, replace=False))
    loss = _Loss(
        subject,
        subject.take(candidates).astype(np.float64),
        positive[candidates],
        None if weight is None else weight[candidates],
    )
    checks = []
    with np.errstate(all="ignore"):
        for name, start, size, step in loss.blocks():
            block = loss.gradient[start : start + size]
            chosen = start + _choose(block, max_parameters, generator)
            checks.append((name, size, *_compare(loss, chosen, step)))
    blocks, sizes, n_checked, errors, roundings = zip(*checks, strict=True)
    n_chosen = np.minimum(sizes, max_parameters)
    error, rounding = np.array(errors), np.array(roundings)
    return Table(
        block=list(blocks),
        n_parameters=np.array(sizes),
        n_checked=np.array(n_checked),
        n_kinks=n_chosen - n_checked,
        error=error,
        rounding=rounding,
        agrees=(error <= 1e-5 + rounding) & (rounding < _UNRESOLVED),
    )


def _compare(loss: _Loss, indices: Array, step: float) -> tuple[int, float, float]:
    """Return how many parameters could be compared, the error, and what rounding makes of it."""
    differences, roundings = np.array([loss.central_difference(i, step) for i in indices]).T
    smooth = ~np.isnan(roundings)
    if not smooth.any():
        return 0, np.nan, np.nan
    gradient = loss.gradient[indices[smooth]]
    scale = norm(gradient) or 1.0
    error = norm(differences[smooth] - gradient) / scale
    return int(smooth.sum()), error, norm(roundings[smooth]) / scale


def _choose(gradient: Array, n_chosen: int, random_state: np.random.RandomState) -> Array:
    """Return indices: half of them those of the largest entries, the others drawn."""
    order = np.argsort(-np.abs(gradient), kind="stable")
    n_largest = (n_chosen + 1) // 2
    rest = order[n_largest:]
    n_drawn = min(n_chosen - n_largest, rest.size)
    return np.concatenate([order[:n_largest], random_state.choice(rest, n_drawn, replace=False)])


class _Loss:
    """The penalised loss of some rows as a function of one parameter at a time, in float64.

    Parameters
    ----------
    subject : Subject
        Whose network it is.
    X, positive, weight : arrays of shape (n_rows, ...)
        The rows, in float64.

    Attributes
    ----------
    gradient : ndarray of shape (n_parameters,)
        By backpropagation, at the fitted parameters.
    """

    def __init__(self, subject: Subject, X: Any, positive: Array, weight: Array | None) -> None:
        model = subject.model
        self._network = network = subject.make_network(np.dtype(np.float64))
        self._X, self._weight = X, weight
        self._signs = signs_of(positive, network.dtype)
        # adamw decays the weights itself
        alpha = 0.0 if model.solver == "adamw" else float(model.alpha)
        self._penalty = alpha / (positive.size if weight is None else weight.sum())
        self._has_kinks = network.activation.name in _KINKED
        with np.errstate(all="ignore"):
            objective = Objective(network, X, positive, weight, alpha=alpha)
            objective.value_and_gradient(objective.all_rows())
            self.gradient = network.gradient.copy()
            self._value = self._evaluate()[0]

    def blocks(self) -> list[tuple[str, int, int, float]]:
        """Return name, first index, size and step of each block of the parameters."""
        network = self._network
        network.forward(self._X)
        inputs = [self._X, *network.workspace(self._X.shape[0]).activations[:-1]]
        step = np.cbrt(np.finfo(np.float64).eps)
        blocks, start = [], 0
        for kind, arrays in (("coefs_", network.weights), ("intercepts_", network.biases)):
            for layer, array in enumerate(arrays):
                size = np.sqrt(_mean_square(inputs[layer])) if kind == "coefs_" else 1.0
                blocks.append((f"{kind}[{layer}]", start, array.size, step / max(1.0, size)))
                start += array.size
        return blocks

    def central_difference(self, index: int, step: float) -> tuple[float, float]:
        """Return the difference quotient and its rounding error; NaN twice at a kink."""
        parameters = self._network.parameters
        middle = parameters[index]
        step = max(step * max(1.0, abs(middle)), 1e-10 * abs(middle))
        try:
            for _ in range(4):
                above, below = middle + step, middle - step
                parameters[index] = above
                loss_above, active_above = self._evaluate()
                parameters[index] = below
                loss_below, active_below = self._evaluate()
                if not self._has_kinks or np.array_equal(active_above, active_below):
                    width = above - below
                    rounding = 4 * np.finfo(np.float64).eps * abs(self._value) / width
                    return (loss_above - loss_below) / width, rounding
                step /= 10
        finally:
            parameters[index] = middle
        return np.nan, np.nan

    def _evaluate(self) -> tuple[float, Array]:
        """Return the loss, and which hidden units are positive on which rows."""
        network = self._network
        logits, _ = network.forward(self._X)
        hidden = network.workspace(self._X.shape[0]).activations[:-1]
        active = np.concatenate([a.reshape(-1) > 0 for a in hidden]) if hidden else np.empty(0)
        length = norm(network.parameters[: network.n_weights])
        value = log_loss(logits, self._signs, self._weight) + 0.5 * self._penalty * length**2
        return value, active


def _mean_square(X: Any) -> float:
    """Return the mean square of an array's numbers, or of a sparse matrix's stored ones."""
    numbers = X.data if scipy.sparse.issparse(X) else X
    return float(np.mean(np.square(numbers))) if numbers.size else 0.0
