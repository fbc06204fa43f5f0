"""Where DeepBinaryClassifier differs from MLPClassifier on purpose, both side by side."""

import io
import os
import signal
from contextlib import redirect_stdout

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier
from sklearn.utils._param_validation import InvalidParameterError

from skdnn import DeepBinaryClassifier, DivergenceError
from tests.models import assert_same_bits, parameters_of

SOLVERS = pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
STOCHASTIC = pytest.mark.parametrize("solver", ["sgd", "adam"])

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# at these no epoch but the first improves on anything
STANDING_STILL = {"learning_rate_init": 1e-12, "tol": 1e-4, "random_state": 0}
MISSING = object()


def make(estimator_class, **parameters):
    defaults = {"hidden_layer_sizes": (5, 3), "max_iter": 5, "random_state": 1}
    return estimator_class(**(defaults | parameters))


def differs(theirs, ours):
    """Parametrise a test by the class and by what is expected of it."""
    return pytest.mark.parametrize(
        ("estimator_class", "expected"),
        [(MLPClassifier, theirs), (DeepBinaryClassifier, ours)],
        ids=["theirs", "ours"],
    )


@differs(theirs=1 + 7 + 1, ours=1 + 7)
@STOCHASTIC
@pytest.mark.parametrize("early_stopping", [True, False])
def test_epochs_until_a_plateau(estimator_class, expected, solver, early_stopping, apart):
    common = {"solver": solver, "early_stopping": early_stopping, "max_iter": 100}
    model = make(estimator_class, n_iter_no_change=7, **common, **STANDING_STILL)
    assert model.fit(*apart).n_iter_ == expected


class PressesCtrlC(io.StringIO):
    """A terminal at which Ctrl-C is pressed when it shows the third epoch."""

    def write(self, text):
        if text.startswith("Iteration 3,"):
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(text)


TALKATIVE = {"max_iter": 50, "tol": 0.0, "verbose": True}


@pytest.mark.usefixtures("ctrl_c")
@STOCHASTIC
def test_their_fit_swallows_ctrl_c(solver, apart):
    model = make(MLPClassifier, solver=solver, **TALKATIVE)
    interrupted = pytest.warns(UserWarning, match="Training interrupted by user")
    with interrupted, redirect_stdout(PressesCtrlC()):
        model.fit(*apart)
    assert model.n_iter_ == 3


@pytest.mark.usefixtures("ctrl_c")
@SOLVERS
def test_our_fit_raises_keyboard_interrupt(solver, apart):
    model = make(DeepBinaryClassifier, solver=solver, **TALKATIVE)
    with pytest.raises(KeyboardInterrupt), redirect_stdout(PressesCtrlC()):
        model.fit(*apart)
    assert model.n_iter_ == len(model.loss_curve_) == 3


def test_their_validation_scores_are_accuracies(apart):
    model = make(MLPClassifier, early_stopping=True, max_iter=20).fit(*apart)
    right = 6 * np.array(model.validation_scores_)  # of 6 rows
    np.testing.assert_allclose(right, np.round(right), atol=1e-12)


def test_our_validation_scores_are_losses(apart):
    model = make(DeepBinaryClassifier, early_stopping=True, max_iter=20).fit(*apart)
    assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]


@differs(theirs=(1 - 0.1 * 1.0 / 10) ** 6, ours=(1 - 0.1 * 1.0 / 60) ** 6)
def test_alpha_is_divided_by(estimator_class, expected, apart):
    """Weights of features that are always 0 shrink by the penalty alone: 6 batches of 10 rows."""
    X, y = np.column_stack([apart[0], np.zeros(60)]), apart[1]
    model = make(estimator_class, solver="sgd", momentum=0.0, alpha=1.0, batch_size=10)
    model.set_params(learning_rate_init=0.1, activation="tanh").partial_fit(X, y, classes=[0, 1])
    before = model.coefs_[0][4].copy()
    np.testing.assert_allclose(model.partial_fit(X, y).coefs_[0][4] / before, expected, rtol=1e-12)


def test_their_invscaling_counts_rows(apart):
    model = make(MLPClassifier, solver="sgd", learning_rate="invscaling", batch_size=10)
    model.set_params(learning_rate_init=0.5, max_iter=3).fit(*apart)
    assert model._optimizer.learning_rate == pytest.approx(0.5 / (3 * 60 + 1) ** 0.5)


def test_our_invscaling_counts_steps(apart):
    model = make(DeepBinaryClassifier, solver="sgd", learning_rate="invscaling", batch_size=10)
    model.set_params(learning_rate_init=0.5, max_iter=3).fit(*apart)
    assert model.learning_rate_curve_[-1] == pytest.approx(0.5 / (3 * 6) ** 0.5)


def started(estimator_class, **parameters):
    """Return a model as it is before its first step, with 1000 hidden units."""
    generator = np.random.RandomState(0)
    X, y = generator.standard_normal((20, 50)), np.arange(20) % 2
    model = make(estimator_class, hidden_layer_sizes=(1000,), max_iter=1, alpha=0.0, **parameters)
    return model.set_params(solver="sgd", learning_rate_init=1e-300).fit(X, y)


@differs(theirs=2 / (50 + 1000), ours=2 / 50)
def test_variance_of_the_first_weights(estimator_class, expected):
    assert started(estimator_class).coefs_[0].var() == pytest.approx(expected, rel=0.05)


@differs(theirs=False, ours=True)
def test_biases_start_at_zero(estimator_class, expected):
    largest = np.abs(started(estimator_class).intercepts_[0]).max()
    assert bool(largest < 1e-200) == expected


def test_glorot_of_theirs_is_our_xavier():
    ours = started(DeepBinaryClassifier, init="xavier", init_distribution="uniform")
    theirs = started(MLPClassifier)
    limits = [np.abs(model.coefs_[0]).max() for model in (ours, theirs)]
    np.testing.assert_allclose(limits, np.sqrt(6 / 1050), rtol=1e-3)


def test_their_tol_must_be_a_number(apart):
    with pytest.raises(InvalidParameterError, match="The 'tol' parameter"):
        make(MLPClassifier, tol=None).fit(*apart)


@SOLVERS
@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_our_tol_may_be_none(solver, apart):
    assert make(DeepBinaryClassifier, solver=solver, tol=None).fit(*apart).n_iter_ == 5


@differs(theirs=MISSING, ours=5)
def test_loss_curve_of_lbfgs(estimator_class, expected, apart):
    model = make(estimator_class, solver="lbfgs", tol=1e-15).fit(*apart)
    curve = getattr(model, "loss_curve_", MISSING)
    assert (curve if curve is MISSING else len(curve)) == expected


@differs(theirs=MISSING, ours=5)
def test_validation_scores_of_lbfgs(estimator_class, expected, apart):
    model = make(estimator_class, solver="lbfgs", tol=1e-15, early_stopping=True).fit(*apart)
    scores = getattr(model, "validation_scores_", MISSING)
    assert (scores if scores in (MISSING, None) else len(scores)) == expected


@differs(theirs=np.float64, ours=np.float32)
def test_dtype_of_lbfgs_on_float32(estimator_class, expected, apart):
    X, y = apart
    model = make(estimator_class, solver="lbfgs").fit(X.astype(np.float32), y)
    assert model.coefs_[0].dtype == expected


@STOCHASTIC
def test_their_partial_fit_refuses_early_stopping(solver, apart):
    model = make(MLPClassifier, solver=solver, early_stopping=True)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping"):
        model.partial_fit(*apart, classes=[0, 1])


@STOCHASTIC
def test_our_partial_fit_ignores_early_stopping(solver, apart):
    one, other = (
        make(DeepBinaryClassifier, solver=solver, early_stopping=early_stopping)
        for early_stopping in (True, False)
    )
    assert_same_bits(
        one.partial_fit(*apart, classes=[0, 1]), other.partial_fit(*apart, classes=[0, 1])
    )


def test_their_warm_start_forgets_moments(apart):
    calls = make(MLPClassifier, max_iter=1, warm_start=True)
    for _ in range(5):
        calls.fit(*apart)
    assert not np.array_equal(parameters_of(calls), parameters_of(make(MLPClassifier).fit(*apart)))


def test_our_warm_start_keeps_moments(apart):
    calls = make(DeepBinaryClassifier, max_iter=1, warm_start=True)
    for _ in range(5):
        calls.fit(*apart)
    assert_same_bits(calls, make(DeepBinaryClassifier).fit(*apart))


HUGE = {"solver": "sgd", "learning_rate_init": 1e30, "max_iter": 20}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_their_divergence_names_no_epoch(apart):
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        make(MLPClassifier, activation="identity", **HUGE).fit(*apart)


def test_our_divergence_names_its_epoch(apart):
    with pytest.raises(DivergenceError, match="diverged in epoch"):
        make(DeepBinaryClassifier, activation="identity", **HUGE).fit(*apart)


def test_they_take_more_than_two_classes(apart):
    X, y = apart[0], np.arange(60) % 3
    assert make(MLPClassifier).fit(X, y).classes_.size == 3


def test_we_take_two_classes_alone(apart):
    with pytest.raises(ValueError, match="Only binary classification is supported"):
        make(DeepBinaryClassifier).fit(apart[0], np.arange(60) % 3)
