"""Norms and checks of flat vectors that neither overflow before their result nor allocate."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg.blas import daxpy, get_blas_funcs, saxpy

__all__ = ["add_multiple", "all_finite", "largest_magnitude", "norm"]

Array = np.ndarray


# Longer vectors are split: OpenBLAS would wake threads for them, those of scipy's own copy beside
# numpy's, and the two sets of spinning threads ruin each other's times.
_AXPY_BLOCK = 8_192


def add_multiple(y: Array, a: float, x: Array) -> None:
    """Add ``a`` times x to y, in place and in one pass.

    Parameters
    ----------
    y, x : ndarray of shape (n,)
        Contiguous vectors of one dtype.
    a : float
        Factor.
    """
    axpy = saxpy if y.dtype == np.float32 else daxpy
    for start in range(0, y.size, _AXPY_BLOCK):
        block = slice(start, start + _AXPY_BLOCK)
        axpy(x[block], y[block], a=a)


def all_finite(vector: Array) -> bool:
    """Return whether all entries of a vector are finite, without a temporary in the usual case.

    To be called where numpy ignores overflow.
    """
    # A sum of squares is finite only if all entries are; the converse fails where it overflows.
    return math.isfinite(np.dot(vector, vector)) or bool(np.isfinite(vector).all())


def largest_magnitude(vector: Array) -> float:
    """Return the largest absolute value of some numbers; 0 of none."""
    return max(float(vector.max(initial=0.0)), -float(vector.min(initial=0.0)))


def norm(vector: Array) -> float:
    """Return the Euclidean norm of a vector; it overflows only if the result does."""
    square = float(np.dot(vector, vector))
    # far from both ends of the range, where squares neither overflow nor vanish
    if 1e-30 < square < 1e30:
        return math.sqrt(square)
    return float(get_blas_funcs("nrm2", dtype=vector.dtype)(vector))
