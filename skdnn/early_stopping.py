"""What decides to stop, and keeps the best parameters.

The monitor is called at the end of every epoch. It records the curves, scores the validation
rows, reports, and tells the solver when nothing improves any more. It knows no network.
"""

from __future__ import annotations

import math
import time
from typing import Any, Protocol

import numpy as np

from skdnn.solvers import Solver

__all__ = ["Monitor", "Plateau"]

Array = np.ndarray


class HeldOut(Protocol):
    """Rows that are not trained on."""

    def log_loss(self) -> float:
        """Return their mean log loss at the present parameters."""


class Plateau:
    """Counts epochs that do not lower a loss by more than ``tol``.

    Parameters
    ----------
    tol : float or None
        Smallest decrease that counts as one. None: there is never a plateau.
    patience : int or inf
        Number of epochs in a row without such a decrease that make a plateau.

    Attributes
    ----------
    best : float
        Lowest loss so far; inf before the first.
    """

    def __init__(self, tol: float | None, patience: float) -> None:
        self.tol = tol
        self.patience = patience
        self.best = math.inf
        self.n_epochs_without = 0

    def update(self, loss: float) -> bool:
        """Count an epoch; return whether it completes a plateau. NaN is no improvement."""
        if self.tol is None or loss <= self.best - self.tol:
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
        return {"best": self.best, "n_epochs_without": self.n_epochs_without}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` returned."""
        self.best = state["best"]
        self.n_epochs_without = state["n_epochs_without"]


class Monitor:
    """End of an epoch: record, validate, report, decide.

    Parameters
    ----------
    solver : Solver
        Asked for its learning rate, and told of plateaus.
    parameters : ndarray of shape (n_parameters,)
        The vector that the solver moves; copied when it is the best so far.
    plateau : Plateau
        Watches the validation loss or, without one, the training loss.
    held_out : HeldOut, default=None
        Validation rows; their log loss is then what is watched.
    verbose : bool or int, default=False
        Print a line every ``verbose`` epochs.

    Attributes
    ----------
    loss_curve, validation_loss_curve, learning_rate_curve : list of float
        One entry an epoch of this call.
    best_iter : int
        Number of the epoch, counted from 1, with the lowest validation loss.
    """

    def __init__(
        self,
        solver: Solver,
        parameters: Array,
        plateau: Plateau,
        *,
        held_out: HeldOut | None = None,
        verbose: bool | int = False,
    ) -> None:
        self._solver = solver
        self._parameters = parameters
        self._plateau = plateau
        self._held_out = held_out
        self._verbose = int(verbose)
        self._start = time.perf_counter()
        self._best_parameters: Any = parameters.copy() if held_out is not None else None
        self.loss_curve: list[float] = []
        self.validation_loss_curve: list[float] = []
        self.learning_rate_curve: list[float] = []
        self.best_iter = 0

    def __call__(self, loss: float) -> bool:
        """Take the training loss of an epoch; return True to stop."""
        self.loss_curve.append(loss)
        if self._solver.learning_rate is not None:
            self.learning_rate_curve.append(self._solver.learning_rate)
        if self._held_out is not None:
            loss = self._held_out.log_loss()
            self.validation_loss_curve.append(loss)
            if loss < self._plateau.best or self.best_iter == 0:
                np.copyto(self._best_parameters, self._parameters)
                self.best_iter = len(self.loss_curve)
        if self._verbose and len(self.loss_curve) % self._verbose == 0:
            self._report()
        return self._plateau.update(loss) and self._solver.plateau()

    def restore_best(self) -> None:
        """Put the parameters of the best epoch back; without validation rows, do nothing."""
        if self._best_parameters is not None:
            np.copyto(self._parameters, self._best_parameters)

    def _report(self) -> None:
        parts = [f"Iteration {len(self.loss_curve)}, loss = {self.loss_curve[-1]:.8f}"]
        if self.validation_loss_curve:
            parts.append(f"validation loss = {self.validation_loss_curve[-1]:.8f}")
        if self.learning_rate_curve:
            parts.append(f"learning rate = {self.learning_rate_curve[-1]:.4g}")
        parts.append(f"{time.perf_counter() - self._start:.1f} s")
        print(", ".join(parts), flush=True)
