"""Fitted models as HDF5 files: no pickle, nothing executed, all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skdnn.classifier import DeepBinaryClassifier
from skdnn.container.container import (
    Contents,
    ModelFileError,
    StrPath,
    blaming,
    check_path,
    open_container,
    write_container,
)
from skdnn.ensemble import DeepEnsembleClassifier
from skdnn.persistence.ensemble import pack_ensemble, unpack_ensemble
from skdnn.persistence.model import check_canonical, pack_model, unpack_model

__all__ = ["ModelFileError", "load_model", "save_model"]


_Packed = tuple[dict[str, Any], dict[str, np.ndarray]]
_Model = DeepBinaryClassifier | DeepEnsembleClassifier

# What files call them, and the way there and back
_KINDS: dict[type, tuple[str, Callable[..., _Packed], Callable[..., Any]]] = {
    DeepBinaryClassifier: ("model", pack_model, unpack_model),
    DeepEnsembleClassifier: ("ensemble", pack_ensemble, unpack_ensemble),
}

# Fitted attributes that are as long as the training data, and stay behind
_OF_THE_ROWS = ("oof_decision_function_",)


def save_model(model: _Model, path: StrPath) -> None:
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
    model : DeepBinaryClassifier or DeepEnsembleClassifier
        Fitted classifier. Callbacks and metadata requests (``set_fit_request``) are not saved; of
        an ensemble, networks and encoders are, and its judgement of the training rows
        (``oof_decision_function_``) is not, so that ``warm_start`` ends there.
    path : str or path-like
        File to make or to replace; of a symbolic link, the file that it leads to.

    Raises
    ------
    NotFittedError
        When the model is not fitted.
    TypeError
        When it is anything else, such as a `Pipeline`: joblib saves these,
        and skops without pickle. When ``path`` is no path.
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
    if type(model) not in _KINDS:
        raise TypeError(
            "save_model saves a DeepBinaryClassifier or a DeepEnsembleClassifier and nothing else, "
            f"got {type(model).__name__}. Save pipelines and other estimators with joblib.dump, or "
            "with skops.io.dump, and what was trained on Dask as its to_local()."
        )
    check_path(path)
    check_is_fitted(model)
    kind, pack, unpack = _KINDS[type(model)]
    attributes, arrays = pack(model)
    # what could not be loaded again is not saved
    try:
        loaded = unpack(attributes, arrays)
    except ValueError as error:
        raise ValueError(f"save_model cannot save this model: {error}") from error
    lost = [name for name in _public(model) if name not in (*_public(loaded), *_OF_THE_ROWS)]
    if lost:
        raise ValueError(
            f"save_model cannot store {', '.join(lost)}: no fitted attribute of skdnn."
        )
    write_container(path, kind=kind, attributes=attributes, arrays=arrays)


def load_model(path: StrPath) -> Any:
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
    DeepBinaryClassifier or DeepEnsembleClassifier
        Fitted: predicts the same bits and, if it was saved with a training state, goes on with
        `partial_fit` and ``warm_start`` to the same bits.

    Raises
    ------
    ModelFileError
        When the file is anything but a whole model file in a format that this version knows.
    OSError
        When the file cannot be opened or read, FileNotFoundError if there is none.
    MemoryError
        When there is too little memory. It says nothing of the file.

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


def model_of(contents: Contents, path: StrPath) -> Any:
    """Return the model that a file holds; ``path`` is what to call the file in an error."""
    with blaming(path):
        for kind, pack, unpack in _KINDS.values():
            if contents.kind == kind:
                model = unpack(contents.attributes, contents.arrays)
                check_canonical(*pack(model), contents)
                return model
        raise ValueError(f"holds a {contents.kind[:40]}, not a model.")


def _public(model: Any) -> list[str]:
    return [name for name in vars(model) if not name.startswith("_") or name == "_training_state"]
