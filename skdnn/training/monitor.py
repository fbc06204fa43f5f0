"""What decides to stop, and keeps the best parameters.

The monitor is told of every epoch. It records the curves, scores the validation rows, reports,
runs callbacks, and tells the solver when nothing improves any more. It knows no network.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from skdnn.solvers import Solver

__all__ = ["EpochTasks", "Monitor", "Plateau"]

Array = np.ndarray


class EpochTasks(Protocol):
    """Callbacks around every epoch."""

    def begin(self) -> None:
        """Run before an epoch."""

    def end(self) -> bool:
        """Run after an epoch; True stops."""


class Plateau:
    """Counts epochs since a loss last fell by at least ``tol``.

    The fall is measured from where the count began, so that many small steps add up.

    Parameters
    ----------
    tol : float or None
        Smallest fall that counts as one. None: there is never a plateau.
    patience : int or inf
        Number of epochs in a row without such a fall that make a plateau.

    Attributes
    ----------
    best : float
        Lowest loss so far; inf before the first.
    """

    def __init__(self, tol: float | None, patience: float) -> None:
        self.tol = tol
        self.patience = patience
        self.best = math.inf
        self.reference = math.inf  # loss that the next fall is measured from
        self.n_epochs_without = 0

    def update(self, loss: float) -> bool:
        """Count an epoch; return whether it completes a plateau. NaN is no improvement."""
        if self.tol is None or loss <= self.reference - self.tol:
            self.reference = loss
            self.n_epochs_without = 0
        else:
            self.n_epochs_without += 1
        if loss < self.best:
            self.best = loss
        if self.n_epochs_without < self.patience:
            return False
        self.n_epochs_without = 0
        return True

    def get_state(self) -> dict[str, Any]:
        """Return what `set_state` needs to go on counting."""
        return {
            "best": self.best,
            "reference": self.reference,
            "n_epochs_without": self.n_epochs_without,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` returned."""
        self.best = state["best"]
        self.reference = state["reference"]
        self.n_epochs_without = state["n_epochs_without"]


class Monitor:
    """Around an epoch: record, validate, report, decide.

    Parameters
    ----------
    solver : Solver
        Told of plateaus.
    parameters : ndarray of shape (n_parameters,)
        The vector that the solver moves; copied when it is the best so far.
    plateau : Plateau
        Watches the validation score or, without one, the training loss.
    validate : callable, default=None
        Returns log loss and score (higher is better) of the validation rows at the present
        parameters.
    tasks : EpochTasks, default=None
        Callbacks to run.
    verbose : bool or int, default=False
        Print a line every ``verbose`` epochs.
    n_before : int, default=0
        Epochs of earlier calls, that the printed numbers go on from.
    started : float, default=None
        Time on the clock of `time.perf_counter` that the printed seconds count from.

    Attributes
    ----------
    loss : float
        Latest training loss.
    loss_curve, learning_rate_curve : list of float
        One entry an epoch of this call.
    validation_loss_curve, validation_scores : list of float
        Likewise; empty without validation.
    best_parameters : ndarray of shape (n_parameters,) or None
        Copy from the epoch with the best score so far; None if this call had none, as where every
        score is NaN.
    best_iter : int
        Number of that epoch, counted from 1 in this call; 0 if this call had none.
    interrupted : bool
        Whether the user asked to stop (Ctrl-C).
    unscored : bool
        Whether the latest epoch, which an interrupt met, could not be scored. Training that goes on
        from there would go another way than without the interrupt.
    reached_plateau, stopped_by_callback : bool
        Whether the latest epoch was the last, and why.
    """

    def __init__(
        self,
        solver: Solver,
        parameters: Array,
        plateau: Plateau,
        *,
        validate: Callable[[], tuple[float, float]] | None = None,
        tasks: EpochTasks | None = None,
        verbose: bool | int = False,
        n_before: int = 0,
        started: float | None = None,
    ) -> None:
        self._solver = solver
        self._parameters = parameters
        self._plateau = plateau
        self._validate = validate
        self._tasks = tasks
        self._verbose = int(verbose)
        self._n_before = n_before
        self._started = time.perf_counter() if started is None else started
        self.loss = math.inf
        self.loss_curve: list[float] = []
        self.learning_rate_curve: list[float] = []
        self.validation_loss_curve: list[float] = []
        self.validation_scores: list[float] = []
        self.best_parameters: Array | None = None
        self.best_iter = 0
        self.interrupted = False
        self.unscored = False
        self.reached_plateau = False
        self.stopped_by_callback = False
        self.between_epochs = True

    @property
    def curves(self) -> dict[str, list[float]]:
        """The curves by name."""
        return {
            "loss": self.loss_curve,
            "learning_rate": self.learning_rate_curve,
            "validation_loss": self.validation_loss_curve,
            "validation_score": self.validation_scores,
        }

    def set_state(
        self, curves: dict[str, list[float]], best_parameters: Array | None, best_iter: int
    ) -> None:
        """Go on where a call that was killed stood."""
        for name, curve in self.curves.items():
            curve[:] = curves[name]
        self.loss = self.loss_curve[-1]
        self.best_parameters, self.best_iter = best_parameters, best_iter

    def begin_epoch(self) -> None:
        """Run the callbacks before an epoch."""
        if self._tasks is not None:
            self._tasks.begin()
        self.between_epochs = False

    def end_epoch(self, loss: float, learning_rate: float | None) -> bool:
        """Take the training loss of an epoch; return True to stop."""
        watched: float | None = loss
        if self._validate is not None:
            watched = self._score()
        self.loss = loss
        self.loss_curve.append(loss)
        if learning_rate is not None:
            self.learning_rate_curve.append(learning_rate)
        # an epoch without a score counts for nothing
        self.reached_plateau = (
            watched is not None and self._plateau.update(watched) and self._solver.plateau()
        )
        # An interrupt before this line meets an epoch that is not over, and one after it an epoch
        # that is all recorded.
        self.between_epochs = True
        if self._verbose and (self._n_before + len(self.loss_curve)) % self._verbose == 0:
            self._report()
        self.stopped_by_callback = self._tasks is not None and self._tasks.end()
        return self.reached_plateau or self.stopped_by_callback or self.interrupted

    def abandon_epoch(self, loss: float) -> None:
        """Close an epoch that came to nothing, at the loss where the one before ended."""
        self.loss = loss
        if self._tasks is not None and not self.between_epochs:
            self._tasks.end()
        self.between_epochs = True

    def _score(self) -> float | None:
        """Score the validation rows, keep the parameters if they are the best; return -score."""
        scored = self._validate_in_spite_of_ctrl_c()
        self.unscored = scored is None
        validation_loss, score = scored or (math.nan, math.nan)
        self.validation_loss_curve.append(validation_loss)
        self.validation_scores.append(score)
        if -score < self._plateau.best:
            if self.best_parameters is None:
                self.best_parameters = np.empty_like(self._parameters)
            np.copyto(self.best_parameters, self._parameters)
            self.best_iter = len(self.validation_scores)
        return None if self.unscored else -score

    def _validate_in_spite_of_ctrl_c(self) -> tuple[float, float] | None:
        """Return log loss and score; None if an interrupt came between and they cannot be had."""
        validate = self._validate
        assert validate is not None
        try:
            return validate()
        except KeyboardInterrupt:
            self.interrupted = True
        # With its score, the epoch is what it would have been; a second interrupt ends it.
        try:
            return validate()
        except Exception:
            return None  # the epoch itself is whole: keep it

    def _report(self) -> None:
        number = self._n_before + len(self.loss_curve)
        parts = [f"Iteration {number}, loss = {self.loss_curve[-1]:.8f}"]
        if self.validation_scores:
            parts.append(f"validation score = {self.validation_scores[-1]:.6f}")
        if self.learning_rate_curve:
            parts.append(f"learning rate = {self.learning_rate_curve[-1]:.4g}")
        parts.append(f"{time.perf_counter() - self._started:.1f} s")
        print(", ".join(parts), flush=True)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let Ctrl-C stop training at the end of the epoch; a second one stops at once.

        Only in the main thread, and only where nobody else handles the signal. An interrupt that
        is raised between two epochs, by a callback say, is taken in the same way.
        """
        handled = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )

        def stop_after_epoch(signum: int, frame: Any) -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.interrupted = True

        if handled:
            signal.signal(signal.SIGINT, stop_after_epoch)
        try:
            yield
        except KeyboardInterrupt:
            if not (self.between_epochs and self.loss_curve):
                raise
            self.interrupted = True
        finally:
            if handled:
                signal.signal(signal.SIGINT, signal.default_int_handler)
