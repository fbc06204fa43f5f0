"""One data set on the workers: actors that hold its partitions, asked together.

Every wait has a limit. What a lost worker held is loaded again from its graph, elsewhere, and
asked the same question. What the questions are about is not known here.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from dask.delayed import Delayed
from distributed import Client, Future, wait

from skdnn.dask.actor import PartitionActor

__all__ = ["RemoteData", "check_running"]

_logger = logging.getLogger("skdnn.dask")

# Seconds between looks at whether the workers are still there; one that closes its connection is
# noticed at once.
_POLL = 0.5

# How often one question is asked again before the data, or the network, are taken to be what
# brings the workers down
_MOST_LOSSES = 8


def check_running(client: Client) -> None:
    """Raise ConnectionError unless a client is connected, or about to be again."""
    if client.status not in ("running", "connecting"):
        raise ConnectionError(
            f"The Dask cluster is gone: the client's status is {client.status!r}."
        )


class _WorkerLostError(Exception):
    """A worker went away between two questions."""


@dataclass(eq=False)
class _Held:
    """An actor, and what it holds."""

    future: Future  # keeps it alive
    actor: Any
    numbers: list[int]  # of its partitions
    address: str
    n_bytes: int


class RemoteData:
    """Partitions that live on the workers for as long as this object is open.

    They stay where Dask computed them, or held them before, but for what some of these workers
    hold too much of: a step takes as long as the fullest worker.

    Parameters
    ----------
    client : Client
        Of the cluster.
    partitions : list of Delayed
        What each partition is computed from, now and after a loss.
    timeout : float
        Seconds without an answer after which a worker counts as lost, or loading as stuck.
    """

    def __init__(self, client: Client, partitions: Sequence[Delayed], timeout: float) -> None:
        self._client = client
        self._partitions = partitions
        self._timeout = timeout
        self._setup: list[tuple[str, tuple[Any, ...]]] = []
        self._silent: set[str] = set()  # workers that are there but do not answer
        self._held: list[_Held] = []
        self._held = self._load(range(len(partitions)))

    def close(self) -> None:
        """Give the workers' memory back."""
        futures = [held.future for held in self._held]
        self._held = []
        self._release(futures)

    def _release(self, futures: Sequence[Future]) -> None:
        # not left to references: actors are parts of cycles, and tracebacks hold frames
        if futures and self._client.status == "running":
            self._client.cancel(futures, force=True)

    def set_up(self, method: str, *arguments: Any) -> list[Any]:
        """Ask as `ask` does, and ask it again of whoever takes over from a lost worker."""
        answers = self.ask(method, *arguments)
        self._setup.append((method, arguments))
        return answers

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every actor.

        Returns
        -------
        list
            The answers, for all partitions, ordered by the actors' first partitions.

        Raises
        ------
        RuntimeError
            When workers are lost time and again, or their data cannot be computed again.
        TimeoutError
            When no worker is left that answers in time.
        ConnectionError
            When the scheduler is lost.
        """
        answers: dict[_Held, Any] = {}
        waiting, n_losses = list(self._held), 0
        while waiting:
            given, lost = self._call(waiting, method, arguments)
            answers.update(given)
            waiting = []
            if lost:
                n_losses += 1
                self._check_losses(n_losses, method)
                self._held = [held for held in self._held if held not in lost]
                # else the scheduler would go on with what it knows of their partitions
                self._release([held.future for held in lost])
                waiting = self._take_over(lost)
                self._held = sorted([*self._held, *waiting], key=lambda held: held.numbers)
        return [answers[held] for held in self._held]

    # ------------------------------------------------------------------ faults

    def _take_over(self, lost: list[_Held]) -> list[_Held]:
        """Return actors that hold what lost ones held, set up like them."""
        numbers = sorted(number for held in lost for number in held.numbers)
        for n_losses in range(1, _MOST_LOSSES + 1):
            fresh = self._load(numbers)
            try:
                for method, arguments in self._setup:
                    if self._call(fresh, method, arguments)[1]:
                        raise _WorkerLostError
            except _WorkerLostError:
                self._check_losses(n_losses, "setup")
            else:
                return fresh
        raise AssertionError("unreachable")

    def _check_losses(self, n_losses: int, method: str) -> None:
        if n_losses >= _MOST_LOSSES:
            raise RuntimeError(
                f"Workers were lost {n_losses} times in one step ({method}). They may run out of "
                "memory: give them more, or use smaller partitions and more workers."
            )

    def _check_scheduler(self) -> None:
        check_running(self._client)

    # ------------------------------------------------------------------ loading

    def _load(self, numbers: Sequence[int]) -> list[_Held]:
        """Compute partitions where Dask puts them, and make an actor on each of their workers."""
        self._check_scheduler()
        restriction = self._answering() if self._silent else None
        futures = self._client.compute([self._partitions[n] for n in numbers], workers=restriction)
        try:
            self._wait(futures)
            places, n_bytes = self._place(futures)
            actors = [
                self._client.submit(
                    PartitionActor,
                    [futures[k] for k in mine],
                    key=f"skdnn-actor-{uuid.uuid4().hex}",
                    # it has just been lost if there is none: any worker computes the data again
                    workers=[address] if address else restriction,
                    allow_other_workers=True,
                    actor=True,
                    pure=False,
                )
                for address, mine in places.items()
            ]
            parts, futures = futures, [*futures, *actors]
            self._wait(actors)
            for part in parts:
                part.release()  # not left to references: a wait that timed out may hold some
            return [
                _Held(
                    future,
                    future.result(timeout=self._timeout),
                    [numbers[k] for k in mine],
                    address,
                    sum(n_bytes[k] for k in mine),
                )
                for future, mine, address in zip(
                    actors, places.values(), self._addresses(actors), strict=True
                )
            ]
        except BaseException:
            self._release(futures)
            raise

    def _place(self, futures: Sequence[Future]) -> tuple[dict[str, list[int]], list[int]]:
        """Return which partitions go to which worker, and the bytes of each partition."""
        sizes = self._ask_scheduler("nbytes", keys=[f.key for f in futures], summary=False)
        n_bytes = [max(1, sizes[future.key]) for future in futures]
        loads: dict[str, int] = {}
        for held in self._held:
            loads[held.address] = loads.get(held.address, 0) + held.n_bytes
        places: dict[str, list[int]] = {}
        for k, address in enumerate(_spread(self._addresses(futures), n_bytes, loads)):
            places.setdefault(address, []).append(k)
        return places, n_bytes

    def _addresses(self, futures: Sequence[Future]) -> list[str]:
        """Return a worker that holds each result, "" where it has just been lost."""
        keys = [future.key for future in futures]
        where = self._ask_scheduler("who_has", keys=keys)
        holders = (where.get(key, ()) for key in keys)
        return [next((a for a in some if a not in self._silent), "") for some in holders]

    def _ask_scheduler(self, question: str, **arguments: Any) -> Any:
        # Client has methods for this, but they wait without a limit
        self._check_scheduler()
        call = getattr(self._client.scheduler, question)
        try:
            return self._client.sync(call, **arguments, callback_timeout=self._timeout)
        except OSError as error:  # a TimeoutError is one
            raise self._no_answer() from error

    def _no_answer(self) -> ConnectionError:
        return ConnectionError(
            f"The Dask scheduler did not answer within timeout={self._timeout:g} seconds, or the "
            "connection to it was lost."
        )

    def _answering(self) -> list[str]:
        """Return the addresses of the workers that have not fallen silent."""
        workers = self._ask_scheduler("identity", n_workers=-1)["workers"]
        addresses = [address for address in workers if address not in self._silent]
        if not addresses:
            raise TimeoutError(
                f"No worker answered within timeout={self._timeout:g} seconds. Raise timeout if a "
                "step may take longer than that."
            )
        return addresses

    def _wait(self, futures: Sequence[Future]) -> None:
        """Wait until futures are finished; raise what went wrong."""
        pending, latest = set(futures), time.monotonic()
        while pending:
            n_before = len(pending)
            try:
                pending = wait(pending, timeout=_POLL, return_when="FIRST_COMPLETED").not_done
            except (TimeoutError, CancelledError):
                pending = {future for future in pending if not future.done()}
            if len(pending) < n_before:
                latest = time.monotonic()
            self._check_scheduler()
            if time.monotonic() - latest > self._timeout:
                if self._client.status != "running":
                    raise self._no_answer()
                self._ask_scheduler("identity", n_workers=0)  # else it is not for the workers
                raise TimeoutError(
                    f"No partition was loaded within timeout={self._timeout:g} seconds, "
                    f"{len(pending)} are missing. Are there workers? Raise timeout if a "
                    "partition takes longer than that."
                )
        for future in futures:
            if future.status == "error":
                raise future.exception(timeout=self._timeout)
            if future.status != "finished":
                raise RuntimeError(
                    "Data of a lost worker cannot be computed again, since it was sent there "
                    "(client.scatter) and not computed, or cancelled, or of another cluster. "
                    "Train on a collection that knows how it is computed."
                )

    # ------------------------------------------------------------------ questions

    def _call(
        self, helds: Sequence[_Held], method: str, arguments: Sequence[Any]
    ) -> tuple[dict[_Held, Any], list[_Held]]:
        """Call a method of some actors; return the answers, and those that were lost."""
        self._check_scheduler()
        calls = {}
        lost = {}
        for held in helds:
            try:
                calls[held] = getattr(held.actor, method)(*arguments)
            except RuntimeError as error:  # the client knows that it is lost
                lost[held] = str(error)
        answers = self._client.sync(
            _collect, calls, self._timeout, callback_timeout=self._timeout + 10 * _POLL
        )
        given = {}
        for held, answer in answers.items():
            if isinstance(answer, TimeoutError):
                self._silent.add(held.address)
                lost[held] = f"no answer for {self._timeout:g} s"
            elif isinstance(answer, OSError | CancelledError):
                lost[held] = str(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                given[held] = answer
        self._check_scheduler()
        for held, reason in lost.items():
            _logger.warning(
                "Worker %s was lost (%s): its %d partitions are loaded again elsewhere.",
                held.address,
                reason,
                len(held.numbers),
            )
        return given, list(lost)


def _spread(holders: list[str], sizes: list[int], loads: dict[str, int]) -> list[str]:
    """Move partitions among their holders until the fullest is within a tenth of the mean.

    Parameters
    ----------
    holders : list of str
        Worker that has each partition, "" if none has.
    sizes : list of int
        Bytes of each partition.
    loads : dict of str to int
        Bytes that workers hold besides.

    Returns
    -------
    list of str
        Worker that each partition is to be on.
    """
    holders, loads = list(holders), dict(loads)
    known = [k for k, holder in enumerate(holders) if holder]
    for k in known:
        loads[holders[k]] = loads.get(holders[k], 0) + sizes[k]
    enough = 1.1 * sum(loads.values()) / max(1, len(loads))
    for k in sorted(known, key=sizes.__getitem__, reverse=True):
        emptiest = min(loads, key=loads.__getitem__)
        if loads[holders[k]] > enough and loads[emptiest] + sizes[k] < loads[holders[k]]:
            loads[holders[k]] -= sizes[k]
            loads[emptiest] += sizes[k]
            holders[k] = emptiest
    return holders


async def _collect(calls: dict[_Held, Any], timeout: float) -> dict[_Held, Any]:
    """Wait for the answers of actors; an exception stands for an answer that does not come."""
    tasks = {asyncio.ensure_future(_answer(call)): held for held, call in calls.items()}
    answers: dict[_Held, Any] = {}
    deadline = time.monotonic() + timeout
    while tasks:
        left = deadline - time.monotonic()
        done, _ = await asyncio.wait(tasks, timeout=max(0.0, min(_POLL, left)))
        for task in done:
            error = CancelledError() if task.cancelled() else task.exception()
            answers[tasks.pop(task)] = error or task.result()
        for task, held in list(tasks.items()):
            if held.future.status != "finished":
                answers[held] = ConnectionError("the scheduler removed it")
            elif left <= 0:
                answers[held] = TimeoutError()
            else:
                continue
            task.cancel()
            del tasks[task]
    return answers


async def _answer(call: Any) -> Any:
    return await call
