"""What y and sample_weight become: two classes, positive weights, a held-out part."""

from __future__ import annotations

from collections.abc import Set
from math import ceil
from numbers import Real
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from skdnn.datasets.hdf5 import as_labels

__all__ = [
    "apply_class_weight",
    "check_classes",
    "check_label_type",
    "check_labels",
    "check_masked",
    "check_numbers",
    "check_sample_weight",
    "encode_labels",
    "held_out_rows",
    "plain_labels",
]

Array = np.ndarray


def check_masked(array: Any, name: str) -> None:
    """Raise ValueError if entries are masked: what stands behind a mask is no data."""
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise ValueError(
            f"{name} has {np.ma.count_masked(array)} masked entries: leave those rows out, or fill "
            "them (array.filled(numpy.nan) and SimpleImputer, say)."
        )


def check_labels(y: Array, name: str = "y") -> Array:
    """Return labels in the dtype of what they are; raise ValueError for gaps and mixtures.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, 1)
        Labels; an array of objects that are numbers or booleans becomes one of those, and text of
        NumPy's StringDType fixed-width text.
    name : str, default="y"
        What to call y in an error.
    """
    if y.dtype.kind == "T":
        return check_labels(y.astype(object), name).astype(str)
    if y.dtype.kind in "fmM":
        missing = y != y  # NaN, NaT
    elif y.dtype == object:
        missing = np.fromiter(map(_is_missing, y.flat), bool, y.size)
    else:
        return y
    if missing.any():
        raise ValueError(
            f"{name} has {int(missing.sum())} missing labels, the first in row "
            f"{int(missing.argmax())} (NaN or None): leave those rows out, or label them."
        )
    if y.dtype.kind == "f" and np.isinf(y).any():
        raise ValueError(
            f"{name} contains infinity, which is no label: the first is in row "
            f"{int(np.isinf(y).argmax())}."
        )
    if y.dtype != object:
        return y
    kinds = {type(label) for label in y.flat}
    if all(issubclass(kind, Real | np.bool_) for kind in kinds):
        numbers = np.array(y.tolist())
        if numbers.dtype == object:
            raise ValueError(
                f"{name} has labels that are no numbers of NumPy: give text. The first is "
                f"{y.flat[0]!r:.50}."
            )
        return check_labels(numbers, name)
    if len(kinds) > 1 and not all(issubclass(kind, str) for kind in kinds):
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"{name} mixes labels of the types {names}: convert them to one.")
    return y


def check_label_type(y: Array, name: str = "y") -> None:
    """Raise ValueError for what is no label of a class, as numbers that are measured."""
    if y.dtype == object and y.size and not isinstance(y.flat[0], str | bytes):
        raise ValueError(
            f"{name} has labels of type {type(y.flat[0]).__name__}, like {y.flat[0]!r:.50}: give "
            "text, integers or booleans."
        )
    with np.errstate(all="ignore"):  # it casts to integers
        check_classification_targets(y)


def plain_labels(y: Any, name: str = "y") -> Any:
    """Return labels of files and those that are objects as what they hold; others as they are.

    Those of dtypes that are not NumPy's, too: scikit-learn makes floats of nullable integers and
    booleans.
    """
    if isinstance(y, h5py.Dataset):
        return as_labels(y)
    try:
        labels = np.asarray(y)
    except ValueError:  # scikit-learn says what is wrong with it
        return y
    if isinstance(y, list | tuple) and labels.dtype.kind in "US" and len({*map(type, y)}) > 1:
        labels = np.array(y, object)  # numbers would have become text
    if labels.ndim == 0:
        return y
    is_foreign = not isinstance(getattr(y, "dtype", labels.dtype), np.dtype)
    return check_labels(labels, name) if is_foreign or labels.dtype.kind in "TO" else y


def _is_missing(label: Any) -> bool:
    # pandas, which may not be there, has its own
    is_pandas = type(label).__name__ in ("NAType", "NaTType")
    return label is None or is_pandas or (isinstance(label, float) and label != label)


def check_classes(classes: ArrayLike | None) -> Array:
    """Return the two labels that partial_fit is told of in its first call, sorted."""
    if classes is None:
        raise ValueError("classes must be passed on the first call to partial_fit.")
    if isinstance(classes, Set):
        classes = list(classes)
    labels = [classes] if np.ndim(classes) == 0 else plain_labels(classes, "classes")
    known = np.unique(check_labels(column_or_1d(labels), "classes"))
    if known.size != 2:
        raise ValueError(
            "Only binary classification is supported: classes must hold 2 different labels, got "
            f"{classes!r}."
        )
    return known


def encode_labels(
    y: ArrayLike, known: Array | None = None, *, need_both: bool = True, name: str = "y"
) -> tuple[Array, Array]:
    """Return the class labels, and which rows are of the second class.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels.
    known : ndarray of shape (2,), default=None
        Labels that y may have; found in y by default.
    need_both : bool, default=True
        Whether y must have rows of both classes.
    name : str, default="y"
        What to call y in an error.

    Returns
    -------
    classes : ndarray of shape (2,)
    positive : ndarray of bool of shape (n_samples,)

    Raises
    ------
    ValueError
        When y does not hold two classes, or not the known ones.
    """
    check_masked(y, name)
    y = check_labels(column_or_1d(y, warn=True), name)
    if y.dtype.kind not in "biuUS":  # classes in any case, and a look takes its time
        check_label_type(y, name)
    found = np.unique(y)
    labels = _listed(found)
    if known is not None and not np.isin(found, known).all():
        unknown = np.setdiff1d(found, known)
        raise ValueError(
            f"{name} has {_listed(unknown)}, which {'is' if unknown.size == 1 else 'are'} not "
            f"among the classes {_joined(known)}: {name} must have the same classes as "
            "the rows trained on before (fit, warm_start, partial_fit)."
        )
    if found.size > 2:
        raise ValueError(
            "Only binary classification is supported. The type of the target is "
            f"{type_of_target(y)}: {name} has {labels}. For more than two classes, use "
            "sklearn.multiclass.OneVsRestClassifier around this classifier."
        )
    if known is None and found.size < 2:
        raise ValueError(
            "This classifier needs samples of 2 classes in the data, but the data contains "
            f"only one class: {found[0]}."
        )
    if known is not None and need_both and found.size < known.size:
        raise ValueError(
            f"{name} must have the same classes as the rows trained on before (fit, warm_start, "
            f"partial_fit): they are {_joined(known)}, {name} has {labels} alone."
        )
    classes = found if known is None else known
    return classes, y == classes[1]


def _listed(labels: Array, most: int = 5) -> str:
    """Return labels as an error names them."""
    more = ", ..." if labels.size > most else ""
    return f"the label{'s' if labels.size > 1 else ''} {_joined(labels[:most])}{more}"


def _joined(labels: Array) -> str:
    """Return labels one after the other, text in quotes."""
    return ", ".join(
        repr(label) if isinstance(label, str) else str(label) for label in labels.tolist()
    )


def check_numbers(values: Any) -> None:
    """Raise TypeError for text, dates and durations: NumPy makes numbers of them without a word."""
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    if not kind and not isinstance(values, h5py.Dataset):  # a list, a series of polars
        values = np.asarray(values)
        kind = values.dtype.kind
    if kind in "USTVmM" or (isinstance(values, h5py.Dataset) and kind not in "biuf"):
        raise TypeError(f"its dtype is {values.dtype}")
    if kind != "O":
        return
    for entry in {type(entry): entry for entry in np.asarray(values).flat}.values():
        if isinstance(entry, str | bytes | np.datetime64 | np.timedelta64):
            raise TypeError(f"{entry!r:.50} is {type(entry).__name__}")


def check_sample_weight(
    sample_weight: Any, n_samples: int, name: str = "sample_weight"
) -> Array | None:
    """Return sample weights as float64, or None; raise ValueError for what cannot be weights."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, str):
        raise ValueError(
            f"{name} must be numbers, one a row of X, got {sample_weight!r}. Classes are "
            "weighed by class_weight, rows by numbers."
        )
    check_masked(sample_weight, name)
    try:
        check_numbers(sample_weight)
        if isinstance(sample_weight, Real):
            sample_weight = np.full(n_samples, sample_weight, np.float64)
        weight = check_array(
            sample_weight, ensure_2d=False, allow_nd=True, dtype=np.float64, input_name=name
        )
    except (TypeError, ValueError) as error:
        if name in str(error):
            raise
        raise ValueError(
            f"{name} must be numbers, one a row of X, got {sample_weight!r:.100}: {error}"
        ) from error
    if weight.shape != (n_samples,):
        raise ValueError(
            f"{name} must have shape ({n_samples},), one weight a row of X; got {weight.shape}."
        )
    least = weight.min()
    if np.isnan(least):  # assume_finite leaves it to us
        raise ValueError(f"{name} contains NaN, first in row {int(np.isnan(weight).argmax())}.")
    if least < 0:
        raise ValueError(f"{name} must not be negative: row {int(weight.argmin())} has {least}.")
    if not weight.any():
        raise ValueError(f"{name} must have a positive entry, but every weight is zero.")
    return weight


def apply_class_weight(
    class_weight: Any, classes: Array, positive: Array, sample_weight: Array | None
) -> Array | None:
    """Multiply sample weights by the weights of the rows' classes.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        Weight of each label, 1 where a dict does not name it. "balanced" weighs the classes
        inversely to the sums of their sample weights.
    classes : ndarray of shape (2,)
        Class labels.
    positive : ndarray of bool of shape (n_samples,)
        Which rows are of the second class.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the rows.

    Returns
    -------
    ndarray of shape (n_samples,) or None

    Raises
    ------
    ValueError
        For class weights that are none, that leave nothing, or whose sum overflows.
    """
    with np.errstate(all="ignore"):
        weight = _weighted(class_weight, classes, positive, sample_weight)
        if weight is not None and not np.isfinite(weight.sum()):
            raise ValueError(
                "The sum of the weights (sample_weight, class_weight) overflows: scale them down."
            )
    if weight is not None and not weight.any():
        raise ValueError("class_weight leaves no row a positive weight: all are zero.")
    return weight


def _weighted(
    class_weight: Any, classes: Array, positive: Array, sample_weight: Array | None
) -> Array | None:
    if class_weight is None:
        return sample_weight
    if isinstance(class_weight, dict):
        labels = classes.tolist()
        unknown = [label for label in class_weight if label not in labels]
        if unknown:
            raise ValueError(
                f"class_weight names {unknown}, which are not among the classes {labels}."
            )
        given = [class_weight.get(label, 1) for label in labels]
        try:
            if any(isinstance(weight, str | None) for weight in given):
                raise TypeError("a weight is no number")
            check_numbers(given)
            by_class = np.array(given, float)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"class_weight must map labels to numbers, got {class_weight!r}."
            ) from error
    else:
        present = np.unique(positive)
        by_class = np.ones(2)
        by_class[present.astype(np.intp)] = compute_class_weight(
            class_weight, classes=present, y=positive, sample_weight=sample_weight
        )
    if not (np.isfinite(by_class) & (by_class >= 0)).all():
        raise ValueError(f"class_weight must not be negative or infinite, got {class_weight!r}.")
    weight = by_class[positive.astype(np.intp)]
    return weight if sample_weight is None else weight * sample_weight


def held_out_rows(positive: Array, fraction: float, random_state: np.random.RandomState) -> Array:
    """Draw a stratified part of the rows for validation.

    Parameters
    ----------
    positive : ndarray of bool of shape (n_samples,)
        Which rows are of the second class.
    fraction : float
        Share of the rows; at least one row of each class is drawn, and one is left.
    random_state : RandomState
        Generator to draw from.

    Returns
    -------
    held_out : ndarray of bool of shape (n_samples,)

    Raises
    ------
    ValueError
        When a class has a single row, so that it cannot be on both sides.
    """
    n_samples = positive.size
    n_positive = int(np.count_nonzero(positive))
    smaller = min(n_positive, n_samples - n_positive)
    if smaller < 2:
        raise ValueError(
            f"The least populated classes in y have only {smaller} member, but early_stopping "
            "needs 2 rows of each class, one to train and one to validate on."
        )
    n_held_out = max(ceil(fraction * n_samples), 2)
    # the share of each class, but one row of each on either side
    share = min(max(round(n_held_out * n_positive / n_samples), 1), n_positive - 1)
    rest = min(max(n_held_out - share, 1), n_samples - n_positive - 1)
    held_out = np.zeros(n_samples, bool)
    for label, size in ((False, rest), (True, share)):
        rows = np.flatnonzero(positive == label)
        held_out[random_state.permutation(rows)[:size]] = True
    return held_out
