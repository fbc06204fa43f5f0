"""MistakesDisplay: the rows that a model is most sure of, and wrong about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike
from scipy.special import expit
from sklearn.utils import check_consistent_length, column_or_1d

from skdnn.datasets.rows import take_rows
from skdnn.displays.drawing import (
    as_images,
    check_image_shape,
    image_grid_height,
    make_axes,
    make_grid,
    palette,
    require_matplotlib,
)
from skdnn.displays.outstanding import MixedRows, as_rows, outstanding_features
from skdnn.inspection import Table
from skdnn.inspection.subject import Subject, check_count, fitted_network
from skdnn.network.prediction import predict_logits

__all__ = ["MistakesDisplay"]

Array = np.ndarray

_N_COLUMNS = 4

# Letters of a feature's name, of a label or text, and of the note below that are shown
_LONGEST_NAME = 26
_LONGEST_LABEL = 12
_LONGEST_NOTE = 40

# Width of a letter of a heading or a feature's name, in inches
_LETTER = 0.068


class MistakesDisplay:
    """The most confident errors, as images or as the features that stand out.

    Use `from_estimator` or `from_predictions` to make one. Only the rows that are shown are kept;
    while they are chosen, memory holds a few numbers for each row of X, and a block of rows.

    Parameters
    ----------
    mistakes : Table
        One entry a mistake, the most confident first: ``row`` (its index), ``truth``,
        ``prediction`` and ``probability`` (that the model gave to its prediction).
    rows : {ndarray, CSR matrix} of shape (n_mistakes, n_features)
        The rows themselves; of dtype object where columns are of several types.
    n_wrong, n_samples : int
        Number of all mistakes, and of all rows.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels): rows are drawn as images.
    features : Table, default=None
        Without ``image_shape``: what stands out, one entry a bar: ``row``, ``feature`` (its name),
        ``value`` and ``deviation`` (from the mean of all rows, in standard deviations).
    left_out : sequence of str, default=()
        Names of the columns that cannot stand out, which the label tells.

    Attributes
    ----------
    images_ : list of matplotlib AxesImage
        One a mistake; empty without ``image_shape``.
    bars_ : matplotlib BarContainer or None
        Deviations; None with ``image_shape``.
    headings_ : list of matplotlib Text
        One a mistake.
    axes_ : ndarray of matplotlib Axes
        Where the images are, one each, or the one that has the bars.
    ax_, figure_ : matplotlib Axes and Figure
        The axes given or made, with the title, and the figure.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skdnn import DeepBinaryClassifier
    >>> from skdnn.displays import MistakesDisplay
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> model = make_pipeline(
    ...     StandardScaler(), DeepBinaryClassifier(max_iter=20, tol=None, random_state=0)
    ... ).fit(X, y)
    >>> display = MistakesDisplay.from_estimator(model, X, y, n_mistakes=2, n_features=1)
    >>> list(display.mistakes), list(display.features)
    (['row', 'truth', 'prediction', 'probability'], ['row', 'feature', 'value', 'deviation'])
    """

    def __init__(
        self,
        mistakes: Table,
        *,
        rows: Any,
        n_wrong: int,
        n_samples: int,
        image_shape: tuple[int, ...] | None = None,
        features: Table | None = None,
        left_out: Sequence[str] = (),
    ) -> None:
        self.mistakes = mistakes
        self.rows = rows
        self.n_wrong = n_wrong
        self.n_samples = n_samples
        self.image_shape = image_shape
        self.features = features
        self.left_out = left_out

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        image_shape: tuple[int, ...] | None = None,
        n_mistakes: int | None = None,
        n_features: int = 3,
        feature_names: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Self:
        """Predict the rows, and draw those that a network gets most confidently wrong.

        Parameters
        ----------
        estimator : DeepBinaryClassifier or Pipeline
            Fitted. A pipeline must end with the network; X goes through the steps before.
        X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
            Rows to predict, also a DataFrame or an array with columns of several types. Rows on
            disk are read a block at a time. Rows are shown as they are given, before the steps of
            a pipeline. Texts that are no columns, and columns of several types with an
            ``image_shape``, are shown as the network gets them.
        y : array-like or h5py.Dataset of shape (n_samples,)
            Their labels.
        image_shape : tuple of int, default=None
            (height, width) or (height, width, channels), of 1 or 3 channels: show rows as images.
            By default, the features that stand out are shown.
        n_mistakes : int, default=None
            Number of mistakes shown; by default 12 images, or 5 rows.
        n_features : int, default=3
            Number of features shown of each row: those that deviate most from the mean of X, in
            standard deviations; of a sparse row, among those that are not 0. A text deviates as
            the indicator of this text does: the more, the fewer rows have it. Columns of dates, or
            of more than 50 texts or of texts that hardly repeat, are left out.
        feature_names : sequence of str, default=None
            Names of the columns of X; by default its own, or those of the pipeline where rows are
            shown as the network gets them, else x0, x1, ...
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.

        Returns
        -------
        MistakesDisplay

        Raises
        ------
        ImportError
            When matplotlib is missing, which the extra ``plot`` brings.
        TypeError
            When the estimator is no such network.
        ValueError
            When X, y or the other arguments do not suit the model or each other.
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        fitted_network(estimator, "estimator")
        _check_numbers(n_mistakes, n_features)
        subject = Subject(estimator, X)
        positive, _ = subject.check_targets(y, None)
        rows, names = as_rows(X)
        is_mixed = isinstance(rows, MixedRows)
        if rows is None or (is_mixed and (image_shape is not None or not rows.can_show.any())):
            rows, names = subject.rows, subject.feature_names()
        model = subject.model
        logits = np.empty(subject.n_samples)
        for place, block in subject.blocks():
            with np.errstate(all="ignore"):
                logits[place] = predict_logits(
                    block, model.coefs_, model.intercepts_, model._hidden_activation
                )
        if np.isnan(logits).any():
            row = int(np.isnan(logits).argmax())
            raise ValueError(f"Row {row} of X has no prediction: its hidden activations overflow.")
        # by the logits: probabilities round to 1
        wrong = np.where(positive, -logits, logits)
        wrong[positive == (logits > 0)] = -np.inf
        display = cls._from_scores(
            wrong,
            expit(wrong),
            positive,
            rows,
            classes=model.classes_,
            feature_names=names if feature_names is None else feature_names,
            image_shape=image_shape,
            n_mistakes=n_mistakes,
            n_features=n_features,
        )
        return display.plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_proba: ArrayLike,
        X: ArrayLike,
        *,
        pos_label: Any = None,
        image_shape: tuple[int, ...] | None = None,
        n_mistakes: int | None = None,
        n_features: int = 3,
        feature_names: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the rows that any binary classifier gets most confidently wrong.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels of two classes.
        y_proba : array-like of shape (n_samples,) or (n_samples, 2)
            Probability of the positive class, or of both as ``predict_proba`` gives them.
        X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
            The rows, also a DataFrame or an array with columns of several types. Images are in
            numbers.
        pos_label : label, default=None
            The positive class; by default the second of the sorted labels.
        image_shape, n_mistakes, n_features, feature_names, ax
            As in `from_estimator`.

        Returns
        -------
        MistakesDisplay

        Raises
        ------
        ImportError
            When matplotlib is missing, which the extra ``plot`` brings.
        ValueError
            When the arguments do not suit each other, or the labels are not of two classes.
        """
        require_matplotlib(f"{cls.__name__}.from_predictions")
        _check_numbers(n_mistakes, n_features)
        rows, names = as_rows(X)
        is_mixed = isinstance(rows, MixedRows)
        if rows is None or (is_mixed and image_shape is not None):
            allowed = "of shape (n_samples, n_features)" if rows is None else "of numbers"
            raise ValueError(
                f"X must be a matrix {allowed}, got {type(X).__name__} of shape {np.shape(X)}."
            )
        labels = column_or_1d(y_true)
        classes = np.unique(labels)
        if classes.size != 2:
            raise ValueError(f"y_true must hold two classes, got {classes.tolist()}.")
        if pos_label is not None and pos_label not in classes:
            raise ValueError(f"pos_label must be one of {classes.tolist()}, got {pos_label!r}.")
        if pos_label is not None and pos_label == classes[0]:
            classes = classes[::-1]
        probability = np.asarray(y_proba, np.float64)
        if probability.ndim == 2 and probability.shape[1] == 2:
            # the columns are in the order of the sorted labels, whatever is positive
            probability = probability[:, int(classes[1] > classes[0])]
        if probability.ndim != 1 or not ((probability >= 0) & (probability <= 1)).all():
            raise ValueError(
                "y_proba must be probabilities of shape (n_samples,) or (n_samples, 2), got shape "
                f"{np.shape(y_proba)} with values from {probability.min():.3g} to "
                f"{probability.max():.3g}."
            )
        check_consistent_length(labels, probability, rows)
        positive = labels == classes[1]
        confidence = np.where(positive, 1 - probability, probability)
        score = np.where(positive == (probability > 0.5), -np.inf, confidence)
        display = cls._from_scores(
            score,
            confidence,
            positive,
            rows,
            classes=classes,
            feature_names=names if feature_names is None else feature_names,
            image_shape=image_shape,
            n_mistakes=n_mistakes,
            n_features=n_features,
        )
        return display.plot(ax=ax)

    @classmethod
    def _from_scores(
        cls,
        scores: Array,
        confidence: Array,
        positive: Array,
        X: Any,
        *,
        classes: Array,
        feature_names: Sequence[str] | None,
        image_shape: tuple[int, ...] | None,
        n_mistakes: int | None,
        n_features: int,
    ) -> Self:
        """Keep the mistakes of the highest scores; -inf is no mistake."""
        if n_mistakes is None:
            n_mistakes = 5 if image_shape is None else 12
        if image_shape is not None:
            check_image_shape(image_shape, X.shape[1])
        if feature_names is not None and len(feature_names) != X.shape[1]:
            raise ValueError(
                f"feature_names must name the {X.shape[1]} features, got {len(feature_names)} "
                "names."
            )
        wrong = np.flatnonzero(scores > -np.inf)
        chosen = wrong[np.argsort(-scores[wrong], kind="stable")][:n_mistakes]
        truth = positive[chosen].astype(np.intp)
        mistakes = Table(
            row=chosen,
            truth=classes[truth],
            prediction=classes[1 - truth],
            probability=confidence[chosen],
        )
        is_mixed = isinstance(X, MixedRows)
        rows = X.entries[chosen] if is_mixed else take_rows(X, chosen)
        features, left_out = None, []
        if image_shape is None:
            features = outstanding_features(X, rows, chosen, feature_names, n_features)
            if is_mixed:
                names = feature_names or [f"x{k}" for k in range(X.shape[1])]
                left_out = [names[k] for k, shown in enumerate(X.can_show) if not shown]
        return cls(
            mistakes,
            rows=rows,
            n_wrong=wrong.size,
            n_samples=positive.size,
            image_shape=image_shape,
            features=features,
            left_out=left_out,
        )

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the mistakes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default in a new figure.

        Returns
        -------
        MistakesDisplay
            This display.
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        n_shown = len(self.mistakes.row)
        self.images_: list[Any] = []
        self.headings_: list[Any] = []
        self.bars_ = None
        if n_shown == 0:
            self.ax_ = make_axes(ax, self, 0.6)
            self.ax_.set_axis_off()
            self.axes_ = np.empty(0, object)
        elif self.image_shape is None:
            self._plot_features(ax)
        else:
            self._plot_images(ax)
        self.figure_ = self.ax_.figure
        shown = "" if n_shown == self.n_wrong else f"{n_shown} of "
        plural = "" if self.n_wrong == 1 else "s"
        self.ax_.set_title(
            f"{shown}{self.n_wrong} mistake{plural} in {self.n_samples} rows", fontsize="medium"
        )
        return self

    def _plot_images(self, ax: Any) -> None:
        shape = check_image_shape(self.image_shape, self.rows.shape[1])
        n_images = self.rows.shape[0]
        n_columns = min(n_images, _N_COLUMNS)
        height = image_grid_height(n_images, n_columns, shape, n_title_lines=2)
        self.ax_ = make_axes(ax, self, height)
        self.axes_ = make_grid(self.ax_, n_images, n_columns, n_title_lines=2, cell_width=1.0)
        rows = self.rows.toarray() if scipy.sparse.issparse(self.rows) else np.asarray(self.rows)
        images = zip(self.axes_, self._entries(), as_images(rows, shape), strict=True)
        for panel, (row, truth, prediction, probability), image in images:
            self.images_.append(panel.imshow(image, cmap="gray", vmin=0, vmax=1))
            heading = f"row {row} is {truth}\nP({prediction}) = {probability:.3f}"
            self.headings_.append(panel.set_title(heading, fontsize="small", pad=3))
            panel.set(xticks=[], yticks=[])

    def _plot_features(self, ax: Any) -> None:
        features: Any = self.features
        is_new = ax is None
        self.ax_ = ax = make_axes(ax, self)
        self.axes_ = np.array([ax], object)
        ticks = [
            f"{_shorten_left(name, _LONGEST_NAME)} = {_as_text(value)}"
            for name, value in zip(features.feature, features.value, strict=True)
        ]
        headings = [
            (f"row {row} is {truth}", f"P({prediction}) = {probability:.3f}")
            for row, truth, prediction, probability in self._entries()
        ]
        # one line each if the widest is not wider than what the names of the features leave
        longest = max(len(first) + 2 + len(second) for first, second in headings)
        room = ax.get_window_extent().width / ax.figure.dpi
        room -= _LETTER * max(map(len, ticks), default=0)
        n_lines = 1 if _LETTER * longest <= room else 2
        if is_new:
            n_places = len(ticks) + (0.3 + n_lines) * len(headings)
            ax.figure.set_figheight(1.0 + 0.27 * n_places + 0.17 * bool(self.left_out))
        places, place = [], 0.0
        for row, parts in zip(self.mistakes.row, headings, strict=True):
            self.headings_.append(
                ax.text(
                    0.01,
                    place + 0.35 * (n_lines - 1),
                    (", " if n_lines == 1 else "\n").join(parts),
                    transform=ax.get_yaxis_transform(),
                    va="center",
                    fontweight="bold",
                    fontsize="small",
                    # the line of the mean does not go through the words
                    bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 1},
                )
            )
            place += n_lines
            for _ in range(np.count_nonzero(features.row == row)):
                places.append(place)
                place += 1
            place += 0.3
        below, above = palette()[:2]
        colours = np.where(features.deviation > 0, above, below)
        self.bars_ = ax.barh(places, features.deviation, height=0.7, color=colours)
        ax.axvline(0, color=ax.xaxis.label.get_color(), linewidth=0.8)
        ax.set_yticks(places, ticks, fontsize="small")
        ax.tick_params(axis="y", length=0)
        xlabel = "deviation from the mean (sd)"
        if self.left_out:
            xlabel += "\n" + _shorten(f"left out: {', '.join(self.left_out)}", _LONGEST_NOTE)
        ax.set(ylim=(place - 0.7, -0.7), xlabel=xlabel)

    def _entries(self) -> Iterator[tuple[Any, str, str, float]]:
        mistakes = self.mistakes
        for row, truth, prediction, probability in zip(
            mistakes.row, mistakes.truth, mistakes.prediction, mistakes.probability, strict=True
        ):
            labels = (_shorten(str(label), _LONGEST_LABEL) for label in (truth, prediction))
            yield row, *labels, probability


def _check_numbers(n_mistakes: int | None, n_features: int) -> None:
    if n_mistakes is not None:
        check_count("n_mistakes", n_mistakes)
    check_count("n_features", n_features)


def _as_text(value: Any) -> str:
    return _shorten(value, _LONGEST_LABEL) if isinstance(value, str) else f"{value:.4g}"


def _shorten_left(text: str, longest: int) -> str:
    """Keep the end, which says more where steps of a pipeline put their names before."""
    return text if len(text) <= longest else "…" + text[1 - longest :]


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
