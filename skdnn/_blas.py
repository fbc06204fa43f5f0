"""BLAS threads: one where the work is too small for more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["single_blas_thread"]

# The number of BLAS threads belongs to the whole process: the first to enter lowers it, the last
# to leave restores it, whatever threads fit in between.
_lock = threading.Lock()
_entered = 0
_limiter: Any = None


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def single_blas_thread(wanted: bool) -> Iterator[None]:
    """Keep BLAS to one thread inside the context, or leave it alone.

    Threads that wait for each other thousands of times a second cost more than they bring on
    small matrices, and ruin the times of all processes that share the cores.

    Parameters
    ----------
    wanted : bool
        Whether to keep to one thread.
    """
    global _entered, _limiter
    if not wanted:
        yield
        return
    with _lock:
        if _entered == 0:
            _limiter = _controller().limit(limits=1, user_api="blas")
        _entered += 1
    try:
        yield
    finally:
        with _lock:
            _entered -= 1
            if _entered == 0:
                _limiter.restore_original_limits()
