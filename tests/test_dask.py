"""Training on a Dask cluster of processes gives what a local fit gives.

One cluster of four workers serves the module. Faults are in test_dask_faults.py.
"""

import asyncio
import functools
import inspect
import pickle

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from distributed import Client, LocalCluster
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight

import skdnn.dask.objective
import skdnn.dask.preparation
from skdnn import DeepBinaryClassifier
from skdnn.dask import DaskDeepBinaryClassifier
from skdnn.solvers import DivergenceError
from tests.callbacks import Callback
from tests.clusters import on_workers

UNEVEN = (60, 450, 290, 200)
N_ROWS = sum(UNEVEN)


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=4, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster, direct_to_workers=True) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def data():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((N_ROWS, 5))
    y = X[:, 0] * X[:, 1] + 0.3 * rng.standard_normal(N_ROWS) > 0
    return X, y


def split(*arrays, chunks=UNEVEN):
    return [
        da.from_array(a, chunks=(chunks, *(-1 for _ in a.shape[1:])), name=False) for a in arrays
    ]


def make_pair(**parameters):
    """Return a local and a Dask estimator with the same parameters."""
    common = {
        "hidden_layer_sizes": (6, 4),
        "max_iter": 4,
        "tol": None,
        "random_state": 0,
        "batch_size": 150 if parameters.get("solver", "adam") != "gd" else "auto",
        "learning_rate_init": 0.03,
        "row_space": False,
        **parameters,
    }
    return DeepBinaryClassifier(**common), DaskDeepBinaryClassifier(**common)


def assert_same_fit(actual, expected, atol=1e-10):
    assert actual.n_iter_ == expected.n_iter_
    assert_array_equal(actual.classes_, expected.classes_)
    for a, b in zip(
        actual.coefs_ + actual.intercepts_, expected.coefs_ + expected.intercepts_, strict=True
    ):
        assert a.dtype == b.dtype
        assert_allclose(a, b, rtol=0, atol=atol)
    assert_allclose(actual.loss_curve_, expected.loss_curve_, rtol=1e-9)


# ---------------------------------------------------------------------- the same objective


@pytest.mark.parametrize("solver", ["gd", "lbfgs"])
def test_thirty_iterations_on_uneven_partitions_equal_the_local_fit(client, data, solver):
    local, remote = make_pair(solver=solver, max_iter=30)
    assert_same_fit(remote.fit(*split(*data)), local.fit(*data))


@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "adam", "max_grad_norm": 0.1, "learning_rate": "one_cycle", "warmup": 1},
        {"solver": "adamw", "alpha": 0.1},
        {"solver": "sgd", "shuffle": False},
        {"solver": "sgd", "momentum": 0.5, "activation": "tanh", "alpha": 1.0},
    ],
    ids=["adam", "adamw", "sgd in order", "sgd"],
)
def test_solvers_with_batches_equal_the_local_fit(client, data, parameters):
    local, remote = make_pair(**parameters)
    assert_same_fit(remote.fit(*split(*data)), local.fit(*data))


@pytest.fixture
def n_actors(monkeypatch):
    """Return a list that gets the number of actors of every data set that is loaded."""
    counts = []

    class Counted(skdnn.dask.preparation.RemoteData):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            counts.append(len(self._held))

    monkeypatch.setattr(skdnn.dask.preparation, "RemoteData", Counted)
    return counts


@pytest.mark.parametrize(
    ("parameters", "same_order_rows"),
    [({}, 2**20), ({}, 100), ({"dropout": 0.3}, 2**20), ({"solver": "gd", "dropout": 0.3}, 100)],
    ids=["local order", "order by partition", "dropout", "dropout of all rows"],
)
def test_result_is_the_same_for_1_2_and_4_workers(
    client, data, n_actors, monkeypatch, parameters, same_order_rows
):
    monkeypatch.setattr(skdnn.dask.objective, "SAME_ORDER_ROWS", same_order_rows)
    _, remote = make_pair(**parameters)
    workers = sorted(client.nthreads())
    models = [clone(remote).fit(*on_workers(client, workers[:n], *split(*data))) for n in (1, 2, 4)]
    assert n_actors == [1, 2, 4]
    assert_same_fit(models[1], models[0], atol=1e-8)
    assert_same_fit(models[2], models[0], atol=1e-8)


def test_rows_of_a_partition_order_are_learnt_as_well(client, data, monkeypatch):
    monkeypatch.setattr(skdnn.dask.objective, "SAME_ORDER_ROWS", 100)
    local, remote = make_pair(max_iter=12)
    X, y = data
    remote.fit(*split(X, y))
    local.fit(X, y)
    # other batches, so only alike
    loss = log_loss(y, remote.predict_proba(X))
    assert loss < 0.9 * log_loss(y, np.full((N_ROWS, 2), 0.5))
    assert_allclose(loss, log_loss(y, local.predict_proba(X)), rtol=0.1)


# ---------------------------------------------------------------------- kinds of data


def test_weights_of_rows_and_classes_equal_the_local_fit(client, data):
    X, y = data
    weight = np.random.RandomState(1).uniform(0, 3, N_ROWS)
    weight[::5] = 0
    weight[:60] = 0  # a whole partition
    local, remote = make_pair(solver="sgd", class_weight="balanced")
    assert_same_fit(remote.fit(*split(X, y, weight)), local.fit(X, y, weight))


@pytest.mark.parametrize("same_order_rows", [2**20, 100])
def test_small_batches_with_weights_move_as_all_rows_do(client, data, monkeypatch, same_order_rows):
    monkeypatch.setattr(skdnn.dask.objective, "SAME_ORDER_ROWS", same_order_rows)
    collections = split(data[0], np.arange(N_ROWS) % 50 == 3)
    common = {"class_weight": "balanced", "max_iter": 1, "alpha": 0, "momentum": 0}

    def coef_after(solver, learning_rate_init):
        _, remote = make_pair(
            **common, solver=solver, batch_size=8, learning_rate_init=learning_rate_init
        )
        return remote.fit(*collections).coefs_[0]

    start = coef_after("gd", 1e-12)
    whole = coef_after("gd", 125e-6) - start
    in_batches = coef_after("sgd", 1e-6) - start
    assert np.linalg.norm(in_batches - whole) < 0.2 * np.linalg.norm(whole)


def test_small_weighted_batches_equal_the_local_fit(client, data):
    X, y = data
    weight = 0.5 ** np.arange(N_ROWS)  # most of them 0 in float32
    local, remote = make_pair(batch_size=20, max_iter=1, shuffle=False)
    X, weight = X.astype(np.float32), np.maximum(weight, 1e-300)
    local.fit(X, y, weight)
    remote.fit(*split(X, y, weight))
    for a, b in zip(remote.coefs_, local.coefs_, strict=True):
        assert_allclose(a, b, rtol=0, atol=1e-5)


def test_class_weight_without_sample_weight_equals_row_weights(client, data):
    X, y = data
    _, remote = make_pair(solver="gd", class_weight={True: 3.0})
    local, _ = make_pair(solver="gd")
    weight = compute_sample_weight({True: 3.0, False: 1.0}, y)
    assert_same_fit(remote.fit(*split(X, y)), local.fit(X, y, weight))


def test_csr_blocks_equal_the_local_fit_on_csr(client, data):
    X, y = data
    sparse = scipy.sparse.csr_matrix(np.where(np.abs(X) > 0.7, X, 0))
    blocks = da.from_array(sparse.toarray(), chunks=(UNEVEN, 5)).map_blocks(
        scipy.sparse.csr_matrix, dtype=X.dtype
    )
    local, remote = make_pair(early_stopping=True)
    assert_same_fit(remote.fit(blocks, *split(y)), local.fit(sparse, y))
    assert_allclose(remote.decision_function(blocks).compute(), local.decision_function(sparse))


def test_float32_is_kept(client, data):
    X, y = data
    X = X.astype(np.float32)
    local, remote = make_pair()
    dask_X, dask_y = split(X, y)
    remote.fit(dask_X, dask_y)
    assert_same_fit_in_float32 = functools.partial(assert_allclose, rtol=0, atol=1e-5)
    for a, b in zip(remote.coefs_, local.fit(X, y).coefs_, strict=True):
        assert a.dtype == np.float32
        assert_same_fit_in_float32(a, b)
    assert remote.predict_proba(dask_X).dtype == np.float32
    assert remote.predict_proba(dask_X).compute().dtype == np.float32


def test_data_frame_of_unknown_lengths_and_string_labels(client, data):
    X, y = data
    frame = pd.DataFrame(X, columns=list("abcde"))
    frame["label"] = np.where(y, "yes", "no")
    frame["weight"] = 1.0 + np.arange(N_ROWS) % 3
    # one partition is left without rows
    table = dd.from_pandas(frame, npartitions=4).query("a < 1.0 and index >= 260")
    kept = frame.query("a < 1.0 and index >= 260")
    features = list("abcde")
    local, remote = make_pair()
    remote.fit(table[features], table["label"], table["weight"])
    local.fit(kept[features], kept["label"].to_numpy(object), kept["weight"])
    assert_same_fit(remote, local)
    assert_array_equal(remote.feature_names_in_, features)
    assert_array_equal(remote.predict(table[features]).compute(), local.predict(kept[features]))
    probabilities = remote.predict_proba(table[features])
    assert probabilities.shape[1] == 2
    assert_allclose(probabilities.compute(), local.predict_proba(kept[features]), rtol=1e-9)
    assert remote.score(table[features], table["label"]) == local.score(
        kept[features], kept["label"]
    )
    with pytest.raises(ValueError, match="feature names"):
        remote.predict(table[["b", "a", "c", "d", "e"]])


def test_empty_blocks_and_a_single_class_on_each_worker(client, data):
    X, y = data
    order = np.argsort(y, kind="stable")
    X, y = X[order], y[order]
    chunks = (0, 300, 0, 410, 290, 0)
    local, remote = make_pair()
    remote.fit(*split(X, y, chunks=chunks))
    assert_same_fit(remote, local.fit(X, y))
    assert_array_equal(remote.predict(split(X, chunks=chunks)[0]).compute(), local.predict(X))


def test_blocks_of_columns_and_other_row_blocks_of_y_are_cut_alike(client, data):
    X, y = data
    local, remote = make_pair(solver="gd")
    remote.fit(da.from_array(X, chunks=(100, 2)), da.from_array(y, chunks=75))
    assert_same_fit(remote, local.fit(X, y))


# ---------------------------------------------------------------------- validation rows


def test_validation_rows_on_one_worker_stop_at_the_epoch_of_the_local_fit(client, data, n_actors):
    X, y = data
    rng = np.random.RandomState(5)
    X_val = rng.standard_normal((40, 5))
    y_val = X_val[:, 0] * X_val[:, 1] > 0
    weight_val = rng.uniform(0, 1, 40)
    local, remote = make_pair(
        early_stopping=True, tol=1e-3, n_iter_no_change=3, max_iter=100, learning_rate_init=0.1
    )
    local.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weight_val)
    validation = split(X_val, y_val, weight_val, chunks=(0, 40))
    names = ("X_val", "y_val", "sample_weight_val")
    remote.fit(*split(X, y), **dict(zip(names, validation, strict=True)))
    assert n_actors[1] <= 2  # one has the rows, another may have the empty block
    assert 3 < remote.n_iter_ < 100
    assert remote.best_iter_ == local.best_iter_
    assert_same_fit(remote, local)
    assert_allclose(remote.validation_loss_curve_, local.validation_loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("scoring", ["loss", "roc_auc", "accuracy", "neg_brier_score"])
def test_rows_set_aside_are_those_of_the_local_fit(client, data, scoring):
    X, y = data
    weight = 1.0 + np.arange(N_ROWS) % 4
    weight[3::7] = 0
    local, remote = make_pair(early_stopping=True, scoring=scoring, validation_fraction=0.2)
    remote.fit(*split(X, y, weight))
    assert_same_fit(remote, local.fit(X, y, weight))
    assert_allclose(remote.validation_scores_, local.validation_scores_, rtol=1e-9)
    assert remote.best_iter_ == local.best_iter_


def test_callable_scoring_is_an_error_that_says_why(client, data):
    _, remote = make_pair(early_stopping=True, scoring=lambda estimator, X, y: 0.0)
    with pytest.raises(ValueError, match="scoring must be 'loss' or the name of a scorer"):
        remote.fit(*split(*data))


# ---------------------------------------------------------------------- going on


def test_warm_start_goes_on_as_the_local_fit_does(client, data):
    local, remote = make_pair(warm_start=True, early_stopping=True)
    collections = split(*data)
    for _ in range(2):
        local.fit(*data)
        remote.fit(*collections)
    assert len(remote.loss_curve_) == 8
    assert_same_fit(remote, local)


def test_partial_fit_goes_on_as_the_local_one_does(client, data):
    X, y = data
    local, remote = make_pair()
    for rows in (slice(0, 500), slice(500, None)):
        local.partial_fit(X[rows], y[rows], classes=[False, True])
        parts = split(X[rows], y[rows], chunks=(100, 400))
        remote.partial_fit(*parts, classes=[False, True])
    assert_same_fit(remote, local)


def test_local_estimator_goes_on_from_the_cluster(client, data):
    local, remote = make_pair()
    remote.fit(*split(*data))
    taken = remote.to_local()
    assert type(taken) is DeepBinaryClassifier
    assert taken.get_params() == local.get_params()
    assert_array_equal(taken.predict_proba(data[0]), remote.predict_proba(data[0]))
    taken.set_params(warm_start=True, solver="gd").fit(*data)
    assert len(taken.loss_curve_) == 8


# ---------------------------------------------------------------------- predictions


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_log_proba", "decision_function"]
)
def test_predictions_of_collections_are_lazy_and_equal_the_local_ones(client, data, method):
    X, y = data
    _, remote = make_pair(solver="gd")
    dask_X, dask_y = split(X, np.where(y, "yes", "no"))
    remote.fit(dask_X, dask_y)
    lazy = getattr(remote, method)(dask_X)
    expected = getattr(remote.to_local(), method)(X)
    assert isinstance(lazy, da.Array)
    assert lazy.shape == expected.shape
    assert lazy.chunks[0] == UNEVEN
    assert lazy.dtype == expected.dtype
    computed = lazy.compute()
    assert computed.dtype == expected.dtype
    assert_array_equal(computed, expected)
    assert_array_equal(getattr(remote, method)(X), expected)


def test_predictions_need_no_client(client, data):
    _, remote = make_pair(solver="gd")
    dask_X, dask_y = split(*data)
    remote.fit(dask_X, dask_y)
    with dask.config.set(scheduler="synchronous"):
        assert_array_equal(remote.predict(dask_X).compute(), remote.predict(data[0]))


def test_weighted_score_of_collections_equals_the_local_score(client, data):
    X, y = data
    _, remote = make_pair(solver="gd")
    weight = np.random.RandomState(2).uniform(size=N_ROWS)
    remote.fit(*split(X, y))
    expected = remote.to_local().score(X, y, weight)
    assert_allclose(remote.score(*split(X, y, weight)), expected)
    assert_allclose(remote.score(X, y, weight), expected)


def test_wrong_number_of_features_is_found_before_anything_is_computed(client, data):
    _, remote = make_pair(solver="gd")
    remote.fit(*split(*data))
    with pytest.raises(ValueError, match="X has 4 features"):
        remote.predict(split(data[0][:, :4])[0])


# ---------------------------------------------------------------------- estimator


def test_signature_is_the_local_one_with_client_and_timeout():
    local = inspect.signature(DeepBinaryClassifier.__init__).parameters
    remote = dict(inspect.signature(DaskDeepBinaryClassifier.__init__).parameters)
    assert remote.pop("client").default is None
    assert remote.pop("timeout").default == 300.0
    assert {n: p.default for n, p in remote.items()} == {n: p.default for n, p in local.items()}
    changed = {name: object() for name in local if name != "self"}
    parameters = DaskDeepBinaryClassifier(**changed).get_params(deep=False)
    assert {name: parameters[name] for name in changed} == changed


def test_clone_keeps_the_client_and_a_pickle_does_not(client, data):
    _, remote = make_pair(solver="gd")
    remote.set_params(client=client)
    assert remote.client_ is client
    assert clone(remote).client is client
    remote.fit(*split(*data))
    loaded = pickle.loads(pickle.dumps(remote))
    assert loaded.client is None
    assert remote.client is client
    assert_array_equal(loaded.predict(data[0]), remote.predict(data[0]))
    assert loaded.client_ is client  # the current one


def test_nothing_stays_on_the_cluster_after_fit(client, data):
    X, y = split(*data)
    before = set(client.futures)  # of other tests, whose tracebacks hold them
    _, remote = make_pair(early_stopping=True)
    remote.fit(X, y)
    with pytest.raises(DivergenceError):
        remote.set_params(solver="gd", learning_rate_init=1e300).fit(X, y)
    # futures are let go by the client's own thread: wait for all that it was asked before
    client.sync(asyncio.sleep, 0)
    assert set(client.futures) <= before


def test_callback_stops_training(client, data):
    class StopAfterTwo(Callback):
        n_epochs = 0

        def on_fit_task_end(self, estimator, context, **others):
            self.n_epochs += context.task_name == "epoch"
            return self.n_epochs == 2

    _, remote = make_pair(solver="gd")
    remote.set_callbacks(StopAfterTwo()).fit(*split(*data))
    assert remote.n_iter_ == 2


def test_verbose_prints_the_epochs(client, data, capsys):
    _, remote = make_pair(solver="gd", verbose=2)
    remote.fit(*split(*data))
    assert capsys.readouterr().out.count("Iteration") == 2


def test_dead_layer_is_told_of(client, data):
    X, y = data
    X = np.abs(X)
    _, remote = make_pair(
        solver="sgd", hidden_layer_sizes=(3,), learning_rate_init=1e4, max_iter=3, alpha=0
    )
    with pytest.warns(UserWarning, match="Hidden layer 1 of 1 is dead"):
        remote.fit(*split(X, y))


# ---------------------------------------------------------------------- errors


def test_array_in_memory_is_a_type_error(client, data):
    X, y = data
    with pytest.raises(TypeError, match="X must be a Dask Array or DataFrame, got ndarray"):
        DaskDeepBinaryClassifier().fit(X, y)
    with pytest.raises(TypeError, match="y must be a Dask Array, Series or DataFrame"):
        DaskDeepBinaryClassifier().fit(split(X)[0], y)


def three_classes(X, y):
    return X, np.arange(y.size) % 3


def one_class(X, y):
    return X, np.zeros_like(y)


def nan_in_a_row(X, y):
    X = X.copy()
    X[70, 2] = np.nan
    return X, y


def all_nan(X, y):
    return np.full_like(X, np.nan), y


def no_rows(X, y):
    return X[:0], y[:0]


def continuous(X, y):
    return X, X[:, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (three_classes, "Only binary classification is supported"),
        (one_class, "needs samples of 2 classes in the data"),
        (nan_in_a_row, "Partition 1 of X: Input X contains NaN"),
        (all_nan, "contains NaN"),
        (no_rows, "X has no rows"),
        (continuous, "Unknown label type"),
    ],
)
def test_data_that_cannot_be_used_are_an_error(client, data, change, message):
    X, y = change(*data)
    chunks = UNEVEN if len(X) else (0,)
    before = set(client.futures)
    _, remote = make_pair()
    with pytest.raises(ValueError, match=message):
        remote.fit(*split(X, y, chunks=chunks))
    assert not hasattr(remote, "classes_")
    client.sync(asyncio.sleep, 0)
    assert set(client.futures) <= before


def test_weights_that_cannot_be_used_are_an_error(client, data):
    X, y = data
    _, remote = make_pair()
    negative = np.ones(N_ROWS)
    negative[100] = -1
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        remote.fit(*split(X, y, negative))
    with pytest.raises(ValueError, match="every weight is zero"):
        remote.fit(*split(X, y, np.zeros(N_ROWS)))
    with pytest.raises(ValueError, match="all rows with a positive weight are of one class"):
        remote.fit(*split(X, y, y.astype(float)))
    with pytest.raises(ValueError, match="class_weight leaves no row a positive weight"):
        remote.set_params(class_weight={True: 0, False: 0}).fit(*split(X, y))


def test_partitions_that_do_not_match_are_an_error(client, data):
    X, y = data
    _, remote = make_pair()
    with pytest.raises(ValueError, match="y must be split as X is: it has 2 partitions, X has 4"):
        remote.fit(split(X)[0], da.from_array(y[:800], chunks=400))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        remote.fit(split(X)[0], split(y[:-1], chunks=(60, 450, 290, 199))[0])


def test_row_space_is_an_error(client, data):
    _, remote = make_pair(solver="gd", row_space=True)
    with pytest.raises(ValueError, match="row_space=True cannot serve rows"):
        remote.fit(*split(*data))


@pytest.mark.parametrize("scoring", ["loss", "roc_auc", "average_precision", "accuracy"])
@pytest.mark.parametrize("solver", ["gd", "adam"])
def test_divergence_is_told_alike_whatever_the_scorer(solver, scoring, client, data):
    X, y = data
    rows = da.from_array(1e3 * X.astype(np.float32), chunks=(250, 5))
    model = DaskDeepBinaryClassifier(
        (8, 8), solver=solver, learning_rate_init=1e30, max_iter=50, early_stopping=True,
        scoring=scoring, tol=None, random_state=0, activation="leaky_relu",
    )  # fmt: skip
    with pytest.raises(DivergenceError):
        model.fit(rows, da.from_array(y, chunks=250))
    assert not hasattr(model, "coefs_")


def test_no_setting_of_the_caller_reaches_the_workers(client, data):
    X, y = data
    rows, labels = on_workers(
        client,
        sorted(client.nthreads()),
        da.from_array(X, chunks=(250, 5)),
        da.from_array(y, chunks=250),
    )
    model = DaskDeepBinaryClassifier((8,), max_iter=3, tol=None, random_state=0)
    expected = clone(model).fit(rows, labels)
    with np.errstate(all="raise"):
        found = clone(model).fit(rows, labels)
        probabilities = found.predict_proba(1e30 * rows).compute()
    assert_array_equal(found.coefs_[0], expected.coefs_[0])
    assert_array_equal(probabilities, expected.predict_proba(1e30 * rows).compute())


def test_divergence_is_an_error_and_leaves_the_estimator_unfitted(client, data):
    _, remote = make_pair(solver="gd", learning_rate_init=1e300)
    with pytest.raises(DivergenceError):
        remote.fit(*split(*data))
    assert not hasattr(remote, "coefs_")


def test_validation_data_alone_are_an_error(client, data):
    X, y = split(*data)
    _, remote = make_pair()
    with pytest.raises(ValueError, match="X_val and y_val go together"):
        remote.fit(X, y, X_val=X)
    with pytest.raises(ValueError, match="are for early_stopping=True"):
        remote.fit(X, y, X_val=X, y_val=y)
    with pytest.raises(ValueError, match="y_val must have the same classes"):
        remote.set_params(early_stopping=True).fit(X, y, X_val=X, y_val=y + 1)
