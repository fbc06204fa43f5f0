"""The converter of DeepEnsembleClassifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from skl2onnx._parse import _parse_sklearn
from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

from skdnn.ensemble.defaults import is_identity
from skdnn.onnx.classifier import (
    add_labels,
    add_logits,
    add_probabilities,
    infer_network_outputs,
    infer_outputs,
    set_scores,
)
from skdnn.onnx.graph import Graph
from skdnn.onnx.table import Prepared, add_encoded, add_prepared, check_inputs
from skdnn.preprocessing import TableEncoder

__all__ = ["convert_ensemble", "infer_ensemble_outputs"]


def infer_ensemble_outputs(operator: Any) -> None:
    """Check the inputs of an ensemble and state the types of its outputs, for skl2onnx."""
    for encoder in operator.raw_operator.encoders_:
        if isinstance(encoder, TableEncoder):
            check_inputs(operator, encoder, "DeepEnsembleClassifier")
        elif is_identity(encoder):
            infer_network_outputs(operator)
    first = operator.inputs[0].type  # of which skl2onnx expects the others' type
    infer_outputs(operator, isinstance(first, DoubleTensorType))


def convert_ensemble(scope: Any, operator: Any, container: Any) -> None:
    """Convert a DeepEnsembleClassifier: encoders once, then all networks, then their mean."""
    graph, model = Graph(scope, operator, container), operator.raw_operator
    prepared: dict[int, Prepared] = {}
    encoded: dict[int, str] = {}
    logits = []
    for encoder, member in zip(model.encoders_, model.estimators_, strict=True):
        if id(encoder) not in encoded:
            encoded[id(encoder)] = _add_encoder(
                graph, scope, operator.inputs, encoder, model.encoders_, prepared
            )
        logits.append(add_logits(graph, encoded[id(encoder)], member, np.float32))
    positive = graph.cast(graph.side_by_side(logits), np.float64)  # (n_samples, n_networks)
    weights = graph.constant(model.estimator_weights_[:, np.newaxis].astype(np.float64))
    means = [
        graph.add("MatMul", add_probabilities(graph, side, np.float64), weights)
        for side in (graph.add("Neg", positive), positive)
    ]
    if graph.option("raw_scores"):
        against, towards = (graph.add("Log", mean) for mean in means)
        scores = [graph.add("Sub", against, towards), graph.add("Sub", towards, against)]
    else:
        scores = means
    set_scores(graph, graph.side_by_side(scores), operator)
    add_labels(graph, graph.add("Greater", means[1], means[0]), model.classes_)


def _add_encoder(
    graph: Graph,
    scope: Any,
    inputs: Any,
    encoder: Any,
    encoders: list[Any],
    prepared: dict[int, Prepared],
) -> str:
    """Add a member's encoder, one of all; return the encoded table, float32."""
    if isinstance(encoder, TableEncoder):
        # kinds that differ in their bins alone prepare the same
        key = id(encoder._columns)
        if key not in prepared:
            sharing = [e for e in encoders if getattr(e, "_columns", None) is encoder._columns]
            prepared[key] = add_prepared(graph, sharing, inputs)
        return add_encoded(graph, encoder, prepared[key])
    if is_identity(encoder):
        return graph.side_by_side([graph.cast(v.full_name, np.float32) for v in inputs])
    (variable,) = _parse_sklearn(scope, encoder, list(inputs))
    if isinstance(variable.type, StringTensorType):
        raise TypeError(f"{type(encoder).__name__} gives text, which no network takes.")
    return graph.cast(variable.full_name, np.float32)
