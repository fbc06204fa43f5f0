"""What training is given, where it stands, and what it leaves: rows, weights, states."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from skdnn.training.rowspace import FullSpace, RowSpace

__all__ = ["Progress", "Rows", "TrainingState", "Weights"]

Array = np.ndarray


class Rows(NamedTuple):
    """Rows to train or to validate on."""

    X: Any  # (n_samples, n_features), dense, CSR, or an HDF5Matrix
    positive: Array  # (n_samples,), bool: of the second class
    weight: Array | None  # (n_samples,), float64, positive

    def select(self, mask: Array) -> Rows:
        """Return the rows where the mask is true."""
        weight = None if self.weight is None else self.weight[mask]
        return Rows(self.X[mask], self.positive[mask], weight)

    def astype(self, dtype: np.dtype) -> Rows:
        """Return the rows with X in a dtype."""
        return self._replace(X=self.X.astype(dtype, copy=False))


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

    def leaving(self, space: FullSpace | RowSpace, origin: Array | None = None) -> Weights:
        """Undo `entering`; ``origin`` as in `RowSpace.leave`."""
        return Weights([space.leave(self.coefs[0], origin), *self.coefs[1:]], self.intercepts)


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

    def branch(self) -> TrainingState:
        """Return a state that training can move on without a trace in this one."""
        return replace(self, random_state=_copied(self.random_state))


def _copied(random_state: np.random.RandomState) -> np.random.RandomState:
    """Return a generator that goes on independently of the given one."""
    drawn = random_state.get_state(legacy=False)
    if drawn["bit_generator"] != "MT19937":
        return copy.deepcopy(random_state)
    twin = np.random.RandomState(0)  # several times faster than deepcopy
    twin.set_state(drawn)
    return twin


@dataclass
class Progress:
    """Where a call of fit stands after an epoch: what a run that was killed goes on from."""

    state: TrainingState  # as it is now, but without moments and latest weights
    # Flat, in the coordinates of training: "parameters", "best" if an epoch was, moments by name
    vectors: dict[str, Array]
    first_layer: Array | None  # its weights at the start, (n_features, n_units), if in a row space
    coordinates: Array | None  # of these weights, (rank, n_units)
    velocities: list[Array]  # of the first layer at the start, if in a row space
    curves: dict[str, list[float]]  # of this call, as of `Monitor`
    best_iter: int  # as of `Monitor`
    ended: str  # "" while training goes on; "converged", "max_iter" or "callback"
    parameters: dict[str, Any] = field(default_factory=dict)  # of the estimator, as JSON values
    data: dict[str, str] = field(default_factory=dict)  # hashes of what it is fitted to
    source: str = ""  # the file that it was read from
