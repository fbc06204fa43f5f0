"""A run of steps: for each batch value and gradient, clipping, and the rule.

This is the seam between Python, which records, validates and stops once an epoch, and the step,
which may be compiled: `run_steps` reads as the algorithm, and the compiled run does the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from skdnn.numerics.vectors import largest_magnitude, norm

__all__ = ["clip", "run_steps"]

Array = np.ndarray


def run_steps(objective: Any, rule: Any, batches: Iterable[Any], rates: Array) -> float:
    """Step after every batch.

    The run is compiled where both the objective and the rule are. Then nothing comes back to
    Python before its end, but for signals, twice a second.

    Parameters
    ----------
    objective : Objective
        Its parameters are moved.
    rule : FirstOrderSolver
        Was prepared for the objective.
    batches : iterable
        What the objective's ``batches`` returned.
    rates : ndarray of shape (n_batches,)
        Learning rate of every step.

    Returns
    -------
    total : float
        Sum over the batches of their rows times their values.
    """
    run = getattr(objective, "run_compiled", None)
    if run is not None and rule.compiled_rule is not None:
        total = run(rule.compiled_rule, rule.n_steps, batches, rates)
        rule.n_steps += rates.size
        return total
    total = 0.0
    for batch, rate in zip(batches, rates.tolist(), strict=True):
        value, n_rows = objective.value_and_gradient(batch)
        rule.clip(objective.gradient)
        rule.n_steps += 1
        rule.step(rate)
        total += n_rows * value
    return total


def clip(gradient: Array, largest: float) -> None:
    """Scale a gradient that is longer than ``largest`` down to it; NaN stays NaN."""
    length = norm(gradient)
    if length == math.inf:
        # entries may still be finite: bring them below 1 first
        gradient /= largest_magnitude(gradient)
        length = norm(gradient)
    if not length <= largest:
        gradient *= largest / length
