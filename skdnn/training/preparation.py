"""From what the user gave to what training takes.

Validates rows, labels, weights and the validation set of one call of fit or partial_fit, and finds
where training starts. Trains nothing.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import h5py
import joblib
import numpy as np
from sklearn.metrics import check_scoring
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import validate_data

from skdnn.container.exact_json import decode, encode
from skdnn.datasets.hdf5 import as_labels
from skdnn.datasets.matrix import HDF5Matrix
from skdnn.datasets.rows import as_matrix, is_on_disk, load_if_it_fits
from skdnn.network.network import flatten
from skdnn.training.build import draw_parameters
from skdnn.training.state import Progress, Rows, TrainingState, Weights
from skdnn.training.targets import (
    apply_class_weight,
    check_classes,
    check_sample_weight,
    encode_labels,
    held_out_rows,
)

__all__ = ["DATA", "Preparation", "check_data"]

Array = np.ndarray

# How rows are validated wherever they come in
DATA: dict[str, Any] = {"accept_sparse": "csr", "dtype": (np.float64, np.float32), "order": "C"}


def check_data(model: Any, X: Any, y: Any = "no_validation", *, reset: bool = False) -> Any:
    """Validate rows, and labels if there are any, as scikit-learn does.

    Rows in a file stay there: their shape and type are looked at, their numbers when they are
    read.

    Parameters
    ----------
    model : DeepBinaryClassifier
        Whose number and names of features are set or compared with.
    X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
    y : {array-like, h5py.Dataset, HDF5Matrix} of shape (n_samples,), default="no_validation"
    reset : bool, default=False
        Whether to set what is known of the features.

    Returns
    -------
    X : {ndarray, CSR matrix, HDF5Matrix} of shape (n_samples, n_features)
        float32 or float64.
    y : ndarray of shape (n_samples,)
        Only if it is given.

    Raises
    ------
    ValueError or TypeError
        For data that cannot be used.
    """
    if isinstance(y, h5py.Dataset):
        y = as_labels(y)
    elif isinstance(y, HDF5Matrix) and y.shape[1] == 1:
        y = y.load().reshape(-1)
    if not is_on_disk(X):
        return validate_data(model, X, y, reset=reset, **DATA)
    X = as_matrix(X)
    if len(X) == 0:
        raise ValueError(f"Found no rows (shape={X.shape}) while a minimum of 1 is required.")
    validate_data(model, X, y, reset=reset, skip_check_array=True)
    if X.dtype not in DATA["dtype"]:
        X = X.astype(np.float64)
    if isinstance(y, str) and y == "no_validation":
        return X
    y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
    check_consistent_length(X, y)
    return X, y


def _hash_rows(rows: Rows) -> tuple[Any, ...]:
    """Return rows with X as something to hash, without reading a whole file."""
    X = rows.X
    if isinstance(X, HDF5Matrix):
        X = X.fingerprint(), X.memory_limit  # the limit has a say in the order of the rows
    return tuple(rows._replace(X=X))


class Preparation:
    """One call of fit or partial_fit, before training.

    Parameters
    ----------
    model : DeepBinaryClassifier
        Whose parameters and fitted attributes are read; what data define (``n_features_in_``,
        ``feature_names_in_``, ``classes_``) is set.
    incremental : bool
        Whether the call is partial_fit.

    Attributes
    ----------
    continuing : bool
        Whether training goes on from the fitted parameters.
    """

    def __init__(self, model: Any, *, incremental: bool) -> None:
        self._model = model
        self._incremental = incremental
        self.continuing = model.__sklearn_is_fitted__() and (incremental or model.warm_start)

    def check_rows(self, X: Any, y: Any, sample_weight: Any, classes: Any) -> Rows:
        """Validate the data and return the rows of positive weight; set ``classes_``."""
        X, y = check_data(self._model, X, y, reset=not self.continuing)
        X = load_if_it_fits(X)
        known = self._known_classes(classes)
        self._model.classes_, positive = encode_labels(y, known, need_both=not self._incremental)
        rows = self._weigh(X, positive, check_sample_weight(sample_weight, X.shape[0]))
        self._check_counts(np.bincount(rows.positive, minlength=2))
        return rows

    def _known_classes(self, classes: Any) -> Array | None:
        """Return the labels of earlier calls, or those that partial_fit is told of."""
        known = getattr(self._model, "classes_", None) if self.continuing else None
        if not self._incremental or (known is not None and classes is None):
            return known
        given = check_classes(classes)
        if known is not None and not np.array_equal(given, known):
            raise ValueError(f"classes={classes!r} is not the same as in the call before: {known}.")
        return given

    def _check_counts(self, counts: Array) -> None:
        """Raise ValueError if fit has weighted rows of one class only."""
        if not self._incremental and not counts.all():
            raise ValueError(
                "DeepBinaryClassifier needs samples of 2 classes, but all rows with a positive "
                f"weight are of one class: {self._model.classes_[int(counts.argmax())]}."
            )

    def _weigh(self, X: Any, positive: Array, weight: Array | None) -> Rows:
        """Apply the class weights, and leave out what has no weight."""
        if weight is not None and not weight.all():
            X, positive, weight = Rows(X, positive, weight).select(weight > 0)
        model = self._model
        with np.errstate(over="ignore"):
            weight = apply_class_weight(model.class_weight, model.classes_, positive, weight)
            if weight is not None and not np.isfinite(weight.sum()):
                raise ValueError(
                    "The sum of the weights (sample_weight, class_weight) overflows: scale them "
                    "down."
                )
        rows = Rows(X, positive, weight)
        if weight is None or weight.all():
            return rows
        if not weight.any():
            raise ValueError("class_weight leaves no row a positive weight: all are zero.")
        return rows.select(weight > 0)

    def check_validation(self, validation: dict[str, Any]) -> Rows | None:
        """Return the validation rows that the user gave."""
        X_val, y_val = validation.get("X_val"), validation.get("y_val")
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val go together: got one of them without the other.")
        if X_val is None and validation.get("sample_weight_val") is not None:
            raise ValueError("sample_weight_val weighs the rows of X_val, but X_val is missing.")
        if X_val is None:
            return None
        if not self._model.early_stopping:
            raise ValueError("X_val and y_val are for early_stopping=True, which is False here.")
        try:
            X_val, y_val = check_data(self._model, X_val, y_val)
        except ValueError as error:
            raise ValueError(f"X_val and y_val cannot be used: {error}") from error
        positive = encode_labels(y_val, self._model.classes_, need_both=False, name="y_val")[1]
        weight = check_sample_weight(
            validation["sample_weight_val"], X_val.shape[0], "sample_weight_val"
        )
        return self._weigh(load_if_it_fits(X_val), positive, weight)

    def hold_out(
        self, rows: Rows, held_out: Rows | None, state: TrainingState
    ) -> tuple[Rows, Rows | None]:
        """Return the rows to train and those to validate on: given, or set aside."""
        if self._incremental:
            if state.watched is not None and state.scoring:
                # of a validation score, which is no loss of these rows, nor the next one's best
                state.scoring, state.plateau = "", {}
            return rows, None
        if held_out is not None:
            held_out = held_out.astype(rows.X.dtype)
        # While the data are the same, so are the rows set aside, and scores can be compared
        watched = None
        if self._model.early_stopping and self._model.warm_start:
            watched = joblib.hash(_hash_rows(held_out or rows))
        if watched != state.watched:
            state.watched, state.held_out, state.plateau = watched, None, {}
        if self._model.scoring != state.scoring:
            state.scoring, state.plateau = self._model.scoring, {}
        if held_out is not None or not self._model.early_stopping:
            return rows, held_out
        if state.held_out is None:
            state.held_out = held_out_rows(
                self._positive(rows), self._model.validation_fraction, state.random_state
            )
        return self._split(rows, state.held_out)

    def _positive(self, rows: Rows) -> Array:
        """Return which rows are of the second class."""
        return rows.positive

    def _split(self, rows: Rows, mask: Array) -> tuple[Rows, Rows]:
        """Return the rows where the mask is false, and those where it is true."""
        held_out = rows.select(mask)
        # read once, not in every epoch
        held_out = held_out._replace(X=load_if_it_fits(held_out.X))
        return rows.select(~mask), held_out

    def make_scorer(self, held_out: Rows | None) -> Callable[[Weights, Any], float] | None:
        """Return the function that scores parameters on the validation rows, if not the loss."""
        if held_out is None or self._model.scoring == "loss":
            return None
        scorer = check_scoring(self._model, self._model.scoring)
        labels = self._model.classes_[held_out.positive.astype(np.intp)]
        weight = {} if held_out.weight is None else {"sample_weight": held_out.weight}
        model = copy.copy(self._model)
        model.__dict__.pop("feature_names_in_", None)

        def score(weights: Weights, X: Any) -> float:
            model.coefs_, model.intercepts_ = weights
            model.n_features_in_ = X.shape[1]
            return float(scorer(model, X, labels, **weight))

        return score

    def hash_data(self, rows: Rows, held_out: Rows | None) -> dict[str, str]:
        """Return hashes of what `check_rows` and `check_validation` returned, by argument."""
        labels = self._model.classes_.tolist()
        hashes = {}
        for suffix, part in (("", rows), ("_val", held_out)):
            if part is not None:
                X, positive, weight = _hash_rows(part)
                hashes[f"X{suffix}"] = joblib.hash(X)
                hashes[f"y{suffix}"] = joblib.hash((labels, positive))
                hashes[f"sample_weight{suffix}"] = joblib.hash(weight)
        return hashes

    def check_progress(
        self, progress: Progress, data: dict[str, str], rows: Rows, start: Array
    ) -> None:
        """Raise ValueError unless a checkpoint is of this call: parameters and data are the same.

        Parameters
        ----------
        progress : Progress
            From the checkpoint.
        data : dict of str to str
            What `hash_data` returns of this call.
        rows : Rows
            What `check_rows` returned.
        start : ndarray of shape (n_parameters,)
            Where the call would start anew.
        """
        parameters = self._model.get_params(deep=False)
        differences = []
        for name, stored in progress.parameters.items():
            value = parameters[name]
            try:
                same = encode(value) == stored
            except TypeError:
                same = False
            if not same and name != "verbose":
                differences.append(f"{name} was {decode(stored)!r} and is {value!r}")
        differences += [
            f"{name} is not the same data"
            for name in sorted({*progress.data, *data})
            if progress.data.get(name) != data.get(name)
        ]
        if differences:
            raise ValueError(
                f"The checkpoint {progress.source} is of another fit: {'; '.join(differences)}. "
                "Fit with the parameters and data that it was made with, or train anew: remove "
                "the file (and clone an estimator that was loaded from it), or give Checkpoint "
                "another path."
            )
        # what follows is never so unless someone forged the file
        vector, held_out = progress.vectors["parameters"], progress.state.held_out
        n_rows, n_features = rows.X.shape
        first = progress.first_layer
        fits = vector.size == start.size if first is None else len(first) == n_features
        if held_out is not None:
            fits = fits and held_out.size == n_rows and 0 < held_out.sum() < n_rows
        if not fits or vector.dtype != start.dtype:
            raise ValueError(f"The checkpoint {progress.source} is of rows of another form.")

    def make_state(self) -> TrainingState:
        """Return where training stands, to be moved on by this call alone."""
        state = getattr(self._model, "_training_state", None)
        if self.continuing and state is not None:
            return state.branch()
        random_state = check_random_state(self._model.random_state)
        if self._model.random_state is None:
            # numpy's global generator is not ours to keep
            random_state = np.random.RandomState(random_state.randint(2**31))
        return TrainingState(random_state)

    def make_start(
        self, dtype: np.dtype, layer_sizes: tuple[int, ...], state: TrainingState
    ) -> Array:
        """Return the parameters to start from: freshly drawn, or as training left them."""
        if not self.continuing:
            return draw_parameters(self._model, layer_sizes, dtype, state.random_state)
        latest = state.latest or Weights(self._model.coefs_, self._model.intercepts_)
        if latest.layer_sizes != layer_sizes:
            raise ValueError(
                f"hidden_layer_sizes={self._model.hidden_layer_sizes!r} cannot go on from a "
                f"network with hidden layers {latest.layer_sizes[1:-1]}: keep it, or train anew "
                "(warm_start=False)."
            )
        return flatten(*latest, np.result_type(dtype, latest.coefs[0].dtype))

    def check_batch_size(self, n_samples: int) -> int:
        """Return the number of rows of a batch."""
        if self._model.solver in ("gd", "lbfgs"):
            return n_samples
        if self._model.batch_size == "auto":
            return min(200, n_samples)
        if self._model.batch_size > n_samples and not self._incremental:
            warnings.warn(
                f"batch_size={self._model.batch_size} is more than the {n_samples} training rows: "
                "every batch is all of them.",
                UserWarning,
                stacklevel=5,
            )
        return min(int(self._model.batch_size), n_samples)
