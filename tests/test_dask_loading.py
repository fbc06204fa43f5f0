"""Faults while the data are loaded, each at a moment that is forced: right, or told as what it is.

Every test has a cluster of its own, which it may ruin.
"""

import importlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, Future
from numpy.testing import assert_allclose

from skdnn import DeepBinaryClassifier
from skdnn.dask import DaskDeepBinaryClassifier
from tests.clusters import cluster_to_ruin

PARAMETERS = {
    "hidden_layer_sizes": (6,),
    "solver": "gd",
    "max_iter": 5,
    "tol": None,
    "random_state": 0,
    "row_space": False,
}


@pytest.fixture
def cluster():
    # one worker that dies while it loads is enough to blame the loading
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        cluster_to_ruin() as cluster,
    ):
        yield cluster


@pytest.fixture
def client(cluster):
    with Client(cluster) as client:
        client.run(importlib.import_module, "skdnn.dask")  # outside of the times that are short
        yield client


@pytest.fixture(scope="module")
def data():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((600, 4))
    return X, X[:, 0] * X[:, 1] + 0.3 * rng.standard_normal(600) > 0


def split(X, y):
    return da.from_array(X, chunks=(100, 4)), da.from_array(y, chunks=100)


def run_in_thread(function):
    """Return what a function gives, so that one that hangs is a failure and no test that hangs."""
    outcome = []

    def run():
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(600)
    assert outcome, "no end in sight"
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def assert_undisturbed(model, data):
    expected = DeepBinaryClassifier(**PARAMETERS).fit(*data)
    for a, b in zip(
        model.coefs_ + model.intercepts_, expected.coefs_ + expected.intercepts_, strict=True
    ):
        assert_allclose(a, b, rtol=0, atol=1e-10)


def process_of(client, address):
    return client.run(os.getpid, workers=[address])[address]


def kill_holder(client, future):
    """Kill the worker that holds a result, and wait until the client knows."""
    (address,) = client.who_has([future])[future.key]
    os.kill(process_of(client, address), signal.SIGKILL)
    while address in client.scheduler_info()["workers"]:
        time.sleep(0.05)
    return address


def partitions_are_loaded(monkeypatch, strike):
    """Call a function once, when all partitions are loaded and none is held by an actor."""
    submit, calls = Client.submit, []

    def patched(self, function, *arguments, **others):
        if others.get("actor") and not calls:
            calls.append(None)
            strike(arguments[0][0])
        return submit(self, function, *arguments, **others)

    monkeypatch.setattr(Client, "submit", patched)
    return calls


def actors_are_made(monkeypatch, strike):
    """Call a function once, when all actors are made and the client asks for the first."""
    result, calls = Future.result, []

    def patched(self, timeout=None):
        if str(self.key).startswith("skdnn-actor") and not calls:
            calls.append(None)
            strike(self)
        return result(self, timeout)

    monkeypatch.setattr(Future, "result", patched)
    return calls


MOMENTS = [partitions_are_loaded, actors_are_made]


@pytest.mark.parametrize("moment", MOMENTS)
def test_worker_that_dies_just_after_loading_changes_nothing(client, data, monkeypatch, moment):
    def strike(future):
        kill_holder(client, future)
        while moment is actors_are_made and future.status == "finished":
            time.sleep(0.05)

    struck = moment(monkeypatch, strike)
    own = client.persist(da.arange(1000, chunks=100))
    model = DaskDeepBinaryClassifier(**PARAMETERS)
    run_in_thread(lambda: model.fit(*split(*data)))
    assert struck
    assert_undisturbed(model, data)
    # what belongs to the user is as it was
    assert client.status == "running"
    assert {future.status for future in client.futures.values()} <= {"finished", "pending", "lost"}
    assert own.sum().compute() == 499500


def test_cancelling_leaves_the_clients_connection_open(client, data, monkeypatch):
    """A key that the client wants no longer makes the scheduler drop its whole stream."""
    warnings = []
    monkeypatch.setattr(logging.getLogger("distributed.scheduler"), "error", warnings.append)

    def strike(future):
        raise MemoryError

    actors_are_made(monkeypatch, strike)
    own = client.persist(da.arange(1000, chunks=100))
    with pytest.raises(MemoryError):
        DaskDeepBinaryClassifier(**PARAMETERS).fit(*split(*data))
    assert client.submit(sum, [1, 2]).result() == 3
    assert own.sum().compute() == 499500
    assert client.run_on_scheduler(our_keys) == []


def our_keys(dask_scheduler):
    return [key for key in dask_scheduler.tasks if str(key).startswith("skdnn-")]


@pytest.mark.parametrize("moment", [None, *MOMENTS])
def test_worker_that_is_stopped_while_loading_changes_nothing(client, data, monkeypatch, moment):
    stopped = []

    def stop(address):
        stopped.append(process_of(client, address))
        os.kill(stopped[0], signal.SIGSTOP)

    if moment is None:
        stop(next(iter(client.nthreads())))
    else:
        moment(monkeypatch, lambda future: stop(client.who_has([future])[future.key][0]))
    model = DaskDeepBinaryClassifier(**PARAMETERS, timeout=10)
    try:
        run_in_thread(lambda: model.fit(*split(*data)))
    finally:
        for process in stopped:
            os.kill(process, signal.SIGCONT)
    assert stopped
    assert_undisturbed(model, data)


class StopsWhenSent:
    """Rows whose worker stops while it sends them to another, if it is the first to send any."""

    def __init__(self, rows, path):
        self.rows, self.path = rows, path

    def __reduce__(self):
        try:
            with Path(self.path).open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGSTOP)
        return StopsWhenSent, (self.rows, self.path)


def slowly_sent(rows, path):
    time.sleep(0.3)  # so that every worker gets some
    return StopsWhenSent(rows, path)


def join(pieces):
    return np.concatenate([piece.rows for piece in pieces])


def test_worker_that_waits_for_one_that_is_stopped_changes_nothing(client, data, tmp_path):
    X, y = split(*data)
    path = tmp_path / "stopped"
    pieces = [
        dask.delayed(slowly_sent)(rows, str(path)) for rows in np.array_split(data[0][:100], 6)
    ]
    first = da.from_delayed(dask.delayed(join)(pieces), (100, 4), X.dtype)
    model = DaskDeepBinaryClassifier(**PARAMETERS, timeout=5)
    try:
        run_in_thread(lambda: model.fit(da.concatenate([first, X[100:]]), y))
    finally:
        os.kill(int(path.read_text()), signal.SIGCONT)
    assert_undisturbed(model, data)


def blocks_of(data, load):
    """Return collections whose third block of X is loaded by a function of its rows."""
    X, y = data
    blocks = [dask.delayed(load if k == 2 else np.asarray)(X[100 * k :][:100]) for k in range(6)]
    X = da.concatenate([da.from_delayed(block, (100, 4), X.dtype) for block in blocks])
    return X, da.from_array(y, chunks=100)


def test_partition_whose_loading_kills_workers_is_named(client, data):
    def load(rows):
        os.kill(os.getpid(), signal.SIGKILL)

    def allow_failures(dask_scheduler):
        # so many that no other partition is beside this one in all of them
        dask_scheduler.allowed_failures = 4

    client.run_on_scheduler(allow_failures)
    model = DaskDeepBinaryClassifier(**PARAMETERS)
    message = "Partition 2 of X cannot be loaded: 5 workers died while"
    with pytest.raises(RuntimeError, match=message):
        run_in_thread(lambda: model.fit(*blocks_of(data, load)))


def test_loading_that_kills_one_worker_changes_nothing(client, data, tmp_path):
    flag = tmp_path / "killed"

    def load(rows):
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return rows

    model = DaskDeepBinaryClassifier(**PARAMETERS)
    run_in_thread(lambda: model.fit(*blocks_of(data, load)))
    assert flag.exists()
    assert_undisturbed(model, data)


def test_cluster_that_is_restarted_while_loading_changes_nothing(client, data, monkeypatch):
    partitions_are_loaded(monkeypatch, lambda future: client.restart(wait_for_workers=False))
    model = DaskDeepBinaryClassifier(**PARAMETERS)
    run_in_thread(lambda: model.fit(*split(*data)))
    assert_undisturbed(model, data)


# ---------------------------------------------------------------------- schedulers


@pytest.fixture
def scheduler(tmp_path):
    """Return the process of a scheduler that has one worker, and a client of it."""
    file = str(tmp_path / "scheduler.json")
    module = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    options = ["--port", "0", "--no-dashboard", "--host", "127.0.0.1", "--scheduler-file", file]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", file]
    none = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    with (
        subprocess.Popen([*module, *options], **none) as scheduler,
        subprocess.Popen([*worker, "--no-nanny", "--no-dashboard"], **none) as worker,
    ):
        try:
            with Client(scheduler_file=file, timeout=300) as client:
                client.wait_for_workers(1)
                yield scheduler, client
        finally:
            scheduler.kill()
            worker.kill()


def at_once(monkeypatch, strike):
    compute = Client.compute

    def patched(self, *arguments, **others):
        futures = compute(self, *arguments, **others)
        strike(None)
        return futures

    monkeypatch.setattr(Client, "compute", patched)


@pytest.mark.parametrize("moment", [at_once, *MOMENTS])
def test_scheduler_that_dies_while_loading_is_a_connection_error(
    scheduler, data, monkeypatch, moment
):
    process, client = scheduler

    def strike(future):
        process.kill()
        while client.status == "running":
            time.sleep(0.05)

    moment(monkeypatch, strike)
    model = DaskDeepBinaryClassifier(**PARAMETERS)
    with pytest.raises(ConnectionError, match="cluster is gone"):
        run_in_thread(lambda: model.fit(*split(*data)))
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("moment", [at_once, *MOMENTS])
def test_cluster_that_is_closed_while_loading_is_a_connection_error(
    cluster, client, data, monkeypatch, moment
):
    moment(monkeypatch, lambda future: cluster.close())
    model = DaskDeepBinaryClassifier(**PARAMETERS)
    with pytest.raises(ConnectionError, match="cluster is gone"):
        run_in_thread(lambda: model.fit(*split(*data)))


def test_scheduler_that_dies_while_scores_are_computed_is_a_connection_error(scheduler, data):
    process, _ = scheduler
    X, y = split(*data)
    model = DaskDeepBinaryClassifier(**PARAMETERS, timeout=600).fit(X, y)
    process.kill()
    process.wait()
    model.set_params(timeout=20)
    with pytest.raises(ConnectionError, match="cluster is gone"):
        run_in_thread(lambda: model.score(X, y))
