"""What stands in the cells of a column: numbers, dates and categories, whatever holds them."""

from __future__ import annotations

import re
from decimal import Decimal
from numbers import Integral, Number, Real
from typing import Any

import numpy as np

from skdnn.preprocessing.moments import kind_of_moments, seconds_of, texts_of_moments

__all__ = [
    "GAPS",
    "NUMBERS",
    "are_dates",
    "are_exact",
    "categories_of",
    "is_gap",
    "missing_of",
    "numbers_of",
    "unit_of",
]

Array = np.ndarray

NUMBERS = (Real, Decimal, np.bool_)
# Names of the types of None, pandas.NA and NaT
GAPS = ("NoneType", "NAType", "NaTType")
_DATE = re.compile(r"(\d{4}([-/.])\d{1,2}\2\d{1,2}|\d{1,2}([-/.])\d{1,2}\3(\d{4}|\d{2}))(?!\d)")


def missing_of(values: Array) -> Array:
    """Return where objects are gaps: None, NaN, NaT or pandas.NA."""
    types = set(map(type, values.tolist()))
    gaps = {type_ for type_ in types if type_.__name__ in GAPS}
    with_nan = (Number, np.datetime64, np.timedelta64)
    floats = {
        type_ for type_ in types if issubclass(type_, with_nan) and not issubclass(type_, int)
    }
    if not gaps and not floats:
        return np.zeros(len(values), bool)
    missing = (
        type(value) in gaps or (type(value) in floats and _is_nan(value))
        for value in values.tolist()
    )
    return np.fromiter(missing, bool, len(values))


def _is_nan(value: Any) -> bool:
    # a signalling NaN cannot be compared
    return bool(value.is_nan() if isinstance(value, Decimal) else value != value)


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
        return seconds_of(values)
    if values.dtype.kind in "biuf":
        return values.astype(np.float64 if values.dtype != np.float32 else np.float32, copy=False)
    missing = missing_of(values) if values.dtype.kind == "O" else np.zeros(len(values), bool)
    present = values[~missing].tolist()
    numbers = np.full(len(values), np.nan)
    if kind_of_moments(present):
        numbers[~missing] = seconds_of(values[~missing])
        return numbers
    for value in present:
        if not isinstance(value, NUMBERS):
            raise ValueError(
                f"Column {name!r} is of numbers or dates, and holds {value!r:.50}: give these "
                "alone (pandas.to_datetime makes dates of text), or name the column in "
                "categorical_features."
            )
    try:
        numbers[~missing] = np.array(present, np.float64)
    except OverflowError as error:
        raise ValueError(f"Column {name!r} has a number beyond those of float64.") from error
    return numbers


def unit_of(values: Array) -> str:
    """Return what the numbers of a column are: 'number', 'date' or 'duration'; '' of gaps alone."""
    if values.dtype == object:
        present = values[~missing_of(values)].tolist()
        kind = kind_of_moments(present)
    else:
        present = (
            values if values.dtype.kind in "biuUS" else values[values == values]
        )  # not NaN, NaT
        kind = values.dtype.kind
    return {"M": "date", "m": "duration"}.get(kind, "number") if len(present) else ""


def are_dates(texts: Array) -> bool:
    """Return whether all texts begin as dates do: 2026-11-26, 26.11.2026 or 11/26/26."""
    return all(map(_DATE.match, texts.tolist()))


def categories_of(values: Array, *, to_text: bool = False) -> Array:
    """Return a column's values as categories that can be compared.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
    to_text : bool, default=False
        Whether numbers become text even where all values are numbers.

    Returns
    -------
    categories : ndarray of shape (n_samples,)
        Floats with NaN for gaps if all values are numbers or booleans, and finite: float32 if the
        values are, else float64. Otherwise objects, text with None for gaps.
    """
    kind = values.dtype.kind
    if kind in "biuf" and not to_text:
        extremes = (values.min(initial=0), values.max(initial=0)) if kind in "iu" else ()
        if are_exact(*extremes) and not np.isinf(values).any():
            return values.astype(_float_of({values.dtype.type}))
    categories = np.full(len(values), None, object)
    if kind in "Mm":
        missing = np.isnat(values)
        categories[~missing] = texts_of_moments(values[~missing])
        return categories
    values = values.astype(object)
    missing = missing_of(values)
    present = values[~missing].tolist()
    types = set(map(type, present))
    if kind_of_moments(present):  # the same text, whatever held them
        categories[~missing] = texts_of_moments(values[~missing])
        return categories
    if present and not to_text and all(issubclass(type_, NUMBERS) for type_ in types):
        numbers = _exact(present)
        if numbers is not None:
            categories = np.full(len(values), np.nan, _float_of(types))
            categories[~missing] = numbers
            return categories
    texts = present if types == {str} else [_as_text(value) for value in present]
    categories[~missing] = np.array(texts, object)
    return categories


def _float_of(types: set[type]) -> Any:
    """Return the dtype of numbers of some types, in which they are compared."""
    return np.float32 if types == {np.float32} else np.float64


def _exact(numbers: list[Any]) -> Array | None:
    """Return numbers as floats that are finite and tell them apart, or None."""
    if not are_exact(*(number for number in numbers if isinstance(number, Integral | Decimal))):
        return None
    floats = np.array(numbers, np.float64)
    return floats if np.isfinite(floats).all() else None


def are_exact(*integers: Any) -> bool:
    """Return whether float64 has integers as large as these."""
    return all(-(2**53) <= integer <= 2**53 for integer in integers)


def _as_text(value: Any) -> str:
    """Return a category as text, the same as if all values were of its kind.

    Numbers and dates as they are written in a file.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if kind_of_moments([value]):
        cell = np.empty(1, object)
        cell[0] = value
        return str(texts_of_moments(cell)[0])
    if not isinstance(value, Real | Decimal):  # of a categorical column: intervals, say
        return str(value)
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return str(int(value))
    if not isinstance(value, Integral):
        value = float(value)
        if not value.is_integer():
            return str(value)
    return str(int(value))


def is_gap(categories: Array) -> Array:
    """Return which categories, of `categories_of`, are gaps."""
    if categories.dtype.kind == "f":
        return np.isnan(categories)
    return np.fromiter((value is None for value in categories.tolist()), bool, len(categories))
