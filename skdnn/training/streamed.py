"""Rows that stay in a file, and the objective over them: its batches come window by window.

The order, the sums and the network are those of `Objective`; only where the rows are read is new.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from skdnn.datasets.windows import Windows
from skdnn.network.evaluation import Batch
from skdnn.network.network import Network
from skdnn.numerics.threads import Crew, blas_threads
from skdnn.training.fingerprint import canonical
from skdnn.training.objective import Objective
from skdnn.training.rows import Rows
from skdnn.training.rowspace import FullSpace, RowSpace

__all__ = ["FileRows", "StreamedObjective"]

Array = np.ndarray

# Rows that a thread evaluates together where a batch is the whole file
_PIECE_ROWS = 4096


class StreamedObjective(Objective):
    """`Objective` over the rows of an `HDF5Matrix`.

    A batch of all rows is evaluated piece by piece, which changes its sums by rounding only.

    Parameters
    ----------
    network : Network
        Holds the flat vectors.
    X : HDF5Matrix of shape (n_samples, n_features)
        Training rows.
    y, sample_weight : ndarray of shape (n_samples,)
        As of `Objective`.
    batch_size : int
        Rows of a batch.
    shuffle : bool, default=True
        Whether an epoch goes through the chunks of the file in a new random order, and through
        the rows of each window of chunks.
    **others
        As of `Objective`.
    """

    def __init__(
        self,
        network: Network,
        X: Any,
        y: Array,
        sample_weight: Array | None = None,
        *,
        batch_size: int,
        shuffle: bool = True,
        **others: Any,
    ) -> None:
        n_samples = X.shape[0]
        self._takes_all = batch_size >= n_samples
        if self._takes_all:
            crew = others.get("crew")
            batch_size = min(_PIECE_ROWS * (1 if crew is None else crew.n_shares), n_samples)
        super().__init__(
            network,
            X,
            y,
            sample_weight,
            batch_size=batch_size,
            shuffle=shuffle and not self._takes_all,
            **others,
        )
        if self._takes_all:
            self.n_batches = 1
            self._sum = np.empty_like(self.gradient)
        whole_rows = 1 if self._takes_all else batch_size
        self._windows = Windows(X, batch_size=whole_rows, dtype=network.dtype)
        self._epoch = self._windows.epoch()

    # windows come in between
    run_compiled = None

    def batches(self) -> Iterator[Batch]:
        return iter([self.all_rows()]) if self._takes_all else self._read()

    def _read(self) -> Iterator[Batch]:
        """Read an epoch's windows, and give the batches of each while it is in place."""
        self._epoch = self._windows.epoch(self._random_state if self._shuffle else None)
        for window in self._epoch:
            place, weight = window.rows, self._sample_weight
            weight = weight if weight is None else weight[place]
            self._rows = window.X, self._signs[place], weight
            n_rows = place.size if window.order is None else window.order.size
            for start in range(0, n_rows, self._batch_size):
                batch = slice(start, min(start + self._batch_size, n_rows))
                yield batch if window.order is None else window.order[batch]

    def close(self) -> None:
        self._epoch.close()
        del self._epoch, self._windows  # whose buffers are most of what the file may take

    def _loss(self, batch: Batch, divisor: float) -> float:
        if not self._takes_all:
            return super()._loss(batch, divisor)
        value = 0.0
        self._sum[...] = 0
        for piece in self._read():
            value += super()._loss(piece, divisor)
            self._sum += self.gradient
        np.copyto(self.gradient, self._sum)
        return value


class FileRows(Rows):
    """Rows whose X is an HDF5Matrix."""

    no_row_space = "X that stays on disk"

    def in_memory(self) -> Rows:
        if self.X.nbytes <= self.X.memory_limit:
            return Rows(self.X.load(), self.positive, self.weight)
        return self

    def to_hash(self) -> tuple[Any, Any, Any]:
        # the file is not read, and its limit has a say in the order of the rows
        positive, weight = canonical(self.positive), canonical(self.weight)
        return (self.X.fingerprint(), self.X.memory_limit), positive, weight

    def make_objective(
        self, network: Network, space: FullSpace | RowSpace, batch_size: int, **options: Any
    ) -> StreamedObjective:
        return StreamedObjective(
            network,
            self.X,
            self.positive,
            self.weight,
            batch_size=batch_size,
            crew=self._make_crew(network, batch_size),
            **options,
        )

    def _make_crew(self, network: Network, batch_size: int) -> Crew | None:
        crew = super()._make_crew(network, batch_size)
        if crew is None or not self.X.keeps_busy:
            return crew
        # what is left over is the reader's
        return Crew(max(1, min(crew.n_shares, blas_threads() - 1)), crew.n_shares)
