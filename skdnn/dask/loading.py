"""From delayed partitions to actors that hold them, on the workers where Dask computed them.

A worker that is lost on the way, dead or silent, only means that what it had is loaded again
elsewhere. What the actors are asked is not known here.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any, NoReturn

from dask.delayed import Delayed
from distributed import Future, KilledWorker, wait

from skdnn.dask.actor import PartitionActor
from skdnn.dask.cluster import POLL, Cluster, WorkerLostError, reasons

__all__ = ["MOST_LOSSES", "Held", "Loader", "check_losses"]

_logger = logging.getLogger("skdnn.dask")

# How often one question is asked again before the data, or the network, are taken to be what
# brings the workers down
MOST_LOSSES = 8


_ACTOR = "skdnn-actor-"  # what the keys of actors begin with


def _is_actor(future: Future) -> bool:
    return str(future.key).startswith(_ACTOR)


def check_losses(n_losses: int, step: str) -> None:
    """Raise RuntimeError if workers were lost so often in one step that it is given up."""
    if n_losses >= MOST_LOSSES:
        raise RuntimeError(
            f"Workers were lost {n_losses} times in one step ({step}). They may run out of "
            "memory: give them more, or use smaller partitions and more workers."
        )


@dataclass(eq=False)
class Held:
    """An actor, and what it holds."""

    future: Future  # keeps it alive
    actor: Any
    numbers: list[int]  # of its partitions
    address: str
    n_bytes: int


class Loader:
    """Loads partitions of one data set, at first and after losses.

    Parameters
    ----------
    cluster : Cluster
        Where to.
    partitions : list of callables
        What makes the Delayed that each partition is computed by.
    name : str
        What to call the data in an error.
    """

    def __init__(
        self, cluster: Cluster, partitions: Sequence[Callable[[], Delayed]], name: str
    ) -> None:
        self._cluster = cluster
        self._partitions = partitions
        self._name = name
        # workers that wait for a silent one to send them what a partition is computed from
        self._stuck: dict[int, set[str]] = {}

    def load(self, numbers: Sequence[int], held: Sequence[Held]) -> list[Held]:
        """Compute partitions where Dask puts them, and make an actor on each of their workers.

        Parameters
        ----------
        numbers : sequence of int
            Which partitions.
        held : sequence of Held
            What workers hold besides.
        """
        n_losses = 0
        while True:
            try:
                return self._try_to_load(numbers, held)
            except WorkerLostError as error:
                n_losses += 1
                _logger.warning("Loading %s again: %s.", self._name, error)
                check_losses(n_losses, "loading")

    def _try_to_load(self, numbers: Sequence[int], held: Sequence[Held]) -> list[Held]:
        cluster, client = self._cluster, self._cluster.client
        restriction = cluster.answering() if cluster.silent else None
        delayed = [self._partitions[n]() for n in numbers]
        if self._stuck:
            ours = parts = [
                client.compute(part, workers=self._able(number))
                for number, part in zip(numbers, delayed, strict=True)
            ]
        else:
            ours = parts = client.compute(delayed, workers=restriction)
        try:
            self._wait(parts, numbers)
            places, n_bytes = self._place(parts, held)
            actors = [
                client.submit(
                    PartitionActor,
                    [parts[k] for k in mine],
                    key=f"{_ACTOR}{uuid.uuid4().hex}",
                    # it has just been lost if there is none: any worker computes the data again
                    workers=[address] if address else restriction,
                    allow_other_workers=True,
                    actor=True,
                    pure=False,
                )
                for address, mine in places.items()
            ]
            ours = [*parts, *actors]
            self._wait(actors, [numbers[mine[0]] for mine in places.values()])
            for part in parts:
                part.release()  # not left to references: a wait that timed out may hold some
            ours = actors
            return [
                Held(
                    future,
                    self._handle(future, address),
                    [numbers[k] for k in mine],
                    address,
                    sum(n_bytes[k] for k in mine),
                )
                for future, mine, address in zip(
                    actors, places.values(), self._addresses(actors), strict=True
                )
            ]
        except BaseException:
            cluster.cancel(ours)
            raise

    def _able(self, number: int) -> list[str]:
        """Return the addresses of the workers that can load a partition."""
        stuck = self._stuck.get(number, ())
        return [address for address in self._cluster.answering() if address not in stuck]

    def _find_stuck(self, pending: dict[int, Future]) -> bool:
        """Find who is to compute partitions and does not; return if others can for each of them.

        A worker that has asked a silent one for a key waits for ever: it does not compute the key,
        nor ask another worker for it.
        """
        processing = self._cluster.ask("processing")
        found = False
        for number, future in pending.items():
            part = self._partitions[number]()
            needed = {future.key, *part.dask.cull({part.key})}
            stuck = {address for address, keys in processing.items() if needed & {*keys}}
            found |= not stuck <= self._stuck.setdefault(number, set())
            self._stuck[number] |= stuck
        return found and all(map(self._able, pending))

    def _handle(self, future: Future, address: str) -> Any:
        """Return what calls the methods of an actor."""
        try:
            return future.result(timeout=self._cluster.timeout)
        except TimeoutError:
            self._cluster.silent.add(address)
            raise WorkerLostError(f"no answer from {address}") from None
        except (OSError, RuntimeError, CancelledError) as error:
            raise WorkerLostError(f"{address} was lost ({error})") from error

    def _place(
        self, parts: Sequence[Future], held: Sequence[Held]
    ) -> tuple[dict[str, list[int]], list[int]]:
        """Return which partitions go to which worker, and the bytes of each partition."""
        keys = [part.key for part in parts]
        try:
            sizes = self._cluster.ask("nbytes", keys=keys, summary=False)
        except KeyError as error:
            raise WorkerLostError("the scheduler forgot partitions") from error
        n_bytes = [max(1, sizes[key]) for key in keys]
        loads: dict[str, int] = {}
        for other in held:
            loads[other.address] = loads.get(other.address, 0) + other.n_bytes
        places: dict[str, list[int]] = {}
        for k, address in enumerate(_spread(self._addresses(parts), n_bytes, loads)):
            places.setdefault(address, []).append(k)
        return places, n_bytes

    def _addresses(self, futures: Sequence[Future]) -> list[str]:
        """Return a worker that holds each result, "" where it has just been lost."""
        keys = [future.key for future in futures]
        where = self._cluster.ask("who_has", keys=keys)
        holders = (where.get(key, ()) for key in keys)
        return [next((a for a in some if a not in self._cluster.silent), "") for some in holders]

    # ------------------------------------------------------------------ waiting

    def _wait(self, futures: Sequence[Future], numbers: Sequence[int]) -> None:
        """Wait until futures are finished; raise what went wrong with one of them.

        Parameters
        ----------
        futures : sequence of Future
            Of partitions or actors.
        numbers : sequence of int
            The first partition of each.
        """
        n_pending, latest = len(futures), time.monotonic()
        while True:
            for future, number in zip(futures, numbers, strict=True):
                if future.status == "error":
                    self._explain_error(future, number)
            # a result that was lost with its worker is pending: the scheduler computes it again
            pending = [future for future in futures if future.status != "finished"]
            if not pending:
                return
            if len(pending) != n_pending:
                n_pending, latest = len(pending), time.monotonic()
            if time.monotonic() - latest > self._cluster.timeout:
                missing = zip(numbers, futures, strict=True)
                self._explain_waiting({n: future for n, future in missing if future in pending})
            if self._cluster.client.status != "running":
                raise self._cluster.no_answer()
            try:
                wait(pending, timeout=POLL, return_when="FIRST_COMPLETED")
            except TimeoutError:
                pass
            except CancelledError as error:
                self._explain_cancelling(error, pending[0])

    def _explain_cancelling(self, error: CancelledError, future: Future) -> NoReturn:
        why = reasons(error)
        if "scheduler-connection-lost" in why:
            raise error
        if "scheduler-restart" in why or _is_actor(future):
            raise WorkerLostError("the scheduler let go of what was loaded") from error
        raise RuntimeError(
            f"{self._name} cannot be computed again: data of a lost worker had been sent there "
            "(client.scatter) and not computed, or were cancelled, or are of another cluster. "
            "Train on a collection that knows how it is computed."
        ) from error

    def _explain_error(self, future: Future, number: int) -> NoReturn:
        error = future.exception(timeout=self._cluster.timeout)
        if isinstance(error, KilledWorker):
            raise RuntimeError(
                f"Partition {number} of {self._name} cannot be loaded: "
                f"{error.allowed_failures + 1} workers died while one of its tasks ran "
                f"({error.task!r}). They may run out of memory, or what is called there ends the "
                "process; their logs tell more."
            ) from error
        if _is_actor(future) and isinstance(error, RuntimeError):
            # what the scheduler says of the actors of a worker that is lost
            raise WorkerLostError(str(error)) from error
        raise error

    def _explain_waiting(self, pending: dict[int, Future]) -> NoReturn:
        cluster = self._cluster
        before = sorted(cluster.silent)
        if fresh := cluster.notice_silent():
            raise WorkerLostError(f"no answer from {', '.join(fresh)}")
        if before and self._find_stuck(pending):
            raise WorkerLostError(f"others wait for {', '.join(before)}")
        advice = "Are there workers? Raise timeout if a partition takes longer than that."
        if before:
            advice = (
                f"Workers that do not answer ({', '.join(before)}) may hold what they are computed "
                "from: restart those."
            )
        raise TimeoutError(
            f"No partition of {self._name} was loaded within timeout={cluster.timeout:g} seconds, "
            f"{len(pending)} are missing. {advice}"
        )


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
