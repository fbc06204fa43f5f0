"""The solver that the constructor's parameters ask for, and its schedule."""

from __future__ import annotations

from typing import Any

from skdnn.solvers import (
    LBFGS,
    SCHEDULES,
    Adam,
    GradientDescent,
    InverseScaling,
    Momentum,
    Schedule,
    Solver,
)

__all__ = ["make_schedule", "make_solver"]


def make_schedule(name: str, learning_rate_init: float, *, power_t: float) -> Schedule:
    """Return the schedule called ``name``, one of `SCHEDULES`."""
    if name == "invscaling":
        return InverseScaling(learning_rate_init, power_t)
    return SCHEDULES[name](learning_rate_init)


def make_solver(params: Any, *, restart: bool) -> Solver:
    """Return the solver that the parameters ask for."""
    if params.solver == "lbfgs":
        return LBFGS(None if params.tol is None else float(params.tol), params.max_fun)
    schedule = make_schedule(
        params.learning_rate, float(params.learning_rate_init), power_t=float(params.power_t)
    )
    common: dict[str, Any] = {
        "horizon": params.max_iter,
        "warmup": float(params.warmup),
        "restart": restart,
        "max_grad_norm": None if params.max_grad_norm is None else float(params.max_grad_norm),
    }
    if params.solver in ("adam", "adamw"):
        return Adam(
            schedule,
            float(params.beta_1),
            float(params.beta_2),
            float(params.epsilon),
            float(params.alpha) if params.solver == "adamw" else 0.0,
            **common,
        )
    if params.solver == "sgd" and params.momentum > 0:
        return Momentum(schedule, float(params.momentum), params.nesterovs_momentum, **common)
    return GradientDescent(schedule, **common)
