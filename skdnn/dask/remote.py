"""One data set on the workers: actors that hold its partitions, asked together.

Every wait has a limit. What a lost worker held is loaded again from its graph, elsewhere, and
asked the same question. What the questions are about is not known here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import Any

from dask.delayed import Delayed
from distributed import Client

from skdnn.dask.cluster import POLL, Cluster, WorkerLostError, connected
from skdnn.dask.loading import MOST_LOSSES, Held, Loader, check_losses

__all__ = ["RemoteData"]

_logger = logging.getLogger("skdnn.dask")


class RemoteData:
    """Partitions that live on the workers for as long as this object is open.

    They stay where Dask computed them, or held them before, but for what some of these workers
    hold too much of: a step takes as long as the fullest worker.

    Parameters
    ----------
    client : Client
        Of the cluster.
    partitions : list of callables
        What makes the Delayed that each partition is computed by, now and after a loss.
    timeout : float
        Seconds without an answer after which a worker counts as lost, or loading as stuck.
    name : str, default="X"
        What to call the data in an error.
    """

    def __init__(
        self,
        client: Client,
        partitions: Sequence[Callable[[], Delayed]],
        timeout: float,
        name: str = "X",
    ) -> None:
        self._client = client
        self._cluster = Cluster(client, timeout)
        self._loader = Loader(self._cluster, partitions, name)
        self._setup: list[tuple[str, tuple[Any, ...]]] = []
        with connected(client, timeout):
            self._held = self._loader.load(range(len(partitions)), [])

    def close(self) -> None:
        """Give the workers' memory back."""
        futures = [held.future for held in self._held]
        self._held = []
        self._cluster.cancel(futures)

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
        answers: dict[Held, Any] = {}
        waiting, n_losses = list(self._held), 0
        with connected(self._client, self._cluster.timeout):
            while waiting:
                given, lost = self._call(waiting, method, arguments)
                answers.update(given)
                waiting = []
                if lost:
                    n_losses += 1
                    check_losses(n_losses, method)
                    self._held = [held for held in self._held if held not in lost]
                    # else the scheduler would go on with what it knows of their partitions
                    self._cluster.cancel([held.future for held in lost])
                    waiting = self._take_over(lost)
                    self._held = sorted([*self._held, *waiting], key=lambda held: held.numbers)
        return [answers[held] for held in self._held]

    def _take_over(self, lost: list[Held]) -> list[Held]:
        """Return actors that hold what lost ones held, set up like them."""
        numbers = sorted(number for held in lost for number in held.numbers)
        for n_losses in range(1, MOST_LOSSES + 1):
            fresh = self._loader.load(numbers, self._held)
            try:
                for method, arguments in self._setup:
                    if self._call(fresh, method, arguments)[1]:
                        raise WorkerLostError(method)
            except WorkerLostError:
                self._cluster.cancel([held.future for held in fresh])
                check_losses(n_losses, "setup")
            except BaseException:
                self._cluster.cancel([held.future for held in fresh])
                raise
            else:
                return fresh
        raise AssertionError("unreachable")

    # ------------------------------------------------------------------ questions

    def _call(
        self, helds: Sequence[Held], method: str, arguments: Sequence[Any]
    ) -> tuple[dict[Held, Any], list[Held]]:
        """Call a method of some actors; return the answers, and those that were lost."""
        calls = {}
        lost = {}
        for held in helds:
            try:
                calls[held] = getattr(held.actor, method)(*arguments)
            except RuntimeError as error:  # the client knows that it is lost
                lost[held] = str(error)
        timeout = self._cluster.timeout
        answers = self._client.sync(_collect, calls, timeout, callback_timeout=timeout + 10 * POLL)
        given = {}
        for held, answer in answers.items():
            if isinstance(answer, TimeoutError):
                self._cluster.silent.add(held.address)
                lost[held] = f"no answer for {timeout:g} s"
            elif isinstance(answer, OSError | CancelledError):
                lost[held] = str(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                given[held] = answer
        for held, reason in lost.items():
            _logger.warning(
                "Worker %s was lost (%s): its %d partitions are loaded again elsewhere.",
                held.address,
                reason,
                len(held.numbers),
            )
        return given, list(lost)


async def _collect(calls: dict[Held, Any], timeout: float) -> dict[Held, Any]:
    """Wait for the answers of actors; an exception stands for an answer that does not come."""
    tasks = {asyncio.ensure_future(_answer(call)): held for held, call in calls.items()}
    answers: dict[Held, Any] = {}
    deadline = time.monotonic() + timeout
    while tasks:
        left = deadline - time.monotonic()
        done, _ = await asyncio.wait(tasks, timeout=max(0.0, min(POLL, left)))
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
