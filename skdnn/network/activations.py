"""Hidden activations by name: a function in place, and a derivative, each.

An activation never allocates: it works in the arrays that the network hands it, which are all
C-contiguous.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, ndtr

__all__ = ["ACTIVATIONS", "Activation", "get_activation"]

Array = np.ndarray

ACTIVATIONS = ("identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "silu", "gelu")

# numpy compares two arrays several times faster than an array and a scalar, so ReLU compares with
# blocks of zeros that stay in cache. Never written to.
_ZERO_BLOCKS = {np.dtype(d): np.zeros(16_384, d) for d in (np.float32, np.float64)}


@dataclass(frozen=True, slots=True)
class Activation:
    """An element-wise activation that works in place.

    Attributes
    ----------
    name : str
        One of `ACTIVATIONS`.
    function : callable
        ``function(z, scratch, cache)`` replaces ``z`` by its activation. ``scratch`` has the shape
        of ``z`` and may be overwritten. Without a cache (prediction) nothing is computed for the
        backward pass.
    derivative : callable
        ``derivative(a, cache)`` leaves the derivative in ``cache``, given the activations.
    cache : {None, "mask", "shared", "own"}
        What the cache is: None, for a derivative of 1; a boolean array, or one of the dtype of
        ``z``, that other layers use in between; or an array of the layer's own, that keeps what
        the function leaves there until the backward pass.
    slope : float
        Of "leaky_relu" below 0.
    """

    name: str
    function: Callable[[Array, Array, Any], None]
    derivative: Callable[[Array, Any], None]
    cache: str | None
    slope: float = 0.0


def _identity(z: Array, scratch: Array, cache: Any) -> None:
    pass


def _keep_cache(a: Array, cache: Any) -> None:
    """Leave the cache as the function filled it."""


def _logistic(z: Array, scratch: Array, cache: Any) -> None:
    expit(z, out=z)


def _logistic_derivative(a: Array, cache: Array) -> None:
    np.subtract(1.0, a, out=cache)
    cache *= a


def _tanh(z: Array, scratch: Array, cache: Any) -> None:
    np.tanh(z, out=z)


def _tanh_derivative(a: Array, cache: Array) -> None:
    np.multiply(a, a, out=cache)
    np.subtract(1.0, cache, out=cache)


def _relu(z: Array, scratch: Array, cache: Any) -> None:
    flat = z.reshape(-1)
    zeros = _ZERO_BLOCKS[z.dtype]
    step = zeros.size
    if flat.size <= step:
        np.maximum(flat, zeros[: flat.size], out=flat)
        return
    for start in range(0, flat.size, step):
        block = flat[start : start + step]
        np.maximum(block, zeros[: block.size], out=block)


def _relu_derivative(a: Array, cache: Array) -> None:
    np.greater(a, 0.0, out=cache)


def _leaky_relu(slope: float) -> Activation:
    def function(z: Array, scratch: Array, cache: Any) -> None:
        np.multiply(z, slope, out=scratch)
        np.maximum(z, scratch, out=z)

    def derivative(a: Array, cache: Array) -> None:
        np.sign(a, out=cache)
        np.maximum(cache, slope, out=cache)

    return Activation("leaky_relu", function, derivative, "shared", slope)


def _elu(z: Array, scratch: Array, cache: Any) -> None:
    np.minimum(z, 0.0, out=scratch)
    np.expm1(scratch, out=scratch)
    np.maximum(z, 0.0, out=z)
    z += scratch


def _elu_derivative(a: Array, cache: Array) -> None:
    np.minimum(a, 0.0, out=cache)
    cache += 1.0


def _silu(z: Array, scratch: Array, cache: Any) -> None:
    # -inf * 0 would be NaN where the limit is 0.
    np.maximum(z, np.finfo(z.dtype).min, out=z)
    expit(z, out=scratch)
    if cache is not None:  # s (1 + z (1 - s)) with s = expit(z)
        np.subtract(1.0, scratch, out=cache)
        cache *= z
        cache += 1.0
        cache *= scratch
    z *= scratch


def _gelu(z: Array, scratch: Array, cache: Any) -> None:
    np.maximum(z, np.finfo(z.dtype).min, out=z)
    ndtr(z, out=scratch)  # the normal distribution function
    if cache is not None:  # Phi(z) + z phi(z)
        np.multiply(z, z, out=cache)
        cache *= -0.5
        np.exp(cache, out=cache)
        cache *= 1.0 / math.sqrt(2.0 * math.pi)
        cache *= z
        cache += scratch
    z *= scratch


_TABLE = {
    "identity": Activation("identity", _identity, _keep_cache, None),
    "logistic": Activation("logistic", _logistic, _logistic_derivative, "shared"),
    "tanh": Activation("tanh", _tanh, _tanh_derivative, "shared"),
    "relu": Activation("relu", _relu, _relu_derivative, "mask"),
    "elu": Activation("elu", _elu, _elu_derivative, "shared"),
    "silu": Activation("silu", _silu, _keep_cache, "own"),
    "gelu": Activation("gelu", _gelu, _keep_cache, "own"),
}


def get_activation(name: str, negative_slope: float = 0.01) -> Activation:
    """Return the activation called ``name``, one of `ACTIVATIONS`.

    Parameters
    ----------
    name : str
        Name of the activation.
    negative_slope : float, default=0.01
        Slope of "leaky_relu" below 0, in [0, 1).

    Returns
    -------
    Activation
    """
    if name == "leaky_relu":
        # A slope of 0 is ReLU, and 0 * -inf would be NaN.
        return _leaky_relu(float(negative_slope)) if negative_slope > 0 else _TABLE["relu"]
    return _TABLE[name]
