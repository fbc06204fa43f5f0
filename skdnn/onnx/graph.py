"""Nodes and constants, in the words of a converter: what they are called is nobody's business."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto
from onnx.helper import np_dtype_to_tensor_dtype

__all__ = ["OLDEST_OPSET", "Graph", "width_of"]

Array = np.ndarray

OLDEST_OPSET = 13


def width_of(variable: Any) -> Any:
    """Return how many columns a matrix of skl2onnx has, None where that is not known."""
    shape = variable.type.shape
    return shape[1] if len(shape) > 1 else None


class Graph:
    """The graph that a converter of skl2onnx adds to.

    Parameters
    ----------
    scope, operator, container
        What skl2onnx hands to a converter.

    Raises
    ------
    ValueError
        When the graph is of an opset that lacks what our converters use.
    """

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        self._scope = scope
        self._operator = operator
        self._container = container
        if container.target_opset < OLDEST_OPSET:
            raise ValueError(
                f"skdnn's converters need target_opset >= {OLDEST_OPSET}, got "
                f"{container.target_opset}."
            )
        self._constants: dict[tuple[Any, ...], str] = {}

    def add(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        output = self._scope.get_unique_variable_name(op.lower())
        self._container.add_node(
            op,
            list(inputs),
            output,
            op_domain=domain,
            name=self._scope.get_unique_operator_name(op),
            **attributes,
        )
        return output

    def constant(self, values: Array) -> str:
        """Add an array of numbers or of text, unless there is an equal one; return its name."""
        values = np.asarray(values)
        content: Any = values.ravel()
        if values.dtype.kind in "OUS":
            kind, content = TensorProto.STRING, [str(text).encode() for text in content.tolist()]
        else:
            kind = np_dtype_to_tensor_dtype(values.dtype)
        key = (kind, values.shape, tuple(content) if values.dtype.kind == "O" else values.tobytes())
        if key not in self._constants:
            name = self._scope.get_unique_variable_name("constant")
            self._container.add_initializer(name, kind, list(values.shape), content)
            self._constants[key] = name
        return self._constants[key]

    def cast(self, tensor: str, dtype: Any) -> str:
        """Return a tensor in another dtype."""
        return self.add("Cast", tensor, to=np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def columns(self, tensor: str, indices: Array | list[int]) -> str:
        """Return some columns of a matrix, in this order."""
        return self.add("Gather", tensor, self.constant(np.array(indices, np.int64)), axis=1)

    def side_by_side(self, tensors: list[str]) -> str:
        """Return matrices with the same rows as one."""
        return tensors[0] if len(tensors) == 1 else self.add("Concat", *tensors, axis=1)

    def set_output(self, k: int, tensor: str) -> None:
        """Let output k of the operator be a tensor."""
        self._container.add_node(
            "Identity",
            [tensor],
            self._operator.outputs[k].full_name,
            name=self._scope.get_unique_operator_name("Identity"),
        )

    def option(self, name: str) -> bool:
        """Return a converter's option, False unless it was set."""
        # not the container's: a pipeline's options reach the scope alone
        options = self._scope.get_options(self._operator.raw_operator, {name: False})
        return options.get(name, False)
