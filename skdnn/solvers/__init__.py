"""Solvers by name. They see an objective and flat vectors, never a network."""

from __future__ import annotations

from skdnn.solvers.adam import Adam
from skdnn.solvers.base import DivergenceError, FirstOrderSolver, Solver
from skdnn.solvers.gradient_descent import GradientDescent, Momentum
from skdnn.solvers.lbfgs import LBFGS
from skdnn.solvers.schedules import SCHEDULES, InverseScaling, Schedule

__all__ = [
    "LBFGS",
    "SCHEDULES",
    "Adam",
    "DivergenceError",
    "FirstOrderSolver",
    "GradientDescent",
    "InverseScaling",
    "Momentum",
    "Schedule",
    "Solver",
]
