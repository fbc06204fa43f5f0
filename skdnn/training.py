"""From validated rows to fitted parameters.

Puts the rooms together for one call of fit or partial_fit: starting point, coordinates, network,
objective, solver, monitor. Validates no data and knows no fitted attributes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from skdnn.activations import get_activation
from skdnn.early_stopping import Monitor, Plateau
from skdnn.initializers import initialize
from skdnn.network import Network
from skdnn.objective import HeldOut, Objective
from skdnn.rowspace import ROW_SPACE_SOLVERS, FullSpace, RowSpace, row_space_pays
from skdnn.solvers import LBFGS, Adam, GradientDescent, Momentum, Solver, make_schedule

__all__ = ["Outcome", "Rows", "TrainingState", "Weights", "draw_weights", "train"]

Array = np.ndarray


class Rows(NamedTuple):
    """Rows to train or to validate on."""

    X: Any  # (n_samples, n_features), dense or CSR
    positive: Array  # (n_samples,), bool: of the second class
    weight: Array | None  # (n_samples,), float64, positive

    def select(self, mask: Array) -> Rows:
        """Return the rows where the mask is true."""
        weight = None if self.weight is None else self.weight[mask]
        return Rows(self.X[mask], self.positive[mask], weight)


class Weights(NamedTuple):
    """Parameters of a network, or numbers for each of them, by layer."""

    coefs: list[Array]  # (n_in, n_out) by layer
    intercepts: list[Array]  # (n_out,) by layer

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Sizes from the input to the logit."""
        return (self.coefs[0].shape[0], *(bias.size for bias in self.intercepts))

    def entering(self, space: FullSpace | RowSpace) -> Weights:
        """Return the weights with the first layer in the coordinates of a space."""
        return Weights([space.enter(self.coefs[0]), *self.coefs[1:]], self.intercepts)

    def leaving(self, space: FullSpace | RowSpace, origin: Array | None = None) -> Weights:
        """Undo `entering`; ``origin`` as in `RowSpace.leave`."""
        return Weights([space.leave(self.coefs[0], origin), *self.coefs[1:]], self.intercepts)


@dataclass
class TrainingState:
    """What training needs besides the parameters to go on as if it had never stopped."""

    random_state: np.random.RandomState  # after all that was drawn from it
    rule: str = ""  # class name of the solver
    counters: dict[str, int] = field(default_factory=dict)  # of the solver
    moments: dict[str, Weights] = field(default_factory=dict)  # of the solver
    plateau: dict[str, Any] = field(default_factory=dict)  # of the stopping rule

    def branch(self) -> TrainingState:
        """Return a state that training can move on without a trace in this one."""
        return TrainingState(
            copy.deepcopy(self.random_state), self.rule, self.counters, self.moments, self.plateau
        )


@dataclass
class Outcome:
    """What `train` gives back."""

    weights: Weights
    state: TrainingState
    monitor: Monitor
    converged: bool


def draw_weights(
    params: Any, layer_sizes: Sequence[int], dtype: np.dtype, random_state: np.random.RandomState
) -> Weights:
    """Draw the initial parameters of a network."""
    coefs = [np.empty(shape, dtype) for shape in pairwise(layer_sizes)]
    initialize(
        coefs,
        random_state,
        rule=params.init,
        scale=params.init_scale,
        distribution=params.init_distribution,
    )
    return Weights(coefs, [np.zeros(size, dtype) for size in layer_sizes[1:]])


def train(
    params: Any,
    rows: Rows,
    start: Weights,
    state: TrainingState,
    *,
    batch_size: int,
    max_iter: int,
    held_out: Rows | None = None,
    row_space: bool | str = False,
) -> Outcome:
    """Minimise the objective of some rows from a starting point.

    Parameters
    ----------
    params : object
        Has the constructor's parameters of `DeepBinaryClassifier` as attributes.
    rows : Rows
        Training rows, in the dtype to train in.
    start : Weights
        Where to start, in that dtype; not changed.
    state : TrainingState
        Where training stands. Its generator is moved on, nothing else is changed.
    batch_size, max_iter : int
        Rows of a batch, and epochs.
    held_out : Rows, default=None
        Validation rows.
    row_space : bool or "auto", default=False
        Whether to train in the row space of X, which "auto" decides by cost.

    Returns
    -------
    Outcome

    Raises
    ------
    DivergenceError
        When a cost, gradient, parameter or moment is not finite.
    """
    solver = _make_solver(params)
    goes_on = state.rule == type(solver).__name__
    moments = state.moments if goes_on else {}
    # Columns that would leave the span of X's rows, or that something outside of it looks at
    others = [moment.coefs[0] for moment in moments.values()]
    if params.alpha > 0 or held_out is not None:
        others.append(start.coefs[0])
    space = _make_space(params, rows.X, others, start, batch_size, max_iter, row_space)

    inside = start.entering(space)
    activation = get_activation(params.activation, params.negative_slope)
    network = Network(inside.layer_sizes, activation, rows.X.dtype)
    network.parameters[...] = network.flatten(*inside)
    if goes_on:
        flat = {name: network.flatten(*m.entering(space)) for name, m in moments.items()}
        solver.set_state(state.counters, flat)
    objective = Objective(
        network,
        space.rows,
        rows.positive,
        rows.weight,
        alpha=params.alpha,
        batch_size=batch_size,
        shuffle=params.shuffle,
        random_state=state.random_state,
        space=space,
    )
    watched = None
    if held_out is not None:
        X = held_out.X if space.rows is rows.X else space.enter(held_out.X.T).T
        watched = HeldOut(network, X, held_out.positive, held_out.weight)
    # lbfgs has a stopping rule of its own, unless validation rows give another
    tol = None if watched is None and params.solver == "lbfgs" else params.tol
    plateau = Plateau(tol, params.n_iter_no_change)
    if state.plateau:
        plateau.set_state(state.plateau)
    monitor = Monitor(solver, network.parameters, plateau, held_out=watched, verbose=params.verbose)
    # Overflow is found where it matters, and reported as divergence
    with np.errstate(all="ignore"):
        converged = solver.minimize(objective, max_iter, monitor)
    monitor.restore_best()

    counters, flat = solver.get_state()
    after = {name: Weights(*network.split(m)).leaving(space) for name, m in flat.items()}
    weights = Weights(*network.split(network.parameters)).leaving(space, start.coefs[0])
    state = TrainingState(
        state.random_state, type(solver).__name__, counters, after, plateau.get_state()
    )
    return Outcome(weights, state, monitor, converged)


def _make_solver(params: Any) -> Solver:
    """Return the solver that the parameters ask for."""
    if params.solver == "lbfgs":
        return LBFGS(params.tol, params.max_fun)
    schedule = make_schedule(
        params.learning_rate, float(params.learning_rate_init), power_t=float(params.power_t)
    )
    if params.solver == "adam":
        return Adam(schedule, float(params.beta_1), float(params.beta_2), float(params.epsilon))
    if params.solver == "sgd" and params.momentum > 0:
        return Momentum(schedule, float(params.momentum), params.nesterovs_momentum)
    return GradientDescent(schedule)


def _make_space(
    params: Any,
    X: Any,
    others: list[Array],
    start: Weights,
    batch_size: int,
    max_iter: int,
    row_space: bool | str,
) -> FullSpace | RowSpace:
    """Return the coordinates to train in."""
    possible = params.solver in ROW_SPACE_SOLVERS and not scipy.sparse.issparse(X)
    if row_space is True and not possible:
        what = "sparse X" if params.solver in ROW_SPACE_SOLVERS else f"solver={params.solver!r}"
        raise ValueError(
            f"row_space=True cannot serve {what}: it takes dense X and the solvers "
            f"{', '.join(ROW_SPACE_SOLVERS)}."
        )
    if row_space == "auto":
        # a stopping rule usually ends training early
        n_epochs = max_iter if params.tol is None else max(1, max_iter // 4)
        row_space = possible and row_space_pays(
            X.shape[0],
            X.shape[1],
            start.intercepts[0].size,
            n_others=sum(other.shape[1] for other in others),
            n_epochs=n_epochs,
            batch_size=batch_size,
            itemsize=X.dtype.itemsize,
        )
    if row_space:
        space = RowSpace(X, others)
        # features near the end of the dtype's range may overflow in it, and only in it
        if np.isfinite(space.rows).all():
            return space
    return FullSpace(X)
