"""Learning-rate schedules: the rate of every step, and what a plateau does to it.

Schedules hold no state: the solver counts the steps and the plateaus.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["SCHEDULES", "Adaptive", "Constant", "InverseScaling", "Schedule", "make_schedule"]

SCHEDULES = ("constant", "invscaling", "adaptive")


class Schedule(Protocol):
    """Rate as a function of the step and of the plateaus met so far."""

    learning_rate_init: float

    def rate(self, step: int, n_plateaus: int) -> float:
        """Return the learning rate of a step, counted from 1."""

    def exhausted(self, n_plateaus: int) -> bool:
        """Return whether a plateau is the end of training rather than of a rate."""


class Constant:
    """The same rate in every step."""

    def __init__(self, learning_rate_init: float) -> None:
        self.learning_rate_init = learning_rate_init

    def rate(self, step: int, n_plateaus: int) -> float:
        return self.learning_rate_init

    def exhausted(self, n_plateaus: int) -> bool:
        return True


class InverseScaling(Constant):
    """learning_rate_init / step ** power_t."""

    def __init__(self, learning_rate_init: float, power_t: float) -> None:
        super().__init__(learning_rate_init)
        self.power_t = power_t

    def rate(self, step: int, n_plateaus: int) -> float:
        return self.learning_rate_init / step**self.power_t


class Adaptive(Constant):
    """A fifth of the rate after every plateau; training ends at one below 1e-6."""

    def rate(self, step: int, n_plateaus: int) -> float:
        return self.learning_rate_init / 5.0**n_plateaus

    def exhausted(self, n_plateaus: int) -> bool:
        return self.rate(1, n_plateaus) <= 1e-6


def make_schedule(name: str, learning_rate_init: float, *, power_t: float) -> Schedule:
    """Return the schedule called ``name``, one of `SCHEDULES`."""
    if name == "invscaling":
        return InverseScaling(learning_rate_init, power_t)
    return {"constant": Constant, "adaptive": Adaptive}[name](learning_rate_init)
