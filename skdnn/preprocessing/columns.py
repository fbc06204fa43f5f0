"""Columns of any table, one by one, as numbers or as categories.

Knows pandas, polars and NumPy by what their objects can do, and imports none of the first two.
Encodes nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from numbers import Integral, Number, Real
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from skdnn.datasets.rows import is_on_disk

__all__ = [
    "Table",
    "as_text",
    "categories_of",
    "check_table",
    "find_categories",
    "is_gap",
    "numbers_of",
    "unit_of",
]

Array = np.ndarray

_NUMBERS = (Real, Number, np.bool_)  # a Decimal is no Real
_DATES = (datetime.date, datetime.timedelta, np.datetime64, np.timedelta64)
_SECOND = {"M": "datetime64[us]", "m": "timedelta64[us]"}


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
        X = self._X
        if not self._is_frame:
            return X[:, j]
        return X.iloc[:, j] if hasattr(X, "iloc") else X.to_series(j)

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
        self.check_objects(j)
        present = values[~_missing(values)].tolist()
        types = set(map(type, present))
        is_number = all(issubclass(type_, _NUMBERS + _DATES) for type_ in types)
        return "number" if is_number else "category"

    def check_objects(self, j: int) -> None:
        """Raise TypeError when column j, if it is of objects, holds what cannot be encoded."""
        values = self.values(j)
        if values.dtype.kind == "O" and not _is_categorical(self.series(j).dtype):
            kinds = (str, bytes, *_NUMBERS, *_DATES)
            for value in values[~_missing(values)].tolist():
                if isinstance(value, complex) or not isinstance(value, kinds):
                    raise TypeError(
                        f"Column {self.names[j]!r} has values of type {type(value).__name__}, like "
                        f"{value!r:.50}: only numbers, booleans, text, categories and dates can be "
                        "encoded. Drop the column, or make columns of these from it."
                    )


def is_frame(X: Any) -> bool:
    """Return whether X is a data frame, of pandas or polars."""
    return hasattr(X, "columns") and hasattr(X, "dtypes")


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
    if hasattr(X, "collect") and not hasattr(X, "shape"):
        raise TypeError(f"X is a {type(X).__name__}, of which no row is known: give X.collect().")
    if hasattr(X, "column_names") and hasattr(X, "to_pandas"):  # a Table of pyarrow
        X = X.to_pandas()
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
        X = X.astype(np.result_type(X.dtype, np.float32) if X.dtype.kind in "biuf" else object)
        X = X.filled(np.nan)
    if not hasattr(X, "dtype"):
        listed = np.asarray(X)
        # numbers stay numbers where text stands beside them
        X = np.array(X, dtype=object) if listed.dtype.kind in "US" else listed
    sparse = "csr" if accept_sparse else False
    return validate_data(
        estimator, X, reset=reset, accept_sparse=sparse, dtype=None, ensure_all_finite=False
    )


def _is_categorical(dtype: Any) -> bool:
    """Return whether a dtype of pandas or polars says that values are categories."""
    return str(dtype).partition("(")[0].lower() in ("category", "categorical", "enum")


def _to_numpy(series: Any) -> Array:
    """Return a column as a NumPy array; gaps of nullable integers and booleans become NaN."""
    if isinstance(series, np.ndarray):
        return series
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return series.to_numpy()
    kind = getattr(dtype, "kind", "O")  # of pandas' extension types
    if kind in "iu" and hasattr(series, "iloc"):
        present = series.dropna()
        if present.size and not _are_exact(int(present.min()), int(present.max())):
            return series.to_numpy(dtype=object)
    if kind in "biuf" and hasattr(series, "iloc"):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    if str(dtype).startswith("date") and hasattr(series, "iloc"):  # days of pyarrow
        return series.to_numpy(dtype=object)
    if kind in "Mm" and hasattr(series, "iloc"):
        zone = getattr(dtype, "tz", None) or getattr(getattr(dtype, "pyarrow_dtype", 0), "tz", None)
        moments = series.dt.tz_convert(None) if zone else series
        return moments.to_numpy(dtype=_SECOND[kind])
    return np.asarray(series.to_numpy())


def _missing(values: Array) -> Array:
    """Return where objects are gaps: None, NaN, NaT or pandas.NA."""
    types = set(map(type, values.tolist()))
    gaps = {type_ for type_ in types if type_.__name__ in ("NoneType", "NAType", "NaTType")}
    with_nan = (Number, np.datetime64, np.timedelta64)
    floats = {
        type_ for type_ in types if issubclass(type_, with_nan) and not issubclass(type_, int)
    }
    if not gaps and not floats:
        return np.zeros(len(values), bool)
    missing = (
        type(value) in gaps or (type(value) in floats and value != value)
        for value in values.tolist()
    )
    return np.fromiter(missing, bool, len(values))


def numbers_of(values: Array, name: str) -> Array:
    """Return a column's values as floats.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        Of numbers, booleans, dates, or objects that are such.
    name : str
        Of the column, for messages.

    Returns
    -------
    numbers : ndarray of shape (n_samples,)
        float32 if the values are, else float64. Gaps are NaN. Dates are seconds since 1970,
        durations are seconds.

    Raises
    ------
    ValueError
        When a value is no number.
    """
    if values.dtype.kind in "Mm":
        seconds = values.astype(_SECOND[values.dtype.kind]).astype(np.int64) / 1e6
        seconds[np.isnat(values)] = np.nan
        return seconds
    if values.dtype.kind in "biuf":
        return values.astype(np.float64 if values.dtype != np.float32 else np.float32, copy=False)
    missing = _missing(values) if values.dtype.kind == "O" else np.zeros(len(values), bool)
    present = values[~missing].tolist()
    numbers = np.full(len(values), np.nan)
    moments = _moments(present)
    if moments is not None:
        numbers[~missing] = moments.astype(np.int64) / 1e6
        return numbers
    for value in present:
        if not isinstance(value, _NUMBERS):
            raise ValueError(
                f"Column {name!r} holds numbers in fit, and {value!r:.50} now: give numbers, or "
                "name the column in categorical_features."
            )
    try:
        numbers[~missing] = np.array(present, np.float64)
    except OverflowError as error:
        raise ValueError(f"Column {name!r} has a number beyond those of float64.") from error
    return numbers


def unit_of(values: Array) -> str:
    """Return what the numbers of a column are: 'number', 'date' or 'duration'; '' of gaps alone."""
    if values.dtype == object:
        present = values[~_missing(values)].tolist()
        moments = _moments(present)
        if moments is None:
            return "number" if present else ""
        values = moments
    elif values.dtype.kind in "fMm" and (values != values).all():  # NaN, NaT
        return ""
    return {"M": "date", "m": "duration"}.get(values.dtype.kind, "number")


def _moments(present: list[Any]) -> Array | None:
    """Return dates, or durations, as NumPy has them, in microseconds; None where some are none."""
    kinds = (("M", (datetime.date, np.datetime64)), ("m", (datetime.timedelta, np.timedelta64)))
    for kind, types in kinds:
        if present and all(isinstance(value, types) for value in present):
            naive = [
                value.astimezone(datetime.UTC).replace(tzinfo=None)
                if getattr(value, "tzinfo", None)
                else value
                for value in present
            ]
            return np.array(naive, dtype=_SECOND[kind])
    return None


def categories_of(values: Array) -> Array:
    """Return a column's values as categories that can be compared.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)

    Returns
    -------
    categories : ndarray of shape (n_samples,)
        float64 with NaN for gaps if all values are numbers or booleans; otherwise objects, text
        with None for gaps.
    """
    if values.dtype.kind in "iu" and values.size and not _are_exact(values.min(), values.max()):
        return values.astype(str).astype(object)
    if values.dtype.kind in "biuf":
        return values.astype(np.float64)
    if values.dtype.kind in "Mm":
        missing = np.isnat(values)
        values = values.astype(_SECOND[values.dtype.kind]).astype(str).astype(object)
        values[missing] = None
    elif values.dtype.kind in "US":
        values = values.astype(object)
    missing = _missing(values)
    moments = _moments(values[~missing].tolist())
    if moments is not None:  # the same text, whatever held them
        values = values.copy()
        values[~missing] = moments.astype(str)
    types = set(map(type, values[~missing].tolist()))
    if (
        types
        and all(issubclass(type_, _NUMBERS) for type_ in types)
        and _are_exact(*(value for value in values[~missing].tolist() if isinstance(value, int)))
    ):
        numbers = np.full(len(values), np.nan)
        numbers[~missing] = values[~missing].astype(np.float64)
        return numbers
    categories = np.full(len(values), None, object)
    categories[~missing] = (
        values[~missing] if types == {str} else [as_text(v) for v in values[~missing].tolist()]
    )
    return categories


def _are_exact(*integers: int) -> bool:
    """Return whether float64 has these integers."""
    return all(-(2**53) <= integer <= 2**53 for integer in integers)


def as_text(value: Any) -> str:
    """Return a category as text, the same as if all values were of its kind.

    Numbers as they are written in a file, booleans as numbers, dates as NumPy writes them.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    moments = _moments([value])
    if moments is not None:
        return str(moments.astype(str)[0])
    if not isinstance(value, Integral | np.bool_):
        value = float(value)
    if not isinstance(value, float) or value.is_integer():
        return str(int(value))
    return str(value)


def is_gap(categories: Array) -> Array:
    """Return which categories, of `categories_of`, are gaps."""
    if categories.dtype.kind == "f":
        return np.isnan(categories)
    return np.fromiter((value is None for value in categories.tolist()), bool, len(categories))


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
    given = np.atleast_1d(np.asarray(categorical_features))
    mask = np.zeros(len(names), bool)
    if given.size == 0:
        return mask
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
            table.check_objects(j)
        else:
            mask[j] = table.kind(j) == "category"
    return mask
