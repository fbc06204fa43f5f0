"""SIGKILL of a worker at random moments of training: the result is that of an undisturbed run.

Each round starts a cluster of three worker processes, trains on it, and kills one of them at a
random moment, from the loading of the data to the last epoch. The parameters are compared with
those of a local fit.

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

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

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


def fit_and_kill(
    solver: str, X: da.Array, y: da.Array, delay: float
) -> tuple[DaskDeepBinaryClassifier, float, bool]:
    """Return the fitted model, its seconds, and whether the kill came before the end."""
    with (
        LocalCluster(
            n_workers=3, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster, direct_to_workers=True) as client,
    ):
        process = next(iter(client.run(os.getpid).values()))
        killer = threading.Timer(delay, os.kill, (process, signal.SIGKILL))
        killer.start()
        started = time.perf_counter()
        model = DaskDeepBinaryClassifier(**PARAMETERS, solver=solver, timeout=120).fit(X, y)
        seconds = time.perf_counter() - started
        killed = not killer.is_alive()
        killer.cancel()
    return model, seconds, killed


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
    expected, undisturbed = {}, {}
    for solver in ("gd", "adam"):
        expected[solver] = DeepBinaryClassifier(**PARAMETERS, solver=solver).fit(X, y)
        _, undisturbed[solver], _ = fit_and_kill(solver, dask_X, dask_y, 1e6)
    n_kills = n_wrong = n_rounds = 0
    while n_kills < options.kills:
        solver = ("gd", "adam")[n_rounds % 2]
        n_rounds += 1
        delay = rng.uniform(0, undisturbed[solver])
        model, seconds, killed = fit_and_kill(solver, dask_X, dask_y, delay)
        difference = largest_difference(model, expected[solver])
        if killed:
            n_kills += 1
            n_wrong += difference > 1e-8
            print(
                f"kill {n_kills:2d}: {solver}, after {delay:5.2f} s of {seconds:5.2f} s, largest "
                f"difference from the local fit {difference:.1e}",
                flush=True,
            )
    print(f"{n_kills} kills (seed {options.seed}), {n_wrong} wrong results")
    return int(n_wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
