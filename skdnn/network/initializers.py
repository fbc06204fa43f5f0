"""Initial weights: the variance rules of He, Glorot and LeCun, drawn in a published order.

For each layer, first layer first, one block of draws of shape (n_out, n_in) is taken from the
generator, row by row, scaled, and transposed; so a run can be repeated in any language that has
the same generator. Biases start at 0 and draw nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["INITIALIZERS", "initialize", "weight_variance"]

# name: (default numerator, denominator as a function of fan_in and fan_out)
_RULES = {
    "he": (2.0, lambda fan_in, fan_out: fan_in),
    "xavier": (2.0, lambda fan_in, fan_out: fan_in + fan_out),
    "lecun": (1.0, lambda fan_in, fan_out: fan_in),
    "normal": (1.0, lambda fan_in, fan_out: 1),
}
INITIALIZERS = tuple(_RULES)


def weight_variance(rule: str, fan_in: int, fan_out: int, scale: float | None = None) -> float:
    """Return the variance that a rule gives the weights of one layer.

    Parameters
    ----------
    rule : {"he", "xavier", "lecun", "normal"}
        Variance 2 / fan_in (He et al. 2015), 2 / (fan_in + fan_out) (Glorot & Bengio 2010),
        1 / fan_in (LeCun et al. 1998) or 1.
    fan_in, fan_out : int
        Number of units that feed the layer, and of units in it.
    scale : float, default=None
        Numerator that replaces the rule's own.

    Returns
    -------
    float
    """
    numerator, denominator = _RULES[rule]
    return (numerator if scale is None else scale) / denominator(fan_in, fan_out)


def initialize(
    weights: Sequence[np.ndarray],
    random_state: np.random.RandomState,
    *,
    rule: str,
    scale: float | None = None,
    distribution: str = "normal",
) -> None:
    """Fill the weights of all layers in place, drawing them in the published order.

    Parameters
    ----------
    weights : sequence of ndarray of shape (fan_in, fan_out)
        Weights of each layer, first layer first. Drawn in float64, stored in their own dtype.
    random_state : RandomState
        The generator to draw from.
    rule, scale
        See `weight_variance`.
    distribution : {"normal", "uniform"}, default="normal"
        Zero-mean distribution with that variance.
    """
    for weight in weights:
        fan_in, fan_out = weight.shape
        deviation = math.sqrt(weight_variance(rule, fan_in, fan_out, scale))
        if distribution == "normal":
            draws = random_state.standard_normal((fan_out, fan_in))
            draws *= deviation
        else:
            bound = math.sqrt(3.0) * deviation
            draws = random_state.uniform(-bound, bound, (fan_out, fan_in))
        # what overflows here is infinite, and found where training would begin
        with np.errstate(all="ignore"):
            weight[...] = draws.T
