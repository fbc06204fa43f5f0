"""Two small sets of images in one file format: the cat set read, a stand-in for it made.

The stand-in is cut from the two photographs that come with scikit-learn, so that examples and
tests run on any machine. The format: a file each for training and test, with ``*_set_x`` of shape
(n, height, width, 3) uint8, ``*_set_y`` (n,) int64 and ``list_classes`` (2,) bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path

import h5py
import numpy as np
from sklearn.datasets import load_sample_images
from sklearn.utils import Bunch, check_random_state

from skdnn.datasets.hdf5 import load_hdf5, read_labels

__all__ = ["load_catvnoncat", "make_photo_patches"]

Array = np.ndarray

_FILE_NAMES = {"train": "train_catvnoncat.h5", "test": "test_catvnoncat.h5"}

# In the order of the labels 0 and 1.
_CLASSES = ("flower", "china")

# Training tiles come from these quarters of a picture's columns, test tiles from the others. The
# flower is symmetric and the pagoda is wider than a quarter, so each part shows some of both the
# subject and its surroundings.
_QUARTERS = {"train": ((0, 1), (2, 4)), "test": ((1, 2),)}


def load_catvnoncat(folder: str | os.PathLike[str]) -> Bunch:
    """Load the cat images, or others stored in the same way.

    Parameters
    ----------
    folder : str or path-like
        Folder with ``train_catvnoncat.h5`` and ``test_catvnoncat.h5``. `make_photo_patches`
        writes such a folder.

    Returns
    -------
    data : Bunch
        With the attributes

        X_train, X_test : ndarray of shape (n_samples, n_features), float64
            A row an image: pixels divided by 255, so from 0 to 1. The cat set has 209 and 50
            images of 12288 features. ``X.reshape(-1, *data.image_shape)`` gives the images.
        y_train, y_test : ndarray of shape (n_samples,), int64
            Labels, 0 or 1.
        image_shape : tuple of int
            (height, width, channels) of an image: (64, 64, 3) for the cat set.
        target_names : list of str
            What the labels 0 and 1 mean.
        DESCR : str
            A line about the data.

    Raises
    ------
    FileNotFoundError
        When the folder or one of the files is missing.
    OSError, KeyError, ValueError
        When a file is not of this format, see `load_hdf5`, or the images of the two files differ
        in shape.

    Examples
    --------
    >>> import tempfile
    >>> from skdnn.datasets import load_catvnoncat, make_photo_patches
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = load_catvnoncat(make_photo_patches(folder))
    >>> data.X_train.shape, data.X_test.shape
    ((209, 12288), (50, 12288))
    >>> data.target_names
    ['flower', 'china']
    >>> data.X_test.reshape(-1, *data.image_shape).shape
    (50, 64, 64, 3)
    """
    folder = Path(folder)
    paths = {part: folder / name for part, name in _FILE_NAMES.items()}
    for path in paths.values():
        if not path.exists():
            raise FileNotFoundError(
                f"There is no file {path}. Give the folder that holds "
                f"{' and '.join(_FILE_NAMES.values())}, or make such a set with "
                "skdnn.datasets.make_photo_patches(folder)."
            )
    parts = {}
    for part, path in paths.items():
        parts[part] = load_hdf5(
            path, x=f"{part}_set_x", y=f"{part}_set_y", scale=255, flatten=False
        )
    (X_train, y_train), (X_test, y_test) = parts["train"], parts["test"]
    image_shape = X_train.shape[1:]
    if X_test.shape[1:] != image_shape:
        raise ValueError(
            f"Images of {paths['train']} have the shape {image_shape}, those of {paths['test']} "
            f"{X_test.shape[1:]}; they must be the same."
        )
    target_names = read_labels(paths["train"], "list_classes").tolist()
    n_features = int(np.prod(image_shape))
    return Bunch(
        X_train=X_train.reshape(len(X_train), n_features),
        y_train=y_train.astype(np.int64, copy=False),
        X_test=X_test.reshape(len(X_test), n_features),
        y_test=y_test.astype(np.int64, copy=False),
        image_shape=image_shape,
        target_names=target_names,
        DESCR=(
            f"{len(X_train)} training and {len(X_test)} test images of shape {image_shape}, "
            f"flattened and divided by 255; classes: {', '.join(map(str, target_names))}."
        ),
    )


def make_photo_patches(
    path: str | os.PathLike[str],
    *,
    n_train: int = 209,
    n_test: int = 50,
    size: int = 64,
    random_state: int | np.random.RandomState | None = 0,
) -> Path:
    """Cut scikit-learn's two sample photographs into a set of small images.

    The files are laid out as those of the cat set, so that `load_catvnoncat` reads them. Training
    and test tiles come from different columns of the photographs and share no pixel; tiles of the
    same part may overlap, but no two are the same.

    Parameters
    ----------
    path : str or path-like
        Folder to write ``train_catvnoncat.h5`` and ``test_catvnoncat.h5`` to; made if missing.
        Files of these names are replaced, each only when it is complete.
    n_train, n_test : int, default=209, 50
        Number of tiles, half of them of each photograph. Of an odd number the flower (label 0)
        gets one more than the building (label 1).
    size : int, default=64
        Height and width of a tile in pixels, at most 160.
    random_state : int, RandomState instance or None, default=0
        Decides where the tiles are cut and their order.

    Returns
    -------
    folder : pathlib.Path
        The folder. Besides the datasets of the cat set, the files hold ``train_set_origin`` and
        ``test_set_origin`` of shape (n, 3), int64: which image of
        `sklearn.datasets.load_sample_images` a tile is from, and the row and column of its top
        left pixel there.

    Raises
    ------
    ImportError
        When Pillow, which reads the photographs, is not installed.
    NotADirectoryError
        When ``path`` is a file.
    ValueError
        When a number is not a positive integer, or the photographs have no room for so many tiles
        or for tiles of this size.

    Examples
    --------
    >>> import tempfile
    >>> import h5py
    >>> from skdnn.datasets import make_photo_patches
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = make_photo_patches(folder, n_train=20, n_test=6, size=32)
    ...     with h5py.File(path / "train_catvnoncat.h5") as file:
    ...         print(file["train_set_x"].shape, file["list_classes"][()].tolist())
    (20, 32, 32, 3) [b'flower', b'china']
    """
    folder = Path(path)
    for name, value in (("n_train", n_train), ("n_test", n_test), ("size", size)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}.")
    generator: np.random.RandomState = check_random_state(random_state)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; path must be a folder, or a new name.")
    photographs = _load_photographs()
    height, width = photographs[0][1].shape[:2]
    counts = {"train": n_train, "test": n_test}
    places = {
        part: _tile_places(height, width, size, part, n_tiles) for part, n_tiles in counts.items()
    }
    contents = {
        part: _cut(photographs, places[part], size, n_tiles, generator)
        for part, n_tiles in counts.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, contents)
    return folder


def _load_photographs() -> list[tuple[int, Array]]:
    """Return index in scikit-learn's list and pixels of each class's photograph."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "make_photo_patches reads photographs with Pillow, which is not installed: "
            "the extra 'plot' of skdnn brings it, or pip install pillow"
        ) from error
    samples = load_sample_images()
    names = [Path(filename).stem for filename in samples.filenames]
    return [(names.index(name), samples.images[names.index(name)]) for name in _CLASSES]


def _tile_places(height: int, width: int, size: int, part: str, n_tiles: int) -> Array:
    """Return row and column of every tile that a part may have, (n_places, 2)."""
    bands = [(first * width // 4, last * width // 4) for first, last in _QUARTERS[part]]
    largest = min(height, *(end - start for start, end in bands))
    if size > largest:
        raise ValueError(
            f"size={size} is too large: tiles of the {part} part are cut from columns of the "
            f"photographs that have room for at most {largest} pixels."
        )
    columns = np.concatenate([np.arange(start, end - size + 1) for start, end in bands])
    rows = np.arange(height - size + 1)
    n_places = rows.size * columns.size
    if (n_tiles + 1) // 2 > n_places:
        raise ValueError(
            f"n_{part}={n_tiles} is too many: with size={size} the two photographs have "
            f"{2 * n_places} different {part} tiles."
        )
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def _cut(
    photographs: Sequence[tuple[int, Array]],
    places: Array,
    size: int,
    n_tiles: int,
    generator: np.random.RandomState,
) -> tuple[Array, Array, Array]:
    """Cut tiles of both classes, in random order; return pixels, labels and origins."""
    tiles = np.empty((n_tiles, size, size, 3), np.uint8)
    origins = np.empty((n_tiles, 3), np.int64)
    labels = np.arange(n_tiles, dtype=np.int64) % 2
    generator.shuffle(labels)
    for label, (index, pixels) in enumerate(photographs):
        members = np.flatnonzero(labels == label)
        chosen = places[generator.choice(len(places), members.size, replace=False)]
        for member, (row, column) in zip(members, chosen, strict=True):
            tiles[member] = pixels[row : row + size, column : column + size]
            origins[member] = index, row, column
    return tiles, labels, origins


def _write(folder: Path, contents: dict[str, tuple[Array, Array, Array]]) -> None:
    """Write both files under temporary names, then give them their own."""
    temporary = {part: folder / f".{name}.{os.getpid()}" for part, name in _FILE_NAMES.items()}
    try:
        for part, (tiles, labels, origins) in contents.items():
            with h5py.File(temporary[part], "w") as file:
                file[f"{part}_set_x"] = tiles
                file[f"{part}_set_y"] = labels
                file[f"{part}_set_origin"] = origins
                file["list_classes"] = np.array(_CLASSES, dtype=np.bytes_)
        for part, name in _FILE_NAMES.items():
            temporary[part].replace(folder / name)
    finally:
        for file_path in temporary.values():
            file_path.unlink(missing_ok=True)
