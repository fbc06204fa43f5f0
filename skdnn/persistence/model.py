"""A fitted model as attributes and arrays, and the way back: no pickle, nothing executed.

How these are kept in a file is the container's business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from skdnn.classifier import DeepBinaryClassifier
from skdnn.container.container import Contents
from skdnn.container.exact_json import decode, encode
from skdnn.network.activations import ACTIVATIONS
from skdnn.parameters import check_layers
from skdnn.persistence.state import pack_state, pack_weights, unpack_state, unpack_weights

__all__ = [
    "check_canonical",
    "pack_classes",
    "pack_model",
    "pack_parameters",
    "pack_text",
    "parameters_to_save",
    "set_parameters",
    "unpack_classes",
    "unpack_model",
    "unpack_parameters",
]

Array = np.ndarray
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


def check_canonical(attributes: Attributes, arrays: Arrays, contents: Contents) -> None:
    """Refuse contents that differ from what would have been saved of what was read from them.

    Whatever no check has looked at, unknown entries above all, shows here.
    """
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


# ---------------------------------------------------------------------- to the file


def pack_model(model: DeepBinaryClassifier) -> tuple[Attributes, Arrays]:
    """Return what is stored of a fitted model."""
    fitted = {name: encode(getattr(model, name)) for name in (*_COUNTS, *_NUMBERS, "best_iter_")}
    attributes: Attributes = {
        "class": type(model).__name__,
        "parameters": pack_parameters(parameters_to_save(model)),
        "fitted": fitted,
        "classes/dtype": model.classes_.dtype.str,
    }
    activation, slope = model._name_and_slope
    for i, weights in enumerate(model.coefs_, 1):
        attributes[f"layers/{i}/inputs"], attributes[f"layers/{i}/units"] = weights.shape
        is_last = i == len(model.coefs_)
        attributes[f"layers/{i}/activation"] = "logistic" if is_last else activation
    if slope != model.negative_slope:  # set to another after fit
        attributes["layers/negative_slope"] = slope
    arrays = pack_weights((model.coefs_, model.intercepts_), "layers")
    arrays["classes"] = pack_classes(model.classes_)
    if hasattr(model, "feature_names_in_"):
        arrays["feature_names"] = pack_text(model.feature_names_in_, "feature_names_in_")
    for name, stored in _CURVES.items():
        if getattr(model, name) is not None:
            arrays[stored] = np.array(getattr(model, name), np.float64)
    if hasattr(model, "_training_state"):
        more_attributes, more_arrays = pack_state(model._training_state, "training_state")
        attributes |= more_attributes
        arrays |= more_arrays
    attributes["lengths"] = {name: len(arrays[name]) for name in _OPTIONAL if name in arrays}
    return attributes, arrays


def parameters_to_save(model: DeepBinaryClassifier) -> dict[str, Any]:
    """Return the constructor's parameters without those that are of the place, not the model."""
    parameters = model.get_params(deep=False)
    return {k: v for k, v in parameters.items() if k not in model._unsaved_parameters}


def pack_parameters(parameters: Mapping[str, Any]) -> Attributes:
    """Return the constructor's parameters as JSON values; ValueError names one that has no form."""
    packed = {}
    for name, value in parameters.items():
        try:
            packed[name] = encode(value)
            json.dumps(packed[name])
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"a file cannot store the parameter {name}={str(value)[:100]}: {error}. Set it to "
                "None, a number, a string, or a list, tuple or dict of them (joblib saves fitted "
                "models as they are)."
            ) from error
    return packed


def pack_classes(classes: Array) -> Array:
    """Return labels as an array that a file can hold."""
    if classes.dtype.kind in "OU":
        return pack_text(classes, "classes_")
    if classes.dtype.kind in "biuf" and classes.dtype.itemsize <= 8:
        return classes.astype(classes.dtype.newbyteorder("="), copy=False)
    raise ValueError(
        f"save_model cannot store classes_ of dtype {classes.dtype}: labels may be booleans, "
        "integers, floats of up to 64 bits, and strings."
    )


def pack_text(values: Array, name: str) -> Array:
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


def unpack_model(
    attributes: Mapping[str, Any], arrays: Mapping[str, Array]
) -> DeepBinaryClassifier:
    """Return the model that was stored, or raise an exception of any type."""
    model = unpack_parameters(attributes["parameters"])
    check_layers(model)
    layer_sizes = _layer_sizes_of(attributes, arrays)
    model.n_features_in_ = layer_sizes[0]
    model._set_weights(unpack_weights(arrays, "layers", layer_sizes))
    _unpack_activation(model, attributes)
    model.classes_ = unpack_classes(arrays["classes"], attributes["classes/dtype"])
    if "feature_names" in arrays:
        names = arrays["feature_names"]
        if names.dtype.kind != "U" or names.shape != (model.n_features_in_,):
            raise ValueError(
                f"'feature_names' is {names.dtype} of shape {names.shape}, and must hold "
                f"{model.n_features_in_} strings."
            )
        model.feature_names_in_ = names.astype(object)
    _unpack_curves(model, arrays)
    _unpack_fitted(model, attributes["fitted"])
    if "training_state/rule" in attributes:
        model._training_state = unpack_state(attributes, arrays, "training_state", layer_sizes)
    return model


def _layer_sizes_of(attributes: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[int, ...]:
    """Return the sizes of the layers that there are; the parameter may be another by now."""
    sizes: list[int] = []
    while f"layers/{max(1, len(sizes))}/units" in attributes:
        name = f"layers/{max(1, len(sizes))}/weights"
        shape = arrays[name].shape
        if len(shape) != 2 or not all(shape):
            raise ValueError(f"{name!r} has the shape {shape}; it needs an input and a unit.")
        sizes += shape[len(sizes) > 0 :]
    if sizes[-1:] != [1]:
        raise ValueError(f"'layers' end with {sizes[-1:]} units, and must with one.")
    return tuple(sizes)


def _unpack_activation(model: DeepBinaryClassifier, attributes: Mapping[str, Any]) -> None:
    """Set what the hidden layers were trained with, where the parameters say otherwise."""
    if len(model.coefs_) > 1:
        model.activation_ = attributes["layers/1/activation"]
        if model.activation_ not in ACTIVATIONS:
            raise ValueError(
                f"attribute 'layers/1/activation' is {model.activation_!r:.40}, and must be one of "
                f"{ACTIVATIONS}."
            )
    slope = attributes.get("layers/negative_slope", model.negative_slope_)
    if type(slope) is not float or not 0 <= slope < 1:
        raise ValueError(f"attribute 'layers/negative_slope' is {slope!r:.40}: not in [0, 1).")
    model.negative_slope_ = slope


def unpack_parameters(packed: Mapping[str, Any]) -> DeepBinaryClassifier:
    """Return an estimator with parameters that would pass at the beginning of fit."""
    model = DeepBinaryClassifier()
    set_parameters(model, packed)
    return model


def set_parameters(model: Any, packed: Mapping[str, Any], others: Collection[str] = ()) -> None:
    """Set the constructor's parameters, all but ``others``, and check what they may be."""
    known, found = set(model.get_params(deep=False)) - set(others), set(packed)
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


def unpack_classes(stored: Array, dtype: str) -> Array:
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
