"""L-BFGS by scipy, fed with the objective's flat vectors."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from skdnn.numerics.vectors import all_finite
from skdnn.solvers.base import DivergenceError, Monitor, Objective, Solver

__all__ = ["LBFGS"]

Array = np.ndarray


class LBFGS(Solver):
    """Limited-memory BFGS on all rows (scipy's L-BFGS-B without bounds).

    The objective works in its own dtype; scipy's vector is float64. A trial point where loss or
    gradient is not finite makes the line search step back; an accepted one is divergence.

    Parameters
    ----------
    tol : float or None
        Converged when no component of the gradient exceeds it, or when an iteration lowers the
        loss by less than 2.2e-9 of it or of 1 (1e-6 in float32; scipy's ``ftol``). None: run until
        ``max_iter``, or until rounding leaves no descent.
    max_fun : int
        Largest number of evaluations.
    """

    def __init__(self, tol: float | None, max_fun: int) -> None:
        self.tol = tol
        self.max_fun = max_fun

    def set_state(self, counters: dict[str, int], moments: dict[str, Array]) -> None:
        """Do nothing: scipy keeps the history to itself, a new call starts with an empty one."""

    def minimize(
        self, objective: Objective, max_iter: int, monitor: Monitor, n_done: int = 0
    ) -> bool:
        if n_done >= max_iter:
            return False
        parameters = objective.parameters
        line_search = _SafeObjective(objective, monitor, n_done)

        def end_of_iteration(intermediate_result: OptimizeResult) -> None:
            line_search.accept(intermediate_result.x)
            parameters[...] = intermediate_result.x
            stop = monitor.end_epoch(float(intermediate_result.fun), None)
            if stop or (self.tol is not None and objective.is_stationary(self.tol)):
                raise StopIteration

        # Relative decrease below which nothing is left to gain: scipy's own, or the resolution of
        # the dtype.
        ftol = max(2.22e-9, 8.0 * float(np.finfo(parameters.dtype).eps))
        result = minimize(
            line_search,
            parameters.astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            callback=end_of_iteration,
            options={
                "maxiter": max_iter - n_done,
                "maxfun": self.max_fun,
                # The objective tests for a stationary point: its coordinates may be its own
                "gtol": 0.0,
                "ftol": 0.0 if self.tol is None else ftol,
            },
        )
        parameters[...] = result.x
        if line_search.is_open:
            monitor.abandon_epoch(float(result.fun))
        if self.tol is not None and not result.success and result.status != 99:
            self.complaint = self._explain(result, max_iter, n_done)
        # status 1: out of iterations or evaluations; 99: stopped by end_of_iteration
        return result.status != 1

    def _explain(self, result: OptimizeResult, max_iter: int, n_done: int) -> str:
        if result.status != 1:
            advice = (
                "the line search found no lower point, which is the limit of "
                "the dtype's precision or a sign of badly scaled features"
            )
        elif n_done + result.nit >= max_iter:
            advice = f"max_iter={max_iter} iterations were not enough: raise it"
        else:
            advice = f"max_fun={self.max_fun} evaluations were not enough: raise it"
        return (
            f"lbfgs stopped before it converged: {advice}; or scale the features "
            "(StandardScaler), or raise tol (tol=None runs max_iter iterations and does not warn)."
        )


class _SafeObjective:
    """Loss and gradient for the line search, in float64, finite at every trial point."""

    def __init__(self, objective: Objective, monitor: Monitor, n_done: int) -> None:
        self._objective = objective
        self._monitor = monitor
        self.is_open = False  # whether an iteration has begun and not ended
        self._batch = objective.all_rows()
        self._n_accepted = n_done
        # The point that the search starts from, its loss and its gradient
        self._base: tuple[Array, float, Array] | None = None
        self._latest: tuple[float, Array] | None = None

    def __call__(self, x: Array) -> tuple[float, Array]:
        if not self.is_open:
            self._monitor.begin_epoch()
            self.is_open = True
        objective = self._objective
        objective.parameters[...] = x
        value, _ = objective.value_and_gradient(self._batch)
        gradient = objective.gradient.astype(np.float64)
        if math.isfinite(value) and all_finite(gradient):
            self._latest = value, gradient
            if self._base is None:
                self._base = x.copy(), value, gradient
            return value, gradient
        if self._base is None:
            raise DivergenceError(self._diverged(), self._n_accepted + 1)
        # Higher than the base by a few times the decrease that its slope promises: interpolation
        # then shortens the step by about an order of magnitude.
        point, base_value, base_gradient = self._base
        promised = abs(float(np.dot(base_gradient, x - point)))
        if not math.isfinite(promised):
            promised = abs(base_value) + 1.0
        return base_value + 4.0 * promised, np.zeros_like(x)

    def accept(self, x: Array) -> None:
        """Take the latest finite evaluation as the point that the next search starts from."""
        self._n_accepted += 1
        if self._latest is None or not np.isfinite(x).all():
            raise DivergenceError(self._diverged(), self._n_accepted)
        self._base = x.copy(), *self._latest
        self.is_open = False

    def _diverged(self) -> str:
        return (
            f"Training diverged in iteration {self._n_accepted + 1}: the loss or a gradient is not "
            "finite (lbfgs has no learning rate). Scale the features (StandardScaler) or "
            "initialise smaller (init, init_scale)."
        )
