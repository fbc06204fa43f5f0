"""``python -m skdnn info FILE``: what a model, checkpoint or data file holds; ``--version``."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import h5py
import numpy as np

from skdnn._version import __version__
from skdnn.classifier import DeepBinaryClassifier
from skdnn.container.container import (
    HDF5_SIGNATURE,
    blaming,
    open_container,
    open_regular,
    printable,
)
from skdnn.ensemble import DeepEnsembleClassifier
from skdnn.persistence.checkpoint import ENDS, checkpoint_of
from skdnn.persistence.saving import ModelFileError, model_of

__all__ = ["main"]

_LONGEST_LIST = 5
_BREAK = r"\n *"  # by which scikit-learn wraps an estimator inside another


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code.

    Parameters
    ----------
    arguments : sequence of str, default=None
        What follows ``python -m skdnn``; taken from the command line by default.

    Returns
    -------
    int
        0, or 1 when the file cannot be read. Wrong arguments exit with 2.
    """
    parser = argparse.ArgumentParser(prog="python -m skdnn", description="Tools for skdnn's files.")
    parser.add_argument("--version", action="version", version=f"skdnn {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    info = commands.add_parser(
        "info", help="print what a file holds", description="Print what a file holds."
    )
    info.add_argument("file", metavar="FILE", help="a model, a checkpoint, or any HDF5 file")
    path = parser.parse_args(arguments).file
    try:
        # all of it first, so that a file that cannot be read prints nothing but the error
        print("\n".join([*map(_shown, _describe(path))]), flush=True)
    except BrokenPipeError:  # head has seen enough; nothing more is written at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ModelFileError) as error:
        print(f"skdnn: error: {_shown(' '.join(str(error).split()))}", file=sys.stderr)
        return 1
    return 0


def _describe(path: str) -> Iterator[str]:
    with open(path, "rb", opener=open_regular) as file:
        is_data = file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE
    if is_data:
        return _describe_data(path)
    contents = open_container(path)
    head = f"{path}: {contents.kind}, written by skdnn {contents.skdnn_version}"
    if contents.kind == "model":
        return chain([head], _describe_model(model_of(contents, path)))
    if contents.kind == "ensemble":
        return chain([head], _describe_ensemble(model_of(contents, path)))
    return chain([head], _describe_checkpoint(checkpoint_of(contents, path)))


def _describe_parameters(model: Any) -> Iterator[str]:
    defaults = type(model)().get_params(deep=False)
    changed = {
        k: v for k, v in model.get_params(deep=False).items() if repr(v) != repr(defaults[k])
    }
    yield "parameters (the rest are defaults):"
    for name, value in changed.items():
        yield f"  {name} = {re.sub(_BREAK, ' ', repr(value))}"


def _describe_model(model: DeepBinaryClassifier) -> Iterator[str]:
    yield from _describe_parameters(model)
    activations = [model.activation_] * (model.n_layers_ - 2) + [model.out_activation_]
    dtype = model.coefs_[0].dtype
    yield f"layers ({model.n_parameters_:,} numbers, {dtype}):"
    for i, (weights, activation) in enumerate(zip(model.coefs_, activations, strict=True), 1):
        n_in, n_out = weights.shape
        yield f"  {i}: {n_in} -> {n_out}, {activation}"
    yield f"classes: {model.classes_.tolist()} ({model.classes_.dtype})"
    names = getattr(model, "feature_names_in_", None)
    yield f"features: {model.n_features_in_}" + ("" if names is None else f": {_shortened(names)}")
    n_epochs, last = len(model.loss_curve_), model.n_iter_
    yield f"epochs: {n_epochs}, {last} of them in the last call; last loss {model.loss_:.6g}"
    if model.best_iter_ is not None:
        best = model.best_validation_score_
        yield f"best epoch: {model.best_iter_}, validation score {best:.6g}"
    state = getattr(model, "_training_state", None)
    kept = "none" if state is None else f"{state.rule}, {state.counters.get('n_steps', 0)} steps"
    yield f"training state: {kept}"


def _describe_ensemble(model: DeepEnsembleClassifier) -> Iterator[str]:
    yield from _describe_parameters(model)
    yield f"classes: {model.classes_.tolist()} ({model.classes_.dtype})"
    names = getattr(model, "feature_names_in_", None)
    yield f"features: {model.n_features_in_}" + ("" if names is None else f": {_shortened(names)}")
    yield f"out-of-fold log loss: {model.oof_log_loss_:.6g}"
    n_parameters = sum(member.n_parameters_ for member in model.estimators_)
    yield f"networks ({n_parameters:,} numbers):"
    for k, member in enumerate(model.estimators_):
        sizes = " -> ".join(str(weights.shape[0]) for weights in member.coefs_)
        yield (
            f"  {k + 1}: {sizes} -> 1, best epoch {member.best_iter_} of {member.n_iter_}, "
            f"weight {model.estimator_weights_[k]:.3g}"
        )


def _describe_checkpoint(model: DeepBinaryClassifier) -> Iterator[str]:
    """Return the lines for where training stands; ``model`` is what `checkpoint_of` returns."""
    yield from _describe_parameters(model)
    progress = model._progress
    losses, scores = progress.curves["loss"], progress.curves["validation_score"]
    last = f"; last loss {losses[-1]:.6g}" if losses else ""
    yield f"training: epoch {len(losses)} of {model.max_iter}, {ENDS[progress.ended]}{last}"
    if progress.best_iter:
        best = scores[progress.best_iter - 1]
        yield f"best epoch: {progress.best_iter}, validation score {best:.6g}"
    steps = "".join(f", {n} {name[2:]}" for name, n in progress.state.counters.items())
    yield f"solver: {progress.state.rule}{steps}"
    parameters = progress.vectors["parameters"]
    space = "of the features"
    if progress.row_space is not None:
        space = f"of the row space, {len(progress.row_space.first_layer)} features"
    yield f"coordinates: {space}; {parameters.size:,} parameters, {parameters.dtype}"
    yield "begins: " + (
        f"from a model of {len(model.loss_curve_)} epochs" if hasattr(model, "coefs_") else "anew"
    )
    yield "data (hashes):"
    yield from (f"  {name}: {text[:100]}" for name, text in sorted(progress.data.items()))


def _describe_data(path: str) -> Iterator[str]:
    """Return the lines for an HDF5 file that is not one of ours; follows no link."""
    lines: list[str] = []

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            chunks = "contiguous" if item.chunks is None else f"chunks {item.chunks}"
            compression = item.compression or "not compressed"
            lines.append(f"  {name}: {item.shape}, {item.dtype}, {chunks}, {compression}")

    with blaming(path), h5py.File(path) as file:
        file.visititems(add)
    return chain([f"{path}: HDF5 with {len(lines)} datasets"], lines)


def _shown(text: str) -> str:
    """Return a line that can do nothing to a terminal, nor fail in its encoding."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"  # None: it is closed
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)


def _shortened(names: np.ndarray) -> str:
    shown = ", ".join(map(str, names[:_LONGEST_LIST]))
    return shown + (", ..." if names.size > _LONGEST_LIST else "")


if __name__ == "__main__":
    sys.exit(main())
