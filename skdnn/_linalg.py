"""Norms and checks of flat vectors that neither overflow before their result nor allocate."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg.blas import get_blas_funcs

__all__ = ["all_finite", "largest_magnitude", "norm"]

Array = np.ndarray


def all_finite(vector: Array) -> bool:
    """Return whether all entries of a vector are finite, without a temporary in the usual case."""
    # A sum of squares is finite only if all entries are; the converse fails where it overflows.
    with np.errstate(over="ignore", invalid="ignore"):
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
