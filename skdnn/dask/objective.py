"""The objective over rows on the workers: one question to each of them a step."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator

import numpy as np

from skdnn.dask.evaluation import NetworkPlan
from skdnn.dask.order import SAME_ORDER_ROWS, Order
from skdnn.dask.remote import RemoteData
from skdnn.network.network import Network
from skdnn.numerics.threads import Crew
from skdnn.numerics.vectors import largest_magnitude
from skdnn.training.objective import penalise

__all__ = ["RemoteObjective"]

Array = np.ndarray
Batch = tuple[Order, int | None]


class RemoteObjective:
    """The penalised weighted loss of rows on the workers; see `skdnn.training.objective.Objective`.

    Parameters
    ----------
    network : Network
        Holds the flat vectors.
    data : RemoteData
        Who holds the rows.
    n_rows : int
        Number of rows.
    plan : NetworkPlan
        What the workers built their networks from.
    weight_sum : float
        Sum of their weights, over ``mean_weight``.
    mean_weight : float
        Mean of their weights, or of those of more rows that they are a part of.
    alpha : float
        Strength of the L2 penalty.
    batch_size : int
        Rows of a batch.
    shuffle : bool
        Whether an epoch goes through the rows in a new random order.
    random_state : RandomState
        Draws the orders and the dropout.
    """

    def __init__(
        self,
        network: Network,
        data: RemoteData,
        n_rows: int,
        plan: NetworkPlan,
        *,
        weight_sum: float,
        mean_weight: float,
        alpha: float,
        batch_size: int,
        shuffle: bool,
        random_state: np.random.RandomState,
    ) -> None:
        self.parameters = network.parameters
        self.gradient = network.gradient
        self.n_weights = network.n_weights
        self.crew = Crew(1)
        self.weight_sum = weight_sum
        self.n_batches = math.ceil(n_rows / batch_size)
        self._n_rows = n_rows
        self._data = data
        self._plan = plan
        self._batch_size = batch_size
        self._shuffle = shuffle and self.n_batches > 1
        self._random_state = random_state
        self._drops_out = bool(network.dropout)
        self._penalty = alpha / (n_rows * mean_weight)
        self._weights = network.parameters[: self.n_weights]
        self._weight_gradient = network.gradient[: self.n_weights]
        self._epoch = 0

    def batches(self) -> Iterator[Batch]:
        """Draw one epoch's batches."""
        order = self._draw_order()
        if self.n_batches == 1:
            return iter([(order, None)])
        return ((order, batch) for batch in range(self.n_batches))

    def all_rows(self) -> Batch:
        """Return the batch of all rows."""
        return Order(-1, self._n_rows, 1, self._n_rows), None

    def _draw_order(self) -> Order:
        generator, seed = None, 0
        if self._shuffle and self._n_rows <= SAME_ORDER_ROWS:
            generator = pickle.dumps(self._random_state)
            self._random_state.permutation(self._n_rows)  # the workers draw it, and so move on
        if self._drops_out or (self._shuffle and generator is None):
            seed = int(self._random_state.randint(2**31))
        self._epoch += 1
        return Order(
            self._epoch,
            self._n_rows,
            self.n_batches,
            self._batch_size,
            generator,
            seed,
            self._shuffle,
        )

    def value_and_gradient(self, batch: Batch) -> tuple[float, int]:
        """Evaluate a batch at `parameters` and write the gradient to `gradient`."""
        shares = self._data.ask("gradient", self.parameters, *batch)
        n_rows = sum(share.n_rows for share in shares)
        self.gradient[...] = 0
        value = 0.0
        for share in shares:
            if share.n_rows:
                factor = share.n_rows / n_rows
                value += factor * share.value
                self.gradient += share.gradient * self.gradient.dtype.type(factor)
        if self._penalty:
            value += penalise(self._weights, self._weight_gradient, self._penalty)
        return value, n_rows

    def dead_layers(self) -> list[int]:
        """Return the hidden layers, counted from 1, that none of the rows activates."""
        answers = self._data.ask("dead_layers", self.parameters, self._plan)
        return sorted(set.intersection(*answers))

    def close(self) -> None:
        """Keep the rows: they are asked about the dead layers after training."""

    def is_stationary(self, tol: float) -> bool:
        """Return whether no component of `gradient` exceeds ``tol``."""
        return largest_magnitude(self.gradient) <= tol
