"""ONNX files of calibrated networks predict what these do, and no threshold is lost unsaid."""

import numpy as np
import onnxruntime
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skdnn.onnx
from skdnn import DeepBinaryClassifier
from skdnn.ensemble import DeepEnsembleClassifier
from skdnn.preprocessing import TableEncoder


def network(**parameters):
    defaults = {"max_iter": 20, "tol": None, "learning_rate_init": 0.01, "random_state": 0}
    return DeepBinaryClassifier((16, 8), **defaults | parameters)


def run(path, X):
    """Return the outputs for an array, in the dtype that the file takes."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    dtype = {"tensor(float)": np.float32, "tensor(double)": np.float64}[given.type]
    return session.run(None, {"X": X.astype(dtype)})


@pytest.fixture(scope="module")
def rows():
    """Return X (1000, 6), float32, and y of the sign of a product."""
    X = np.random.RandomState(0).normal(size=(1000, 6)).astype(np.float32)
    return X, X[:, 0] * X[:, 1] > 0


SCALED = make_pipeline(StandardScaler(), network())
ENSEMBLE = DeepEnsembleClassifier(network(max_iter=5), 2, random_state=0)


def searched(model):
    return GridSearchCV(model, {}, cv=2)


@pytest.mark.parametrize(
    "model",
    [
        CalibratedClassifierCV(SCALED, cv=2),
        CalibratedClassifierCV(make_pipeline(StandardScaler(), ENSEMBLE), cv=2),
        CalibratedClassifierCV(searched(network()), cv=2),
        CalibratedClassifierCV(searched(SCALED), cv=2),
        CalibratedClassifierCV(TunedThresholdClassifierCV(network(), cv=2), cv=2),
        CalibratedClassifierCV(make_pipeline(TableEncoder(), network()), cv=2),
        searched(CalibratedClassifierCV(SCALED, cv=2)),
        make_pipeline(StandardScaler(), CalibratedClassifierCV(SCALED, cv=2)),
        OneVsRestClassifier(CalibratedClassifierCV(SCALED, cv=2)),
        StackingClassifier([("calibrated", CalibratedClassifierCV(SCALED, cv=2))], cv=2),
    ],
    ids=lambda model: " ".join(str(model).split()),
)
def test_calibration_takes_log_odds_wherever_the_network_is(model, rows, tmp_path):
    X, y = rows[0] * 3 + 1, rows[1]
    model = clone(model).fit(X, y)
    skdnn.onnx.save(model, tmp_path / "model.onnx")
    labels, probabilities = run(tmp_path / "model.onnx", X)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)
    np.testing.assert_array_equal(labels, model.predict(X))


def test_isotonic_calibration_of_a_pipeline_keeps_labels(rows, tmp_path):
    X, y = rows[0] * 3 + 1, rows[1]
    model = CalibratedClassifierCV(SCALED, cv=2, method="isotonic").fit(X, y)
    skdnn.onnx.save(model, tmp_path / "model.onnx")
    _, probabilities = run(tmp_path / "model.onnx", X)
    # skl2onnx takes the nearest step where scikit-learn interpolates
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=0.05)


def test_calibration_of_what_has_no_log_odds_in_onnx_is_refused(rows, tmp_path):
    X, y = rows
    model = CalibratedClassifierCV(FrozenEstimator(network().fit(X, y))).fit(X, y)
    with pytest.raises(ValueError, match="calibrates the log-odds of FrozenEstimator, which"):
        skdnn.onnx.save(model, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("model", "refusal"),
    [
        (CalibratedClassifierCV(network(), cv=2), "CalibratedClassifierCV has no log-odds"),
        (BaggingClassifier(SCALED, 2), "no log-odds of BaggingClassifier around Pipeline"),
        (OneVsRestClassifier(SCALED), "no log-odds of OneVsRestClassifier around Pipeline"),
        (searched(OneVsRestClassifier(searched(network()))), "around GridSearchCV"),
        (TableEncoder(), "TableEncoder has no log-odds"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_log_odds_that_onnx_would_not_have_are_refused(model, refusal, rows, tmp_path):
    model = clone(model).fit(*rows)
    with pytest.raises(ValueError, match=refusal):
        skdnn.onnx.save(model, tmp_path / "model.onnx", raw_scores=True)


TUNED = TunedThresholdClassifierCV(network(), cv=2)
FIXED = FixedThresholdClassifier(network(), threshold=0.9)


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), TUNED),
        searched(TUNED),
        searched(make_pipeline(StandardScaler(), TUNED)),
        make_pipeline(StandardScaler(), searched(TUNED)),
        FIXED,
        searched(make_pipeline(StandardScaler(), FIXED)),
        StackingClassifier([("network", network())], TUNED, cv=2),
        VotingClassifier([("tuned", TUNED)]),
        MultiOutputClassifier(TUNED),
    ],
    ids=lambda model: " ".join(str(model).split()),
)
def test_threshold_that_onnx_would_lose_is_refused(model, rows, tmp_path):
    X, y = rows
    y = np.column_stack([y, ~y]) if isinstance(model, MultiOutputClassifier) else y
    model = clone(model).fit(X, y)
    with pytest.raises(ValueError, match=r"threshold of (Tuned|Fixed)Threshold.* its .*threshold"):
        skdnn.onnx.save(model, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_threshold_whose_probabilities_alone_count_is_none_of_the_model(rows, tmp_path):
    X, y = rows
    model = StackingClassifier([("tuned", TUNED)], cv=2).fit(X, y)
    skdnn.onnx.save(model, tmp_path / "model.onnx")
    labels, _ = run(tmp_path / "model.onnx", X)
    np.testing.assert_array_equal(labels, model.predict(X))
