"""Folds of groups, which are whole, for DeepEnsembleClassifier."""

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold

from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier
from skdnn.ensemble.folds import Rows, make_folds

SMALL = DeepBinaryClassifier((4,), learning_rate_init=0.01, max_iter=3, tol=None)


def small(**parameters):
    return DeepEnsembleClassifier(SMALL, **{"n_estimators": 4, "random_state": 0} | parameters)


def test_groups_that_hold_a_class_together_are_told():
    X = np.random.RandomState(0).standard_normal((240, 2))
    groups = np.arange(len(X)) // 15
    with pytest.raises(ValueError, match="all rows of class True in one group, 0, but each"):
        small(n_estimators=8).fit(X, groups == 0, groups=groups)
    with pytest.raises(ValueError, match="All others are in groups that are set aside"):
        small(n_estimators=8, cv=GroupKFold(4)).fit(X, groups == 0, groups=groups)


def test_groups_of_any_sizes_make_folds():
    sizes = [25, 26, 3, 1, 1]
    groups, y = np.repeat(range(5), sizes), np.repeat([0, 0, 1, 1, 1], sizes)
    X = np.random.RandomState(0).standard_normal((56, 2))
    for random_state in range(3):
        model = small(n_estimators=16, random_state=random_state).fit(X, y, groups=groups)
        judged = np.isfinite(model.oof_decision_function_)
        assert all(np.unique(judged[groups == group]).size == 1 for group in range(5))


def random_groups(rng):
    """Return groups of any sizes, and labels of which each is in two groups."""
    n_groups = rng.randint(4, 8)
    sizes = rng.choice([1, 3, 40], n_groups)
    groups, last = np.repeat(np.arange(n_groups), sizes), np.cumsum(sizes) - 1
    y = rng.rand(n_groups)[groups] > 0.5
    y[last[:4]] = [True, True, False, False]
    return groups, y


@pytest.mark.parametrize("seed", range(30))
def test_folds_of_groups_can_be_used_wherever_each_class_is_in_two(seed):
    groups, y = random_groups(np.random.RandomState(seed))
    rows = Rows(groups, y, y, None, groups)
    for fold in make_folds(8, 16, rows, root=seed):
        assert np.unique(y[fold.train]).size == 2
        assert fold.held_out.size
        assert not np.isin(groups[fold.held_out], groups[fold.train]).any()


def test_numbers_and_text_are_no_groups_together(numbers):
    X, y = numbers
    groups = [k % 9 if k % 2 else str(k % 9) for k in range(len(y))]  # 1 and "1" became one
    with pytest.raises(ValueError, match="groups mixes labels of the types int, str"):
        small(n_estimators=2).fit(X, y, groups=groups)


@pytest.mark.parametrize("root", range(5))
def test_folds_that_would_train_on_one_class_are_made_fewer(root):
    groups, y = np.array([0, 1, 2, 2, 3, 3, 3]), np.array([1, 1, 0, 0, 0, 0, 1], bool)
    for fold in make_folds(8, 16, Rows(groups, y, y, None, groups), root):
        assert np.unique(y[fold.train]).size == 2


def test_folds_of_a_group_each_come_in_another_order_again():
    groups, y = np.array([0, 0, 1, 2]), np.array([True, False, False, True])
    folds = make_folds(8, 15, Rows(groups, y, y, None, groups), root=0)
    held_out = [int(groups[fold.held_out[0]]) for fold in folds]
    orders = {tuple(held_out[k : k + 3]) for k in range(0, 15, 3)}
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    assert len(orders) > 1


def test_rows_that_a_split_leaves_out_are_neither_trained_on_nor_judged(numbers):
    X, y = numbers
    a, b, c = np.array_split(np.arange(len(y)), 3)
    model = small(cv=[(a, b), (b, c)], n_estimators=2).fit(X, y)
    n_train = [network.t_ // network.n_iter_ for network in model.estimators_]
    assert n_train == [a.size, b.size]
    assert np.isnan(model.oof_decision_function_[a]).all()
    others = X.copy()
    others[c] = 0
    again = small(cv=[(a, b), (b, c)], n_estimators=2, encoder=None).fit(others, y)
    model = small(cv=[(a, b), (b, c)], n_estimators=2, encoder=None).fit(X, y)
    first, same = model.estimators_[0], again.estimators_[0]
    np.testing.assert_array_equal(first.coefs_[0], same.coefs_[0])
