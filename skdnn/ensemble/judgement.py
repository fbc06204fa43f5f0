"""What networks say of rows that they did not train on, and how much each kind of them counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_expit

from skdnn.network.loss import log_loss, signs_of

__all__ = ["Judge", "Judgement", "both_sides"]

Array = np.ndarray

# Parts of the rows set aside
_N_PARTS = 4


def both_sides(logits: Array) -> Array:
    """Return the logarithms of both classes' probabilities, in float64: a first axis of 2.

    Logarithms, since the mean of probabilities that are 0 in any floating point would have none.
    """
    logits = logits.astype(np.float64)
    return np.stack([log_expit(-logits), log_expit(logits)])


class Judgement:
    """Logarithms of sums of out-of-fold probabilities, for each kind of network.

    Parameters
    ----------
    n_kinds, n_rows : int
    hashes : dict
        Of the rows' cells, labels, weights and groups, by argument.
    """

    def __init__(self, n_kinds: int, n_rows: int, hashes: dict[str, str]) -> None:
        self.n_kinds, self.n_rows, self.hashes = n_kinds, n_rows, hashes
        # take no memory while there is nothing to add
        self._sums = np.broadcast_to(np.float32(-np.inf), (n_kinds, 2, n_rows))
        self._counts = np.broadcast_to(np.int16(0), (n_kinds, n_rows))

    @np.errstate(all="ignore")  # whatever the caller set
    def with_more(self, kinds: list[int], rows: list[Array], logits: list[Array]) -> Judgement:
        """Return a copy with what networks say of rows that were set aside.

        Parameters
        ----------
        kinds : list of int
            Kind of each network.
        rows : list of ndarray of int
            Rows that each did not train on.
        logits : list of ndarray
            Its logits of these.
        """
        more = Judgement(self.n_kinds, self.n_rows, self.hashes)
        more._sums, more._counts = self._sums.copy(), self._counts.copy()
        for kind, place, says in zip(kinds, rows, logits, strict=True):
            sums = more._sums[kind]
            sums[:, place] = np.logaddexp(sums[:, place], both_sides(says))
            more._counts[kind][place] += 1
        return more

    def log_odds(self, kind_weights: Array) -> Array:
        """Return the log-odds of each row, NaN where no network judged it."""
        negative, positive = np.full((2, self.n_rows), -np.inf)
        with np.errstate(all="ignore"):
            for sums, counts, weight in zip(self._sums, self._counts, kind_weights, strict=True):
                share = np.log(weight) - np.log(counts)  # infinite where there is nothing to add
                share[counts == 0] = -np.inf
                negative = np.logaddexp(negative, sums[0] + share)
                positive = np.logaddexp(positive, sums[1] + share)
            return positive - negative

    @np.errstate(all="ignore")  # whatever the caller set
    def log_loss(self, kind_weights: Array, positive: Array, sample_weight: Array | None) -> float:
        """Return the log loss of the rows that were judged and weigh something."""
        says = self.log_odds(kind_weights)
        known = ~np.isnan(says)
        if sample_weight is not None:
            known &= sample_weight > 0
        signs = signs_of(positive[known], np.dtype(np.float64))
        return log_loss(says[known], signs, None if sample_weight is None else sample_weight[known])

    @np.errstate(all="ignore")  # whatever the caller set
    def weigh_kinds(self, positive: Array, sample_weight: Array | None) -> Array:
        """Return what each kind counts in the mean: weights that judge best out of fold [1]_.

        Parameters
        ----------
        positive : ndarray of bool of shape (n_rows,)
            Labels.
        sample_weight : ndarray of shape (n_rows,) or None
            Weights of the rows.

        Returns
        -------
        kind_weights : ndarray of shape (n_kinds,)
            None is negative, and their sum is 1. They minimise the log loss, summed over the rows
            that all kinds judged, and ``n_kinds * sum((weight - 1 / n_kinds) ** 2)``, which holds
            them together where rows are few.

        References
        ----------
        .. [1] Breiman (1996). Stacked regressions. Machine Learning 24.
        """
        m = self.n_kinds
        equal = np.full(m, 1 / m)
        common = (self._counts > 0).all(axis=0)
        if sample_weight is not None:
            common &= sample_weight > 0
        if m == 1 or not common.any():
            return equal
        of_label = np.log(self._counts[:, common], dtype=np.float64)  # (n_kinds, n_common)
        sums = self._sums[:, positive[common].astype(np.intp), np.flatnonzero(common)]
        np.subtract(sums, of_label, out=of_label)
        # in units of the largest: what all kinds think impossible alike says nothing of them
        of_label -= of_label.max(axis=0)
        np.exp(of_label, out=of_label)
        weight = np.ones(of_label.shape[1])
        if sample_weight is not None:
            weight = sample_weight[common] / sample_weight[common].mean()

        def value_and_gradient(w: Array) -> tuple[float, Array]:
            mixed = w @ of_label
            value = -float(weight @ np.log(mixed)) + m * float(np.sum((w - equal) ** 2))
            gradient = 2 * m * (w - equal) - of_label @ (weight / mixed)
            return value / weight.size, gradient / weight.size

        found = minimize(
            value_and_gradient,
            equal,
            jac=True,
            method="SLSQP",
            bounds=[(0, 1)] * m,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        ).x.clip(0)
        return found / found.sum()


class Judge:
    """Scorer of epochs that keeps what a network says of each row, in an epoch that others chose.

    The rows set aside choose the epoch that a network returns to, and judged by that epoch they
    would do well by choice: on pure noise, too. So they are dealt into parts, and the rows of a
    part are judged in the epoch that the other parts find best.

    Parameters
    ----------
    positive : ndarray of bool of shape (n_samples,)
        Labels of the rows set aside. Each part has its share of both classes.
    scorer : callable or None
        What chooses the network's epoch; None: its log loss.
    random_state : RandomState
        Generator that deals the rows.

    Attributes
    ----------
    logits : ndarray of shape (n_samples,)
        What the network says.
    """

    def __init__(
        self,
        positive: Array,
        scorer: Callable[..., float] | None,
        random_state: np.random.RandomState,
    ) -> None:
        shuffled = random_state.permutation(positive.size)
        by_class = shuffled[np.argsort(positive[shuffled], kind="stable")]
        self._part = np.empty(positive.size, np.intp)
        self._part[by_class] = np.arange(positive.size) % _N_PARTS
        self._signs = signs_of(positive, np.dtype(np.float64))
        self._scorer = scorer
        self._lowest = np.full(_N_PARTS, np.inf)
        self.logits = np.zeros(positive.size, np.float32)

    @np.errstate(all="ignore")  # whatever the caller set
    def __call__(self, model: Any, X: Any, y: Array, sample_weight: Array | None = None) -> float:
        """Return the score of the rows set aside."""
        logits = model.decision_function(X)
        losses = -log_expit(-self._signs * logits)
        if sample_weight is not None:
            losses *= sample_weight
        of_parts = np.bincount(self._part, losses, _N_PARTS)
        of_others = of_parts.sum() - of_parts
        is_better = of_others < self._lowest
        self._lowest[is_better] = of_others[is_better]
        np.copyto(self.logits, logits, casting="same_kind", where=is_better[self._part])
        if self._scorer is not None:
            weight = {} if sample_weight is None else {"sample_weight": sample_weight}
            return float(self._scorer(model, X, y, **weight))
        return -log_loss(logits, signs_of(y == model.classes_[1], logits.dtype), sample_weight)
