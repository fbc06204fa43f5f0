"""The rows of one partition: loaded and checked on a worker, reported, and held there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from dask.sizeof import sizeof
from sklearn.utils import check_array, check_X_y

from skdnn.dask.columns import in_order, of_numbers
from skdnn.training.preparation import DATA
from skdnn.training.targets import (
    check_label_type,
    check_labels,
    check_masked,
    check_numbers,
)

__all__ = ["HeldRows", "Partition", "Summary", "check_weight", "load_partition", "summarise"]

Array = np.ndarray

_MOST_CHARACTERS = 2000  # of an error's text


@dataclass
class Partition:
    """The rows of one block of the collections, as they were given."""

    number: int
    X: Any  # (n_rows, n_features), dense or CSR
    y: Array  # (n_rows,), labels
    weight: Array | None  # (n_rows,), float64

    def __sizeof__(self) -> int:
        # Dask places and spills by this
        return sum(sizeof(part) for part in (self.X, self.y, self.weight))


class Summary(NamedTuple):
    """What the client is told of a partition before it decides on classes and weights."""

    number: int
    n_rows: int
    n_features: int
    dtype: np.dtype
    sparse: bool
    labels: Array  # up to 3 labels, sorted
    counts: Array  # rows of positive weight, by label
    sums: Array  # their weights


def load_partition(
    number: int,
    X: Any,
    y: Any,
    weight: Any,
    arguments: Sequence[str],
    columns: list[Any] | None = None,
) -> Partition:
    """Validate one block of X, y and sample_weight.

    Parameters
    ----------
    number : int
        Of the partition.
    X, y, weight : DataFrame, Series, array or None
        The block.
    arguments : sequence of str
        What X, y and weight are called.
    columns : list, default=None
        Columns of the frame that X is of.
    """
    blamed = arguments[1]
    try:
        check_masked(y, blamed)
        y = check_labels(np.asarray(y).reshape(-1), blamed)
        if y.size:
            check_label_type(y, blamed)
        blamed = arguments[0]
        if weight is not None:
            weight = check_weight(weight, X.shape[0], arguments[2])
        if X.shape[0] == 0 and y.size == 0:
            return Partition(number, None, np.empty(0), weight)
        check_masked(X, blamed)
        X = in_order(X, columns, "its block")
        with of_numbers(X):
            X, y = check_X_y(X, y, **DATA)
    except (TypeError, ValueError) as error:
        # Dask would replace an error whose text is very long by one that says so
        reason = str(error)
        reason = reason if len(reason) <= _MOST_CHARACTERS else reason[:_MOST_CHARACTERS] + " ..."
        raise ValueError(f"Partition {number} of {blamed}: {reason}") from error
    return Partition(number, X, y, weight)


def check_weight(weight: Any, n_rows: int, name: str) -> Array:
    """Return the weights of a block of rows; raise ValueError if they cannot be used."""
    check_masked(weight, name)
    try:
        check_numbers(weight)
        weight = np.asarray(weight, np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers: {error}") from error
    weight = check_array(weight, ensure_2d=False, ensure_min_samples=0, input_name=name)
    if weight.size != n_rows:
        raise ValueError(f"{name} has {weight.size} entries for {n_rows} rows.")
    if (weight < 0).any():
        raise ValueError(f"{name} must not be negative: found {weight.min()}.")
    return weight


def summarise(partition: Partition) -> Summary:
    """Return what the client needs to know of a partition."""
    X, y, weight = partition.X, partition.y, partition.weight
    labels = np.unique(y)[:3]
    weight = np.ones(y.size) if weight is None else weight
    masks = [(y == label) & (weight > 0) for label in labels]
    return Summary(
        partition.number,
        y.size,
        0 if X is None else X.shape[1],
        np.dtype(np.float32) if X is None else X.dtype,
        scipy.sparse.issparse(X),
        labels,
        np.array([np.count_nonzero(mask) for mask in masks], np.int64),
        np.array([weight[mask].sum() for mask in masks], np.float64),
    )


@dataclass
class HeldRows:
    """A partition's rows to train or to validate on.

    X, signs and weight are those of the whole partition, so that no row is copied; ``index`` says
    which of them count, None for all.
    """

    number: int
    X: Any  # (n_rows, n_features)
    signs: Array  # (n_rows,), int8
    weight: Array | None  # (n_rows,)
    index: Array | None
    start: int = 0  # number of the first among all training rows

    @property
    def n_rows(self) -> int:
        return self.signs.size if self.index is None else self.index.size

    def numbers(self, rows: Any) -> Any:
        """Return where in the whole partition some of the rows are."""
        return rows if self.index is None else self.index[rows]

    def select(self, rows: Any) -> tuple[Any, Array, Array | None]:
        """Return X, signs and weights of some of the rows: views for a slice, if all count."""
        rows = self.numbers(rows)
        weight = None if self.weight is None else self.weight[rows]
        return self.X[rows], self.signs[rows], weight
