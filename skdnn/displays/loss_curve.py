"""LossCurveDisplay: how the loss went down, epoch by epoch."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skdnn.classifier import DeepBinaryClassifier
from skdnn.displays.drawing import add_legend, make_axes, palette, require_matplotlib
from skdnn.ensemble import DeepEnsembleClassifier
from skdnn.inspection.subject import fitted_network

__all__ = ["LossCurveDisplay"]

_RATE_AXIS = "skdnn learning rate"


class LossCurveDisplay:
    """Training and validation loss of each epoch, the best epoch, and the learning rate.

    With ``solver="lbfgs"``, an epoch is an iteration. Of an ensemble, the curves of all networks
    are drawn, in a colour for each kind of them.

    Use `from_estimator` to make one. Curves go on over several calls of ``fit`` with
    ``warm_start``, and of ``partial_fit``.

    Parameters
    ----------
    loss_curve : array-like of shape (n_epochs,)
        Training loss of each epoch.
    validation_loss_curve : array-like of shape (n_validated,), default=None
        Log loss of the validation rows after each of the last ``n_validated`` epochs.
    best_iter : int, default=None
        The epoch whose parameters were kept, counted from 1 along ``validation_loss_curve``.
    learning_rate_curve : array-like of shape (n_epochs,), default=None
        Learning rate of each epoch.
    name : str, default=None
        Name of the model, put before the labels.
    step : str, default="epoch"
        What the curves count, the label of the x axis.

    Raises
    ------
    ValueError
        When a curve is no sequence of numbers, or is longer or shorter than the others allow.

    Attributes
    ----------
    line_, validation_line_, learning_rate_line_ : matplotlib Line2D or None
        The curves; of an ensemble, a list with one for each network.
    best_ : matplotlib Line2D or None
        Mark of the best epoch; of an ensemble, a list.
    ax_, figure_ : matplotlib Axes and Figure
        Where they were drawn.
    learning_rate_ax_ : matplotlib Axes or None
        The second axis.
    legend_ : matplotlib Legend
        What the curves are.

    See Also
    --------
    LayerStatisticsDisplay : Where the gradient fades, if the loss does not go down.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from skdnn import DeepBinaryClassifier
    >>> from skdnn.displays import LossCurveDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = DeepBinaryClassifier(
    ...     (32,), early_stopping=True, learning_rate="cosine", max_iter=30, tol=None,
    ...     random_state=0,
    ... )
    >>> display = LossCurveDisplay.from_estimator(model.fit(scale(X), y))
    >>> display.ax_.get_xlabel(), len(display.line_.get_ydata())
    ('epoch', 30)
    """

    def __init__(
        self,
        loss_curve: ArrayLike,
        *,
        validation_loss_curve: ArrayLike | None = None,
        best_iter: int | None = None,
        learning_rate_curve: ArrayLike | None = None,
        name: str | None = None,
        step: str = "epoch",
    ) -> None:
        self.loss_curve = losses = _as_curve("loss_curve", loss_curve)
        self.validation_loss_curve = self.learning_rate_curve = None
        n_validated = 0
        if validation_loss_curve is not None:
            self.validation_loss_curve = validation = _as_curve(
                "validation_loss_curve", validation_loss_curve
            )
            n_validated = validation.size
            if n_validated > losses.size:
                raise ValueError(
                    f"validation_loss_curve must not be longer than loss_curve, got {n_validated} "
                    f"and {losses.size} numbers."
                )
        if best_iter is not None and not 1 <= best_iter <= n_validated:
            raise ValueError(
                "best_iter must count from 1 along validation_loss_curve, which has "
                f"{n_validated} numbers, got {best_iter!r}."
            )
        if learning_rate_curve is not None:
            self.learning_rate_curve = rates = _as_curve("learning_rate_curve", learning_rate_curve)
            if rates.size != losses.size:
                raise ValueError(
                    f"learning_rate_curve must be as long as loss_curve, got {rates.size} and "
                    f"{losses.size} numbers."
                )
        self.best_iter = best_iter
        self.name = name
        self.step = step

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        name: str | None = None,
        show_learning_rate: bool | None = None,
        ax: Any = None,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the curves of a fitted network, or of all networks of an ensemble.

        Parameters
        ----------
        estimator : DeepBinaryClassifier, DeepEnsembleClassifier or Pipeline
            Fitted. A pipeline must end with the network or the ensemble.
        name : str, default=None
            Name of the model, put before the labels; for several models on the same ``ax``.
        show_learning_rate : bool, default=None
            Whether to draw the learning rate on a second axis; by default, if it changes.
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.
        line_kw : dict, default=None
            Passed to ``Axes.plot`` for the losses.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        ImportError
            When matplotlib is missing, which the extra ``plot`` brings.
        TypeError
            When the estimator is no such network.
        sklearn.exceptions.NotFittedError
            When it is not fitted.
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        options = {"show_learning_rate": show_learning_rate, "ax": ax, "line_kw": line_kw}
        last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        if isinstance(last, DeepEnsembleClassifier):
            check_is_fitted(last)
            of_all: Any = _EnsembleLossCurveDisplay(last.estimators_, name)
            return of_all.plot(**options)
        return cls._of(fitted_network(estimator, "estimator"), name).plot(**options)

    @classmethod
    def _of(cls, model: DeepBinaryClassifier, name: str | None) -> Any:
        """Return what is to be drawn of a network."""
        rates = model.learning_rate_curve_
        return cls(
            model.loss_curve_,
            validation_loss_curve=model.validation_loss_curve_,
            best_iter=model.best_iter_,
            # lbfgs has none, and what another solver left of it begins at another epoch
            learning_rate_curve=rates if len(rates) == len(model.loss_curve_) else None,
            name=name,
            step="iteration" if model.solver == "lbfgs" else "epoch",
        )

    def plot(
        self,
        *,
        show_learning_rate: bool | None = None,
        ax: Any = None,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the curves.

        Parameters
        ----------
        show_learning_rate, ax, line_kw
            As in `from_estimator`.

        Returns
        -------
        LossCurveDisplay
            This display.
        """
        is_new = ax is None
        self.ax_ = ax = make_axes(ax, self)
        from matplotlib.cbook import normalize_kwargs
        from matplotlib.lines import Line2D

        self.figure_ = ax.figure
        before = "" if self.name is None else f"{self.name}: "
        drawn = self._draw(before, show_learning_rate, normalize_kwargs(line_kw or {}, Line2D))
        self.legend_ = add_legend(ax, drawn, is_new=is_new)
        return self

    def _draw(self, before: str, show_learning_rate: bool | None, line_kw: Any) -> list[Any]:
        """Draw the curves, with a text before their labels; return what the legend names."""
        ax = self.ax_
        # several models on the same axes have a colour each, a single one a colour for each curve
        colour = sum(line.get_gid() == "loss" for line in ax.lines)
        epochs = np.arange(1, self.loss_curve.size + 1)
        self._draw_losses(epochs, before, colour, {"linewidth": 1.8, **line_kw})
        is_other = colour > 0 and ax.get_xlabel() != self.step
        ax.set(xlabel="epoch or iteration" if is_other else self.step, ylabel="loss")
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        self._draw_learning_rate(epochs, before, show_learning_rate)
        drawn = [*ax.lines]
        if self.learning_rate_ax_ is not None:
            drawn += self.learning_rate_ax_.lines
        return drawn

    def _draw_losses(self, epochs: Any, before: str, colour: int, style: dict[str, Any]) -> None:
        """Draw the losses, and a ring around the best epoch."""
        ax, colours = self.ax_, palette()
        # a single epoch makes no line
        common = {"marker": "." if epochs.size == 1 else ""}

        def draw(x: Any, y: Any, label: str, offset: int, **given: Any) -> Any:
            own = {"color": colours[(colour + offset) % len(colours)], "label": before + label}
            return ax.plot(x, y, **{**common, **own, **given, **style})[0]

        self.line_ = draw(epochs, self.loss_curve, "training loss", 0, gid="loss")
        self.validation_line_ = self.best_ = None
        if self.validation_loss_curve is None:
            return
        validation = self.validation_loss_curve
        validated = epochs[-validation.size :]
        self.validation_line_ = draw(
            validated, validation, "validation loss", int(not before), linestyle="--"
        )
        if self.best_iter is not None:
            epoch = int(validated[self.best_iter - 1])
            (self.best_,) = ax.plot(
                epoch,
                validation[self.best_iter - 1],
                linestyle="none",
                marker="o",
                markersize=9,
                markeredgewidth=2,
                markerfacecolor="none",
                markeredgecolor=self.validation_line_.get_color(),
                label=f"{before}best {self.step} ({epoch})",
                zorder=3,
            )

    def _draw_learning_rate(self, epochs: Any, before: str, wanted: bool | None) -> None:
        """Draw the rate on the second axis, which several models share."""
        ax = self.ax_
        axes = ax.get_shared_x_axes().get_siblings(ax)
        twin = next((other for other in axes if other.get_label() == _RATE_AXIS), None)
        self.learning_rate_line_ = None
        if self.learning_rate_curve is not None:
            rates = self.learning_rate_curve
            if wanted or (wanted is None and np.ptp(rates) > 0):
                if twin is None:
                    twin = ax.twinx()
                    twin.set(label=_RATE_AXIS, ylabel="learning rate")
                    # losses and legend before the rate
                    ax.set_zorder(twin.get_zorder() + 1)
                    twin.patch.set_visible(ax.patch.get_visible())
                    ax.patch.set_visible(False)
                (self.learning_rate_line_,) = twin.plot(
                    epochs,
                    rates,
                    color=self.line_.get_color() if before else palette()[2],
                    linestyle=":",
                    linewidth=1.5,
                    label=f"{before}learning rate",
                )
                twin.set_ylim(bottom=0)
        self.learning_rate_ax_ = twin


class _EnsembleLossCurveDisplay(LossCurveDisplay):
    """The curves of all networks of an ensemble, in a colour for each kind of them.

    Parameters
    ----------
    networks : list of DeepBinaryClassifier
        Fitted.
    name : str or None
        Name of the ensemble.
    """

    def __init__(self, networks: Sequence[DeepBinaryClassifier], name: str | None) -> None:
        self.name = name
        self._displays = [LossCurveDisplay._of(network, None) for network in networks]
        self._kinds = [
            f"{network.n_features_in_} inputs and {[b.size for b in network.intercepts_[:-1]]} "
            "units"
            for network in networks
        ]

    def _draw(self, before: str, show_learning_rate: bool | None, line_kw: Any) -> list[Any]:
        ax = self.ax_
        colours, kinds = palette(), list(dict.fromkeys(self._kinds))
        labels: dict[Any, str] = {}
        for display, kind in zip(self._displays, self._kinds, strict=True):
            style = {"linewidth": 0.8, "color": colours[kinds.index(kind) % len(colours)]}
            display.plot(
                show_learning_rate=show_learning_rate or False, ax=ax, line_kw=style | line_kw
            )
            of_kind = f", {kind}" if len(kinds) > 1 else ""
            for line, label in (
                (display.line_, f"{before}training loss{of_kind}"),
                (display.validation_line_, f"{before}validation loss"),
                (display.best_, f"{before}best {display.step}"),
            ):
                if line is not None:
                    line.set_label("_" if label in labels.values() else label)
                    labels.setdefault(line, line.get_label())
            if display.best_ is not None:
                display.best_.set(markersize=4, markeredgewidth=1)
        for attribute in ("line_", "validation_line_", "best_", "learning_rate_line_"):
            setattr(self, attribute, [getattr(display, attribute) for display in self._displays])
        self.learning_rate_ax_ = self._displays[-1].learning_rate_ax_
        if ax.get_legend() is not None:  # of the last network alone
            ax.get_legend().remove()
        return [line for line, label in labels.items() if label != "_"]


def _as_curve(name: str, values: Any) -> np.ndarray:
    """Return float64 of shape (n_epochs,), or raise ValueError."""
    try:
        curve = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        curve = np.empty(0)
    if curve.ndim != 1 or curve.size == 0:
        raise ValueError(
            f"{name} must be a sequence of at least one number, got {reprlib.repr(values)}."
        )
    return curve
