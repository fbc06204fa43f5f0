"""Adam (Kingma & Ba 2015), block by block so that a block's vectors stay in cache."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from skdnn.solvers.base import FirstOrderSolver, Objective

__all__ = ["Adam"]

Array = np.ndarray

# Bytes of a block of one of the five vectors that a step touches, and the number of blocks from
# which threads share them.
_BLOCK_BYTES = 2**18
_SHARED_BLOCKS = 2


@dataclass(eq=False, repr=False)
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

    Notes
    -----
    Further parameters are those of `FirstOrderSolver`.
    """

    beta_1: float
    beta_2: float
    epsilon: float
    weight_decay: float = 0.0
    moment_names = ("first_sum", "second_sum")

    def prepare(self, objective: Objective, n_done: int = 0) -> None:
        parameters = objective.parameters
        dtype = parameters.dtype
        # An epsilon that the dtype cannot hold would divide 0 by 0 where a unit is dead.
        self._root_epsilon = max(
            self.epsilon / math.sqrt(1.0 - self.beta_2), float(np.finfo(dtype).tiny)
        )
        super().prepare(objective, n_done)
        self._weights = parameters[: objective.n_weights]
        vectors = (parameters, objective.gradient, *(self.moments[n] for n in self.moment_names))
        size = _BLOCK_BYTES // dtype.itemsize
        blocks = [
            tuple(vector[start : start + size] for vector in vectors)
            for start in range(0, parameters.size, size)
        ]
        n_shares = 1
        if self._crew is not None and len(blocks) >= _SHARED_BLOCKS:
            n_shares = self._crew.n_threads
        self._shares = [
            (blocks[k::n_shares], np.empty(min(size, parameters.size), dtype))
            for k in range(n_shares)
        ]

    def kernel(self) -> tuple[str, dict[str, float]]:
        return "adam", {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "root_epsilon": self._root_epsilon,
            "weight_decay": self.weight_decay,
        }

    def update(self, rate: float) -> None:
        t = self.n_steps
        if self.weight_decay:
            self._weights *= 1.0 - rate * self.weight_decay
        rate *= (
            (1.0 - self.beta_1)
            / (1.0 - self.beta_1**t)
            * math.sqrt((1.0 - self.beta_2**t) / (1.0 - self.beta_2))
        )
        if len(self._shares) == 1:
            self._update(*self._shares[0], rate)
        else:
            self._crew.run([partial(self._update, *share, rate) for share in self._shares])

    def _update(self, blocks: list[tuple[Array, ...]], scratch: Array, rate: float) -> None:
        """Update some blocks of the vectors, in place."""
        for p, g, m, v in blocks:
            s = scratch[: g.size]
            m *= self.beta_1
            m += g
            v *= self.beta_2
            np.multiply(g, g, out=s)
            v += s
            np.sqrt(v, out=s)
            s += self._root_epsilon
            np.divide(m, s, out=s)
            s *= rate
            p -= s
