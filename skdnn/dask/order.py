"""Which rows a batch takes from each partition, the same wherever the partitions are.

Rows are numbered through all partitions. What is drawn depends on those numbers and on the
client's generator, never on the number of workers or on who holds what.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["SAME_ORDER_ROWS", "Order"]

Array = np.ndarray

# Up to so many rows, every worker draws the permutation of all of them that a local fit draws.
# Beyond, that would cost more than a worker's share of the gradients: each partition then has a
# permutation of its own, and gives every batch its share.
SAME_ORDER_ROWS = 2**20


@dataclass(frozen=True)
class Order:
    """The batches of one epoch.

    Parameters
    ----------
    epoch : int
        Number of the order; a worker draws it once.
    n_rows, n_batches, batch_size : int
        Training rows of all partitions, and how they are cut.
    generator : bytes, default=None
        Pickled RandomState that permutes all rows.
    seed : int, default=0
        Seeds the partitions' own permutations, unless there is a generator, and the dropout.
    shuffle : bool, default=False
        Whether rows come in a random order.
    """

    epoch: int
    n_rows: int
    n_batches: int
    batch_size: int
    generator: bytes | None = None
    seed: int = 0
    shuffle: bool = False

    def __getstate__(self) -> dict[str, object]:
        # without the permutation, which is drawn where it is needed
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    @cached_property
    def permutation(self) -> Array:
        """All rows in the order of a local fit, (n_rows,)."""
        assert self.generator is not None
        return pickle.loads(self.generator).permutation(self.n_rows)

    def _sorted(self, begin: int, end: int) -> Array:
        """Return a batch's rows in ascending order; kept for the batch's other partitions."""
        latest = self.__dict__.get("_latest")
        if latest is None or latest[0] != begin:
            latest = begin, np.sort(self.permutation[begin:end])
            self.__dict__["_latest"] = latest
        return latest[1]

    @cached_property
    def _of_partitions(self) -> dict[int, tuple[Array, float]]:
        return {}

    def share(self, batch: int | None, partition: int, start: int, n_rows: int) -> slice | Array:
        """Return the rows that a batch takes from a partition, in ascending order.

        Parameters
        ----------
        batch : int or None
            Number of the batch; None for all rows.
        partition : int
            Number of the partition.
        start, n_rows : int
            Number of its first row among all, and how many it has.

        Returns
        -------
        slice or ndarray of int
            Counted from the partition's first row.
        """
        if batch is None:
            return slice(0, n_rows)
        if self.shuffle and self.generator is None:
            order, offset = self._permutation_of(partition, n_rows)
            bounds = (int(n_rows * b / self.n_batches + offset) for b in (batch, batch + 1))
            return np.sort(order[slice(*bounds)])
        begin = batch * self.batch_size
        end = min(begin + self.batch_size, self.n_rows)
        if not self.shuffle:
            return slice(*np.clip([begin - start, end - start], 0, n_rows).tolist())
        rows = self._sorted(begin, end)
        first, last = np.searchsorted(rows, [start, start + n_rows])
        return rows[first:last] - start

    def _permutation_of(self, partition: int, n_rows: int) -> tuple[Array, float]:
        """Return a partition's own order, and what its share of a batch is rounded with.

        Were all shares rounded alike, partitions of one size would favour the same batches.
        """
        if partition not in self._of_partitions:
            draws = np.random.default_rng([self.seed, partition])
            order = draws.permutation(np.arange(n_rows, dtype=np.int32))
            self._of_partitions[partition] = order, draws.random()
        return self._of_partitions[partition]

    def dropout_state(self, batch: int | None, partition: int, row: int) -> np.random.RandomState:
        """Return the generator of what dropout leaves out of a block that begins with a row."""
        entropy = [self.seed, partition, self.n_batches if batch is None else batch, row]
        return np.random.RandomState(np.random.SFC64(entropy))
