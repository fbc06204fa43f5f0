"""Adam (Kingma & Ba 2015), block by block so that a block's vectors stay in cache."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from skdnn.solvers.base import FirstOrderSolver, Objective
from skdnn.solvers.schedules import Schedule

__all__ = ["Adam"]

Array = np.ndarray

# Bytes of a block of one of the five vectors that a step touches.
_BLOCK_BYTES = 2**18


class Adam(FirstOrderSolver):
    """Adaptive moments, in the form of section 2 of the paper (epsilon beside the raw moment).

    The moments are kept as running sums, moment / (1 - beta), which saves two passes a step.

    Parameters
    ----------
    schedule : Schedule
        Gives the learning rate of every step.
    beta_1, beta_2 : float
        Decay rates of the moments, in [0, 1).
    epsilon : float
        Added to the root of the second moment.
    weight_decay : float, default=0.0
        Decoupled decay (AdamW, Loshchilov & Hutter 2019): every step also multiplies the weights,
        not the biases, by ``1 - rate * weight_decay``.
    **common : dict
        Further parameters of `FirstOrderSolver`.
    """

    moment_names = ("first_sum", "second_sum")

    def __init__(
        self,
        schedule: Schedule,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        weight_decay: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(schedule, **common)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.weight_decay = weight_decay

    def prepare(self, objective: Objective) -> None:
        super().prepare(objective)
        parameters = objective.parameters
        self._weights = parameters[: objective.n_weights]
        dtype = parameters.dtype
        self._block = min(parameters.size, _BLOCK_BYTES // dtype.itemsize)
        self._scratch = np.empty(self._block, dtype)
        # An epsilon that the dtype cannot hold would divide 0 by 0 where a unit is dead.
        self._root_epsilon = max(
            self.epsilon / math.sqrt(1.0 - self.beta_2), float(np.finfo(dtype).tiny)
        )

    def step(self, parameters: Array, gradient: Array, rate: float) -> None:
        first, second = (self.moments[name] for name in self.moment_names)
        t = self.n_steps
        if self.weight_decay:
            self._weights *= 1.0 - rate * self.weight_decay
        rate *= (
            (1.0 - self.beta_1)
            / (1.0 - self.beta_1**t)
            * math.sqrt((1.0 - self.beta_2**t) / (1.0 - self.beta_2))
        )
        for start in range(0, parameters.size, self._block):
            block = slice(start, start + self._block)
            g, m, v = gradient[block], first[block], second[block]
            s = self._scratch[: g.size]
            m *= self.beta_1
            m += g
            v *= self.beta_2
            np.multiply(g, g, out=s)
            v += s
            np.sqrt(v, out=s)
            s += self._root_epsilon
            np.divide(m, s, out=s)
            s *= rate
            parameters[block] -= s
