"""The file that models and checkpoints are kept in: HDF5 behind a header that proves it whole.

Writes JSON values and arrays by path, all or nothing, and reads them back without trusting the
file. Knows nothing of models.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import secrets
import stat
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from h5py import h5f, h5fd, h5g, h5p, h5s

from skdnn._version import __version__
from skdnn.container.reader import DTYPES, LONGEST_TEXT, PLAIN, HDF5Reader

__all__ = [
    "FORMAT_VERSION",
    "HDF5_SIGNATURE",
    "Contents",
    "ModelFileError",
    "StrPath",
    "blaming",
    "check_path",
    "open_container",
    "replace_file",
    "sign",
    "write_container",
]

Array = np.ndarray
StrPath = str | os.PathLike[str]

# Of each kind of file, to be raised whenever it gains or loses an entry, a parameter of the
# estimator included. Older formats stay readable: what they lack takes its default.
_FORMATS = {"model": 1, "checkpoint": 1, "ensemble": 2}
FORMAT_VERSION = max(_FORMATS.values())

# Whose code runs while a file is read: top-level modules
_READERS = {"skdnn", "h5py", "numpy", "scipy", "sklearn", *sys.stdlib_module_names}

# HDF5's user block, in which a file may say what it pleases: a power of two from 512 on
_HEADER_BYTES = 512
_HEADER = re.compile(
    rb"skdnn file, format (\d{1,9})\n(?:bytes (\d{1,18})\nsha256 ([0-9a-f]{64})\n)?"
)
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


class ModelFileError(ValueError):
    """A file cannot be read as a model or a checkpoint of skdnn.

    The one error for everything that may be wrong with a file that is there: not one of skdnn,
    damaged, cut off, of a newer format, or with contents that do not fit together. The message is
    one line that names the file, what was found, and what is allowed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skdnn.persistence import ModelFileError, load_model
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "model.h5")
    ...     size = path.write_bytes(b"something else")
    ...     try:
    ...         load_model(path)
    ...     except ModelFileError as error:
    ...         print(str(error).removeprefix(f"{path}: "))
    not a file of skdnn: it begins with b'something else'.
    """


class Contents(NamedTuple):
    """What a file holds."""

    kind: str  # "model", "ensemble" or "checkpoint"
    skdnn_version: str  # that wrote it
    attributes: dict[str, Any]  # JSON values; "group/name" is attribute "name" of "group"
    arrays: dict[str, Array]  # by path


# ---------------------------------------------------------------------- writing


def write_container(
    path: StrPath, *, kind: str, attributes: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write a file, or leave the one that is there as it is.

    Equal contents give equal bytes.

    Parameters
    ----------
    path : str or path-like
        File to make or to replace.
    kind : str
        What it is: "model", "ensemble" or "checkpoint".
    attributes : dict of str to JSON value
        "name" becomes an attribute of the root, "group/name" one of a group or an array.
    arrays : dict of str to ndarray
        By path, "group/name", of one or two dimensions: booleans, integers, floats, or strings.

    Raises
    ------
    OSError
        When the file cannot be written; names the path.
    ValueError
        When the contents cannot be stored. No file is touched then.
    """
    image = _make_image(kind, attributes, arrays)
    replace_file(path, (sign(image, _FORMATS[kind]), image))


def sign(image: bytes | memoryview, version: int = 1) -> bytes:
    """Return the header for the HDF5 part of a file."""
    return _make_header(version, len(image), hashlib.sha256(image).hexdigest())


def _make_header(version: int, n_bytes: int, digest: str) -> bytes:
    text = (
        f"skdnn file, format {version}\nbytes {n_bytes}\nsha256 {digest}\n"
        "What follows these 512 bytes is HDF5: any HDF5 tool opens this file.\n"
    )
    return text.encode().ljust(_HEADER_BYTES, b"\0")


def _make_image(
    kind: str, attributes: Mapping[str, Any], arrays: Mapping[str, Array]
) -> memoryview:
    """Return the HDF5 part of a file."""
    creation = h5p.create(h5p.FILE_CREATE)
    creation.set_userblock(_HEADER_BYTES)
    creation.set_obj_track_times(False)
    access = h5p.create(h5p.FILE_ACCESS)
    # the core driver would do, but HDF5 before 2.0 gives its image a checksum that is wrong
    buffer = io.BytesIO()
    access.set_fileobj_driver(h5fd.fileobj_driver, buffer)
    # any HDF5 from 1.8 on reads it, and the bytes do not depend on the release that wrote them
    access.set_libver_bounds(h5f.LIBVER_V18, h5f.LIBVER_V18)
    with h5py.File(h5f.create(b"skdnn", h5f.ACC_TRUNC, creation, access)) as file:
        _write_text(file, "kind", kind)
        file.attrs.create("format_version", _FORMATS[kind], dtype="<i8")
        _write_text(file, "skdnn_version", __version__)
        for name in sorted(arrays):
            _write_array(file, name, np.asarray(arrays[name]))
        for name in sorted(attributes):
            owner, _, key = name.rpartition("/")
            text = json.dumps(attributes[name], allow_nan=False)
            if len(text) > LONGEST_TEXT:
                raise ValueError(
                    f"{name!r} takes {len(text)} bytes as JSON; at most {LONGEST_TEXT} can be "
                    "stored."
                )
            if name in PLAIN:
                raise ValueError(f"{name!r} is an attribute that every file has of its own.")
            _write_text(file[owner or "/"], key, text)
    return buffer.getbuffer()[_HEADER_BYTES:]


def _write_text(owner: Any, name: str, text: str) -> None:
    encoded = text.encode()
    owner.attrs.create(name, encoded, dtype=h5py.string_dtype("utf-8", len(encoded)))


def _write_array(file: Any, name: str, array: Array) -> None:
    """Write an array, and make the groups on the way."""
    if array.ndim not in (1, 2):
        raise ValueError(f"{name!r} has {array.ndim} dimensions; 1 or 2 can be stored.")
    *groups, _ = name.split("/")
    untimed = h5p.create(h5p.GROUP_CREATE)
    untimed.set_obj_track_times(False)
    for depth in range(1, len(groups) + 1):
        group = "/".join(groups[:depth])
        if group not in file:
            h5g.create(file.id, group.encode(), gcpl=untimed)
    if array.dtype.kind == "U":
        try:
            array = np.strings.encode(array, "utf-8") if array.size else np.empty(array.shape, "S1")
        except UnicodeEncodeError as error:
            raise ValueError(f"{name!r} has text that is not Unicode: {error}.") from error
        dtype: Any = h5py.string_dtype("utf-8", max(1, array.dtype.itemsize))
    else:
        dtype = array.dtype.newbyteorder("<")
        if dtype not in DTYPES:
            raise ValueError(f"{name!r} has the dtype {array.dtype}, which cannot be stored.")
    dataset = file.create_dataset(name, array.shape, dtype, track_times=False).id
    if array.size:
        # as the file's own type: HDF5 converts no text
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        dataset.write(h5s.ALL, h5s.ALL, array, dataset.get_type())


def replace_file(path: StrPath, parts: Sequence[bytes | memoryview]) -> None:
    """Write a file beside the target, bring it to the disk, and let it take the target's place.

    Parameters
    ----------
    path : str or path-like
        File to make or to replace. Of a link, the file that it leads to.
    parts : sequence of bytes-like
        Its contents.

    Raises
    ------
    OSError
        When the file cannot be written; names the path. What was there is as it was.
    """
    name = check_path(path)
    target = Path(os.path.realpath(name))
    try:
        if os.path.basename(name) in ("", os.curdir, os.pardir):  # noqa: PTH119
            raise IsADirectoryError(errno.EISDIR, "the path of a folder, not of a file")
        mode = _mode_to_keep(target)
        temporary = _name_beside(target)
        try:
            # nobody else is to read what the target may hide from them
            with open(temporary, "xb", opener=_open_private) as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        kept = "nothing was saved, and a file that was there is as it was"
        raise OSError(error.errno, f"{reason} ({kept})", name) from error
    _sync_folder(target.parent)


def _name_beside(target: Path) -> Path:
    return target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.tmp")


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, stat.S_IRUSR | stat.S_IWUSR)


def _mode_to_keep(target: Path) -> int:
    """Return the permissions of the file to replace, or of a new one; refuse what is not a file."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        # what the folder and the process give a new file, only a new file tells
        probe = _name_beside(target)
        with probe.open("xb") as file:
            mode = os.fstat(file.fileno()).st_mode
        probe.unlink()
    if not stat.S_ISREG(mode):
        raise OSError(None, "not a regular file")
    return stat.S_IMODE(mode)


def _sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        saved = "the new file is in place, but may not outlive a loss of power"
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"{reason} ({saved})", os.fspath(folder)) from error
    finally:
        os.close(descriptor)


# ---------------------------------------------------------------------- reading


def open_container(path: StrPath) -> Contents:
    """Read a file of any kind: attributes and arrays, as `write_container` took them.

    Strings come back as wide as the longest, numbers in the byte order of the machine.

    Raises
    ------
    ModelFileError
        When the file is not one of skdnn, whole and in order.
    OSError
        When the file cannot be opened or read.
    TypeError
        When ``path`` is no path.
    """
    version, image = _read_file(path)
    with blaming(path):
        # From the bytes that were verified: the file itself may have changed since. Not by
        # `h5f.open_file_image`, which copies them and tells a lack of memory as a bad file.
        with h5py.File(io.BytesIO(image), "r") as file:
            reader = HDF5Reader(len(image))
            reader.read_group(file.id, "", 0)
        plain = reader.plain
        if plain["format_version"] != version:
            raise ValueError(
                f"attribute 'format_version' is {plain['format_version']}, and the header says "
                f"{version}."
            )
        if version != _FORMATS.get(plain["kind"], version):
            raise ValueError(f"format {version} is not one of a {plain['kind']}.")
        if not re.fullmatch(r"[\w.+-]{1,50}", plain["skdnn_version"], re.ASCII):
            raise ValueError("attribute 'skdnn_version' is not a version.")
        return Contents(plain["kind"], plain["skdnn_version"], reader.attributes, reader.arrays)


@contextmanager
def blaming(path: StrPath) -> Iterator[None]:
    """Raise what a file is guilty of, whatever its type, as a `ModelFileError` that names it.

    What it is not guilty of passes: a lack of memory, and what was raised by code that does not
    read files, such as a signal handler that happened to run.
    """
    try:
        yield
    except (ModelFileError, MemoryError):
        raise
    except Exception as error:
        if not _is_of_a_reader(error):
            raise
        text = " ".join(str(error).split())[:500]
        if isinstance(error, KeyError):
            text = f"lacks {text}."
        elif not isinstance(error, ValueError):
            text = f"cannot be read ({type(error).__name__}: {text})."
        raise ModelFileError(f"{os.fspath(path)}: {printable(text)}") from error


def _is_of_a_reader(error: Exception) -> bool:
    """Return whether nothing but code that reads files was running when an error was raised."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = frame.f_globals
        # of what runs as a script, the name alone is "__main__"
        name = getattr(module.get("__spec__"), "name", module.get("__name__", ""))
        if name.partition(".")[0] not in _READERS:
            return False
    return True


def printable(text: str) -> str:
    """Return a text that can do nothing to a terminal: what is not to be seen is escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def check_path(path: Any) -> str:
    """Return a path as text; TypeError if it is none."""
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise TypeError(f"path must be a str or path-like, got {path!r}.")
    return text


def open_regular(path: str, flags: int) -> int:
    """Open a file, as an opener of `open`; OSError for what would not come to an end, as a pipe."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    # `open` itself refuses folders
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor


def _read_file(path: StrPath) -> tuple[int, bytes]:
    """Return the format and the bytes of a file whose header holds true of them."""
    name = check_path(path)
    try:
        with open(name, "rb", opener=open_regular) as file:
            header = file.read(_HEADER_BYTES)
            with blaming(path):
                version, n_bytes, digest = _check_header(header)
                _check_size(os.fstat(file.fileno()).st_size, _HEADER_BYTES + n_bytes)
            file.seek(0)
            image = file.read()
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, name) from error
    with blaming(path):
        if hashlib.sha256(memoryview(image)[_HEADER_BYTES:]).hexdigest() != digest:
            raise ValueError(
                "damaged: its contents do not have the SHA-256 that its header states."
            )
    return version, image


def _check_size(size: int, allowed: int) -> None:
    if size != allowed:
        what = "cut off" if size < allowed else "damaged"
        raise ValueError(f"{what}: it has {size} bytes, and must have {allowed}.")


def _check_header(header: bytes) -> tuple[int, int, str]:
    """Return the format, the number of bytes after the header, and their SHA-256."""
    found = _HEADER.match(header)
    if found is None:
        if header.startswith(HDF5_SIGNATURE):
            raise ValueError("an HDF5 file, but not one of skdnn: it has no header of its own.")
        raise ValueError(f"not a file of skdnn: it begins with {header[:16]!r}.")
    if int(found[1]) > FORMAT_VERSION:
        raise ValueError(
            f"of format {int(found[1])}, and this skdnn reads formats up to {FORMAT_VERSION}: "
            "upgrade skdnn."
        )
    version = int(found[1])
    if found[2] is None or _make_header(version, int(found[2]), found[3].decode()) != header:
        raise ValueError("damaged: its header is not as skdnn writes it.")
    return version, int(found[2]), found[3].decode()
