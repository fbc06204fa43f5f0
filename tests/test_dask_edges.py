"""Input, callbacks and clients that are out of the ordinary, on a cluster of two processes."""

import itertools
import pickle
import tempfile
import threading

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.callback import ScoringMonitor

from skdnn import DeepBinaryClassifier
from skdnn.dask import DaskDeepBinaryClassifier
from skdnn.dask.held import load_partition
from skdnn.dask.order import Order
from tests.callbacks import Callback


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def data():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((300, 4))
    return X, X[:, 0] * X[:, 1] > 0


def split(X, y):
    return da.from_array(X, chunks=(100, 4)), da.from_array(y, chunks=100)


def make_model(**parameters):
    return DaskDeepBinaryClassifier(
        (4,), solver="gd", max_iter=3, tol=None, random_state=0, **parameters
    )


# ---------------------------------------------------------------------- what was fitted


@pytest.mark.parametrize(
    "changes", [{"activation": "logistic"}, {"negative_slope": 0.9}, {"hidden_layer_sizes": (9,)}]
)
def test_parameters_set_after_fit_move_no_prediction(client, data, changes):
    X, y = split(*data)
    model = make_model(activation="leaky_relu").fit(X, y)
    before, score = model.predict_proba(X).compute(), model.score(X, y)
    model.set_params(**changes)
    assert_array_equal(model.predict_proba(X).compute(), before)
    assert_array_equal(model.to_local().predict_proba(data[0]), before)
    assert model.score(X, y) == score


# ---------------------------------------------------------------------- clients


def test_client_that_is_not_current_fits_and_scores(cluster, data):
    with Client(cluster, set_as_default=False) as client:
        model = make_model(client=client).fit(*split(*data))
        assert model.client_ is client
        assert model.score(*split(*data)) == model.to_local().score(*data)
    expected = DeepBinaryClassifier(
        (4,), solver="gd", max_iter=3, tol=None, random_state=0, row_space=False
    ).fit(*data)
    assert_allclose(model.coefs_[0], expected.coefs_[0], rtol=0, atol=1e-10)


def test_closed_client_is_an_error(cluster, data):
    with Client(cluster, set_as_default=False) as client:
        model = make_model(client=client).fit(*split(*data))
    with pytest.raises(ConnectionError, match=r"cluster is gone.* client's status is 'closed'"):
        model.fit(*split(*data))
    with pytest.raises(ConnectionError, match=r"cluster is gone.* client's status is 'closed'"):
        model.score(*split(*data))


def test_without_a_client_there_is_no_attribute_client():
    model = make_model()
    assert not hasattr(model, "client_")
    with pytest.raises(AttributeError, match="There is no Dask client"):
        _ = model.client_


# ---------------------------------------------------------------------- callbacks


class Unpicklable(Callback):
    """Callback that cannot be sent anywhere."""

    def __init__(self):
        self.lock = threading.Lock()


def test_callback_that_cannot_be_pickled_stays_on_the_client(client, data):
    callback = Unpicklable()
    with pytest.raises(TypeError):
        pickle.dumps(callback)
    X, y = split(*data)
    model = make_model().set_callbacks(callback).fit(X, y)
    local = model.to_local()
    assert_array_equal(model.predict(X).compute(), local.predict(data[0]))
    assert model.score(X, y) == local.score(*data)


def test_scoring_monitor_sees_every_iteration(client, data):
    X, y = split(*data)
    monitor = ScoringMonitor(scoring="accuracy")
    model = make_model().set_callbacks(monitor).fit(X, y)
    rows = monitor.get_logs().data
    scores = [row["accuracy"] for row in rows if row["task_name"] == "epoch"]
    assert len(scores) == 3
    assert scores[-1] == model.to_local().score(*data)
    assert_array_equal(model.predict(X).compute(), model.to_local().predict(data[0]))


# ---------------------------------------------------------------------- data


def test_columns_of_one_random_source_are_loaded_once_and_belong_together(client, tmp_path):
    folder = str(tmp_path)

    def load(number):
        tempfile.mkstemp(dir=folder)
        values = np.random.default_rng().normal(size=(200, 2))  # others at every load
        frame = pd.DataFrame(values, columns=["a", "b"])
        frame["label"] = (frame["a"] > 0).astype(int)
        return frame

    meta = pd.DataFrame({"a": [0.0], "b": [0.0], "label": [0]}).iloc[:0]
    table = dd.from_map(load, range(4), meta=meta)
    model = DaskDeepBinaryClassifier((), solver="lbfgs", alpha=0, max_iter=30, random_state=0)
    model.fit(table[["a", "b"]], table["label"])
    assert len(list(tmp_path.iterdir())) == 4
    # labels of other rows would leave it near log(2)
    assert model.loss_curve_[-1] < 0.1


def test_order_of_many_partitions_is_that_of_one_permutation():
    n_rows, batch_size = 997, 60
    random_state = np.random.RandomState(3)
    order = Order(0, n_rows, 17, batch_size, pickle.dumps(random_state), 0, True)
    permutation = random_state.permutation(n_rows)
    edges = [0, 0, *range(7, 990, 11), n_rows]
    for batch in (0, 16, 3):
        expected = np.sort(permutation[batch * batch_size : (batch + 1) * batch_size])
        rows = [
            start + order.share(batch, k, start, end - start)
            for k, (start, end) in enumerate(itertools.pairwise(edges))
        ]
        assert_array_equal(np.concatenate(rows), expected)


def test_labels_in_one_column_are_taken_without_a_warning(client, data):
    X, y = split(*data)
    expected = make_model().fit(X, y)
    model = make_model().fit(X, y[:, None])
    assert_array_equal(model.coefs_[0], expected.coefs_[0])
    # where a warning would be seen
    partition = load_partition(0, data[0], data[1][:, None], None, ("X", "y", "weight"))
    assert_array_equal(partition.y, data[1])


@pytest.mark.parametrize("method", ["fit", "predict", "score"])
def test_unknown_number_of_columns_is_an_error(client, data, method):
    X, y = split(*data)
    model = make_model().fit(X, y)
    wide = X[:, da.from_array(np.ones(4, bool), chunks=4)]
    arguments = (wide,) if method == "predict" else (wide, y)
    with pytest.raises(ValueError, match="X must know its number of columns"):
        getattr(model, method)(*arguments)


def test_predicting_one_column_is_an_error(client, data):
    X, y = split(*data)
    model = make_model().fit(X, y)
    series = dd.from_pandas(pd.Series(data[0][:, 0]), npartitions=2)
    for vector in (X[:, 0], series):
        with pytest.raises(ValueError, match="X must have 2 dimensions, got 1"):
            model.predict(vector)
        with pytest.raises(ValueError, match="X must have 2 dimensions, got 1"):
            model.score(vector, y)


def mixed_up(data, order):
    """Return a frame whose second partition has its columns in another order, and the labels."""
    frame = pd.DataFrame(data[0], columns=list("abcd"))
    table = dd.from_pandas(frame, npartitions=3)

    def mix(part, partition_info=None):
        return part.assign(e=0.0)[order] if partition_info["number"] == 1 else part

    X = table.map_partitions(mix, meta=frame.iloc[:0], enforce_metadata=False)
    return frame, X, dd.from_pandas(pd.Series(data[1]), npartitions=3)


def test_partitions_with_columns_in_another_order_are_put_in_order(client, data):
    frame, X, y = mixed_up(data, ["d", "b", "a", "c"])
    model = make_model(early_stopping=True).fit(X, y, X_val=X, y_val=y)
    expected = make_model(early_stopping=True)
    in_order = dd.from_pandas(frame, npartitions=3)
    expected.fit(in_order, y, X_val=in_order, y_val=y)
    assert_array_equal(model.feature_names_in_, list("abcd"))
    assert_array_equal(model.coefs_[0], expected.coefs_[0])
    assert_allclose(model.validation_scores_, expected.validation_scores_, rtol=1e-12)
    assert_array_equal(model.predict_proba(X).compute(), model.to_local().predict_proba(frame))
    assert model.score(X, y) == model.to_local().score(frame, data[1])


def test_frame_that_dask_itself_mixes_up_is_learnt_by_its_names(client):
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(rng.standard_normal((300, 3)), columns=["z", "m", "a"])
    labels = frame["z"] > 0
    table = dd.from_pandas(frame, npartitions=2)
    X = (table - table.mean()) / table.std()
    model = DaskDeepBinaryClassifier((), solver="lbfgs", tol=None, random_state=0)
    model.fit(X, dd.from_pandas(labels, npartitions=2))
    scaled = (frame - frame.mean()) / frame.std()
    rows = scaled[list(model.feature_names_in_)]
    assert model.to_local().score(rows, labels) > 0.95


@pytest.mark.parametrize(
    "order", [["a", "b", "c"], ["a", "b", "c", "d", "d"], ["a", "b", "c", "e"]]
)
@pytest.mark.parametrize("method", ["fit", "predict", "score"])
def test_partition_with_other_columns_is_named(client, data, order, method):
    frame, X, y = mixed_up(data, list(order))
    model = make_model().fit(dd.from_pandas(frame, npartitions=3), y)
    where = "Partition 1 of X" if method == "fit" else "A block of X"
    call = {
        "fit": lambda: model.fit(X, y),
        "predict": lambda: model.predict(X).compute(),
        "score": lambda: model.score(X, y),
    }[method]
    with pytest.raises(ValueError, match=f"{where}.* has the columns .* where the whole says"):
        call()


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_prediction_of_frames_warns_of_nothing(client, data, method):
    _, X, y = mixed_up(data, ["d", "b", "a", "c"])
    model = make_model().fit(X, y)
    # where a warning would be seen
    getattr(model, method)(X).compute(scheduler="synchronous")


def test_frame_in_memory_is_told_from_one_of_dask(client, data):
    frame, X, y = mixed_up(data, list("abcd"))
    with pytest.raises(TypeError, match=r"X must be a Dask .* got pandas DataFrame"):
        make_model().fit(frame, y)
    with pytest.raises(TypeError, match=r"y must be a Dask .*, got pandas Series"):
        make_model().fit(X, pd.Series(data[1]))


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (("float32", "int16"), np.float32),
        (("float32", "int32"), np.float64),
        (("float32", "bool"), np.float32),
        (("int16", "int16"), np.float64),
    ],
)
def test_lazy_dtype_of_mixed_columns_is_what_is_computed(client, dtypes, expected):
    rng = np.random.RandomState(0)
    frame = pd.DataFrame({"a": rng.randint(0, 2, 100), "b": rng.randint(0, 2, 100)})
    frame = frame.astype(dict(zip("ab", dtypes, strict=True)))
    y = dd.from_pandas(pd.Series(rng.randint(0, 2, 100)), npartitions=2)
    X = dd.from_pandas(frame, npartitions=2)
    lazy = make_model().fit(X, y).predict_proba(X)
    assert lazy.dtype == expected
    assert lazy.compute().dtype == expected


# ---------------------------------------------------------------------- weights and texts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight: weight * 0, "every weight is zero"),
        (lambda weight: weight - 2, "sample_weight must not be negative"),
        (lambda weight: weight * np.nan, "contains NaN"),
    ],
    ids=["zero", "negative", "NaN"],
)
def test_score_with_weights_that_cannot_be_used_is_an_error(client, data, change, message):
    X, y = split(*data)
    model = make_model().fit(X, y)
    with pytest.raises(ValueError, match=message):
        model.score(X, y, change(da.ones(300, chunks=100)))


def test_score_of_no_rows_is_an_error(client, data):
    X, y = split(*data)
    model = make_model().fit(X, y)
    with pytest.raises(ValueError, match="X has no rows"):
        model.score(X[:0], y[:0])


def test_weights_of_strings_are_an_error_that_names_the_partition(client, data):
    weight = da.from_array(np.full(300, "heavy"), chunks=100)
    with pytest.raises(ValueError, match=r"Partition \d of X: sample_weight must be numbers"):
        make_model().fit(*split(*data), weight)


def test_error_with_a_long_text_is_cut_and_keeps_its_type(client, data):
    X, y = split(*data)
    X = X.map_blocks(lambda block: np.full(block.shape, "x" * 20_000, object), dtype=object)
    with pytest.raises(ValueError, match=r"Partition \d of X: could not .* \.\.\.$") as caught:
        make_model().fit(X, y)
    assert len(str(caught.value)) < 3000


def test_dates_are_an_error_that_names_the_column(client):
    X = pd.DataFrame({"when": pd.date_range("2026-11-27", periods=20)})
    y = pd.Series(np.arange(20) % 2)
    with pytest.raises(ValueError, match=r"Partition \d of X: Column 'when' of X, datetime64"):
        make_model().fit(dd.from_pandas(X, npartitions=2), dd.from_pandas(y, npartitions=2))


def test_text_is_an_error_that_names_the_column(client, data):
    X = pd.DataFrame({"a": np.arange(20.0), "port": ["S", "C"] * 10})
    y = dd.from_pandas(pd.Series(np.arange(20) % 2), npartitions=2)
    with pytest.raises(ValueError, match=r"Partition \d of X: Column 'port' of X, .* encode it"):
        make_model().fit(dd.from_pandas(X, npartitions=2), y)
    numbers = X.assign(port=X["a"] ** 2)
    model = make_model().fit(dd.from_pandas(numbers, npartitions=2), y)
    with pytest.raises(ValueError, match="Column 'port' of X"):
        model.predict(dd.from_pandas(X, npartitions=2)).compute()


# ---------------------------------------------------------------------- what stands behind masks


def masked(array):
    """Return an array whose fifth row is masked, in blocks."""
    mask = np.zeros(array.shape, bool)
    mask[4] = True
    return da.from_array(np.ma.array(array, mask=mask), chunks=(100, -1)[: array.ndim])


@pytest.mark.parametrize("hidden", ["X", "y", "sample_weight"])
@pytest.mark.parametrize("method", ["fit", "score"])
def test_masked_entries_are_an_error_that_names_them(client, data, hidden, method):
    arrays = {"X": data[0], "y": data[1], "sample_weight": np.ones(300)}
    rows = {
        name: da.from_array(array, chunks=(100, -1)[: array.ndim]) for name, array in arrays.items()
    }
    model = make_model().fit(**rows)
    rows[hidden] = masked(arrays[hidden])
    with pytest.raises(ValueError, match=rf"{hidden} has [14] masked entries"):
        getattr(model, method)(**rows)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_nothing_is_predicted_from_behind_a_mask(client, data, method):
    model = make_model().fit(*split(*data))
    with pytest.raises(ValueError, match="X has 4 masked entries"):
        getattr(model, method)(masked(data[0])).compute()
