"""Rows to train or to validate on, and what training makes of them: objective, validation.

Rows that are elsewhere, in a file or on a cluster, make their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Self

import numpy as np
import scipy.sparse

from skdnn.datasets.rows import check_finite
from skdnn.network.network import Network
from skdnn.numerics.threads import Crew, blas_threads
from skdnn.numerics.vectors import all_finite
from skdnn.training.fingerprint import canonical
from skdnn.training.objective import HeldOut, Objective
from skdnn.training.rowspace import FullSpace, RowSpace
from skdnn.training.state import Weights

__all__ = ["Rows"]

Array = np.ndarray
Validation = Callable[[], tuple[float, float]]

# Multiplications of the forward pass, and rows, that make a thread's share of a batch worth it
_SHARE_PRODUCTS = 4_000_000
_SHARE_ROWS = 64


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in memory, or in a file that they are read from at once."""

    X: Any  # (n_samples, n_features), dense or CSR
    positive: Array  # (n_samples,), bool: of the second class
    weight: Array | None  # (n_samples,), float64, positive

    shape = property(attrgetter("X.shape"), doc="Numbers of rows and of features.")
    dtype = property(attrgetter("X.dtype"), doc="Of X.")

    @property
    def class_counts(self) -> Array:
        """Rows of each class, (2,)."""
        return np.bincount(self.positive, minlength=2)

    @property
    def mean_weight(self) -> float:
        """Mean weight of the rows; 1 without weights."""
        return 1.0 if self.weight is None else float(self.weight.mean())

    def select(self, mask: Array) -> Self:
        """Return the rows where the mask is true."""
        weight = None if self.weight is None else self.weight[mask]
        return replace(self, X=self.X[mask], positive=self.positive[mask], weight=weight)

    def astype(self, dtype: np.dtype) -> Self:
        """Return the rows with X in a dtype; ValueError for numbers that it does not have."""
        X = self.X.astype(dtype, copy=False)
        values = X.data if scipy.sparse.issparse(X) else X
        # those of a file are looked at when they are read
        is_cast = isinstance(values, np.ndarray) and values.dtype != self.dtype
        if is_cast and not all_finite(values.reshape(-1)):
            raise ValueError(f"X_val has numbers that are too large for {dtype}, as X is.")
        return replace(self, X=X)

    def split(self, mask: Array) -> tuple[Rows, Rows]:
        """Return the rows where the mask is false, and those where it is true."""
        return self.select(~mask), self.select(mask).in_memory()

    def in_memory(self) -> Rows:
        """Return rows that are read once, not in every epoch, if they may be."""
        return self

    @property
    def no_row_space(self) -> str:
        """What keeps these rows from spanning a space to train in; empty if nothing does."""
        if scipy.sparse.issparse(self.X):
            return "sparse X"
        return "" if isinstance(self.X, np.ndarray) else "rows that are encoded batch by batch"

    def to_hash(self) -> tuple[Any, Any, Any]:
        """Return what hashes of X, of the classes and of the weights are made of."""
        return canonical(self.X), canonical(self.positive), canonical(self.weight)

    def make_objective(
        self, network: Network, space: FullSpace | RowSpace, batch_size: int, **options: Any
    ) -> Any:
        """Return the function to minimise, over the rows in the coordinates of a space.

        ``options`` are those of `Objective`.
        """
        return Objective(
            network,
            self.X if space.rows is None else space.rows,
            self.positive,
            self.weight,
            batch_size=batch_size,
            space=space,
            crew=self._make_crew(network, batch_size),
            **options,
        )

    def _make_crew(self, network: Network, batch_size: int) -> Crew | None:
        """Return the threads that share a batch, if it is large enough for more than one."""
        # scipy's sparse products gain nothing from a second thread
        products = 0 if scipy.sparse.issparse(self.X) else batch_size * network.n_weights
        n_shares = min(products // _SHARE_PRODUCTS, batch_size // _SHARE_ROWS)
        return Crew(min(n_shares, blas_threads())) if n_shares > 1 else None

    def make_validation(
        self,
        network: Network,
        space: FullSpace | RowSpace,
        score: Callable[[Weights, Any, Array], float] | None,
    ) -> Validation:
        """Return the function that gives log loss and score of the rows; higher is better.

        ``score`` is given the parameters, the rows, both in the coordinates of the space, and the
        logits. By default, it is minus the log loss.
        """
        X = space.enter_rows(self.X)
        watched = HeldOut(network, X, self.positive, self.weight)
        views = Weights(network.weights, network.biases)

        def validate() -> tuple[float, float]:
            loss, logits = watched.evaluate()
            if not all_finite(logits):
                check_finite(self.X, "of validation rows")
                # scorers would call it bad input: no score, and training goes on or diverges
                return loss, -loss if score is None else math.nan
            return loss, -loss if score is None else score(views, X, logits)

        return validate
