"""The files that the numbers of a dataset come from: its own, and those that it is put together of.

HDF5 gives fill values for what a missing file should hold; here that is an error. Reads no values.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py

__all__ = ["broken_link", "source_files"]

# HDF5 looks at them when it is loaded
_VIEW_PREFIX = os.environ.get("HDF5_VDS_PREFIX", "")
_RAW_PREFIX = os.environ.get("HDF5_EXTFILE_PREFIX", "")


def source_files(dataset: h5py.Dataset) -> list[str]:
    """Return the paths of the files that a dataset reads from, its own file first.

    Sources of virtual datasets are followed through links and further virtual datasets.

    Parameters
    ----------
    dataset : h5py.Dataset
        Open.

    Returns
    -------
    paths : list of str

    Raises
    ------
    OSError
        When a source is missing, cannot be opened, or, of external storage, is cut short; names
        the dataset and the source. FileNotFoundError if there is no such file.
    """
    return list(dict.fromkeys(_follow(dataset, set())))


def _follow(dataset: h5py.Dataset, seen: set[tuple[str, str]]) -> Iterator[str]:
    path, key = dataset.file.filename, str(dataset.name)
    yield path
    if (path, key) in seen:
        return
    seen.add((path, key))
    if dataset.external:
        yield from _raw_files(dataset)
    if not dataset.is_virtual:
        return
    wanted = dict.fromkeys(
        (source.file_name, source.dset_name) for source in dataset.virtual_sources()
    )
    for name, inner in wanted:
        # of numbered sources ("%b"), there are as many as there are: that is the dataset's length
        if "%b" in name + inner:
            continue
        what = f"{path}: the source {inner!r} in {name!r} of the virtual dataset {key!r}"
        if name == ".":
            yield from _follow(_open_source(dataset.file, inner, what), seen)
            continue
        found = _find(name, path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, f"{what} is missing: there is no such file", name)
        yield str(found)
        try:
            file = h5py.File(found, "r")
        except OSError as error:
            raise OSError(f"{what} cannot be opened: {error}") from error
        with file:
            yield from _follow(_open_source(file, inner, what), seen)


def _open_source(file: h5py.File, key: str, what: str) -> h5py.Dataset:
    if key not in file:
        raise OSError(f"{what} is missing: the file has no such dataset.")
    try:
        node: Any = file[key]
    except KeyError as error:
        raise OSError(f"{what} {broken_link(file, key)} ({error}).") from error
    if not isinstance(node, h5py.Dataset):
        raise OSError(f"{what} is a {type(node).__name__.lower()}, not a dataset.")
    return node


def broken_link(file: h5py.File, key: str) -> str:
    """Return what to say of a key that leads to nothing."""
    with suppress(KeyError):
        link = file.get(key, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            return f"is a link to {link.path!r} in {link.filename!r}, which leads to nothing"
    return "is a link that leads to nothing"


def _find(name: str, path: str) -> Path | None:
    """Return where HDF5 finds the source that a virtual dataset of the file ``path`` names.

    In the order of its own search: H5Pset_virtual_prefix in the reference manual.
    """
    if Path(name).is_absolute():
        if Path(name).is_file():
            return Path(name)
        name = Path(name).name
    prefixes = filter(None, _VIEW_PREFIX.split(os.pathsep))
    folders = [Path(_expand(prefix, path)) for prefix in prefixes]
    folders += [Path(path).absolute().parent, Path(), Path(path).resolve().parent]
    return _first_file(folder / name for folder in folders)


def _expand(prefix: str, path: str) -> str:
    return prefix.replace("${ORIGIN}", str(Path(path).absolute().parent))


def _first_file(paths: Iterable[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _raw_files(dataset: h5py.Dataset) -> Iterator[str]:
    """Return the files of external storage, which must hold all of the dataset."""
    path = dataset.file.filename
    prefix = _expand(_RAW_PREFIX, path)
    missing = dataset.nbytes
    for name, offset, size in dataset.external:
        what = f"{path}: the file {name!r} that {dataset.name!r} is stored in"
        found = _first_file([Path(prefix, name), Path(name)])
        if found is None:
            raise FileNotFoundError(errno.ENOENT, f"{what} is missing", name)
        yield str(found)
        part = min(missing, size)
        n_bytes = found.stat().st_size
        if n_bytes - offset < part:
            raise OSError(
                f"{what} is cut short: it has {n_bytes} bytes, and must have {offset + part}."
            )
        missing -= part
