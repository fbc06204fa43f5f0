"""Initial weights: variance rules, distributions, and the published drawing order."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skdnn import DeepBinaryClassifier
from skdnn.network.initializers import INITIALIZERS, initialize, weight_variance
from skdnn.solvers import DivergenceError

VARIANCES = {
    "he": lambda n_in, n_out: 2 / n_in,
    "xavier": lambda n_in, n_out: 2 / (n_in + n_out),
    "lecun": lambda n_in, n_out: 1 / n_in,
    "normal": lambda n_in, n_out: 1.0,
}
NUMERATORS = {"he": 2, "xavier": 2, "lecun": 1, "normal": 1}

units = st.integers(1, 10**6)


def drawn(shapes, **options):
    weights = [np.empty(shape) for shape in shapes]
    initialize(weights, np.random.RandomState(3), **options)
    return weights


def start_of(X, y, **parameters):
    """Return the weights that training starts from: a step too small to change any."""
    model = DeepBinaryClassifier(
        (20, 7), solver="gd", learning_rate_init=1e-300, max_iter=1, tol=None, **parameters
    )
    return model.fit(X, y)


def test_every_rule_has_a_variance_here():
    assert set(VARIANCES) == set(INITIALIZERS)


@pytest.mark.parametrize("rule", INITIALIZERS)
@given(n_in=units, n_out=units)
@settings(derandomize=True, max_examples=30)
def test_variance_is_that_of_the_table(rule, n_in, n_out):
    assert weight_variance(rule, n_in, n_out) == pytest.approx(VARIANCES[rule](n_in, n_out))


@pytest.mark.parametrize("rule", INITIALIZERS)
@given(n_in=units, n_out=units, scale=st.floats(1e-6, 1e6))
@settings(derandomize=True, max_examples=30)
def test_scale_replaces_the_numerator(rule, n_in, n_out, scale):
    expected = VARIANCES[rule](n_in, n_out) / NUMERATORS[rule] * scale
    assert weight_variance(rule, n_in, n_out, scale) == pytest.approx(expected)


@pytest.mark.parametrize("rule", INITIALIZERS)
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_sample_variance_is_that_of_the_rule(rule, distribution, scale):
    (weight,) = drawn([(300, 500)], rule=rule, distribution=distribution, scale=scale)
    assert weight.var() == pytest.approx(weight_variance(rule, 300, 500, scale), rel=0.02)


@pytest.mark.parametrize("rule", INITIALIZERS)
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_sample_mean_is_zero(rule, distribution):
    (weight,) = drawn([(300, 500)], rule=rule, distribution=distribution)
    assert abs(weight.mean()) < 4 * weight.std() / math.sqrt(weight.size)


@pytest.mark.parametrize("rule", INITIALIZERS)
def test_uniform_draws_fill_the_bounds_and_no_more(rule):
    (weight,) = drawn([(300, 500)], rule=rule, distribution="uniform")
    bound = math.sqrt(3 * VARIANCES[rule](300, 500))
    assert 0.999 * bound < abs(weight).max() <= bound


def test_layers_are_drawn_in_order_as_rows_of_units():
    generator = np.random.RandomState(3)
    first = generator.standard_normal((4, 6)) * math.sqrt(2 / 6)
    second = generator.standard_normal((1, 4)) * math.sqrt(2 / 4)
    weights = drawn([(6, 4), (4, 1)], rule="he")
    np.testing.assert_array_equal(weights[0], first.T)
    np.testing.assert_array_equal(weights[1], second.T)


def test_draws_do_not_depend_on_the_dtype():
    single = [np.empty((6, 4), np.float32)]
    initialize(single, np.random.RandomState(3), rule="he")
    (double,) = drawn([(6, 4)], rule="he")
    np.testing.assert_array_equal(single[0], double.astype(np.float32))


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_estimator_starts_from_the_published_draws(layer, breast_cancer):
    X, y = breast_cancer
    generator = np.random.RandomState(3)
    expected = [
        (generator.standard_normal((n_out, n_in)) * math.sqrt(2 / n_in)).T
        for n_in, n_out in [(30, 20), (20, 7), (7, 1)]
    ]
    model = start_of(X, y, random_state=3)
    np.testing.assert_array_equal(model.coefs_[layer], expected[layer])


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_estimator_starts_from_zero_biases(layer, breast_cancer):
    model = start_of(*breast_cancer, random_state=3)
    assert abs(model.intercepts_[layer]).max() < 1e-290


def test_estimator_passes_its_parameters_on(breast_cancer):
    model = start_of(
        *breast_cancer,
        random_state=3,
        init="lecun",
        init_scale=0.1,
        init_distribution="uniform",
    )
    expected = drawn([(30, 20), (20, 7), (7, 1)], rule="lecun", scale=0.1, distribution="uniform")
    np.testing.assert_array_equal(model.coefs_[1], expected[1])


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "adamw", "lbfgs"])
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("init_scale", [1e80, 1e308])
def test_weights_that_overflow_float32_are_divergence(init_scale, distribution, solver):
    X = np.random.RandomState(0).standard_normal((20, 3)).astype(np.float32)
    model = DeepBinaryClassifier(
        (4,), solver=solver, init_scale=init_scale, init_distribution=distribution, random_state=0
    )
    with pytest.raises(DivergenceError):
        model.fit(X, X[:, 0] > 0)
    assert not model.__sklearn_is_fitted__()
