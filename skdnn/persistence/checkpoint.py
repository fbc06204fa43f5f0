"""Where a fit stands as attributes and arrays, and the way back: no pickle, nothing executed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skdnn.classifier import DeepBinaryClassifier
from skdnn.container.container import Contents, StrPath, blaming
from skdnn.network.network import count_parameters
from skdnn.parameters import check_layers
from skdnn.persistence.model import (
    check_canonical,
    pack_model,
    pack_parameters,
    parameters_to_save,
    unpack_model,
    unpack_parameters,
)
from skdnn.persistence.state import pack_state, unpack_state
from skdnn.training.build import make_solver
from skdnn.training.rowspace import ROW_SPACE_SOLVERS
from skdnn.training.state import Progress, RowSpaceStart

__all__ = ["ENDS", "checkpoint_of", "pack_checkpoint"]

Array = np.ndarray
Attributes = dict[str, Any]
Arrays = dict[str, Array]

_CURVES = ("loss", "learning_rate", "validation_loss", "validation_score")
# What may be said of the end of training, and how a reader is told
ENDS = {
    "": "goes on",
    "converged": "ended by its stopping rule",
    "max_iter": "ended by max_iter",
    "callback": "ended by a callback",
}
_DATA = ("X", "y", "sample_weight", "X_val", "y_val", "sample_weight_val")
# of the model that a call with warm_start goes on from
_BEFORE = "before"


def pack_checkpoint(
    model: DeepBinaryClassifier, progress: Progress, before: DeepBinaryClassifier | None
) -> tuple[Attributes, Arrays]:
    """Return what is stored of a fit.

    Parameters
    ----------
    model : DeepBinaryClassifier
        Whose parameters are stored.
    progress : Progress
        Where its fit stands.
    before : DeepBinaryClassifier or None
        The fitted model that it goes on from.
    """
    attributes, arrays = pack_state(progress.state, "training_state")
    attributes |= {
        "parameters": pack_parameters(parameters_to_save(model)),
        "data": progress.data,
        "best_iter": progress.best_iter,
        "ended": progress.ended,
    }
    arrays |= {f"vectors/{name}": vector for name, vector in progress.vectors.items()}
    arrays |= {f"curves/{name}": np.array(progress.curves[name], np.float64) for name in _CURVES}
    if progress.row_space is not None:
        arrays["row_space/first_layer"] = progress.row_space.first_layer
        arrays["row_space/coordinates"] = progress.row_space.coordinates
        for i, velocity in enumerate(progress.row_space.velocities, 1):
            arrays[f"row_space/velocities/{i}"] = velocity
    if before is not None:
        for target, packed in zip((attributes, arrays), pack_model(before), strict=True):
            target |= {f"{_BEFORE}/{name}": value for name, value in packed.items()}
    attributes["n_arrays"] = len(arrays)  # so that the loss of one shows
    return attributes, arrays


def checkpoint_of(contents: Contents, path: StrPath) -> DeepBinaryClassifier:
    """Return the estimator that a file holds, ready to go on; ``path`` names it in an error."""
    with blaming(path):
        if contents.kind != "checkpoint":
            raise ValueError(f"holds a {contents.kind[:40]}, not a checkpoint.")
        model, progress, before = _unpack(contents.attributes, contents.arrays)
        progress.source = str(path)
        check_canonical(*pack_checkpoint(model, progress, before), contents)
    if before is not None:
        model = before
    model._progress = progress
    return model


def _unpack(
    attributes: Attributes, arrays: Arrays
) -> tuple[DeepBinaryClassifier, Progress, DeepBinaryClassifier | None]:
    """Undo `pack_checkpoint`, or raise an exception of any type."""
    if attributes["n_arrays"] != len(arrays):
        raise ValueError(f"has {len(arrays)} arrays, and must have {attributes['n_arrays']!r}.")
    model = unpack_parameters(attributes["parameters"])
    hidden = check_layers(model)
    ended, best_iter, data = (attributes[name] for name in ("ended", "best_iter", "data"))
    if ended not in ENDS:
        raise ValueError(f"attribute 'ended' is {ended!r}, and must be one of {tuple(ENDS)}.")
    _check_data(data)
    curves = _unpack_curves(arrays)
    _check_curves(curves, model)
    if type(best_iter) is not int or not 0 <= best_iter <= len(curves["validation_score"]):
        raise ValueError(f"attribute 'best_iter' is {best_iter!r}, and must be an epoch.")
    state = unpack_state(attributes, arrays, "training_state", None)
    solver = make_solver(model, restart=True)
    if state.rule != type(solver).__name__:
        raise ValueError(f"attribute 'training_state/rule' is {state.rule!r}: not the solver's.")
    names = ["parameters", *getattr(solver, "moment_names", ()), *(["best"] if best_iter else [])]
    vectors = {name: arrays[f"vectors/{name}"] for name in names}
    row_space = None
    if "row_space/first_layer" in arrays:
        if model.solver not in ROW_SPACE_SOLVERS:
            raise ValueError(f"'row_space' is none of solver={model.solver!r}.")
        row_space = RowSpaceStart(
            arrays["row_space/first_layer"],
            arrays["row_space/coordinates"],
            _unpack_velocities(arrays),
        )
    _check_arrays(vectors, row_space, hidden)
    progress = Progress(
        state, vectors, row_space, curves, best_iter, ended, parameters_to_save(model), data
    )
    prefix = f"{_BEFORE}/"
    earlier = [
        {name.removeprefix(prefix): v for name, v in part.items() if name.startswith(prefix)}
        for part in (attributes, arrays)
    ]
    return model, progress, unpack_model(*earlier) if any(earlier) else None


def _check_data(data: Any) -> None:
    known = isinstance(data, dict) and set(data) <= set(_DATA)
    if not known or not all(isinstance(value, str) for value in data.values()):
        raise ValueError(f"attribute 'data' must have texts for some of {_DATA}.")


def _unpack_curves(arrays: Arrays) -> dict[str, list[float]]:
    curves = {}
    for name in _CURVES:
        curve = arrays[f"curves/{name}"]
        if curve.ndim != 1 or curve.dtype != np.float64:
            raise ValueError(f"'curves/{name}' is {curve.dtype} of shape {curve.shape}.")
        curves[name] = curve.tolist()
    n_loss, n_rates, n_validation, n_scores = (len(curves[name]) for name in _CURVES)
    if not n_loss or n_rates not in (0, n_loss) or not n_scores == n_validation in (0, n_loss):
        raise ValueError("the curves do not match: each has an entry an epoch, or none.")
    if not np.isfinite(curves["loss"]).all():
        raise ValueError("'curves/loss' has entries that are not finite.")
    return curves


def _check_curves(curves: dict[str, list[float]], model: DeepBinaryClassifier) -> None:
    """Refuse curves that the parameters would not have led to."""
    n_epochs = len(curves["loss"])
    watches, steps = bool(curves["validation_loss"]), bool(curves["learning_rate"])
    if (
        n_epochs > model.max_iter
        or watches != bool(model.early_stopping)
        or steps == (model.solver == "lbfgs")
    ):
        raise ValueError(
            f"the curves are not those of max_iter={model.max_iter}, solver={model.solver!r}, "
            f"early_stopping={model.early_stopping}: {n_epochs} epochs, "
            f"{len(curves['learning_rate'])} rates, {len(curves['validation_loss'])} scores."
        )


def _unpack_velocities(arrays: Arrays) -> list[Array]:
    velocities: list[Array] = []
    while (name := f"row_space/velocities/{len(velocities) + 1}") in arrays:
        velocities.append(arrays[name])
    return velocities


def _check_arrays(
    vectors: dict[str, Array],
    row_space: RowSpaceStart | None,
    hidden: Sequence[int],
) -> None:
    """Refuse vectors and matrices that are not of one network."""
    parameters = vectors["parameters"]
    n_units = (*hidden, 1)[0]
    n_inputs, rest = divmod(parameters.size - sum(count_parameters((0, *hidden, 1))), n_units)
    if rest or n_inputs < 1 or parameters.dtype not in ("f4", "f8"):
        raise ValueError(
            f"'vectors/parameters' is {parameters.dtype} of {parameters.size} entries, which are "
            f"not the parameters of a network with the hidden layers {tuple(hidden)}."
        )
    shapes = {f"vectors/{name}": (vector, parameters.shape) for name, vector in vectors.items()}
    if row_space is not None:
        shape = (max(n_inputs, row_space.first_layer.shape[0]), n_units)
        shapes["row_space/first_layer"] = row_space.first_layer, shape
        shapes["row_space/coordinates"] = row_space.coordinates, (n_inputs, n_units)
        for i, velocity in enumerate(row_space.velocities, 1):
            shapes[f"row_space/velocities/{i}"] = velocity, shape
    for name, (array, shape) in shapes.items():
        if array.shape != shape or array.dtype != parameters.dtype:
            raise ValueError(
                f"{name!r} is {array.dtype} of shape {array.shape}, and must be "
                f"{parameters.dtype} of shape {shape}."
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name!r} has entries that are not finite.")
