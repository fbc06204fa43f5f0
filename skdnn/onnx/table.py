"""The converter of TableEncoder: what it prepares of each column, then what its layout makes of it.

Numbers are centred and scaled in float64, as in the encoder; the rest is float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

from skdnn.onnx.graph import Graph, width_of
from skdnn.preprocessing import TableEncoder
from skdnn.preprocessing.encodings import FARTHEST, Category, Number
from skdnn.preprocessing.layout import CLIP, Output

__all__ = [
    "Prepared",
    "add_encoded",
    "add_prepared",
    "check_inputs",
    "convert_table_encoder",
    "infer_encoded",
    "parse_table_encoder",
    "table_types",
]

Array = np.ndarray

# A cell of text that is missing: the last three are what onnxruntime makes of None, NaN and
# pandas.NA. One that is a category is no gap.
_GAPS = ("", "None", "nan", "<NA>")


class Prepared:
    """What is prepared of a table, (n_samples, n_prepared) in another order than the encoder's.

    Parameters
    ----------
    tensor : str
        float32, with NaN for gaps.
    place : dict of {int: int}
        Where each of the encoder's columns, by its number, is.
    """

    def __init__(self, tensor: str, place: dict[int, int]) -> None:
        self.tensor, self._place = tensor, place

    def with_log_odds(self, graph: Graph, encoder: TableEncoder) -> Prepared:
        """Return what is prepared, log-odds in the stead of the places that have them."""
        tensors, place = [self.tensor], dict(self._place)
        for k, (number, _, _) in enumerate(encoder._by_target):
            if encoder._log_odds[k].size:
                log_odds = graph.constant(encoder._log_odds[k].astype(np.float32))
                at = graph.cast(graph.columns(self.tensor, [place[number]]), np.int64)
                place[number] = len(place) + len(tensors) - 1
                tensors.append(graph.add("Gather", log_odds, at))
        return Prepared(graph.side_by_side(tensors), place)

    def places(self, outputs: list[Output]) -> list[int]:
        """Return in which column the source of each output is."""
        return [self._place[output.source] for output in outputs]


def table_types(encoder: TableEncoder) -> list[tuple[str, Any]]:
    """Return names and types of the inputs of a fitted encoder; see `skdnn.onnx.input_types`."""
    n_features = encoder.n_features_in_
    if encoder._scaler is not None:
        return [("X", FloatTensorType([None, n_features]))]
    is_text = np.zeros(n_features, bool)
    for j, column in encoder._columns:
        is_text[j] = isinstance(column, Category) and column.is_text
    names = getattr(encoder, "feature_names_in_", None)
    if names is None and not is_text.any():
        return [("X", DoubleTensorType([None, n_features]))]
    # of a column that was dropped, nothing else is known
    dropped = np.ones(n_features, bool)
    dropped[[j for j, _ in encoder._columns]] = False
    is_text |= dropped & encoder.categorical_features_
    names = [f"x{j}" for j in range(n_features)] if names is None else names
    return [
        (name, (StringTensorType if text else DoubleTensorType)([None, 1]))
        for name, text in zip(names, is_text.tolist(), strict=True)
    ]


def check_inputs(operator: Any, encoder: TableEncoder, owner: str) -> None:
    """Raise unless the inputs are the columns of a fitted encoder, each of its type."""
    places = _places_of_columns(operator.inputs, encoder.n_features_in_, owner)
    names = getattr(encoder, "feature_names_in_", range(encoder.n_features_in_))
    kinds = {isinstance(column, Category) and column.is_text for _, column in encoder._columns}
    if len(operator.inputs) == 1 and len(kinds) > 1:
        raise ValueError(
            f"{owner} was fitted on columns of text and of numbers, which skl2onnx hands to it as "
            "one, as those of an entry of a ColumnTransformer: make an entry of each kind, or "
            f"give {owner} the whole table."
        )
    for j, column in encoder._columns:
        wants_text = isinstance(column, Category) and column.is_text
        variable, _ = places[j]
        if isinstance(variable.type, StringTensorType) != wants_text:
            found, wanted = ("text", "numbers") if not wants_text else ("numbers", "text")
            raise TypeError(
                f"Column {names[j]!r} held {wanted} in fit, and input {variable.raw_name!r} is of "
                f"{found}: see skdnn.onnx.input_types for the types that {owner} takes."
            )


def parse_table_encoder(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Declare an encoder's output, float32: skl2onnx would take it for as wide as the input."""
    operator = scope.declare_local_operator("SkdnnTableEncoder", model)
    operator.inputs = inputs
    operator.outputs.append(scope.declare_local_variable("variable", FloatTensorType()))
    return operator.outputs


def infer_encoded(operator: Any) -> None:
    """Check the inputs of an encoder and state the type of its output, for skl2onnx."""
    encoder = operator.raw_operator
    check_inputs(operator, encoder, "TableEncoder")
    n_rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = FloatTensorType([n_rows, encoder.n_outputs_])


def convert_table_encoder(scope: Any, operator: Any, container: Any) -> None:
    """Convert a TableEncoder."""
    graph, encoder = Graph(scope, operator, container), operator.raw_operator
    prepared = add_prepared(graph, [encoder], operator.inputs)
    graph.set_output(0, add_encoded(graph, encoder, prepared))


def _places_of_columns(inputs: Any, n_features: int, owner: str) -> list[tuple[Any, int]]:
    """Return which input each column is in, and where there."""
    widths = [width_of(variable) for variable in inputs]
    if len(inputs) == 1 and widths[0] is None:
        widths = [n_features]
    places = [
        (variable, k) for variable, width in zip(inputs, widths, strict=True) for k in range(width)
    ]
    if len(places) != n_features:
        raise ValueError(
            f"The inputs have {len(places)} columns, but {owner} was fitted on {n_features}."
        )
    return places


# ---------------------------------------------------------------------- prepared columns


def add_prepared(graph: Graph, encoders: Sequence[TableEncoder], inputs: Any) -> Prepared:
    """Add what encoders that share their columns prepare of a table, as far as one uses it."""
    encoder = encoders[0]
    if encoder._scaler is not None:  # was sparse
        X = graph.side_by_side([graph.cast(v.full_name, np.float64) for v in inputs])
        scaled = graph.add("Div", X, graph.constant(encoder._scaler.scale_.astype(np.float64)))
        return Prepared(graph.cast(scaled, np.float32), {})
    places = _places_of_columns(inputs, encoder.n_features_in_, "TableEncoder")
    used = {place for user in encoders for place, _ in user._replaced}
    numbers: list[tuple[int, int, Number]] = []
    tensors: list[str] = []
    order: list[int] = []
    first = 0
    for j, column in encoder._columns:
        if isinstance(column, Number):
            numbers.append((first, j, column))
        elif column.group != 0 or first in used:
            x = _column(graph, *places[j])
            is_narrow = isinstance(places[j][0].type, FloatTensorType)
            dtype = np.dtype(np.float32 if is_narrow else np.float64)
            tensors.append(_add_category(graph, x, column, dtype))
            order += range(first, first + column.n_prepared)
        first += column.n_prepared
    if numbers:
        X = _add_columns_of_numbers(graph, [places[j] for _, j, _ in numbers])
        tensors.append(_add_numbers(graph, X, [number for _, _, number in numbers]))
        order += [place for place, _, _ in numbers]
    place = {number: place for place, number in enumerate(order)}
    return Prepared(graph.side_by_side(tensors), place)


def _column(graph: Graph, variable: Any, k: int) -> str:
    """Return a column of an input, (n_samples, 1)."""
    if width_of(variable) == 1:
        return variable.full_name
    return graph.columns(variable.full_name, [k])


def _add_columns_of_numbers(graph: Graph, places: list[tuple[Any, int]]) -> str:
    """Return columns of numbers as one matrix of float64."""
    variables = {id(variable): variable for variable, _ in places}
    if len(variables) == 1:
        (variable,) = variables.values()
        X = graph.cast(variable.full_name, np.float64)
        return graph.columns(X, [k for _, k in places])
    return graph.side_by_side([graph.cast(_column(graph, *place), np.float64) for place in places])


def _add_numbers(graph: Graph, X: str, numbers: list[Number]) -> str:
    """Centre, scale and clip; NaN stays, which onnxruntime's Clip would not promise."""
    center = graph.constant(np.array([number.center for number in numbers], np.float64))
    scale = graph.constant(np.array([number.scale for number in numbers], np.float64))
    scaled = graph.add("Mul", graph.add("Sub", X, center), scale)
    low, high = (graph.constant(np.array(sign * FARTHEST, np.float64)) for sign in (-1, 1))
    clipped = graph.add("Clip", scaled, low, high)
    gap = graph.constant(np.array(np.nan, np.float64))
    return graph.cast(graph.add("Where", graph.add("IsNaN", X), gap, clipped), np.float32)


def _add_category(graph: Graph, x: str, category: Category, dtype: np.dtype) -> str:
    """Return codes, and places among the log-odds if there are any, side by side.

    ``dtype`` is that of the column, if it is of numbers.
    """
    parts = []
    if category.group:
        parts.append((category.codes.astype(np.float32), float(category.group), np.nan))
    if category.by_target:
        n_levels = len(category.levels)
        parts.append((np.arange(n_levels, dtype=np.float32), n_levels + 1.0, float(n_levels)))
    if category.is_text:
        return graph.side_by_side([_add_lookup(graph, x, category, *part) for part in parts])
    levels, known = category.levels_in(dtype)
    x = graph.cast(x, levels.dtype)
    # not one of a level's tests is true where there is none
    is_level = graph.cast(graph.add("Equal", x, graph.constant(levels)), np.float32)
    missing = graph.add("IsNaN", x)
    columns = []
    for values, unseen, gap in parts:
        above = graph.constant((values[known] - np.float32(unseen))[:, np.newaxis])
        found = graph.add("MatMul", is_level, above)
        value = graph.add("Add", found, graph.constant(np.array(unseen, np.float32)))
        gap_value = graph.constant(np.array(gap, np.float32))
        columns.append(graph.add("Where", missing, gap_value, value))
    return graph.side_by_side(columns)


def _add_lookup(
    graph: Graph, x: str, category: Category, values: Array, unseen: float, gap: float
) -> str:
    """Return what stands for each text."""
    levels = [str(level) for level in category.levels.tolist()]
    gaps = [text for text in _GAPS if text not in set(levels)]
    return graph.add(
        "LabelEncoder",
        x,
        domain="ai.onnx.ml",
        op_version=2,  # a later one is none that skl2onnx knows
        keys_strings=[*levels, *gaps],
        values_floats=[*values.tolist(), *[gap] * len(gaps)],
        default_float=unseen,
    )


# ---------------------------------------------------------------------- the layout


def add_encoded(graph: Graph, encoder: TableEncoder, prepared: Prepared) -> str:
    """Add what an encoder makes of prepared columns, (n_samples, n_outputs), float32."""
    if encoder._scaler is not None:
        return prepared.tensor
    if encoder.encodes_target_:
        prepared = prepared.with_log_odds(graph, encoder)
    X = prepared.tensor
    zero, one = (graph.constant(np.array(value, np.float32)) for value in (0, 1))
    filled = graph.add("Where", graph.add("IsNaN", X), zero, X)  # the median is 0
    by_kind: dict[str, list[Output]] = {}
    for output in encoder._layout.outputs:
        by_kind.setdefault(output.kind, []).append(output)
    parts = []
    for kind, outputs in by_kind.items():
        places = prepared.places(outputs)
        at = np.array([output.at for output in outputs], np.float32)
        if kind == "number":
            x = graph.columns(filled, places)
            ratio = graph.add("Div", x, graph.constant(np.array(CLIP, np.float32)))
            root = graph.add("Sqrt", graph.add("Add", graph.add("Mul", ratio, ratio), one))
            parts.append(graph.add("Div", x, root))
        elif kind == "bin":
            width = graph.constant(np.array([output.width for output in outputs], np.float32))
            above = graph.add("Sub", graph.columns(filled, places), graph.constant(at))
            parts.append(graph.add("Clip", graph.add("Div", above, width), zero, one))
        elif kind == "level":
            is_level = graph.add("Equal", graph.columns(X, places), graph.constant(at))
            parts.append(graph.cast(is_level, np.float32))
        elif kind == "gap":
            missing = graph.add("IsNaN", graph.columns(X, places))
            parts.append(graph.cast(missing, np.float32))
        else:
            raise NotImplementedError(f"The converter knows no outputs of the kind {kind!r}.")
    return graph.side_by_side(parts)
