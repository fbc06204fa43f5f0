"""Predictions of Dask collections: one task a block, computed when they are asked for."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
from sklearn.utils import check_array, check_consistent_length

from skdnn.classifier import DeepBinaryClassifier
from skdnn.dask.columns import columns_of, in_order, of_numbers
from skdnn.dask.held import check_weight
from skdnn.dask.partitions import is_dask_frame, sample_of
from skdnn.training.preparation import DATA
from skdnn.training.targets import check_labels, check_masked

__all__ = ["correct_of_block", "predict_blocks"]

Array = np.ndarray


def predict_blocks(model: DeepBinaryClassifier, method: str, X: Any) -> da.Array:
    """Return what a method of a model gives for the rows of a collection, as a lazy array.

    Parameters
    ----------
    model : DeepBinaryClassifier
        Fitted.
    method : str
        Name of a method that predicts.
    X : dask Array or DataFrame of shape (n_samples, n_features)

    Returns
    -------
    dask Array of shape (n_samples,) or (n_samples, 2)
        In blocks of X's rows. Row numbers of a DataFrame are unknown.
    """
    # what an empty block gives tells the dtype
    dtype = _dtype_of(model, method, X)
    meta = np.empty((0, 2) if method.endswith("proba") else 0, dtype)
    shared = dask.delayed(model)
    if is_dask_frame(X):
        predict, columns = dask.delayed(_predict_block), columns_of(X)
        shape = (np.nan, *meta.shape[1:])
        blocks = [
            da.from_delayed(predict(part, shared, method, meta, columns), shape, meta=meta)
            for part in X.to_delayed()
        ]
        return da.concatenate(blocks, allow_unknown_chunksizes=True)
    if X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    form = {"chunks": (X.chunks[0], (2,))} if meta.ndim == 2 else {"drop_axis": 1}
    return X.map_blocks(
        _predict_block, model=shared, method=method, empty=meta, meta=meta, dtype=dtype, **form
    )


def _dtype_of(model: DeepBinaryClassifier, method: str, X: Any) -> np.dtype:
    if method == "predict":
        return model.classes_.dtype
    kept = check_array(sample_of(X), **DATA, ensure_min_samples=0).dtype
    return np.result_type(kept, model.coefs_[0].dtype)


def _predict_block(
    block: Any,
    model: DeepBinaryClassifier,
    method: str,
    empty: Array,
    columns: list[Any] | None = None,
) -> Array:
    return getattr(model, method)(_rows_of(block, columns)) if block.shape[0] else empty


def _rows_of(block: Any, columns: list[Any] | None) -> Any:
    """Return a block as the model takes it: without names, which the whole was asked for."""
    rows = in_order(block, columns, "A block of X")
    check_masked(rows, "X")
    with of_numbers(rows):
        return check_array(rows, **DATA)


def correct_of_block(
    X: Any, y: Any, weight: Any, model: DeepBinaryClassifier, columns: list[Any] | None
) -> tuple[float, float]:
    """Return the weights of the rows predicted right, and of all rows.

    Parameters
    ----------
    X, y, weight : DataFrame, Series, array or None
        The block.
    model : DeepBinaryClassifier
        Fitted.
    columns : list or None
        Columns of the frame that X is of.
    """
    if X.shape[0] == 0 and np.shape(y)[0] == 0:
        return 0.0, 0.0
    check_masked(y, "y")
    y = check_labels(np.asarray(y).reshape(-1))
    check_consistent_length(X, y)
    right = model.predict(_rows_of(X, columns)) == y
    weight = np.ones(y.size) if weight is None else check_weight(weight, y.size, "sample_weight")
    return float(weight[right].sum()), float(weight.sum())
