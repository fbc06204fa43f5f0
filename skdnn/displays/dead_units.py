"""DeadUnitsDisplay: how many rows activate each hidden unit, and which units none does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skdnn.displays.drawing import add_legend, make_axes, palette, require_matplotlib
from skdnn.inspection import dead_units
from skdnn.inspection.subject import fitted_network

__all__ = ["DeadUnitsDisplay"]

# Layers up to which each has a label of two lines
_FEW_LAYERS = 6


class DeadUnitsDisplay:
    """Share of the rows that activate each unit, layer by layer, with dead units marked.

    Use `from_estimator` to make one. The units of a layer stand side by side in the order of their
    shares.

    Parameters
    ----------
    shares : list of array-like of shape (n_units,)
        For each hidden layer, the share of the rows that activate each unit, from 0 to 1. Units
        of share 0 are dead.

    Attributes
    ----------
    points_ : list of matplotlib Line2D
        The living units of each layer.
    dead_points_ : list of matplotlib Line2D
        The dead units of each layer.
    ax_, figure_ : matplotlib Axes and Figure
        Where they were drawn.
    legend_ : matplotlib Legend
        How many units are dead.

    See Also
    --------
    skdnn.inspection.dead_units : The numbers, and what dead means for each activation.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from skdnn import DeepBinaryClassifier
    >>> from skdnn.displays import DeadUnitsDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = DeepBinaryClassifier((32, 16), max_iter=5, tol=None, random_state=0)
    >>> display = DeadUnitsDisplay.from_estimator(model.fit(scale(X), y), scale(X))
    >>> [share.size for share in display.shares]
    [32, 16]
    """

    def __init__(self, shares: Sequence[Any]) -> None:
        self.shares = shares

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: ArrayLike, *, threshold: float = 1e-3, ax: Any = None
    ) -> Self:
        """Count the rows that activate each unit, and draw their shares.

        Parameters
        ----------
        estimator : DeepBinaryClassifier or Pipeline
            Fitted. A pipeline must end with the network; X goes through the steps before.
        X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
            Rows to look at. Rows on disk are read a block at a time.
        threshold : float, default=1e-3
            As in :func:`skdnn.inspection.dead_units`.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.

        Returns
        -------
        DeadUnitsDisplay

        Raises
        ------
        ImportError
            When matplotlib is missing, which the extra ``plot`` brings.
        TypeError, ValueError
            As in :func:`skdnn.inspection.dead_units`; also where there are no hidden layers.
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        fitted_network(estimator, "estimator")
        return cls(dead_units(estimator, X, threshold=threshold).shares).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the shares.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.

        Returns
        -------
        DeadUnitsDisplay
            This display.
        """
        shares = [np.asarray(share) for share in self.shares]
        if not shares:
            raise ValueError("The network has no hidden layers, so no units that could be dead.")
        masks = [share == 0 for share in shares]
        is_new = ax is None
        self.ax_ = ax = make_axes(ax, self)
        self.figure_ = ax.figure
        active_colour, dead_colour = palette()[:2]
        self.points_, self.dead_points_ = [], []
        n_units, n_dead = sum(s.size for s in shares), sum(int(m.sum()) for m in masks)
        size = 5 if n_units <= 300 else 3
        for layer, (share, mask) in enumerate(zip(shares, masks, strict=True), start=1):
            order = np.argsort(share, kind="stable")
            share, mask = share[order], mask[order]
            # the units side by side, with a gap between layers
            x = layer + 0.8 * ((np.arange(share.size) + 0.5) / share.size - 0.5)
            self.points_ += ax.plot(
                x[~mask],
                share[~mask],
                linestyle="none",
                marker="o",
                markersize=size,
                color=active_colour,
                label="active units",
            )
            self.dead_points_ += ax.plot(
                x[mask],
                share[mask],
                linestyle="none",
                marker="x",
                markersize=size + 2,
                markeredgewidth=1.5,
                color=dead_colour,
                label=f"dead: {n_dead} of {n_units} units",
                zorder=3,
            )
        self._label(ax, masks)
        handles = [self.points_[0], self.dead_points_[0]]
        self.legend_ = add_legend(ax, handles, is_new=is_new)
        return self

    def _label(self, ax: Any, masks: list[Any]) -> None:
        from matplotlib.ticker import PercentFormatter

        n_layers = len(masks)
        few = n_layers <= _FEW_LAYERS
        ax.set(
            xlim=(0.5, n_layers + 0.5),
            ylim=(-0.05, 1.05),
            xlabel="hidden layer, dead / all units" if few else "hidden layer",
            ylabel="rows that activate the unit",
        )
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        if few:
            counts = [f"{layer}\n{m.sum()} / {m.size}" for layer, m in enumerate(masks, 1)]
            ax.set_xticks(range(1, n_layers + 1), counts)
        else:
            ax.xaxis.get_major_locator().set_params(integer=True)
        for layer in range(1, n_layers):
            ax.axvline(layer + 0.5, color="gray", linewidth=0.5, alpha=0.5)
