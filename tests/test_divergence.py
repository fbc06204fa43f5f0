"""Training that diverges, and data as extreme as numbers can be: an error or probabilities."""

import pickle
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier, DivergenceError
from tests.models import RATES, learned, make_model, parameters_of

SOLVERS = ["gd", "sgd", "adam", "lbfgs"]
FIRST_ORDER = ["gd", "sgd", "adam"]
ALL_SOLVERS = pytest.mark.parametrize("solver", SOLVERS)
FIRST_ORDER_SOLVERS = pytest.mark.parametrize("solver", FIRST_ORDER)
# for data that leave a network no other way
MAY_DIE = pytest.mark.filterwarnings("ignore:Hidden layer:UserWarning")

# ---------------------------------------------------------------------- divergence


@FIRST_ORDER_SOLVERS
def test_divergence_names_epoch_and_learning_rate(solver, breast_cancer):
    with pytest.raises(DivergenceError, match=r"epoch \d+.*learning rate 1e\+200"):
        make_model(solver, learning_rate_init=1e200).fit(*breast_cancer)


def test_divergence_of_lbfgs_names_the_iteration(breast_cancer):
    X, y = breast_cancer
    with pytest.raises(DivergenceError, match=r"iteration \d+.*learning rate"):
        make_model("lbfgs").fit(X * 1e300, y)


@ALL_SOLVERS
@pytest.mark.parametrize("batch_size", ["auto", 7])
def test_error_of_a_scorer_is_told_as_it_is(solver, batch_size, breast_cancer):
    def fail(model, X, y):
        raise ValueError("of the scorer")

    model = make_model(solver, early_stopping=True, scoring=fail)
    if solver in ("adam", "sgd"):
        model.set_params(batch_size=batch_size)
    X, y = breast_cancer
    with pytest.raises(ValueError, match="of the scorer"):
        model.fit(X / X.max(axis=0), y)


@ALL_SOLVERS
def test_divergence_says_what_to_change(solver, breast_cancer):
    X, y = breast_cancer
    with pytest.raises(DivergenceError, match=r"StandardScaler.*init_scale"):
        make_model(solver, learning_rate_init=1e200).fit(X * 1e300, y)


@pytest.mark.filterwarnings("ignore:The weights of the rows sum:UserWarning")
@pytest.mark.parametrize("ensemble", [False, True])
def test_divergence_of_weights_beside_which_the_penalty_is_all_names_both(ensemble, data):
    X, y = data
    model = DeepBinaryClassifier((4,), max_iter=3, tol=None, random_state=0)
    if ensemble:
        model = DeepEnsembleClassifier(model, n_estimators=2)
    with pytest.raises(
        DivergenceError, match=r"in epoch 1\. .*alpha=0.0001.*sample_weight"
    ) as info:
        model.fit(X, y, sample_weight=np.full(len(y), 1e-300))
    assert info.value.epoch == 1


@FIRST_ORDER_SOLVERS
def test_divergence_knows_its_epoch(solver, breast_cancer):
    with pytest.raises(DivergenceError) as error:
        make_model(solver, learning_rate_init=1e200).fit(*breast_cancer)
    assert f"epoch {error.value.epoch}:" in str(error.value)


@FIRST_ORDER_SOLVERS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_divergence_stops_training_soon(solver, dtype, breast_cancer):
    X, y = breast_cancer
    with pytest.raises(DivergenceError) as error:
        make_model(solver, learning_rate_init=1e300, max_iter=10**6).fit(X.astype(dtype), y)
    assert error.value.epoch <= 3


def test_divergence_error_survives_pickling():
    error = pickle.loads(pickle.dumps(DivergenceError("went astray", 7)))
    assert (str(error), error.epoch) == ("went astray", 7)


@ALL_SOLVERS
def test_divergence_leaves_an_unfitted_estimator_unfitted(solver, breast_cancer):
    X, y = breast_cancer
    model = make_model(solver, learning_rate_init=1e200)
    with pytest.raises(DivergenceError):
        model.fit(X * 1e300, y)
    assert set(vars(model)) == set(model.get_params())


@ALL_SOLVERS
def test_divergence_leaves_a_fitted_estimator_unfitted(solver, breast_cancer):
    X, y = breast_cancer
    model = make_model(solver).fit(X, y)
    with pytest.raises(DivergenceError):
        model.set_params(learning_rate_init=1e200).fit(X * 1e300, y)
    with pytest.raises(NotFittedError):
        model.predict(X)


@ALL_SOLVERS
def test_divergence_leaves_a_warm_start_as_it_was(solver, breast_cancer):
    X, y = breast_cancer
    model = make_model(solver, warm_start=True).fit(X, y)
    before = learned(model)
    with pytest.raises(DivergenceError):
        model.set_params(learning_rate_init=1e200).fit(X * 1e300, y)
    assert learned(model) == before


@FIRST_ORDER_SOLVERS
def test_divergence_leaves_partial_fit_as_it_was(solver, breast_cancer):
    X, y = breast_cancer
    model = make_model(solver).partial_fit(X, y, classes=[0, 1])
    before = learned(model)
    with pytest.raises(DivergenceError):
        model.set_params(learning_rate_init=1e200).partial_fit(X * 1e300, y)
    assert learned(model) == before


@FIRST_ORDER_SOLVERS
def test_training_goes_on_after_divergence_as_if_it_had_not_been(solver, breast_cancer):
    X, y = breast_cancer
    model = make_model(solver, batch_size=50).partial_fit(X, y, classes=[0, 1])
    undisturbed = pickle.loads(pickle.dumps(model)).partial_fit(X, y)
    with pytest.raises(DivergenceError):
        model.set_params(learning_rate_init=1e200).partial_fit(X * 1e300, y)
    model.set_params(learning_rate_init=RATES[solver]).partial_fit(X, y)
    np.testing.assert_array_equal(parameters_of(model), parameters_of(undisturbed))


def test_net_that_adam_would_freeze_is_divergence(data):
    # gradients that float32 holds, and squares that it does not
    X, y = data
    with pytest.raises(DivergenceError, match="moment"):
        make_model("adam").fit((X * 1e25).astype(np.float32), y)


# ---------------------------------------------------------------------- extremes
# numpy's warnings are errors here


def probabilities_or_divergence(model, X, y):
    """Return the probabilities of X after training; without a row if training diverged."""
    with suppress(DivergenceError):
        return model.fit(X, y).predict_proba(X)
    return np.empty((0, 2))


@MAY_DIE
@ALL_SOLVERS
@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(1e300, np.float64), (1e-300, np.float64), (1e30, np.float32), (1e-30, np.float32)],
)
@pytest.mark.parametrize("hidden", [(), (5, 3)])
def test_extreme_features_give_probabilities_or_divergence(solver, scale, dtype, hidden, data):
    X, y = data
    X = (X / abs(X).max() * scale).astype(dtype)
    probabilities = probabilities_or_divergence(make_model(solver, hidden), X, y)
    assert np.isfinite(probabilities).all()


@MAY_DIE
@ALL_SOLVERS
@pytest.mark.parametrize("activation", ["leaky_relu", "tanh", "logistic", "elu", "silu", "gelu"])
def test_extreme_features_of_any_activation(solver, activation, data):
    X, y = data
    model = make_model(solver, activation=activation)
    probabilities = probabilities_or_divergence(model, X / abs(X).max() * 1e300, y)
    assert np.isfinite(probabilities).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("logit", [-1e4, 1e4])
@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba", "decision_function"])
def test_predictions_of_large_logits_are_finite(dtype, logit, method, data):
    X, y = data
    model = make_model(hidden=()).fit(X.astype(dtype), y)
    model.coefs_[0][...] = 0
    model.intercepts_[0][...] = logit
    assert np.isfinite(getattr(model, method)(X.astype(dtype))).all()


@ALL_SOLVERS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_from_large_logits_is_finite(solver, dtype, data):
    X, y = data
    model = make_model(solver, (), init="normal", init_scale=1e8)
    probabilities = probabilities_or_divergence(model, X.astype(dtype), y)
    assert np.isfinite(probabilities).all()


@MAY_DIE
@ALL_SOLVERS
@pytest.mark.parametrize("constant", [0.0, 1.0, -1e4])
def test_constant_features_are_trained_on(solver, constant):
    X, y = np.full((10, 3), constant), np.arange(10) < 3
    probabilities = probabilities_or_divergence(make_model(solver), X, y)
    assert np.isfinite(probabilities).all()


@MAY_DIE
@ALL_SOLVERS
@pytest.mark.parametrize("hidden", [(), (1,), (1, 1, 1)])
def test_one_feature_and_one_unit_are_trained_on(solver, hidden, data):
    X, y = data
    assert np.isfinite(make_model(solver, hidden).fit(X[:, :1], y).predict_proba(X[:, :1])).all()


@MAY_DIE
@ALL_SOLVERS
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_thirty_layers_are_trained_on(solver, activation, data):
    X, y = data
    model = make_model(solver, (4,) * 30, activation=activation)
    assert np.isfinite(probabilities_or_divergence(model, X, y)).all()


@ALL_SOLVERS
def test_two_rows_are_trained_on(solver):
    X = np.array([[0.0], [1.0]])
    assert np.isfinite(make_model(solver).fit(X, [0, 1]).predict_proba(X)).all()


def test_lbfgs_that_starts_at_the_minimum_has_its_loss():
    model = make_model("lbfgs", (), alpha=0.0).fit(np.zeros((4, 2)), [0, 1, 0, 1])
    assert model.loss_ == pytest.approx(np.log(2))


def test_overflow_of_hidden_units_gives_a_probability_of_one(data):
    model = make_model(hidden=(2,)).fit(*data)
    model.coefs_[0][...] = 1
    model.coefs_[1][...] = 1
    np.testing.assert_array_equal(model.predict_proba(np.full((1, 4), 1e308)), [[0, 1]])


def test_row_without_a_prediction_is_named(data):
    model = make_model(hidden=(2,)).fit(*data)
    model.coefs_[0][...] = 1
    model.coefs_[1][...] = [[1], [-1]]
    X = np.ones((5, 4))
    X[3] = 1e308
    with pytest.raises(ValueError, match=r"Row 3 "):
        model.predict_proba(X)


@MAY_DIE
@given(
    X=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=6, max_size=6),
    solver=st.sampled_from(SOLVERS),
)
@settings(derandomize=True, max_examples=100)
def test_any_finite_features_give_probabilities_or_divergence(X, solver):
    X = np.array(X).reshape(6, 1)
    probabilities = probabilities_or_divergence(make_model(solver, (2,)), X, [0, 1, 0, 1, 0, 1])
    assert np.isfinite(probabilities).all()
