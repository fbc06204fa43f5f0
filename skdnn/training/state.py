"""One call of fit as data: what is asked for, where training stands, and what it leaves."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from skdnn.training.rowspace import FullSpace, RowSpace

__all__ = ["Call", "Progress", "RowSpaceStart", "TrainingState", "Weights"]

Array = np.ndarray


class Weights(NamedTuple):
    """Parameters of a network, or numbers for each of them, by layer."""

    coefs: list[Array]  # (n_in, n_out) by layer
    intercepts: list[Array]  # (n_out,) by layer

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Sizes from the input to the logit."""
        return (self.coefs[0].shape[0], *(bias.size for bias in self.intercepts))

    def entering(self, space: FullSpace | RowSpace) -> Weights:
        """Return the weights with the first layer in the coordinates of a space."""
        return Weights([space.enter(self.coefs[0]), *self.coefs[1:]], self.intercepts)

    def leaving(self, space: FullSpace | RowSpace) -> Weights:
        """Undo `entering`; what lies outside the space is 0."""
        return Weights([space.leave(self.coefs[0]), *self.coefs[1:]], self.intercepts)


@dataclass
class TrainingState:
    """What training needs besides the parameters to go on as if it had never stopped."""

    random_state: np.random.RandomState  # after all that was drawn from it
    rule: str = ""  # class name of the solver
    counters: dict[str, int] = field(default_factory=dict)  # of the solver
    moments: dict[str, Weights] = field(default_factory=dict)  # of the solver
    plateau: dict[str, Any] = field(default_factory=dict)  # of the stopping rule
    latest: Weights | None = None  # where the fitted parameters are those of an earlier epoch
    watched: str | None = None  # hash of the data that a validation score is of
    held_out: Array | None = None  # rows set aside from them, bool
    scoring: Any = "loss"  # what the plateau is of, if rows are watched; "" for training loss
    n_seen: int = 0  # rows of all calls of partial_fit
    mean_weight: float = 1.0  # of these rows

    def branch(self) -> TrainingState:
        """Return a state that training can move on without a trace in this one."""
        return replace(self, random_state=_copied(self.random_state))

    def see(self, n_rows: int, mean_weight: float) -> float:
        """Count rows of partial_fit in; return the mean weight of all rows that were seen.

        The mean moves by a difference, so that rows of the same mean weight leave it as it is, to
        the last bit.
        """
        self.n_seen += n_rows
        if self.n_seen == n_rows:
            self.mean_weight = mean_weight
        else:
            self.mean_weight += (mean_weight - self.mean_weight) * (n_rows / self.n_seen)
        return self.mean_weight


def _copied(random_state: np.random.RandomState) -> np.random.RandomState:
    """Return a generator that goes on independently of the given one."""
    drawn = random_state.get_state(legacy=False)
    if drawn["bit_generator"] != "MT19937":
        return copy.deepcopy(random_state)
    twin = np.random.RandomState(0)  # several times faster than deepcopy
    twin.set_state(drawn)
    return twin


class RowSpaceStart(NamedTuple):
    """What the coordinates of a row space are made of, besides X."""

    first_layer: Array  # weights at the start, (n_features, n_units)
    coordinates: Array  # of these weights, (rank, n_units)
    velocities: list[Array]  # of the first layer at the start, (n_features, n_units) each


@dataclass
class Progress:
    """Where a call of fit stands after an epoch: what a run that was killed goes on from."""

    state: TrainingState  # as it is now, but without moments and latest weights
    # Flat, in the coordinates of training: "parameters", "best" if an epoch was, moments by name
    vectors: dict[str, Array]
    row_space: RowSpaceStart | None  # None: training is in the features themselves
    curves: dict[str, list[float]]  # of this call, as of `Monitor`
    best_iter: int  # as of `Monitor`
    ended: str  # "" while training goes on; "converged", "max_iter" or "callback"
    parameters: dict[str, Any] = field(default_factory=dict)  # of the estimator
    data: dict[str, str] = field(default_factory=dict)  # hashes of what it is fitted to
    source: str = ""  # the file that it was read from


@dataclass
class Call:
    """One call of fit or partial_fit, checked: all that training needs to know."""

    rows: Any  # `Rows`, in memory, in a file or on a cluster
    validation: Any  # `Rows` or None
    layer_sizes: tuple[int, ...]  # from the input to the logit
    state: TrainingState  # moved on by this call alone
    start: Array  # flat parameters, (n_parameters,), in the dtype to train in; used up
    incremental: bool  # whether it is partial_fit
    continuing: bool  # whether it goes on from the fitted parameters
    n_before: int = 0  # epochs of earlier calls that it goes on from
    hashes: dict[str, str] = field(default_factory=dict)  # of what was given, once asked for
    batch_size: int = 0
    # of validation rows; None: minus the log loss
    score: Callable[..., float] | None = None
    progress: Progress | None = None  # where the same call stood when it was killed
