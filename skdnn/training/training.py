"""From a checked call to fitted parameters.

Puts the rooms together for one call of fit or partial_fit: coordinates, network, objective, solver,
monitor. Validates no data and knows no fitted attributes.
"""

from __future__ import annotations

import time
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skdnn.network.activations import get_activation
from skdnn.network.network import Network, layer_views
from skdnn.numerics.threads import single_blas_thread
from skdnn.training.build import make_solver
from skdnn.training.coordinates import Coordinates
from skdnn.training.monitor import EpochTasks, Monitor, Plateau
from skdnn.training.state import Call, Progress, TrainingState, Weights

__all__ = ["Outcome", "Training"]

Array = np.ndarray


@dataclass
class Outcome:
    """What training gives back."""

    weights: Weights | None  # None: no epoch was better than the best one of an earlier call
    state: TrainingState
    monitor: Monitor
    layer_sizes: tuple[int, ...]
    converged: bool = False
    complaint: str = ""  # of the solver, if it could not do its work
    dead_layers: tuple[int, ...] = ()  # hidden layers, counted from 1, that no row activates


class Training:
    """One call of fit or partial_fit: the rooms put together, run, and taken apart again.

    Parameters
    ----------
    params : object
        Has the constructor's parameters of `DeepBinaryClassifier` as attributes.
    call : Call
        Rows, start and state; where it has a progress, training goes on from there, and neither
        the start nor the moments of the state are looked at. Its generator is moved on, nothing
        else of its state is changed.
    tasks : EpochTasks, default=None
        Callbacks.
    """

    def __init__(self, params: Any, call: Call, tasks: EpochTasks | None = None) -> None:
        self._started = time.perf_counter()
        self._params, self._call, self._state, self._tasks = params, call, call.state, tasks
        self._max_iter = 1 if call.incremental else params.max_iter
        self._solver = solver = make_solver(params, restart=not call.incremental)
        goes_on = self._state.rule == type(solver).__name__
        if call.progress is None:
            moments = self._state.moments if goes_on else {}
            self._coordinates, vectors = Coordinates.begin(params, call, moments)
        else:
            self._coordinates, vectors = Coordinates.go_on(params, call, call.progress)
        space = self._coordinates.space
        dropout = np.broadcast_to(np.asarray(params.dropout, float), len(call.layer_sizes) - 2)
        self._network = network = Network(
            (space.rank, *call.layer_sizes[1:]),
            get_activation(params.activation, params.negative_slope),
            call.start.dtype,
            dropout.tolist() if dropout.any() else (),
            parameters=vectors.pop("parameters"),
        )
        self._best = vectors.pop("best", None)
        if goes_on:
            solver.set_state(self._state.counters, vectors)
        mean_weight = None  # of the rows of the call
        if call.incremental:  # of all rows that partial_fit saw
            mean_weight = self._state.see(call.rows.shape[0], call.rows.mean_weight)
        self._objective = call.rows.make_objective(
            network,
            space,
            call.batch_size,
            # adamw decays the weights by itself
            alpha=0.0 if params.solver == "adamw" else float(params.alpha),
            shuffle=params.shuffle,
            random_state=self._state.random_state,
            mean_weight=mean_weight,
        )
        self._ended = "" if call.progress is None else call.progress.ended

    def _make_monitor(self) -> Monitor:
        """Return what is told of the epochs, with a memory of those before a kill."""
        params, call = self._params, self._call
        # lbfgs has a stopping rule of its own, unless validation rows give another
        no_rule = params.tol is None or (call.validation is None and params.solver == "lbfgs")
        self._plateau = Plateau(None if no_rule else float(params.tol), params.n_iter_no_change)
        if self._state.plateau:
            self._plateau.set_state(self._state.plateau)
        validate = None
        if call.validation is not None:
            space = self._coordinates.space
            validate = call.validation.make_validation(self._network, space, call.score)
        monitor = Monitor(
            self._solver,
            self._network.parameters,
            self._plateau,
            validate=validate,
            tasks=self._tasks,
            verbose=params.verbose,
            n_before=call.n_before,
            started=self._started,
        )
        if call.progress is not None:
            monitor.set_state(call.progress.curves, self._best, call.progress.best_iter)
        return monitor

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
        converged, monitor = self._minimize(), self._monitor
        if monitor.interrupted:
            self._ended = ""
        elif monitor.stopped_by_callback and not monitor.reached_plateau:
            self._ended = "callback"
        counters, moments = self._solver.get_state()
        state = self._latest_state(
            counters,
            {
                name: self._coordinates.leave_moments(self._by_layer(moment))
                for name, moment in moments.items()
            },
        )
        weights: Weights | None = self._leave(self._network.parameters)
        if monitor.validation_scores:
            state.latest = weights
            if monitor.best_parameters is not None:
                weights = self._leave(monitor.best_parameters)
            elif self._plateau.best < np.inf:
                weights = None
        dead: list[int] = []
        if not self._call.incremental:
            # of the latest parameters: that is where training could not go on
            with single_blas_thread():  # or a fork meanwhile leaves BLAS waiting for its threads
                dead = self._objective.dead_layers()
        return replace(
            self._outcome(weights),
            state=state,
            converged=converged,
            complaint=self._solver.complaint,
            dead_layers=tuple(dead),
        )

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped training (Ctrl-C)."""
        return self._monitor.interrupted

    def _minimize(self) -> bool:
        """Run the training loop; return whether it converged."""
        self._monitor = monitor = self._make_monitor()
        objective = self._objective
        converged = self._ended in ("converged", "callback")
        with (
            monitor.interruptible(),
            single_blas_thread(),
            objective.crew or nullcontext(),
            closing(objective),
        ):
            if not self._ended:
                n_done = len(monitor.loss_curve)
                converged = self._solver.minimize(objective, self._max_iter, monitor, n_done)
                self._ended = "converged" if converged else "max_iter"
        return converged

    def _by_layer(self, vector: Array) -> Weights:
        return Weights(*layer_views(vector, self._network.layer_sizes))

    def _leave(self, parameters: Array) -> Weights:
        """Return a parameter vector by layer, in the coordinates of the features."""
        return self._coordinates.leave(self._by_layer(parameters))

    def _latest_state(self, counters: dict[str, int], moments: dict[str, Weights]) -> TrainingState:
        return replace(
            self._state,
            rule=type(self._solver).__name__,
            counters=counters,
            moments=moments,
            plateau=self._plateau.get_state(),
            latest=None,
        )

    def _outcome(self, weights: Weights | None) -> Outcome:
        return Outcome(weights, self._state, self._monitor, self._call.layer_sizes)

    def snapshot(self) -> Outcome:
        """Return what training would give back if it ended now, the state left out."""
        return self._outcome(self._leave(self._network.parameters.copy()))

    def get_progress(self) -> Progress | None:
        """Return where training stands at the end of an epoch; the vectors are its own.

        None where the epoch lacks a score: there is no going on from there to the same end.
        """
        counters, moments = self._solver.get_state()
        monitor = self._monitor
        if monitor.unscored:
            return None
        vectors = {"parameters": self._network.parameters, **moments}
        if monitor.best_parameters is not None:
            vectors["best"] = monitor.best_parameters
        return Progress(
            self._latest_state(counters, {}),
            vectors,
            self._coordinates.row_space,
            monitor.curves,
            monitor.best_iter,
            "converged" if monitor.reached_plateau else self._ended,
        )
