"""What tests of several modules ask of a Dask cluster."""

import dask
import dask.array as da


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
