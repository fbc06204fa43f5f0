"""Throughput of training on 1, 2 and 4 worker processes of one thread each, and a step's overhead.

    python -m benchmarks.dask_scaling

Each cluster trains the same net on the same rows. Every epoch is timed by a callback; the fastest
one counts. The compute of a step is measured on the workers themselves: an actor's time for its
share of a batch. What a step takes beyond that is overhead: parameters and gradients on their way,
the client's sums and its solver. The figures are those of the machine's cores: 4 workers on 2 cores
share them.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait

from skdnn.dask import DaskDeepBinaryClassifier
from skdnn.dask.actor import PartitionActor


class EpochTimes:
    """Callback that notes when epochs end."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def setup(self, estimator: Any, context: Any) -> None:
        pass

    def teardown(self, estimator: Any, context: Any) -> None:
        pass

    def on_fit_task_begin(self, estimator: Any, context: Any, **others: Any) -> None:
        pass

    def on_fit_task_end(self, estimator: Any, context: Any, **others: Any) -> None:
        if context.task_name == "epoch":
            self.ends.append(time.perf_counter())


def time_gradients() -> None:
    """Let the actors of a worker note how long each of their shares takes."""
    if hasattr(PartitionActor, "seconds"):
        return
    PartitionActor.seconds = []
    compute = PartitionActor.gradient

    def timed(self: PartitionActor, *arguments: Any) -> Any:
        started = time.perf_counter()
        share = compute(self, *arguments)
        PartitionActor.seconds.append(time.perf_counter() - started)
        return share

    PartitionActor.gradient = timed


def take_seconds() -> list[float]:
    """Return the noted times, and forget them."""
    noted, PartitionActor.seconds = PartitionActor.seconds, []
    return noted


def measure(n_workers: int, options: argparse.Namespace) -> dict[str, float]:
    """Train on a cluster; return seconds and throughput of a step, in the fastest epoch."""
    n_blocks = 16
    rows = options.rows // n_blocks
    with (
        LocalCluster(
            n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster, direct_to_workers=True) as client,
    ):
        client.run(time_gradients)
        X = da.random.default_rng(0).standard_normal(
            size=(options.rows, options.features), chunks=(rows, -1), dtype=np.float32
        )
        y = X[:, 0] * X[:, 1] > 0
        X, y = client.persist([X, y])
        wait([X, y])
        times = EpochTimes()
        model = DaskDeepBinaryClassifier(
            tuple(options.hidden),
            batch_size=options.batch,
            max_iter=options.epochs,
            tol=None,
            random_state=0,
        )
        model.set_callbacks(times).fit(X, y)
        # the slowest worker's share is what a step waits for
        shares = np.array(list(client.run(take_seconds).values()))  # (n_workers, n_steps)
    epochs = np.diff(times.ends)  # without the first, in which workers draw and warm up
    n_steps = -(-options.rows // options.batch)
    best = int(epochs.argmin())
    compute = shares.max(axis=0).reshape(options.epochs, n_steps)[best + 1].sum()
    return {
        "workers": n_workers,
        "rows_per_second": options.rows / epochs[best],
        "step": epochs[best] / n_steps,
        "compute": compute / n_steps,
        "overhead": (epochs[best] - compute) / n_steps,
        "parameters": model.n_parameters_,
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 32])
    parser.add_argument("--batch", type=int, default=65_536)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args(arguments)
    print(f"load average {os.getloadavg()[0]:.1f} before")
    print(
        f"{options.rows:,} x {options.features} float32, hidden {tuple(options.hidden)}, adam, "
        f"batches of {options.batch:,}"
    )
    print("workers  rows a second  gain  step ms  compute ms  overhead ms")
    first = None
    for n_workers in options.workers:
        found = measure(n_workers, options)
        first = first or found["rows_per_second"]
        print(
            f"{n_workers:7d} {found['rows_per_second']:14,.0f}"
            f" {found['rows_per_second'] / first:5.2f}"
            f" {1e3 * found['step']:8.1f} {1e3 * found['compute']:11.1f}"
            f" {1e3 * found['overhead']:12.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
