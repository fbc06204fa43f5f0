"""What tests of several modules ask of a Dask cluster."""

import time
from contextlib import contextmanager

import dask
import dask.array as da
from distributed import LocalCluster
from distributed.core import Status


@contextmanager
def cluster_to_ruin():
    """Give a cluster of three processes, whose workers a test may kill."""
    with LocalCluster(
        n_workers=3, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster
        # distributed fails if it closes a nanny whose worker is just about to start anew
        for _ in range(6000):
            if not any(is_restarting(nanny) for nanny in cluster.workers.values()):
                break
            time.sleep(0.05)


def is_restarting(nanny):
    return nanny.status == Status.running and not (
        nanny.is_alive() and nanny.process.status == Status.running
    )


def on_workers(client, workers, *collections):
    """Return collections whose blocks are held by some of the workers, in turn."""
    placed = []
    for collection in collections:
        blocks = [
            client.compute(block, workers=[workers[k % len(workers)]])
            for k, block in enumerate(collection.to_delayed().ravel())
        ]
        arrays = [
            da.from_delayed(dask.delayed(block), (n, *collection.shape[1:]), collection.dtype)
            for block, n in zip(blocks, collection.chunks[0], strict=True)
        ]
        placed.append(da.concatenate(arrays))
    return placed
