"""Activations in place: values, derivatives, and the ends of the number line."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skdnn.network.activations import ACTIVATIONS, get_activation

GRID = np.array([-30.0, -8.0, -2.5, -1.0, -0.3, -1e-3, 1e-3, 0.2, 1.0, 2.5, 8.0, 30.0])

FORMULAS = {
    "identity": lambda z: z,
    "logistic": lambda z: 1 / (1 + mpmath.exp(-z)),
    "tanh": mpmath.tanh,
    "relu": lambda z: max(z, 0),
    "leaky_relu": lambda z: max(z, z * mpmath.mpf(0.01)),
    "elu": lambda z: z if z > 0 else mpmath.expm1(z),
    "silu": lambda z: z / (1 + mpmath.exp(-z)),
    "gelu": lambda z: z * mpmath.ncdf(z),
}


def new_cache(activation, z):
    return np.ones(z.shape, bool if activation.cache == "mask" else z.dtype)


def value(name, z, **options):
    activation, a = get_activation(name, **options), np.array(z)
    activation.function(a, np.empty_like(a), None)
    return a


def derivative(name, z, **options):
    activation, a = get_activation(name, **options), np.array(z)
    cache = new_cache(activation, a)
    activation.function(a, np.empty_like(a), cache)
    activation.derivative(a, cache)
    return np.ones_like(a) * cache


def exact(function, z):
    with mpmath.workdps(40):
        return np.array([float(function(mpmath.mpf(float(x)))) for x in z])


def exact_derivative(name, z):
    with mpmath.workdps(40):
        return np.array([float(mpmath.diff(FORMULAS[name], mpmath.mpf(float(x)))) for x in z])


def test_every_activation_has_a_formula_here():
    assert set(FORMULAS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_is_the_formula(name):
    np.testing.assert_allclose(value(name, GRID), exact(FORMULAS[name], GRID), 1e-13, 1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_is_that_of_the_formula(name):
    np.testing.assert_allclose(derivative(name, GRID), exact_derivative(name, GRID), 1e-12, 1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_float32_stays_float32(name):
    assert derivative(name, GRID.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_float32_agrees_with_float64(name):
    single = value(name, GRID.astype(np.float32))
    np.testing.assert_allclose(single, value(name, GRID), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_with_a_cache_is_that_without(name):
    activation, a = get_activation(name), GRID.copy()
    activation.function(a, np.empty_like(a), new_cache(activation, a))
    np.testing.assert_array_equal(a, value(name, GRID))


def test_relu_derivative_at_zero_is_zero():
    np.testing.assert_array_equal(derivative("relu", np.array([0.0, -0.0])), [0.0, 0.0])


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.5])
def test_leaky_relu_has_the_given_slope_below_zero(slope):
    below = np.array([-4.0, -0.5])
    np.testing.assert_allclose(value("leaky_relu", below, negative_slope=slope), slope * below)


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.5])
def test_leaky_relu_derivative_is_the_given_slope_below_zero(slope):
    np.testing.assert_array_equal(
        derivative("leaky_relu", np.array([-4.0, -0.5, 2.0]), negative_slope=slope),
        [slope, slope, 1.0],
    )


@pytest.mark.parametrize("n_entries", [16_383, 16_384, 16_385, 50_000])
def test_relu_of_any_size_is_the_maximum_with_zero(n_entries, rng):
    z = rng.standard_normal((1, n_entries))
    np.testing.assert_array_equal(value("relu", z), np.maximum(z, 0))


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("identity", [-np.inf, np.inf]),
        ("logistic", [0, 1]),
        ("tanh", [-1, 1]),
        ("relu", [0, np.inf]),
        ("leaky_relu", [-np.inf, np.inf]),
        ("elu", [-1, np.inf]),
        ("silu", [0, np.inf]),
        ("gelu", [0, np.inf]),
    ],
)
def test_infinite_input_gives_the_limit(name, limits):
    np.testing.assert_array_equal(value(name, np.array([-np.inf, np.inf])), limits)


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(z=st.floats(allow_nan=False, allow_infinity=False))
@settings(derandomize=True, max_examples=50)
def test_finite_input_gives_a_finite_value(name, z):
    assert np.isfinite(value(name, np.array([z]))).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(z=st.floats(-1e3, 1e3))
@settings(derandomize=True, max_examples=50)
def test_derivative_is_bounded(name, z):
    assert abs(derivative(name, np.array([z]))[0]) <= 1.2
