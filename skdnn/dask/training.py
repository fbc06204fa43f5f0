"""Training whose gradients are computed on the workers: one question to each of them a step.

Parameters, solver and stopping rule are the client's, as in `skdnn.training.training`.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse

from skdnn.dask.evaluation import NetworkPlan
from skdnn.dask.order import SAME_ORDER_ROWS, Order
from skdnn.dask.preparation import RemoteRows
from skdnn.network.network import Network
from skdnn.numerics.threads import Crew
from skdnn.numerics.vectors import AddMultiple, largest_magnitude, norm
from skdnn.training.state import Rows, TrainingState, Weights
from skdnn.training.training import Outcome, Training

__all__ = ["DaskTraining"]

Array = np.ndarray
Batch = tuple[Order, int | None]


class RemoteObjective:
    """The penalised weighted loss of rows on the workers; see `skdnn.training.objective.Objective`.

    Parameters
    ----------
    network : Network
        Holds the flat vectors.
    X : RemoteRows
        Training rows.
    alpha : float
        Strength of the L2 penalty.
    batch_size : int
        Rows of a batch.
    shuffle : bool
        Whether an epoch goes through the rows in a new random order.
    random_state : RandomState
        Draws the orders and the dropout.
    """

    crew = None
    part_size = 1

    def __init__(
        self,
        network: Network,
        X: RemoteRows,
        *,
        alpha: float,
        batch_size: int,
        shuffle: bool,
        random_state: np.random.RandomState,
    ) -> None:
        self.parameters = network.parameters
        self.gradient = network.gradient
        self.n_weights = network.n_weights
        self.weight_sum = float(X.shape[0])
        self.n_batches = math.ceil(X.shape[0] / batch_size)
        self._n_rows = X.shape[0]
        self._data = X.data
        self._batch_size = batch_size
        self._shuffle = shuffle and self.n_batches > 1
        self._random_state = random_state
        self._drops_out = bool(network.dropout)
        self._penalty = alpha / X.weight_sum
        self._weights = network.parameters[: self.n_weights]
        self._add_weights = AddMultiple(self._weights, network.gradient[: self.n_weights])
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
            length = norm(self._weights)
            value += 0.5 * self._penalty * length * length  # ** would raise where this is inf
            self._add_weights(self._penalty)
        return value, n_rows

    def close(self) -> None:
        """Keep the rows: they are asked about the dead layers after training."""

    def is_stationary(self, tol: float) -> bool:
        """Return whether no component of `gradient` exceeds ``tol``."""
        return largest_magnitude(self.gradient) <= tol


class DaskTraining(Training):
    """`Training` on rows that are on the workers."""

    def __init__(
        self,
        params: Any,
        rows: Rows,
        layer_sizes: Sequence[int],
        start: Array,
        state: TrainingState,
        **others: Any,
    ) -> None:
        self._plan = NetworkPlan(
            tuple(layer_sizes),
            params.activation,
            params.negative_slope,
            tuple(np.broadcast_to(np.asarray(params.dropout, float), len(layer_sizes) - 2)),
            start.dtype,
            rows.X.sparse,
        )
        self._X: RemoteRows = rows.X
        # The client has none of the rows; sparse ones are never looked at for a row space
        empty = scipy.sparse.csr_matrix((0, layer_sizes[0]), dtype=start.dtype)
        super().__init__(params, rows._replace(X=empty), layer_sizes, start, state, **others)

    def _make_objective(self, params: Any, rows: Rows, batch_size: int) -> None:
        X = self._X
        first_rows = np.cumsum([0, *X.sizes.values()])[:-1].tolist()
        starts = dict(zip(X.sizes, first_rows, strict=True))
        X.data.set_up("build", self._plan, starts, X.weight_sum / X.shape[0])
        self._crew = Crew(1)
        self._objective: Any = RemoteObjective(
            self._network,
            X,
            # adamw decays the weights by itself
            alpha=0.0 if params.solver == "adamw" else float(params.alpha),
            batch_size=batch_size,
            shuffle=params.shuffle,
            random_state=self._state.random_state,
        )

    def _make_validation(
        self, rows: Rows, held_out: Rows, score: Callable[[Weights, Any], float] | None
    ) -> Callable[[], tuple[float, float]]:
        parameters, data = self._network.parameters, held_out.X.data

        def validate() -> tuple[float, float]:
            parts = data.ask("log_loss", parameters, self._plan)
            loss = sum(total for _, total in parts) / sum(weight for weight, _ in parts)
            if score is None:
                return loss, -loss
            logits = [
                part for parts in data.ask("logits", parameters, self._plan) for part in parts
            ]
            logits.sort(key=lambda part: part[0])
            views = Weights(self._network.weights, self._network.biases)
            return loss, score(views, np.concatenate([part for _, part in logits]))

        return validate

    def run(self) -> Outcome:
        outcome = super().run()
        dead: set[int] = set()
        if outcome.dead_layers:  # the client, without rows, saw no unit alive
            answers = self._X.data.ask("dead_layers", self._network.parameters, self._plan)
            dead = set(outcome.dead_layers).intersection(*answers)
        return replace(outcome, dead_layers=sorted(dead))
