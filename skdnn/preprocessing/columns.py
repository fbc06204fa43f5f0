"""Columns of any table, one by one, as numbers or as categories.

Knows pandas, polars and NumPy by what their objects can do, and imports none of the first two.
Encodes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from skdnn.datasets.columns import check_collected, column_of, is_frame
from skdnn.datasets.rows import is_on_disk
from skdnn.preprocessing.moments import DATES
from skdnn.preprocessing.values import GAPS, NUMBERS, are_exact, categories_of

__all__ = [
    "Table",
    "check_table",
    "find_categories",
    "hash_cells",
]

Array = np.ndarray

# What columns are named by: one type for all of them
_PLACES = (str, bool | np.bool_, Integral)


class Table:
    """The columns of X, validated as scikit-learn does, copied only one by one.

    Parameters
    ----------
    X : {array-like, data frame} of shape (n_samples, n_features)
        Not sparse.
    estimator : estimator
        Whose ``n_features_in_`` and ``feature_names_in_`` are set or compared with.
    reset : bool
        Whether to set them.
    is_checked : bool, default=False
        Whether X comes from `check_table`, of an estimator that was fitted to the same table.

    Attributes
    ----------
    n_rows, n_columns : int
    names : list of str
        Names of the columns, ``x0``, ``x1`` where there are none.

    Raises
    ------
    ValueError
        For anything but a table with rows and columns.
    """

    def __init__(self, X: Any, estimator: Any, *, reset: bool, is_checked: bool = False) -> None:
        if not reset:
            check_is_fitted(estimator)
        if not is_checked:
            X = check_table(X, estimator, reset=reset)
        self._is_frame = is_frame(X)
        self._X = X
        self.n_rows, self.n_columns = X.shape
        names = getattr(estimator, "feature_names_in_", None)
        self.names = [f"x{j}" for j in range(self.n_columns)] if names is None else list(names)

    def series(self, j: int) -> Any:
        """Return column j as its table has it."""
        return column_of(self._X, j) if self._is_frame else self._X[:, j]

    def values(self, j: int) -> Array:
        """Return column j as an array: of numbers, dates or objects.

        Raises
        ------
        ValueError, TypeError
            For complex numbers, and for what is no column of single values.
        """
        series, name = self.series(j), self.names[j]
        try:
            values = _to_numpy(series)
        except Exception as error:
            raise TypeError(f"Column {name!r}, {series.dtype}, cannot be read: {error}") from error
        if values.ndim != 1:
            raise TypeError(
                f"Column {name!r} has {values.ndim - 1} dimensions too many, {series.dtype}: make "
                "columns of what stands in a cell."
            )
        if values.dtype.kind == "c":
            raise ValueError(f"Complex data not supported: column {name!r} has it.")
        return values

    def kind(self, j: int) -> str:
        """Return 'number' or 'category', by the dtype; by the values, if that is object.

        Raises
        ------
        TypeError
            When values are neither, the message names the column.
        """
        if _is_categorical(self.series(j).dtype):
            return "category"
        values = self.values(j)
        if values.dtype.kind in "biufMm":
            return "number"
        if values.dtype.kind in "US":
            return "category"
        types = self._types(j, values)
        is_number = all(issubclass(type_, NUMBERS + DATES) for type_ in types)
        return "number" if is_number else "category"

    def check_objects(self, j: int, values: Array) -> None:
        """Raise TypeError when column j, if it is of objects, holds what cannot be encoded."""
        if values.dtype.kind == "O" and not _is_categorical(self.series(j).dtype):
            self._types(j, values)

    def _types(self, j: int, values: Array) -> set[type]:
        """Return the types of a column's objects, gaps aside, if all can be encoded."""
        listed = values.tolist()
        types = {type_ for type_ in set(map(type, listed)) if type_.__name__ not in GAPS}
        known = (str, bytes, *NUMBERS, *DATES)
        for type_ in types:
            if not issubclass(type_, known):
                value = next(value for value in listed if type(value) is type_)
                raise TypeError(
                    f"Column {self.names[j]!r} has values of type {type_.__name__}, like "
                    f"{value!r:.50}: only numbers, booleans, text, categories and dates can be "
                    "encoded. Drop the column, or make columns of these from it."
                )
        return types


def check_table(X: Any, estimator: Any, *, reset: bool, accept_sparse: bool = False) -> Any:
    """Return X if it is a table with rows and columns: a data frame as it is, or an array.

    Parameters
    ----------
    X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
    estimator : estimator
        Whose ``n_features_in_`` and ``feature_names_in_`` are set or compared with.
    reset : bool
        Whether to set them.
    accept_sparse : bool, default=False
        Whether it may be sparse.

    Returns
    -------
    X : {ndarray, data frame, CSR matrix} of shape (n_samples, n_features)
        Masked entries of an array are gaps.

    Raises
    ------
    ValueError, TypeError
        For anything else.
    """
    check_collected(X)
    if is_frame(X) and hasattr(X, "__dask_graph__"):
        raise TypeError(
            "X is a DataFrame of Dask, whose rows are on its workers: give X.compute(), or take "
            "skdnn.dask.DaskDeepBinaryClassifier, which trains on numbers where they are."
        )
    if hasattr(X, "column_names") and hasattr(X, "to_pandas"):  # a Table of pyarrow
        X = X.to_pandas(integer_object_nulls=True)
    if is_frame(X):
        for size, what in zip(X.shape, ("sample", "feature"), strict=True):
            if size == 0:
                raise ValueError(
                    f"Found array with 0 {what}(s) (shape={X.shape}) while a minimum of 1 is "
                    "required."
                )
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return X
    if is_on_disk(X):
        raise TypeError(f"A table must be in memory, and {X!r} is in a file: give X[:].")
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        X = _with_gaps(X)
    if not hasattr(X, "dtype"):
        listed = np.asarray(X)
        # numbers stay numbers where text stands beside them
        X = np.array(X, dtype=object) if listed.dtype.kind in "US" else listed
    sparse = "csr" if accept_sparse else False
    return validate_data(
        estimator, X, reset=reset, accept_sparse=sparse, dtype=None, ensure_all_finite=False
    )


def _with_gaps(X: Any) -> Array:
    """Return a masked array with gaps where it is masked."""
    if X.dtype.kind in "mM":  # as objects, nanoseconds would be integers
        return X.filled(np.array("NaT", X.dtype))
    X = X.astype(np.result_type(X.dtype, np.float32) if X.dtype.kind in "biuf" else object)
    return X.filled(np.nan)


def _is_categorical(dtype: Any) -> bool:
    """Return whether a dtype of pandas or polars says that values are categories."""
    name = str(dtype).lower()
    return name.startswith(("category", "categorical", "enum", "dictionary<"))


def _to_numpy(series: Any) -> Array:
    """Return a column as a NumPy array; long integers beside gaps stay objects."""
    if isinstance(series, np.ndarray):
        return series
    if isinstance(series.dtype, np.dtype):
        return series.to_numpy()
    return _of_pandas(series) if hasattr(series, "iloc") else _of_polars(series)


def _of_polars(series: Any) -> Array:
    is_wide = str(series.dtype).endswith("Int128")  # of which NumPy has none
    if series.dtype.is_integer() and (is_wide or series.null_count()):
        return np.array(series.to_list(), object)
    return np.asarray(series.to_numpy())


def _of_pandas(series: Any) -> Array:
    """Return a column of one of pandas' extension types."""
    dtype = series.dtype
    kind = getattr(dtype, "kind", "O")
    if _is_categorical(dtype) and hasattr(series, "cat"):
        # not by way of floats, which integers beside gaps become
        return np.array([*series.cat.categories, None], object)[series.cat.codes]
    if kind in "iu":
        present = series.dropna()
        if present.size and not are_exact(present.min(), present.max()):
            return series.to_numpy(dtype=object)
    if kind in "iuf":
        is_narrow = getattr(dtype, "numpy_dtype", None) == np.float32
        return series.to_numpy(dtype=np.float32 if is_narrow else np.float64, na_value=np.nan)
    if kind == "b":
        return series.to_numpy(dtype=object, na_value=None)
    if str(dtype).startswith(("date32", "date64")):  # days of pyarrow
        return series.to_numpy(dtype=object)
    if kind in "Mm":
        zone = getattr(dtype, "tz", None) or getattr(getattr(dtype, "pyarrow_dtype", 0), "tz", None)
        moments = series.dt.tz_convert(None) if zone else series
        unit = getattr(dtype, "unit", None) or dtype.pyarrow_dtype.unit
        return moments.to_numpy(dtype=f"{kind}8[{unit}]")
    return np.asarray(series.to_numpy())


def _check_columns(categorical_features: Sequence[Any], names: list[str], has_names: bool) -> Array:
    """Return a mask of the columns that ``categorical_features`` names.

    Parameters
    ----------
    categorical_features : array-like of str, int or bool
        Names, indices or a mask.
    names : list of str
        Of all columns.
    has_names : bool
        Whether the table has names.

    Raises
    ------
    ValueError
        For what is no column.
    """
    # objects, or numbers would become text beside names
    listed = np.asarray(categorical_features, object).ravel().tolist()
    mask = np.zeros(len(names), bool)
    if not listed:
        return mask
    if not any(all(isinstance(entry, kind) for entry in listed) for kind in _PLACES):
        types = sorted({type(entry).__name__ for entry in listed})
        raise ValueError(
            "categorical_features must be names, indices or a mask, all of one type: str, int or "
            f"bool. Got {', '.join(types)}: {listed!r:.100}."
        )
    given = np.array(listed)
    if given.dtype.kind == "b":
        if given.shape != mask.shape:
            raise ValueError(
                f"categorical_features is a mask of {given.size} entries, but X has {len(names)} "
                "columns."
            )
        return given
    if given.dtype.kind in "iu":
        wrong = given[(given < -len(names)) | (given >= len(names))]
        if wrong.size:
            raise ValueError(
                f"categorical_features holds the index {wrong[0]}, but X has {len(names)} columns."
            )
        mask[given] = True
        return mask
    if not has_names:
        raise ValueError(
            "categorical_features holds names, but X has none: give indices or a mask, or a data "
            f"frame. Got {given.tolist()!r}."
        )
    for name in given.tolist():
        if name not in names:
            raise ValueError(
                f"categorical_features holds {name!r}, which is no column of X: {names!r:.200}."
            )
        mask[names.index(name)] = True
    return mask


def find_categories(given: Any, table: Table, has_names: bool) -> Array:
    """Return a mask of the columns that are categories: those given, and those by their type.

    Parameters
    ----------
    given : {"from_dtype", None} or array-like of str, int or bool
        As of `TableEncoder`.
    table : Table
    has_names : bool
        Whether the table has names.
    """
    if given is None or (isinstance(given, str) and given == "from_dtype"):
        mask = np.zeros(table.n_columns, bool)
    else:
        mask = _check_columns(given, table.names, has_names).copy()
    for j in range(table.n_columns):
        if mask[j]:
            table.check_objects(j, table.values(j))
        else:
            mask[j] = table.kind(j) == "category"
    return mask


@np.errstate(all="ignore")  # whatever the caller set
def hash_cells(X: Any) -> str:
    """Return a hash of the cells of a table, the same whatever holds them.

    Parameters
    ----------
    X : {ndarray, data frame} of shape (n_samples, n_features)
        As of `check_table`, not sparse. Columns that cannot be read have no part.
    """
    table = Table(X, None, reset=True, is_checked=True)
    digest = hashlib.sha256(repr((table.n_rows, table.n_columns)).encode())
    for j in range(table.n_columns):
        try:
            cells = categories_of(table.values(j))
        except (TypeError, ValueError):  # of what a transformer of the user's may know
            continue
        is_text = cells.dtype == object
        digest.update(
            repr(cells.tolist()).encode() if is_text else cells.astype(np.float64).tobytes()
        )
    return digest.hexdigest()
