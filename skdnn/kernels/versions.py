"""What runs here: kernels, BLAS, threads and versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from threadpoolctl import threadpool_info

from skdnn import kernels
from skdnn._version import __version__

__all__ = ["show_versions"]

_DEPENDENCIES = ("numpy", "scipy", "scikit-learn", "joblib", "h5py")
_EXTRAS = ("dask", "distributed", "matplotlib", "rich", "skl2onnx")


def show_versions() -> None:
    """Print which kernels run, with BLAS, threads and versions: what a report of a bug needs.

    Examples
    --------
    >>> import skdnn
    >>> skdnn.show_versions()
    skdnn ...
    kernels: ...
    """
    print(f"skdnn {__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"kernels: {kernels.describe()}")
    for library in threadpool_info():
        if library["user_api"] == "blas":
            name = f"{library['internal_api']} {library['version']}"
            kind = library.get("architecture", "unknown processor")
            print(f"BLAS: {name}, {kind}, {library['num_threads']} threads")
    print(f"processors: {os.cpu_count()}")
    for package in (*_DEPENDENCIES, *_EXTRAS):
        try:
            print(f"{package}: {version(package)}")
        except PackageNotFoundError:
            print(f"{package}: not installed")
