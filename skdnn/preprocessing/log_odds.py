"""What labels tell of a column: log-odds of categories and of numbers that are names, and gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from scipy.special import logit
from sklearn import config_context
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import TargetEncoder
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import type_of_target

from skdnn.preprocessing.encodings import Category
from skdnn.training.targets import check_labels, check_masked, plain_labels

__all__ = [
    "BINS_BESIDE_NAMES",
    "are_names",
    "are_two_classes",
    "check_target",
    "gaps_tell",
    "has_log_odds",
    "learn_log_odds",
    "learn_names",
]

Array = np.ndarray

# Rows of the mean that a level's rows are mixed with. scikit-learn's "auto" takes the label of a
# level's single row for its mean.
_TARGET_SMOOTHING = 10.0
_TARGET_FOLDS = 5

# Numbers are perhaps names where there are so many of them, and so many times as many rows
_FEWEST_NAMES = 10
_ROWS_OF_A_NAME = 1.3
# By how many standard errors names must tell more than so many bins, and gaps anything
_SIGNIFICANT = 3
BINS_BESIDE_NAMES = 16


def check_target(y: Any, X: Any) -> Any:
    """Return the labels of a table; raise an error for such as are missing or of other rows."""
    if scipy.sparse.issparse(y):
        raise TypeError("y is sparse, but labels must be dense: give y.toarray().ravel().")
    if isinstance(y, np.ma.MaskedArray):
        check_masked(y, "y")
    check_consistent_length(X, y)
    y = plain_labels(y)
    check_labels(np.asarray(y))
    return y


def learn_names(numbers: Array) -> Category | None:
    """Return numbers as names, if they may be such: with more rows than names.

    Parameters
    ----------
    numbers : ndarray of shape (n_samples,)
        As of `numbers_of`, with NaN for gaps.
    """
    n_rows = np.count_nonzero(~np.isnan(numbers))
    names = np.unique(numbers)
    names = names[np.isfinite(names)]
    if names.size < _FEWEST_NAMES or n_rows < _ROWS_OF_A_NAME * names.size:
        return None
    return Category(names, np.zeros(names.size, np.intp), group=0, by_target=True)


def are_names(
    places: Array,
    numbers: Array,
    edges: Array,
    positive: Array,
    n_errors: float = _SIGNIFICANT,
) -> bool:
    """Return whether the values of a column tell more of labels than their neighbourhoods.

    A number may be a code: of a place, a machine or a batch. Then what is known of a value says
    nothing of the next one, and bins mix what has nothing in common. Both are judged by the log
    loss of rows that they did not see.

    Parameters
    ----------
    places : ndarray of shape (n_samples,)
        As `Category` prepares them.
    numbers : ndarray of shape (n_samples,)
        Prepared, with NaN for gaps.
    edges : ndarray of shape (n_edges,)
        Of bins of the numbers.
    positive : ndarray of shape (n_samples,)
        Labels, bool.
    n_errors : float
        By how many standard errors.
    """
    present = ~np.isnan(numbers)
    positive = positive[present]
    if positive.all() or not positive.any():
        return False
    bins = np.searchsorted(edges, numbers[present], side="right")
    names = places[present].astype(np.intp)
    fold = np.random.RandomState(0).permutation(positive.size) % _TARGET_FOLDS
    by_bin = _crossed_shares(bins, fold, positive, positive.mean())
    by_name = _crossed_shares(names, fold, positive, by_bin)
    of_bin, of_name = (-np.log(np.where(positive, share, 1 - share)) for share in (by_bin, by_name))
    gain = of_bin - of_name
    return bool(gain.mean() > n_errors * gain.std() / np.sqrt(gain.size))


def _crossed_shares(group: Array, fold: Array, positive: Array, prior: float | Array) -> Array:
    """Return for each row the share of positive rows in its group and the other folds."""
    shape = (int(group.max()) + 1, _TARGET_FOLDS)
    cell = group * _TARGET_FOLDS + fold
    n_rows, n_positive = (
        np.bincount(cell, weight, shape[0] * shape[1]).reshape(shape) for weight in (None, positive)
    )
    n_rows, n_positive = (
        (cells.sum(axis=1, keepdims=True) - cells)[group, fold] for cells in (n_rows, n_positive)
    )
    return (n_positive + _TARGET_SMOOTHING * prior) / (n_rows + _TARGET_SMOOTHING)


def learn_log_odds(places: Array, y: Any, random_state: Any) -> tuple[list[Array], Array]:
    """Return the log-odds of the places of columns, and those of rows, each from other rows.

    Both are above those of all rows, and 0 where a class has less than two.

    Parameters
    ----------
    places : ndarray of shape (n_samples, n_columns)
        As categories prepare them.
    y : array-like of shape (n_samples,)
        Labels of two classes.
    random_state : int, RandomState instance or None
        Generator of the folds.

    Returns
    -------
    log_odds : list of ndarray of shape (n_known,)
        Of the places of each column, from 0 to the last one that rows have.
    crossed : ndarray of shape (n_samples, n_columns)
        Of the rows.
    """
    n_folds = min(_TARGET_FOLDS, _rows_of_the_rarer(y))
    if n_folds < 2:
        return [np.zeros(1)] * places.shape[1], np.zeros(places.shape)
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=random_state)
    encoder = TargetEncoder(target_type="binary", smooth=_TARGET_SMOOTHING, cv=folds)
    encoder.set_output(transform="default")  # whatever the caller's configuration says
    # where metadata are routed, TargetEncoder of scikit-learn 1.9 needs groups
    with config_context(enable_metadata_routing=False):
        crossed = logit(encoder.fit_transform(places, y))
    prior = logit(encoder.target_mean_)
    log_odds = []
    for known, share in zip(encoder.categories_, encoder.encodings_, strict=True):
        of_column = np.zeros(int(known[-1]) + 1)
        of_column[known.astype(np.intp)] = logit(share) - prior
        log_odds.append(of_column)
    return log_odds, crossed - prior


def gaps_tell(is_missing: Array, positive: Array, fewest: int) -> bool:
    """Return whether rows with a gap, and those without, have other shares of positive rows.

    By as many standard errors as numbers are names by, with Yates' correction; and there must be
    enough rows of both.

    Parameters
    ----------
    is_missing, positive : ndarray of bool of shape (n_samples,)
    fewest : int
        Rows with a gap, and without, that there must be.
    """
    n, n_missing = is_missing.size, np.count_nonzero(is_missing)
    if min(n_missing, n - n_missing) < fewest:
        return False
    share = float(positive.mean())
    excess = abs(np.count_nonzero(positive & is_missing) - share * n_missing) - 0.5
    variance = share * (1 - share) * n_missing * (1 - n_missing / n)
    return bool(excess > _SIGNIFICANT * np.sqrt(variance))


def are_two_classes(y: Any) -> bool:
    """Return whether there are labels, of two classes, that log-odds can be told of."""
    return y is not None and type_of_target(y) == "binary" and has_log_odds(y)


def has_log_odds(y: Any) -> bool:
    """Return whether labels are enough to tell log-odds of."""
    return _rows_of_the_rarer(y) > 1


def _rows_of_the_rarer(y: Any) -> int:
    counts = np.unique(np.asarray(y), return_counts=True)[1]
    return int(counts.min()) if counts.size == 2 else 0
