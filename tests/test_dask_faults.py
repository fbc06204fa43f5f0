"""Workers that die, hang or are not there: a right result or a clear error in time, never a hang.

Every test has a cluster of its own, which it may ruin.
"""

import importlib
import os
import signal
import subprocess
import sys
import threading

import dask
import dask.array as da
import numpy as np
import psutil
import pytest
from distributed import Client, LocalCluster
from numpy.testing import assert_allclose

from skdnn import DeepBinaryClassifier
from skdnn.dask import DaskDeepBinaryClassifier
from tests.callbacks import Callback
from tests.clusters import cluster_to_ruin

PARAMETERS = {
    "hidden_layer_sizes": (8,),
    "solver": "gd",
    "learning_rate_init": 0.1,
    "max_iter": 40,
    "tol": None,
    "random_state": 0,
    "row_space": False,
}


@pytest.fixture
def cluster():
    """Return a cluster of three processes; none of them may be left at the end."""
    with cluster_to_ruin() as cluster:
        yield cluster
        children = psutil.Process().children(recursive=True)
    workers = [child for child in children if "spawn_main" in " ".join(command_of(child))]
    assert not psutil.wait_procs(workers, timeout=300)[1]


def command_of(process):
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


@pytest.fixture
def client(cluster):
    with Client(cluster, direct_to_workers=True) as client:
        client.run(importlib.import_module, "skdnn.dask")  # outside of the times that are short
        yield client


@pytest.fixture(scope="module")
def data():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((600, 4))
    return X, X[:, 0] * X[:, 1] + 0.3 * rng.standard_normal(600) > 0


def split(X, y):
    return da.from_array(X, chunks=(100, 4)), da.from_array(y, chunks=100)


def fit(model, X, y):
    """Fit in a thread, so that a fit that hangs is a failure and not a test that hangs."""
    errors = []

    def run():
        try:
            model.fit(X, y)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(600)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


class SignalInEpoch(Callback):
    """Callback that sends a signal to a worker that holds rows, while it is asked for a step."""

    def __init__(self, client, signals):
        self.client = client
        self.signals = signals  # {epoch: signal}
        self.epoch = 0
        self.sent = []

    def on_fit_task_end(self, estimator, context, **others):
        self.epoch += context.task_name == "epoch"
        if context.task_name == "epoch" and self.epoch in self.signals:
            held = self.client.run(count_actors)
            process = next(pid for pid, n_actors in held.values() if n_actors)
            self.sent.append(process)
            # a little later, so that it meets the next steps
            send = threading.Timer(0.01, os.kill, (process, self.signals[self.epoch]))
            send.start()


def count_actors(dask_worker):
    return os.getpid(), len(dask_worker.state.actors)


def assert_undisturbed(model, data, **changes):
    expected = DeepBinaryClassifier(**{**PARAMETERS, **changes}).fit(*data)
    for a, b in zip(
        model.coefs_ + model.intercepts_, expected.coefs_ + expected.intercepts_, strict=True
    ):
        assert_allclose(a, b, rtol=0, atol=1e-10)
    assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-10)


@pytest.mark.parametrize("solver", ["gd", "adam"])
def test_killed_workers_change_nothing(client, data, solver):
    changes = {"solver": solver, "batch_size": 300, "early_stopping": True}
    kill = SignalInEpoch(client, {5: signal.SIGKILL, 15: signal.SIGKILL})
    model = DaskDeepBinaryClassifier(**{**PARAMETERS, **changes})
    model.set_callbacks(kill).fit(*split(*data))
    assert len(set(kill.sent)) == 2
    assert_undisturbed(model, data, **changes)


def test_stopped_worker_counts_as_lost_after_timeout(client, data):
    stop = SignalInEpoch(client, {5: signal.SIGSTOP})
    model = DaskDeepBinaryClassifier(**PARAMETERS, timeout=10)
    try:
        fit(model.set_callbacks(stop), *split(*data))
    finally:
        for process in stop.sent:
            os.kill(process, signal.SIGCONT)
    assert_undisturbed(model, data)


def test_workers_that_all_hang_are_an_error_after_timeout(client, data):
    class StopAll(SignalInEpoch):
        def on_fit_task_end(self, estimator, context, **others):
            if not self.sent:
                self.sent = [pid for pid, _ in self.client.run(count_actors).values()]
                for process in self.sent:
                    os.kill(process, signal.SIGSTOP)

    stop = StopAll(client, {})
    model = DaskDeepBinaryClassifier(**PARAMETERS, timeout=5)
    try:
        with pytest.raises(TimeoutError, match="timeout=5 seconds"):
            fit(model.set_callbacks(stop), *split(*data))
    finally:
        for process in stop.sent:
            os.kill(process, signal.SIGCONT)
    assert not hasattr(model, "coefs_")


def test_dead_cluster_is_an_error(cluster, client, data):
    class CloseCluster(SignalInEpoch):
        def on_fit_task_end(self, estimator, context, **others):
            if context.task_name == "epoch":
                cluster.close()

    model = DaskDeepBinaryClassifier(**PARAMETERS)
    with pytest.raises(ConnectionError, match="The Dask cluster is gone"):
        fit(model.set_callbacks(CloseCluster(client, {})), *split(*data))


def test_data_that_were_scattered_cannot_be_loaded_again(client, data):
    X, y = data
    blocks = client.scatter([X[:300], X[300:]], broadcast=False)
    X = da.concatenate([da.from_delayed(dask.delayed(block), (300, 4), float) for block in blocks])
    kill = SignalInEpoch(client, {3: signal.SIGKILL})
    model = DaskDeepBinaryClassifier(**PARAMETERS)
    with pytest.raises(RuntimeError, match="cannot be computed again"):
        model.set_callbacks(kill).fit(X, da.from_array(y, chunks=300))


def test_cluster_without_workers_is_an_error_after_timeout(data):
    with (
        LocalCluster(n_workers=0, processes=True, dashboard_address=":0") as cluster,
        Client(cluster),
    ):
        model = DaskDeepBinaryClassifier(**PARAMETERS, timeout=1)
        with pytest.raises(TimeoutError, match="Are there workers"):
            model.fit(*split(*data))


def test_no_client_is_an_error(data):
    with pytest.raises(ValueError, match="There is no Dask client"):
        DaskDeepBinaryClassifier().fit(*split(*data))


def test_scheduler_that_does_not_answer_is_an_error_after_timeout(data, tmp_path):
    file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0"]
    options = ["--no-dashboard", "--host", "127.0.0.1", "--scheduler-file", str(file)]
    with subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL) as scheduler:
        try:
            with Client(scheduler_file=str(file), set_as_default=False, timeout=600) as client:
                scheduler.send_signal(signal.SIGSTOP)
                model = DaskDeepBinaryClassifier(**PARAMETERS, client=client, timeout=1)
                try:
                    with pytest.raises(ConnectionError, match="scheduler did not answer within"):
                        fit(model, *split(*data))
                finally:
                    scheduler.send_signal(signal.SIGCONT)
        finally:
            scheduler.terminate()


def test_score_without_workers_is_an_error_after_timeout(client, data):
    X, y = split(*data)
    model = DaskDeepBinaryClassifier(**PARAMETERS).fit(X, y)
    client.retire_workers(list(client.nthreads()))
    with pytest.raises(TimeoutError, match="no result within timeout=1 seconds"):
        model.set_params(timeout=1).score(X, y)
