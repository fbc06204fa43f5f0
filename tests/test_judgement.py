"""What networks say of rows set aside: which epoch judges a row, and what each kind counts."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit
from sklearn.metrics import log_loss
from sklearn.preprocessing import FunctionTransformer

from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier
from skdnn.ensemble.judgement import Judge, Judgement

POSITIVE = np.random.RandomState(0).permutation(np.arange(41) < 22)
WEIGHTS = [None, 1.0 + np.arange(41) % 3]


class Says:
    """A network that says of all rows what it is told to."""

    classes_ = np.array([False, True])

    def __init__(self, logits):
        self.logits = logits

    def decision_function(self, X):
        return self.logits


def judged(epochs, sample_weight=None, scorer=None):
    """Return logits by which rows are judged, and the score of each epoch."""
    judge = Judge(POSITIVE, scorer, np.random.RandomState(3))
    scores = [judge(Says(logits), None, POSITIVE, sample_weight) for logits in epochs]
    return judge.logits, scores


def right_but_for(row):
    """Return logits that are right but for one row, which costs more than all others gain."""
    logits = np.where(POSITIVE, 0.1, -0.1).astype(np.float32)
    logits[row] *= -1000
    return logits


UNDECIDED = np.zeros(POSITIVE.size, np.float32)


# ---------------------------------------------------------------------- the epoch that judges


def part_of(row):
    """Return the rows that are judged in an epoch in which a row of their own part is wrong."""
    logits, _ = judged([UNDECIDED, right_but_for(row)])
    return logits != 0


def test_rows_of_a_part_are_judged_in_the_epoch_that_the_others_find_best():
    parts = np.array([part_of(row) for row in range(POSITIVE.size)])
    assert parts.diagonal().all()  # its own loss is not asked for
    distinct = np.unique(parts, axis=0)
    assert_array_equal(distinct.sum(axis=0), 1)
    assert len(distinct) == 4


def test_each_part_has_its_share_of_both_classes():
    parts = np.unique([part_of(row) for row in range(POSITIVE.size)], axis=0)
    for label in (False, True):
        assert np.ptp((parts & (label == POSITIVE)).sum(axis=1)) <= 1


def test_later_epochs_judge_only_if_they_are_better():
    best, worse = np.where(POSITIVE, 2, -2), np.where(POSITIVE, 1, -1)
    logits, _ = judged([UNDECIDED, worse.astype("f4"), best.astype("f4"), worse.astype("f4")])
    assert_array_equal(logits, best)


def test_row_that_weighs_nothing_chooses_no_epoch():
    logits, _ = judged([UNDECIDED, right_but_for(5)], np.arange(POSITIVE.size) != 5)
    assert (logits != 0).all()


@pytest.mark.parametrize("weight", WEIGHTS)
def test_score_is_the_log_loss_or_what_the_user_gave(weight):
    said = np.random.RandomState(1).standard_normal(POSITIVE.size).astype(np.float32)
    _, scores = judged([said], weight)
    assert scores == pytest.approx([-log_loss(POSITIVE, expit(said), sample_weight=weight)])

    def hits(model, X, y, sample_weight=None):
        return np.average((model.logits > 0) == y, weights=sample_weight)

    _, scores = judged([said], weight, hits)
    assert scores == [np.average((said > 0) == POSITIVE, weights=weight)]


# ---------------------------------------------------------------------- the mean of the kinds


def judgement(rng):
    """Return what 2 and 1 networks of two kinds say of 40 rows; its rows, and probabilities.

    Rows 0 to 4 are judged by the first kind alone, rows 35 to 38 by the second, and row 39 by none.
    """
    rows = [np.arange(25), np.arange(15, 35), np.arange(5, 39)]
    logits = [rng.normal(0, 2, part.size).astype(np.float32) for part in rows]
    logits[0][:5] = 8.0  # which would count for much if they did
    p = np.full((3, 40), np.nan)
    for said, part, network in zip(logits, rows, p, strict=True):
        network[part] = expit(said.astype(np.float64))
    first = np.array(
        [np.nanmean(column) if np.isfinite(column).any() else np.nan for column in p[:2].T]
    )
    kinds = np.stack([first, p[2]])
    empty = Judgement(2, 40, {})
    return empty.with_more([0, 0, 1], rows, logits), kinds


def test_log_odds_are_those_of_the_mean_probability_of_the_kinds_that_judged():
    found, kinds = judgement(np.random.RandomState(0))
    share = np.array([0.2, 0.8])[:, None] * np.isfinite(kinds)
    with np.errstate(invalid="ignore"):
        mean = np.nansum(share * kinds, axis=0) / share.sum(axis=0)
    log_odds = found.log_odds(np.array([0.2, 0.8]))
    assert np.isnan(log_odds[39])
    assert_allclose(log_odds[:39], logit(mean[:39]), rtol=1e-5, atol=1e-6)


def test_more_is_said_without_a_trace_in_what_was_said_before():
    before, _ = judgement(np.random.RandomState(0))
    equal = np.array([0.5, 0.5])
    said = before.log_odds(equal)
    before.with_more([1], [np.arange(40)], [np.ones(40, np.float32)])
    assert_array_equal(before.log_odds(equal), said)


@pytest.mark.parametrize("weight", [None, 1.0 + np.arange(40) % 3])
def test_log_loss_is_of_the_rows_that_were_judged(weight):
    positive = np.arange(40) % 3 == 0
    found, _ = judgement(np.random.RandomState(0))
    equal = np.array([0.5, 0.5])
    p = expit(found.log_odds(equal)[:39])
    weight_of_judged = None if weight is None else weight[:39]
    expected = log_loss(positive[:39], p, sample_weight=weight_of_judged)
    assert found.log_loss(equal, positive, weight) == pytest.approx(expected)


def best_of_a_grid(kinds, positive, weight):
    """Return the first kind's weight at the minimum of the docstring, by trying 10,001 of them."""
    common = np.isfinite(kinds).all(axis=0) & (weight > 0)
    right = np.where(positive, kinds, 1 - kinds)[:, common]
    w = np.linspace(0, 1, 10_001)
    loss = -np.log(np.outer(w, right[0]) + np.outer(1 - w, right[1])) @ weight[common]
    return w[np.argmin(loss / weight[common].mean() + 2 * ((w - 0.5) ** 2 + (0.5 - w) ** 2))]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weight", [None, 1.0 + np.arange(40) % 3, np.arange(40.0) % 2])
@pytest.mark.parametrize("unit", [1, 1000])
def test_kinds_count_what_is_best_of_the_rows_that_all_of_them_judged(seed, weight, unit):
    rng = np.random.RandomState(seed)
    found, kinds = judgement(rng)
    positive = rng.rand(40) < np.nan_to_num(kinds[seed % 2], nan=0.5)
    best = best_of_a_grid(kinds, positive, np.ones(40) if weight is None else weight)
    counted = found.weigh_kinds(positive, None if weight is None else unit * weight)
    assert_allclose(counted, [best, 1 - best], atol=2e-3)


def test_kinds_count_the_same_where_no_row_was_judged_by_all():
    found = Judgement(2, 4, {}).with_more([0], [np.arange(4)], [np.full(4, 5, np.float32)])
    assert_array_equal(found.weigh_kinds(np.ones(4, bool), None), [0.5, 0.5])


# ---------------------------------------------------------------------- in an ensemble


def test_rows_count_by_their_weights_in_what_kinds_count_and_in_the_loss():
    rng = np.random.RandomState(0)
    y = rng.rand(400) > 0.5
    weight = np.where(np.arange(400) < 60, 100.0, 1.0)
    # true of the rows that weigh, and false of all others, which are more
    signal = np.where(y == (weight > 1), 1.0, -1.0)
    X = np.column_stack([signal, rng.standard_normal(400)])
    quick = DeepBinaryClassifier((4,), learning_rate_init=0.05, max_iter=10, tol=None)
    kinds = [(FunctionTransformer(lambda X, k=k: X[:, [k]]), quick) for k in (0, 1)]
    model = DeepEnsembleClassifier(n_estimators=8, kinds=kinds, random_state=0)
    model.fit(X, y, sample_weight=weight)
    assert model.estimator_weights_[::2].sum() > 0.9
    p = expit(model.oof_decision_function_)
    assert model.oof_log_loss_ == pytest.approx(log_loss(y, p, sample_weight=weight))


def test_network_of_a_kind_that_has_more_of_them_counts_less():
    nothing_to_see = np.zeros((200, 1)), np.arange(200) % 2  # so that kinds do not differ
    plain = DeepBinaryClassifier((), max_iter=3, tol=None)
    model = DeepEnsembleClassifier(n_estimators=3, kinds=[(None, plain)] * 2, random_state=0)
    model.fit(*nothing_to_see)
    assert_allclose(model.estimator_weights_, [0.25, 0.5, 0.25], atol=0.01)
