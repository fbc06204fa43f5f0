"""Rows on the workers, and what training makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skdnn.dask.evaluation import NetworkPlan
from skdnn.dask.objective import RemoteObjective
from skdnn.dask.order import SAME_ORDER_ROWS
from skdnn.dask.remote import RemoteData
from skdnn.network.network import Network
from skdnn.numerics.vectors import all_finite
from skdnn.training.state import Weights

__all__ = ["RemoteRows", "joined"]

Array = np.ndarray


def joined(answers: list[list[Any]]) -> list[Any]:
    """Return the entries of all workers' answers."""
    return [entry for answer in answers for entry in answer]


@dataclass(frozen=True, eq=False)
class RemoteRows:
    """What `skdnn.training.rows.Rows` is for rows in memory.

    Attributes
    ----------
    data : RemoteData
        Who holds them.
    sizes : dict of int to int
        Rows of each partition, by its number, in order.
    plan : NetworkPlan
        The network to train, in the dtype of X.
    weight_sum : float
        Sum of the weights of the rows, their number if there are none.
    weighted : bool
        Whether there are weights.
    token : str
        Hash of the collections.
    class_counts : ndarray of shape (2,)
        Rows of each class, before any are set aside.
    """

    data: RemoteData
    sizes: dict[int, int]
    plan: NetworkPlan
    weight_sum: float
    weighted: bool
    token: str
    class_counts: Array

    no_row_space = "rows that are on several workers"

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and of features."""
        return sum(self.sizes.values()), self.plan.layer_sizes[0]

    @property
    def dtype(self) -> np.dtype:
        """Of X on the workers."""
        return self.plan.dtype

    @property
    def mean_weight(self) -> float:
        """Mean weight of the rows; 1 without weights."""
        return self.weight_sum / self.shape[0]

    @property
    def positive(self) -> Array:
        """Which rows are of the second class, asked of the workers."""
        if self.shape[0] > 64 * SAME_ORDER_ROWS:
            raise ValueError(
                f"validation_fraction sets rows aside of up to {64 * SAME_ORDER_ROWS} rows, X has "
                f"{self.shape[0]}: give X_val and y_val."
            )
        bits = dict(joined(self.data.ask("positive")))
        positive = [np.unpackbits(bits[n], count=size) for n, size in self.sizes.items()]
        return np.concatenate(positive).astype(bool)

    def astype(self, dtype: np.dtype) -> RemoteRows:
        """Convert the rows where they are."""
        if dtype == self.dtype:
            return self
        self.data.set_up("astype", dtype)
        return replace(self, plan=self.plan._replace(dtype=np.dtype(dtype)))

    def split(self, mask: Array) -> tuple[RemoteRows, RemoteRows]:
        """Set rows aside where the mask is true; return the others, and these."""
        stops = np.cumsum(list(self.sizes.values()))[:-1]
        masks = zip(self.sizes, np.split(mask, stops), strict=True)
        packed = {number: np.packbits(part) for number, part in masks}
        report = sorted(joined(self.data.set_up("hold_out", packed)))
        sizes = {number: n_rows for number, n_rows, _ in report}
        weight_sum = sum(weight for *_, weight in report)
        return replace(self, sizes=sizes, weight_sum=weight_sum), self

    def to_hash(self) -> tuple[Any, Any, Any]:
        """Return what hashes are made of: the token speaks for all collections together."""
        return self.token, None, None

    def make_objective(
        self,
        network: Network,
        space: Any,
        batch_size: int,
        *,
        mean_weight: float | None = None,
        **options: Any,
    ) -> RemoteObjective:
        """Return the function to minimise; ``options`` are those of `RemoteObjective`.

        ``mean_weight`` is that of more rows than these, where they are a part of them.
        """
        mean_weight = mean_weight or self.mean_weight
        first_rows = np.cumsum([0, *self.sizes.values()])[:-1].tolist()
        starts = dict(zip(self.sizes, first_rows, strict=True))
        self.data.set_up("build", self.plan, starts, mean_weight)
        return RemoteObjective(
            network,
            self.data,
            self.shape[0],
            self.plan,
            weight_sum=self.weight_sum / mean_weight,
            mean_weight=mean_weight,
            batch_size=batch_size,
            **options,
        )

    def make_validation(
        self, network: Network, space: Any, score: Callable[[Weights, Any], float] | None
    ) -> Callable[[], tuple[float, float]]:
        """Return the function that gives log loss and score of the rows that were set aside."""
        parameters, plan = network.parameters, self.plan

        def validate() -> tuple[float, float]:
            parts = self.data.ask("log_loss", parameters, plan)
            loss = sum(total for _, total in parts) / sum(weight for weight, _ in parts)
            if score is None:
                return loss, -loss
            parts = sorted(joined(self.data.ask("logits", parameters, plan)), key=lambda p: p[0])
            logits = np.concatenate([part for _, part in parts])
            # scorers would call it bad input: no score, and training goes on or diverges
            if not all_finite(logits):
                return loss, math.nan
            return loss, score(Weights(network.weights, network.biases), logits)

        return validate
