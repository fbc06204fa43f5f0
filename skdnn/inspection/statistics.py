"""Units, activations and gradients of a network in numbers, over any number of rows.

The passes are those of training. Nothing here changes a model or draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skdnn.inspection.subject import Subject
from skdnn.inspection.table import Table
from skdnn.numerics.vectors import norm
from skdnn.training.objective import Objective

__all__ = ["DeadUnits", "activation_statistics", "dead_units", "gradient_statistics"]

Array = np.ndarray


@dataclass(frozen=True, repr=False, eq=False)
class DeadUnits:
    """Which hidden units no row activates.

    Attributes
    ----------
    masks : list of ndarray of bool of shape (n_units,)
        For each hidden layer, which units are dead.
    shares : list of ndarray of shape (n_units,)
        For each hidden layer, the share of the rows that activate each unit.
    n_samples : int
        Number of rows.
    """

    masks: list[Array]
    shares: list[Array]
    n_samples: int

    @property
    def summary(self) -> Table:
        """Units, dead units and mean share of active rows for each hidden layer."""
        return Table(
            layer=np.arange(1, len(self.masks) + 1),
            n_units=np.array([mask.size for mask in self.masks]),
            n_dead=np.array([np.count_nonzero(mask) for mask in self.masks]),
            mean_share=np.array([share.mean() for share in self.shares]),
        )

    def __repr__(self) -> str:
        return repr(self.summary)


class _Spread:
    """Mean, variance, zeros and magnitudes of numbers that come in pieces, in bounded memory."""

    # A float64 without its sign and its last 48 bits: 16 steps between two powers of 2
    _DROPPED_BITS = 48

    def __init__(self) -> None:
        self.n_numbers = self.n_zeros = 0
        self.mean = self._squares = 0.0  # sum of squared deviations from the mean
        self._counts = np.zeros(2 ** (63 - self._DROPPED_BITS), np.intp)

    def add(self, numbers: Array) -> None:
        """Count some numbers in (Chan, Golub, LeVeque 1983)."""
        numbers = numbers.reshape(-1).astype(np.float64)
        n_before, n_added = self.n_numbers, numbers.size
        self.n_numbers += n_added
        mean = float(numbers.mean())
        change = mean - self.mean
        self.mean += change * n_added / self.n_numbers
        self._squares += float(np.square(numbers - mean).sum())
        self._squares += change * change * n_before * n_added / self.n_numbers
        magnitudes = np.abs(numbers[numbers != 0])
        self.n_zeros += n_added - magnitudes.size
        bins = magnitudes.view(np.int64) >> self._DROPPED_BITS
        self._counts += np.bincount(bins, minlength=self._counts.size)

    @property
    def variance(self) -> float:
        """Variance of all numbers."""
        return self._squares / self.n_numbers

    def magnitude(self, share: float) -> float:
        """Return what a share of the numbers that are not 0 stay below, to 1 part in 32."""
        total = self._counts.sum()
        if total == 0:
            return 0.0
        cell = int(np.searchsorted(np.cumsum(self._counts), share * total))
        bits = (cell << self._DROPPED_BITS) | (1 << (self._DROPPED_BITS - 1))
        # the upper half of the cell of infinity is NaN
        return float(min(np.int64(bits).view(np.float64), np.inf)) if cell < 0x7FF0 else np.inf


def _tabulate(spreads: Sequence[_Spread], **columns: Any) -> Table:
    return Table(
        layer=np.arange(1, len(spreads) + 1),
        **columns,
        mean=np.array([s.mean for s in spreads]),
        variance=np.array([s.variance for s in spreads]),
        zeros=np.array([s.n_zeros / s.n_numbers for s in spreads]),
        low=np.array([s.magnitude(0.05) for s in spreads]),
        median=np.array([s.magnitude(0.5) for s in spreads]),
        high=np.array([s.magnitude(0.95) for s in spreads]),
    )


def dead_units(model: Any, X: ArrayLike, *, threshold: float = 1e-3) -> DeadUnits:
    """Find the hidden units that no row activates, so that they learn nothing.

    A row activates a unit where the activation passes a gradient on: where its derivative, at what
    the unit receives from the row, exceeds ``threshold`` in magnitude. For 'relu' this is where
    the output is positive. 'tanh', 'logistic', 'elu', 'silu' and 'gelu' have no exact zero; there
    a dead unit is saturated on every row. 'identity' never dies, nor does 'leaky_relu' with a
    ``negative_slope`` above the threshold.

    Parameters
    ----------
    model : DeepBinaryClassifier or Pipeline
        Fitted. A pipeline must end with the network; X goes through the steps before.
    X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
        Rows to look at, best those of training. Sparse rows stay sparse, rows on disk are read a
        block at a time.
    threshold : float, default=1e-3
        Derivative that counts as none, in [0, 1).

    Returns
    -------
    DeadUnits
        ``masks`` and ``shares`` by hidden layer; prints as a table.

    Raises
    ------
    TypeError
        When the model is no such network.
    ValueError
        When X does not suit the model, or ``threshold`` is out of its range.
    sklearn.exceptions.NotFittedError
        When the model is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn import DeepBinaryClassifier
    >>> from skdnn.inspection import dead_units
    >>> X = np.array([[-1.0], [1.0]])
    >>> model = DeepBinaryClassifier((3,), solver="lbfgs", random_state=0, tol=None)
    >>> model = model.fit(X, [0, 1])
    >>> model.coefs_[0][...], model.intercepts_[0][...] = [[1, 1, -1]], [0, -2, 2]
    >>> units = dead_units(model, X)
    >>> units.masks[0].tolist(), units.shares[0].tolist()
    ([False, True, False], [0.5, 0.0, 1.0])
    >>> units
    layer  n_units  n_dead  mean_share
        1        3       1         0.5
    """
    if not isinstance(threshold, Real) or not 0 <= threshold < 1:
        raise ValueError(f"threshold must be in [0, 1), got {threshold!r}.")
    subject = Subject(model, X)
    network = subject.make_network()
    counts = [np.zeros(bias.size, np.intp) for bias in network.biases[:-1]]
    for _, rows in subject.blocks():
        work = network.workspace(rows.shape[0])
        with np.errstate(all="ignore"):
            network.forward(rows)
            for count, a, cache in zip(counts, work.activations, work.caches, strict=False):
                if cache is None:  # a derivative of 1
                    count += rows.shape[0]
                    continue
                network.activation.derivative(a, cache)
                count += np.count_nonzero(np.abs(cache) > threshold, axis=0)
    shares = [count / subject.n_samples for count in counts]
    return DeadUnits([count == 0 for count in counts], shares, subject.n_samples)


def activation_statistics(model: Any, X: ArrayLike) -> Table:
    """Describe the outputs of every layer, which may explode or fade away with depth.

    Parameters
    ----------
    model : DeepBinaryClassifier or Pipeline
        Fitted. A pipeline must end with the network; X goes through the steps before.
    X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
        Rows to look at. Sparse rows stay sparse, rows on disk are read a block at a time.

    Returns
    -------
    Table
        One entry a layer, the last one being the logit:

        - ``layer``, ``n_units``: number of the layer, counted from 1, and of its units.
        - ``mean``, ``variance``: over all rows and units.
        - ``zeros``: share of exact zeros.
        - ``low``, ``median``, ``high``: magnitudes that 5, 50 and 95 % of the numbers other than
          0 stay below, to 1 part in 32.

        What overflows is infinite or NaN, without a warning. Computed in the dtype of the
        parameters, summed up in float64.

    Raises
    ------
    TypeError
        When the model is no such network.
    ValueError
        When X does not suit the model.
    sklearn.exceptions.NotFittedError
        When the model is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn import DeepBinaryClassifier
    >>> from skdnn.inspection import activation_statistics
    >>> X = np.array([[-1.0], [1.0]])
    >>> model = DeepBinaryClassifier((1,), solver="lbfgs", random_state=0, tol=None)
    >>> model = model.fit(X, [0, 1])
    >>> for weights, value in zip(model.coefs_, (2, 0.5)):
    ...     weights[...] = value
    >>> for bias in model.intercepts_:
    ...     bias[...] = 0
    >>> statistics = activation_statistics(model, X)  # outputs 0 and 2, logits 0 and 1
    >>> statistics.mean.tolist(), statistics.zeros.tolist()
    ([1.0, 0.5], [0.5, 0.5])
    """
    subject = Subject(model, X)
    network = subject.make_network()
    spreads = [_Spread() for _ in network.biases]
    for _, rows in subject.blocks():
        with np.errstate(all="ignore"):
            network.forward(rows)
            for spread, a in zip(
                spreads, network.workspace(rows.shape[0]).activations, strict=True
            ):
                spread.add(a)
    return _tabulate(spreads, n_units=np.array([bias.size for bias in network.biases]))


def gradient_statistics(
    model: Any, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> Table:
    """Describe the gradient by the weights of every layer, which may explode or vanish.

    The gradient is that of the mean log loss over all rows, weighted by ``sample_weight`` and the
    model's ``class_weight``. The penalty is left out: it never vanishes and would hide what does.
    So is dropout.

    Parameters
    ----------
    model : DeepBinaryClassifier or Pipeline
        Fitted. A pipeline must end with the network; X goes through the steps before.
    X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
        Rows to look at. Sparse rows stay sparse, rows on disk are read a block at a time.
    y : array-like or h5py.Dataset of shape (n_samples,)
        Their labels, of the classes that the model knows.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.

    Returns
    -------
    Table
        One entry a layer, the last one being that of the logit: ``layer``, ``n_weights``, ``norm``
        (Euclidean), and ``mean``, ``variance``, ``zeros``, ``low``, ``median`` and ``high`` as
        `activation_statistics` has them, over the layer's weights without the biases.

    Raises
    ------
    TypeError
        When the model is no such network.
    ValueError
        When X, y or ``sample_weight`` do not suit the model or each other.
    sklearn.exceptions.NotFittedError
        When the model is not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from skdnn import DeepBinaryClassifier
    >>> from skdnn.inspection import gradient_statistics
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = DeepBinaryClassifier((16, 8), random_state=0, max_iter=5, tol=None)
    >>> statistics = gradient_statistics(model.fit(scale(X), y), scale(X), y)
    >>> statistics.n_weights.tolist()
    [480, 128, 8]
    >>> bool((statistics.norm > 1e-3).all())  # nothing has vanished
    True
    """
    subject = Subject(model, X)
    positive, weight = subject.check_targets(y, sample_weight)
    network = subject.make_network()
    total = float(subject.n_samples if weight is None else weight.sum())
    gradient = np.zeros(network.parameters.size)
    for place, rows in subject.blocks():
        with np.errstate(all="ignore"):
            part, part_weight = positive[place], None
            if weight is not None:
                kept = weight[place] > 0
                if not kept.any():
                    continue
                rows, part, part_weight = rows[kept], part[kept], weight[place][kept]
            objective = Objective(network, rows, part, part_weight)
            objective.value_and_gradient(objective.all_rows())
            share = (part.size if part_weight is None else part_weight.sum()) / total
            gradient += share * network.gradient.astype(np.float64)
    spreads, norms, start = [], [], 0
    for weights in network.weights:
        layer = gradient[start : start + weights.size]
        start += weights.size
        spreads.append(_Spread())
        with np.errstate(all="ignore"):
            spreads[-1].add(layer)
            norms.append(norm(layer))
    n_weights = np.array([weights.size for weights in network.weights])
    return _tabulate(spreads, n_weights=n_weights, norm=np.array(norms))
