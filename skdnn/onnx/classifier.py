"""The converter of DeepBinaryClassifier."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from skl2onnx._parse import _parse_sklearn_classifier
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)

from skdnn.onnx.graph import Graph, width_of

__all__ = [
    "OPTIONS",
    "add_labels",
    "add_logits",
    "add_probabilities",
    "convert_network",
    "infer_network_outputs",
    "infer_outputs",
    "parse_classifier",
    "set_scores",
]

Array = np.ndarray

# What skl2onnx's converters of binary classifiers can be asked for
OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],
}


def parse_classifier(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Declare a classifier's outputs as skl2onnx does, and note whether a ZipMap follows."""
    _check_labels(scope, model)
    scope.add_options(id(model), scope.get_options(model, {"zipmap": True}))
    return _parse_sklearn_classifier(scope, model, inputs, custom_parsers=custom_parsers)


def infer_network_outputs(operator: Any) -> None:
    """Check the inputs of a network and state the types of its outputs, for skl2onnx."""
    model = operator.raw_operator
    widths = [width_of(variable) for variable in operator.inputs]
    if None not in widths and sum(widths) != model.n_features_in_:
        raise ValueError(
            f"The inputs have {sum(widths)} columns, but {type(model).__name__} was fitted on "
            f"{model.n_features_in_}."
        )
    for variable in operator.inputs:
        if isinstance(variable.type, StringTensorType):
            raise TypeError(
                f"Input {variable.raw_name!r} is text, which a network cannot take: encode it in "
                "a step before, or use DeepEnsembleClassifier."
            )
    infer_outputs(operator, any(isinstance(v.type, DoubleTensorType) for v in operator.inputs))


def infer_outputs(operator: Any, is_double: bool) -> None:
    """State the types of label and probabilities."""
    n_rows = operator.inputs[0].get_first_dimension()
    model = operator.raw_operator
    options = operator.scope_inst.get_options(model, {"nocl": False, "zipmap": False})
    _check_labels(operator.scope_inst, model)
    is_text = model.classes_.dtype.kind in "OU" and not options.get("nocl")
    operator.outputs[0].type = (StringTensorType if is_text else Int64TensorType)([n_rows])
    if options.get("zipmap") is True:
        is_double = False  # onnxruntime has ZipMap for float32 alone
    operator.outputs[1].type = (DoubleTensorType if is_double else FloatTensorType)([n_rows, 2])


def _check_labels(scope: Any, model: Any) -> None:
    """Raise ValueError for labels that are asked for, but neither text nor numbers of int64."""
    classes = model.classes_
    is_beyond = classes.dtype.kind == "u" and classes[-1] > np.iinfo(np.int64).max
    is_asked_for = not scope.get_options(model, {"nocl": False}).get("nocl")
    if is_asked_for and (classes.dtype.kind in "mMS" or is_beyond):
        raise ValueError(
            f"Labels of dtype {classes.dtype} have no form in ONNX: give text or integers of int64."
        )


def convert_network(scope: Any, operator: Any, container: Any) -> None:
    """Convert a DeepBinaryClassifier, in float64 if an input is, else in float32."""
    graph = Graph(scope, operator, container)
    is_double = any(isinstance(v.type, DoubleTensorType) for v in operator.inputs)
    dtype = np.float64 if is_double else np.float32
    X = graph.side_by_side([graph.cast(v.full_name, dtype) for v in operator.inputs])
    logits = add_logits(graph, X, operator.raw_operator, dtype)
    log_odds = graph.side_by_side([graph.add("Neg", logits), logits])  # of each class
    if graph.option("raw_scores"):
        set_scores(graph, log_odds, operator)
    else:
        set_scores(graph, add_probabilities(graph, log_odds, dtype), operator)
    positive = graph.add("Greater", logits, graph.constant(np.array(0, dtype)))
    add_labels(graph, positive, operator.raw_operator.classes_)


def add_logits(graph: Graph, X: str, model: Any, dtype: Any) -> str:
    """Add the network of a fitted model; return its logits, (n_samples, 1)."""
    n_hidden = len(model.coefs_) - 1
    for layer, (weights, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        X = graph.add(
            "Gemm", X, graph.constant(weights.astype(dtype)), graph.constant(bias.astype(dtype))
        )
        if layer < n_hidden:
            X = _add_activation(graph, X, model, dtype)
    return X


def add_probabilities(graph: Graph, log_odds: str, dtype: Any) -> str:
    """Add the expit of log-odds; onnxruntime's Sigmoid is 0 below -18."""
    one = graph.constant(np.array(1, dtype))
    odds = graph.add("Exp", graph.add("Neg", log_odds))  # against
    return graph.add("Div", one, graph.add("Add", odds, one))


def _add_activation(graph: Graph, z: str, model: Any, dtype: Any) -> str:
    """Add a hidden activation, of operators that onnxruntime has for float64 too."""

    def number(value: float) -> str:
        return graph.constant(np.array(value, dtype))

    activation = model._hidden_activation
    name = activation.name
    if name == "identity":
        return z
    if name in ("logistic", "tanh", "relu"):
        return graph.add({"logistic": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}[name], z)
    if name == "leaky_relu":
        return graph.add("Max", z, graph.add("Mul", z, number(activation.slope)))
    if name == "elu":
        below = graph.add("Exp", graph.add("Min", z, number(0)))
        return graph.add("Add", graph.add("Relu", z), graph.add("Sub", below, number(1)))
    if name == "silu":
        return graph.add("Mul", z, graph.add("Sigmoid", z))
    if name == "gelu":
        # onnxruntime has Erf for float32 alone
        scaled = graph.cast(graph.add("Mul", z, number(math.sqrt(0.5))), np.float32)
        erf = graph.cast(graph.add("Erf", scaled), dtype)
        share = graph.add("Mul", graph.add("Add", erf, number(1)), number(0.5))
        return graph.add("Mul", z, share)
    raise NotImplementedError(f"The converter knows no activation {name!r}.")


def set_scores(graph: Graph, scores: str, operator: Any) -> None:
    """Let the second output be probabilities or log-odds, in the dtype that was stated."""
    is_double = isinstance(operator.outputs[1].type, DoubleTensorType)
    graph.set_output(1, graph.cast(scores, np.float64 if is_double else np.float32))


def add_labels(graph: Graph, positive: str, classes: Array) -> None:
    """Add the label output, given whether each row is of ``classes[1]``, (n_samples, 1)."""
    if graph.option("nocl"):
        classes = np.arange(2)
    elif classes.dtype.kind not in "OU":
        classes = classes.astype(np.int64)  # of booleans, and of floats, which are whole
    shape = graph.constant(np.array([-1], np.int64))
    index = graph.add("Reshape", graph.cast(positive, np.int64), shape)
    graph.set_output(0, graph.add("Gather", graph.constant(classes), index, axis=0))
