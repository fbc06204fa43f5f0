"""Gradient descent: plain, and stochastic with classical or Nesterov momentum."""

from __future__ import annotations

from dataclasses import dataclass

from skdnn.numerics.vectors import add_multiple
from skdnn.solvers.base import FirstOrderSolver, Objective

__all__ = ["GradientDescent", "Momentum"]


class GradientDescent(FirstOrderSolver):
    """parameters -= learning_rate * gradient."""

    def prepare(self, objective: Objective, n_done: int = 0) -> None:
        super().prepare(objective, n_done)
        self._gradient, self._parameters = objective.gradient, objective.parameters

    def kernel(self) -> tuple[str, dict[str, float]]:
        return "gradient_descent", {}

    def update(self, rate: float) -> None:
        add_multiple(self._parameters, -rate, self._gradient)


@dataclass(eq=False, repr=False)
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

    Notes
    -----
    Further parameters are those of `FirstOrderSolver`.
    """

    momentum: float
    nesterov: bool
    moment_names = ("velocity",)

    def kernel(self) -> tuple[str, dict[str, float]]:
        return "nesterov" if self.nesterov else "momentum", {"momentum": self.momentum}

    def update(self, rate: float) -> None:
        velocity = self.moments["velocity"]
        velocity *= self.momentum
        add_multiple(velocity, -rate, self._gradient)
        if self.nesterov:
            add_multiple(self._parameters, self.momentum, velocity)
            super().update(rate)
        else:
            add_multiple(self._parameters, 1.0, velocity)
