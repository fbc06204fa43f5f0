"""From validated rows to fitted parameters.

Puts the rooms together for one call of fit or partial_fit: starting point, coordinates, network,
objective, solver, monitor. Validates no data and knows no fitted attributes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse

from skdnn.datasets import HDF5Matrix
from skdnn.datasets.rows import row_blocks
from skdnn.network.network import flatten, layer_views
from skdnn.network.prediction import dead_layers
from skdnn.numerics.threads import Crew, blas_threads, single_blas_thread
from skdnn.numerics.vectors import norm
from skdnn.training.build import make_network, make_solver, make_space
from skdnn.training.monitor import Monitor, Plateau
from skdnn.training.objective import HeldOut, Objective
from skdnn.training.rowspace import FullSpace, RowSpace
from skdnn.training.state import Progress, Rows, TrainingState, Weights
from skdnn.training.streamed import StreamedObjective
from skdnn.training.tasks import CallbackTasks

__all__ = ["Outcome", "Training"]

Array = np.ndarray

# Rows of a QR factorisation up to which a second BLAS thread costs more than it brings
_THREADED_RANK = 512

# Multiplications of the forward pass, and rows, that make a thread's share of a batch worth it
_SHARE_PRODUCTS = 4_000_000
_SHARE_ROWS = 64


@dataclass
class Outcome:
    """What training gives back."""

    weights: Weights | None  # None: no epoch was better than the best one of an earlier call
    state: TrainingState
    monitor: Monitor
    converged: bool
    dead_layers: list[int]  # hidden layers, counted from 1, that no training row activates


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
    progress : Progress, default=None
        Where the same call stood when it was killed: training goes on from there, and neither
        ``start`` nor the moments of ``state`` are looked at.
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
        progress: Progress | None = None,
    ) -> None:
        started = time.perf_counter()
        self._state = state
        self._incremental = incremental
        self._max_iter = 1 if incremental else params.max_iter
        self._solver = solver = make_solver(params, restart=not incremental)
        # Validation rows and the penalty look at what lies outside the span of X's rows
        looks_outside = params.alpha > 0 or held_out is not None
        if progress is None:
            vectors = self._begin(params, rows.X, layer_sizes, start, batch_size, looks_outside)
        else:
            vectors = self._go_on(progress, rows.X, looks_outside)
        layer_sizes = (self._space.rows.shape[1], *layer_sizes[1:])
        self._network = network = make_network(params, layer_sizes, vectors.pop("parameters"))
        best = vectors.pop("best", None)
        if state.rule == type(solver).__name__:
            solver.set_state(state.counters, vectors)
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
        self._ended = ""
        if progress is not None:
            self._ended = progress.ended
            self._monitor.set_state(progress.curves, best, progress.best_iter)

    def _begin(
        self,
        params: Any,
        X: Any,
        layer_sizes: Sequence[int],
        start: Array,
        batch_size: int,
        looks_outside: bool,
    ) -> dict[str, Array]:
        """Choose the coordinates; return parameters and moments in them, flat."""
        weights, moments = Weights(*layer_views(start, layer_sizes)), {}
        if self._state.rule == type(self._solver).__name__:
            moments = self._state.moments
        self._velocities = [moment.coefs[0] for moment in moments.values()]
        others = self._velocities + ([weights.coefs[0]] if looks_outside else [])
        with single_blas_thread(X.shape[0] <= _THREADED_RANK):
            self._space: FullSpace | RowSpace = make_space(
                params, X, others, layer_sizes[1], batch_size, self._incremental
            )
        space = self._space
        vectors = {
            name: flatten(*moment.entering(space), start.dtype) for name, moment in moments.items()
        }
        # what lies outside the space does not move
        self._origin = self._coordinates = None
        if not isinstance(space, FullSpace):
            inside = weights.entering(space)
            self._origin, self._coordinates = weights.coefs[0], inside.coefs[0]
            start = flatten(*inside, start.dtype)
        return {"parameters": start, **vectors}

    def _go_on(self, progress: Progress, X: Any, looks_outside: bool) -> dict[str, Array]:
        """Make the coordinates anew that the killed call was in; return its vectors."""
        self._origin, self._coordinates = progress.first_layer, progress.coordinates
        self._velocities = progress.velocities
        if self._origin is None:
            self._space = FullSpace(X)
        else:
            with single_blas_thread(X.shape[0] <= _THREADED_RANK):
                others = self._velocities + ([self._origin] if looks_outside else [])
                self._space = RowSpace(X, others)
            _check_coordinates(self._coordinates, self._space.enter(self._origin), progress.source)
        return {name: vector.copy() for name, vector in progress.vectors.items()}

    def _make_objective(self, params: Any, rows: Rows, batch_size: int) -> None:
        """Make the objective, and the crew that evaluates it."""
        network = self._network
        # scipy's sparse products gain nothing from a second thread
        products = 0 if scipy.sparse.issparse(rows.X) else batch_size * network.n_weights
        n_shares = min(products // _SHARE_PRODUCTS, batch_size // _SHARE_ROWS, blas_threads())
        n_threads = n_shares = max(1, n_shares)
        if isinstance(rows.X, HDF5Matrix) and rows.X.keeps_busy:
            n_threads = max(1, min(n_shares, blas_threads() - 1))  # the rest is the reader's
        self._crew = Crew(n_threads, n_shares)
        objective_type = StreamedObjective if isinstance(rows.X, HDF5Matrix) else Objective
        self._objective = objective_type(
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
        converged = self._ended in ("converged", "callback")
        # Overflow is found where it matters, and reported as divergence
        with (
            np.errstate(all="ignore"),
            monitor.interruptible(),
            single_blas_thread(),
            self._crew,
            closing(self._objective),
        ):
            if not self._ended:
                n_done = len(monitor.loss_curve)
                converged = solver.minimize(self._objective, self._max_iter, monitor, n_done)
                self._ended = "converged" if converged else "max_iter"
        if monitor.interrupted:
            self._ended = ""
        elif monitor.stopped_by_callback and not monitor.reached_plateau:
            self._ended = "callback"

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
            dead = dead_layers(network, self._space.rows, self._objective.part_size, row_blocks)
        return Outcome(weights, state, monitor, converged, dead)

    def _leave(self, parameters: Array) -> Weights:
        """Return a parameter vector by layer, in the coordinates of the features."""
        layers = Weights(*layer_views(parameters, self._network.layer_sizes))
        return layers.leaving(self._space, self._origin)

    def snapshot(self) -> Outcome:
        """Return what training would give back if it ended now, the state left out."""
        weights = self._leave(self._network.parameters.copy())
        return Outcome(weights, self._state, self._monitor, converged=False, dead_layers=[])

    def get_progress(self) -> Progress:
        """Return where training stands at the end of an epoch; the vectors are its own."""
        counters, moments = self._solver.get_state()
        monitor = self._monitor
        vectors = {"parameters": self._network.parameters, **moments}
        if monitor.best_parameters is not None:
            vectors["best"] = monitor.best_parameters
        return Progress(
            replace(
                self._state,
                rule=type(self._solver).__name__,
                counters=counters,
                moments={},
                plateau=self._plateau.get_state(),
                latest=None,
            ),
            vectors,
            self._origin,
            self._coordinates,
            [] if self._origin is None else self._velocities,
            monitor.curves,
            monitor.best_iter,
            "converged" if monitor.reached_plateau else self._ended,
        )

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


def _check_coordinates(before: Array | None, now: Array, source: str) -> None:
    """Raise ValueError if the same weights have other coordinates than before."""
    # of rows that depend on each other, rounding alone decides on some axes
    tol = 1e3 * float(np.finfo(now.dtype).eps) * norm(now.reshape(-1))
    if before is None or before.shape != now.shape or norm((now - before).reshape(-1)) > tol:
        raise ValueError(
            f"The checkpoint {source} was made in coordinates of X's row space that come out "
            "otherwise here: some rows of X are linearly dependent, and the BLAS library, its "
            "kernel or its number of threads is another. Go on where it was made, or train with "
            "row_space=False."
        )
