"""DeepBinaryClassifier: parameters, validation, fit, partial_fit and predict.

The facade decides what is to be done; the network, the objective, the solvers and the monitor do
it. Nothing here computes a gradient.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from skdnn._mlp import as_mlp_classifier
from skdnn._parameters import CONSTRAINTS, check_hidden_layer_sizes, fit_context
from skdnn._targets import check_classes, check_sample_weight, encode_labels, held_out_rows
from skdnn.activations import get_activation
from skdnn.early_stopping import Monitor, Plateau
from skdnn.initializers import initialize
from skdnn.loss import probability
from skdnn.network import Network, predict_logits
from skdnn.objective import HeldOut, Objective
from skdnn.solvers import (
    LBFGS,
    Adam,
    DivergenceError,
    GradientDescent,
    Momentum,
    Solver,
    make_schedule,
)

__all__ = ["DeepBinaryClassifier"]

Array = np.ndarray


def _is_incremental(estimator: DeepBinaryClassifier) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for solvers that step after every batch; "
            "solver='lbfgs' needs all rows at once."
        )
    return True


class DeepBinaryClassifier(ClassifierMixin, BaseEstimator):
    """doc"""

    _parameter_constraints = CONSTRAINTS

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] | int = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float | None = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        init: str = "he",
        init_scale: float | None = None,
        init_distribution: str = "normal",
        negative_slope: float = 0.01,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.init = init
        self.init_scale = init_scale
        self.init_distribution = init_distribution
        self.negative_slope = negative_slope

    # ------------------------------------------------------------------ training

    @fit_context
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. float32 and float64 are kept, other numbers become float64. Sparse
            input is used as CSR and never made dense.
        y : array-like of shape (n_samples,)
            Labels of two classes, of any type that can be sorted.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Rows of weight 0 are left out before anything is drawn.

        Returns
        -------
        self : DeepBinaryClassifier

        Raises
        ------
        ValueError
            For data or parameters that cannot be used; the estimator stays as it was.
        DivergenceError
            When training leaves the finite numbers; the estimator is left unfitted or, with
            ``warm_start``, as it was.
        """
        with self._unchanged_on_error(diverged_is_unfitted=not self.warm_start):
            return self._train(X, y, sample_weight)

    @available_if(_is_incremental)
    @fit_context
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch over the given rows, going on from where training stands.

        Solver moments, step count, learning-rate schedule and generator go on as well.
        ``early_stopping`` is ignored: no rows are set aside.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,)
            Their labels; one class may be missing.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.
        classes : array-like of shape (2,), default=None
            Both class labels. Needed in the first call, unless ``fit`` came before.

        Returns
        -------
        self : DeepBinaryClassifier

        Raises
        ------
        ValueError
            For data or parameters that cannot be used; the estimator stays as it was.
        DivergenceError
            When training leaves the finite numbers; the estimator stays as it was.
        """
        with self._unchanged_on_error(diverged_is_unfitted=False):
            return self._train(X, y, sample_weight, classes=classes, incremental=True)

    def _train(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        *,
        classes: ArrayLike | None = None,
        incremental: bool = False,
    ) -> Self:
        """Validate, build the objective, minimise it and publish the result."""
        hidden = check_hidden_layer_sizes(self.hidden_layer_sizes)
        continuing = self.__sklearn_is_fitted__() and (incremental or self.warm_start)
        X, positive, weight = self._check_data(
            X, y, sample_weight, classes, continuing, incremental
        )
        state = getattr(self, "_training_state", {}) if continuing else {}
        random_state = self._make_random_state(state)
        network = self._make_network(X.shape[1], X.dtype, hidden, random_state, continuing)
        X = X.astype(network.dtype, copy=False)
        held_out = None
        if self.early_stopping and not incremental:
            X, positive, weight, held_out = self._hold_out(
                network, X, positive, weight, random_state
            )
        objective = Objective(
            network,
            X,
            positive,
            weight,
            alpha=self.alpha,
            batch_size=self._check_batch_size(X.shape[0], incremental),
            shuffle=self.shuffle,
            random_state=random_state,
        )
        solver = self._make_solver(state)
        # lbfgs has a stopping rule of its own, unless validation rows give another
        tol = None if held_out is None and self.solver == "lbfgs" else self.tol
        plateau = Plateau(tol, self.n_iter_no_change)
        if "plateau" in state:
            plateau.set_state(state["plateau"])
        monitor = Monitor(
            solver, network.parameters, plateau, held_out=held_out, verbose=self.verbose
        )
        max_iter = 1 if incremental else self.max_iter
        with np.errstate(all="ignore"):
            converged = solver.minimize(objective, max_iter, monitor)
            monitor.restore_best()
        if not (converged or incremental or self.tol is None or self.solver == "lbfgs"):
            self._warn_not_converged()
        self._publish(network, monitor, plateau, objective.n_samples, continuing)
        self._training_state = {
            "solver": (type(solver).__name__, solver.get_state()),
            "random_state": random_state,
            "plateau": plateau.get_state(),
        }
        if not (self.warm_start or incremental):
            del self._training_state
        return self

    def _check_data(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        classes: ArrayLike | None,
        continuing: bool,
        incremental: bool,
    ) -> tuple[Array, Array, Array | None]:
        """Return the rows of positive weight: X, which are of the second class, weights."""
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=(np.float64, np.float32),
            order="C",
            reset=not continuing,
        )
        known = self.classes_ if continuing else None
        if incremental and (known is None or classes is not None):
            given = check_classes(classes)
            if known is not None and not np.array_equal(given, known):
                raise ValueError(
                    f"classes={classes!r} is not the same as in the call before: {known}."
                )
            known = given
        self.classes_, positive = encode_labels(y, known, need_both=not incremental)
        weight = check_sample_weight(sample_weight, X.shape[0])
        if weight is not None and not weight.all():
            kept = weight > 0
            X, positive, weight = X[kept], positive[kept], weight[kept]
            if not incremental and positive.all() == positive.any():
                raise ValueError(
                    f"{type(self).__name__} needs samples of 2 classes, but all rows with a "
                    f"positive sample_weight are of one class: {self.classes_[int(positive[0])]!r}."
                )
        return X, positive, weight

    def _make_random_state(self, state: dict[str, Any]) -> np.random.RandomState:
        """Return the generator that initialises, holds out and shuffles."""
        if "random_state" in state:
            # a copy: if this call fails, the next one finds the generator where it was
            return copy.deepcopy(state["random_state"])
        random_state = check_random_state(self.random_state)
        if self.random_state is None:
            # numpy's global generator is not ours to keep
            random_state = np.random.RandomState(random_state.randint(2**31))
        return random_state

    def _make_network(
        self,
        n_features: int,
        dtype: np.dtype,
        hidden: list[int],
        random_state: np.random.RandomState,
        continuing: bool,
    ) -> Network:
        """Build the network at its starting point: freshly drawn, or as training left it."""
        sizes = (n_features, *hidden, 1)
        activation = get_activation(self.activation, self.negative_slope)
        if not continuing:
            network = Network(sizes, activation, dtype)
            initialize(
                network.weights,
                random_state,
                rule=self.init,
                scale=self.init_scale,
                distribution=self.init_distribution,
            )
            return network
        fitted_sizes = (n_features, *(bias.size for bias in self.intercepts_))
        if fitted_sizes != sizes:
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} cannot go on from a network with "
                f"hidden layers {fitted_sizes[1:-1]}: keep it, or train anew (warm_start=False)."
            )
        network = Network(sizes, activation, np.result_type(dtype, self.coefs_[0].dtype))
        network.set_layers(self.coefs_, self.intercepts_)
        return network

    def _make_solver(self, state: dict[str, Any]) -> Solver:
        """Build the solver; if it is the one that trained before, where it stood."""
        if self.solver == "lbfgs":
            return LBFGS(self.tol, self.max_fun)
        schedule = make_schedule(
            self.learning_rate, float(self.learning_rate_init), power_t=float(self.power_t)
        )
        solver: Adam | GradientDescent
        if self.solver == "adam":
            solver = Adam(schedule, float(self.beta_1), float(self.beta_2), float(self.epsilon))
        elif self.solver == "sgd" and self.momentum > 0:
            solver = Momentum(schedule, float(self.momentum), self.nesterovs_momentum)
        else:
            solver = GradientDescent(schedule)
        name, solver_state = state.get("solver", (None, {}))
        if name == type(solver).__name__:
            solver.set_state(solver_state)
        return solver

    def _hold_out(
        self,
        network: Network,
        X: Array,
        positive: Array,
        weight: Array | None,
        random_state: np.random.RandomState,
    ) -> tuple[Array, Array, Array | None, HeldOut]:
        """Split the rows into those to train on and those to validate on."""
        out = held_out_rows(positive, self.validation_fraction, random_state)
        held_out = HeldOut(network, X[out], positive[out], None if weight is None else weight[out])
        return X[~out], positive[~out], None if weight is None else weight[~out], held_out

    def _check_batch_size(self, n_samples: int, incremental: bool) -> int:
        """Return the number of rows of a batch."""
        if self.solver in ("gd", "lbfgs"):
            return n_samples
        if self.batch_size == "auto":
            return min(200, n_samples)
        if self.batch_size > n_samples and not incremental:
            warnings.warn(
                f"batch_size={self.batch_size} is more than the {n_samples} training rows: every "
                "batch is all of them.",
                UserWarning,
                stacklevel=2,
            )
        return min(self.batch_size, n_samples)

    def _warn_not_converged(self) -> None:
        warnings.warn(
            f"Training ran for max_iter={self.max_iter} epochs and was still improving: raise "
            "max_iter or learning_rate_init, or set tol=None to run exactly max_iter epochs.",
            ConvergenceWarning,
            stacklevel=2,
        )

    def _publish(
        self,
        network: Network,
        monitor: Monitor,
        plateau: Plateau,
        n_samples: int,
        continuing: bool,
    ) -> None:
        """Set the fitted attributes; curves and counts go on if training did."""
        self.coefs_ = network.weights
        self.intercepts_ = network.biases
        self.n_layers_ = len(network.layer_sizes)
        self.n_outputs_ = 1
        self.out_activation_ = "logistic"
        self.n_iter_ = len(monitor.loss_curve)
        before = vars(self) if continuing else {}
        self.t_ = before.get("t_", 0) + n_samples * self.n_iter_
        self.loss_curve_ = before.get("loss_curve_", []) + monitor.loss_curve
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else np.inf
        validated = bool(monitor.validation_loss_curve)
        self.best_loss_ = None if validated else min(self.loss_curve_, default=np.inf)
        if validated:
            curve = (before.get("validation_loss_curve_") or []) + monitor.validation_loss_curve
            self.validation_loss_curve_ = curve
            self.validation_scores_ = [-loss for loss in curve]
            self.best_validation_score_ = -plateau.best
            self.best_iter_ = monitor.best_iter
        else:
            self.validation_scores_ = self.best_validation_score_ = None
            self.validation_loss_curve_ = self.best_iter_ = None

    @contextmanager
    def _unchanged_on_error(self, *, diverged_is_unfitted: bool) -> Iterator[None]:
        """Take back what a failed call set; after divergence perhaps the fitted model too."""
        before = {name: value for name, value in vars(self).items() if _is_learned(name)}
        try:
            yield
        except BaseException as error:
            for name in [name for name in vars(self) if _is_learned(name)]:
                delattr(self, name)
            if not (diverged_is_unfitted and isinstance(error, DivergenceError)):
                vars(self).update(before)
            raise

    # ------------------------------------------------------------------ prediction

    def decision_function(self, X: ArrayLike) -> Array:
        """Return the logit of each row: the log-odds of ``classes_[1]``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        logits : ndarray of shape (n_samples,)
            In the wider of the dtypes of X and the parameters. Infinite where hidden
            activations overflow.

        Raises
        ------
        ValueError
            When the logit of a row is NaN, because infinite activations cancel.
        """
        check_is_fitted(self)
        X = validate_data(
            self,
            X,
            accept_sparse="csr",
            dtype=(np.float64, np.float32),
            reset=False,
        )
        activation = get_activation(self.activation, self.negative_slope)
        with np.errstate(all="ignore"):
            logits = predict_logits(X, self.coefs_, self.intercepts_, activation)
        undefined = np.isnan(logits)
        if undefined.any():
            raise ValueError(
                f"Row {int(undefined.argmax())} of X has no prediction: its hidden activations "
                f"overflow {logits.dtype} and cancel to NaN ({int(undefined.sum())} such rows). "
                "Scale the features as in training."
            )
        return logits

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, 2)
            In the order of ``classes_``; each from its own side of the logit, so that small
            ones keep their precision. 0 and 1 together only for an infinite logit: a finite one
            gives at least the smallest positive number of the dtype.

        Raises
        ------
        ValueError
            See `decision_function`.
        """
        return probability(self._signed_logits(X))

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Return the logarithm of the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, 2)
            Computed from the logits, so finite wherever they are.

        Raises
        ------
        ValueError
            See `decision_function`.
        """
        return log_expit(self._signed_logits(X))

    def _signed_logits(self, X: ArrayLike) -> Array:
        """Return the log-odds of each class, (n_samples, 2)."""
        logits = self.decision_function(X)
        return np.stack([-logits, logits], axis=1)

    def predict(self, X: ArrayLike) -> Array:
        """Return the more probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Entries of ``classes_``, in its dtype.

        Raises
        ------
        ValueError
            See `decision_function`.
        """
        # ask first: an unfitted estimator has no classes_
        positive = self.decision_function(X) > 0
        return self.classes_[positive.astype(np.intp)]

    # ------------------------------------------------------------------ interfaces

    def to_mlp_classifier(self) -> MLPClassifier:
        """Return the fitted network as scikit-learn's own MLPClassifier.

        Whatever takes theirs (converters, explainers) then takes ours. Parameters that they lack
        are left out; "gd" becomes "sgd" without momentum.

        Returns
        -------
        MLPClassifier
            Fitted, with copies of the weights; it predicts the same.

        Raises
        ------
        ValueError
            When the hidden activation is one that MLPClassifier does not have.

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from skdnn import DeepBinaryClassifier
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> model = DeepBinaryClassifier((5,), solver="lbfgs", random_state=0, tol=None)
        >>> mlp = model.fit(X / X.max(axis=0), y).to_mlp_classifier()
        >>> type(mlp).__name__
        'MLPClassifier'
        """
        check_is_fitted(self)
        return as_mlp_classifier(self)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = True
        return tags


def _is_learned(name: str) -> bool:
    return (name.endswith("_") and not name.startswith("_")) or name == "_training_state"
