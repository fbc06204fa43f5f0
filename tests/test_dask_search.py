"""Searches whose fits run on the workers of a Dask cluster, by joblib's own backend."""

import dask.array as da
import joblib
import numpy as np
import pytest
from distributed import Client, LocalCluster
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV

from skdnn import Checkpoint, DeepBinaryClassifier
from skdnn.dask import DaskDeepBinaryClassifier
from tests.callbacks import Callback
from tests.clusters import on_workers


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def make_search(callbacks=()):
    model = DeepBinaryClassifier((4,), max_iter=5, tol=None, random_state=0)
    model.set_callbacks(*callbacks)
    return GridSearchCV(model, {"alpha": [0.0, 1.0], "solver": ["sgd", "adam"]}, cv=3)


@pytest.fixture
def scattered(monkeypatch):
    """Return a list that gets the shape of every array that is scattered."""
    shapes = []
    scatter = Client.scatter

    def record(self, data, *arguments, **others):
        values = data if isinstance(data, list | tuple) else [data]
        shapes.extend(value.shape for value in values if isinstance(value, np.ndarray))
        return scatter(self, data, *arguments, **others)

    monkeypatch.setattr(Client, "scatter", record)
    return shapes


def test_search_on_a_cluster_equals_the_local_one_and_scatters_data_once(
    client, scattered, tmp_path
):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((3000, 5))
    y = X[:, 0] * X[:, 1] > 0
    search = make_search([Checkpoint(tmp_path / "run.ckpt")])
    with joblib.parallel_config(backend="dask"):
        search.fit(X, y)
    assert scattered.count(X.shape) == 1
    local = make_search().fit(X, y)
    assert_array_equal(search.cv_results_["mean_test_score"], local.cv_results_["mean_test_score"])
    assert_array_equal(search.predict(X), local.predict(X))
    assert len(list(tmp_path.iterdir())) == 13  # 4 candidates x 3 folds, and the last fit
    # a search that begins again reads them and ends the same
    again = make_search([Checkpoint(tmp_path / "run.ckpt")])
    with joblib.parallel_config(backend="dask"):
        again.fit(X, y)
    assert_array_equal(again.cv_results_["mean_test_score"], local.cv_results_["mean_test_score"])


class BreakDown(Callback):
    """Raises after the third epoch."""

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == 2:
            raise MemoryError


def test_training_on_a_cluster_goes_on_from_a_checkpoint(client, tmp_path):
    X = da.random.default_rng(0).normal(size=(600, 5), chunks=(200, 5))
    # where a partition is computed decides in which order sums are made
    X, y = on_workers(client, sorted(client.nthreads()), X, X[:, 0] > 0)
    parameters = {"max_iter": 6, "tol": None, "random_state": 0, "early_stopping": True}
    undisturbed = DaskDeepBinaryClassifier((4,), **parameters).fit(X, y)
    model = DaskDeepBinaryClassifier((4,), client=client, **parameters)
    model.set_callbacks(Checkpoint(tmp_path / "run.ckpt"), BreakDown())
    with pytest.raises(MemoryError):
        model.fit(X, y)
    model.set_callbacks(Checkpoint(tmp_path / "run.ckpt")).fit(X, y)
    assert model.loss_curve_ == undisturbed.loss_curve_
    assert_array_equal(model.coefs_[0], undisturbed.coefs_[0])
