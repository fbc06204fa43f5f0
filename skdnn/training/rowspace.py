"""Wide data: training in the coordinates of the row space of X.

For a rule whose steps are sums of gradients with scalar factors, every iterate of the first
layer's weights stays in the span of the rows of X, of the weights at the start, and of a velocity
that is carried over. With Q an orthonormal basis of that span, training on X Q from Q' W gives the
same iterates in exact arithmetic, at a cost that does not grow with the number of features.

Q is kept as the Householder reflectors of a QR factorisation and never formed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from scipy.linalg.lapack import get_lapack_funcs

__all__ = ["ROW_SPACE_SOLVERS", "FullSpace", "RowSpace", "row_space_pays"]

Array = np.ndarray

# Rules whose steps are linear in the gradients. Adam's are not: it divides element by element.
ROW_SPACE_SOLVERS = ("gd", "sgd", "lbfgs")

# Floating-point operations in the time that a byte takes to memory and back, in round numbers: the
# decision is seldom close.
_FLOPS_PER_BYTE = 4.0
# A step runs through the first layer's weights, their gradient and moments about so often.
_PASSES = 6


class RowSpace:
    """Orthonormal coordinates of the span of some columns.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Training rows; spans the space together with the columns of ``others``.
    others : sequence of ndarray of shape (n_features, n_columns), default=()
        What else must be representable: weights at the start, velocities.

    Attributes
    ----------
    rows : ndarray of shape (n_samples, rank)
        X in the coordinates.
    n_features, rank : int
        Number of features; of coordinates, min(n_features, n_samples + number of other columns).
    """

    def __init__(self, X: Array, others: Sequence[Array] = ()) -> None:
        n_samples, n_features = X.shape
        n_columns = n_samples + sum(other.shape[1] for other in others)
        columns = np.empty((n_features, n_columns), X.dtype, order="F")
        columns[:, :n_samples] = X.T
        start = n_samples
        for other in others:
            columns[:, start : start + other.shape[1]] = other
            start += other.shape[1]
        geqrf, geqrf_lwork = get_lapack_funcs(("geqrf", "geqrf_lwork"), (columns,))
        lwork = int(geqrf_lwork(n_features, n_columns)[0].real)
        factor, self._tau, _, _ = geqrf(columns, lwork=lwork, overwrite_a=True)
        self.n_features = n_features
        self.rank = min(n_features, n_columns)
        self._reflectors = factor[:, : self.rank]
        # X' = Q T with T upper triangular, so X Q = T'
        self.rows = np.tril(factor[: self.rank, :n_samples].T)
        (self._ormqr,) = get_lapack_funcs(("ormqr",), (columns,))

    def _multiply(self, transpose: str, matrix: Array) -> Array:
        """Multiply an (n_features, n) Fortran matrix by the full Q or its transpose, in place."""
        arguments = ("L", transpose, self._reflectors, self._tau, matrix)
        _, work, _ = self._ormqr(*arguments, lwork=-1)
        product, _, _ = self._ormqr(*arguments, lwork=int(work[0].real), overwrite_c=True)
        return product

    def enter(self, matrix: Array) -> Array:
        """Return the coordinates Q' M, (rank, n), of the columns of M, (n_features, n)."""
        product = self._multiply("T", np.array(matrix, self.rows.dtype, order="F"))
        return np.ascontiguousarray(product[: self.rank])

    def enter_rows(self, X: Array) -> Array:
        """Return the coordinates, (n_rows, rank), of some rows, (n_rows, n_features)."""
        return self.enter(X.T).T

    def leave(self, coordinates: Array) -> Array:
        """Return the columns of the space, (n_features, n), of the coordinates, (rank, n)."""
        padded = np.zeros((self.n_features, coordinates.shape[1]), self.rows.dtype, order="F")
        padded[: self.rank] = coordinates
        return np.ascontiguousarray(self._multiply("N", padded))


@dataclass
class FullSpace:
    """The coordinates that rows already have.

    Parameters
    ----------
    n_features : int
        Number of features.

    Attributes
    ----------
    rows : None
        X stays as it is.
    rank : int
        Number of coordinates.
    """

    n_features: int
    rows = None
    rank = property(attrgetter("n_features"))

    def enter(self, matrix: Array) -> Array:
        """Return the matrix."""
        return matrix

    def enter_rows(self, X: Any) -> Any:
        """Return the rows."""
        return X

    def leave(self, coordinates: Array) -> Array:
        """Return the coordinates."""
        return coordinates


def row_space_pays(
    n_samples: int,
    n_features: int,
    n_units: int,
    *,
    n_others: int,
    n_epochs: int,
    batch_size: int,
    itemsize: int,
) -> bool:
    """Decide by a cost model whether training in the row space saves time, and has the memory.

    Parameters
    ----------
    n_samples, n_features : int
        Shape of X.
    n_units : int
        Units of the first layer.
    n_others : int
        Columns that the basis holds besides the rows of X.
    n_epochs : int
        Epochs that training is expected to take.
    batch_size : int
        Rows of a batch.
    itemsize : int
        Bytes of a number.

    Returns
    -------
    bool
    """
    rank = n_samples + n_others
    if rank >= n_features:
        return False
    if n_features * rank * itemsize > _physical_memory() / 4:
        return False
    n_steps = n_epochs * math.ceil(n_samples / batch_size)

    def seconds_of_training(width: int) -> float:
        flops = 4.0 * n_epochs * n_samples * width * n_units
        touched = 2.0 * n_epochs * n_samples * width + _PASSES * n_steps * width * n_units
        return flops + _FLOPS_PER_BYTE * itemsize * touched

    # QR of the columns, and the products with Q before and after
    setup = 2.0 * n_features * rank**2 + 8.0 * n_features * rank * n_units
    return setup + seconds_of_training(rank) < seconds_of_training(n_features)


def _physical_memory() -> float:
    """Return the bytes of memory of this machine, or infinity where the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return math.inf
