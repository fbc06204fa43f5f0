"""What the first layer's weights are counted in during training: the features, or a row space."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from skdnn.network.network import flatten, layer_views
from skdnn.numerics.threads import single_blas_thread
from skdnn.numerics.vectors import norm
from skdnn.training.rowspace import ROW_SPACE_SOLVERS, FullSpace, RowSpace, row_space_pays
from skdnn.training.state import Call, Progress, RowSpaceStart, Weights

__all__ = ["Coordinates"]

Array = np.ndarray

# Rows of a QR factorisation up to which a second BLAS thread costs more than it brings
_THREADED_RANK = 512


class Coordinates:
    """The coordinates of one call of fit, and the way of weights and moments into them and back.

    Parameters
    ----------
    space : FullSpace or RowSpace
        The coordinates themselves.
    row_space : RowSpaceStart, default=None
        What a row space started from.

    Attributes
    ----------
    space, row_space
        As given.
    """

    def __init__(self, space: FullSpace | RowSpace, row_space: RowSpaceStart | None = None) -> None:
        self.space = space
        self.row_space = row_space

    @classmethod
    def begin(
        cls, params: Any, call: Call, moments: dict[str, Weights]
    ) -> tuple[Self, dict[str, Array]]:
        """Choose the coordinates; return them, and "parameters" and moments in them, flat."""
        n_in, n_out = call.layer_sizes[:2]
        first_layer = call.start[: n_in * n_out].reshape(n_in, n_out)
        velocities = [moment.coefs[0] for moment in moments.values()]
        others = velocities + ([first_layer] if _looks_outside(params, call) else [])
        space = _choose_space(params, call, others)
        dtype = call.start.dtype
        vectors = {k: flatten(*moment.entering(space), dtype) for k, moment in moments.items()}
        if isinstance(space, FullSpace):
            return cls(space), {"parameters": call.start, **vectors}
        inside = Weights(*layer_views(call.start, call.layer_sizes)).entering(space)
        # what lies outside the space does not move
        row_space = RowSpaceStart(first_layer, inside.coefs[0], velocities)
        return cls(space, row_space), {"parameters": flatten(*inside, dtype), **vectors}

    @classmethod
    def go_on(cls, params: Any, call: Call, progress: Progress) -> tuple[Self, dict[str, Array]]:
        """Make the coordinates anew that a killed call was in; return them and its vectors."""
        vectors = {name: vector.copy() for name, vector in progress.vectors.items()}
        row_space = progress.row_space
        if row_space is None:
            return cls(FullSpace(call.layer_sizes[0])), vectors
        others = [*row_space.velocities]
        if _looks_outside(params, call):
            others.append(row_space.first_layer)
        space = _make_row_space(call.rows.X, others)
        now = space.enter(row_space.first_layer)
        _check_coordinates(row_space.coordinates, now, progress.source)
        return cls(space, row_space), vectors

    def leave(self, weights: Weights) -> Weights:
        """Return weights as those of the features."""
        start = self.row_space
        if start is None:
            return weights.leaving(self.space)
        first_layer, *others = weights.coefs
        moved = Weights([first_layer - start.coordinates, *others], weights.intercepts)
        left = moved.leaving(self.space)
        left.coefs[0] += start.first_layer  # its part outside the space stays
        return left

    def leave_moments(self, moments: Weights) -> Weights:
        """Return a moment by the features; what lies outside the space is 0."""
        return moments.leaving(self.space)


def _choose_space(params: Any, call: Call, others: list[Array]) -> FullSpace | RowSpace:
    """Return the coordinates to train in; ``others`` has to be representable besides X's rows."""
    rows, full = call.rows, FullSpace(call.layer_sizes[0])
    obstacle = f"solver={params.solver!r}"
    if params.solver in ROW_SPACE_SOLVERS:
        obstacle = rows.no_row_space
    is_free = params.row_space == "auto"
    # One call of many would not repay it, and a user's own function may look at the features
    if is_free and (obstacle or call.incremental or callable(params.scoring)):
        return full
    if not params.row_space or (is_free and not _pays(params, call, others)):
        return full
    if obstacle:
        raise ValueError(
            f"row_space=True cannot serve {obstacle}: it takes dense X in memory and the solvers "
            f"{', '.join(ROW_SPACE_SOLVERS)}."
        )
    try:
        space = _make_row_space(rows.X, others)
    except MemoryError:
        # a limit that the cost model does not see: train where X is
        if not is_free:
            raise
        return full
    # features near the end of the dtype's range may overflow in it, and only in it
    return space if np.isfinite(space.rows).all() else full


def _pays(params: Any, call: Call, others: list[Array]) -> bool:
    return row_space_pays(
        call.rows.shape[0],
        *call.layer_sizes[:2],
        n_others=sum(other.shape[1] for other in others),
        # a stopping rule usually ends training early
        n_epochs=params.max_iter if params.tol is None else max(1, params.max_iter // 4),
        batch_size=call.batch_size,
        itemsize=call.rows.dtype.itemsize,
    )


def _make_row_space(X: Array, others: list[Array]) -> RowSpace:
    with single_blas_thread(len(X) <= _THREADED_RANK):
        return RowSpace(X, others)


def _looks_outside(params: Any, call: Call) -> bool:
    """Return whether training looks at what lies outside the span of X's rows."""
    return params.alpha > 0 or call.validation is not None


def _check_coordinates(before: Array, now: Array, source: str) -> None:
    """Raise ValueError if the same weights have other coordinates than before."""
    # of rows that depend on each other, rounding alone decides on some axes
    tol = 1e3 * float(np.finfo(now.dtype).eps) * norm(now.reshape(-1))
    is_same = before.shape == now.shape and norm((now - before).reshape(-1)) <= tol < np.inf
    if not is_same:
        raise ValueError(
            f"The checkpoint {source} was made in coordinates of X's row space that come out "
            "otherwise here: some rows of X are linearly dependent, and the BLAS library, its "
            "kernel or its number of threads is another. Go on where it was made, or train with "
            "row_space=False."
        )
