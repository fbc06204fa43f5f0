"""Training and predicting from an HDF5 file, against the same rows in memory."""

import re
import threading
import tracemalloc

import h5py
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier
from skdnn.datasets import HDF5Matrix, read_labels
from skdnn.network import prediction

N_SAMPLES, N_FEATURES = 3000, 12
# less than the file of 144 kB, so that it stays on disk
LIMIT = 100_000

pytestmark = pytest.mark.filterwarnings(
    f"ignore::{ConvergenceWarning.__module__}.ConvergenceWarning"
)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.RandomState(0)
    X = rng.randn(N_SAMPLES, N_FEATURES).astype(np.float32)
    return X, 1 + (X[:, 0] * X[:, 1] > 0)


@pytest.fixture(scope="module")
def path(rows, tmp_path_factory):
    X, y = rows
    path = tmp_path_factory.mktemp("streamed") / "rows.h5"
    with h5py.File(path, "w") as file:
        file["contiguous"] = X
        file.create_dataset("gzip", data=X, chunks=(40, N_FEATURES), compression="gzip")
        file["labels"] = y
        file["names"] = np.where(y > 1, b"yes", b"no")
    return path


@pytest.fixture(params=["contiguous", "gzip"])
def matrix(request, path):
    return HDF5Matrix(path, request.param, memory_limit=LIMIT)


def make_model(**params):
    return DeepBinaryClassifier((8,), **{"max_iter": 3, "tol": None, "random_state": 0} | params)


def assert_same_bits(model, other):
    for a, b in zip(
        model.coefs_ + model.intercepts_, other.coefs_ + other.intercepts_, strict=True
    ):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert model.loss_curve_ == other.loss_curve_
    assert model.validation_scores_ == other.validation_scores_


IN_ORDER = [
    {},
    {"batch_size": 77},
    {"batch_size": 64, "dropout": 0.3},
    {"solver": "sgd"},
    {"solver": "adamw", "learning_rate": "one_cycle", "class_weight": "balanced"},
    {"early_stopping": True},
    {"early_stopping": True, "scoring": "roc_auc"},
]


@pytest.mark.parametrize("params", IN_ORDER, ids=str)
def test_unshuffled_fit_from_disk_has_the_bits_of_the_fit_in_memory(rows, matrix, params):
    X, y = rows
    model = make_model(shuffle=False, **params)
    assert_same_bits(model.fit(matrix, y), make_model(shuffle=False, **params).fit(X, y))


def test_sample_weights_and_validation_rows_from_disk_give_the_bits_of_memory(rows, matrix):
    X, y = rows
    weight = np.arange(2000) % 3
    params = {"shuffle": False, "early_stopping": True}
    X_val = matrix[2000:]
    model = make_model(**params).fit(matrix[:2000], y[:2000], weight, X_val=X_val, y_val=y[2000:])
    other = make_model(**params).fit(X[:2000], y[:2000], weight, X_val=X[2000:], y_val=y[2000:])
    assert_same_bits(model, other)


@pytest.mark.parametrize(
    "params", [{"solver": "gd"}, {"solver": "lbfgs"}, {"batch_size": N_SAMPLES}], ids=str
)
def test_batch_of_all_rows_from_disk_agrees_to_rounding(rows, matrix, params):
    X, y = rows
    model, other = make_model(**params).fit(matrix, y), make_model(**params).fit(X, y)
    for a, b in zip(model.coefs_, other.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)


def test_file_within_the_limit_is_trained_on_as_an_array(rows, path):
    X, y = rows
    model = make_model().fit(HDF5Matrix(path, "gzip"), y)
    assert_same_bits(model, make_model().fit(X, y))


def test_wide_file_within_the_limit_is_trained_on_in_the_row_space(tmp_path):
    X = np.random.RandomState(0).randn(20, 500)
    with h5py.File(tmp_path / "wide.h5", "w") as file:
        file["X"] = X
    model = make_model(solver="gd", row_space=True)
    y = X[:, 0] > 0
    model.fit(HDF5Matrix(tmp_path / "wide.h5", "X"), y)
    assert_same_bits(model, make_model(solver="gd", row_space=True).fit(X, y))


def test_shuffled_fit_from_disk_learns_like_the_one_in_memory(rows, matrix):
    X, y = rows
    params = {"max_iter": 60, "learning_rate_init": 0.01}
    assert make_model(**params).fit(matrix, y).score(X, y) > 0.95
    assert make_model(**params).fit(X, y).score(X, y) > 0.95


def test_shuffled_fit_from_disk_repeats_with_its_seed(rows, matrix):
    _, y = rows
    assert_same_bits(make_model().fit(matrix, y), make_model().fit(matrix, y))


def test_epoch_of_partial_fit_has_the_bits_of_an_epoch_of_fit(rows, matrix):
    _, y = rows
    model = make_model().partial_fit(matrix, y, classes=[1, 2])
    assert_same_bits(model, make_model(max_iter=1).fit(matrix, y))


def test_predictions_from_disk_have_the_bits_of_those_in_memory(rows, matrix, monkeypatch):
    # in blocks of as many rows: BLAS may round the rows of another block another way
    monkeypatch.setattr(prediction, "_PREDICTION_BLOCK", 8 * 100)
    monkeypatch.setattr(prediction, "_COMPILED_BLOCK", 8 * 100)
    X, y = rows
    model = make_model().fit(X, y)
    for method in ("decision_function", "predict", "predict_proba", "predict_log_proba"):
        np.testing.assert_array_equal(getattr(model, method)(matrix), getattr(model, method)(X))
    assert model.score(matrix, y) == model.score(X, y)


def test_predictions_from_disk_differ_by_no_more_than_sums_may_round(rows, matrix):
    X, y = rows
    model = make_model().fit(X, y)
    (first, last), (bias, last_bias) = model.coefs_, model.intercepts_
    # Higham 2002, Accuracy and Stability of Numerical Algorithms, (3.5): in whatever order a sum
    # of n products is taken, it is within n·u of the exact one, relative to the sum of moduli
    moduli = (np.abs(X) @ np.abs(first) + np.abs(bias)) @ np.abs(last) + np.abs(last_bias)
    n_terms = N_FEATURES + 1 + 8 + 1
    np.testing.assert_array_less(
        np.abs(model.decision_function(matrix) - model.decision_function(X)),
        2 * n_terms * np.finfo(np.float32).eps * moduli.ravel(),
    )


def test_open_datasets_are_taken_for_rows_and_labels(rows, path):
    X, y = rows
    with h5py.File(path) as file:
        model = make_model().fit(file["gzip"], file["names"])
        assert model.score(file["contiguous"], read_labels(path, "names")) == model.score(
            X, np.where(y > 1, "yes", "no")
        )
    assert model.classes_.tolist() == ["no", "yes"]


def test_labels_of_rows_in_memory_may_be_an_open_dataset(rows, path):
    X, y = rows
    with h5py.File(path) as file:
        assert_same_bits(make_model().fit(X, file["labels"]), make_model().fit(X, y))


def test_labels_and_weights_may_be_a_matrix_and_an_open_dataset(rows, path):
    X, y = rows
    with h5py.File(path) as file:
        model = make_model().fit(X, HDF5Matrix(path, "labels"), file["labels"])
    assert_same_bits(model, make_model().fit(X, y, y))


def test_search_over_views_finds_what_a_search_over_arrays_finds(rows, matrix):
    X, y = rows
    grid = {"alpha": [0, 1]}
    search = GridSearchCV(make_model(shuffle=False), grid, cv=3, n_jobs=2).fit(matrix, y)
    expected = GridSearchCV(make_model(shuffle=False), grid, cv=3).fit(X, y)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )


def test_cross_validation_and_splits_take_views(rows, matrix):
    X, y = rows
    model = make_model(shuffle=False)
    np.testing.assert_array_equal(
        cross_val_score(model, matrix, y, cv=3), cross_val_score(model, X, y, cv=3)
    )
    X_train, X_test = train_test_split(matrix, random_state=0)
    assert isinstance(X_train, HDF5Matrix)
    np.testing.assert_array_equal(np.asarray(X_test), train_test_split(X, random_state=0)[1])


def test_transformer_is_applied_to_each_block(rows, path):
    X, y = rows
    scaler = StandardScaler()
    for block in HDF5Matrix(path, "gzip", memory_limit=LIMIT).blocks():
        scaler.partial_fit(block)
    standardised = HDF5Matrix(path, "gzip", transform=scaler, memory_limit=LIMIT)
    model = make_model(shuffle=False).fit(standardised, y)
    assert_same_bits(model, make_model(shuffle=False).fit(scaler.transform(X), y))


def test_imputer_may_mend_missing_values(rows, tmp_path):
    X, y = rows
    X = X.copy()
    X[::50, 3] = np.nan
    with h5py.File(tmp_path / "holes.h5", "w") as file:
        file["X"] = X
    steps = make_pipeline(SimpleImputer(), StandardScaler()).fit(X)
    matrix = HDF5Matrix(tmp_path / "holes.h5", "X", transform=steps, memory_limit=LIMIT)
    model = make_model(shuffle=False).fit(matrix, y)
    assert_same_bits(model, make_model(shuffle=False).fit(steps.transform(X), y))


@pytest.mark.parametrize("limit", [LIMIT, 2**28])
@pytest.mark.parametrize("warm_start", [False, True])
def test_row_with_nan_is_named_and_the_estimator_left_as_it_was(rows, tmp_path, limit, warm_start):
    X, y = rows
    model = make_model(warm_start=warm_start).fit(X, y)
    before = {name: value for name, value in vars(model).items() if name.endswith("_")}
    broken = X.copy()
    broken[2345, 7] = np.nan
    with h5py.File(tmp_path / "broken.h5", "w") as file:
        file["X"] = broken
    with pytest.raises(ValueError, match="contains NaN in row 2345"):
        model.fit(HDF5Matrix(tmp_path / "broken.h5", "X", memory_limit=limit), y)
    after = {name: value for name, value in vars(model).items() if name.endswith("_")}
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)


def test_memory_of_a_fit_stays_near_the_limit_whatever_the_file(tmp_path):
    X = np.random.RandomState(0).randn(40_000, 50).astype(np.float32)
    y = X[:, 0] > 0
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file.create_dataset("X", data=X, chunks=(50, 50))
    limit = X.nbytes // 4
    matrix = HDF5Matrix(tmp_path / "rows.h5", "X", memory_limit=limit)
    del X
    tracemalloc.start()
    make_model(max_iter=1).fit(matrix, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # labels, row numbers and signs take some bytes a row
    assert peak < 1.2 * limit + 30 * len(matrix)


def test_nothing_runs_on_after_training_or_after_an_error(rows, matrix):
    _, y = rows
    make_model().fit(matrix, y)
    with pytest.raises(ValueError, match="diverged"):
        make_model(solver="sgd", learning_rate_init=1e30).fit(matrix, y)
    assert not [t for t in threading.enumerate() if t.name.startswith("skdnn")]


def test_row_space_of_rows_on_disk_is_refused(rows, matrix):
    with pytest.raises(ValueError, match="row_space=True cannot serve X that stays on disk"):
        make_model(solver="gd", row_space=True).fit(matrix, rows[1])


def test_file_of_another_width_is_refused(rows, matrix, tmp_path):
    X, y = rows
    model = make_model().fit(X[:, :5], y)
    with pytest.raises(ValueError, match="12 features, but DeepBinaryClassifier is expecting 5"):
        model.predict(matrix)


def test_labels_of_another_length_are_refused(rows, matrix):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        make_model().fit(matrix, rows[1][:-1])


def test_images_are_flattened_and_integers_become_float64(tmp_path):
    images = np.random.RandomState(0).randint(0, 256, (600, 4, 4, 3), dtype=np.uint8)
    y = images[:, 0, 0, 0] > 127
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["images"] = images
    matrix = HDF5Matrix(tmp_path / "images.h5", "images", memory_limit=100_000)
    flat = images.reshape(600, 48).astype(float)
    model = make_model(shuffle=False, batch_size=32).fit(matrix, y)
    assert_same_bits(model, make_model(shuffle=False, batch_size=32).fit(flat, y))
    scaled = HDF5Matrix(tmp_path / "images.h5", "images", scale=255, memory_limit=100_000)
    model = make_model(shuffle=False, batch_size=32).fit(scaled, y)
    assert_same_bits(model, make_model(shuffle=False, batch_size=32).fit(flat / 255, y))


def peak_of(call):
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("solver", ["gd", "adam"])
def test_wide_rows_on_disk_stay_within_the_limit_for_a_narrow_network(tmp_path, solver):
    """The blocks of prediction are many rows, whatever their width, if nothing else limits them."""
    X = np.random.RandomState(0).randint(0, 256, (4000, 2000), dtype=np.uint8)
    y = X[:, 0] > 127
    with h5py.File(tmp_path / "wide.h5", "w") as file:
        file.create_dataset("X", data=X, chunks=(20, 2000))
    matrix = HDF5Matrix(tmp_path / "wide.h5", "X", scale=255, memory_limit=10_000_000)
    del X
    model = DeepBinaryClassifier((1,), activation="tanh", solver=solver, max_iter=1, random_state=0)
    assert peak_of(lambda: model.fit(matrix, y)) < 1.3 * matrix.memory_limit
    assert peak_of(lambda: model.predict(matrix)) < matrix.memory_limit


def test_advised_limit_is_enough(tmp_path):
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["X"] = np.random.RandomState(0).rand(20_000, 100)
    y = np.arange(20_000) % 2
    with pytest.raises(ValueError, match="too small to train") as caught:
        make_model().fit(HDF5Matrix(tmp_path / "rows.h5", "X", memory_limit=100_000), y)
    advised = int(re.search(r"need (\d+) bytes", str(caught.value))[1])
    assert advised < 16_000_000
    matrix = HDF5Matrix(tmp_path / "rows.h5", "X", memory_limit=advised)
    assert make_model().fit(matrix, y).n_iter_ == 3


def test_rows_that_come_many_times_are_no_obstacle(rows, matrix):
    _, y = rows
    drawn = np.r_[np.arange(100), np.repeat(np.arange(10), 300)]
    model = make_model(shuffle=False).fit(matrix[drawn], y[drawn])
    assert_same_bits(model, make_model(shuffle=False).fit(np.asarray(matrix)[drawn], y[drawn]))
    assert make_model().fit(matrix[drawn], y[drawn]).n_iter_ == 3


def test_large_compressed_chunk_fits_into_the_cache(tmp_path):
    """Else it would be decompressed again for each part of it."""
    with h5py.File(tmp_path / "chunks.h5", "w") as file:
        file.create_dataset("X", data=np.zeros((4000, 250)), chunks=(2000, 250), compression="gzip")
    matrix = HDF5Matrix(tmp_path / "chunks.h5", "X", memory_limit=2_000_000)
    with matrix.open() as dataset:
        assert dataset.file.id.get_access_plist().get_cache()[2] >= 4_000_000
