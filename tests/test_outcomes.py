"""What training tells where it diverges under a scorer, or where X_val is not like X."""

import contextlib
import warnings

import h5py
import numpy as np
import pytest
import scipy.sparse
from sklearn import config_context
from sklearn.callback import ScoringMonitor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier, DivergenceError
from skdnn.datasets import HDF5Matrix
from tests.callbacks import Callback

RNG = np.random.RandomState(0)
X = RNG.standard_normal((200, 5)) * 1e3
y = X[:, 0] * X[:, 1] > 0


def as_dense(rows, folder):
    return rows


def as_sparse(rows, folder):
    return scipy.sparse.csr_array(rows)


def in_a_file(rows, folder):
    with h5py.File(folder / "rows.h5", "w") as file:
        file["X"] = rows
    return HDF5Matrix(folder / "rows.h5", "X", memory_limit=2**16)


@pytest.mark.parametrize("kind", [as_dense, as_sparse, in_a_file])
@pytest.mark.parametrize("solver", ["gd", "sgd", "adam"])
@pytest.mark.parametrize("scoring", ["loss", "roc_auc", "average_precision", "accuracy"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_divergence_is_told_alike_whatever_the_scorer(scoring, dtype, solver, kind, tmp_path):
    rate = 1e30 if dtype is np.float32 else 1e200
    model = DeepBinaryClassifier(
        (8, 8), solver=solver, learning_rate_init=rate, max_iter=50, early_stopping=True,
        scoring=scoring, tol=None, random_state=0, activation="leaky_relu",
    )  # fmt: skip
    with pytest.raises(DivergenceError):
        model.fit(kind(X.astype(dtype), tmp_path), y)
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss"])
def test_divergence_is_told_alike_under_a_scoring_monitor(scoring):
    model = DeepBinaryClassifier(
        (8, 8), solver="gd", learning_rate_init=1e6, max_iter=50, tol=None, random_state=0,
        activation="leaky_relu",
    )  # fmt: skip
    with pytest.raises(DivergenceError):
        model.set_callbacks(ScoringMonitor(scoring=scoring)).fit(X.astype(np.float32), y)


def test_validation_rows_that_skipped_the_scaler_are_told():
    model = DeepBinaryClassifier(early_stopping=True, max_iter=20, tol=None, random_state=0)
    with pytest.warns(UserWarning, match="transform_input"):
        model.fit(StandardScaler().fit_transform(X[:150]), y[:150], X_val=X[150:], y_val=y[150:])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [1e-3, 0.1])
def test_validation_rows_of_the_same_kind_are_not(seed, rate):
    rng = np.random.RandomState(seed)
    rows, labels = rng.standard_normal((120, 5)), rng.rand(120) < 0.1
    labels[[0, -1]] = True
    model = DeepBinaryClassifier(
        early_stopping=True, learning_rate_init=rate, max_iter=60, tol=None, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.fit(rows[:80], labels[:80], X_val=rows[80:], y_val=labels[80:])


def test_training_that_ran_out_of_epochs_hears_of_early_stopping():
    model = DeepBinaryClassifier((4,), max_iter=2, random_state=0)
    with pytest.warns(ConvergenceWarning, match="early_stopping=True"):
        model.fit(X / 1e3, y)


@pytest.mark.parametrize("scale", [1e-307, 1e-30, 1e-6])
@pytest.mark.parametrize("solver", ["adam", "gd", "lbfgs"])
def test_weights_that_are_nothing_beside_the_penalty_are_told(scale, solver):
    model = DeepBinaryClassifier((4,), solver=solver, alpha=0.01, max_iter=2, tol=None)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with contextlib.suppress(DivergenceError):
            model.fit(X / 1e3, y, sample_weight=np.full(200, scale))
    assert any("alpha=0.01 outweighs" in str(warning.message) for warning in told)


def test_weights_that_sum_to_nothing_are_told_by_the_ensemble():
    estimator = DeepBinaryClassifier((4,), alpha=1.0, max_iter=5, tol=None)
    model = DeepEnsembleClassifier(estimator, n_estimators=1, random_state=0)
    with pytest.warns(UserWarning, match="alpha=1 outweighs"):
        model.fit(X, y, sample_weight=np.full(200, 1 / 200))


@pytest.mark.parametrize("model", [DeepBinaryClassifier((4,)), DeepEnsembleClassifier()])
def test_weights_by_name_are_no_weights(model):
    with pytest.raises(ValueError, match=r"sample_weight must be numbers.*got 'balanced'"):
        model.fit(X, y, sample_weight="balanced")


@pytest.mark.parametrize("steps", [[], [StandardScaler()], ["search"]])
def test_warning_is_at_the_line_of_the_user(steps, data):
    model = DeepBinaryClassifier((3,), max_iter=2)
    if steps == ["search"]:
        model = GridSearchCV(model, {"alpha": [0.1]}, cv=2)
    elif steps:
        model = make_pipeline(*steps, model)
    with pytest.warns(ConvergenceWarning) as record:
        model.fit(*data)
    assert {warning.filename for warning in record} == {__file__}


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
def test_nan_that_nobody_looked_for_is_named_in_training(form, solver, data):
    rows = np.array(data[0])
    rows[3, 2] = np.nan
    model = DeepBinaryClassifier((3,), solver=solver, max_iter=2)
    with (
        config_context(assume_finite=True),
        pytest.raises(ValueError, match="Input X contains NaN"),
    ):
        model.fit(form(rows), data[1])
    assert not hasattr(model, "classes_")


def test_nan_that_nobody_looked_for_is_named_in_prediction(data):
    rows = np.array(data[0])
    model = DeepBinaryClassifier((3,), max_iter=2, tol=None).fit(rows, data[1])
    rows[3, 2] = np.nan
    weight = np.where(np.arange(len(rows)) == 3, np.nan, 1.0)
    message = "sample_weight contains NaN, first in row 3"
    with config_context(assume_finite=True), pytest.raises(ValueError, match=message):
        model.fit(*data, sample_weight=weight)
    with config_context(assume_finite=True), pytest.raises(ValueError, match="Input X cont"):
        model.predict_proba(rows)


@pytest.mark.parametrize("scoring", ["loss", "roc_auc"])
def test_nan_that_nobody_looked_for_is_named_in_validation(scoring, data):
    X, y = data
    rows = np.array(X)
    rows[3, 2] = np.nan
    model = DeepBinaryClassifier((3,), max_iter=2, early_stopping=True, scoring=scoring)
    with (
        config_context(assume_finite=True),
        pytest.raises(ValueError, match="Input of validation rows contains NaN"),
    ):
        model.fit(X, y, X_val=rows, y_val=y)


@pytest.mark.parametrize("found", [None, "a", np.array([1.0])])
def test_scoring_that_returns_no_number_is_named(found, data):
    model = DeepBinaryClassifier((3,), early_stopping=True, scoring=lambda *_: found)
    with pytest.raises(TypeError, match="scoring must return a number"):
        model.fit(*data)


def test_dropout_that_is_no_number_is_named(data):
    with pytest.raises(ValueError, match="dropout rates must be numbers"):
        DeepBinaryClassifier(dropout=["a"]).fit(*data)


def test_indices_of_two_widths_are_made_one(data):
    rows = scipy.sparse.csr_array(data[0])
    rows.indptr = rows.indptr.astype(np.int64)
    model = DeepBinaryClassifier((3,), max_iter=2, tol=None, random_state=0).fit(rows, data[1])
    assert model.predict(rows).size == len(data[1])


class Counts(Callback):
    """Counts epochs that have begun, and those that have ended."""

    def __init__(self):
        self.n_begun = self.n_ended = 0

    def on_fit_task_begin(self, estimator, context):
        self.n_begun += context.task_name == "epoch"

    def on_fit_task_end(self, estimator, context):
        self.n_ended += context.task_name == "epoch"


def test_callbacks_see_the_end_of_an_iteration_that_came_to_nothing():
    counts = Counts()
    model = DeepBinaryClassifier((), solver="lbfgs", alpha=0, tol=None).set_callbacks(counts)
    model.fit(np.zeros((20, 3)), np.arange(20) % 2)  # at the minimum from the start
    assert model.loss_curve_ == []
    assert counts.n_ended == counts.n_begun == 1
