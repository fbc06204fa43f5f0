"""Dates and durations of any unit: as seconds, and as text, the same whatever holds them."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

__all__ = ["DATES", "kind_of_moments", "seconds_of", "texts_of_moments"]

Array = np.ndarray

_KINDS = {
    "M": (datetime.date, np.datetime64),
    "m": (datetime.timedelta, np.timedelta64),
}
DATES = _KINDS["M"] + _KINDS["m"]

# Of units: whole seconds (of durations in years and months on the average, as in NumPy), or how
# many make a second
_SECONDS = {"Y": 31_556_952, "M": 2_629_746, "W": 604_800, "D": 86_400, "h": 3600, "m": 60, "s": 1}
_PARTS = {
    **{unit: 10 ** (3 * k) for k, unit in enumerate(("ms", "us", "ns", "ps", "fs", "as"), 1)},
    "generic": 10**6,
}
_MICRO = 10**6

# Days that are microseconds of int64
_FARTHEST = 10**8


def kind_of_moments(present: list[Any]) -> str:
    """Return "M" where all values are dates, "m" where they are durations, "" for anything else."""
    for kind, types in _KINDS.items():
        if present and all(isinstance(value, types) for value in present):
            return kind
    return ""


def seconds_of(moments: Array) -> Array:
    """Return dates as seconds since 1970, and durations as seconds; NaT as NaN.

    Parameters
    ----------
    moments : ndarray of shape (n_samples,)
        Of a dtype of NumPy's, or objects that are all dates, or all durations.
    """
    return _by_unit(moments, _seconds, np.float64)


def texts_of_moments(moments: Array) -> Array:
    """Return dates as pandas writes them to a file, and durations in microseconds.

    Parameters
    ----------
    moments : ndarray of shape (n_samples,)
        As of `seconds_of`, without NaT.
    """
    return _by_unit(moments, _texts, object)


def _by_unit(moments: Array, function: Callable[[Array], Array], dtype: Any) -> Array:
    """Return what a function gives for moments, those of each unit together."""
    if moments.dtype.kind in "mM":
        return function(moments)
    cells = [_of_numpy(value) for value in moments.tolist()]
    units = np.array([str(cell.dtype) for cell in cells], object)
    found = np.empty(len(cells), dtype)
    for unit in set(units.tolist()):
        mine = np.flatnonzero(units == unit)
        found[mine] = function(np.array([cells[k] for k in mine.tolist()], unit))
    return found


def _of_numpy(value: Any) -> Any:
    """Return a moment as NumPy's, dates in UTC: Python's astimezone ends with the year 9999."""
    if isinstance(value, np.datetime64 | np.timedelta64):
        return value
    for name in ("to_datetime64", "to_timedelta64"):  # of pandas, which has nanoseconds
        if hasattr(value, name):
            return getattr(value, name)()
    if isinstance(value, datetime.timedelta):
        if abs(value.days) > _FARTHEST:
            return np.timedelta64(value.days * 86_400 + value.seconds, "s")
        return np.timedelta64(value)
    offset = value.utcoffset() if isinstance(value, datetime.datetime) else None
    if offset is None:
        return np.datetime64(value)
    return np.datetime64(value.replace(tzinfo=None)) - np.timedelta64(offset)


def _counts(moments: Array) -> tuple[Array, str, int]:
    """Return moments as integers, of how many of which unit each."""
    unit, step = np.datetime_data(moments.dtype)
    if moments.dtype.kind == "M" and unit in ("Y", "M"):  # which are of several lengths
        moments, unit, step = moments.astype("datetime64[D]"), "D", 1
    return moments.astype(np.int64), unit, step


def _seconds(moments: Array) -> Array:
    counts, unit, step = _counts(moments)
    if unit in _SECONDS:
        seconds = counts * float(_SECONDS[unit] * step)
    else:
        counts = counts * step
        # as of microseconds, where the moment is whole ones
        per_micro = max(1, _PARTS[unit] // _MICRO)
        rest = np.fmod(counts, per_micro)
        seconds = (counts - rest) // per_micro / min(_PARTS[unit], _MICRO)
        seconds += rest / _PARTS[unit]
    seconds[np.isnat(moments)] = np.nan
    return seconds


def _texts(moments: Array) -> Array:
    if moments.dtype.kind == "m":
        return np.array([f"{micros} microseconds" for micros in _micros(moments)], object)
    counts, unit, step = _counts(moments)
    per_micro = _PARTS.get(unit, 1) // _MICRO
    if per_micro <= 1:
        kind = "datetime64[s]" if unit in _SECONDS else "datetime64[us]"
        return np.array([_without_zeros(text) for text in moments.astype(kind).astype(str)], object)
    whole, rest = np.divmod(counts * step, per_micro)
    texts = whole.astype("datetime64[us]").astype(str).tolist()
    n_digits = len(str(per_micro)) - 1
    return np.array(
        [
            text.replace("T", " ") + f"{more:0{n_digits}}".rstrip("0")
            if more
            else _without_zeros(text)
            for text, more in zip(texts, rest.tolist(), strict=True)
        ],
        object,
    )


def _without_zeros(text: str) -> str:
    """Return a date of NumPy's as pandas writes it, without a time that is 0."""
    return text.removesuffix(".000000").removesuffix("T00:00:00").replace("T", " ")


def _micros(durations: Array) -> list[Any]:
    """Return durations as microseconds, whole or decimal."""
    counts, unit, step = _counts(durations)
    numbers = [number * step for number in counts.tolist()]
    if unit in _SECONDS:
        return [number * _SECONDS[unit] * _MICRO for number in numbers]
    if _PARTS[unit] <= _MICRO:
        return [number * (_MICRO // _PARTS[unit]) for number in numbers]
    per_micro = _PARTS[unit] // _MICRO
    return [
        format(Decimal(number) / per_micro, "f") if number % per_micro else number // per_micro
        for number in numbers
    ]
