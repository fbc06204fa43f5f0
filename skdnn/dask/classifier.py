"""DaskDeepBinaryClassifier: the estimator whose rows stay on the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Literal, Self

import dask
import numpy as np
from dask.base import is_dask_collection
from dask.delayed import Delayed
from distributed import Client, get_client
from sklearn.base import BaseEstimator, clone
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from skdnn.classifier import DeepBinaryClassifier
from skdnn.dask.cluster import connected
from skdnn.dask.columns import columns_of
from skdnn.dask.lazy import correct_of_block, predict_blocks
from skdnn.dask.partitions import check_collection, delayed_rows, sample_of
from skdnn.dask.preparation import DaskPreparation
from skdnn.training.state import Weights

__all__ = ["DaskDeepBinaryClassifier"]

Array = np.ndarray


class DaskDeepBinaryClassifier(DeepBinaryClassifier):
    """`DeepBinaryClassifier` for data on the workers of a Dask cluster.

    Fits Dask Arrays, of dense or CSR blocks, and DataFrames. Every worker keeps the partitions
    that Dask computed there; in each step it is sent the parameters and sends back one gradient,
    that of its rows of the batch. The sum is the gradient that one machine would have computed, so
    the result is that of `DeepBinaryClassifier` up to rounding:

    - for 'gd' and 'lbfgs' always;
    - for 'sgd', 'adam' and 'adamw' with up to 2**20 training rows. The batches are then those of
      the local fit. With more rows, every partition gives each batch its share of its rows, in a
      random order of its own: other batches, alike whatever the number of workers.
    - not with ``dropout``, which is drawn by partition: the same for any number of workers.

    Parameters
    ----------
    hidden_layer_sizes, activation, ..., warmup
        All parameters of `DeepBinaryClassifier`, with the same meaning but for these:

        - ``row_space``: True is an error; 'auto' never uses it.
        - ``scoring``: 'loss' or the name of a scorer, not a callable. A scorer is computed by the
          client from the validation rows' logits.
        - ``random_state``: also seeds what workers draw.
    client : distributed.Client, default=None
        Cluster to train on; by default the current one. `sklearn.base.clone` keeps it, a pickle
        does not.
    timeout : float, default=300.0
        Seconds that any wait on the cluster may last: for a worker's answer, which is one step, for
        the next partition to be loaded, and for a score.

    Attributes
    ----------
    client_ : distributed.Client
        The cluster that `fit` uses.
    classes_, coefs_, intercepts_, ...
        All fitted attributes of `DeepBinaryClassifier`. They are on the client, as plain arrays.

    See Also
    --------
    skdnn.DeepBinaryClassifier : For data that one machine can hold, or read from disk.

    Notes
    -----
    A worker that dies closes its connection, which is noticed at once; one that no longer answers
    counts as lost after ``timeout`` seconds. In both cases its partitions are computed again from
    their graph on other workers, and the step is repeated with the same rows. What was sent to the
    cluster with ``client.scatter`` cannot be computed again: RuntimeError. If no worker is left,
    TimeoutError after ``timeout`` seconds; if the scheduler is gone, ConnectionError. A step that
    loses workers 8 times is given up with a RuntimeError.

    A worker needs memory for its partitions, and computes on as many threads as it has.
    ``Client(..., direct_to_workers=True)`` spares parameters and gradients the way through the
    scheduler.

    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from skdnn.dask import DaskDeepBinaryClassifier
    >>> with Client(n_workers=1, processes=False, dashboard_address=":0") as client:
    ...     X = da.random.default_rng(0).normal(size=(1000, 5), chunks=(250, 5))
    ...     y = X[:, 0] > 0
    ...     model = DaskDeepBinaryClassifier((8,), solver="lbfgs", max_iter=50, random_state=0)
    ...     labels = model.fit(X, y).predict(X)  # lazy
    ...     bool(model.score(X, y) > 0.95), labels.compute().shape
    (True, (1000,))
    """

    _parameter_constraints = {  # noqa: RUF012
        **DeepBinaryClassifier._parameter_constraints,
        "client": [Client, None],
        "timeout": [Interval(Real, 0, None, closed="neither")],
    }
    _unsaved_parameters = ("client", "timeout")
    _preparation_type = DaskPreparation
    _takes_arrays = False

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
        client: Client | None = None,
        timeout: float = 300.0,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            init=init,
            init_scale=init_scale,
            init_distribution=init_distribution,
            negative_slope=negative_slope,
            row_space=row_space,
            class_weight=class_weight,
            scoring=scoring,
            dropout=dropout,
            max_grad_norm=max_grad_norm,
            warmup=warmup,
        )
        self.client = client
        self.timeout = timeout

    @property
    def client_(self) -> Client:
        """The client of the cluster that `fit` uses.

        Raises
        ------
        AttributeError
            When ``client`` is None and there is no current one, or it cannot be used; `fit` raises
            a ValueError, or a TypeError, then.
        """
        try:
            return self._find_client()
        except (TypeError, ValueError) as error:
            raise AttributeError(str(error)) from error

    def _find_client(self) -> Client:
        client = self.client
        if client is None:
            try:
                client = get_client()
            except ValueError:
                raise ValueError(
                    "There is no Dask client: make one with distributed.Client, or set the "
                    "parameter client."
                ) from None
        if not isinstance(client, Client):
            raise TypeError(
                f"client must be a distributed.Client or None, got {type(client).__name__}."
            )
        if client.asynchronous:
            raise ValueError("client must not be asynchronous: fit waits for the cluster.")
        return client

    # ------------------------------------------------------------------ training

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train the network on the cluster.

        Parameters
        ----------
        X : dask Array or DataFrame of shape (n_samples, n_features)
            Training rows, dense or in CSR blocks. Blocks of several columns are joined. Numbers of
            rows need not be known.
        y : dask Array, Series or DataFrame of shape (n_samples,)
            Labels of two classes; partitions as X's.
        sample_weight : dask Array, Series or DataFrame of shape (n_samples,), default=None
            Non-negative weights; partitions as X's.
        X_val : dask Array or DataFrame of shape (n_val, n_features), default=None
            Validation rows for ``early_stopping=True``, on any of the workers.
        y_val : dask Array, Series or DataFrame of shape (n_val,), default=None
            Their labels.
        sample_weight_val : dask Array, Series or DataFrame of shape (n_val,), default=None
            Their weights.

        Returns
        -------
        self : DaskDeepBinaryClassifier

        Raises
        ------
        TypeError
            When the data are not Dask collections.
        ValueError
            For data or parameters that cannot be used; the estimator stays as it was.
        DivergenceError
            When training leaves the finite numbers; the estimator is left unfitted or, with
            ``warm_start``, as it was.
        TimeoutError, ConnectionError, RuntimeError
            When the cluster fails, see the notes of the class; the estimator stays as it was.
        """
        return super().fit(
            X,
            y,
            sample_weight,
            X_val=X_val,
            y_val=y_val,
            sample_weight_val=sample_weight_val,
        )

    # ------------------------------------------------------------------ prediction

    def decision_function(self, X: Any) -> Any:
        """Return the logit of each row: the log-odds of ``classes_[1]``.

        Parameters
        ----------
        X : {dask Array, dask DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        logits : dask Array or ndarray of shape (n_samples,)
            Lazy for a Dask collection; otherwise computed here, as by `DeepBinaryClassifier`.
        """
        return self._predict("decision_function", X)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class.

        Parameters
        ----------
        X : {dask Array, dask DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        probabilities : dask Array or ndarray of shape (n_samples, 2)
            Lazy for a Dask collection.
        """
        return self._predict("predict_proba", X)

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of the probability of each class.

        Parameters
        ----------
        X : {dask Array, dask DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        log_probabilities : dask Array or ndarray of shape (n_samples, 2)
            Lazy for a Dask collection.
        """
        return self._predict("predict_log_proba", X)

    def predict(self, X: Any) -> Any:
        """Return the more probable class of each row.

        Parameters
        ----------
        X : {dask Array, dask DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        labels : dask Array or ndarray of shape (n_samples,)
            Lazy for a Dask collection.
        """
        return self._predict("predict", X)

    def _predict(self, method: str, X: Any) -> Any:
        if not is_dask_collection(X):
            return getattr(self.to_local(), method)(X)
        check_is_fitted(self)
        check_collection(X, "X", is_matrix=True)
        validate_data(self, sample_of(X), reset=False, skip_check_array=True)
        return predict_blocks(self._to_send(), method, X)

    def _to_send(self) -> DeepBinaryClassifier:
        """Return what predicts on the workers: without callbacks, and names that blocks lack."""
        bare = clone(self.to_local().set_callbacks())
        bare._set_weights(Weights(self.coefs_, self.intercepts_))
        kept = ("activation_", "negative_slope_", "classes_", "n_features_in_")
        bare.__dict__.update({name: value for name, value in vars(self).items() if name in kept})
        return bare

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows, by weight, whose class is predicted right.

        Parameters
        ----------
        X : {dask Array, dask DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.
        y : {dask Array, dask Series, array-like} of shape (n_samples,)
            Their labels; a Dask collection if X is.
        sample_weight : {dask Array, dask Series, array-like} of shape (n_samples,), default=None
            Their weights, not negative and not all zero.

        Returns
        -------
        score : float
            Computed, whatever X is.

        Raises
        ------
        ValueError
            For data that cannot be used.
        TimeoutError, ConnectionError
            When the cluster gives no result within ``timeout`` seconds, or is gone.
        """
        if not is_dask_collection(X):
            return self.to_local().score(X, y, sample_weight)
        check_is_fitted(self)
        check_collection(X, "X", is_matrix=True)
        validate_data(self, sample_of(X), reset=False, skip_check_array=True)
        model, correct = dask.delayed(self._to_send()), dask.delayed(correct_of_block)
        columns = columns_of(X)
        parts = [correct(*rows, model, columns) for rows in delayed_rows(X, y, sample_weight)]
        total = dask.delayed(_sum_of_pairs)(parts)
        try:
            client = self.client_
        except AttributeError:
            right, weight = total.compute()
        else:
            right, weight = self._result(client, total)
        if weight == 0:
            raise ValueError(
                "X has no rows."
                if sample_weight is None
                else "sample_weight must have a positive entry, but every weight is zero."
            )
        return right / weight

    def _result(self, client: Client, value: Delayed) -> Any:
        """Compute a value on the cluster."""
        with connected(client, self.timeout):
            future = client.compute(value)
            try:
                return future.result(timeout=self.timeout)
            except TimeoutError:
                raise TimeoutError(
                    f"There was no result within timeout={self.timeout:g} seconds. Are there "
                    "workers? Raise timeout if it takes longer than that."
                ) from None
            finally:
                if client.status == "running":
                    future.cancel()

    # ------------------------------------------------------------------ interfaces

    def to_local(self) -> DeepBinaryClassifier:
        """Return the same estimator without Dask, fitted if this one is.

        Returns
        -------
        DeepBinaryClassifier
            Has the same parameters and fitted attributes, and trains and predicts here.
        """
        local = DeepBinaryClassifier()
        own = ("client", "timeout")
        local.__dict__.update({name: v for name, v in vars(self).items() if name not in own})
        return local

    def __getstate__(self) -> dict[str, Any]:
        # a connection stays where it is
        return {**super().__getstate__(), "client": None}

    def __sklearn_clone__(self) -> Self:
        client, self.client = self.client, None
        try:
            twin = BaseEstimator.__sklearn_clone__(self)
        finally:
            self.client = client
        twin.client = client
        return twin


def _sum_of_pairs(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    first, second = zip(*pairs, strict=True)
    return sum(first), sum(second)
