"""The same step compiled, and the one place that chooses between it and the NumPy reference.

The environment variable SKDNN_KERNELS forces one of them, "numpy" or "compiled"; otherwise the
compiled one runs wherever it was built. Nothing else asks for it.
"""

from __future__ import annotations

import os
from types import ModuleType

__all__ = ["compiled", "describe"]

_VARIABLE = "SKDNN_KERNELS"


def _choose() -> ModuleType | None:
    """Return the compiled kernels, or None where the NumPy reference is to run."""
    wanted = os.environ.get(_VARIABLE, "")
    if wanted not in ("", "numpy", "compiled"):
        raise ImportError(f"{_VARIABLE}={wanted!r} must be 'numpy' or 'compiled', or not be set.")
    if wanted == "numpy":
        return None
    try:
        from skdnn.kernels import _step  # type: ignore[attr-defined]
    except ImportError as error:
        if wanted == "compiled":
            raise ImportError(
                f"{_VARIABLE}=compiled, but skdnn was installed without its compiled kernels "
                f"({error}). Install it where there is a C compiler, or from a wheel."
            ) from error
        return None
    return _step


compiled = _choose()


def describe() -> str:
    """Return which kernels run, for people."""
    if compiled is not None:
        return f"compiled ({compiled.INSTRUCTIONS})"
    if os.environ.get(_VARIABLE) == "numpy":
        return f"NumPy ({_VARIABLE}=numpy)"
    return (
        "NumPy (the compiled kernels were not built when skdnn was installed: "
        "that takes a C compiler and Python's headers)"
    )
