"""What decides to stop: patience, the validation split, and the parameters that are kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from skdnn import DeepBinaryClassifier
from skdnn.training.monitor import Plateau
from skdnn.training.targets import held_out_rows

SOLVERS = ["gd", "sgd", "adam", "lbfgs"]
# rates at which no epoch lowers a loss by tol, but for the first one
STANDING_STILL = {"learning_rate_init": 1e-12, "tol": 1e-4}


def epochs_until_plateau(plateau, losses):
    return [plateau.update(loss) for loss in losses].index(True) + 1


@pytest.fixture(scope="module")
def noisy(breast_cancer):
    """Return data with every fifth label wrong, on which training overfits."""
    X, y = breast_cancer
    flipped = np.arange(y.size) % 5 == 0
    return X[:200], (y ^ flipped)[:200]


@pytest.fixture(scope="module", params=SOLVERS)
def overfitted(request, noisy):
    """Return a model that went on after its best epoch, by a solver each."""
    model = DeepBinaryClassifier(
        (30,),
        solver=request.param,
        learning_rate_init={"adam": 0.05}.get(request.param, 0.5),
        max_iter=150,
        tol=None,
        early_stopping=True,
        validation_fraction=0.3,
        random_state=0,
        momentum=0.5,
    )
    return model.fit(*noisy)


def validation_rows(X, y):
    """Return the rows that `overfitted` holds out: drawn after the weights."""
    generator = np.random.RandomState(0)
    generator.standard_normal(30 * 30 + 30)
    out = held_out_rows(y.astype(bool), 0.3, generator)
    return X[out], y[out]


# ---------------------------------------------------------------------- patience


@pytest.mark.parametrize("patience", [1, 2, 10])
def test_plateau_is_complete_after_patience_epochs(patience):
    # the first epoch improves on nothing
    assert epochs_until_plateau(Plateau(1e-4, patience), [1.0] * 20) == 1 + patience


def test_improvement_starts_the_count_anew():
    losses = [1.0, 1.0, 0.5, 0.5, 0.5, 0.5]
    assert epochs_until_plateau(Plateau(1e-4, 3), losses) == 6


def test_decrease_smaller_than_tol_does_not_count():
    assert epochs_until_plateau(Plateau(0.1, 3), [1.0, 0.99, 0.98, 0.97]) == 4


@pytest.mark.parametrize(("tol", "losses"), [(0.5, [2.0, 1.5, 1.0, 0.5]), (0.0, [1.0] * 4)])
def test_decrease_of_exactly_tol_counts(tol, losses):
    plateau = Plateau(tol, 1)
    assert not any(plateau.update(loss) for loss in losses)


def test_small_decreases_that_add_up_to_less_than_tol_lower_the_bar():
    plateau = Plateau(0.1, 10)
    plateau.update(1.0)
    plateau.update(0.95)
    assert plateau.best == 0.95


def test_nan_is_no_improvement():
    assert epochs_until_plateau(Plateau(1e-4, 2), [1.0, np.nan, np.nan]) == 3


@given(losses=st.lists(st.floats(allow_nan=True), min_size=1, max_size=50))
@settings(derandomize=True, max_examples=50)
def test_without_tol_there_is_no_plateau(losses):
    plateau = Plateau(None, 1)
    assert not any(plateau.update(loss) for loss in losses)


def test_infinite_patience_never_ends():
    plateau = Plateau(1e-4, np.inf)
    assert not any(plateau.update(1.0) for _ in range(100))


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam"])
@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("patience", [1, 7])
def test_training_stops_after_exactly_n_iter_no_change_epochs(
    solver, early_stopping, patience, breast_cancer
):
    model = DeepBinaryClassifier(
        (4,),
        solver=solver,
        early_stopping=early_stopping,
        n_iter_no_change=patience,
        random_state=0,
        **STANDING_STILL,
    )
    assert model.fit(*breast_cancer).n_iter_ == 1 + patience


def test_lbfgs_stops_after_n_iter_no_change_epochs_without_improvement(noisy):
    model = DeepBinaryClassifier(
        (30,), solver="lbfgs", early_stopping=True, n_iter_no_change=4, random_state=0
    ).fit(*noisy)
    assert model.n_iter_ == model.best_iter_ + 4


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam"])
@pytest.mark.parametrize("early_stopping", [True, False])
def test_without_tol_training_runs_to_the_end(solver, early_stopping, breast_cancer):
    model = DeepBinaryClassifier(
        (4,),
        solver=solver,
        early_stopping=early_stopping,
        learning_rate_init=1e-12,
        n_iter_no_change=1,
        max_iter=20,
        tol=None,
    )
    assert model.fit(*breast_cancer).n_iter_ == 20


def test_adaptive_rate_outlives_plateaus(breast_cancer):
    model = DeepBinaryClassifier(
        (4,),
        solver="sgd",
        learning_rate="adaptive",
        learning_rate_init=1e-5,
        n_iter_no_change=3,
        tol=1.0,
    )
    # 1e-5, 2e-6, 4e-7: three plateaus after the first epoch
    assert model.fit(*breast_cancer).n_iter_ == 1 + 3 * 3


# ---------------------------------------------------------------------- what is kept


def test_training_went_on_after_the_best_epoch(overfitted):
    assert overfitted.best_iter_ < overfitted.n_iter_


def test_best_iter_is_where_the_validation_curve_is_lowest(overfitted):
    assert overfitted.best_iter_ == np.argmin(overfitted.validation_loss_curve_) + 1


def test_best_parameters_are_restored(overfitted, noisy):
    X, y = validation_rows(*noisy)
    loss = log_loss(y, overfitted.predict_proba(X))
    assert loss == pytest.approx(min(overfitted.validation_loss_curve_), rel=1e-10)


def test_best_validation_score_is_the_highest(overfitted):
    assert overfitted.best_validation_score_ == max(overfitted.validation_scores_)


def test_curves_have_an_entry_an_epoch(overfitted):
    assert len(overfitted.validation_loss_curve_) == len(overfitted.loss_curve_) == 150


@pytest.mark.parametrize(
    "attribute",
    ["validation_loss_curve_", "validation_scores_", "best_validation_score_", "best_iter_"],
)
def test_without_early_stopping_there_is_no_validation(attribute, breast_cancer):
    model = DeepBinaryClassifier((4,), max_iter=2, tol=None).fit(*breast_cancer)
    assert getattr(model, attribute) is None


# ---------------------------------------------------------------------- the split


def split(n_negative, n_positive, fraction):
    positive = np.repeat([False, True], [n_negative, n_positive])
    return positive, held_out_rows(positive, fraction, np.random.RandomState(0))


rows = st.integers(2, 200)
fractions = st.floats(0, 1, exclude_min=True, exclude_max=True)


@pytest.mark.parametrize(
    ("n_negative", "n_positive", "fraction", "expected"),
    [(70, 30, 0.2, (14, 6)), (50, 50, 0.1, (5, 5)), (90, 10, 0.5, (45, 5)), (98, 2, 0.1, (9, 1))],
)
def test_split_is_stratified(n_negative, n_positive, fraction, expected):
    positive, out = split(n_negative, n_positive, fraction)
    assert ((out & ~positive).sum(), (out & positive).sum()) == expected


@given(n_negative=rows, n_positive=rows, fraction=fractions)
@settings(derandomize=True, max_examples=100)
def test_both_classes_are_held_out(n_negative, n_positive, fraction):
    positive, out = split(n_negative, n_positive, fraction)
    assert set(positive[out]) == {False, True}


@given(n_negative=rows, n_positive=rows, fraction=fractions)
@settings(derandomize=True, max_examples=100)
def test_both_classes_are_left_to_train_on(n_negative, n_positive, fraction):
    positive, out = split(n_negative, n_positive, fraction)
    assert set(positive[~out]) == {False, True}


@given(n_negative=rows, n_positive=rows, fraction=fractions)
@settings(derandomize=True, max_examples=100)
def test_held_out_share_of_a_class_is_near_the_fraction(n_negative, n_positive, fraction):
    positive, out = split(n_negative, n_positive, fraction)
    assert abs((out & positive).sum() - fraction * n_positive) <= 2


def test_split_is_random():
    _, out = split(50, 50, 0.2)
    assert out[:50].argmax() > 0


@pytest.mark.parametrize("solver", SOLVERS)
def test_class_with_a_single_row_cannot_be_split(solver, breast_cancer):
    X, _ = breast_cancer
    y = np.arange(len(X)) == 7
    model = DeepBinaryClassifier(solver=solver, early_stopping=True)
    with pytest.raises(ValueError, match=r"least populated classes in y have only 1 member"):
        model.fit(X, y)


def test_two_rows_of_a_class_can_be_split():
    X = np.array([[0.0], [1.0], [2.0], [3.0]])
    model = DeepBinaryClassifier((2,), early_stopping=True, max_iter=3, tol=None, random_state=0)
    assert model.fit(X, [0, 0, 1, 1]).n_iter_ == 3


def test_validation_counts_sample_weights(noisy):
    X, y = noisy
    weight = np.where(np.arange(200) < 100, 1e-9, 1.0)
    model = DeepBinaryClassifier((30,), early_stopping=True, max_iter=1, tol=None, random_state=0)
    model.set_params(validation_fraction=0.3, solver="gd").fit(X, y, weight)
    X_out, y_out = validation_rows(X, y)
    weight_out, _ = validation_rows(weight, y)
    loss = log_loss(y_out, model.predict_proba(X_out), sample_weight=weight_out)
    assert model.validation_loss_curve_[0] == pytest.approx(loss, rel=1e-10)
