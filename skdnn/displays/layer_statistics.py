"""LayerStatisticsDisplay: activations and gradients over the layers, of one model or several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skdnn.displays.drawing import (
    LINE_STYLES,
    add_legend,
    make_axes,
    make_grid,
    palette,
    require_matplotlib,
)
from skdnn.inspection import Table, activation_statistics, gradient_statistics
from skdnn.inspection.subject import fitted_network

__all__ = ["LayerStatisticsDisplay"]


class LayerStatisticsDisplay:
    """Magnitudes of activations and gradients, and the share of zeros, from layer to layer.

    Use `from_estimator` or `from_estimators` to make one. A line is the median magnitude of the
    numbers other than 0, the band around it holds 90 % of them. Lines that climb or fall steadily
    on the logarithmic scale tell of signals that explode or vanish with depth.

    Parameters
    ----------
    activations : dict of str to Table
        By name of the model, what :func:`skdnn.inspection.activation_statistics` returns.
    gradients : dict of str to Table, default=None
        By name of the model, what :func:`skdnn.inspection.gradient_statistics` returns.

    Attributes
    ----------
    lines_ : dict of str to list of matplotlib Line2D
        By name of the model, its lines from the top panel to the bottom.
    bands_ : dict of str to list of matplotlib PolyCollection
        By name of the model, its bands.
    axes_ : ndarray of matplotlib Axes of shape (n_panels,)
        Panels: activations, gradients if there are any, and zeros.
    ax_, figure_ : matplotlib Axes and Figure
        Empty axes around the panels, for a title, and the figure.
    legend_ : matplotlib Legend
        Names of the models.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from skdnn import DeepBinaryClassifier
    >>> from skdnn.displays import LayerStatisticsDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> models = {
    ...     init: DeepBinaryClassifier(
    ...         (30,) * 10, init=init, max_iter=1, tol=None, random_state=0
    ...     ).fit(scale(X), y)
    ...     for init in ("he", "xavier")
    ... }
    >>> display = LayerStatisticsDisplay.from_estimators(models, scale(X), y)
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['|activations|', '|gradients|', 'zeros']
    """

    def __init__(
        self, activations: Mapping[str, Table], *, gradients: Mapping[str, Table] | None = None
    ) -> None:
        self.activations = activations
        self.gradients = gradients

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        ax: Any = None,
    ) -> Self:
        """Compute the statistics of one model and draw them.

        Parameters
        ----------
        estimator : DeepBinaryClassifier or Pipeline
            Fitted. A pipeline must end with the network; X goes through the steps before.
        X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
            Rows to look at. Rows on disk are read a block at a time.
        y : array-like or h5py.Dataset of shape (n_samples,), default=None
            Their labels; without them there are no gradients.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows in the gradients.
        ax : matplotlib Axes, default=None
            Whose place the panels take; by default that of a new figure.

        Returns
        -------
        LayerStatisticsDisplay

        Raises
        ------
        ImportError
            When matplotlib is missing, which the extra ``plot`` brings.
        TypeError, ValueError
            As in :func:`skdnn.inspection.gradient_statistics`.
        """
        models = {"": estimator}
        return cls.from_estimators(models, X, y, sample_weight=sample_weight, ax=ax)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        ax: Any = None,
    ) -> Self:
        """Compute the statistics of several models on the same rows and draw them side by side.

        Parameters
        ----------
        estimators : dict of str to DeepBinaryClassifier or Pipeline
            Fitted models by the name that the legend gives them, of any depths.
        X, y, sample_weight, ax
            As in `from_estimator`.

        Returns
        -------
        LayerStatisticsDisplay

        Raises
        ------
        ImportError
            When matplotlib is missing, which the extra ``plot`` brings.
        TypeError, ValueError
            As in :func:`skdnn.inspection.gradient_statistics`, and when ``estimators`` is no dict
            or empty.
        """
        require_matplotlib(f"{cls.__name__}.from_estimators")
        if not isinstance(estimators, Mapping):
            raise TypeError(
                "estimators must be a dict of fitted models by name, got "
                f"{type(estimators).__name__}: use from_estimator for a single model."
            )
        if not estimators:
            raise ValueError("estimators must hold at least one model, got an empty dict.")
        for name, estimator in estimators.items():
            fitted_network(estimator, f"estimators[{name!r}]" if name else "estimator")
        activations = {name: activation_statistics(e, X) for name, e in estimators.items()}
        gradients = None
        if y is not None:
            gradients = {
                name: gradient_statistics(e, X, y, sample_weight) for name, e in estimators.items()
            }
        return cls(activations, gradients=gradients).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the statistics.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Whose place the panels take; by default that of a new figure.

        Returns
        -------
        LayerStatisticsDisplay
            This display.
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        from matplotlib.patches import Patch

        is_new = ax is None
        panels = {"activations": self.activations}
        if self.gradients is not None:
            panels["gradients"] = self.gradients
        self.ax_ = ax = make_axes(ax, self, height=1.2 + 1.7 * (len(panels) + 1))
        self.figure_ = ax.figure
        self.axes_ = make_grid(ax, len(panels) + 1, 1)
        self.lines_: dict[str, list[Any]] = {name: [] for name in self.activations}
        self.bands_: dict[str, list[Any]] = {name: [] for name in self.activations}
        colours = palette()
        styles = {
            name: {
                "color": colours[i % len(colours)],
                "linestyle": LINE_STYLES[i % len(LINE_STYLES)],
                "marker": "o",
                "markersize": 3.5,
            }
            for i, name in enumerate(self.activations)
        }
        for panel, (label, tables) in zip(self.axes_, panels.items(), strict=False):
            for name, table in tables.items():
                self._draw_magnitudes(panel, name, table, styles[name])
            panel.set(yscale="log", ylabel=f"|{label}|")
        for name, table in self.activations.items():
            zeros = self.axes_[-1].plot(table.layer, table.zeros, label=name, **styles[name])
            self.lines_[name] += zeros
        self._label()
        band = Patch(color="gray", alpha=0.4, label="5 to 95 %")
        handles = [*(lines[0] for lines in self.lines_.values()), band]
        self.legend_ = add_legend(self.axes_[0], handles, is_new=is_new)
        return self

    def _draw_magnitudes(self, panel: Any, name: str, table: Table, style: Any) -> None:
        """Draw median and band; layers where all is 0, or overflows, are left open."""
        low, middle, high = (
            np.where(np.isfinite(column) & (column > 0), column, np.nan)
            for column in (table.low, table.median, table.high)
        )
        self.lines_[name] += panel.plot(table.layer, middle, label=name or "median", **style)
        band = panel.fill_between(table.layer, low, high, color=style["color"], alpha=0.3, lw=0)
        self.bands_[name].append(band)

    def _label(self) -> None:
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        n_layers = max(len(table.layer) for table in self.activations.values())
        for panel in self.axes_:
            panel.set_xlim(0.5, n_layers + 0.5)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            panel.label_outer()
        zeros = self.axes_[-1]
        zeros.yaxis.set_major_formatter(PercentFormatter(1.0))
        zeros.set(ylim=(-0.05, 1.05), ylabel="zeros", xlabel="layer (the last is the logit)")
        self.figure_.align_ylabels(self.axes_)
