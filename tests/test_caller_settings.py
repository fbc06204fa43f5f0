"""No setting of np.seterr in the caller's code reaches our arithmetic."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier
from skdnn.datasets import HDF5Matrix
from skdnn.inspection import activation_statistics, dead_units, gradient_statistics
from skdnn.preprocessing import TableEncoder
from tests.models import assert_same_bits

X = np.random.RandomState(0).standard_normal((60, 4))
y = X[:, 0] > 0
ROWS = np.arange(60)
METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture
def raising():
    with np.errstate(all="raise"):
        yield


def make_model(**parameters):
    return DeepBinaryClassifier((8,), max_iter=5, tol=None, random_state=0, **parameters)


@DTYPES
@pytest.mark.parametrize("scale", [1e-38, 1.0, 1e4, 1e30])
@pytest.mark.parametrize("method", METHODS)
def test_prediction_ignores_the_callers_seterr(method, scale, dtype):
    network = DeepBinaryClassifier((8,), solver="lbfgs", max_iter=30, random_state=0)
    network.fit(X.astype(dtype), y)
    rows = (scale * X).astype(dtype)
    expected = getattr(network, method)(rows)
    with np.errstate(all="raise"):
        found = getattr(network, method)(rows)
    np.testing.assert_array_equal(found, expected)


@DTYPES
def test_score_raises_nothing(dtype, raising):
    model = make_model().fit(X.astype(dtype), y)
    assert model.score((1e3 * X).astype(dtype), y) == model.score((1e3 * X).astype(dtype), y == 1)


@DTYPES
@pytest.mark.parametrize("weight", [None, 1e-20 * 0.5**ROWS, 0.5 ** (10.0 * ROWS)])
@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd", "gd", "lbfgs"])
def test_fits_raise_nothing(solver, weight, dtype):
    kwargs = {"solver": solver, "alpha": 0.0, "early_stopping": weight is None}
    expected = make_model(**kwargs).fit(X.astype(dtype), y, weight)
    with np.errstate(all="raise"):
        assert_same_bits(make_model(**kwargs).fit(X.astype(dtype), y, weight), expected)


@DTYPES
def test_partial_fit_raises_nothing(dtype, raising):
    model = make_model(alpha=0)
    for rows, labels in zip(X.astype(dtype), y, strict=True):
        model.partial_fit(rows[np.newaxis], [labels], [1e-30], classes=[False, True])
    assert model.n_iter_ == 1


def test_rows_in_a_file_or_sparse_raise_nothing(tmp_path, raising):
    import h5py

    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["X"] = 1e3 * X
    for rows in (HDF5Matrix(tmp_path / "rows.h5", "X"), scipy.sparse.csr_array(1e3 * X)):
        assert make_model().fit(rows, y).predict_proba(rows).shape == (60, 2)


def test_inspection_raises_nothing(raising):
    model = make_model().fit(X, y)
    assert dead_units(model, 1e3 * X).summary.n_units.tolist() == [8]
    assert activation_statistics(model, 1e3 * X) is not None
    assert gradient_statistics(model, 1e3 * X, y) is not None


def table():
    rng = np.random.RandomState(0)
    numbers = pd.DataFrame(1e300 * X, columns=list("abcd"))
    numbers.loc[::7, "a"], numbers.loc[::9, "b"] = np.nan, 1e-320
    return numbers.assign(port=rng.choice(["S", "C", "Q"], 60), zero=np.r_[np.zeros(59), 5e-324])


def test_encoder_raises_nothing(raising):
    for n_bins in (0, 8):
        assert np.isfinite(TableEncoder(n_bins=n_bins).fit_transform(table(), y)).all()


def test_ensemble_raises_nothing(raising):
    model = DeepEnsembleClassifier(n_estimators=2, random_state=0).fit(table(), y)
    assert np.isfinite(model.predict_log_proba(table())).all()
    assert np.isfinite(model.decision_function(table())).all()
    assert model.member_proba(table()).shape == (60, 2)


TINY_AND_HUGE = np.column_stack([np.geomspace(1e-320, 1e-30, 60), np.geomspace(1e-300, 1e300, 60)])


def test_ensemble_of_sure_networks_raises_nothing(raising):
    sure = DeepBinaryClassifier((8,), solver="lbfgs", alpha=0, max_iter=200, random_state=0)
    model = DeepEnsembleClassifier(sure, n_estimators=4, random_state=0)
    for n_jobs in (1, 2):
        model.set_params(n_jobs=n_jobs).fit(X, y, np.full(60, 1e-300))
        assert np.isfinite(model.predict_log_proba(1e3 * X)).all()
        assert np.isfinite(model.oof_log_loss_)


@pytest.mark.parametrize("categorical_features", [None, [0]])
@pytest.mark.parametrize("bins", ["tree", "quantile"])
def test_encoder_of_tiny_and_huge_numbers_raises_nothing(bins, categorical_features, raising):
    encoder = TableEncoder(categorical_features, bins=bins, random_state=0)
    encoder.fit(TINY_AND_HUGE, y).transform(TINY_AND_HUGE[::-1])
    encoder.transform(TINY_AND_HUGE.astype(object))


@pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(float).max, reason="as wide as float64")
def test_long_numbers_beyond_float64_are_infinite_without_a_warning():
    wide = np.array([[1], [2], [np.finfo(np.longdouble).max]])
    encoded = TableEncoder(n_bins=0).fit(wide).transform(wide)
    assert (np.diff(encoded[:, 0]) > 0).all()


def test_complex_column_of_a_frame_is_named_without_a_warning():
    frame = pd.DataFrame({"a": X[:, 0], "z": X[:, 0] + 1j})
    with pytest.raises(ValueError, match="Column 'z' of X, complex128, is not of numbers"):
        make_model().fit(frame, y)
