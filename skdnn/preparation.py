"""From what the user gave to what training takes.

Validates rows, labels, weights and the validation set of one call of fit or partial_fit, and finds
where training starts. Trains nothing.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from skdnn._targets import (
    apply_class_weight,
    check_classes,
    check_sample_weight,
    encode_labels,
    held_out_rows,
)
from skdnn.network import flatten
from skdnn.training import Rows, TrainingState, Weights, draw_parameters

__all__ = ["DATA", "Preparation"]

Array = np.ndarray

# How rows are validated wherever they come in
DATA: dict[str, Any] = {"accept_sparse": "csr", "dtype": (np.float64, np.float32), "order": "C"}


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
        X, y = validate_data(self._model, X, y, reset=not self.continuing, **DATA)
        known = getattr(self._model, "classes_", None) if self.continuing else None
        if self._incremental and (known is None or classes is not None):
            given = check_classes(classes)
            if known is not None and not np.array_equal(given, known):
                raise ValueError(
                    f"classes={classes!r} is not the same as in the call before: {known}."
                )
            known = given
        self._model.classes_, positive = encode_labels(y, known, need_both=not self._incremental)
        rows = self._weigh(X, positive, check_sample_weight(sample_weight, X.shape[0]))
        if not self._incremental and rows.positive.all() == rows.positive.any():
            raise ValueError(
                "DeepBinaryClassifier needs samples of 2 classes, but all rows with a positive "
                f"weight are of one class: {self._model.classes_[int(rows.positive[0])]}."
            )
        return rows

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

    def hold_out(
        self, rows: Rows, validation: dict[str, Any], state: TrainingState
    ) -> tuple[Rows, Rows | None]:
        """Return the rows to train and those to validate on: given, or set aside."""
        if self._incremental:
            if state.watched is not None and state.scoring:
                # of a validation score, which is no loss of these rows, nor the next one's best
                state.scoring, state.plateau = "", {}
            return rows, None
        X_val, y_val = validation.get("X_val"), validation.get("y_val")
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val go together: got one of them without the other.")
        if X_val is None and validation.get("sample_weight_val") is not None:
            raise ValueError("sample_weight_val weighs the rows of X_val, but X_val is missing.")
        if X_val is not None and not self._model.early_stopping:
            raise ValueError("X_val and y_val are for early_stopping=True, which is False here.")
        held_out = None
        if X_val is not None:
            try:
                X_val, y_val = validate_data(self._model, X_val, y_val, reset=False, **DATA)
            except ValueError as error:
                raise ValueError(f"X_val and y_val cannot be used: {error}") from error
            positive = encode_labels(y_val, self._model.classes_, need_both=False, name="y_val")[1]
            weight = check_sample_weight(
                validation["sample_weight_val"], X_val.shape[0], "sample_weight_val"
            )
            held_out = self._weigh(X_val, positive, weight).astype(rows.X.dtype)
        # While the data are the same, so are the rows set aside, and scores can be compared
        watched = None
        if self._model.early_stopping and self._model.warm_start:
            watched = joblib.hash(tuple(held_out or rows))
        if watched != state.watched:
            state.watched, state.held_out, state.plateau = watched, None, {}
        if self._model.scoring != state.scoring:
            state.scoring, state.plateau = self._model.scoring, {}
        if held_out is not None or not self._model.early_stopping:
            return rows, held_out
        if state.held_out is None:
            state.held_out = held_out_rows(
                rows.positive, self._model.validation_fraction, state.random_state
            )
        return rows.select(~state.held_out), rows.select(state.held_out)

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
