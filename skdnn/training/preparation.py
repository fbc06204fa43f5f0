"""From what the user gave to what training takes.

Validates rows, labels, weights and the validation set of one call of fit or partial_fit, and finds
where training starts. Trains nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from numbers import Real
from typing import Any

import joblib
import numpy as np
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import validate_data

from skdnn.datasets.columns import check_columns, check_no_dates
from skdnn.datasets.matrix import HDF5Matrix
from skdnn.datasets.prepared import PreparedRows
from skdnn.datasets.rows import as_matrix, check_finite, is_on_disk
from skdnn.network.network import draw_parameters, flatten
from skdnn.solvers import DivergenceError
from skdnn.training.fingerprint import is_same_parameter
from skdnn.training.messages import warn, warn_of_penalty
from skdnn.training.rows import Rows
from skdnn.training.scoring import check_scorer
from skdnn.training.state import Call, TrainingState, Weights
from skdnn.training.streamed import FileRows
from skdnn.training.targets import (
    apply_class_weight,
    check_classes,
    check_masked,
    check_sample_weight,
    encode_labels,
    held_out_rows,
    plain_labels,
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
    if isinstance(y, HDF5Matrix) and y.shape[1] == 1:
        y = y.load().reshape(-1)
    for array, name in ((X, "X"), (y, "y")):
        if np.ma.isMaskedArray(array):
            check_masked(array, name)
    if not isinstance(y, np.ndarray) or y.dtype.kind in "TO":
        y = plain_labels(y)
    if getattr(X, "format", "") in ("csr", "csc") and X.indices.dtype != X.indptr.dtype:
        X = type(X)((X.data, X.indices, X.indptr), X.shape)  # indices of one type
    if not (is_on_disk(X) or isinstance(X, PreparedRows)):
        if getattr(getattr(X, "dtype", None), "kind", "O") not in "fiu":
            check_no_dates(X)
        try:
            return validate_data(model, X, y, reset=reset, **DATA)
        except (TypeError, ValueError) as error:
            check_columns(X, error)
            raise
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


class Preparation(AbstractContextManager["Preparation"]):
    """One call of fit or partial_fit, before training; a context around all of it.

    Parameters
    ----------
    model : DeepBinaryClassifier
        Whose parameters and fitted attributes are read; what data define (``n_features_in_``,
        ``feature_names_in_``, ``classes_``) is set.
    hidden_layer_sizes : tuple of int
        Its parameter, checked.
    incremental : bool
        Whether the call is partial_fit.
    """

    def __init__(
        self, model: Any, hidden_layer_sizes: tuple[int, ...], *, incremental: bool
    ) -> None:
        self._model = model
        self._hidden = hidden_layer_sizes
        self._incremental = incremental
        self._continuing = hasattr(model, "coefs_") and (incremental or model.warm_start)
        self._trained_on: Any = None
        self._complaint = ""

    def __exit__(self, *raised: object) -> None:
        """Tell divergence that comes of unusable data or weights as what it is."""
        if isinstance(error := raised[1], DivergenceError):
            if isinstance(self._trained_on, Rows):
                check_finite(self._trained_on.X)
            if self._complaint:
                told = f"Training diverged in epoch {error.epoch}. {self._complaint}"
                raise DivergenceError(told, error.epoch) from error

    def check(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        classes: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Call:
        """Validate what a call is given, and draw the initial parameters.

        The order matters: one generator draws for everything, and published runs are repeated.
        """
        rows = self._check_rows(X, y, sample_weight, self._known_classes(classes))
        self._trained_on = rows
        validation = self._check_validation(X_val, y_val, sample_weight_val)
        state = self._make_state()
        layer_sizes = (self._model.n_features_in_, *self._hidden, 1)
        start = self._make_start(rows.dtype, layer_sizes, state)
        n_before = len(getattr(self._model, "loss_curve_", [])) if self._continuing else 0
        return Call(
            rows,
            validation,
            layer_sizes,
            state,
            start,
            incremental=self._incremental,
            continuing=self._continuing,
            n_before=n_before,
        )

    def complete(self, call: Call) -> None:
        """Settle the rest once callbacks have begun, and a progress is known if there is one.

        Checks that the progress is of this call, and goes on from its state; sets rows aside for
        validation; finds batch size and scorer.
        """
        if call.progress is not None:
            self._check_progress(call)
            call.state = call.progress.state.branch()
        if call.rows.dtype != call.start.dtype:
            call.rows = call.rows.astype(call.start.dtype)
        self._hold_out(call)
        call.batch_size = self._batch_size(call.rows.shape[0])
        call.score = self._make_scorer(call.validation)

    def _check_rows(self, X: Any, y: Any, sample_weight: Any, known: Array | None) -> Any:
        """Validate the data and return the rows of positive weight; set ``classes_``."""
        self._model.classes_, rows = self._rows_of(X, y, sample_weight, known)
        mean_weight, counts = rows.mean_weight, rows.class_counts
        self._check_counts(counts)
        self._check_penalty(mean_weight * rows.shape[0], rows.shape[0])
        return rows

    def _rows_of(
        self, X: Any, y: Any, sample_weight: Any, known: Array | None, suffix: str = ""
    ) -> tuple[Array, Any]:
        """Return labels and rows of positive weight; ``suffix`` ends what arguments are called."""
        model = self._model
        try:
            X, y = check_data(model, X, y, reset=not (suffix or self._continuing))
        except (TypeError, ValueError) as error:
            if not suffix:
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"X{suffix} and y{suffix} cannot be used: {error}") from error
        need_both = not (suffix or self._incremental)
        classes, positive = encode_labels(y, known, need_both=need_both, name=f"y{suffix}")
        weight = check_sample_weight(sample_weight, X.shape[0], f"sample_weight{suffix}")
        given = X, positive, weight
        rows: Any = FileRows(*given).in_memory() if isinstance(X, HDF5Matrix) else Rows(*given)
        if weight is not None and not weight.all():
            rows = rows.select(weight > 0)
        weight = apply_class_weight(model.class_weight, classes, rows.positive, rows.weight)
        rows = replace(rows, weight=weight)
        if weight is not None and not weight.all():
            rows = rows.select(weight > 0)
        return classes, rows

    def _known_classes(self, classes: Any) -> Array | None:
        """Return the labels of earlier calls, or those that partial_fit is told of."""
        known = getattr(self._model, "classes_", None) if self._continuing else None
        if not self._incremental or (known is not None and classes is None):
            return known
        given = check_classes(classes)
        if known is not None and not np.array_equal(given, known):
            raise ValueError(f"classes={classes!r} is not the same as in the call before: {known}.")
        return given

    def _check_penalty(self, weight_sum: float, n_rows: int) -> None:
        """Warn of weights that are nothing beside the penalty."""
        alpha = 0.0 if self._model.solver == "adamw" else float(self._model.alpha)
        if weight_sum < 0.1 * n_rows and alpha >= 0.1 * weight_sum:
            self._complaint = warn_of_penalty(alpha, weight_sum)

    def _check_counts(self, counts: Array) -> None:
        """Raise ValueError if fit has weighted rows of one class only."""
        if not self._incremental and not counts.all():
            raise ValueError(
                "DeepBinaryClassifier needs samples of 2 classes, but all rows with a positive "
                f"weight are of one class: {self._model.classes_[int(counts.argmax())]}."
            )

    def _check_validation(self, X_val: Any, y_val: Any, sample_weight_val: Any) -> Any:
        """Return the validation rows that the user gave, or None."""
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val go together: got one of them without the other.")
        if X_val is None and sample_weight_val is not None:
            raise ValueError("sample_weight_val weighs the rows of X_val, but X_val is missing.")
        if X_val is None:
            return None
        if not self._model.early_stopping:
            raise ValueError("X_val and y_val are for early_stopping=True, which is False here.")
        return self._rows_of(X_val, y_val, sample_weight_val, self._model.classes_, "_val")[1]

    def _hold_out(self, call: Call) -> None:
        """Find the rows to validate on: those that were given, or some that are set aside."""
        state, rows = call.state, call.rows
        if self._incremental:
            if state.watched is not None and state.scoring:
                # of a validation score, which is no loss of these rows, nor the next one's best
                state.scoring, state.plateau = "", {}
            return
        if call.validation is not None:
            call.validation = call.validation.astype(rows.dtype)
        # While the data are the same, so are the rows set aside, and scores can be compared
        watched = None
        if self._model.early_stopping and self._model.warm_start:
            watched = joblib.hash((call.validation or rows).to_hash())
        if watched != state.watched:
            state.watched, state.held_out, state.plateau = watched, None, {}
        if self._model.scoring != state.scoring:
            state.scoring, state.plateau = self._model.scoring, {}
        if call.validation is not None or not self._model.early_stopping:
            return
        if state.held_out is None:
            state.held_out = held_out_rows(
                rows.positive, self._model.validation_fraction, state.random_state
            )
        call.rows, call.validation = rows.split(state.held_out)

    def _make_scorer(self, validation: Any) -> Callable[..., float] | None:
        """Return the function that scores parameters on the validation rows, if not the loss."""
        if validation is None or self._model.scoring == "loss":
            return None
        has_weights = validation.weight is not None
        scorer = check_scorer(self._model, self._model.classes_, has_weights=has_weights)
        labels = self._model.classes_[validation.positive.astype(np.intp)]
        weight = {"sample_weight": validation.weight} if has_weights else {}
        model = copy.copy(self._model)
        model.__dict__.pop("feature_names_in_", None)
        predict = type(model)._logits

        def score(weights: Weights, X: Any, logits: Array) -> float:
            model._set_weights(weights)
            model.n_features_in_ = X.shape[1]
            # what most scorers ask for is known already
            model._logits = lambda rows: logits.copy() if rows is X else predict(model, rows)
            try:
                found = scorer(model, X, labels, **weight)
                if np.ndim(found) or not isinstance(found, Real | np.generic):
                    raise TypeError(
                        f"scoring must return a number, and {self._model.scoring!r:.100} "
                        f"returned {found!r:.100}."
                    )
                return float(found)
            finally:
                del model._logits  # or the model would hold itself, and X

        return score

    def hash_data(self, call: Call) -> dict[str, str]:
        """Return hashes of what a call was given, by argument; they are made once."""
        if not call.hashes:
            classes = self._model.classes_.tolist()
            labels = [str(k) if isinstance(k, str) else k for k in classes]  # text of NumPy's, too
            for suffix, rows in (("", call.rows), ("_val", call.validation)):
                if rows is not None:
                    X, positive, weight = rows.to_hash()
                    call.hashes[f"X{suffix}"] = joblib.hash(X)
                    call.hashes[f"y{suffix}"] = joblib.hash((labels, positive))
                    call.hashes[f"sample_weight{suffix}"] = joblib.hash(weight)
        return call.hashes

    def _check_progress(self, call: Call) -> None:
        """Raise ValueError unless a checkpoint is of this call, its parameters and its data."""
        progress, data = call.progress, self.hash_data(call)
        assert progress is not None
        parameters = self._model.get_params(deep=False)
        differences = [
            f"{name} was {before!r} and is {parameters[name]!r}"
            for name, before in progress.parameters.items()
            if name != "verbose" and not is_same_parameter(parameters[name], before)
        ]
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
        vector, set_aside = progress.vectors["parameters"], progress.state.held_out
        n_rows, n_features = call.rows.shape
        fits = vector.size == call.start.size
        if progress.row_space is not None:
            fits = len(progress.row_space.first_layer) == n_features
        if set_aside is not None:
            fits = fits and set_aside.size == n_rows and 0 < set_aside.sum() < n_rows
        if not fits or vector.dtype != call.start.dtype:
            raise ValueError(f"The checkpoint {progress.source} is of rows of another form.")

    def _make_state(self) -> TrainingState:
        """Return where training stands, to be moved on by this call alone."""
        state = getattr(self._model, "_training_state", None)
        if self._continuing and state is not None:
            return state.branch()
        random_state = check_random_state(self._model.random_state)
        if self._model.random_state is None:
            # numpy's global generator is not ours to keep
            random_state = np.random.RandomState(random_state.randint(2**31))
        return TrainingState(random_state)

    def _make_start(
        self, dtype: np.dtype, layer_sizes: tuple[int, ...], state: TrainingState
    ) -> Array:
        """Return the parameters to start from: freshly drawn, or as training left them."""
        if not self._continuing:
            return draw_parameters(self._model, layer_sizes, dtype, state.random_state)
        latest = state.latest or Weights(self._model.coefs_, self._model.intercepts_)
        if latest.layer_sizes != layer_sizes:
            raise ValueError(
                f"hidden_layer_sizes={self._model.hidden_layer_sizes!r} cannot go on from a "
                f"network with hidden layers {latest.layer_sizes[1:-1]}: keep it, or train anew "
                "(warm_start=False)."
            )
        return flatten(*latest, np.result_type(dtype, latest.coefs[0].dtype))

    def _batch_size(self, n_samples: int) -> int:
        """Return the number of rows of a batch."""
        if self._model.solver in ("gd", "lbfgs"):
            return n_samples
        if self._model.batch_size == "auto":
            return min(200, n_samples)
        if self._model.batch_size > n_samples and not self._incremental:
            warn(
                f"batch_size={self._model.batch_size} is more than the {n_samples} training rows: "
                "every batch is all of them."
            )
        return min(int(self._model.batch_size), n_samples)
