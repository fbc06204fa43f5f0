"""Agreement with independent implementations: published figures, MLPClassifier, scipy, mpmath."""

import json

import h5py
import mpmath
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from skdnn import DeepBinaryClassifier
from skdnn.network.activations import ACTIVATIONS, get_activation
from skdnn.network.initializers import initialize
from skdnn.network.loss import log_loss_and_gradient, probability, signs_of
from skdnn.network.network import Network
from skdnn.numerics.vectors import largest_magnitude
from skdnn.solvers import Adam, Momentum
from skdnn.training.build import make_schedule
from skdnn.training.objective import Objective
from tests.models import central_differences

MLP_ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]
FORMATS = {"dense": np.asarray, "sparse": scipy.sparse.csr_array}
WEIGHTED = pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])


# ---------------------------------------------------------------------- published figures


def images(path, part):
    with h5py.File(path / f"{part}_catvnoncat.h5") as file:
        X = file[f"{part}_set_x"][:]
        return X.reshape(len(X), -1) / 255.0, file[f"{part}_set_y"][:]


@pytest.fixture(scope="module")
def golden(catvnoncat):
    return json.loads((catvnoncat / "golden.json").read_text())


@pytest.fixture(scope="module")
def cats(catvnoncat):
    return images(catvnoncat, "train"), images(catvnoncat, "test")


@pytest.fixture(scope="module")
def recipe(cats):
    (X, y), _ = cats
    return DeepBinaryClassifier(
        solver="gd",
        hidden_layer_sizes=(20, 7, 5),
        learning_rate_init=0.0075,
        max_iter=3000,
        tol=None,
        alpha=0,
        random_state=3,
    ).fit(X, y)


def test_published_costs(recipe, golden):
    np.testing.assert_allclose(
        recipe.loss_curve_[::100],
        golden["cost_before_update_at_iteration_0_100_200_..."],
        rtol=1e-8,
    )


def test_published_final_cost_is_that_of_the_returned_model(recipe, cats, golden):
    (X, y), _ = cats
    assert log_loss(y, recipe.predict_proba(X)) == pytest.approx(golden["final_cost"], rel=1e-8)


@pytest.mark.parametrize("layer", range(4))
@pytest.mark.parametrize(("kind", "attribute"), [("W", "coefs_"), ("b", "intercepts_")])
def test_published_norms(recipe, golden, kind, attribute, layer):
    norm = np.linalg.norm(getattr(recipe, attribute)[layer])
    assert norm == pytest.approx(golden["frobenius_norm"][f"{kind}{layer + 1}"], rel=1e-8)


@pytest.mark.parametrize("layer", range(4))
@pytest.mark.parametrize(("kind", "attribute"), [("W", "coefs_"), ("b", "intercepts_")])
def test_published_sums(recipe, golden, kind, attribute, layer):
    total = getattr(recipe, attribute)[layer].sum()
    assert total == pytest.approx(golden["sum"][f"{kind}{layer + 1}"], rel=1e-8)


def test_published_probabilities(recipe, cats, golden):
    _, (X, _) = cats
    np.testing.assert_allclose(
        recipe.predict_proba(X[:10])[:, 1], golden["test_probability_first_10"], rtol=1e-8
    )


@pytest.mark.parametrize(("part", "n_correct"), [(0, 209), (1, 40)], ids=["train", "test"])
def test_published_number_of_right_answers(recipe, cats, part, n_correct):
    X, y = cats[part]
    assert (recipe.predict(X) == y).sum() == n_correct


# ---------------------------------------------------------------------- gradients


SMOOTH_POINT = 0  # seed of a point that is not near a kink of any activation


def small_problem(activation="relu", alpha=0.0, weighted=False, kind="dense", n_rows=12):
    """Return network, objective and data of a small problem at its starting point."""
    generator = np.random.RandomState(SMOOTH_POINT)
    X = generator.standard_normal((n_rows, 4))
    X[generator.uniform(size=X.shape) < 0.3] = 0
    y = generator.uniform(size=n_rows) < 0.5
    weight = generator.uniform(0.5, 3, n_rows) if weighted else None
    network = Network((4, 5, 3, 1), get_activation(activation, 0.1), np.dtype(float))
    network.parameters[...] = 0.5 * generator.standard_normal(network.parameters.size)
    objective = Objective(network, FORMATS[kind](X), y, weight, alpha=alpha)
    return network, objective, X, y, weight


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu"])
def test_gradients_are_checked_away_from_kinks(activation):
    network, _, X, *_ = small_problem(activation)
    first = X @ network.weights[0] + network.biases[0]
    hidden = first.copy()
    network.activation.function(hidden, np.empty_like(hidden), None)
    second = hidden @ network.weights[1] + network.biases[1]
    assert min(abs(first).min(), abs(second).min()) > 1e-3


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("alpha", [0.0, 0.7])
@WEIGHTED
def test_gradient_is_that_of_central_differences(activation, kind, alpha, weighted):
    _, objective, *_ = small_problem(activation, alpha, weighted, kind)
    differences = central_differences(objective)
    objective.value_and_gradient(objective.all_rows())
    np.testing.assert_allclose(objective.gradient, differences, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_of_batches_adds_up_to_that_of_all_rows(activation):
    _, objective, *_ = small_problem(activation, alpha=0.7)
    objective.value_and_gradient(slice(0, 6))
    half = objective.gradient.copy()
    objective.value_and_gradient(slice(6, 12))
    other_half = objective.gradient.copy()
    objective.value_and_gradient(objective.all_rows())
    np.testing.assert_allclose(objective.gradient, (half + other_half) / 2, rtol=1e-12)


# ---------------------------------------------------------------------- MLPClassifier


def mlp_at(network, X, y, **parameters):
    """Return an MLPClassifier with the parameters of a network, before its first step."""
    mlp = MLPClassifier(
        network.layer_sizes[1:-1],
        batch_size=len(X),
        shuffle=False,
        max_iter=1,
        warm_start=True,
        **parameters,
    )
    mlp.partial_fit(X, y, classes=[False, True])
    del mlp._optimizer
    mlp.coefs_ = [w.copy() for w in network.weights]
    mlp.intercepts_ = [b.copy() for b in network.biases]
    return mlp


def packed(mlp):
    return np.concatenate([p.ravel() for p in mlp.coefs_ + mlp.intercepts_])


def mlp_backprop(mlp, X, y, weight):
    nothing = [None] * (mlp.n_layers_ - 1)
    value, coef_gradients, intercept_gradients = mlp._backprop(
        X, y.reshape(-1, 1), weight, [X, *nothing], [*nothing], [*nothing], [*nothing]
    )
    return value, np.concatenate([g.ravel() for g in coef_gradients + intercept_gradients])


@pytest.mark.parametrize("activation", MLP_ACTIVATIONS)
@pytest.mark.parametrize("alpha", [0.0, 0.7])
@WEIGHTED
def test_cost_is_that_of_mlp_classifier(activation, alpha, weighted):
    network, objective, X, y, weight = small_problem(activation, alpha, weighted)
    mlp = mlp_at(network, X, y, activation=activation, alpha=alpha)
    cost, _ = mlp_backprop(mlp, X, y, weight)
    assert objective.value_and_gradient(objective.all_rows())[0] == pytest.approx(cost, rel=1e-10)


@pytest.mark.parametrize("activation", MLP_ACTIVATIONS)
@pytest.mark.parametrize("alpha", [0.0, 0.7])
@WEIGHTED
def test_gradient_is_that_of_mlp_classifier(activation, alpha, weighted):
    network, objective, X, y, weight = small_problem(activation, alpha, weighted)
    mlp = mlp_at(network, X, y, activation=activation, alpha=alpha)
    _, gradient = mlp_backprop(mlp, X, y, weight)
    objective.value_and_gradient(objective.all_rows())
    np.testing.assert_allclose(objective.gradient, gradient, rtol=1e-10, atol=1e-14)


class Recorder:
    """A monitor that keeps the point after every epoch."""

    def __init__(self, objective):
        self.parameters = objective.parameters
        self.points = []

    def begin_epoch(self):
        pass

    def end_epoch(self, loss, learning_rate):
        self.points.append(self.parameters.copy())
        return False


def our_steps(solver, objective):
    recorder = Recorder(objective)
    solver.minimize(objective, 10, recorder)
    return np.array(recorder.points)


def their_steps(mlp, X, y, weight):
    return np.array([packed(mlp.partial_fit(X, y, weight)) for _ in range(10)])


@pytest.mark.parametrize("activation", MLP_ACTIVATIONS)
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("momentum", [0.5, 0.9])
@WEIGHTED
def test_first_ten_points_of_sgd_are_those_of_mlp_classifier(
    activation, nesterov, momentum, weighted
):
    network, objective, X, y, weight = small_problem(activation, 0.1, weighted)
    mlp = mlp_at(
        network,
        X,
        y,
        activation=activation,
        alpha=0.1,
        solver="sgd",
        learning_rate_init=0.05,
        momentum=momentum,
        nesterovs_momentum=nesterov,
    )
    solver = Momentum(make_schedule("constant", 0.05, power_t=0.5), momentum, nesterov)
    np.testing.assert_allclose(
        our_steps(solver, objective), their_steps(mlp, X, y, weight), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("activation", MLP_ACTIVATIONS)
@pytest.mark.parametrize("epsilon", [1e-8, 1e-2])
@WEIGHTED
def test_first_ten_points_of_adam_are_those_of_mlp_classifier(activation, epsilon, weighted):
    network, objective, X, y, weight = small_problem(activation, 0.1, weighted)
    mlp = mlp_at(
        network,
        X,
        y,
        activation=activation,
        alpha=0.1,
        solver="adam",
        learning_rate_init=0.05,
        epsilon=epsilon,
    )
    solver = Adam(make_schedule("constant", 0.05, power_t=0.5), 0.9, 0.999, epsilon)
    np.testing.assert_allclose(
        our_steps(solver, objective), their_steps(mlp, X, y, weight), rtol=1e-10, atol=1e-12
    )


# ---------------------------------------------------------------------- scipy


class PlainNetwork:
    """Penalised log loss of a network with one tanh layer, written out in NumPy."""

    def __init__(self, X, y, n_hidden, alpha):
        self.X, self.y, self.n_hidden, self.alpha = X, y, n_hidden, alpha

    def start(self, seed):
        first, last = np.empty((self.X.shape[1], self.n_hidden)), np.empty((self.n_hidden, 1))
        initialize([first, last], np.random.RandomState(seed), rule="he")
        return np.concatenate([first.ravel(), last.ravel(), np.zeros(self.n_hidden + 1)])

    def __call__(self, x):
        X, h, n = self.X, self.n_hidden, len(self.X)
        w1, w2, b1, b2 = np.split(x, np.cumsum([X.shape[1] * h, h, h]))
        w1 = w1.reshape(-1, h)
        a = np.tanh(X @ w1 + b1)
        z = a @ w2 + b2
        penalty = self.alpha / 2 * (np.sum(w1**2) + np.sum(w2**2))
        loss = (np.sum(np.logaddexp(0, z) - self.y * z) + penalty) / n
        dz = (1 / (1 + np.exp(-z)) - self.y) / n
        d1 = np.outer(dz, w2) * (1 - a**2)
        gradient = [X.T @ d1 + self.alpha / n * w1, a.T @ dz + self.alpha / n * w2]
        gradient += [d1.sum(axis=0), dz.sum()]
        return loss, np.concatenate([np.ravel(g) for g in gradient])


def test_lbfgs_reaches_the_loss_of_scipy_on_an_independent_loss(breast_cancer):
    X, y = breast_cancer
    plain = PlainNetwork(X, y, n_hidden=5, alpha=1.0)
    theirs = scipy.optimize.minimize(
        plain, plain.start(0), jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-7}
    )
    ours = DeepBinaryClassifier(
        (5,),
        activation="tanh",
        solver="lbfgs",
        alpha=1.0,
        tol=1e-7,
        max_iter=500,
        random_state=0,
    ).fit(X, y)
    assert ours.loss_ == pytest.approx(theirs.fun, rel=1e-6)


def test_lbfgs_takes_the_steps_of_scipy(breast_cancer):
    X, y = breast_cancer
    plain = PlainNetwork(X, y, n_hidden=5, alpha=1.0)
    theirs = scipy.optimize.minimize(
        plain, plain.start(0), jac=True, method="L-BFGS-B", options={"maxiter": 15}
    )
    ours = DeepBinaryClassifier(
        (5,), activation="tanh", solver="lbfgs", alpha=1.0, tol=None, max_iter=15, random_state=0
    ).fit(X, y)
    np.testing.assert_allclose(packed(ours), theirs.x, rtol=1e-6, atol=1e-8)


# ---------------------------------------------------------------------- mpmath


PRECISIONS = pytest.mark.parametrize("dtype", [np.float32, np.float64])
GRIDS = {
    dtype: np.concatenate(
        [
            np.linspace(-120, 120, 1201),
            np.linspace(-800, 800, 401),
            np.ldexp(1.3, np.arange(np.finfo(dtype).minexp, np.finfo(dtype).maxexp, 3)),
            np.ldexp(-1.3, np.arange(np.finfo(dtype).minexp, np.finfo(dtype).maxexp, 3)),
            [0.0],
        ]
    ).astype(dtype)
    for dtype in (np.float32, np.float64)
}


def logistic_model(dtype):
    """Return a model of one feature whose logit is that feature."""
    X = np.array([[-1.0], [1.0]], dtype)
    model = DeepBinaryClassifier((), solver="gd", max_iter=1, tol=None).fit(X, [0, 1])
    model.coefs_[0][...] = 1
    model.intercepts_[0][...] = 0
    return model


def exact_log_probability(logits):
    """Return log expit with 200 bits."""
    with mpmath.workprec(200):
        return [-mpmath.log1p(mpmath.exp(-mpmath.mpf(float(z)))) for z in logits]


def ulps(values, exact, dtype):
    """Return the errors in units in the last place; an underflow to 0 is no error."""
    errors, smallest = [], float(np.nextafter(dtype(0), dtype(1)))
    for value, truth in zip(values, exact, strict=True):
        size = np.abs(dtype(truth))
        unit = max(float(size) - float(np.nextafter(size, dtype(0))), smallest)
        underflow = value == 0 and abs(truth) < np.finfo(dtype).tiny
        errors.append(0 if underflow else float(abs(mpmath.mpf(float(value)) - truth) / unit))
    return np.array(errors)


@PRECISIONS
@pytest.mark.parametrize("column", [0, 1])
def test_log_probabilities_are_within_4_ulp(dtype, column):
    logits = GRIDS[dtype]
    values = logistic_model(dtype).predict_log_proba(logits[:, None])[:, column]
    exact = exact_log_probability([-logits, logits][column])
    assert ulps(values, exact, dtype).max() <= 4


@given(z=st.floats(allow_nan=False, allow_infinity=False))
@settings(derandomize=True, max_examples=200)
def test_any_log_probability_of_float64_is_within_4_ulp(z):
    values = logistic_model(np.float64).predict_log_proba([[z]])[0]
    assert ulps(values, exact_log_probability([-z, z]), np.float64).max() <= 4


@given(z=st.floats(allow_nan=False, allow_infinity=False, width=32))
@settings(derandomize=True, max_examples=200)
def test_any_log_probability_of_float32_is_within_4_ulp(z):
    X = np.array([[z]], np.float32)
    values = logistic_model(np.float32).predict_log_proba(X)[0]
    assert ulps(values, exact_log_probability([-z, z]), np.float32).max() <= 4


@PRECISIONS
def test_log_probabilities_keep_the_dtype(dtype):
    assert logistic_model(dtype).predict_log_proba(GRIDS[dtype][:, None]).dtype == dtype


@PRECISIONS
def test_log_probabilities_of_finite_logits_are_finite(dtype):
    assert np.isfinite(logistic_model(dtype).predict_log_proba(GRIDS[dtype][:, None])).all()


@PRECISIONS
def test_probabilities_agree_with_mpmath(dtype):
    logits = np.linspace(-80, 80, 401).astype(dtype)
    with mpmath.workprec(200):
        exact = [float(1 / (1 + mpmath.exp(-mpmath.mpf(float(z))))) for z in logits]
    np.testing.assert_allclose(probability(logits), exact, rtol=4 * np.finfo(dtype).eps)


@PRECISIONS
def test_probabilities_below_the_smallest_normal_number_underflow_gradually(dtype):
    least = float(np.finfo(dtype).smallest_subnormal)
    logits = np.linspace(np.log(np.finfo(dtype).tiny), np.log(least), 40).astype(dtype)
    with mpmath.workprec(200):
        exact = [float(mpmath.exp(mpmath.mpf(float(z)))) for z in logits]
    found = probability(logits).astype(float)
    np.testing.assert_allclose(found, exact, rtol=4 * np.finfo(dtype).eps, atol=2 * least)
    assert (found > 0).all()


@pytest.mark.parametrize("vector", [[-3.0, 2.0], [3.0, -2.0], [-3.0], [3.0, 3.0]])
def test_largest_magnitude_is_of_either_sign(vector):
    assert largest_magnitude(np.array(vector)) == 3


# ---------------------------------------------------------------------- extreme logits


def loss_and_gradient(logits, positive, dtype=np.float64):
    logits = np.array(logits, dtype)
    gradient = np.empty_like(logits)
    signs = signs_of(np.full(logits.size, positive), logits.dtype)
    loss = log_loss_and_gradient(logits, signs, None, gradient, float(logits.size))
    return loss, gradient


@PRECISIONS
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("size", ["37", "710", "1e4", "1e30", "max"])
@pytest.mark.parametrize("n_rows", [1, 3])
def test_loss_of_extreme_logits_is_finite(dtype, positive, sign, size, n_rows):
    logit = sign * dtype(np.finfo(dtype).max if size == "max" else size)
    loss, _ = loss_and_gradient(np.full(n_rows, logit), positive, dtype)
    assert np.isfinite(loss)


@PRECISIONS
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("size", ["37", "710", "1e4", "1e30"])
def test_gradient_of_extreme_logits_is_finite(dtype, positive, sign, size):
    _, gradient = loss_and_gradient([sign * dtype(size)], positive, dtype)
    assert np.isfinite(gradient).all()


@given(z=st.floats(allow_nan=False, allow_infinity=False), positive=st.booleans())
@settings(derandomize=True, max_examples=200)
def test_gradient_by_the_logit_is_probability_minus_target(z, positive):
    _, gradient = loss_and_gradient([z], positive)
    with mpmath.workprec(2200):  # 1 - p cancels all digits that a float's exponent counts
        exact = float(1 / (1 + mpmath.exp(-mpmath.mpf(z))) - int(positive))
    np.testing.assert_allclose(gradient, [exact], rtol=1e-14, atol=1e-300)


@given(z=st.floats(allow_nan=False, allow_infinity=False), positive=st.booleans())
@settings(derandomize=True, max_examples=200)
def test_loss_is_the_negative_log_probability(z, positive):
    loss, _ = loss_and_gradient([z], positive)
    with mpmath.workprec(200):
        exact = float(mpmath.log1p(mpmath.exp(mpmath.mpf(-z if positive else z))))
    np.testing.assert_allclose(loss, exact, rtol=1e-14, atol=1e-300)
