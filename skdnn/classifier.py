"""DeepBinaryClassifier: parameters, validation, fit, partial_fit and predict.

The facade decides what is to be done; the network, the objective, the solvers and the monitor do
it. Nothing here computes a gradient.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.callback import CallbackSupportMixin
from sklearn.neural_network import MLPClassifier
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skdnn._version import documentation_url
from skdnn.datasets.prepared import PreparedRows
from skdnn.datasets.rows import check_finite, row_blocks
from skdnn.mlp import as_mlp_classifier
from skdnn.network.activations import Activation, get_activation
from skdnn.network.loss import probability
from skdnn.network.prediction import predict_logits
from skdnn.numerics.vectors import all_finite
from skdnn.parameters import CONSTRAINTS, check_layers, fit_context
from skdnn.training.accuracy import WeightedAccuracy
from skdnn.training.learned import Learned
from skdnn.training.messages import warn_of_outcome
from skdnn.training.preparation import DATA, Preparation, check_data
from skdnn.training.state import Call, Weights
from skdnn.training.tasks import FitRun
from skdnn.training.training import Outcome, Training

__all__ = ["DeepBinaryClassifier"]

Array = np.ndarray


def _is_incremental(estimator: DeepBinaryClassifier) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for solvers that step after every batch; "
            "solver='lbfgs' needs all rows at once."
        )
    return True


class DeepBinaryClassifier(
    Learned, CallbackSupportMixin, WeightedAccuracy, ClassifierMixin, BaseEstimator
):
    """Feed-forward network for binary classification with scikit-learn's interface.

    Hidden layers compute ``activation(A W + b)``, the last one a single logit, whose expit is the
    probability of ``classes_[1]``. Training minimises the weighted log loss with an L2 penalty,
    ``(sum(w * loss) + alpha / 2 * sum(W ** 2)) / sum(w)``, where ``sum(w)`` is the number of rows
    if there are no weights.

    A drop-in replacement for :class:`sklearn.neural_network.MLPClassifier` on binary targets: the
    first 23 parameters are its own, with the same names, order and defaults. Where the meaning
    differs on purpose, the parameter says so.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int or int, default=(100,)
        Number of units of each hidden layer. ``()`` is logistic regression.
    activation : str, default='relu'
        Activation of the hidden layers: 'relu', 'leaky_relu', 'tanh', 'logistic', 'identity',
        'elu', 'silu' or 'gelu'.
    solver : {'adam', 'adamw', 'sgd', 'gd', 'lbfgs'}, default='adam'
        - 'adam': adaptive moments on batches [3]_.
        - 'adamw': the same with decoupled weight decay [5]_.
        - 'sgd': gradient descent on batches, with momentum; on all rows with
          ``batch_size=n_samples``.
        - 'gd': plain gradient descent on all rows; ignores ``momentum`` and ``batch_size``.
        - 'lbfgs': quasi-Newton on all rows, often best for small data.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights. It is divided by the weight sum of all training
        rows, whatever the batch; MLPClassifier divides by the batch, so that theirs acts
        ``n_samples / batch_size`` times stronger. For 'adamw' it is the decay: every step
        multiplies the weights by ``1 - learning_rate * alpha``, and the loss has no penalty.
    batch_size : int or 'auto', default='auto'
        Rows of a batch of 'adam' and 'sgd'; 'auto' is ``min(200, n_samples)``.
    learning_rate : str, default='constant'
        Schedule of every solver but 'lbfgs' (MLPClassifier: of 'sgd' alone).

        - 'constant': ``learning_rate_init``.
        - 'invscaling': ``learning_rate_init / step ** power_t`` in every step, counted from 1.
          MLPClassifier counts rows instead of steps, and changes the rate once an epoch.
        - 'adaptive': divided by 5 whenever ``n_iter_no_change`` epochs together gain less than
          ``tol``; training stops at a plateau at a rate of 1e-6 or less.
        - 'cosine': half a cosine from ``learning_rate_init`` down to almost 0 over ``max_iter``
          epochs, changing at every step [6]_.
        - 'one_cycle': half a cosine from ``learning_rate_init / 25`` up to ``learning_rate_init``
          over 30 % of the steps of ``max_iter`` epochs, then down to almost 0 [7]_.
    learning_rate_init : float, default=0.001
        Learning rate that the schedule starts from. Not used by 'lbfgs'.
    power_t : float, default=0.5
        Exponent of 'invscaling'.
    max_iter : int, default=200
        Largest number of epochs; of iterations for 'lbfgs'.
    shuffle : bool, default=True
        Whether each epoch goes through the rows in a new random order. A batch of all rows is
        never shuffled.
    random_state : int, RandomState instance or None, default=None
        Generator of the initial weights, then of the validation split, then of the row orders.
    tol : float or None, default=1e-4
        Training ends when ``n_iter_no_change`` epochs together lower the watched loss (or raise the
        score) by less than ``tol``. (MLPClassifier: when each of them gains less, so that it stops
        slow progress.) For 'lbfgs', training ends when no component of the gradient exceeds it, or
        when an iteration lowers the loss by less than 2.2e-9 of it or of 1 (1e-6 in float32), as
        in MLPClassifier. None: run exactly ``max_iter`` epochs and warn of nothing; 'lbfgs' ends
        before if there is no descent left.
    verbose : bool or int, default=False
        Print a line every epoch (True), or every ``verbose``-th; epochs are counted as in
        ``loss_curve_``.
    warm_start : bool, default=False
        Whether `fit` goes on from the present parameters, solver moments, step count, schedule
        and generator. 'lbfgs' goes on from the parameters with an empty history; the schedules
        'cosine' and 'one_cycle' begin anew. With ``early_stopping`` it goes on from the last
        epoch's parameters, not from the best ones that ``coefs_`` holds. Parameters that were
        changed in between, ``activation`` too, are those of the new call, but for
        ``hidden_layer_sizes``: a ValueError.
    momentum : float, default=0.9
        Momentum of 'sgd', in [0, 1].
    nesterovs_momentum : bool, default=True
        Whether 'sgd' uses Nesterov's momentum [4]_.
    early_stopping : bool, default=False
        Whether to set rows aside (or take ``X_val``), watch their log loss or ``scoring``
        (MLPClassifier: their accuracy), stop by it and return the parameters of the epoch where
        it was best. For every solver. Ignored by `partial_fit`.
    validation_fraction : float, default=0.1
        Share of the rows set aside by ``early_stopping``, stratified, at least one of each class;
        in [0, 1).
    beta_1 : float, default=0.9
        Decay rate of the first moment of 'adam' and 'adamw', in [0, 1).
    beta_2 : float, default=0.999
        Decay rate of the second moment, in [0, 1).
    epsilon : float, default=1e-8
        Added to the root of the second moment.
    n_iter_no_change : int or inf, default=10
        Epochs that ``tol`` is about. Exactly so many; MLPClassifier waits for one more.
    max_fun : int, default=15000
        Largest number of evaluations of 'lbfgs'.
    init : {'he', 'xavier', 'lecun', 'normal'}, default='he'
        Variance of the initial weights of a layer: 2 / fan_in [1]_, 2 / (fan_in + fan_out) [2]_,
        1 / fan_in or 1. Biases start at 0. (MLPClassifier: uniform in the manner of Glorot, biases
        too.)
    init_scale : float or None, default=None
        Numerator that replaces the one of ``init``.
    init_distribution : {'normal', 'uniform'}, default='normal'
        Distribution of the initial weights, of that variance.
    negative_slope : float, default=0.01
        Slope of 'leaky_relu' below 0, in [0, 1).
    row_space : bool or 'auto', default='auto'
        Whether to train in the coordinates of X's row space: the same iterates up to rounding, at
        a cost that does not grow with the number of features. For dense X and the solvers 'gd',
        'sgd' and 'lbfgs'; an error for others if True. 'auto' uses it where X has so many more
        features than rows that it saves time; never in `partial_fit`, nor where ``scoring`` is a
        callable.
    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, ``{label: weight}``, that multiply the sample weights. 'balanced'
        weighs them inversely to their sums of sample weights, in `partial_fit` over the rows of
        the call.
    scoring : str or callable, default='loss'
        What ``early_stopping`` watches: minus the log loss of the validation rows, or any scorer
        of scikit-learn, higher being better. A callable ``scoring(estimator, X, y)`` needs a
        ``sample_weight`` argument too if there are sample or class weights. Without early stopping
        nothing is scored, and ``scoring`` has no effect.
    dropout : float or sequence of float, default=0.0
        Share of the units of every hidden layer, or of each, that a training step leaves out at
        random; the rest is scaled up by as much [8]_. Not at prediction, and not for 'lbfgs'.
    max_grad_norm : float or None, default=None
        Gradients whose Euclidean norm over all parameters is larger are scaled down to it. Not
        used by 'lbfgs'.
    warmup : float, default=0
        Epochs over which the learning rate first rises from 0 to ``learning_rate_init`` in a
        straight line, a little in every step; the schedule follows.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Class labels, sorted, in their own dtype. The second is the positive class.
    coefs_ : list of ndarray of shape (n_in, n_out)
        Weights of each layer, float32 or float64 as X was.
    intercepts_ : list of ndarray of shape (n_out,)
        Biases of each layer.
    loss_ : float
        Last entry of ``loss_curve_``.
    loss_curve_ : list of float
        Loss of each epoch with the penalty: the mean over its batches, each before its update. For
        'lbfgs', the loss after each iteration. Goes on with ``warm_start`` and `partial_fit`.
    best_loss_ : float or None
        Lowest entry of ``loss_curve_``; None with early stopping.
    learning_rate_curve_ : list of float
        Learning rate of the last step of each epoch; empty for 'lbfgs'.
    validation_loss_curve_ : list of float or None
        Log loss of the validation rows after each epoch; None without early stopping.
    validation_scores_ : list of float or None
        ``scoring`` of the validation rows after each epoch, minus the log loss by default; higher
        is better.
    best_validation_score_ : float or None
        Validation score of the returned parameters.
    best_iter_ : int or None
        Epoch that the returned parameters are of, counted from 1 along ``validation_scores_``;
        None without early stopping.
    n_iter_ : int
        Epochs of the last call.
    t_ : int
        Training rows seen: rows times epochs, over all calls.
    n_parameters_ : int
        Number of weights and biases.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X had names that are all strings.
    n_layers_ : int
        Number of layers, input and output counted.
    n_outputs_ : int
        1.
    out_activation_ : str
        'logistic'.
    activation_ : str
        Activation of the hidden layers that the weights were trained with.
    negative_slope_ : float
        Its slope below 0, if it is 'leaky_relu'.

    See Also
    --------
    sklearn.neural_network.MLPClassifier : More than two classes, and multilabel targets.

    Notes
    -----
    The loss and its gradient are computed from the logits, so saturated outputs cost no precision.
    Training that leaves the finite numbers raises :class:`DivergenceError` in the epoch in which
    it happens. `set_callbacks` takes callbacks of :mod:`sklearn.callback`; an epoch is a task, for
    'lbfgs' an iteration.

    References
    ----------
    .. [1] He, Zhang, Ren, Sun (2015). Delving deep into rectifiers. arXiv:1502.01852.
    .. [2] Glorot, Bengio (2010). Understanding the difficulty of training deep feedforward neural
       networks. AISTATS.
    .. [3] Kingma, Ba (2015). Adam: a method for stochastic optimization. arXiv:1412.6980.
    .. [4] Sutskever, Martens, Dahl, Hinton (2013). On the importance of initialization and
       momentum in deep learning. ICML.
    .. [5] Loshchilov, Hutter (2019). Decoupled weight decay regularization. arXiv:1711.05101.
    .. [6] Loshchilov, Hutter (2017). SGDR: stochastic gradient descent with warm restarts.
       arXiv:1608.03983.
    .. [7] Smith, Topin (2018). Super-convergence. arXiv:1708.07120.
    .. [8] Srivastava et al. (2014). Dropout: a simple way to prevent neural networks from
       overfitting. JMLR 15.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skdnn import DeepBinaryClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    >>> model = make_pipeline(
    ...     StandardScaler(),
    ...     DeepBinaryClassifier((32, 16), learning_rate_init=0.01, random_state=0),
    ... )
    >>> bool(model.fit(X_train, y_train).score(X_test, y_test) > 0.95)
    True
    >>> model.predict_proba(X_test).shape
    (143, 2)
    """

    _parameter_constraints = CONSTRAINTS
    _learned_privately = ("_training_state",)
    classes_: Array
    coefs_: list[Array]
    intercepts_: list[Array]
    activation_: str
    negative_slope_: float
    loss_curve_: list[float]
    learning_rate_curve_: list[float]
    validation_loss_curve_: list[float] | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    best_iter_: int | None

    # Parameters of a subclass that no file keeps
    _unsaved_parameters: tuple[str, ...] = ()
    # What a subclass with its data elsewhere puts in its place
    _preparation_type: type[Preparation] = Preparation
    _tells_outcome = True  # in warnings
    _takes_arrays = True  # rows in memory, as the networks of an ensemble must

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
        row_space: bool | Literal["auto"] = "auto",
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        scoring: str | Callable[..., float] = "loss",
        dropout: float | Sequence[float] = 0.0,
        max_grad_norm: float | None = None,
        warmup: float = 0,
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
        self.row_space = row_space
        self.class_weight = class_weight
        self.scoring = scoring
        self.dropout = dropout
        self.max_grad_norm = max_grad_norm
        self.warmup = warmup

    # ------------------------------------------------------------------ training

    @fit_context
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train the network.

        Ctrl-C ends training after the epoch that it meets: the estimator is fitted with the
        parameters of then, and KeyboardInterrupt is raised. A second Ctrl-C interrupts at once,
        and leaves the estimator as it was.

        Parameters
        ----------
        X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
            Training rows. float32 and float64 are kept, other numbers become float64. Sparse
            input is used as CSR and never made dense. Rows of an `HDF5Matrix` or a two-dimensional
            `h5py.Dataset` that take more than its ``memory_limit`` stay in the file.
        y : array-like or h5py.Dataset of shape (n_samples,)
            Labels of two classes: integers, booleans or strings.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Rows of weight 0 are left out before anything is drawn.
        X_val : like X, of shape (n_val, n_features), default=None
            Validation rows for ``early_stopping=True``; nothing is then set aside from X. In a
            `Pipeline`, name it in ``transform_input`` and enable metadata routing.
        y_val : array-like of shape (n_val,), default=None
            Their labels.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights.

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
        return self._train(
            X, y, sample_weight, X_val=X_val, y_val=y_val, sample_weight_val=sample_weight_val
        )

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
        X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
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
        return self._train(X, y, sample_weight, classes=classes, incremental=True)

    def _train(
        self, X: Any, y: Any, sample_weight: Any, *, incremental: bool = False, **given: Any
    ) -> Self:
        """Check, begin, train, publish; or leave everything as it was."""
        hidden = check_layers(self)
        if incremental and hasattr(self, "_progress"):
            raise ValueError(
                "This estimator was loaded from a checkpoint of fit, which fit goes on with: "
                "partial_fit would lose it. Call fit first, or clone the estimator."
            )
        unfitted = not (incremental or self.warm_start)
        with (
            # whatever the caller set: overflow is found where it matters, and told as divergence
            np.errstate(all="ignore"),
            self._unchanged_on_error(diverged_is_unfitted=unfitted),
            self._preparation_type(self, hidden, incremental=incremental) as preparation,
        ):
            call = preparation.check(X, y, sample_weight, **given)
            metadata = None if sample_weight is None else {"sample_weight": sample_weight}
            with FitRun(
                self,
                call,
                {"X": X, "y": y, "metadata": metadata},
                hash_data=preparation.hash_data,
                before=self._learned() if call.continuing else None,
                attributes=lambda training: self._attributes_of(training.snapshot(), call),
            ) as run:
                preparation.complete(call)
                run.training = training = Training(self, call, run.tasks)
                self._publish(training.run(), call)
                run.interrupted = training.interrupted
        if run.interrupted:
            raise KeyboardInterrupt
        return self

    def _attributes_of(self, outcome: Outcome, call: Call) -> dict[str, Any]:
        """Return what makes a copy of this estimator one that was fitted as far as that."""
        model = copy.copy(self)
        model._set_fitted(outcome, call)
        return model._learned()

    def _publish(self, outcome: Outcome, call: Call) -> None:
        """Set the fitted attributes and the training state; warn of what went wrong."""
        self._set_fitted(outcome, call)
        if self.warm_start or call.incremental:
            self._training_state = outcome.state
        else:
            self.__dict__.pop("_training_state", None)
        if not call.incremental and self._tells_outcome:
            warn_of_outcome(self, outcome)

    def _set_fitted(self, outcome: Outcome, call: Call) -> None:
        """Set the fitted attributes; curves and counts go on if training did."""
        monitor = outcome.monitor
        before = dict(vars(self)) if call.continuing else {}

        def go_on(name: str, curve: list[float]) -> list[float]:
            return (before.get(name) or []) + curve

        if outcome.weights is not None:
            self._set_weights(outcome.weights)
        self.n_iter_ = len(monitor.loss_curve)
        self.t_ = before.get("t_", 0) + call.rows.shape[0] * self.n_iter_
        self.loss_curve_ = go_on("loss_curve_", monitor.loss_curve)
        self.learning_rate_curve_ = go_on("learning_rate_curve_", monitor.learning_rate_curve)
        self.loss_ = monitor.loss
        if not monitor.validation_scores:
            self.best_loss_: float | None = min(self.loss_curve_, default=self.loss_)
            self.validation_loss_curve_ = self.validation_scores_ = None
            self.best_validation_score_ = self.best_iter_ = None
            return
        self.best_loss_ = None
        earlier = len(before.get("validation_scores_") or [])
        self.validation_loss_curve_ = go_on("validation_loss_curve_", monitor.validation_loss_curve)
        self.validation_scores_ = go_on("validation_scores_", monitor.validation_scores)
        if monitor.best_parameters is None and outcome.weights is not None:
            self.best_iter_ = self.best_validation_score_ = None  # every score is NaN
        elif monitor.best_parameters is not None:
            self.best_iter_ = earlier + monitor.best_iter
            self.best_validation_score_ = self.validation_scores_[self.best_iter_ - 1]

    def _set_weights(self, weights: Weights) -> None:
        """Set the parameters, and all else that prediction needs of what they were trained with."""
        self.coefs_, self.intercepts_ = weights
        self.activation_, self.negative_slope_ = self.activation, float(self.negative_slope)
        self.n_layers_ = len(self.coefs_) + 1
        self.n_outputs_ = 1
        self.out_activation_ = "logistic"
        self.n_parameters_ = sum(a.size for a in (*self.coefs_, *self.intercepts_))

    @property
    def _hidden_activation(self) -> Activation:
        """The activation that the parameters were trained with."""
        return get_activation(*self._name_and_slope)

    @property
    def _name_and_slope(self) -> tuple[str, float]:
        fitted = vars(self)  # weights that were set by hand come without, and older pickles
        name, slope = fitted.get("activation_"), fitted.get("negative_slope_")
        return name or self.activation, float(self.negative_slope if slope is None else slope)

    # ------------------------------------------------------------------ prediction

    def decision_function(self, X: ArrayLike) -> Array:
        """Return the logit of each row: the log-odds of ``classes_[1]``.

        Parameters
        ----------
        X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
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
        if not hasattr(self, "coefs_"):  # to be asked takes scikit-learn as long as a small network
            check_is_fitted(self)
        with np.errstate(all="ignore"):
            return self._logits(X if self._are_plain_rows(X) else check_data(self, X))

    def _logits(self, rows: Any) -> Array:
        """Return the logit of each of some rows that have been validated.

        Whoever calls it sees to it that overflow is no error.
        """
        activation = self._hidden_activation
        logits = predict_logits(rows, self.coefs_, self.intercepts_, activation, row_blocks)
        if np.isnan(np.dot(logits, logits)):  # only if an entry is: squares do not cancel
            check_finite(rows)
            undefined = np.isnan(logits)
            raise ValueError(
                f"Row {int(undefined.argmax())} of X has no prediction: its hidden activations "
                f"overflow {logits.dtype} and cancel to NaN ({int(undefined.sum())} such rows). "
                "Scale the features as in training."
            )
        return logits

    def _are_plain_rows(self, X: Any) -> bool:
        """Return whether scikit-learn's validation would return X as it is.

        It takes several times as long as the network for a single row.
        """
        if type(X) is PreparedRows:
            return X.shape[1] == self.n_features_in_
        return (
            type(X) is np.ndarray
            and X.ndim == 2
            and X.dtype in DATA["dtype"]
            and X.flags.c_contiguous
            and X.shape[0] > 0
            and X.shape[1] == self.n_features_in_
            and not hasattr(self, "feature_names_in_")
            and all_finite(X.reshape(-1))
        )

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
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
        X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
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
        columns = np.empty((logits.size, 2), logits.dtype)
        np.negative(logits, out=columns[:, 0])
        columns[:, 1] = logits
        return columns

    def predict(self, X: ArrayLike) -> Array:
        """Return the more probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
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

    def _get_doc_link(self) -> str:
        """Return where the HTML representation links to, if the documentation has a host."""
        cls = type(self)
        package = cls.__module__.rpartition(".")[0]
        if package.partition(".")[0] != "skdnn" or not documentation_url():
            return ""
        return f"{documentation_url()}/generated/{package}.{cls.__name__}.html"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = True
        return tags
