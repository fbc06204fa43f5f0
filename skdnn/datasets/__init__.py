"""Data on disk: HDF5 files as they come, and images that any machine can make."""

from skdnn.datasets.hdf5 import load_hdf5, read_labels
from skdnn.datasets.matrix import HDF5Matrix
from skdnn.datasets.photo_patches import load_catvnoncat, make_photo_patches

__all__ = ["HDF5Matrix", "load_catvnoncat", "load_hdf5", "make_photo_patches", "read_labels"]
