"""A fitted TableEncoder as attributes and arrays, and the way back: no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.preprocessing import MaxAbsScaler

from skdnn.persistence.model import pack_parameters, set_parameters
from skdnn.preprocessing import TableEncoder
from skdnn.preprocessing.encodings import Category, Number

__all__ = ["pack_encoder", "unpack_encoder"]

Array = np.ndarray

# One entry a column that is prepared, numbers and categories alike
_COLUMNS: dict[str, tuple[str, Any]] = {
    "source": ("i8", -1),
    "is_number": ("?", False),
    "center": ("f8", 0.0),
    "scale": ("f8", 1.0),
    "is_constant": ("?", False),
    "has_gaps": ("?", False),
    "marks_gaps": ("?", False),
    "unit": ("i8", 0),
    "n_edges": ("i8", 0),
    "n_levels": ("i8", 0),
    "is_text": ("?", False),
    "is_float32": ("?", False),
    "group": ("i8", -1),
    "has_log_odds": ("?", False),
}
# What the numbers of a column are
_UNITS = ("", "number", "date", "duration")
# All columns' entries, one after the other
_ENTRIES = {"edges": "f4", "codes": "i8", "log_odds": "f4", "number_levels": "f8"}


def pack_encoder(encoder: TableEncoder, path: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return what is stored of a fitted encoder below a path."""
    attributes: dict[str, Any] = {
        f"{path}/parameters": pack_parameters(encoder.get_params(deep=False))
    }
    arrays: dict[str, Any] = {"categorical": encoder.categorical_features_}
    if encoder.dropped_features_:
        arrays["dropped"] = _text(list(encoder.dropped_features_))
        arrays["reasons"] = _text(list(encoder.dropped_features_.values()))
    if encoder._scaler is not None:
        arrays["largest"] = encoder._scaler.max_abs_
        attributes[f"{path}/n_samples"] = int(encoder._scaler.n_samples_seen_)
    else:
        attributes[f"{path}/uses_target"] = bool(encoder.uses_target_)
        arrays |= _pack_columns(encoder)
        arrays["names"] = _text(encoder._names)
    return attributes, {f"{path}/{name}": array for name, array in arrays.items()}


def _pack_columns(encoder: TableEncoder) -> dict[str, Array]:
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    entries: dict[str, list[Any]] = {name: [] for name in (*_ENTRIES, "text_levels")}
    edges, log_odds = iter(encoder._edges), iter(encoder._log_odds)
    marks_gaps = iter(encoder._marks_gaps)
    for source, column in encoder._columns:
        found: dict[str, Any] = {"source": source}
        if isinstance(column, Number):
            mine = next(edges)
            entries["edges"].extend(mine)
            found |= {
                "is_number": True,
                "center": column.center,
                "scale": column.scale,
                "is_constant": column.is_constant,
                "has_gaps": column.has_gaps,
                "marks_gaps": next(marks_gaps),
                "unit": _UNITS.index(column.unit),
                "n_edges": len(mine),
            }
        else:
            levels = "text_levels" if column.is_text else "number_levels"
            entries[levels].extend(column.levels)
            entries["codes"].extend(column.codes)
            found |= {
                "n_levels": len(column.levels),
                "is_text": column.is_text,
                "is_float32": column.levels.dtype == np.float32,
                "group": column.group,
            }
            if column.by_target:
                # that of what was never seen is 0
                mine = next(log_odds)[:-1]
                entries["log_odds"].extend(mine)
                found["has_log_odds"] = mine.size > 0
        for name, (_, default) in _COLUMNS.items():
            columns[name].append(found.get(name, default))
    arrays = {name: np.array(columns[name], dtype) for name, (dtype, _) in _COLUMNS.items()}
    arrays |= {name: np.array(entries[name], dtype) for name, dtype in _ENTRIES.items()}
    if entries["text_levels"]:
        arrays |= _pack_levels(entries["text_levels"])
    return {f"columns/{name}": array for name, array in arrays.items()}


def _pack_levels(levels: list[str]) -> dict[str, Array]:
    """Return levels as bytes, one after the other: one may be longer than all others together."""
    try:
        encoded = [level.encode() for level in levels]
    except UnicodeEncodeError as error:
        raise ValueError(f"save_model cannot store the category {error.object!r:.50}.") from error
    return {
        "level_bytes": np.frombuffer(b"".join(encoded), np.uint8),
        "level_sizes": np.array([*map(len, encoded)], np.int64),
    }


def _unpack_levels(encoded: Array, sizes: Array) -> Array:
    ends = np.cumsum(sizes)
    if sizes.min(initial=0) < 0 or ends.max(initial=0) != encoded.size:
        raise ValueError(f"'columns/level_sizes' are not those of {encoded.size} bytes.")
    data = encoded.tobytes()
    pairs = zip((ends - sizes).tolist(), ends.tolist(), strict=True)
    return np.array([data[start:end].decode() for start, end in pairs], object)


def _text(values: list[str]) -> Array:
    """Return strings as an array of them, which NUL at the end of one would not survive."""
    text = np.array(values, np.str_)
    if text.tolist() != values:
        raise ValueError("save_model cannot store names with NUL at their end.")
    return text


# ---------------------------------------------------------------------- from the file


def unpack_encoder(
    attributes: Mapping[str, Any], arrays: Mapping[str, Array], path: str, names: Array | None
) -> TableEncoder:
    """Return the encoder that was stored, or raise an exception of any type.

    ``names`` are the features', if they have names.
    """
    encoder = TableEncoder()
    set_parameters(encoder, attributes[f"{path}/parameters"])
    mine = _Stored(arrays, path)
    mask = mine.get("categorical", "?")
    encoder.categorical_features_ = mask
    encoder.n_features_in_ = mask.size
    if names is not None:
        encoder.feature_names_in_ = names
    encoder.dropped_features_ = {}
    if f"{path}/dropped" in arrays:
        dropped, reasons = mine.get("dropped", "U"), mine.get("reasons", "U", None)
        encoder.dropped_features_ = dict(zip(dropped.tolist(), reasons.tolist(), strict=True))
    encoder._scaler = None
    encoder._columns, encoder._log_odds = [], []
    if f"{path}/largest" in arrays:
        encoder._scaler = _unpack_scaler(mine, attributes[f"{path}/n_samples"], mask.size, names)
        encoder.uses_target_ = encoder.encodes_target_ = False
        encoder.n_outputs_ = mask.size
        return encoder
    encoder._names = mine.get("names", "U", mask.size).tolist()
    encoder._columns, edges, encoder._log_odds = _unpack_columns(mine, mask)
    marks = mine.get("columns/marks_gaps", "?")[mine.get("columns/is_number", "?")]
    encoder._lay_out(edges, marks.tolist())
    encoder.uses_target_ = attributes[f"{path}/uses_target"]
    if not isinstance(encoder.uses_target_, bool):
        raise ValueError(f"'uses_target' is {encoder.uses_target_!r:.40}, and must be a boolean.")
    return encoder


class _Stored:
    """Arrays below a path, each of one dimension, and of the kind and length that is asked for."""

    def __init__(self, arrays: Mapping[str, Array], path: str) -> None:
        self._arrays, self._path = arrays, path

    def get(self, name: str, dtype: str, size: int | None = None) -> Array:
        path = f"{self._path}/{name}"
        array = self._arrays[path]
        right = array.dtype.kind == "U" if dtype == "U" else array.dtype == np.dtype(dtype)
        if array.ndim != 1 or not right or (size is not None and array.size != size):
            raise ValueError(
                f"{path!r} is {array.dtype} of shape {array.shape}, and must be one row of "
                f"{np.dtype(dtype).name}" + ("." if size is None else f", {size} of them.")
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{path!r} has entries that are not finite.")
        return array

    def is_double(self, name: str) -> bool:
        return self._arrays[f"{self._path}/{name}"].dtype == np.float64

    def __contains__(self, name: str) -> bool:
        return f"{self._path}/{name}" in self._arrays


def _unpack_scaler(mine: _Stored, n_samples: Any, n: int, names: Array | None) -> MaxAbsScaler:
    scaler = MaxAbsScaler().set_output(transform="default")  # as in fit
    scaler.max_abs_ = mine.get("largest", "f8" if mine.is_double("largest") else "f4", n)
    scaler.scale_ = np.where(scaler.max_abs_ == 0, 1, scaler.max_abs_)
    scaler.n_features_in_ = n
    if type(n_samples) is not int or n_samples < 1:
        raise ValueError(f"'n_samples' is {n_samples!r:.50}, and must be a number of rows.")
    scaler.n_samples_seen_ = n_samples
    return scaler


def _as_float32(levels: Array, source: int) -> Array:
    """Return levels in the dtype that they had in fit."""
    with np.errstate(all="ignore"):
        narrow = levels.astype(np.float32)
    if (narrow != levels).any():
        raise ValueError(f"the categories of column {source} are no numbers of float32.")
    return narrow


def _unpack_entries(mine: _Stored) -> dict[str, Array]:
    """Return what columns have in any number, those of all columns together."""
    entries = {name: mine.get(f"columns/{name}", dtype) for name, dtype in _ENTRIES.items()}
    if "columns/level_sizes" in mine:
        sizes = mine.get("columns/level_sizes", "i8")
        entries["text_levels"] = _unpack_levels(mine.get("columns/level_bytes", "u1"), sizes)
    return entries


def _number(found: dict[str, Any]) -> Number:
    """Return a column of numbers, of its entries."""
    unit = found["unit"]
    if not 0 <= unit < len(_UNITS):
        raise ValueError(f"'columns/unit' holds {unit}, which stands for none.")
    entries = {name: found[name] for name in ("center", "scale", "is_constant", "has_gaps")}
    return Number(**entries, unit=_UNITS[unit])


def _check_levels(levels: Array, codes: Array, group: int, source: int) -> None:
    """Raise ValueError unless levels, codes and group are those of one column."""
    allowed = len(levels) if group < 0 else group + 1
    if len(levels) < 1 or group < -1 or codes.min() < 0 or codes.max() >= allowed:
        raise ValueError(f"the categories of column {source} do not fit together.")
    if (levels[1:] <= levels[:-1]).any():
        raise ValueError(f"the categories of column {source} are not in order.")


def _unpack_columns(
    mine: _Stored, mask: Array
) -> tuple[list[tuple[int, Number | Category]], list[Array], list[Array]]:
    n_columns = mine.get("columns/source", "i8").size
    stored = {
        name: mine.get(f"columns/{name}", dtype, n_columns).tolist()
        for name, (dtype, _) in _COLUMNS.items()
    }
    entries = _unpack_entries(mine)
    taken = dict.fromkeys(entries, 0)

    def take(name: str, n: int) -> Array:
        first = taken[name]
        taken[name] = last = first + n
        if n < 0 or last > entries[name].size:
            raise ValueError(f"'columns/{name}' has {entries[name].size} entries, and lacks some.")
        return entries[name][first:last].copy()

    columns: list[tuple[int, Number | Category]] = []
    edges: list[Array] = []
    log_odds: list[Array] = []
    for row in zip(*stored.values(), strict=True):
        found = dict(zip(stored, row, strict=True))
        source, is_number = found["source"], found["is_number"]
        if not 0 <= source < mask.size or (is_number and mask[source]):
            raise ValueError(f"'columns/source' names {source}, which is no such column.")
        if is_number:
            edges.append(take("edges", found["n_edges"]))
            if (np.diff(edges[-1]) <= 0).any():
                raise ValueError("'columns/edges' do not increase.")
            columns.append((source, _number(found)))
            continue
        n_levels, group = found["n_levels"], found["group"]
        if not mask[source] and (found["is_text"] or group):
            raise ValueError(f"the names of column {source} are none of numbers.")
        levels = take("text_levels" if found["is_text"] else "number_levels", n_levels)
        if found["is_float32"] and not found["is_text"]:
            levels = _as_float32(levels, source)
        codes = take("codes", n_levels)
        _check_levels(levels, codes, group, source)
        may_be_names = not mask[source]
        if found["has_log_odds"]:
            of_levels = take("log_odds", n_levels + 1)
            log_odds.append(np.append(of_levels, np.float32(0)))
        elif may_be_names:
            log_odds.append(np.empty(0))
        by_target = found["has_log_odds"] or may_be_names
        columns.append((source, Category(levels, codes, group, by_target)))
    unused = [name for name, n in taken.items() if n != entries[name].size]
    if unused or not columns:
        raise ValueError(f"'columns' has entries that no column is of: {unused}.")
    return columns, edges, log_odds
