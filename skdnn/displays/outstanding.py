"""Which features of a row stand out, on one scale for numbers and texts: standard deviations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.preprocessing import StandardScaler

from skdnn.datasets.rows import as_matrix, is_on_disk, row_blocks
from skdnn.inspection import Table

__all__ = ["MixedRows", "as_rows", "outstanding_features"]

Array = np.ndarray

# Numbers of a block of rows that means and deviations are computed from
_BLOCK_SIZE = 2**20

# Distinct texts of a column up to which one can be rare; with more it names rows or is prose
_MOST_TEXTS = 50


class MixedRows:
    """Rows whose columns hold numbers or texts, and how far each entry stands out.

    Parameters
    ----------
    entries : ndarray of object of shape (n_samples, n_features)
        As the user gave them.

    Attributes
    ----------
    deviations : ndarray of float64 of shape (n_samples, n_features)
        Of each entry from the mean of its column, in standard deviations. A text has that of the
        indicator of this text, which is large where few rows have it. NaN where an entry is
        missing, and throughout a column that cannot be shown.
    """

    def __init__(self, entries: Array) -> None:
        self.entries = entries
        self.shape = entries.shape
        self.deviations = np.full(entries.shape, np.nan)
        for k, column in enumerate(entries.T):
            self.deviations[:, k] = _deviations(column)

    @property
    def can_show(self) -> Array:
        """Which columns stand for anything, bool of shape (n_features,)."""
        return ~np.isnan(self.deviations).all(axis=0)


def _deviations(column: Array) -> Array:
    # what is neither a number nor a text is missing: None, NaN, NA, dates
    texts = [entry if isinstance(entry, str) else None for entry in column]
    n_rows = Counter(texts)
    n_known = column.size - n_rows.pop(None, 0)
    if n_known == 0:
        numbers = np.array([x if isinstance(x, Real) else np.nan for x in column], np.float64)
        numbers[np.isinf(numbers)] = np.nan
        if np.isnan(numbers).all():
            return numbers
        with np.errstate(all="ignore"):
            return StandardScaler().fit_transform(numbers.reshape(-1, 1))[:, 0]
    if len(n_rows) > min(_MOST_TEXTS, n_known / 2):
        return np.full(column.size, np.nan)
    shares = {text: count / column.size for text, count in n_rows.items()}
    of_text = {text: np.sqrt((1 - share) / share) for text, share in shares.items()}
    return np.array([of_text.get(text, np.nan) for text in texts])


def as_rows(X: Any) -> tuple[Any, list[str] | None]:
    """Return X as a matrix of numbers or MixedRows, and its names; None if it has no columns."""
    if is_on_disk(X):
        return as_matrix(X), None
    if scipy.sparse.issparse(X):
        return X.tocsr(), None
    values = np.asarray(X)
    if values.ndim != 2:
        return None, None
    names = getattr(X, "columns", None)
    names = None if names is None else [str(name) for name in names]
    if values.dtype.kind not in "biuf":
        return MixedRows(np.asarray(X, object)), names
    return values, names


def outstanding_features(
    X: Any, rows: Any, indices: Array, names: Sequence[str] | None, n_features: int
) -> Table:
    """Return the features of each row that deviate most from the mean, in deviations.

    Parameters
    ----------
    X : matrix or MixedRows of shape (n_samples, n_features)
        All rows.
    rows, indices : matrix of shape (n_rows, n_features), ndarray of int of shape (n_rows,)
        The rows to describe, and where they are in X.
    names : sequence of str or None
        Names of the features.
    n_features : int
        Number of features of each row, at most.
    """
    is_mixed = isinstance(X, MixedRows)
    if not is_mixed:
        mean, deviation = _moments(X)
    columns: dict[str, list[Any]] = {"row": [], "feature": [], "value": [], "deviation": []}
    for i, index in enumerate(indices):
        if is_mixed:
            candidates = np.flatnonzero(~np.isnan(X.deviations[index]))
            values, z = rows[i, candidates], X.deviations[index, candidates]
        else:
            if scipy.sparse.issparse(rows):
                row = rows[[i]]
                candidates, values = row.indices, row.data
            else:
                candidates, values = np.arange(X.shape[1]), rows[i]
            with np.errstate(all="ignore"):
                z = (values - mean[candidates]) / deviation[candidates]
            z = np.where(np.isfinite(z), z, 0.0)
        for k in np.argsort(-np.abs(z), kind="stable")[:n_features]:
            feature, value = int(candidates[k]), values[k]
            columns["row"].append(index)
            columns["feature"].append(f"x{feature}" if names is None else str(names[feature]))
            columns["value"].append(value if isinstance(value, str) else float(value))
            columns["deviation"].append(float(z[k]))
    return Table(
        row=np.array(columns["row"], np.intp),
        feature=columns["feature"],
        value=np.array(columns["value"], object if is_mixed else np.float64),
        deviation=np.array(columns["deviation"], np.float64),
    )


def _moments(X: Any) -> tuple[Array, Array]:
    """Return mean and standard deviation of the columns, read a block at a time."""
    scaler = StandardScaler(with_mean=False)
    with np.errstate(all="ignore"):  # what overflows is no deviation
        for block in row_blocks(X, max(1, _BLOCK_SIZE // X.shape[1])):
            scaler.partial_fit(block)
        return scaler.mean_, np.sqrt(scaler.var_)
