"""Dropout: unbiased, exact in its gradients, off at prediction, and repeatable."""

from contextlib import nullcontext

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from skdnn import DeepBinaryClassifier
from skdnn.network.activations import ACTIVATIONS, get_activation
from skdnn.network.loss import log_loss
from skdnn.network.network import Network
from skdnn.network.prediction import predict_logits
from skdnn.numerics.threads import Crew
from skdnn.training.objective import Objective
from tests.models import central_differences, parameters_of

FIRST_ORDER_SOLVERS = pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "adamw"])
N_ROWS = 12
N_PASSES = 10_000


def make_model(solver="adam", hidden=(20, 10), **parameters):
    """Return a model that trains a few epochs and warns of nothing."""
    defaults = {"learning_rate_init": 0.01, "max_iter": 5, "tol": None, "random_state": 1}
    return DeepBinaryClassifier(hidden, solver=solver, **(defaults | parameters))


def make_network(activation="identity", sizes=(4, 6, 1), dropout=(0.3,), dtype=float):
    network = Network(sizes, get_activation(activation, 0.1), np.dtype(dtype), dropout)
    generator = np.random.RandomState(0)
    network.parameters[...] = 0.5 * generator.standard_normal(network.parameters.size)
    return network


def rows():
    return np.random.RandomState(1).standard_normal((N_ROWS, 4))


def stochastic_logits(network, X, n_passes=N_PASSES):
    """Return the logits of many training passes, (n_passes, n_rows)."""
    generator = np.random.RandomState(2)
    logits = np.empty((n_passes, X.shape[0]))
    for i in range(n_passes):
        network.draw_dropout(X.shape[0], generator)
        logits[i] = network.forward(X)[0]
    return logits


def factors(network, n_rows=50_000):
    """Return what the units of the hidden layers are multiplied by, drawn for many rows."""
    network.draw_dropout(n_rows, np.random.RandomState(3))
    return network.workspace(n_rows).dropout


# ---------------------------------------------------------------------- the mean

# Cases in which the logit is linear in what is dropped, so that the expectation is exact.
LINEAR = pytest.mark.parametrize(
    ("activation", "sizes", "dropout"),
    [
        *[(name, (4, 6, 1), (0.3,)) for name in ACTIVATIONS],
        ("relu", (4, 6, 1), (0.9,)),
        ("tanh", (4, 8, 6, 1), (0.0, 0.5)),
        ("identity", (4, 8, 6, 1), (0.2, 0.5)),
        ("identity", (4, 8, 6, 5, 1), (0.1, 0.2, 0.3)),
    ],
)


@LINEAR
def test_mean_of_many_passes_is_the_pass_without_dropout(activation, sizes, dropout):
    network, X = make_network(activation, sizes, dropout), rows()
    logits = stochastic_logits(network, X)
    exact = predict_logits(X, network.weights, network.biases, network.activation)
    error = logits.std(axis=0, ddof=1) / np.sqrt(N_PASSES)
    # rows whose units are all at 0 have no error but that of rounding
    rounding = 1e-11 * np.abs(exact)
    assert (np.abs(logits.mean(axis=0) - exact) < 4.5 * error + rounding).all()


def test_passes_differ():
    assert (stochastic_logits(make_network(), rows(), 50).std(axis=0) > 0).all()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_share_of_dropped_units_is_the_rate(rate):
    (factor,) = factors(make_network(dropout=(rate,)))
    error = np.sqrt(rate * (1 - rate) / factor.size)
    assert abs((factor == 0).mean() - rate) < 4.5 * error


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.25, 0.5, 0.75])
def test_units_that_stay_are_scaled_up(rate, dtype):
    (factor,) = factors(make_network(dropout=(rate,), dtype=dtype))
    np.testing.assert_array_equal(np.unique(factor), np.array([0, 1 / (1 - rate)], dtype))


@pytest.mark.parametrize(("layer", "rate"), [(0, 0.1), (1, 0.6)])
def test_every_layer_has_its_rate(layer, rate):
    factor = factors(make_network(sizes=(4, 6, 5, 1), dropout=(0.1, 0.6)))[layer]
    assert abs((factor == 0).mean() - rate) < 4.5 * np.sqrt(rate * (1 - rate) / factor.size)


def test_rows_drop_units_of_their_own():
    (factor,) = factors(make_network(dropout=(0.5,)), n_rows=200)
    assert len(np.unique(factor, axis=0)) > 30


# ---------------------------------------------------------------------- gradients


class FixedDropout(Objective):
    """An objective that drops the same units in every evaluation."""

    def value_and_gradient(self, batch):
        self._random_state = np.random.RandomState(7)
        return super().value_and_gradient(batch)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dropout", [(0.3, 0.3), (0.0, 0.6), (0.6, 0.0)], ids=str)
@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_gradient_with_a_fixed_mask_is_that_of_central_differences(activation, dropout, alpha):
    network = make_network(activation, (4, 6, 5, 1), dropout)
    y = np.random.RandomState(4).uniform(size=N_ROWS) < 0.5
    objective = FixedDropout(network, rows(), y, alpha=alpha)
    differences = central_differences(objective)
    objective.value_and_gradient(objective.all_rows())
    np.testing.assert_allclose(objective.gradient, differences, rtol=1e-6, atol=1e-10)


def test_weights_of_a_unit_that_is_always_dropped_have_no_gradient():
    network = make_network("tanh", dropout=(0.3,))
    y = np.arange(N_ROWS) % 2 == 0
    objective = Objective(network, rows(), y, random_state=np.random.RandomState(0))
    objective.value_and_gradient(objective.all_rows())
    (factor,) = network.workspace(N_ROWS).dropout
    factor[:, 2] = 0
    network.forward(rows())
    network.backward(rows())
    np.testing.assert_array_equal(network.weight_gradients[0][:, 2], 0)


# ---------------------------------------------------------------------- the estimator


@FIRST_ORDER_SOLVERS
def test_predictions_drop_nothing(solver, data):
    X, y = data
    model = make_model(solver, dropout=0.5).fit(X, y)
    relu = get_activation("relu")
    np.testing.assert_array_equal(
        model.decision_function(X), predict_logits(X, model.coefs_, model.intercepts_, relu)
    )


def test_validation_drops_nothing(data):
    X, y = data
    model = make_model(dropout=0.5, early_stopping=True, max_iter=1)
    model.fit(X, y, X_val=X[:20], y_val=y[:20])
    signs = 1.0 - 2.0 * y[:20]
    expected = log_loss(model.decision_function(X[:20]), signs)
    assert model.validation_loss_curve_[0] == pytest.approx(expected, rel=1e-12)


@FIRST_ORDER_SOLVERS
def test_dropout_changes_training(solver, data):
    one, other = (make_model(solver, dropout=rate).fit(*data) for rate in (0.0, 0.5))
    assert not np.array_equal(parameters_of(one), parameters_of(other))


@FIRST_ORDER_SOLVERS
@pytest.mark.parametrize("batch_size", [16, 60])
def test_same_seed_drops_the_same_units(solver, batch_size, data):
    one, other = (
        make_model(solver, dropout=0.5, batch_size=batch_size).fit(*data) for _ in range(2)
    )
    np.testing.assert_array_equal(parameters_of(one), parameters_of(other))


def test_one_rate_is_the_rate_of_every_layer(data):
    one, other = (make_model(dropout=rate).fit(*data) for rate in (0.3, [0.3, 0.3]))
    np.testing.assert_array_equal(parameters_of(one), parameters_of(other))


@pytest.mark.parametrize("rates", [(0.2, 0.4), [0.2, 0.4], np.array([0.2, 0.4])], ids=repr)
def test_rates_may_be_any_sequence(rates, data):
    one, other = (make_model(dropout=r).fit(*data) for r in (rates, (0.2, 0.4)))
    np.testing.assert_array_equal(parameters_of(one), parameters_of(other))


@pytest.mark.parametrize("rate", [0, 0.0, (0, 0), [0.0, 0.0]], ids=repr)
def test_rate_of_zero_is_no_dropout(rate, data):
    one, other = make_model(dropout=rate).fit(*data), make_model().fit(*data)
    np.testing.assert_array_equal(parameters_of(one), parameters_of(other))


@FIRST_ORDER_SOLVERS
def test_network_learns_in_spite_of_dropout(solver, breast_cancer):
    rate = {"gd": 0.5, "sgd": 0.1}.get(solver, 0.01)
    model = make_model(solver, dropout=0.3, max_iter=60, learning_rate_init=rate)
    assert model.fit(*breast_cancer).score(*breast_cancer) > 0.95


def test_float32_stays_float32(data):
    X, y = data
    model = make_model(dropout=0.5).fit(X.astype(np.float32), y)
    assert model.coefs_[0].dtype == np.float32


def test_threads_drop_what_one_would():
    X = np.random.RandomState(1).standard_normal((64, 4))
    ends = []
    for crew in (None, Crew(2)):
        network, generator = make_network(), np.random.RandomState(3)
        objective = Objective(network, X, X[:, 0] > 0, random_state=generator, crew=crew)
        with crew or nullcontext():
            values = [objective.value_and_gradient(slice(0, 64))[0] for _ in range(2)]
        ends.append([*values, *network.gradient, generator.uniform()])
    np.testing.assert_allclose(*ends, rtol=1e-10, atol=1e-14)


def test_network_without_hidden_layers_has_nothing_to_drop(data):
    one, other = (make_model(hidden=(), dropout=rate).fit(*data) for rate in (0.0, 0.5))
    np.testing.assert_array_equal(parameters_of(one), parameters_of(other))


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("dropout", [0.5, (0.0, 0.5)], ids=str)
def test_lbfgs_has_no_dropout(dropout, data):
    with pytest.raises(ValueError, match=r"dropout.*lbfgs"):
        make_model("lbfgs", dropout=dropout).fit(*data)


def test_lbfgs_takes_a_rate_of_zero(data):
    assert make_model("lbfgs", dropout=(0.0, 0.0)).fit(*data).n_iter_ == 5


@pytest.mark.parametrize("dropout", [(0.1,), (0.1, 0.2, 0.3), ()], ids=str)
def test_rates_need_a_layer_each(dropout, data):
    with pytest.raises(ValueError, match=r"one for each of the 2 hidden layers"):
        make_model(dropout=dropout).fit(*data)


@pytest.mark.parametrize("dropout", [1.0, -0.1, np.nan, "half"], ids=str)
def test_single_rate_is_below_one(dropout, data):
    with pytest.raises(InvalidParameterError, match="The 'dropout' parameter"):
        make_model(dropout=dropout).fit(*data)


@pytest.mark.parametrize(
    "dropout", [(0.1, 1.0), (-0.1, 0.1), (0.1, np.nan), [[0.1], [0.1]]], ids=str
)
def test_every_rate_is_below_one(dropout, data):
    with pytest.raises(ValueError, match=r"dropout rates must be in \[0, 1\)"):
        make_model(dropout=dropout).fit(*data)
