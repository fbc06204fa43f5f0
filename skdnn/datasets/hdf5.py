"""HDF5 files as arrays: features and labels by key, checked before anything large is read.

Nothing here knows what the numbers mean or writes a file.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any, overload

import h5py
import numpy as np

from skdnn.datasets.lzf import check_lzf
from skdnn.datasets.sources import broken_link, source_files

__all__ = [
    "as_labels",
    "check_features",
    "check_scale",
    "get_dataset",
    "load_hdf5",
    "open_for_reading",
    "read_labels",
    "scaled_dtype",
]

Array = np.ndarray


class _MissingKeyError(KeyError):
    """A KeyError whose text is the message itself, not the message in quotes."""

    def __str__(self) -> str:
        return str(self.args[0])


@overload
def load_hdf5(
    path: str | os.PathLike[str],
    *,
    x: str,
    y: None = None,
    scale: float | None = None,
    flatten: bool = True,
) -> Array: ...


@overload
def load_hdf5(
    path: str | os.PathLike[str],
    *,
    x: str,
    y: str,
    scale: float | None = None,
    flatten: bool = True,
) -> tuple[Array, Array]: ...


def load_hdf5(
    path: str | os.PathLike[str],
    *,
    x: str,
    y: str | None = None,
    scale: float | None = None,
    flatten: bool = True,
) -> Array | tuple[Array, Array]:
    """Read features and labels from an HDF5 file.

    Keys, shapes and types are checked before any values are read.

    Parameters
    ----------
    path : str or path-like
        The file.
    x : str
        Key of the dataset of features, of shape (n_samples, ...); numbers or booleans. A dataset
        inside groups is named as ``"group/name"``.
    y : str, default=None
        Key of the dataset of labels, of shape (n_samples,) or (n_samples, 1); numbers, booleans
        or strings. None reads the features alone.
    scale : float, default=None
        Positive number that the features are divided by, 255 for pixels. None leaves them as
        they are.
    flatten : bool, default=True
        Make one row of each sample: (n_samples, 64, 64, 3) becomes (n_samples, 12288), in C
        order. False keeps the shape of the dataset.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), or as stored with ``flatten=False``
        The features. Without ``scale`` in the dtype of the dataset; with it float32 and float64
        are kept and every other dtype becomes float64.
    y : ndarray of shape (n_samples,)
        The labels, only if ``y`` is given. Numbers keep their dtype, byte strings become str.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    IsADirectoryError
        When the path is a folder.
    OSError
        When the file cannot be read, for instance because it is cut short.
    KeyError
        When a key is not in the file; the message lists the datasets that are.
    TypeError
        When a key is not a string.
    ValueError
        When the file is not HDF5, a key names a group, the features are not numbers or have no
        axis of samples, the labels have more than one column or are neither numbers nor strings,
        the lengths differ, or ``scale`` is not a positive finite number.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import h5py
    >>> import numpy as np
    >>> from skdnn.datasets import load_hdf5
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "images.h5"
    ...     with h5py.File(path, "w") as file:
    ...         file["images"] = np.full((4, 2, 2, 3), 51, dtype=np.uint8)
    ...         file["labels"] = np.array([b"no", b"yes", b"yes", b"no"])
    ...     X, y = load_hdf5(path, x="images", y="labels", scale=255)
    >>> X.shape, X.dtype, float(X[0, 0])
    ((4, 12), dtype('float64'), 0.2)
    >>> y.tolist()
    ['no', 'yes', 'yes', 'no']
    """
    check_scale(scale)
    with open_for_reading(path) as file:
        features = get_dataset(file, x, "x")
        check_features(features, x)
        if y is None:
            return _read_features(features, scale, flatten)
        labels = get_dataset(file, y, "y")
        _check_labels(labels, y)
        if labels.shape[0] != features.shape[0]:
            raise ValueError(
                f"{file.filename}: x={x!r} has {features.shape[0]} samples (shape "
                f"{features.shape}), but y={y!r} has {labels.shape[0]} (shape {labels.shape}); "
                "they must be as many."
            )
        # labels first: they are small, and text in them may still be unreadable
        target = _read_labels(labels, y)
        return _read_features(features, scale, flatten), target


def read_labels(path: str | os.PathLike[str], key: str) -> Array:
    """Read one dataset of numbers or strings, without features.

    Parameters
    ----------
    path : str or path-like
        The HDF5 file.
    key : str
        Key of a dataset of shape (n,) or (n, 1).

    Returns
    -------
    labels : ndarray of shape (n,)
        Numbers in their dtype, byte strings as str.

    Raises
    ------
    OSError, KeyError, TypeError, ValueError
        As `load_hdf5` does for ``y``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import h5py
    >>> from skdnn.datasets import read_labels
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "names.h5"
    ...     with h5py.File(path, "w") as file:
    ...         file["names"] = [b"non-cat", b"cat"]
    ...     read_labels(path, "names").tolist()
    ['non-cat', 'cat']
    """
    with open_for_reading(path) as file:
        return as_labels(get_dataset(file, key, "key"))


def as_labels(labels: h5py.Dataset) -> Array:
    """Read an open dataset of labels as `read_labels` does."""
    if not labels:
        raise ValueError("The labels are a dataset of a file that is closed.")
    source_files(labels)
    key = (labels.name or "").lstrip("/")
    _check_labels(labels, key)
    return _read_labels(labels, key)


@contextmanager
def open_for_reading(path: str | os.PathLike[str], **options: Any) -> Iterator[h5py.File]:
    """Open a file, with errors that name it whatever is wrong with it."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(
            errno.EISDIR, "A folder was given where an HDF5 file is needed", str(path)
        )
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))  # a pipe would wait for ever
    # Python's own errors for a file that is missing or must not be read name the file
    with path.open("rb"):
        pass
    if not h5py.is_hdf5(path):
        raise ValueError(
            f"{path} ({path.stat().st_size} bytes) is not an HDF5 file: it does not have the "
            "signature that such files begin with."
        )
    try:
        file = h5py.File(path, "r", **options)
    except OSError as error:
        raise OSError(f"{path} is an HDF5 file that cannot be read: {error}") from error
    with file:
        yield file


def _dataset_keys(file: h5py.File) -> list[str]:
    """Return the keys of all datasets, those inside groups as 'group/name'."""
    keys: list[str] = []

    def note(key: str, node: h5py.Dataset | h5py.Group) -> None:
        if isinstance(node, h5py.Dataset):
            keys.append(key)

    file.visititems(note)
    return keys


def get_dataset(file: h5py.File, key: str, parameter: str) -> h5py.Dataset:
    """Return the dataset of a key; ``parameter`` is what the caller knows the key as."""
    if not isinstance(key, str):
        raise TypeError(
            f"{parameter} must be the key of a dataset of {file.filename}, a str, got {key!r}."
        )
    if key not in file:
        raise _MissingKeyError(
            f"{file.filename} has no dataset {parameter}={key!r}; it has {_dataset_keys(file)}."
        )
    try:
        node = file[key]
    except KeyError as error:
        raise _MissingKeyError(
            f"{file.filename}: {parameter}={key!r} {broken_link(file, key)} ({error})."
        ) from error
    if isinstance(node, h5py.Dataset):
        source_files(node)
    else:
        raise ValueError(
            f"{file.filename}: {parameter}={key!r} is a {type(node).__name__.lower()}, not a "
            f"dataset; the datasets are {_dataset_keys(file)}."
        )
    return node


def check_scale(scale: float | None) -> None:
    """Raise a ValueError unless the divisor is None or a positive finite number."""
    if scale is None:
        return
    is_number = isinstance(scale, Real) and not isinstance(scale, bool | np.bool_)
    if not (is_number and math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be a positive finite number or None, got {scale!r}.")


def scaled_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype that dividing by ``scale`` gives: float32 is kept, the rest is float64."""
    return np.dtype(np.float32 if dtype.newbyteorder("=") == np.float32 else np.float64)


def check_features(features: h5py.Dataset, key: str, parameter: str = "x") -> None:
    """Raise a ValueError unless a dataset holds numbers and has an axis of samples."""
    name = f"{features.file.filename}: {parameter}={key!r}"
    if features.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} holds {features.dtype}; features must be integers, floats or booleans."
        )
    # an empty dataspace has the shape None, a scalar ()
    if not features.shape:
        raise ValueError(
            f"{name} has the shape {features.shape}; features must have a first axis of samples."
        )


def _check_labels(labels: h5py.Dataset, key: str) -> None:
    name = f"{labels.file.filename}: {key!r}"
    if labels.dtype.kind not in "biuf" and h5py.check_string_dtype(labels.dtype) is None:
        raise ValueError(f"{name} holds {labels.dtype}; labels must be numbers or strings.")
    shape: tuple[int, ...] = labels.shape or ()
    if len(shape) != 1 and not (len(shape) == 2 and shape[1] == 1):
        raise ValueError(
            f"{name} has the shape {labels.shape}; labels must have the shape (n_samples,) or "
            "(n_samples, 1)."
        )


def _read_features(features: h5py.Dataset, scale: float | None, flatten: bool) -> Array:
    X = features[()]  # (n_samples, ...)
    with np.errstate(all="ignore"):
        if X.dtype.kind == "f" and not np.isfinite(X.sum()):
            check_lzf(features, 0, len(features))
    if scale is not None:
        X = np.divide(X, float(scale), dtype=scaled_dtype(X.dtype))
    if flatten:
        # not -1: it is undefined when there are no samples
        X = X.reshape(X.shape[0], math.prod(X.shape[1:]))
    return X


def _read_labels(labels: h5py.Dataset, key: str) -> Array:
    if h5py.check_string_dtype(labels.dtype) is None:
        return labels[()].reshape(-1)
    try:
        text = labels.asstr("utf-8")[()]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{labels.file.filename}: {key!r} holds bytes that are not UTF-8 text ({error})."
        ) from error
    return np.asarray(text, dtype=np.str_).reshape(-1)
