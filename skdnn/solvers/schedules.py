"""Learning-rate schedules: the rate of every step, and what a plateau does to it.

Schedules hold no state: the solver counts the steps and the plateaus, and a schedule turns the
counts into a rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

__all__ = ["SCHEDULES", "Constant", "InverseScaling", "Schedule"]

Steps = int | np.ndarray


class Schedule(Protocol):
    """Rate as a function of the step and of the plateaus met so far."""

    learning_rate_init: float
    restarts: ClassVar[bool]  # whether a new call of fit goes through the schedule anew

    def rate(self, step: Steps, horizon: int, n_plateaus: int) -> Any:
        """Return the learning rates of some steps.

        Parameters
        ----------
        step : int or ndarray of int
            Numbers of the steps, counted from 1; may go beyond the horizon.
        horizon : int
            Steps that the schedule is laid out for.
        n_plateaus : int
            Plateaus met before.
        """

    def exhausted(self, n_plateaus: int) -> bool:
        """Return whether a plateau is the end of training rather than of a rate."""


@dataclass
class Constant:
    """The same rate in every step."""

    learning_rate_init: float
    restarts: ClassVar[bool] = False

    def rate(self, step: Steps, horizon: int, n_plateaus: int) -> Any:
        return np.full(np.shape(step), self.learning_rate_init)[()]

    def exhausted(self, n_plateaus: int) -> bool:
        return True


@dataclass
class InverseScaling(Constant):
    """learning_rate_init / step ** power_t."""

    power_t: float

    def rate(self, step: Steps, horizon: int, n_plateaus: int) -> Any:
        return self.learning_rate_init * np.asarray(step, float) ** -self.power_t


# The largest power of 5 that a float holds
_MOST_FIFTHS = 441


class Adaptive(Constant):
    """A fifth of the rate after every plateau; training ends at one with a rate down at 1e-6."""

    def rate(self, step: Steps, horizon: int, n_plateaus: int) -> Any:
        # in two parts: the power alone overflows before the rate is down from the largest numbers
        first = min(n_plateaus, _MOST_FIFTHS)
        rest = min(n_plateaus - first, _MOST_FIFTHS)
        return np.full(np.shape(step), self.learning_rate_init / 5.0**first / 5.0**rest)[()]

    def exhausted(self, n_plateaus: int) -> bool:
        return bool(self.rate(1, 1, n_plateaus) <= 1e-6)


class Cosine(Constant):
    """Half a cosine from learning_rate_init to almost 0 (Loshchilov & Hutter 2017, eq. 5).

    learning_rate_init * (1 + cos(pi (step - 1) / horizon)) / 2.
    """

    restarts = True

    def rate(self, step: Steps, horizon: int, n_plateaus: int) -> Any:
        share = (np.minimum(step, horizon) - 1) / horizon
        return self.learning_rate_init * 0.5 * (1.0 + np.cos(np.pi * share))


class OneCycle(Constant):
    """Up to learning_rate_init and down to almost nothing (Smith & Topin 2018).

    Half a cosine from learning_rate_init / 25 over the first 30 % of the steps, and half a cosine
    down to learning_rate_init / 250,000 over the rest.
    """

    restarts = True
    rise = 0.3
    start_divisor = 25.0
    end_divisor = 25.0 * 1e4

    def rate(self, step: Steps, horizon: int, n_plateaus: int) -> Any:
        peak = max(self.rise * horizon - 1.0, 0.0)  # position of the top, counted from 0
        position = np.minimum(step, horizon) - 1
        top = self.learning_rate_init
        rises = position <= peak
        low = np.where(rises, top / self.start_divisor, top / self.end_divisor)
        rise = 1.0 - position / peak if peak else np.zeros(np.shape(step))
        fall = (position - peak) / max(horizon - 1.0 - peak, 1.0)
        share = np.where(rises, rise, fall)
        return low + (top - low) * 0.5 * (1.0 + np.cos(np.pi * share))


SCHEDULES: dict[str, type[Constant]] = {
    "constant": Constant,
    "invscaling": InverseScaling,
    "adaptive": Adaptive,
    "cosine": Cosine,
    "one_cycle": OneCycle,
}
