"""Small networks that test modules share, and what there is to compare about two of them."""

import joblib
import numpy as np

from skdnn import DeepBinaryClassifier

# rates at which a few epochs of each solver neither diverge nor stand still
RATES = {"gd": 0.5, "sgd": 0.1, "adam": 0.01, "adamw": 0.01, "lbfgs": 0.1}


def make_model(solver="adam", hidden=(5, 3), **parameters):
    """Return a model that trains a few epochs and warns of nothing."""
    defaults = {
        "learning_rate_init": RATES[solver],
        "max_iter": 10,
        "tol": None,
        "random_state": 1,
    }
    return DeepBinaryClassifier(hidden, solver=solver, **(defaults | parameters))


def parameters_of(model):
    """Return all weights and biases as one vector."""
    return np.concatenate([p.ravel() for p in (*model.coefs_, *model.intercepts_)])


def assert_same_bits(model, other):
    """Assert that two models have the same parameters, in the same dtype, to the last bit."""
    actual, expected = parameters_of(model), parameters_of(other)
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


def learned(model):
    """Return a hash of every attribute that fit set: values, dtypes, shapes."""
    return {
        name: joblib.hash(value)
        for name, value in vars(model).items()
        if name not in model.get_params() and not name.startswith("_skl_")
    }


def central_differences(objective, step=1e-5):
    """Return the gradient of an objective at its parameters, by differences of its values."""
    x, whole = objective.parameters.copy(), objective.all_rows()
    differences = np.empty_like(x)
    for i, shift in enumerate(np.eye(x.size) * step):
        objective.parameters[...] = x + shift
        above, _ = objective.value_and_gradient(whole)
        objective.parameters[...] = x - shift
        below, _ = objective.value_and_gradient(whole)
        differences[i] = (above - below) / (2 * step)
    objective.parameters[...] = x
    return differences
