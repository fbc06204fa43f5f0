"""Gradient descent: plain, and stochastic with classical or Nesterov momentum."""

from __future__ import annotations

from typing import Any

import numpy as np

from skdnn.numerics.vectors import AddMultiple
from skdnn.solvers.base import FirstOrderSolver, Objective
from skdnn.solvers.schedules import Schedule

__all__ = ["GradientDescent", "Momentum"]

Array = np.ndarray


class GradientDescent(FirstOrderSolver):
    """parameters -= learning_rate * gradient."""

    def prepare(self, objective: Objective, n_done: int = 0) -> None:
        super().prepare(objective, n_done)
        self._add_gradient = AddMultiple(objective.gradient, objective.parameters)

    def kernel(self) -> tuple[str, dict[str, float]]:
        return "gradient_descent", {}

    def update(self, rate: float) -> None:
        self._add_gradient(-rate)


class Momentum(GradientDescent):
    """velocity = momentum * velocity - learning_rate * gradient, and a step along it.

    Nesterov's form steps by momentum * velocity - learning_rate * gradient with the new velocity
    (Sutskever et al. 2013), as scikit-learn's MLPClassifier does.

    Parameters
    ----------
    schedule : Schedule
        Gives the learning rate of every step.
    momentum : float
        Share of the velocity that is kept, in [0, 1].
    nesterov : bool
        Whether to use Nesterov's form.
    **common : dict
        Further parameters of `FirstOrderSolver`.
    """

    moment_names = ("velocity",)

    def __init__(self, schedule: Schedule, momentum: float, nesterov: bool, **common: Any) -> None:
        super().__init__(schedule, **common)
        self.momentum = momentum
        self.nesterov = nesterov

    def prepare(self, objective: Objective, n_done: int = 0) -> None:
        super().prepare(objective, n_done)
        velocity = self.moments["velocity"]
        self._accelerate = AddMultiple(objective.gradient, velocity)
        self._add_velocity = AddMultiple(velocity, objective.parameters)

    def kernel(self) -> tuple[str, dict[str, float]]:
        return "nesterov" if self.nesterov else "momentum", {"momentum": self.momentum}

    def update(self, rate: float) -> None:
        self.moments["velocity"] *= self.momentum
        self._accelerate(-rate)
        if self.nesterov:
            self._add_velocity(self.momentum)
            self._add_gradient(-rate)
        else:
            self._add_velocity(1.0)
