"""WeightImageDisplay: what each unit of the first layer looks for, as an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skdnn.displays.drawing import (
    check_image_shape,
    image_grid_height,
    make_axes,
    make_grid,
    require_matplotlib,
)
from skdnn.inspection.subject import check_count, fitted_network

__all__ = ["WeightImageDisplay"]

_N_COLUMNS = 6


class WeightImageDisplay:
    """Weights of the first layer's units as images, those of the largest norm first.

    Use `from_estimator` to make one. A weight of 0 is white in an image of one channel (positive
    weights are red, negative ones blue), and grey in one of three: there, a colour is what the
    unit looks for. All images share one scale, that ends where 99.5 % of the weights do.

    Parameters
    ----------
    weights : array-like of shape (n_features, n_units)
        Weights of the units to draw.
    image_shape : tuple of int
        (height, width) or (height, width, channels), of 1 or 3 channels, in C order.
    units : sequence of int, default=None
        Numbers of the units; by default 0, 1, ...

    Attributes
    ----------
    images_ : list of matplotlib AxesImage
        One a unit.
    colorbar_ : matplotlib Colorbar or None
        Scale of images of one channel.
    axes_ : ndarray of matplotlib Axes of shape (n_units,)
        Where the images are.
    ax_, figure_ : matplotlib Axes and Figure
        Empty axes around the images, for a title, and the figure.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdnn import DeepBinaryClassifier
    >>> from skdnn.displays import WeightImageDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> model = DeepBinaryClassifier((10,), max_iter=5, tol=None, random_state=0)
    >>> display = WeightImageDisplay.from_estimator(model.fit(X / 16, y == 3), image_shape=(8, 8))
    >>> len(display.images_), display.images_[0].get_array().shape
    (10, (8, 8))
    """

    def __init__(
        self,
        weights: ArrayLike,
        *,
        image_shape: tuple[int, ...],
        units: Sequence[int] | None = None,
    ) -> None:
        self.weights = weights
        self.image_shape = image_shape
        self.units = units

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        image_shape: tuple[int, ...],
        n_units: int = 12,
        ax: Any = None,
    ) -> Self:
        """Draw units of a fitted network.

        Parameters
        ----------
        estimator : DeepBinaryClassifier or Pipeline
            Fitted. A pipeline must end with the network, whose inputs must still be the pixels.
        image_shape : tuple of int
            (height, width) or (height, width, channels), of 1 or 3 channels, in C order.
        n_units : int, default=12
            Number of units: those of the largest norm.
        ax : matplotlib Axes, default=None
            Whose place the images take; by default that of a new figure.

        Returns
        -------
        WeightImageDisplay

        Raises
        ------
        ImportError
            When matplotlib is missing, which the extra ``plot`` brings.
        TypeError
            When the estimator is no such network.
        ValueError
            When ``image_shape`` does not fit the features, or ``n_units`` is not positive.
        sklearn.exceptions.NotFittedError
            When the estimator is not fitted.
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        weights = fitted_network(estimator, "estimator").coefs_[0]
        check_image_shape(image_shape, weights.shape[0])
        check_count("n_units", n_units)
        norms = np.linalg.norm(weights, axis=0)
        units = np.argsort(-norms, kind="stable")[:n_units]
        display = cls(weights[:, units], image_shape=image_shape, units=units.tolist())
        return display.plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the images.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Whose place the images take; by default that of a new figure.

        Returns
        -------
        WeightImageDisplay
            This display.
        """
        weights = np.asarray(self.weights, np.float64)
        shape = check_image_shape(self.image_shape, weights.shape[0])
        n_units = weights.shape[1]
        units = range(n_units) if self.units is None else self.units
        n_columns = min(n_units, _N_COLUMNS)
        require_matplotlib(f"{type(self).__name__}.plot")
        margin = 1.0 if len(shape) == 2 else 0.0  # for the colour bar
        height = image_grid_height(n_units, n_columns, shape, n_title_lines=1, margin=margin)
        self.ax_ = ax = make_axes(ax, self, height)
        self.figure_ = ax.figure
        self.axes_ = make_grid(ax, n_units, n_columns, n_title_lines=1, cell_width=0.7)
        limit = float(np.quantile(np.abs(weights), 0.995)) or 1.0
        self.images_ = []
        for panel, unit, image in zip(
            self.axes_, units, weights.T.reshape(-1, *shape), strict=True
        ):
            if len(shape) == 3:
                drawn = panel.imshow(np.clip(0.5 + 0.5 * image / limit, 0, 1))
            else:
                drawn = panel.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit)
            self.images_.append(drawn)
            panel.set_title(f"unit {unit}", fontsize="small", pad=3)
            panel.set(xticks=[], yticks=[])
        self.colorbar_ = None
        if len(shape) == 2:
            self.colorbar_ = self.figure_.colorbar(
                self.images_[0], ax=[*self.axes_], label="weight", extend="both"
            )
        return self
