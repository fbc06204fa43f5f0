"""Threads: one for BLAS, and a crew that shares a batch's rows instead.

BLAS threads meet in every matrix product, a dozen times a step, and wait for each other at each.
Threads that take a share of the rows each through the whole network meet once a step; numpy lets
go of the interpreter's lock in products and element-wise functions, so that they run side by side.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Self
from weakref import WeakSet

import numpy as np
from threadpoolctl import ThreadpoolController

__all__ = ["Crew", "blas_threads", "single_blas_thread"]

# The number of BLAS threads belongs to the whole process: the first to enter lowers it, the last
# to leave restores it, whatever threads train in between.
_lock = threading.RLock()
_entered: Counter[int] = Counter()  # contexts that each thread is in
_allowed: list[int] = []  # threads of each BLAS outside
_crews: WeakSet[Crew] = WeakSet()


@cache
def _libraries() -> list[Any]:
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


def _get_threads() -> list[int]:
    return [library.num_threads for library in _libraries()]


def _set_threads(counts: Sequence[int]) -> None:
    for library, count in zip(_libraries(), counts, strict=True):
        # threadpoolctl lets one thread alone set OpenBLAS's number until it gives that up; whoever
        # holds it may be waiting for us, or gone
        give_up = getattr(library, "clear_controlling_thread", None)
        if give_up is not None:
            give_up(force=True)
        library.set_num_threads(count)
        if give_up is not None:
            give_up(force=True)


def blas_threads() -> int:
    """Return the number of threads that BLAS may use, outside of `single_blas_thread`."""
    with _lock:
        return max(_allowed if _entered else _get_threads(), default=1)


@contextmanager
def single_blas_thread(wanted: bool = True) -> Iterator[None]:
    """Keep BLAS to one thread inside the context, or leave it alone.

    Parameters
    ----------
    wanted : bool, default=True
        Whether to keep to one thread.
    """
    global _allowed
    if not wanted:
        yield
        return
    thread = threading.get_ident()
    with _lock:
        if not _entered:
            _allowed = _get_threads()
            _set_threads([1] * len(_allowed))
        _entered[thread] += 1
    try:
        yield
    finally:
        with _lock:
            _leave(thread)


def _leave(thread: int, n_contexts: int = 1) -> None:
    _entered[thread] -= n_contexts
    if not _entered[thread]:
        del _entered[thread]
    if not _entered:
        _set_threads(_allowed)


def _after_fork_in_child() -> None:
    """Undo what threads did that a forked child does not have: it has the forking one alone."""
    global _lock
    _lock = threading.RLock()
    for thread in [*_entered.keys() - {threading.get_ident()}]:
        _leave(thread, _entered[thread])
    for crew in _crews:
        crew.n_threads = 1


if hasattr(os, "register_at_fork"):
    # nobody is forked in the middle of a change, unless by itself
    os.register_at_fork(
        before=lambda: _lock.acquire(),
        after_in_parent=lambda: _lock.release(),
        after_in_child=_after_fork_in_child,
    )


class Crew:
    """Threads that wait for work, for as long as a context lasts.

    Parameters
    ----------
    n_threads : int
        How many, the calling one counted.
    n_shares : int, default=None
        How many shares work is cut into; by default one a thread. Results depend on the shares,
        and not on who computes them.
    """

    def __init__(self, n_threads: int, n_shares: int | None = None) -> None:
        self.n_threads = n_threads
        self.n_shares = n_threads if n_shares is None else n_shares
        self._orders: list[queue.SimpleQueue] = [queue.SimpleQueue() for _ in range(n_threads - 1)]
        self._reports: queue.SimpleQueue = queue.SimpleQueue()
        _crews.add(self)

    def __enter__(self) -> Self:
        for orders in self._orders:
            threading.Thread(target=self._work, args=(orders,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        for orders in self._orders:
            orders.put(None)

    def _work(self, orders: queue.SimpleQueue) -> None:
        with _lock:
            # the number is a thread's own where BLAS runs on OpenMP
            _set_threads([1] * len(_libraries()))
        with np.errstate(all="ignore"):
            while (task := orders.get()) is not None:
                try:
                    task()
                except BaseException as error:
                    self._reports.put(error)
                else:
                    self._reports.put(None)

    def run(self, tasks: Sequence[Callable[[], object]]) -> None:
        """Run tasks side by side, those that no thread is free for one by one; raise an error."""
        handed_out = tasks[1 : self.n_threads]
        for orders, task in zip(self._orders, handed_out, strict=False):
            orders.put(task)
        try:
            tasks[0]()
            for task in tasks[self.n_threads :]:
                task()
        finally:
            # wait in any case: the others work in arrays that the caller goes on with
            errors = [self._reports.get() for _ in handed_out]
        for error in errors:
            if error is not None:
                raise error
