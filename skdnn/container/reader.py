"""Reading HDF5 that may have been made to do harm.

Only by calls that follow no link, convert nothing, open no other file, and allocate nothing but
what the file's own bytes fill. Knows paths, arrays and attributes, and nothing of their meaning.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5t

__all__ = ["DTYPES", "LONGEST_TEXT", "PLAIN", "HDF5Reader"]

Array = np.ndarray

# HDF5 limits an attribute to 64 kB, of which its name and type take a part
LONGEST_TEXT = 60_000
# What is not JSON text
PLAIN = ("format_version", "kind", "skdnn_version")
_DEEPEST_GROUP = 16
_MOST_ATTRIBUTES = 1_000  # of an object: finding them takes time that grows with their square
DTYPES = [np.dtype("?")] + [
    np.dtype(kind + size).newbyteorder("<")
    for kind, sizes in {"i": "1248", "u": "1248", "f": "248"}.items()
    for size in sizes
]


class HDF5Reader:
    """Collects the attributes and arrays of a file.

    Parameters
    ----------
    n_bytes : int
        Size of the file.

    Attributes
    ----------
    plain : dict of str to int or str
        Attributes of the root that are named in ``PLAIN``.
    attributes : dict of str to JSON value
        All others, by path.
    arrays : dict of str to ndarray
        By path.
    """

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self.plain: dict[str, Any] = {}
        self.attributes: dict[str, Any] = {}
        self.arrays: dict[str, Array] = {}
        self._seen: set[int] = set()

    def read_group(self, group: h5g.GroupID, path: str, depth: int) -> None:
        """Read a group with all that is in it."""
        if depth > _DEEPEST_GROUP:
            raise ValueError(f"{path!r} lies deeper than {_DEEPEST_GROUP} groups.")
        self._meet(h5o.get_info(group), path or "/")
        self._read_attributes(group, path)
        names: list[bytes] = []
        group.links.iterate(names.append)
        if not names:
            raise ValueError(f"{path or '/'!r} is a group with nothing in it.")
        for name in names:
            inner = f"{path}/{name.decode()}" if path else name.decode()
            if group.links.get_info(name).type != h5l.TYPE_HARD:
                raise ValueError(f"{inner!r} is a soft, external or other link; none is allowed.")
            kind = h5o.get_info(group, name).type
            if kind == h5o.TYPE_GROUP:
                self.read_group(h5g.open(group, name), inner, depth + 1)
            elif kind == h5o.TYPE_DATASET:
                self._read_dataset(h5d.open(group, name), inner)
            else:
                raise ValueError(f"{inner!r} is neither a group nor a dataset.")

    def _meet(self, info: Any, path: str) -> None:
        """Refuse what can be reached by several ways, a way in circles among them."""
        if info.rc != 1 or info.addr in self._seen:
            raise ValueError(f"{path!r} has several hard links; one is allowed.")
        self._seen.add(info.addr)

    def _read_attributes(self, owner: Any, path: str) -> None:
        n_attributes = h5a.get_num_attrs(owner)
        if n_attributes > _MOST_ATTRIBUTES:
            raise ValueError(
                f"{path or '/'!r} has {n_attributes} attributes; {_MOST_ATTRIBUTES} are allowed."
            )
        for i in range(n_attributes):
            attribute = h5a.open(owner, index=i)
            name = attribute.name.decode()
            full = f"{path}/{name}" if path else name
            if "/" in name:
                raise ValueError(f"attribute {name!r} of {path or '/'!r} has a slash in its name.")
            if full == "format_version":
                self.plain[full] = _read_integer(attribute, full)
            elif full in PLAIN:
                self.plain[full] = _read_text(attribute, full)
            else:
                self.attributes[full] = _parse(_read_text(attribute, full), full)

    def _read_dataset(self, dataset: h5d.DatasetID, path: str) -> None:
        """Read an array, once it is certain that the file's own bytes are all of it."""
        self._meet(h5o.get_info(dataset), path)
        creation = dataset.get_create_plist()
        # before anything else: to ask for the extent of a virtual dataset may open other files
        if creation.get_layout() != h5d.CONTIGUOUS:
            raise ValueError(f"{path!r} is chunked, compact or virtual; it must be contiguous.")
        if creation.get_external_count():
            raise ValueError(f"{path!r} is stored in another file, which is not allowed.")
        stored = dataset.get_type()
        dtype = _as_dtype(stored)
        if dtype is None:
            raise ValueError(
                f"{path!r} is of a type that is not allowed: it must be of fixed-length UTF-8 "
                "strings, or of booleans, integers or floats in little-endian order."
            )
        space = dataset.get_space()
        if space.get_simple_extent_type() != h5s.SIMPLE:
            raise ValueError(f"{path!r} is not an array.")
        shape = space.get_simple_extent_dims()
        n_bytes = math.prod(shape) * dtype.itemsize
        self._check_storage(dataset, path, shape, n_bytes)
        array = np.empty(shape, np.dtype("i1") if dtype.kind == "b" else dtype)
        if n_bytes:
            # as the file's own type: nothing is converted
            dataset.read(h5s.ALL, h5s.ALL, array, stored)
        self.arrays[path] = _as_native(array, dtype, path)
        self._read_attributes(dataset, path)

    def _check_storage(
        self, dataset: h5d.DatasetID, path: str, shape: tuple[int, ...], n_bytes: int
    ) -> None:
        offset, n_stored = dataset.get_offset(), dataset.get_storage_size()
        inside = n_bytes == 0 or (offset is not None and offset + n_bytes <= self.n_bytes)
        if len(shape) > 2 or n_stored != n_bytes or not inside:
            raise ValueError(
                f"{path!r} claims the shape {shape} and {n_bytes} bytes, of which the file holds "
                f"{n_stored}; all must be there, in at most 2 dimensions."
            )


def _read_integer(attribute: h5a.AttrID, name: str) -> int:
    scalar = attribute.get_space().get_simple_extent_type() == h5s.SCALAR
    if not (scalar and attribute.get_type().equal(h5t.STD_I64LE)):
        raise ValueError(f"attribute {name!r} must be one 64-bit integer.")
    value = np.empty((), "<i8")
    attribute.read(value)
    return int(value)


def _read_text(attribute: h5a.AttrID, name: str) -> str:
    stored = attribute.get_type()
    dtype = _as_dtype(stored)
    scalar = attribute.get_space().get_simple_extent_type() == h5s.SCALAR
    if dtype is None or dtype.kind != "S" or not scalar or dtype.itemsize > LONGEST_TEXT:
        raise ValueError(
            f"attribute {name!r} must be one fixed-length UTF-8 string of at most {LONGEST_TEXT} "
            "bytes."
        )
    value = np.empty((), dtype)
    attribute.read(value, stored)
    return value.item().decode()


def _parse(text: str, name: str) -> Any:
    """Return the JSON value of an attribute."""

    def finite(number: str) -> float:
        if not math.isfinite(float(number)):
            raise ValueError(f"{number[:20]} is not a finite number")
        return float(number)

    try:
        return json.loads(text, parse_constant=finite, parse_float=finite)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"attribute {name!r} must be JSON text: {error}.") from error


def _as_dtype(stored: h5t.TypeID) -> np.dtype | None:
    """Return the dtype of a stored type, or None for a type that is not allowed."""
    if stored.get_class() == h5t.STRING:
        fixed = not stored.is_variable_str() and stored.get_strpad() == h5t.STR_NULLPAD
        if fixed and stored.get_cset() == h5t.CSET_UTF8:
            return np.dtype(f"S{stored.get_size()}")
        return None
    for dtype in DTYPES:
        if stored.equal(h5t.py_create(dtype, logical=True)):
            return dtype
    return None


def _as_native(array: Array, dtype: np.dtype, path: str) -> Array:
    """Return stored numbers in the byte order of the machine, stored strings as text."""
    if dtype.kind == "S":
        return np.strings.decode(array, "utf-8") if array.size else np.empty(array.shape, "U1")
    if dtype.kind == "b":
        if not np.isin(array, (0, 1)).all():
            raise ValueError(f"{path!r} has booleans other than 0 and 1.")
        return array.view(bool)
    return array.astype(dtype.newbyteorder("="), copy=False)
