"""From validated rows to fitted parameters.

Puts the rooms together for one call of fit or partial_fit: starting point, coordinates, network,
objective, solver, monitor. Validates no data and knows no fitted attributes.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from skdnn._tasks import CallbackTasks
from skdnn._threads import Crew, blas_threads, single_blas_thread
from skdnn.activations import get_activation
from skdnn.early_stopping import Monitor, Plateau
from skdnn.initializers import initialize
from skdnn.network import Network, count_parameters, flatten, layer_views
from skdnn.objective import HeldOut, Objective
from skdnn.rowspace import ROW_SPACE_SOLVERS, FullSpace, RowSpace, row_space_pays
from skdnn.solvers import LBFGS, Adam, GradientDescent, Momentum, Solver, make_schedule

__all__ = ["Outcome", "Rows", "Training", "TrainingState", "Weights", "draw_parameters"]

Array = np.ndarray

# Rows of a QR factorisation up to which a second BLAS thread costs more than it brings
_THREADED_RANK = 512

# Multiplications of the forward pass, and rows, that make a thread's share of a batch worth it
_SHARE_PRODUCTS = 4_000_000
_SHARE_ROWS = 64


class Rows(NamedTuple):
    """Rows to train or to validate on."""

    X: Any  # (n_samples, n_features), dense or CSR
    positive: Array  # (n_samples,), bool: of the second class
    weight: Array | None  # (n_samples,), float64, positive

    def select(self, mask: Array) -> Rows:
        """Return the rows where the mask is true."""
        weight = None if self.weight is None else self.weight[mask]
        return Rows(self.X[mask], self.positive[mask], weight)

    def astype(self, dtype: np.dtype) -> Rows:
        """Return the rows with X in a dtype."""
        return self._replace(X=self.X.astype(dtype, copy=False))


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
    latest: Weights | None = None  # where the fitted parameters are those of an earlier epoch
    watched: str | None = None  # hash of the data that a validation score is of
    held_out: Array | None = None  # rows set aside from them, bool
    scoring: Any = "loss"  # what the plateau is of, if rows are watched; "" for training loss

    def branch(self) -> TrainingState:
        """Return a state that training can move on without a trace in this one."""
        return replace(self, random_state=_copied(self.random_state))


def _copied(random_state: np.random.RandomState) -> np.random.RandomState:
    """Return a generator that goes on independently of the given one."""
    drawn = random_state.get_state(legacy=False)
    if drawn["bit_generator"] != "MT19937":
        return copy.deepcopy(random_state)
    twin = np.random.RandomState(0)  # several times faster than deepcopy
    twin.set_state(drawn)
    return twin


@dataclass
class Outcome:
    """What training gives back."""

    weights: Weights | None  # None: no epoch was better than the best one of an earlier call
    state: TrainingState
    monitor: Monitor
    converged: bool
    dead_layers: list[int]  # hidden layers, counted from 1, that no training row activates


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


class Training:
    """One call of fit or partial_fit: the rooms put together, run, and taken apart again.

    Parameters
    ----------
    params : object
        Has the constructor's parameters of `DeepBinaryClassifier` as attributes.
    rows : Rows
        Training rows, in the dtype to train in.
    layer_sizes : sequence of int
        Sizes from the input to the logit.
    start : ndarray of shape (n_parameters,)
        Where to start, as one flat vector in that dtype. Used up.
    state : TrainingState
        Where training stands. Its generator is moved on, nothing else is changed.
    batch_size : int
        Rows of a batch.
    held_out : Rows, default=None
        Validation rows.
    score : callable, default=None
        Scores parameters on the validation rows, which it is given in the coordinates that the
        parameters are in; higher is better. By default, minus the log loss.
    incremental : bool, default=False
        Whether the call is one epoch of many, under one schedule.
    n_before : int, default=0
        Epochs of earlier calls.
    tasks : CallbackTasks, default=None
        Callbacks.
    """

    def __init__(
        self,
        params: Any,
        rows: Rows,
        layer_sizes: Sequence[int],
        start: Array,
        state: TrainingState,
        *,
        batch_size: int,
        held_out: Rows | None = None,
        score: Callable[[Weights, Any], float] | None = None,
        incremental: bool = False,
        n_before: int = 0,
        tasks: CallbackTasks | None = None,
    ) -> None:
        started = time.perf_counter()
        self._state = state
        self._incremental = incremental
        self._max_iter = 1 if incremental else params.max_iter
        self._solver = solver = _make_solver(params, restart=not incremental)
        goes_on = state.rule == type(solver).__name__
        moments = state.moments if goes_on else {}
        weights = Weights(*layer_views(start, layer_sizes))
        # Columns that would leave the span of X's rows, or that something outside of it looks at
        others = [moment.coefs[0] for moment in moments.values()]
        if params.alpha > 0 or held_out is not None:
            others.append(weights.coefs[0])
        with single_blas_thread(rows.X.shape[0] <= _THREADED_RANK):
            self._space = space = _make_space(
                params, rows.X, others, layer_sizes[1], batch_size, incremental
            )
        # what lies outside the space does not move
        self._origin = None if isinstance(space, FullSpace) else weights.coefs[0]
        if self._origin is not None:
            layer_sizes = (space.rows.shape[1], *layer_sizes[1:])
            start = flatten(*weights.entering(space), start.dtype)
        self._network = network = _make_network(params, layer_sizes, start)
        if goes_on:
            inside = {name: moment.entering(space) for name, moment in moments.items()}
            flat = {name: flatten(*moment, start.dtype) for name, moment in inside.items()}
            solver.set_state(state.counters, flat)
        self._make_objective(params, rows, batch_size)
        # lbfgs has a stopping rule of its own, unless validation rows give another
        no_rule = params.tol is None or (held_out is None and params.solver == "lbfgs")
        tol = None if no_rule else float(params.tol)
        self._plateau = Plateau(tol, params.n_iter_no_change)
        if state.plateau:
            self._plateau.set_state(state.plateau)
        self._monitor = Monitor(
            solver,
            network.parameters,
            self._plateau,
            validate=None if held_out is None else self._make_validation(rows, held_out, score),
            tasks=tasks,
            verbose=params.verbose,
            n_before=n_before,
            started=started,
        )

    def _make_objective(self, params: Any, rows: Rows, batch_size: int) -> None:
        """Make the objective, and the crew that evaluates it."""
        network = self._network
        # scipy's sparse products gain nothing from a second thread
        products = 0 if scipy.sparse.issparse(rows.X) else batch_size * network.n_weights
        n_shares = min(products // _SHARE_PRODUCTS, batch_size // _SHARE_ROWS, blas_threads())
        self._crew = Crew(max(1, n_shares))
        self._objective = Objective(
            network,
            self._space.rows,
            rows.positive,
            rows.weight,
            # adamw decays the weights by itself
            alpha=0.0 if params.solver == "adamw" else float(params.alpha),
            batch_size=batch_size,
            shuffle=params.shuffle,
            random_state=self._state.random_state,
            space=self._space,
            crew=self._crew,
        )

    def run(self) -> Outcome:
        """Minimise the objective.

        Returns
        -------
        Outcome

        Raises
        ------
        DivergenceError
            When a cost, gradient, parameter or moment is not finite.
        """
        network, monitor, solver = self._network, self._monitor, self._solver
        converged = False
        # Overflow is found where it matters, and reported as divergence
        with (
            np.errstate(all="ignore"),
            monitor.interruptible(),
            single_blas_thread(),
            self._crew,
        ):
            converged = solver.minimize(self._objective, self._max_iter, monitor)

        counters, moments = solver.get_state()
        state = replace(
            self._state,
            rule=type(solver).__name__,
            counters=counters,
            moments={
                name: Weights(*layer_views(moment, network.layer_sizes)).leaving(self._space)
                for name, moment in moments.items()
            },
            plateau=self._plateau.get_state(),
            latest=None,
        )
        weights: Weights | None = self._leave(network.parameters)
        if monitor.validation_scores:
            state.latest = weights
            if monitor.best_parameters is not None:
                weights = self._leave(monitor.best_parameters)
            elif self._plateau.best < np.inf:
                weights = None
        dead = []
        if not self._incremental:
            # of the latest parameters: that is where training could not go on
            dead = network.dead_layers(self._space.rows, self._objective.part_size)
        return Outcome(weights, state, monitor, converged, dead)

    def _leave(self, parameters: Array) -> Weights:
        """Return a parameter vector by layer, in the coordinates of the features."""
        layers = Weights(*layer_views(parameters, self._network.layer_sizes))
        return layers.leaving(self._space, self._origin)

    def snapshot(self) -> Outcome:
        """Return what training would give back if it ended now, the state left out."""
        weights = self._leave(self._network.parameters.copy())
        return Outcome(weights, self._state, self._monitor, converged=False, dead_layers=[])

    def _make_validation(
        self, rows: Rows, held_out: Rows, score: Callable[[Weights, Any], float] | None
    ) -> Callable[[], tuple[float, float]]:
        """Return the function that gives log loss and score of the validation rows."""
        network, space = self._network, self._space
        X = held_out.X if space.rows is rows.X else space.enter(held_out.X.T).T
        watched = HeldOut(network, X, held_out.positive, held_out.weight)
        views = Weights(network.weights, network.biases)

        def validate() -> tuple[float, float]:
            loss = watched.log_loss()
            return loss, -loss if score is None else score(views, X)

        return validate


def _make_network(params: Any, layer_sizes: Sequence[int], start: Array) -> Network:
    """Return the network at its starting point."""
    dropout = np.broadcast_to(np.asarray(params.dropout, float), len(layer_sizes) - 2).tolist()
    activation = get_activation(params.activation, params.negative_slope)
    return Network(
        layer_sizes, activation, start.dtype, dropout if any(dropout) else (), parameters=start
    )


def _make_solver(params: Any, *, restart: bool) -> Solver:
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


def _make_space(
    params: Any,
    X: Any,
    others: list[Array],
    n_units: int,
    batch_size: int,
    incremental: bool,
) -> FullSpace | RowSpace:
    """Return the coordinates to train in."""
    possible = params.solver in ROW_SPACE_SOLVERS and not scipy.sparse.issparse(X)
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
        what = "sparse X" if params.solver in ROW_SPACE_SOLVERS else f"solver={params.solver!r}"
        raise ValueError(
            f"row_space=True cannot serve {what}: it takes dense X and the solvers "
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
