"""Hidden activations by name: an in-place function and an in-place derivative each.

An activation never allocates: it works in the arrays that the network hands it. ``scratch`` has
the shape of ``z`` and may be overwritten; ``cache`` belongs to the activation from its forward to
its backward pass. All arrays are C-contiguous.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import erf, expit

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
    function : callable
        ``function(z, scratch, cache)`` replaces ``z`` by its activation. Without a cache
        (prediction) it computes nothing for the backward pass.
    derivative : callable
        ``derivative(delta, a, cache)`` multiplies ``delta`` by the derivative; the activations
        ``a`` are not needed after it and may be overwritten.
    cache : {None, "mask", "derivative"}
        What the cache holds: nothing, a boolean mask, or the derivative in the dtype of ``z``.
    """

    function: Callable[[Array, Array, Any], None]
    derivative: Callable[[Array, Array, Any], None]
    cache: str | None = None


def _identity(z: Array, scratch: Array, cache: Any) -> None:
    pass


def _identity_derivative(delta: Array, a: Array, cache: Any) -> None:
    pass


def _logistic(z: Array, scratch: Array, cache: Any) -> None:
    expit(z, out=z)


def _logistic_derivative(delta: Array, a: Array, cache: Any) -> None:
    delta *= a
    np.subtract(1.0, a, out=a)
    delta *= a


def _tanh(z: Array, scratch: Array, cache: Any) -> None:
    np.tanh(z, out=z)


def _tanh_derivative(delta: Array, a: Array, cache: Any) -> None:
    np.multiply(a, a, out=a)
    np.subtract(1.0, a, out=a)
    delta *= a


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


def _relu_derivative(delta: Array, a: Array, cache: Any) -> None:
    np.greater(a, 0.0, out=cache)
    np.multiply(delta, cache, out=delta)


def _leaky_relu(slope: float) -> Activation:
    def function(z: Array, scratch: Array, cache: Any) -> None:
        np.multiply(z, slope, out=scratch)
        np.maximum(z, scratch, out=z)

    def derivative(delta: Array, a: Array, cache: Any) -> None:
        np.sign(a, out=a)
        np.maximum(a, slope, out=a)
        delta *= a

    return Activation(function, derivative)


def _elu(z: Array, scratch: Array, cache: Any) -> None:
    np.minimum(z, 0.0, out=scratch)
    np.expm1(scratch, out=scratch)
    np.maximum(z, 0.0, out=z)
    z += scratch


def _elu_derivative(delta: Array, a: Array, cache: Any) -> None:
    np.minimum(a, 0.0, out=a)
    a += 1.0
    delta *= a


def _multiply_by_cache(delta: Array, a: Array, cache: Any) -> None:
    delta *= cache


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
    np.multiply(z, math.sqrt(0.5), out=scratch)
    erf(scratch, out=scratch)
    scratch += 1.0
    scratch *= 0.5  # the normal distribution function of z
    if cache is not None:  # Phi(z) + z phi(z)
        np.multiply(z, z, out=cache)
        cache *= -0.5
        np.exp(cache, out=cache)
        cache *= 1.0 / math.sqrt(2.0 * math.pi)
        cache *= z
        cache += scratch
    z *= scratch


_TABLE = {
    "identity": Activation(_identity, _identity_derivative),
    "logistic": Activation(_logistic, _logistic_derivative),
    "tanh": Activation(_tanh, _tanh_derivative),
    "relu": Activation(_relu, _relu_derivative, "mask"),
    "elu": Activation(_elu, _elu_derivative),
    "silu": Activation(_silu, _multiply_by_cache, "derivative"),
    "gelu": Activation(_gelu, _multiply_by_cache, "derivative"),
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
