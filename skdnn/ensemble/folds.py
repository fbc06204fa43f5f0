"""Which rows each network trains on, and which it is stopped by."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from numbers import Integral
from typing import Any, NamedTuple

import joblib
import numpy as np
import scipy.sparse
from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import check_consistent_length

from skdnn.ensemble.judgement import Judgement
from skdnn.preprocessing.columns import hash_cells
from skdnn.training.fingerprint import canonical
from skdnn.training.targets import (
    apply_class_weight,
    check_labels,
    check_masked,
    check_sample_weight,
    encode_labels,
    plain_labels,
)

__all__ = ["Fold", "Rows", "check_rows", "draw_seed", "make_folds", "take"]

Array = np.ndarray


class Fold:
    """Rows to train on, and rows set aside; the former are kept only if they are not the rest.

    Parameters
    ----------
    train, held_out : ndarray of int
    n_rows : int
        Of both, and of those that are neither.
    """

    def __init__(self, train: Array, held_out: Array, n_rows: int) -> None:
        self.held_out, self._n_rows = held_out.astype(np.int32), n_rows
        self.n_train = train.size
        self._train: Array | None = None
        if not np.array_equal(train, self._rest()):
            self._train = train

    def _rest(self) -> Array:
        is_rest = np.ones(self._n_rows, bool)
        is_rest[self.held_out] = False
        return np.flatnonzero(is_rest)

    @property
    def train(self) -> Array:
        """Rows to train on."""
        return self._rest() if self._train is None else self._train


def draw_seed(root: int, *path: int) -> int:
    """Return the seed of one of many generators, the same however many others there are."""
    return int(np.random.SeedSequence([root, *path]).generate_state(1)[0])


def take(X: Any, rows: Array) -> Any:
    """Return some rows of a table, by index."""
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


class Rows(NamedTuple):
    """Rows that the ensemble is fitted to."""

    X: Any
    y: Array  # labels
    positive: Array  # bool
    weight: Array | None
    groups: Array | None

    @property
    def weighted(self) -> Array:
        """Which rows have a positive weight."""
        return np.arange(len(self.y)) if self.weight is None else np.flatnonzero(self.weight)

    def hashes(self) -> dict[str, str]:
        """Return hashes of cells, labels, weights and groups, by argument."""
        groups = None if self.groups is None else np.unique(self.groups, return_inverse=True)[1]
        is_sparse = scipy.sparse.issparse(self.X)
        return {
            "X": joblib.hash(canonical(self.X)) if is_sparse else hash_cells(self.X),
            "y": joblib.hash(canonical(self.positive)),
            "sample_weight": joblib.hash(canonical(self.weight)),
            "groups": joblib.hash(canonical(groups)),
        }

    def select(self, rows: Array) -> Rows:
        """Return some of the rows, by index."""
        if rows.size == len(self.y):
            return self
        weight = None if self.weight is None else self.weight[rows]
        groups = None if self.groups is None else self.groups[rows]
        return Rows(take(self.X, rows), self.y[rows], self.positive[rows], weight, groups)


def check_rows(
    X: Any,
    y: Any,
    sample_weight: Any,
    groups: Any,
    known: Array | None = None,
    before: Judgement | None = None,
) -> tuple[Rows, Array]:
    """Return the rows that an ensemble is fitted to, and the classes of their labels.

    Parameters
    ----------
    X : table
        Checked already.
    y, sample_weight, groups
        As the user gave them.
    known : ndarray of shape (2,), default=None
        Classes that y may have; found in y by default.
    before : Judgement, default=None
        Of the rows that these must be.

    Raises
    ------
    ValueError
        For labels, weights or groups that do not suit.
    """
    if y is None:
        raise ValueError(
            "DeepEnsembleClassifier requires y to be passed, but the target y is None."
        )
    check_masked(y, "y")
    classes, positive = encode_labels(plain_labels(y), known)
    check_masked(groups, "groups")
    check_consistent_length(X, positive, groups)
    weight = check_sample_weight(sample_weight, positive.size)
    apply_class_weight(None, classes, positive, weight)  # whose sum may overflow
    if groups is not None:
        groups = np.asarray(plain_labels(groups, "groups"))
        if groups.ndim != 1:
            raise ValueError(
                f"groups must have shape ({positive.size},), one a row of X; got {groups.shape}."
            )
        groups = check_labels(groups, "groups")
    rows = Rows(X, classes[positive.astype(np.intp)], positive, weight, groups)
    if np.unique(positive[rows.weighted]).size < 2:
        raise ValueError(
            "DeepEnsembleClassifier needs samples of 2 classes, but all rows with a positive "
            f"weight are of one class: {rows.y[rows.weighted[0]]}."
        )
    if before is not None:
        _check_same(rows, before)
    return rows, classes


def _check_same(rows: Rows, before: Judgement) -> None:
    """Raise ValueError unless rows are those before, of the same labels, weights and groups."""
    n_rows = len(rows.y)
    if n_rows != before.n_rows:
        raise ValueError(
            f"warm_start=True adds networks to those of {before.n_rows} rows: X and y must be the "
            f"same, but have {n_rows} rows."
        )
    for name, found in rows.hashes().items():
        if found != before.hashes[name]:
            raise ValueError(
                "warm_start=True adds networks to those of the same rows, but "
                f"{name} is not the same as in the call before."
            )


def make_folds(cv: Any, n_members: int, rows: Rows, root: int) -> list[Fold]:
    """Return a fold for each network of a kind.

    Parameters
    ----------
    cv : int, splitter or iterable
        As of `DeepEnsembleClassifier`. Splits are gone through again where there are more
        networks than folds: each time in another order, if they are ours or draw one.
    n_members : int
        Number of networks of a kind.
    rows : Rows
        Those of weight 0 too, which a user's splits may count.
    root : int
        Seed.

    Returns
    -------
    folds : list of Fold
        Indices among the rows of positive weight.

    Raises
    ------
    ValueError
        When a class has too few rows, or a fold cannot be trained on.
    """
    weighted = rows.select(rows.weighted)
    is_number = isinstance(cv, Integral)
    splits = _stratified(int(cv), weighted, root) if is_number else _repeat(cv, rows)
    folds = []
    for k, (train, held_out) in zip(range(n_members), splits, strict=False):
        for part, what in ((train, "train on"), (held_out, "validate on")):
            if part.size == 0:
                raise ValueError(f"cv gives network {k} no rows of positive weight to {what}.")
        if not _has_both(weighted, train):
            (label,) = weighted.y[train[:1]].tolist()
            advice = "Use a stratified splitter."
            if rows.groups is not None:
                advice = "All others are in groups that are set aside: give other groups."
            raise ValueError(
                f"cv gives network {k} rows of one class to train on: {label!r}. {advice}"
            )
        folds.append(Fold(train, held_out, len(weighted.y)))
    return folds


def _repeat(cv: Any, rows: Rows) -> Iterator[tuple[Array, Array]]:
    """Go through a user's splits, of a splitter or of an iterable, again and again."""
    is_used_up = isinstance(cv, Iterator)
    pairs = None if hasattr(cv, "split") else list(cv)
    place = np.full(len(rows.y), -1)
    place[rows.weighted] = np.arange(rows.weighted.size)
    n_splits = 0
    while True:
        for split in cv.split(rows.X, rows.y, rows.groups) if pairs is None else pairs:
            n_splits += 1
            try:
                train, held_out = (place[np.asarray(part)] for part in split)
            except (IndexError, TypeError, ValueError) as error:
                raise ValueError(
                    "cv must give pairs of rows, to train on and to set aside, of the "
                    f"{len(rows.y)} of X; split {n_splits - 1} is none: {error}."
                ) from error
            train, held_out = train[train >= 0], held_out[held_out >= 0]
            shared = rows.weighted[np.intersect1d(train, held_out)]
            if shared.size:
                raise ValueError(
                    "cv must set rows aside that are not trained on, but both parts of split "
                    f"{n_splits - 1} have {shared.size} rows, the first of which is {shared[0]}."
                )
            yield train, held_out
        if n_splits == 0:
            advice = " It is used up: give a list." if is_used_up else ""
            raise ValueError(f"cv={cv!r:.100} gives no splits.{advice}")


def _stratified(n_folds: int, rows: Rows, root: int) -> Iterator[tuple[Array, Array]]:
    """Shuffle and split, again and again."""
    n_rows = np.bincount(rows.positive, minlength=2)
    rarer = int(n_rows.argmin())
    n_folds = min(n_folds, int(n_rows.min()))
    if n_folds < 2:
        labels = rows.y[rows.positive == rarer].tolist()
        raise ValueError(
            f"Class {labels[0]!r} has 1 row, but each class needs 2: one to train on, and one to "
            "set aside."
        )
    if rows.groups is not None:
        _check_groups(rows)
    for repetition in count():
        seed = draw_seed(root, 0, repetition)
        if rows.groups is not None:
            yield from _grouped(n_folds, rows, seed)
        else:
            splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
            yield from splitter.split(rows.positive, rows.positive)


def _check_groups(rows: Rows) -> None:
    """Raise ValueError unless each class is in two groups: one to train on, one to set aside."""
    groups: Any = rows.groups
    n_groups = np.unique(groups).size
    if n_groups < 2:
        raise ValueError(f"groups has {n_groups} group, but folds need 2 of them at least.")
    for is_mine in (rows.positive, ~rows.positive):
        (label,) = rows.y[is_mine][:1].tolist()
        if np.unique(groups[is_mine]).size < 2:
            (group,) = groups[is_mine][:1].tolist()
            raise ValueError(
                f"groups has all rows of class {label!r} in one group, {group!r}, but each class "
                "needs 2: one to train on, and one to set aside. Give other groups, or none."
            )


def _grouped(n_folds: int, rows: Rows, seed: int) -> list[tuple[Array, Array]]:
    """Split whole groups into so many folds, or into fewer where one could not be used."""
    groups: Any = rows.groups
    for n in range(min(n_folds, np.unique(groups).size), 1, -1):
        splitter = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
        splits = list(splitter.split(rows.positive, rows.positive, groups))
        if all(held_out.size and _has_both(rows, train) for train, held_out in splits):
            return splits
    # of one group each, all can be used
    splits = list(LeaveOneGroupOut().split(rows.positive, groups=groups))
    order = np.random.RandomState(seed).permutation(len(splits))
    return [splits[k] for k in order.tolist()]


def _has_both(rows: Rows, part: Array) -> bool:
    """Return whether some rows are of both classes."""
    return np.unique(rows.positive[part]).size == 2
