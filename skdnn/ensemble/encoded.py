"""A table as networks see it: encoders fitted once, or for each fold, and rows of either.

An encoder that looks at labels must not see those of the fold that is set aside, so it is fitted
for each network anew. Of any other transformer than `TableEncoder` nobody knows whether it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import check_array

from skdnn.datasets.rows import row_blocks
from skdnn.ensemble.folds import Fold, take
from skdnn.preprocessing import TableEncoder

__all__ = ["EncodedTable", "encoded_blocks", "resolve_encoder"]

Array = np.ndarray

# Entries of a block of encoded rows
_BLOCK_SIZE = 2**20

# Rows that the kernels of matrix products take together, at most
_TILE = 16


def resolve_encoder(encoder: Any, seed: int) -> Any:
    """Return an unfitted encoder of what the user gave, seeded if it can be."""
    if isinstance(encoder, str):
        if encoder != "auto":
            raise ValueError(f"encoder must be 'auto', None or a transformer, got {encoder!r}.")
        return TableEncoder(random_state=seed)
    if encoder is None:
        return FunctionTransformer()
    encoder = clone(encoder)
    if "random_state" in encoder.get_params(deep=False) and encoder.random_state is None:
        encoder.set_params(random_state=seed)
    return encoder


class EncodedTable:
    """What networks of one kind see of the rows that they are trained on.

    Parameters
    ----------
    encoder : transformer
        Unfitted, unless ``fitted`` is True.
    X : table of n_samples rows
    y : ndarray of shape (n_samples,)
        Labels.
    fitted : bool
        Whether the encoder is fitted already.

    Attributes
    ----------
    encoder : transformer
        Fitted to all rows.
    """

    def __init__(self, encoder: Any, X: Any, y: Array, *, fitted: bool) -> None:
        self.encoder = encoder if fitted else encoder.fit(X, y)
        self._X, self._y = X, y
        self._is_ours = isinstance(encoder, TableEncoder)
        self._for_each_fold = not self._is_ours and not isinstance(encoder, FunctionTransformer)
        if self._is_ours:
            self._for_each_fold = encoder.uses_target_
        if not self._for_each_fold:
            self._rows = encoder._prepare(X) if self._is_ours else _as_rows(encoder.transform(X))

    def select(self, fold: Fold) -> tuple[Any, Any, Any]:
        """Return the encoder of a fold, the encoded rows to train on, and those set aside."""
        train, held_out = fold
        if not self._for_each_fold:
            rows = (self._encode(self._rows[train]), self._encode(self._rows[held_out]))
            return self.encoder, *rows
        encoder = clone(self.encoder)
        # not fit and transform: a cross-fitted encoding of rows that it was fitted to is another
        encoded = encoder.fit_transform(take(self._X, train), self._y[train])
        return encoder, _as_rows(encoded), _as_rows(encoder.transform(take(self._X, held_out)))

    def _encode(self, rows: Any) -> Any:
        return self.encoder._encode(rows) if self._is_ours else rows


def encoded_blocks(encoder: Any, X: Any) -> Iterator[tuple[int, Any]]:
    """Return encoded rows of a table in order, block by block, as float32.

    Yields
    ------
    n_rows : int
        Rows of a block.
    block : {ndarray, CSR matrix} of shape (n_rows or a little more, n_columns)
        Dense blocks are filled up with zeros to a number of rows that matrix products take
        together, so that a row's prediction is the same whatever rows come with it.
    """
    is_ours = isinstance(encoder, TableEncoder)
    rows = encoder._prepare(X) if is_ours else _as_rows(encoder.transform(X))
    n_columns = encoder.n_outputs_ if is_ours else rows.shape[1]
    size = max(1, _BLOCK_SIZE // (n_columns * _TILE)) * _TILE
    for part in row_blocks(rows, size):
        n_rows = part.shape[0]
        block = encoder._encode(part) if is_ours else part
        missing = -n_rows % _TILE
        if missing and isinstance(block, np.ndarray):
            block = np.concatenate([block, np.zeros((missing, n_columns), block.dtype)])
        yield n_rows, block


def _as_rows(encoded: Any) -> Any:
    """Return what a transformer gave as float32 rows."""
    return check_array(encoded, accept_sparse="csr", dtype=np.float32, order="C")
