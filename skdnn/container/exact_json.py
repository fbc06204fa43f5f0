"""Python and NumPy values as JSON, and back with the same values and types.

Plain where JSON has the type. What it lacks is an object that names the type:
``{"tuple": [1, 2]}``, ``{"float": "inf"}``, ``{"dict": [[key, value], ...]}``,
``{"numpy": "int64", "value": 3}``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["decode", "encode"]

_NUMBERS = {
    dtype.name: dtype
    for dtype in map(np.dtype, ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "e", "f", "d"))
}


def encode(value: Any) -> Any:
    """Return a JSON value that `decode` turns into an equal value of the same type.

    Raises
    ------
    TypeError
        For a type that is not among those above, a subclass of one of them included; names it.
    """
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind is list:
        return [encode(entry) for entry in value]
    if kind is tuple:
        return {"tuple": [encode(entry) for entry in value]}
    if kind is dict:
        return {"dict": [[encode(key), encode(entry)] for key, entry in value.items()]}
    if kind is np.str_:
        return {"numpy": "str", "value": str(value)}
    if isinstance(value, np.generic) and value.dtype.name in _NUMBERS:
        return {"numpy": value.dtype.name, "value": encode(value.item())}
    if kind is np.ndarray and value.ndim == 1 and value.dtype.name in _NUMBERS:
        return {"numpy": value.dtype.name, "values": encode(value.tolist())}
    raise TypeError(f"{kind.__module__}.{kind.__qualname__} has no form in JSON")


def decode(value: Any) -> Any:
    """Return the value that a JSON value stands for.

    Raises
    ------
    Exception
        Of several types, for what `encode` does not return.
    """
    if isinstance(value, list):
        return [decode(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"tuple": list(entries), **rest} if not rest:
            return tuple(decode(entries))
        case {"dict": list(entries), **rest} if not rest:
            return {decode(key): decode(entry) for key, entry in entries}
        case {"float": ("inf" | "-inf" | "nan") as text, **rest} if not rest:
            return float(text)
        case {"numpy": "str", "value": str(text), **rest} if not rest:
            return np.str_(text)
        case {"numpy": str(name), "value": number, **rest} if name in _NUMBERS and not rest:
            return _NUMBERS[name].type(decode(number))
        case {"numpy": str(name), "values": list(numbers), **rest} if name in _NUMBERS and not rest:
            return np.array(decode(numbers), _NUMBERS[name])
    raise ValueError(f"{str(value)[:100]} stands for no value")
