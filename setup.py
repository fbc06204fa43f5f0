"""Compile the kernels, where there is a compiler; everything else stands in pyproject.toml."""

import os
import sys

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCES = "skdnn/kernels"
# No flag that assumes finite numbers. Which instructions run is chosen at import.
if sys.platform == "win32" and "GCC" not in sys.version:
    FLAGS = ["/O2", "/std:c11"]
else:
    FLAGS = ["-O3", "-g0", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math"]

step = Extension(
    "skdnn.kernels._step",
    [
        f"{SOURCES}/_step.pyx",
        *(f"{SOURCES}/src/{name}.c" for name in ("choose", "plain", "avx2", "avx512")),
    ],
    include_dirs=[SOURCES, f"{SOURCES}/src", np.get_include()],
    depends=[
        f"{SOURCES}/src/{name}.h"
        for name in (
            "step",
            "targets",
            "variant",
            "functions",
            "encoding",
            "lookup",
            "products",
            "network",
            "rules",
        )
    ],
    extra_compile_args=[*FLAGS, *os.environ.get("SKDNN_CFLAGS", "").split()],
    extra_link_args=os.environ.get("SKDNN_LDFLAGS", "").split(),
)
extensions = cythonize([step], quiet=True)
for extension in extensions:
    # The package runs without it, on NumPy. Said here, since cythonize forgets it.
    extension.optional = os.environ.get("SKDNN_BUILD") != "required"

setup(ext_modules=extensions)
