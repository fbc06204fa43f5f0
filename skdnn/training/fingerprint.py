"""What makes data, or a parameter, the same as before: its numbers, whatever they are in."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

__all__ = ["canonical", "is_same_parameter"]


def canonical(numbers: Any) -> Any:
    """Return numbers in a form whose `joblib.hash` is that of dtype, shape and values alone.

    Parameters
    ----------
    numbers : ndarray, sparse matrix or None

    Returns
    -------
    form : ndarray, tuple or None
        Of sparse numbers, a tuple; stored zeros, duplicates and the order within a row do not
        show.
    """
    if numbers is None:
        return None
    if not scipy.sparse.issparse(numbers):
        array = np.asarray(numbers, order="C")
        # an axis of length 1 may have any stride, and strides are hashed
        return array.reshape(-1).reshape(array.shape)
    matrix = numbers.tocsr()
    if not (matrix.has_canonical_format and matrix.data.all()):
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    n_stored = int(matrix.indptr[-1])
    indices, data = matrix.indices[:n_stored], matrix.data[:n_stored]
    return matrix.shape, matrix.indptr.astype(np.int64), indices.astype(np.int64), data


def is_same_parameter(one: Any, other: Any) -> bool:
    """Return whether two values of a constructor's parameter ask for the same.

    A list, a tuple and an array of the same entries do, and so do a number of Python's and one of
    NumPy's. A single entry is as good as a sequence of it, as in ``hidden_layer_sizes``.
    """
    try:
        return bool(_plain(one) == _plain(other))
    except Exception:  # of objects that cannot be compared
        return False


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return _plain(value[0]) if len(value) == 1 else tuple(map(_plain, value))
    if isinstance(value, dict):
        return {_plain(key): _plain(entry) for key, entry in value.items()}
    return value
