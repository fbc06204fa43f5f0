"""THE training loop, and what every first-order rule shares.

A solver sees an objective and two flat vectors; it never sees a network, data or an estimator.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Protocol

import numpy as np

from skdnn import kernels
from skdnn.numerics.vectors import all_finite
from skdnn.solvers.schedules import Schedule
from skdnn.solvers.steps import clip, run_steps

__all__ = ["DivergenceError", "FirstOrderSolver", "Monitor", "Objective", "Solver"]

Array = np.ndarray

# Parameters from which threads share a compiled step
_SHARED_PARAMETERS = 2**18


class Objective(Protocol):
    """What a solver asks of the function it minimises."""

    parameters: Array
    gradient: Array
    weight_sum: float
    n_batches: int  # of an epoch
    n_weights: int  # leading parameters that a penalty acts on
    crew: Any  # threads to share work among, or None

    def batches(self) -> Iterable[Any]:
        """Draw the batches of an epoch."""

    def all_rows(self) -> Any:
        """Return the batch of all rows."""

    def value_and_gradient(self, batch: Any) -> tuple[float, float]:
        """Evaluate a batch at `parameters`: its value, its weight, and `gradient` in place."""

    def is_stationary(self, tol: float) -> bool:
        """Return whether no component of `gradient` exceeds ``tol``."""


class Monitor(Protocol):
    """What a solver tells of its epochs."""

    def begin_epoch(self) -> None:
        """Note that an epoch begins."""

    def end_epoch(self, loss: float, learning_rate: float | None) -> bool:
        """Take the loss of an epoch, and the rate of its last step; return True to stop."""

    def abandon_epoch(self, loss: float) -> None:
        """Note that the epoch that began came to nothing, and the loss where it began."""


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


class Solver(ABC):
    """Minimises an objective in place, starting from its parameters.

    Attributes
    ----------
    complaint : str
        Why the latest call of `minimize` could not do its work; mostly empty.
    """

    complaint = ""

    @abstractmethod
    def minimize(
        self, objective: Objective, max_iter: int, monitor: Monitor, n_done: int = 0
    ) -> bool:
        """Run up to ``max_iter`` epochs.

        Parameters
        ----------
        objective : Objective
            Its ``parameters`` are the start, and are moved.
        max_iter : int
            Largest number of epochs.
        monitor : Monitor
            Told of the epochs; may stop.
        n_done : int, default=0
            How many of the epochs were done before the same call was killed.

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


@dataclass(eq=False, repr=False)
class FirstOrderSolver(Solver):
    """A rule that steps after every batch.

    Parameters
    ----------
    schedule : Schedule
        Gives the learning rate of every step.
    horizon : int, default=1
        Epochs that the schedule is laid out for.
    warmup : float, default=0.0
        Epochs of a linear rise of the rate before the schedule begins.
    restart : bool, default=True
        Whether a schedule that can restart does so when `minimize` is called again; one that
        cannot goes on.
    max_grad_norm : float, default=None
        Longer gradients are scaled down to this norm.

    Attributes
    ----------
    n_steps, n_plateaus : int
        Steps taken and plateaus met so far, over all calls.
    moments : dict of str to ndarray of shape (n_parameters,)
        The rule's own vectors, by name.
    compiled_rule : CompiledRule or None
        The rule for the objective that it was prepared for, if it is compiled.
    """

    schedule: Schedule
    horizon: int = field(default=1, kw_only=True)
    warmup: float = field(default=0.0, kw_only=True)
    restart: bool = field(default=True, kw_only=True)
    max_grad_norm: float | None = field(default=None, kw_only=True)
    n_steps: int = field(default=0, init=False)
    n_plateaus: int = field(default=0, init=False)
    moments: dict[str, Array] = field(default_factory=dict, init=False)
    compiled_rule: Any = field(default=None, init=False)
    moment_names: ClassVar[tuple[str, ...]] = ()

    def get_state(self) -> tuple[dict[str, int], dict[str, Array]]:
        return {"n_steps": self.n_steps, "n_plateaus": self.n_plateaus}, self.moments

    def set_state(self, counters: dict[str, int], moments: dict[str, Array]) -> None:
        self.n_steps = counters["n_steps"]
        self.n_plateaus = counters["n_plateaus"]
        self.moments = moments

    def prepare(self, objective: Objective, n_done: int = 0) -> None:
        """Make the moments, unless there are some, and what the steps need besides."""
        for name in self.moment_names:
            if name not in self.moments:
                self.moments[name] = np.zeros_like(objective.parameters)
        n_batches = objective.n_batches
        self._n_warmup = round(self.warmup * n_batches)
        restarts = self.restart and self.schedule.restarts
        begin = self.n_steps - n_done * n_batches if restarts else 0
        self._first = max(begin, self._n_warmup)  # steps before the schedule's first
        self._n_scheduled = max(1, begin + self.horizon * n_batches - self._first)
        self._crew = objective.crew
        self._n_parameters = objective.parameters.size
        kernel = self.kernel()
        self.compiled_rule = None
        if kernels.compiled is not None and kernel is not None:
            name, constants = kernel
            self.compiled_rule = kernels.compiled.CompiledRule(
                name,
                objective.parameters,
                objective.gradient,
                [self.moments[name] for name in self.moment_names],
                objective.n_weights,
                self.max_grad_norm,
                **constants,
            )

    def rates(self, n: int) -> Array:
        """Return the learning rates of the next ``n`` steps."""
        first = self.n_steps + 1
        n_rising = min(max(self._n_warmup - self.n_steps, 0), n)
        steps = np.arange(first + n_rising - self._first, first + n - self._first)
        scheduled = self.schedule.rate(steps, self._n_scheduled, self.n_plateaus)
        if not n_rising:  # most epochs, of which a small network has very many
            return scheduled
        rising = self.schedule.learning_rate_init * np.arange(first, first + n_rising)
        return np.concatenate([rising / self._n_warmup, scheduled])

    @abstractmethod
    def update(self, rate: float) -> None:
        """Move the parameters that `prepare` was given, in place; may overwrite the gradient.

        This is the reference; `step` takes the compiled rule where there is one.
        """

    def kernel(self) -> tuple[str, dict[str, float]] | None:
        """Return name and constants of the compiled rule that does what `update` does."""
        return None

    def clip(self, gradient: Array) -> None:
        """Scale a gradient that is longer than ``max_grad_norm`` down to it."""
        if self.compiled_rule is not None:
            self.compiled_rule.clip()
        elif self.max_grad_norm is not None:
            clip(gradient, self.max_grad_norm)

    def step(self, rate: float) -> None:
        """Take step ``n_steps``."""
        rule, crew = self.compiled_rule, self._crew
        if rule is None:
            self.update(rate)
        elif crew is None or crew.n_threads == 1 or self._n_parameters < _SHARED_PARAMETERS:
            rule.step(self.n_steps, rate)
        else:
            size = -(-self._n_parameters // crew.n_threads)
            starts = range(0, self._n_parameters, size)
            stops = (min(start + size, self._n_parameters) for start in starts)
            crew.run(
                [
                    partial(rule.step, self.n_steps, rate, start, stop)
                    for start, stop in zip(starts, stops, strict=True)
                ]
            )

    def plateau(self) -> bool:
        if self.schedule.exhausted(self.n_plateaus):
            return True
        self.n_plateaus += 1
        return False

    def minimize(
        self, objective: Objective, max_iter: int, monitor: Monitor, n_done: int = 0
    ) -> bool:
        parameters = objective.parameters
        self.prepare(objective, n_done)
        for epoch in range(n_done + 1, max_iter + 1):
            monitor.begin_epoch()
            rates = self.rates(objective.n_batches)
            loss = run_steps(objective, self, objective.batches(), rates) / objective.weight_sum
            rate = float(rates[-1])
            # An infinite moment may leave the parameters finite: the net would freeze in silence.
            vectors = (parameters, *self.moments.values())
            if not (math.isfinite(loss) and all(map(all_finite, vectors))):
                raise DivergenceError(self._diverged(epoch, rate), epoch)
            try:
                if monitor.end_epoch(loss, rate):
                    return True
            except ValueError as error:
                # of a callback that scores the network, say: told as what it is
                if _is_finite(objective):
                    raise
                raise DivergenceError(self._diverged(epoch, rate), epoch) from error
        return False

    def _diverged(self, epoch: int, rate: float) -> str:
        return (
            f"Training diverged in epoch {epoch}: the loss, a gradient, a parameter or a moment "
            f"is no longer finite, at learning rate {rate:.3g}. Lower learning_rate_init (now "
            f"{self.schedule.learning_rate_init:.3g}), scale the features (StandardScaler), set "
            "max_grad_norm, or initialise smaller (init, init_scale)."
        )


def _is_finite(objective: Objective) -> bool:
    """Return whether the values and gradients of an epoch's batches are."""
    values = (objective.value_and_gradient(batch)[0] for batch in objective.batches())
    return all(math.isfinite(value) and all_finite(objective.gradient) for value in values)
