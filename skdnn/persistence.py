"""Fitted models as HDF5 files: no pickle, nothing executed, all or nothing.

A model becomes attributes and arrays here, and is built again from them; how these are kept in a
file is the container's business.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skdnn._container import (
    Contents,
    ModelFileError,
    as_file_error,
    open_container,
    write_container,
)
from skdnn._exact_json import decode, encode
from skdnn._parameters import check_dropout, check_hidden_layer_sizes
from skdnn._training_file import pack_state, pack_weights, unpack_state, unpack_weights
from skdnn.classifier import DeepBinaryClassifier

__all__ = ["ModelFileError", "load_model", "save_model"]

Array = np.ndarray
StrPath = str | os.PathLike[str]
Attributes = dict[str, Any]
Arrays = dict[str, Array]

_COUNTS = ("n_iter_", "t_")
_NUMBERS = ("loss_", "best_loss_", "best_validation_score_")
_CURVES = {
    "loss_curve_": "curves/loss",
    "learning_rate_curve_": "curves/learning_rate",
    "validation_loss_curve_": "curves/validation_loss",
    "validation_scores_": "curves/validation_scores",
}
# What a model may lack, or have in any length: listed in an attribute, so that its loss shows
_OPTIONAL = (
    "feature_names",
    *_CURVES.values(),
    "training_state/generator",
    "training_state/held_out",
    "training_state/latest/1/weights",
)
_WIDEST_LABEL = 10_000  # characters


def save_model(model: DeepBinaryClassifier, path: StrPath) -> None:
    """Save a fitted classifier as an HDF5 file.

    The file is written beside its place, brought to the disk and then moved there: whatever
    happens, the old file or the new one is there, whole. A process that is killed on the way may
    leave a hidden file behind that ends in ``.tmp``.

    Any HDF5 tool shows what is in it: ``layers/1/weights`` and ``layers/1/biases`` of each layer,
    ``curves``, ``classes``, and as JSON text in attributes the constructor's parameters and the
    other fitted attributes. With ``warm_start`` or after `partial_fit` also ``training_state``:
    solver moments, generator, and what else training needs to go on to the same bits. Equal models
    give equal bytes.

    Parameters
    ----------
    model : DeepBinaryClassifier
        Fitted classifier. Callbacks and metadata requests (``set_fit_request``) are not saved.
    path : str or path-like
        File to make or to replace; of a symbolic link, the file that it leads to.

    Raises
    ------
    NotFittedError
        When the model is not fitted.
    TypeError
        When it is anything but a DeepBinaryClassifier, such as a `Pipeline`: joblib saves these,
        and skops without pickle.
    ValueError
        When a parameter, the labels or an attribute has no form in the file; names it. Parameters
        may be None, bool, int, float, str, a NumPy number, and a list, tuple, dict or
        one-dimensional array of them, and come back with the same types: a list as a list, a
        tuple as a tuple. Callables and RandomState instances may not. Labels may be booleans,
        integers, floats of up to 64 bits and strings.
    OSError
        When the file cannot be written; names the path. Nothing is changed then.

    See Also
    --------
    load_model : The way back.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_breast_cancer
    >>> from skdnn import DeepBinaryClassifier
    >>> from skdnn.persistence import load_model, save_model
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = DeepBinaryClassifier((5,), solver="lbfgs", random_state=0, tol=None)
    >>> model = model.fit(X / X.max(axis=0), y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(model, Path(folder, "model.h5"))
    ...     loaded = load_model(Path(folder, "model.h5"))
    >>> bool((loaded.decision_function(X) == model.decision_function(X)).all())
    True
    """
    if type(model) is not DeepBinaryClassifier:
        raise TypeError(
            f"save_model saves a DeepBinaryClassifier and nothing else, got {type(model).__name__}."
            " Save pipelines and other estimators with joblib.dump, or with skops.io.dump."
        )
    check_is_fitted(model)
    attributes, arrays = _pack(model)
    # what could not be loaded again is not saved
    try:
        loaded = _unpack(attributes, arrays)
    except ValueError as error:
        raise ValueError(f"save_model cannot save this model: {error}") from error
    lost = [name for name in _public(model) if name not in _public(loaded)]
    if lost:
        raise ValueError(
            f"save_model cannot store {', '.join(lost)}: no fitted attribute of skdnn."
        )
    write_container(path, kind="model", attributes=attributes, arrays=arrays)


def load_model(path: StrPath) -> DeepBinaryClassifier:
    """Load a classifier that `save_model` saved.

    Everything is checked: first the SHA-256 of the contents, so that a damaged file is an error
    and never another model, then types, shapes, sizes and values. Nothing in the file is executed,
    and no other file is opened, so that a file from a stranger can do no harm; whether its weights
    are good is another matter.

    Parameters
    ----------
    path : str or path-like
        File to load.

    Returns
    -------
    DeepBinaryClassifier
        Fitted: predicts the same bits and, if it was saved with a training state, goes on with
        `partial_fit` and ``warm_start`` to the same bits.

    Raises
    ------
    ModelFileError
        When the file is anything but a whole model file in a format that this version knows.
    OSError
        When the file cannot be opened, FileNotFoundError if there is none.

    See Also
    --------
    save_model : The way there, with an example of both.

    Notes
    -----
    The promise holds for files damaged in any way, and for whatever can be written with HDF5's own
    interface and signed anew: links, foreign storage, filters, references, false sizes and the
    like are refused. It ends where someone forges HDF5's internal bytes and signs them: these are
    libhdf5's to parse.

    Examples
    --------
    >>> from skdnn.persistence import load_model
    >>> load_model("no such file")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'no such file'
    """
    return model_of(open_container(path), path)


def model_of(contents: Contents, path: StrPath) -> DeepBinaryClassifier:
    """Return the model that a file holds; ``path`` is what to call the file in an error."""
    try:
        if contents.kind != "model":
            raise ValueError(f"holds a {contents.kind[:40]}, not a model.")
        model = _unpack(contents.attributes, contents.arrays)
        _check_canonical(model, contents)
    except Exception as error:
        raise as_file_error(path, error) from error
    return model


def _check_canonical(model: DeepBinaryClassifier, contents: Contents) -> None:
    """Refuse what a model of this content would not have been saved as.

    Whatever no check has looked at, unknown entries above all, shows here.
    """
    attributes, arrays = _pack(model)
    found = {*contents.attributes, *contents.arrays}
    allowed = {*attributes, *arrays}
    for names, problem in ((found - allowed, "has the unknown"), (allowed - found, "lacks the")):
        if names:
            raise ValueError(f"{problem} entries {', '.join(sorted(map(repr, names)))}.")
    for name, value in attributes.items():
        # texts, because True == 1 == 1.0
        text, other = json.dumps(value), json.dumps(contents.attributes[name])
        if text != other:
            raise ValueError(f"attribute {name!r} is {other[:100]}, and must be {text[:100]}.")
    for name, array in arrays.items():
        stored = contents.arrays[name]
        if (array.dtype, array.shape) != (stored.dtype, stored.shape):
            raise ValueError(
                f"{name!r} is {stored.dtype} of shape {stored.shape}, and must be {array.dtype} of "
                f"shape {array.shape}."
            )


def _public(model: Any) -> list[str]:
    return [name for name in vars(model) if not name.startswith("_") or name == "_training_state"]


# ---------------------------------------------------------------------- to the file


def _pack(model: DeepBinaryClassifier) -> tuple[Attributes, Arrays]:
    """Return what is stored of a fitted model."""
    fitted = {name: encode(getattr(model, name)) for name in (*_COUNTS, *_NUMBERS, "best_iter_")}
    attributes: Attributes = {
        "class": type(model).__name__,
        "parameters": _pack_parameters(model.get_params(deep=False)),
        "fitted": fitted,
        "classes/dtype": model.classes_.dtype.str,
    }
    for i, weights in enumerate(model.coefs_, 1):
        attributes[f"layers/{i}/inputs"], attributes[f"layers/{i}/units"] = weights.shape
        is_last = i == len(model.coefs_)
        attributes[f"layers/{i}/activation"] = "logistic" if is_last else model.activation
    arrays = pack_weights((model.coefs_, model.intercepts_), "layers")
    arrays["classes"] = _pack_classes(model.classes_)
    if hasattr(model, "feature_names_in_"):
        arrays["feature_names"] = _pack_text(model.feature_names_in_, "feature_names_in_")
    for name, stored in _CURVES.items():
        if getattr(model, name) is not None:
            arrays[stored] = np.array(getattr(model, name), np.float64)
    if hasattr(model, "_training_state"):
        more_attributes, more_arrays = pack_state(model._training_state, "training_state")
        attributes |= more_attributes
        arrays |= more_arrays
    attributes["lengths"] = {name: len(arrays[name]) for name in _OPTIONAL if name in arrays}
    return attributes, arrays


def _pack_parameters(parameters: Mapping[str, Any]) -> Attributes:
    packed = {}
    for name, value in parameters.items():
        try:
            packed[name] = encode(value)
            json.dumps(packed[name])
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"save_model cannot store the parameter {name}={str(value)[:100]}: {error}. Set it "
                "to None, a number, a string, or a list, tuple or dict of them, or save the model "
                "with joblib."
            ) from error
    return packed


def _pack_classes(classes: Array) -> Array:
    if classes.dtype.kind in "OU":
        return _pack_text(classes, "classes_")
    if classes.dtype.kind in "biuf" and classes.dtype.itemsize <= 8:
        return classes.astype(classes.dtype.newbyteorder("="), copy=False)
    raise ValueError(
        f"save_model cannot store classes_ of dtype {classes.dtype}: labels may be booleans, "
        "integers, floats of up to 64 bits, and strings."
    )


def _pack_text(values: Array, name: str) -> Array:
    """Return strings as an array of them, which NUL at the end of one would not survive."""
    listed = values.tolist()
    if all(isinstance(value, str) for value in listed):
        text = np.array(listed, np.str_)
        if text.tolist() == listed:
            return text
    raise ValueError(
        f"save_model cannot store {name}: an object array must hold strings alone, and none with "
        "NUL at its end."
    )


# ---------------------------------------------------------------------- from the file


def _unpack(attributes: Mapping[str, Any], arrays: Mapping[str, Array]) -> DeepBinaryClassifier:
    """Return the model that was stored, or raise an exception of any type."""
    model = _unpack_parameters(attributes["parameters"])
    hidden = check_hidden_layer_sizes(model.hidden_layer_sizes)
    check_dropout(model.dropout, len(hidden), model.solver)
    first = arrays["layers/1/weights"]
    if first.ndim != 2 or first.shape[0] < 1:
        raise ValueError(f"'layers/1/weights' has the shape {first.shape}; it needs an input.")
    model.n_features_in_ = first.shape[0]
    layer_sizes = (model.n_features_in_, *hidden, 1)
    model.coefs_, model.intercepts_ = unpack_weights(arrays, "layers", layer_sizes)
    model.classes_ = _unpack_classes(arrays["classes"], attributes["classes/dtype"])
    if "feature_names" in arrays:
        names = arrays["feature_names"]
        if names.dtype.kind != "U" or names.shape != (model.n_features_in_,):
            raise ValueError(
                f"'feature_names' is {names.dtype} of shape {names.shape}, and must hold "
                f"{model.n_features_in_} strings."
            )
        model.feature_names_in_ = names.astype(object)
    model.n_layers_ = len(model.coefs_) + 1
    model.n_outputs_ = 1
    model.out_activation_ = "logistic"
    model.n_parameters_ = sum(array.size for array in (*model.coefs_, *model.intercepts_))
    _unpack_curves(model, arrays)
    _unpack_fitted(model, attributes["fitted"])
    if "training_state/rule" in attributes:
        model._training_state = unpack_state(attributes, arrays, "training_state", layer_sizes)
    return model


def _unpack_parameters(packed: Mapping[str, Any]) -> DeepBinaryClassifier:
    """Return an estimator with parameters that would pass at the beginning of fit."""
    model = DeepBinaryClassifier()
    known, found = set(model.get_params(deep=False)), set(packed)
    if known != found:
        raise ValueError(
            f"attribute 'parameters' has the unknown parameters {sorted(found - known)} and lacks "
            f"{sorted(known - found)}."
        )
    for name, value in packed.items():
        try:
            setattr(model, name, decode(value))
        except Exception as error:
            raise ValueError(f"parameter {name!r} cannot be decoded: {error}.") from error
    model._validate_params()
    return model


def _unpack_classes(stored: Array, dtype: str) -> Array:
    """Return the labels in the dtype that they had."""
    if stored.shape != (2,):
        raise ValueError(f"'classes' has the shape {stored.shape}, and must have (2,).")
    if stored.dtype.kind == "U":
        width = re.fullmatch(r"[<>]U(\d{1,5})", dtype)
        fits = width is not None and stored.dtype.itemsize <= 4 * int(width[1])
        allowed = dtype == "|O" or (fits and int(width[1]) <= _WIDEST_LABEL)  # type: ignore[index]
    else:
        allowed = dtype in (stored.dtype.str, stored.dtype.newbyteorder().str)
    if not allowed:
        raise ValueError(
            f"attribute 'classes/dtype' is {dtype[:40]!r}, which does not fit 'classes' of "
            f"{stored.dtype}; strings may have {_WIDEST_LABEL} characters."
        )
    classes = stored.astype(dtype)
    if not np.array_equal(np.unique(classes), classes):
        raise ValueError(f"'classes' must be two different labels in order, not {classes}.")
    return classes


def _unpack_curves(model: DeepBinaryClassifier, arrays: Mapping[str, Array]) -> None:
    for name, stored in _CURVES.items():
        curve = arrays.get(stored)
        if curve is not None and (curve.ndim != 1 or curve.dtype != np.float64):
            raise ValueError(
                f"{stored!r} is {curve.dtype} of shape {curve.shape}, and must be one row of "
                "float64."
            )
        setattr(model, name, None if curve is None else curve.tolist())
    loss, rates = model.loss_curve_, model.learning_rate_curve_
    if loss is None or rates is None:
        raise ValueError("lacks 'curves/loss' or 'curves/learning_rate'.")
    validation = len(model.validation_loss_curve_ or ()), len(model.validation_scores_ or ())
    if len(rates) > len(loss) or len(set(validation)) > 1 or validation[0] > len(loss):
        raise ValueError(
            f"the curves do not match: {len(loss)} losses, {len(rates)} learning rates, "
            f"{validation[0]} validation losses and {validation[1]} scores."
        )


def _unpack_fitted(model: DeepBinaryClassifier, packed: Mapping[str, Any]) -> None:
    for name in (*_COUNTS, *_NUMBERS, "best_iter_"):
        decoded = decode(packed[name])
        if name in _COUNTS:
            allowed = type(decoded) is int and decoded >= 0
        elif name == "best_iter_":
            n_scores = len(model.validation_scores_ or ())
            allowed = decoded is None or (type(decoded) is int and 1 <= decoded <= n_scores)
        else:
            missing = decoded is None and name != "loss_"
            allowed = missing or isinstance(decoded, float | np.floating)
        if not allowed:
            raise ValueError(f"attribute 'fitted' has {name!r} as {str(packed[name])[:100]}.")
        setattr(model, name, decoded)
