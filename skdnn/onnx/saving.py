"""A fitted model as an ONNX file, for those who know no skl2onnx."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import skl2onnx
from numpy.typing import ArrayLike
from onnx.checker import ValidationError, check_model
from onnx.helper import make_node, set_model_props
from onnx.shape_inference import InferenceError
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.utils.validation import check_is_fitted

from skdnn._version import __version__
from skdnn.container.container import replace_file
from skdnn.ensemble import DeepEnsembleClassifier
from skdnn.onnx.graph import OLDEST_OPSET
from skdnn.onnx.parts import check_thresholds, first_step, options_of
from skdnn.onnx.table import table_types
from skdnn.preprocessing import TableEncoder

__all__ = ["input_types", "save"]

# Of skl2onnx where it has no form for a model, and of onnx for a graph that no runtime would take
_FAILURES = (
    AttributeError,
    InferenceError,
    LookupError,
    NameError,
    RuntimeError,
    ValidationError,
)


def save(
    model: Any,
    path: str | os.PathLike[str],
    X: ArrayLike | None = None,
    *,
    zipmap: bool | str = False,
    raw_scores: bool = False,
    target_opset: int | None = None,
) -> None:
    """Save a fitted model as an ONNX file, which any ONNX runtime predicts with.

    Its outputs are ``label`` (n_samples,) and ``probabilities`` (n_samples, 2), in the order of
    ``classes_``; its inputs are those of `input_types`, for any number of rows, under the names of
    the columns (one that is called as an output is, gets a digit more). The metadata of the file
    say what ONNX has no place for: ``classes``, ``feature_names`` (both as JSON), ``estimator`` and
    ``skdnn_version``.

    Parameters
    ----------
    model : estimator
        Fitted: one of skdnn's, or a pipeline or another meta-estimator of scikit-learn with it.
    path : str or path-like
        File to make, or to replace. It is written whole or not at all.
    X : {array-like, data frame} of shape (n_samples, n_features), default=None
        Some rows, as the model is to take them, for names and types of its inputs; see
        `input_types`.
    zipmap : bool or 'columns', default=False
        True: probabilities as a list of dicts, from class to probability, one a row. 'columns':
        as one output for each class. Labels that are neither text nor integers are such as
        integers.
    raw_scores : bool, default=False
        Whether to give log-odds, (n_samples, 2), instead of probabilities.
    target_opset : int, default=None
        Version of the operators, from 13 on; None is the latest that the installed skl2onnx
        supports.

    Raises
    ------
    ValueError
        When the types of the inputs cannot be told without X, when skl2onnx has no converter for
        a part of the model, for labels that are neither text nor numbers, or for an opset that
        it has not.
    OSError
        When the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import onnxruntime
    >>> import skdnn.onnx
    >>> from skdnn import DeepBinaryClassifier
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    >>> model = DeepBinaryClassifier((4,), solver="lbfgs", random_state=0).fit(X, list("nnny"))
    >>> path = f"{tempfile.mkdtemp()}/model.onnx"
    >>> skdnn.onnx.save(model, path)
    >>> session = onnxruntime.InferenceSession(path)
    >>> label, probabilities = session.run(None, {"X": X})
    >>> label.tolist(), probabilities.shape
    (['n', 'n', 'n', 'y'], (4, 2))
    """
    check_is_fitted(model)
    check_thresholds(model)
    latest = skl2onnx.get_latest_tested_opset_version()
    if target_opset is not None and not OLDEST_OPSET <= target_opset <= latest:
        raise ValueError(
            f"target_opset must be from {OLDEST_OPSET} to {latest}, which skl2onnx "
            f"{skl2onnx.__version__} supports; got {target_opset}."
        )
    types = input_types(model, X)
    for name, _ in types:
        if not name:
            raise ValueError("A column of X has no name, and inputs of ONNX need one.")
    options = options_of(model, zipmap=zipmap, raw_scores=raw_scores)
    graph = _convert(model, types, options, target_opset)
    _name_inputs(graph.graph, [name for name, _ in types])
    set_model_props(graph, _metadata(model))
    replace_file(path, [graph.SerializeToString()])


def _convert(model: Any, types: Any, options: Any, target_opset: int | None) -> Any:
    """Return the graph of a model; raise ValueError for what skl2onnx cannot convert."""
    name = type(model).__name__
    try:
        graph = skl2onnx.to_onnx(
            model, initial_types=types, options=options, target_opset=target_opset
        )
        check_model(graph, full_check=True)
    except (MissingShapeCalculator, MissingConverter) as error:
        raise ValueError(
            f"skl2onnx {skl2onnx.__version__} has no converter for a part of this {name}: {error} "
            "Update skl2onnx, or leave the part out."
        ) from error
    except _FAILURES as error:
        raise ValueError(
            f"skl2onnx {skl2onnx.__version__} cannot convert this {name}: {error}"
        ) from error
    return graph


def _name_inputs(graph: Any, names: list[str]) -> None:
    """Call inputs as the columns are, where skl2onnx has changed names, say for a space."""
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    taken |= {constant.name for constant in graph.initializer}
    for given, name in zip(graph.input, names, strict=True):
        if name not in {given.name, *taken}:
            graph.node.insert(0, make_node("Identity", [name], [given.name]))
            given.name = name


def _metadata(model: Any) -> dict[str, str]:
    """Return what a file says of a model."""
    metadata = {"estimator": type(model).__name__, "skdnn_version": __version__}
    for key, name in (("classes", "classes_"), ("feature_names", "feature_names_in_")):
        values = getattr(model, name, None)
        if values is not None:
            # of several outputs, an array each
            listed = [v.tolist() for v in values] if isinstance(values, list) else values.tolist()
            metadata[key] = json.dumps(listed, default=str)
    return metadata


def input_types(model: Any, X: Any = None) -> list[tuple[str, Any]]:
    """Return names and types of a model's inputs, as skl2onnx calls for: its ``initial_types``.

    Unlike what skl2onnx guesses from the first row, a missing cell there does no harm. What begins
    with a :class:`~skdnn.preprocessing.TableEncoder`, as an ensemble does, knows its columns: text
    or float64, in which numbers are scaled, each an input of its own; or a matrix "X" of float64
    if it was fitted on an array of numbers. Dates are seconds since 1970.

    Parameters
    ----------
    model : estimator
        Fitted.
    X : {array-like, data frame} of shape (n_samples, n_features), default=None
        Some rows, as the model is to take them. A data frame has an input (n_samples, 1) for
        each of its columns, under its name: text, or float32. An array is one input, "X", of
        either. None: a matrix "X" of float32.

    Returns
    -------
    types : list of (str, tensor type of skl2onnx)

    Raises
    ------
    ValueError
        When the model takes its columns by name, and there is no X.
    TypeError
        When a column of X holds neither text nor numbers.
    """
    first = first_step(model)
    encoder = first.encoders_[0] if isinstance(first, DeepEnsembleClassifier) else first
    if isinstance(encoder, TableEncoder):
        return table_types(encoder)
    if X is None:
        n_features = getattr(model, "n_features_in_", None)
        if n_features is None or hasattr(first, "transformers_"):
            raise ValueError(
                f"{type(first).__name__} takes columns of several types: give X, some rows as the "
                "model is to take them."
            )
        return [("X", FloatTensorType([None, n_features]))]
    if hasattr(X, "columns"):
        return [(str(name), _type_of(X[name], name)([None, 1])) for name in X.columns]
    values = np.asarray(X)
    width = 1 if values.ndim == 1 else values.shape[1]
    return [("X", _type_of(values, "X")([None, width]))]


def _type_of(column: Any, name: Any) -> Any:
    """Return the tensor type for a column of a data frame, or for an array."""
    values = np.asarray(column)
    cells = values.ravel().tolist() if values.dtype.kind == "O" else []
    if values.dtype.kind in "U" or any(isinstance(cell, str) for cell in cells):
        return StringTensorType
    if values.dtype.kind in "biuf" or any(isinstance(cell, (int, float)) for cell in cells):
        return FloatTensorType
    raise TypeError(
        f"Column {name!r} holds neither text nor numbers ({values.dtype}), and ONNX has no other "
        "inputs. If the model does not use it, fit the model without it."
    )
