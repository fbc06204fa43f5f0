"""The cluster as one call of fit sees it: questions to the scheduler, and who has fallen silent.

Every wait has a limit, and a scheduler that is gone is a ConnectionError, whatever it was first
noticed by. What is computed is not known here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

from distributed import Client, Future
from distributed.client import ClosedClientError, FuturesCancelledError

__all__ = ["POLL", "Cluster", "WorkerLostError", "connected"]

# Seconds between looks at whether the workers are still there; one that closes its connection is
# noticed at once.
POLL = 0.5


class WorkerLostError(Exception):
    """A worker went away while something was computed that can be computed again elsewhere."""


@contextmanager
def connected(client: Client, timeout: float) -> Iterator[None]:
    """Raise ConnectionError for whatever comes of a scheduler that is lost on the way.

    A client that is about to be connected again is waited for, ``timeout`` seconds at most.
    """
    deadline = time.monotonic() + timeout
    while client.status == "connecting" and time.monotonic() < deadline:
        time.sleep(0.1 * POLL)
    if client.status != "running":
        raise _gone(client)
    try:
        yield
    except (OSError, RuntimeError, CancelledError, ClosedClientError, WorkerLostError) as error:
        if client.status != "running" or "scheduler-connection-lost" in reasons(error):
            raise _gone(client) from error
        raise


def _gone(client: Client) -> ConnectionError:
    return ConnectionError(
        "The Dask cluster is gone, or the connection to its scheduler: the client's status is "
        f"{client.status!r}."
    )


def reasons(error: BaseException) -> set[str]:
    """Return why futures were cancelled, in Dask's words."""
    if isinstance(error, FuturesCancelledError):
        return {group.reason for group in error.error_groups}
    return {getattr(error, "reason", "")} if isinstance(error, CancelledError) else set()


class Cluster:
    """A client whose waits have a limit.

    Parameters
    ----------
    client : Client
        Of the cluster.
    timeout : float
        Seconds without an answer after which a worker counts as lost.

    Attributes
    ----------
    silent : set of str
        Addresses of workers that are there but do not answer.
    """

    def __init__(self, client: Client, timeout: float) -> None:
        self.client = client
        self.timeout = timeout
        self.silent: set[str] = set()

    def ask(self, question: str, **arguments: Any) -> Any:
        """Call a method of the scheduler."""
        # Client has methods for this, but they wait without a limit
        call = getattr(self.client.scheduler, question)
        try:
            return self.client.sync(call, **arguments, callback_timeout=self.timeout)
        except OSError as error:  # a TimeoutError is one
            raise self.no_answer() from error

    def no_answer(self) -> ConnectionError:
        """Return the error of a scheduler that does not answer."""
        return ConnectionError(
            f"The Dask scheduler did not answer within timeout={self.timeout:g} seconds, or the "
            "connection to it was lost."
        )

    def answering(self) -> list[str]:
        """Return the addresses of the workers that have not fallen silent."""
        workers = self.ask("identity", n_workers=-1)["workers"]
        addresses = [address for address in workers if address not in self.silent]
        if not addresses and self.silent:
            raise TimeoutError(
                f"No worker answered within timeout={self.timeout:g} seconds. Raise timeout if a "
                "step may take longer than that."
            )
        return addresses

    def notice_silent(self) -> list[str]:
        """Ask every worker for a sign of life, and return who has newly fallen silent."""
        fresh = self.client.sync(
            _without_answer,
            self.client.scheduler,
            self.answering(),
            self.timeout,
            callback_timeout=self.timeout + 10 * POLL,
        )
        self.silent.update(fresh)
        return fresh

    def cancel(self, futures: Sequence[Future]) -> None:
        """Let go of results, whoever still refers to them: what is ours, and still is.

        Not left to references: actors are parts of cycles, and tracebacks hold frames. A key that
        the client has let go of before would make the scheduler drop the client's connection, and
        with it all that the user keeps on the cluster.
        """
        wanted = [future for future in futures if future.key in self.client.futures]
        if wanted and self.client.status == "running":
            self.client.cancel(wanted)


async def _without_answer(scheduler: Any, addresses: list[str], timeout: float) -> list[str]:
    async def answers(address: str) -> bool:
        call = scheduler.proxy(worker=address, msg={"op": "identity"})
        try:
            await asyncio.wait_for(call, timeout)
        except OSError:  # a TimeoutError is one
            return False
        return True

    answered = await asyncio.gather(*map(answers, addresses))
    return [address for address, did in zip(addresses, answered, strict=True) if not did]
