"""Contenders timed in alternation, so that a change of the machine's speed meets all of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

__all__ = ["Contender", "alternate", "medians"]

# Threads of BLAS and OpenMP go on spinning after their last work: the next contender must not
# pay for them.
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Contender:
    """What is timed.

    Parameters
    ----------
    run : callable
        The work; takes and returns nothing that matters.
    warm_up : callable
        Run once, untimed: imports, thread pools and page faults of a first call.
    loops : int, default=1
        Calls of ``run`` in one measurement, for work that is too short for the clock.
    scale : float, default=1.0
        Factor from what ``run`` does to what the case asks for.
    """

    run: Callable[[], object]
    warm_up: Callable[[], object]
    loops: int = 1
    scale: float = 1.0

    def seconds(self) -> float:
        """Measure once."""
        gc.collect()
        time.sleep(_PAUSE_SECONDS)
        start = time.perf_counter()
        for _ in range(self.loops):
            self.run()
        return (time.perf_counter() - start) * self.scale / self.loops


def alternate(contenders: Mapping[str, Contender], repeats: int) -> dict[str, list[float]]:
    """Measure all contenders in turn, ``repeats`` times; return the seconds of each by name."""
    for contender in contenders.values():
        contender.warm_up()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, contender in contenders.items():
            seconds[name].append(contender.seconds())
    return seconds


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """Return the median of each contender."""
    return {name: median(values) for name, values in seconds.items()}
