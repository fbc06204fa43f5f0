"""Gradient descent: plain, and stochastic with classical or Nesterov momentum."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg.blas import get_blas_funcs

from skdnn.solvers.base import FirstOrderSolver, Objective
from skdnn.solvers.schedules import Schedule

__all__ = ["GradientDescent", "Momentum"]

Array = np.ndarray


class GradientDescent(FirstOrderSolver):
    """parameters -= learning_rate * gradient."""

    def prepare(self, objective: Objective) -> None:
        super().prepare(objective)
        # axpy adds a multiple in one pass and without a temporary
        self._axpy = get_blas_funcs("axpy", dtype=objective.parameters.dtype)

    def step(self, parameters: Array, gradient: Array, rate: float) -> None:
        self._axpy(gradient, parameters, a=-rate)


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

    def step(self, parameters: Array, gradient: Array, rate: float) -> None:
        velocity = self.moments["velocity"]
        velocity *= self.momentum
        self._axpy(gradient, velocity, a=-rate)
        if self.nesterov:
            self._axpy(velocity, parameters, a=self.momentum)
            self._axpy(gradient, parameters, a=-rate)
        else:
            self._axpy(velocity, parameters)
