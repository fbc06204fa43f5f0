"""THE training loop, and what every first-order rule shares.

A solver sees an objective and two flat vectors; it never sees a network, data or an estimator.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from skdnn.solvers.schedules import Schedule

__all__ = ["DivergenceError", "FirstOrderSolver", "Objective", "Solver", "all_finite"]

Array = np.ndarray
EndOfEpoch = Callable[[float], bool]


class Objective(Protocol):
    """What a solver asks of the function it minimises."""

    parameters: Array
    gradient: Array
    weight_sum: float

    def batches(self) -> Iterable[Any]:
        """Draw the batches of an epoch."""

    def all_rows(self) -> Any:
        """Return the batch of all rows."""

    def value_and_gradient(self, batch: Any) -> tuple[float, float]:
        """Evaluate a batch at `parameters`: its value, its weight, and `gradient` in place."""

    def is_stationary(self, tol: float) -> bool:
        """Return whether no component of `gradient` exceeds ``tol``."""


class DivergenceError(ValueError):
    """Training left the finite numbers, or froze because a moment of the gradient overflowed.

    Raised by ``fit`` and ``partial_fit`` within the epoch in which it happens. The estimator is
    left unfitted or, with ``warm_start`` and in ``partial_fit``, as it was.

    Parameters
    ----------
    message : str
        What happened, and what to change.
    epoch : int
        Number of the epoch, counted from 1, of this call.
    """

    def __init__(self, message: str, epoch: int) -> None:
        super().__init__(message, epoch)
        self.epoch = epoch

    def __str__(self) -> str:
        return str(self.args[0])


def all_finite(vector: Array) -> bool:
    """Return whether all entries of a vector are finite, without a temporary in the usual case."""
    # A sum of squares is finite only if all entries are; the converse fails where it overflows.
    return math.isfinite(np.dot(vector, vector)) or bool(np.isfinite(vector).all())


class Solver(ABC):
    """Minimises an objective in place, starting from its parameters.

    Attributes
    ----------
    learning_rate : float or None
        Rate of the latest step; None for a rule that has no rate.
    """

    learning_rate: float | None = None

    @abstractmethod
    def minimize(self, objective: Objective, max_iter: int, end_of_epoch: EndOfEpoch) -> bool:
        """Run up to ``max_iter`` epochs.

        Parameters
        ----------
        objective : Objective
            Its ``parameters`` are the start, and are moved.
        max_iter : int
            Largest number of epochs.
        end_of_epoch : callable
            Called with the loss of each epoch; True stops.

        Returns
        -------
        converged : bool
            Whether the solver stopped before it ran out of epochs.

        Raises
        ------
        DivergenceError
            When a cost, gradient, parameter or moment is not finite.
        """

    def plateau(self) -> bool:
        """React to a loss that no longer improves; return True to stop training."""
        return True

    def get_state(self) -> tuple[dict[str, int], dict[str, Array]]:
        """Return all that the solver needs to go on exactly: counters, and moments by name."""
        return {}, {}

    @abstractmethod
    def set_state(self, counters: dict[str, int], moments: dict[str, Array]) -> None:
        """Go on from what `get_state` returned; the moments are the solver's from now on."""


class FirstOrderSolver(Solver):
    """A rule that steps after every batch.

    Parameters
    ----------
    schedule : Schedule
        Gives the learning rate of every step.

    Attributes
    ----------
    n_steps, n_plateaus : int
        Steps taken and plateaus met so far, over all calls.
    moments : dict of str to ndarray of shape (n_parameters,)
        The rule's own vectors, by name.
    """

    moment_names: tuple[str, ...] = ()

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.n_steps = 0
        self.n_plateaus = 0
        self.moments: dict[str, Array] = {}

    def get_state(self) -> tuple[dict[str, int], dict[str, Array]]:
        return {"n_steps": self.n_steps, "n_plateaus": self.n_plateaus}, self.moments

    def set_state(self, counters: dict[str, int], moments: dict[str, Array]) -> None:
        self.n_steps = counters["n_steps"]
        self.n_plateaus = counters["n_plateaus"]
        self.moments = moments

    def prepare(self, parameters: Array) -> None:
        """Make the moments, unless there are some, and the buffers for a parameter vector."""
        for name in self.moment_names:
            if name not in self.moments:
                self.moments[name] = np.zeros_like(parameters)

    @abstractmethod
    def step(self, parameters: Array, gradient: Array, rate: float) -> None:
        """Move the parameters in place, at a learning rate; may overwrite the gradient."""

    def plateau(self) -> bool:
        if self.schedule.exhausted(self.n_plateaus):
            return True
        self.n_plateaus += 1
        return False

    def minimize(self, objective: Objective, max_iter: int, end_of_epoch: EndOfEpoch) -> bool:
        parameters, gradient = objective.parameters, objective.gradient
        self.prepare(parameters)
        for epoch in range(1, max_iter + 1):
            total = 0.0
            for batch in objective.batches():
                value, weight = objective.value_and_gradient(batch)
                self.n_steps += 1
                rate = self.schedule.rate(self.n_steps, self.n_plateaus)
                self.step(parameters, gradient, rate)
                total += weight * value
            self.learning_rate = rate
            loss = total / objective.weight_sum
            # An infinite moment may leave the parameters finite: the net would freeze in silence.
            vectors = (parameters, *self.moments.values())
            if not (math.isfinite(loss) and all(map(all_finite, vectors))):
                raise DivergenceError(self._diverged(epoch), epoch)
            if end_of_epoch(loss):
                return True
        return False

    def _diverged(self, epoch: int) -> str:
        return (
            f"Training diverged in epoch {epoch}: the loss, a gradient, a parameter or a moment "
            f"is no longer finite, at learning rate {self.learning_rate:.3g}. Lower "
            f"learning_rate_init (now {self.schedule.learning_rate_init:.3g}), scale the features "
            "(StandardScaler), or initialise smaller (init, init_scale)."
        )
