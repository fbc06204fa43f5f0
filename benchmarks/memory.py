"""Peak memory of a piece of work, in a run that is not timed: tracing slows Python down."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

__all__ = ["peak_bytes"]


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the most memory that Python and NumPy held at a time beyond what they had before."""
    gc.collect()
    tracemalloc.start()
    try:
        result = work()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    del result
    return peak
