"""What the caller asks of NumPy's floating-point errors stays the caller's: ours is ours."""

import numpy as np
import pytest

from skdnn import DeepBinaryClassifier

METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-38, 1.0, 1e4])
@pytest.mark.parametrize("method", METHODS)
def test_prediction_ignores_the_callers_seterr(method, scale, dtype):
    X = np.random.default_rng(0).normal(size=(80, 3))
    network = DeepBinaryClassifier((8,), solver="lbfgs", max_iter=30, random_state=0)
    network.fit(X.astype(dtype), X[:, 0] > 0)
    rows = (scale * X).astype(dtype)
    expected = getattr(network, method)(rows)
    with np.errstate(all="raise"):
        found = getattr(network, method)(rows)
    np.testing.assert_array_equal(found, expected)
