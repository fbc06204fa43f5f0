"""What the constructor's parameters ask for: starting point, network, solver, coordinates.

Each function makes one thing from an object that has the parameters as attributes. Nothing here
trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse

from skdnn.network.activations import get_activation
from skdnn.network.initializers import initialize
from skdnn.network.network import Network, count_parameters, layer_views
from skdnn.solvers import LBFGS, Adam, GradientDescent, Momentum, Solver, make_schedule
from skdnn.training.rowspace import ROW_SPACE_SOLVERS, FullSpace, RowSpace, row_space_pays

__all__ = ["draw_parameters", "make_network", "make_solver", "make_space"]

Array = np.ndarray


def draw_parameters(
    params: Any, layer_sizes: Sequence[int], dtype: np.dtype, random_state: np.random.RandomState
) -> Array:
    """Draw the initial parameters of a network, as one flat vector."""
    parameters = np.zeros(sum(count_parameters(layer_sizes)), dtype)
    initialize(
        layer_views(parameters, layer_sizes)[0],
        random_state,
        rule=params.init,
        scale=params.init_scale,
        distribution=params.init_distribution,
    )
    return parameters


def make_network(params: Any, layer_sizes: Sequence[int], start: Array) -> Network:
    """Return the network at its starting point."""
    dropout = np.broadcast_to(np.asarray(params.dropout, float), len(layer_sizes) - 2).tolist()
    activation = get_activation(params.activation, params.negative_slope)
    return Network(
        layer_sizes, activation, start.dtype, dropout if any(dropout) else (), parameters=start
    )


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


def make_space(
    params: Any,
    X: Any,
    others: list[Array],
    n_units: int,
    batch_size: int,
    incremental: bool,
) -> FullSpace | RowSpace:
    """Return the coordinates to train in."""
    possible = params.solver in ROW_SPACE_SOLVERS and isinstance(X, np.ndarray)
    if params.row_space == "auto":
        # One call of many would not repay it, and a user's own function may look at the features
        wanted = possible and not incremental and not callable(params.scoring)
        wanted = wanted and row_space_pays(
            X.shape[0],
            X.shape[1],
            n_units,
            n_others=sum(other.shape[1] for other in others),
            # a stopping rule usually ends training early
            n_epochs=params.max_iter if params.tol is None else max(1, params.max_iter // 4),
            batch_size=batch_size,
            itemsize=X.dtype.itemsize,
        )
    else:
        wanted = params.row_space
    if wanted and not possible:
        what = f"solver={params.solver!r}"
        if params.solver in ROW_SPACE_SOLVERS:
            what = "sparse X" if scipy.sparse.issparse(X) else "X that stays on disk"
        raise ValueError(
            f"row_space=True cannot serve {what}: it takes dense X in memory and the solvers "
            f"{', '.join(ROW_SPACE_SOLVERS)}."
        )
    if wanted:
        try:
            space = RowSpace(X, others)
        except MemoryError:
            # a limit that the cost model does not see: train where X is
            if params.row_space is True:
                raise
            return FullSpace(X)
        # features near the end of the dtype's range may overflow in it, and only in it
        if np.isfinite(space.rows).all():
            return space
    return FullSpace(X)
