"""Training in the row space against training in the features, and the model of its cost."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

import skdnn.training.coordinates
from skdnn import DeepBinaryClassifier
from skdnn.network.activations import get_activation
from skdnn.network.network import Network
from skdnn.training.objective import Objective
from skdnn.training.rowspace import RowSpace, row_space_pays

RULES = {
    "gd": {"solver": "gd", "learning_rate_init": 0.1},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.01, "batch_size": 16},
    "momentum": {
        "solver": "sgd",
        "learning_rate_init": 0.01,
        "batch_size": 16,
        "nesterovs_momentum": False,
    },
    "clipped": {"solver": "sgd", "learning_rate_init": 0.1, "max_grad_norm": 0.1},
    "dropout": {"solver": "sgd", "learning_rate_init": 0.01, "dropout": 0.3},
    "lbfgs": {"solver": "lbfgs"},
}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
shapes = pytest.mark.parametrize("shape", [(40, 300), (40, 45), (60, 30)], ids=str)


def make_data(shape, dtype=np.float64):
    """Return rows of deficient rank, labels and weights."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal(shape).astype(dtype)
    X[5], X[7] = X[6], 0
    y = X[:, 0] + 0.3 * rng.standard_normal(shape[0]) > 0
    return X, y, rng.uniform(0.5, 2, shape[0])


def fit_both(shape, *, dtype=np.float64, weighted=False, **params):
    X, y, weight = make_data(shape, dtype)
    model = DeepBinaryClassifier((8, 3), "tanh", tol=None, random_state=1, **params)
    sample_weight = weight if weighted else None
    return [
        clone(model).set_params(row_space=row_space).fit(X, y, sample_weight)
        for row_space in (True, False)
    ]


def assert_same_parameters(inside, direct, rtol):
    scale = max(np.abs(coef).max() for coef in direct.coefs_)
    for got, expected in zip(
        inside.coefs_ + inside.intercepts_, direct.coefs_ + direct.intercepts_, strict=True
    ):
        assert_allclose(got, expected, rtol=0, atol=rtol * scale)


@every_rule
@shapes
@pytest.mark.parametrize("alpha", [0, 1])
def test_row_space_gives_the_iterates_of_direct_training(shape, rule, alpha):
    inside, direct = fit_both(shape, alpha=alpha, max_iter=15, **rule)
    assert_same_parameters(inside, direct, 1e-10)


@every_rule
@pytest.mark.parametrize("alpha", [0, 1])
def test_row_space_serves_sample_weights_and_early_stopping(rule, alpha):
    inside, direct = fit_both(
        (40, 300), weighted=True, early_stopping=True, alpha=alpha, max_iter=15, **rule
    )
    assert_allclose(inside.validation_loss_curve_, direct.validation_loss_curve_, rtol=1e-9)
    assert_same_parameters(inside, direct, 1e-9)


@every_rule
def test_row_space_in_float32_agrees_to_its_precision(rule):
    inside, direct = fit_both((40, 300), dtype=np.float32, max_iter=10, **rule)
    assert inside.coefs_[0].dtype == np.float32
    assert_same_parameters(inside, direct, 1e-4)


@every_rule
@pytest.mark.parametrize("alpha", [0, 1])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_carries_velocity_and_weights_through_the_row_space(rule, alpha):
    X, y, _ = make_data((40, 300))
    model = DeepBinaryClassifier(
        (8, 3), "tanh", tol=None, random_state=1, alpha=alpha, max_iter=5, warm_start=True, **rule
    )
    inside = clone(model).set_params(row_space=True).fit(X, y).fit(X, y).fit(X, y)
    direct = clone(model).set_params(row_space=False).fit(X, y).fit(X, y).fit(X, y)
    assert_same_parameters(inside, direct, 1e-10)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_velocity_of_other_rows_is_carried_into_a_new_row_space():
    X, y, _ = make_data((80, 300))
    model = DeepBinaryClassifier(
        (8,), solver="sgd", random_state=1, alpha=0, max_iter=3, warm_start=True, tol=None
    )
    inside = clone(model).set_params(row_space=True).fit(X[:40], y[:40]).fit(X[40:], y[40:])
    direct = clone(model).set_params(row_space=False).fit(X[:40], y[:40]).fit(X[40:], y[40:])
    assert_same_parameters(inside, direct, 1e-10)


def test_lbfgs_converges_by_the_gradient_of_the_features():
    X, y, _ = make_data((40, 300))
    model = DeepBinaryClassifier(
        (3,), "tanh", solver="lbfgs", random_state=0, alpha=5, tol=1e-3, max_iter=500
    )
    inside = clone(model).set_params(row_space=True).fit(X, y)
    direct = clone(model).set_params(row_space=False).fit(X, y)
    assert inside.n_iter_ == direct.n_iter_ < 500


def test_features_that_overflow_the_factorisation_are_trained_on_directly():
    X, y, _ = make_data((40, 300))
    model = DeepBinaryClassifier(
        (3,), "tanh", solver="gd", random_state=0, max_iter=2, tol=None, learning_rate_init=1e-300
    )
    inside = clone(model).set_params(row_space=True).fit(X * 1e305, y)
    direct = clone(model).set_params(row_space=False).fit(X * 1e305, y)
    assert_array_equal(inside.coefs_[0], direct.coefs_[0])


@pytest.mark.parametrize("solver", ["adam", "adamw"])
def test_forced_row_space_names_the_solver_that_it_cannot_serve(solver):
    X, y, _ = make_data((40, 300))
    with pytest.raises(ValueError, match=f"row_space=True cannot serve solver='{solver}'"):
        DeepBinaryClassifier(solver=solver, row_space=True).fit(X, y)


def test_forced_row_space_refuses_sparse_rows():
    X, y, _ = make_data((40, 300))
    with pytest.raises(ValueError, match="row_space=True cannot serve sparse X"):
        DeepBinaryClassifier(solver="gd", row_space=True).fit(csr_array(X), y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_real_digits_are_told_apart_alike_in_both_coordinates():
    X, y = load_digits(return_X_y=True)
    X, y = X[:50] / 16, y[:50] % 2
    model = DeepBinaryClassifier((8,), solver="lbfgs", random_state=0, max_iter=20)
    inside = clone(model).set_params(row_space=True).fit(X, y)
    direct = clone(model).set_params(row_space=False).fit(X, y)
    assert_allclose(inside.predict_proba(X), direct.predict_proba(X), rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_others", [0, 4])
@shapes
def test_coordinates_are_orthonormal_and_hold_the_rows(shape, n_others):
    X, _, _ = make_data(shape)
    others = np.random.RandomState(1).standard_normal((shape[1], n_others))
    space = RowSpace(X, [others] if n_others else [])
    Q = space.leave(np.eye(space.rank))
    assert_allclose(Q.T @ Q, np.eye(space.rank), atol=1e-13)
    assert_allclose(space.rows @ Q.T, X, atol=1e-12)
    assert_allclose(Q @ space.enter(others), others, atol=1e-12)


WIDE = {
    "n_samples": 209,
    "n_features": 12288,
    "n_units": 20,
    "n_others": 20,
    "n_epochs": 3000,
    "batch_size": 209,
    "itemsize": 8,
}


@pytest.mark.parametrize(
    ("change", "pays"),
    [
        ({}, True),
        ({"n_epochs": 1}, False),
        ({"n_features": 229}, False),
        ({"n_samples": 20_000}, False),
        ({"n_samples": 2_000, "n_features": 20_000, "n_epochs": 3}, False),
        ({"n_samples": 1_000, "n_features": 100_000, "n_epochs": 1000, "batch_size": 1_000}, True),
        ({"n_features": 10**12}, False),
    ],
    ids=str,
)
def test_cost_model_weighs_the_factorisation_against_the_steps(change, pays):
    assert row_space_pays(**WIDE | change) is pays


def test_more_epochs_never_make_the_row_space_pay_less():
    decisions = [row_space_pays(**WIDE | {"n_epochs": n}) for n in range(1, 200)]
    assert decisions == sorted(decisions)


def test_convergence_warning_is_the_same_in_both_coordinates():
    X, y, _ = make_data((40, 300))
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        DeepBinaryClassifier((3,), solver="gd", max_iter=2, row_space=True).fit(X, y)


def test_memory_that_the_cost_model_does_not_see_ends_in_direct_training(monkeypatch):
    X, y, _ = make_data((20, 3000))
    model = DeepBinaryClassifier((6,), solver="gd", max_iter=500, tol=None, random_state=0)
    direct = clone(model).set_params(row_space=False).fit(X, y)

    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(skdnn.training.coordinates, "RowSpace", no_memory)
    assert_array_equal(clone(model).fit(X, y).coefs_[0], direct.coefs_[0])


def test_point_is_stationary_by_the_gradient_of_the_features():
    X, y, _ = make_data((40, 300))
    first = 0.001 * np.random.RandomState(1).standard_normal((300, 3))
    objectives = []
    for space in (None, RowSpace(X, [first])):
        network = Network((space.rank if space else 300, 3, 1), get_activation("tanh"), X.dtype)
        network.weights[0][...] = space.enter(first) if space else first
        network.weights[1][...] = 10  # so that the first layer has the largest gradient
        objective = Objective(network, space.rows if space else X, y, space=space)
        objective.value_and_gradient(objective.all_rows())
        objectives.append(objective)
    direct, inside = objectives
    largest = np.abs(direct.gradient).max()
    assert np.abs(inside.gradient).max() != pytest.approx(largest, rel=0.01)
    for objective in objectives:
        assert objective.is_stationary(1.001 * largest)
        assert not objective.is_stationary(0.999 * largest)
