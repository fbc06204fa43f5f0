"""Data on disk: HDF5 files as they come, and images that any machine can make."""
