"""A fitted ensemble as attributes and arrays, encoders included, and the way back: no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.preprocessing import FunctionTransformer

from skdnn.classifier import DeepBinaryClassifier
from skdnn.container.exact_json import decode, encode
from skdnn.ensemble import DeepEnsembleClassifier
from skdnn.ensemble.defaults import check_kinds, is_identity
from skdnn.persistence.encoder import pack_encoder, unpack_encoder
from skdnn.persistence.model import (
    pack_classes,
    pack_model,
    pack_parameters,
    pack_text,
    set_parameters,
    unpack_classes,
    unpack_model,
    unpack_parameters,
)
from skdnn.preprocessing import TableEncoder

__all__ = ["pack_ensemble", "unpack_ensemble"]

Array = np.ndarray
Attributes = dict[str, Any]
Arrays = dict[str, Array]

# Parameters that are estimators or hold some, which have a form of their own
_NESTED = ("estimator", "encoder", "kinds")


def pack_ensemble(model: DeepEnsembleClassifier) -> tuple[Attributes, Arrays]:
    """Return what is stored of a fitted ensemble."""
    parameters = model.get_params(deep=False)
    packed = pack_parameters({k: v for k, v in parameters.items() if k not in _NESTED})
    packed["estimator"] = _pack_network(model.estimator)
    packed["encoder"] = _pack_encoder_parameter(model.encoder)
    packed["kinds"] = None
    if model.kinds is not None:
        packed["kinds"] = [
            [_pack_encoder_parameter(encoder), _pack_network(network), *map(float, share)]
            for encoder, network, *share in model.kinds
        ]
    encoders = list({id(e): e for e in (model.encoder_, *model.encoders_)}.values())
    place = {id(encoder): i for i, encoder in enumerate(encoders)}
    attributes: Attributes = {
        "class": type(model).__name__,
        "parameters": packed,
        "estimator_": _pack_network(model.estimator_),
        "oof_log_loss_": encode(model.oof_log_loss_),
        "classes/dtype": model.classes_.dtype.str,
        "n_features_in_": model.n_features_in_,
        "n_networks": len(model.estimators_),
        "n_encoders": len(encoders),
        "has_feature_names": hasattr(model, "feature_names_in_"),
    }
    arrays: Arrays = {
        "classes": pack_classes(model.classes_),
        "estimator_weights": model.estimator_weights_,
        "encoder_of": np.array([place[id(e)] for e in model.encoders_], np.int64),
    }
    if hasattr(model, "feature_names_in_"):
        arrays["feature_names"] = pack_text(model.feature_names_in_, "feature_names_in_")
    for i, encoder in enumerate(encoders):
        path = f"encoders/{i}"
        if isinstance(encoder, TableEncoder):
            more_attributes, more_arrays = pack_encoder(encoder, path)
        elif is_identity(encoder):
            more_attributes, more_arrays = {}, {f"{path}/none": np.zeros(1, bool)}
        else:
            raise ValueError(
                f"save_model stores TableEncoder() as an encoder, and no "
                f"{type(encoder).__name__}: save this ensemble with joblib.dump or skops.io.dump."
            )
        if i > 0:
            more_attributes[f"{path}/same_as_first"] = " ".join(
                _leave_out(more_arrays, arrays, path)
            )
        attributes |= more_attributes
        arrays |= more_arrays
    for k, member in enumerate(model.estimators_):
        more_attributes, more_arrays = pack_model(member)
        attributes |= {f"networks/{k}/{name}": v for name, v in more_attributes.items()}
        arrays |= {f"networks/{k}/{name}": array for name, array in more_arrays.items()}
    return attributes, arrays


def _leave_out(mine: Arrays, arrays: Arrays, path: str) -> list[str]:
    """Leave out what the first encoder has alike, such as levels; return the names of that."""
    left_out = []
    for name in [key.removeprefix(f"{path}/") for key in mine]:
        array, first = mine[f"{path}/{name}"], arrays.get(f"encoders/0/{name}")
        if first is not None and first.dtype == array.dtype and np.array_equal(first, array):
            left_out.append(name)
            del mine[f"{path}/{name}"]
    return left_out


def _pack_network(network: DeepBinaryClassifier | None) -> Any:
    return None if network is None else pack_parameters(network.get_params(deep=False))


def _pack_encoder_parameter(encoder: Any) -> Any:
    if encoder is None or isinstance(encoder, str):
        return encoder
    if isinstance(encoder, TableEncoder):
        return pack_parameters(encoder.get_params(deep=False))
    raise ValueError(
        f"save_model stores TableEncoder() as an encoder, and no {type(encoder).__name__}: save "
        "this ensemble with joblib.dump or skops.io.dump."
    )


# ---------------------------------------------------------------------- from the file


def unpack_ensemble(
    attributes: Mapping[str, Any], arrays: Mapping[str, Array]
) -> DeepEnsembleClassifier:
    """Return the ensemble that was stored, or raise an exception of any type."""
    model = DeepEnsembleClassifier()
    packed = dict(attributes["parameters"])
    nested = {name: packed.pop(name) for name in _NESTED}
    set_parameters(model, packed, _NESTED)
    model.estimator = _unpack_network(nested["estimator"])
    model.encoder = _unpack_encoder_parameter(nested["encoder"])
    if nested["kinds"] is not None:
        model.kinds = [
            (_unpack_encoder_parameter(encoder), _unpack_network(network), *share)
            for encoder, network, *share in nested["kinds"]
        ]
        check_kinds(model)
    model._validate_params()
    model.classes_ = unpack_classes(arrays["classes"], attributes["classes/dtype"])
    model.n_features_in_ = n_features = _number(attributes, "n_features_in_")
    names = None
    if attributes["has_feature_names"] is True:
        stored = arrays["feature_names"]
        if stored.dtype.kind != "U" or stored.shape != (n_features,):
            raise ValueError(f"'feature_names' must hold {n_features} strings.")
        names = model.feature_names_in_ = stored.astype(object)
    encoders = [
        _unpack_encoder(attributes, arrays, f"encoders/{i}", names)
        for i in range(_number(attributes, "n_encoders"))
    ]
    _share_columns(encoders)
    n_networks = _number(attributes, "n_networks")
    places, weights = arrays["encoder_of"], arrays["estimator_weights"]
    if places.dtype != np.int64 or places.shape != (n_networks,) or places.min() < 0:
        raise ValueError("'encoder_of' must be one place among the encoders for each network.")
    if weights.dtype != np.float64 or weights.shape != (n_networks,) or not (weights >= 0).all():
        raise ValueError("'estimator_weights' must be one weight for each network.")
    model.estimator_weights_ = weights
    model.encoders_ = [encoders[place] for place in places.tolist()]
    model.encoder_ = encoders[0]
    model.estimators_ = [
        _unpack_member(attributes, arrays, f"networks/{k}/", model, encoder)
        for k, encoder in enumerate(model.encoders_)
    ]
    model.estimator_ = unpack_parameters(attributes["estimator_"])
    model.oof_log_loss_ = decode(attributes["oof_log_loss_"])
    if not isinstance(model.oof_log_loss_, float):
        raise ValueError("'oof_log_loss_' must be a number.")
    return model


def _unpack_network(packed: Any) -> DeepBinaryClassifier | None:
    return None if packed is None else unpack_parameters(packed)


def _unpack_encoder_parameter(packed: Any) -> Any:
    if packed is None or isinstance(packed, str):
        return packed
    encoder = TableEncoder()
    set_parameters(encoder, packed)
    return encoder


def _share_columns(encoders: list[Any]) -> None:
    """Let encoders that prepare the same share it, so that prediction prepares a table once."""
    different: list[TableEncoder] = []
    for encoder in encoders:
        if isinstance(encoder, TableEncoder) and encoder._scaler is None:
            same = [e for e in different if e._columns == encoder._columns]
            if same:
                encoder._columns = same[0]._columns
            else:
                different.append(encoder)


def _unpack_encoder(
    attributes: Mapping[str, Any], arrays: Mapping[str, Array], path: str, names: Array | None
) -> Any:
    same = attributes.get(f"{path}/same_as_first", "")
    if not isinstance(same, str):
        raise ValueError(f"attribute '{path}/same_as_first' is {same!r:.40}: no text.")
    arrays = {**arrays, **{f"{path}/{name}": arrays[f"encoders/0/{name}"] for name in same.split()}}
    if f"{path}/none" in arrays:
        return FunctionTransformer()
    return unpack_encoder(attributes, arrays, path, names)


def _unpack_member(
    attributes: Mapping[str, Any],
    arrays: Mapping[str, Array],
    path: str,
    model: DeepEnsembleClassifier,
    encoder: Any,
) -> DeepBinaryClassifier:
    """Return a network that fits the ensemble's classes and its encoder's outputs."""
    member = unpack_model(
        {k.removeprefix(path): v for k, v in attributes.items() if k.startswith(path)},
        {k.removeprefix(path): v for k, v in arrays.items() if k.startswith(path)},
    )
    n_inputs = encoder.n_outputs_ if isinstance(encoder, TableEncoder) else model.n_features_in_
    if member.n_features_in_ != n_inputs or not np.array_equal(member.classes_, model.classes_):
        raise ValueError(f"{path[:-1]!r} does not fit the encoder or the classes.")
    return member


def _number(attributes: Mapping[str, Any], name: str) -> int:
    """Return a positive number from the attributes."""
    number = attributes[name]
    if type(number) is not int or number < 1:
        raise ValueError(f"attribute {name!r} is {number!r:.50}, and must be positive.")
    return number
