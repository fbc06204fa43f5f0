"""What runs on a worker: it holds partitions, and computes what the client asks of them.

Nothing here knows of other workers or of the client.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np
from distributed import get_worker

from skdnn.dask.evaluation import Evaluator, NetworkPlan, cut_into_blocks
from skdnn.dask.held import HeldRows, Partition, Summary, summarise
from skdnn.dask.order import Order
from skdnn.network.activations import get_activation
from skdnn.network.evaluation import length
from skdnn.network.loss import log_loss, signs_of
from skdnn.network.network import layer_views
from skdnn.network.prediction import dead_layers, predict_logits
from skdnn.numerics.threads import Crew, single_blas_thread

__all__ = ["PartitionActor", "Share"]

Array = np.ndarray


class Share(NamedTuple):
    """What an actor found of its rows of a batch: weighted sums over ``n_rows``."""

    n_rows: int
    value: float
    gradient: Array | None  # (n_parameters,); None without rows


class PartitionActor:
    """Holds partitions on a worker and computes what the client asks of them.

    Every method returns numbers of all partitions that the actor holds, so that the client can
    ask another actor for the same if this one is lost.

    Parameters
    ----------
    partitions : list of Partition
        Kept by reference.
    """

    def __init__(self, partitions: list[Partition]) -> None:
        self._partitions = partitions
        self._train: list[HeldRows] = []
        self._held_out: list[HeldRows] = []
        self._evaluators: list[Evaluator] = []
        self._order: Order | None = None
        self._n_threads = get_worker().state.nthreads

    def summarise(self) -> list[Summary]:
        """Return what the partitions hold."""
        return [summarise(partition) for partition in self._partitions]

    def encode(
        self, classes: Array, by_class: Array | None, dtype: np.dtype
    ) -> list[tuple[int, int, int, float]]:
        """Replace labels by signs, apply class weights, and leave out rows without weight.

        Returns
        -------
        list of (number, n_rows, n_positive, weight_sum)
        """
        report = []
        for partition in self._partitions:
            if partition.X is None:
                continue
            positive, weight, index = partition.y == classes[1], partition.weight, None
            if by_class is not None:
                factors = by_class[positive.astype(np.intp)]
                with np.errstate(over="ignore"):
                    weight = factors if weight is None else weight * factors
            if weight is not None and not weight.all():
                index = np.flatnonzero(weight)
            X = partition.X.astype(dtype, copy=False)
            rows = HeldRows(
                partition.number, X, signs_of(positive, np.dtype(np.int8)), weight, index
            )
            self._train.append(rows)
            counted = positive if index is None else positive[index]
            n_positive = int(np.count_nonzero(counted))
            weight_sum = float(rows.n_rows if weight is None else weight.sum())
            report.append((rows.number, rows.n_rows, n_positive, weight_sum))
        self._partitions = []
        return report

    def astype(self, dtype: np.dtype) -> None:
        """Convert X."""
        for rows in (*self._train, *self._held_out):
            rows.X = rows.X.astype(dtype, copy=False)

    def positive(self) -> list[tuple[int, Array]]:
        """Return which rows are of the second class, by partition, as bits."""
        return [(rows.number, np.packbits(rows.select(slice(None))[1] < 0)) for rows in self._train]

    def hold_out(self, masks: dict[int, Array]) -> list[tuple[int, int, float]]:
        """Set rows aside: of each partition, those where the mask (as bits) is true.

        Returns
        -------
        list of (number, n_rows, weight_sum)
            Of the rows that are left.
        """
        report = []
        for rows in self._train:
            mask = np.unpackbits(masks[rows.number], count=rows.n_rows).astype(bool)
            self._held_out.append(HeldRows(rows.number, *rows.select(mask), None))
            index = np.arange(rows.signs.size) if rows.index is None else rows.index
            rows.index = index[~mask]
            weight = rows.select(slice(None))[2]
            weight_sum = float(rows.n_rows if weight is None else weight.sum())
            report.append((rows.number, rows.n_rows, weight_sum))
        return report

    def hold_out_all(self) -> None:
        """Make all rows validation rows."""
        self._held_out = [
            HeldRows(rows.number, *rows.select(slice(None)), None) for rows in self._train
        ]
        self._train = []

    def build(self, plan: NetworkPlan, starts: dict[int, int], mean_weight: float) -> None:
        """Build the network; ``starts`` number the rows, ``mean_weight`` is that of all."""
        for rows in self._train:
            rows.start = starts[rows.number]
            if rows.weight is not None:
                rows.weight = (rows.weight / mean_weight).astype(plan.dtype)
        self._plan = plan
        network = plan.build()
        self._evaluators = [
            Evaluator(network if k == 0 else network.replica(), plan)
            for k in range(self._n_threads)
        ]
        self._crew = Crew(self._n_threads)

    def gradient(self, parameters: Array, order: Order, batch: int | None) -> Share:
        """Return loss and gradient of the actor's rows of a batch, without the penalty."""
        if self._order is None or self._order.epoch != order.epoch:
            self._order = order
        shares = [
            (rows, self._order.share(batch, rows.number, rows.start, rows.n_rows))
            for rows in self._train
        ]
        n_rows = sum(length(chosen) for _, chosen in shares)
        if n_rows == 0:
            return Share(0, 0.0, None)
        evaluators = self._evaluators[: max(1, min(len(self._evaluators), n_rows // 64))]
        size = self._plan.block_rows
        dropout = self._order if any(self._plan.dropout) else None
        if dropout is None:  # else, what is drawn must not depend on who holds how many rows
            size = min(size, math.ceil(n_rows / len(evaluators)))
        blocks = list(cut_into_blocks(shares, size, apart=dropout is not None))
        network = evaluators[0].network
        np.copyto(network.parameters, parameters)
        with np.errstate(all="ignore"), single_blas_thread(), self._crew:
            tasks = [
                partial(evaluator.evaluate, blocks[k :: len(evaluators)], n_rows, dropout, batch)
                for k, evaluator in enumerate(evaluators)
            ]
            self._crew.run(tasks)
        for evaluator in evaluators[1:]:
            evaluators[0].total += evaluator.total
        value = sum(evaluator.value for evaluator in evaluators)
        return Share(n_rows, value, evaluators[0].total)

    def log_loss(self, parameters: Array, plan: NetworkPlan) -> tuple[float, float]:
        """Return weight and weighted sum of losses of the validation rows."""
        weight_sum = total = 0.0
        for (_, logits), rows in zip(self.logits(parameters, plan), self._held_out, strict=True):
            if logits.size == 0:
                continue
            weight = float(rows.n_rows if rows.weight is None else rows.weight.sum())
            with np.errstate(all="ignore"):
                signs = rows.signs.astype(logits.dtype)
                total += weight * log_loss(logits, signs, rows.weight)
            weight_sum += weight
        return weight_sum, total

    def logits(self, parameters: Array, plan: NetworkPlan) -> list[tuple[int, Array]]:
        """Return the logits of the validation rows, by partition."""
        layers = layer_views(parameters, plan.layer_sizes)
        activation = get_activation(plan.activation, plan.negative_slope)
        with np.errstate(all="ignore"), single_blas_thread():
            return [
                (
                    rows.number,
                    predict_logits(rows.X, *layers, activation)
                    if rows.n_rows
                    else np.empty(0, plan.dtype),
                )
                for rows in self._held_out
            ]

    def held_out_labels(self) -> list[tuple[int, Array, Array | None]]:
        """Return which validation rows are of the second class, and their weights."""
        return [(rows.number, rows.signs < 0, rows.weight) for rows in self._held_out]

    def dead_layers(self, parameters: Array, plan: NetworkPlan) -> set[int]:
        """Return the hidden layers that none of the training rows activates."""
        network = plan._replace(dropout=()).build()
        np.copyto(network.parameters, parameters)
        silent = set(range(1, len(plan.layer_sizes) - 1))
        with single_blas_thread():
            for rows in self._train:
                for start in range(0, rows.n_rows, plan.block_rows):
                    if not silent:
                        return silent
                    X = rows.select(slice(start, start + plan.block_rows))[0]
                    silent &= set(dead_layers(network, X, X.shape[0]))
        return silent
