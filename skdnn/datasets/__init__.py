"""Data on disk: HDF5 files as they come, and images that any machine can make."""

from skdnn.datasets.hdf5 import load_hdf5
from skdnn.datasets.photo_patches import load_catvnoncat, make_photo_patches

__all__ = ["load_catvnoncat", "load_hdf5", "make_photo_patches"]
