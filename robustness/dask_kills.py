"""Workers that die or stop at random moments: the result is that of an undisturbed run.

Each round starts a cluster of three worker processes, keeps a collection of its own there, trains,
and sends one of the workers a signal: SIGKILL at a moment between the loading of the data and the
last epoch, or, in turn, SIGKILL or SIGSTOP while the data are loaded. The parameters are compared
with those of a local fit, and the collection must be there as before.

    python -m robustness.dask_kills --kills 20
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import sys
import threading
import time
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait

from skdnn import DeepBinaryClassifier
from skdnn.dask import DaskDeepBinaryClassifier

PARAMETERS = {
    "hidden_layer_sizes": (32, 16),
    "learning_rate_init": 0.01,
    "batch_size": 5000,
    "max_iter": 40,
    "tol": None,
    "random_state": 0,
    "row_space": False,
}


def largest_difference(model: DeepBinaryClassifier, other: DeepBinaryClassifier) -> float:
    pairs = zip(model.coefs_ + model.intercepts_, other.coefs_ + other.intercepts_, strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


class Round(NamedTuple):
    """What came of one cluster."""

    model: DaskDeepBinaryClassifier
    seconds: float  # of the fit
    loading: float  # seconds until the first epoch began
    struck: bool  # whether the signal came before the end
    kept: bool  # whether what the user had on the cluster is still there


class FirstEpoch:
    """Callback that notes when the first epoch begins."""

    began = 0.0

    def setup(self, estimator: Any, context: Any) -> None:
        pass

    def teardown(self, estimator: Any, context: Any) -> None:
        pass

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        if context.task_name == "epoch" and not self.began:
            self.began = time.perf_counter()

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        pass


def slowly(block: np.ndarray) -> np.ndarray:
    """Return a block after a while, so that there is time to die while it is loaded."""
    time.sleep(0.3)
    return block


def fit_and_strike(solver: str, X: da.Array, y: da.Array, delay: float, what: int) -> Round:
    """Train on a cluster of which one worker gets a signal after some seconds."""
    with (
        LocalCluster(
            n_workers=3, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster, direct_to_workers=True) as client,
    ):
        own = client.persist(da.arange(1000, chunks=100))
        wait(own)
        process = next(iter(client.run(os.getpid).values()))
        striker = threading.Timer(delay, os.kill, (process, what))
        timeout = 120 if what == signal.SIGKILL else 15
        model = DaskDeepBinaryClassifier(**PARAMETERS, solver=solver, timeout=timeout)
        first = FirstEpoch()
        started = time.perf_counter()
        striker.start()
        try:
            model.set_callbacks(first).fit(X, y)
            seconds = time.perf_counter() - started
            struck = not striker.is_alive()
        finally:
            striker.cancel()
            if what == signal.SIGSTOP:
                os.kill(process, signal.SIGCONT)
        kept = client.status == "running" and int(own.sum().compute()) == 499500
    return Round(model, seconds, first.began - started, struck, kept)


def main(arguments: list[str] | None = None) -> int:
    """Kill, compare, print a line a round, and return 1 if a result was not right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    for name in ("distributed", "distributed.nanny", "distributed.scheduler"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    rng, draw = random.Random(options.seed), np.random.RandomState(options.seed)
    X = draw.standard_normal((50_000, 20))
    y = X[:, 0] * X[:, 1] + 0.3 * draw.standard_normal(50_000) > 0
    chunks = (9_000, 1_000, 15_000, 10_000, 15_000)
    dask_X, dask_y = da.from_array(X, chunks=(chunks, 20)), da.from_array(y, chunks=(chunks,))
    dask_X = dask_X.map_blocks(slowly, dtype=X.dtype)
    expected, undisturbed = {}, {}
    for solver in ("gd", "adam"):
        expected[solver] = DeepBinaryClassifier(**PARAMETERS, solver=solver).fit(X, y)
        undisturbed[solver] = fit_and_strike(solver, dask_X, dask_y, 1e6, signal.SIGKILL)
    faults = (("SIGKILL", False), ("SIGKILL", True), ("SIGSTOP", True))
    n_struck = n_wrong = n_lost = n_rounds = 0
    while n_struck < options.kills:
        solver = ("gd", "adam")[n_rounds % 2]
        name, loading = faults[n_rounds % len(faults)]
        n_rounds += 1
        before = undisturbed[solver]
        delay = rng.uniform(0, before.loading if loading else before.seconds)
        outcome = fit_and_strike(solver, dask_X, dask_y, delay, getattr(signal, name))
        if not outcome.struck:
            continue
        difference = largest_difference(outcome.model, expected[solver])
        n_struck += 1
        n_wrong += difference > 1e-8
        n_lost += not outcome.kept
        print(
            f"{n_struck:2d}: {name}, {solver}, after {delay:5.2f} s of {outcome.seconds:5.2f} s "
            f"({outcome.loading:5.2f} s of loading), largest difference from the local fit "
            f"{difference:.1e}",
            flush=True,
        )
    print(
        f"{n_struck} workers killed or stopped (seed {options.seed}), {n_wrong} wrong results, "
        f"{n_lost} users' collections lost"
    )
    return int(n_wrong > 0 or n_lost > 0)


if __name__ == "__main__":
    sys.exit(main())
