"""DeepEnsembleClassifier: parameters, validation, fit and predict.

The facade decides; folds, encoders and members do. What a network is, `DeepBinaryClassifier` knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from skdnn.classifier import DeepBinaryClassifier
from skdnn.ensemble.defaults import (
    Kind,
    check_kinds,
    count_folds,
    input_tags,
    kinds_to_continue,
    resolve_estimator,
)
from skdnn.ensemble.encoded import EncodedTable, encoded_blocks, resolve_encoder
from skdnn.ensemble.folds import Rows, check_rows, draw_seed, make_folds
from skdnn.ensemble.judgement import Judgement, both_sides
from skdnn.ensemble.members import Member, fit_member
from skdnn.network.loss import probability
from skdnn.numerics.threads import single_blas_thread
from skdnn.parameters import ENSEMBLE_CONSTRAINTS, fit_context
from skdnn.preprocessing.columns import check_table
from skdnn.training.accuracy import WeightedAccuracy
from skdnn.training.learned import Learned

__all__ = ["DeepEnsembleClassifier"]

Array = np.ndarray


class DeepEnsembleClassifier(
    Learned, CallbackSupportMixin, WeightedAccuracy, ClassifierMixin, BaseEstimator
):
    """Deep ensemble that takes a table as it is: numbers, categories, text labels and gaps.

    ``n_estimators`` networks, each trained on all folds but one and stopped by that, answer with
    the mean of their probabilities [1]_, weighted by ``estimator_weights_``. What the networks see
    is the table as :class:`~skdnn.preprocessing.TableEncoder` encodes it.

    Parameters
    ----------
    estimator : DeepBinaryClassifier, default=None
        What each network is a copy of; ``early_stopping`` is set, and ``random_state`` is drawn
        for each. None: two hidden layers of 64 units and ``learning_rate_init=0.006``, or 0.008
        where numbers have no bins, or one such layer and 0.012; ``alpha=1`` (the mean of the
        weights, if rows have some: their ratios alone matter), ``n_iter_no_change=9``,
        ``max_iter=1000``, and batches of a thirtieth of the rows, from 16 to 256. For more than
        10,000 dense inputs, 8 of each number, the rate is 10,000 / their number of these.
    n_estimators : int, default=24
        Number of networks. One is a plain network that is stopped early.
    categorical_features : {"from_dtype"} or array-like of str, int or bool, default="from_dtype"
        Which columns are categories, as of :class:`~skdnn.preprocessing.TableEncoder`; of an
        ``encoder`` that is "auto", any other has parameters of its own.
    encoder : "auto", transformer or None, default="auto"
        What makes a matrix of the table. "auto": networks of several kinds take turns, with two
        layers behind ``TableEncoder()``, two behind ``TableEncoder(n_bins=0)``, one behind
        ``TableEncoder()`` that sees a random 60 % of the columns [3]_, others in each network,
        and from 1,000 rows on, of up to 50 columns, two behind
        ``TableEncoder(n_bins=32)``; what each kind counts is found out of fold. Of as many kinds
        as there can be four networks of each, of the first two at most if ``estimator`` is given.
        None: X is a matrix of finite numbers, scaled already. A transformer of another class is
        fitted for each network anew, since it might look at labels.
    kinds : list of (encoder, estimator) or (encoder, estimator, max_features), default=None
        Networks of several kinds: the first is of the first kind, the second of the second, and
        so on in turn; one of each kind shares a fold. Each part may be what ``encoder`` and
        ``estimator`` may be, which have no say then. ``max_features``, more than 0 and at most 1,
        is the share of the columns that each network sees, drawn at random [3]_.
    cv : int, splitter or iterable, default=None
        The folds. An int: so many, stratified and shuffled, by groups if there are any; fewer
        where a class has fewer rows, or groups would leave one empty. None: as many as there are
        networks of a kind, from 4 to 8. Where there are more networks than folds, they are
        shuffled again.
    n_jobs : int, default=None
        Networks that are trained at the same time, on threads. None is 1, unless a
        ``joblib.parallel_config`` says otherwise; -1 is one a core. Results do not depend on it.
    warm_start : bool, default=False
        Whether `fit` adds networks to those that there are, up to ``n_estimators``, all the same
        as if there had been so many of the same kinds, on the same folds, in the first call. X, y,
        weights, groups and encoders must be those of then.
    verbose : int, default=0
        1: print a line for each network; more: each network's ``verbose`` is 1 less.
    random_state : int, RandomState instance or None, default=None
        Generator of folds, initial weights, orders of the rows, and of whatever draws in encoders
        without a ``random_state`` of their own.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Class labels, sorted. The second is the positive class.
    estimators_ : list of DeepBinaryClassifier
        The networks.
    encoders_ : list of transformers
        The encoder of each network; the same object where they share it.
    estimator_weights_ : ndarray of shape (n_networks,)
        What each network counts in the mean; the sum is 1. The same for all of a kind; between
        kinds, what gives the lowest out-of-fold log loss [2]_.
    estimator_ : DeepBinaryClassifier
        What the first network is a copy of, its parameters resolved.
    encoder_ : transformer
        Fitted to all rows, of the first kind.
    oof_decision_function_ : ndarray of shape (n_samples,)
        Log-odds of each row by the mean of the networks that were not trained on it. NaN where
        each was, as with fewer networks than folds, and where a row has no weight.
    oof_log_loss_ : float
        Log loss of these, weighted: what to expect on new rows.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if they have names that are all strings.

    See Also
    --------
    DeepBinaryClassifier : One network.
    skdnn.preprocessing.TableEncoder : What the networks see of a table.
    sklearn.ensemble.HistGradientBoostingClassifier : Boosted trees, in the same place.

    Notes
    -----
    Networks are trained in float32. A table whose encoding would be large is encoded batch by
    batch.

    References
    ----------
    .. [1] Lakshminarayanan, Pritzel, Blundell (2017). Simple and scalable predictive uncertainty
       estimation using deep ensembles. NeurIPS. arXiv:1612.01474.
    .. [2] Breiman (1996). Stacked regressions. Machine Learning 24.
    .. [3] Ho (1998). The random subspace method for constructing decision forests. IEEE
       Transactions on Pattern Analysis and Machine Intelligence 20(8).

    Examples
    --------
    >>> import pandas as pd
    >>> from skdnn import DeepEnsembleClassifier
    >>> X = pd.DataFrame({"age": [22, 38, None, 35] * 25, "port": ["S", "C", "S", None] * 25})
    >>> model = DeepEnsembleClassifier(random_state=0).fit(X, ["no", "yes", "no", "yes"] * 25)
    >>> model.predict(X[:2])
    array(['no', 'yes'], dtype='<U3')
    >>> model.member_proba(X[:2]).shape
    (2, 24)
    """

    _parameter_constraints = ENSEMBLE_CONSTRAINTS
    _learned_privately = ("_root", "_judgement", "_n_folds", "_kind_encoders")
    _get_doc_link = DeepBinaryClassifier._get_doc_link

    classes_: Array
    estimators_: list[DeepBinaryClassifier]
    encoders_: list[Any]
    oof_decision_function_: Array
    oof_log_loss_: float
    _judgement: Judgement
    _n_folds: int
    _kind_encoders: list[Any]

    def __init__(
        self,
        estimator: DeepBinaryClassifier | None = None,
        n_estimators: int = 24,
        *,
        categorical_features: Any = "from_dtype",
        encoder: Any = "auto",
        kinds: Sequence[Sequence[Any]] | None = None,
        cv: Any = None,
        n_jobs: int | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.categorical_features = categorical_features
        self.encoder = encoder
        self.kinds = kinds
        self.cv = cv
        self.n_jobs = n_jobs
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    # ------------------------------------------------------------------ training

    @fit_context
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Train the networks.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            The table.
        y : array-like of shape (n_samples,)
            Labels of two classes: integers, booleans or strings.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of rows, in training and in stopping. Rows of weight 0 are left
            out before anything is drawn. The encoder looks at no weights.
        groups : array-like of shape (n_samples,), default=None
            For ``cv``: rows of a group are on the same side of a fold.

        Returns
        -------
        self : DeepEnsembleClassifier

        Raises
        ------
        ValueError, TypeError
            For data or parameters that cannot be used; the estimator stays as it was.
        DivergenceError
            When the training of a network leaves the finite numbers.
        """
        with self._unchanged_on_error(), np.errstate(all="ignore"):
            self._fit(X, y, sample_weight, groups)
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any, groups: Any) -> None:
        continuing = self.warm_start and hasattr(self, "estimators_")
        metadata = {"sample_weight": sample_weight, "groups": groups}
        data = {"X": X, "y": y, "metadata": {k: v for k, v in metadata.items() if v is not None}}
        kinds = kinds_to_continue(self) if continuing else check_kinds(self)
        n_before = len(self.estimators_) if continuing else 0
        table = check_table(X, self, reset=not continuing, accept_sparse=True)
        known = (self.classes_, self._judgement) if continuing else ()
        given, self.classes_ = check_rows(table, y, sample_weight, groups, *known)
        if not continuing:
            size = len(given.weighted), self.n_features_in_
            kinds = [kind for kind in kinds if kind.suits(*size)]
        n_kinds = len(kinds)
        context = self._init_callback_context(
            max_subtasks=self.n_estimators - n_before, sequential_subtasks=False
        )
        context.skdnn_is_ensemble = True  # for callbacks of the networks
        context.call_on_fit_task_begin(estimator=self, **data)
        if not continuing:
            self._root = int(check_random_state(self.random_state).randint(2**31 - 1))
            self._judgement = Judgement(n_kinds, len(given.y), given.hashes())
            self._n_folds = count_folds(self.n_estimators, n_kinds)
            self.estimators_, self.encoders_ = [], []
        n_rounds = -(-self.n_estimators // n_kinds)  # networks of the first kind
        cv = self._n_folds if self.cv is None else self.cv
        folds = make_folds(cv, n_rounds, given, self._root)
        rows = given.select(given.weighted)
        n_train = min(fold.n_train for fold in folds)
        tables, templates = self._make_kinds(kinds, rows, n_train, continuing)
        members = range(n_before, self.n_estimators)
        tasks = [context.subcontext(task_name="network", task_id=k) for k in members]
        with single_blas_thread():
            fitted: list[Member] = Parallel(n_jobs=self.n_jobs, require="sharedmem")(
                delayed(fit_member)(
                    self,
                    k,
                    templates[k % n_kinds],
                    tables[k % n_kinds],
                    folds[k // n_kinds],
                    rows,
                    task,
                    has_defaults=kinds[k % n_kinds].estimator is None,
                )
                for k, task in zip(members, tasks, strict=True)
            )
        del tables  # as large as X, before what networks say of all rows is put together
        held_out = [given.weighted[folds[k // n_kinds].held_out] for k in members]
        self._publish(fitted, held_out, given)
        context.call_on_fit_task_end(estimator=self, reconstruction_attributes={}, **data)

    def _make_kinds(
        self, kinds: list[Kind], rows: Rows, n_train: int, continuing: bool
    ) -> tuple[list[EncodedTable], list[DeepBinaryClassifier]]:
        """Return the table as each kind of network sees it, and what these are copies of."""
        encoders = list(self._kind_encoders) if continuing else []
        if not continuing:
            encoders = [resolve_encoder(kind.encoder, draw_seed(self._root, 1)) for kind in kinds]
        tables: list[EncodedTable] = []
        for kind, encoder in zip(kinds, encoders, strict=True):
            table = EncodedTable(
                encoder,
                rows.X,
                rows.y,
                fitted=continuing,
                max_features=kind.max_features,
                others=tables,
            )
            tables.append(table)
        mean_weight = 1.0 if rows.weight is None else float(rows.weight.mean())
        templates = [
            resolve_estimator(kind, len(rows.y), n_train, table.n_inputs, mean_weight)
            for kind, table in zip(kinds, tables, strict=True)
        ]
        self._kind_encoders = [table.encoder for table in tables]
        self.encoder_, self.estimator_ = self._kind_encoders[0], templates[0]
        return tables, templates

    def _publish(self, fitted: list[Member], held_out: list[Array], given: Rows) -> None:
        """Add networks to the ensemble, and what they say of the rows set aside."""
        n_before = len(self.estimators_)
        self.estimators_ = [*self.estimators_, *(member.network for member in fitted)]
        self.encoders_ = [*self.encoders_, *(member.encoder for member in fitted)]
        n_kinds = self._judgement.n_kinds
        kinds = [k % n_kinds for k in range(len(self.estimators_))]
        says = [member.says for member in fitted]
        self._judgement = self._judgement.with_more(kinds[n_before:], held_out, says)
        kind_weights = self._judgement.weigh_kinds(given.positive, given.weight)
        self.estimator_weights_ = (kind_weights / np.bincount(kinds))[kinds]
        self.oof_decision_function_ = self._judgement.log_odds(kind_weights)
        self.oof_log_loss_ = self._judgement.log_loss(kind_weights, given.positive, given.weight)

    # ------------------------------------------------------------------ prediction

    def _member_logits(self, X: Any) -> Iterator[tuple[slice, list[int], Array]]:
        """Return blocks of rows, and logits of them by all networks that share an encoder."""
        for rows, encoder, block in encoded_blocks(self.encoders_, X):
            members = [k for k, mine in enumerate(self.encoders_) if mine is encoder]
            with np.errstate(all="ignore"):
                logits = np.stack([self.estimators_[k]._logits(block) for k in members])
            yield rows, members, logits[:, : rows.stop - rows.start]  # (n_members, n_rows)

    def _check_new(self, X: Any) -> Any:
        """Return the table if it is like that of fit."""
        check_is_fitted(self)
        return check_table(X, self, reset=False, accept_sparse=True)

    def _mean_probabilities(self, X: Any) -> Array:
        """Return the probability of each class, (2, n_samples)."""
        X = self._check_new(X)
        sums = np.zeros((2, X.shape[0]))
        with single_blas_thread(), np.errstate(all="ignore"):
            for rows, members, logits in self._member_logits(X):
                logits = logits.astype(np.float64)
                weights = self.estimator_weights_[members]
                both = np.stack([probability(-logits), probability(logits)], axis=1)
                for weight, share in zip(weights, both, strict=True):
                    sums[:, rows] += weight * share
        return sums

    def _mean_logarithms(self, X: Any) -> Array:
        """Return the logarithm of each class' probability, (2, n_samples)."""
        X = self._check_new(X)
        sums = np.full((2, X.shape[0]), -np.inf)
        with single_blas_thread(), np.errstate(all="ignore"):
            shares = np.log(self.estimator_weights_)
            for rows, members, logits in self._member_logits(X):
                for k, says in zip(members, logits, strict=True):
                    sums[:, rows] = np.logaddexp(sums[:, rows], both_sides(says) + shares[k])
        return sums

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the probability of each class: the mean over the networks.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, 2)
            float64, in the order of ``classes_``.

        Raises
        ------
        ValueError, TypeError
            For a table or a column that cannot be used; the message names it.
        """
        return self._mean_probabilities(X).T

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, 2)
            Finite, also where a probability is 0 in any floating point.
        """
        return self._mean_logarithms(X).T

    def decision_function(self, X: ArrayLike) -> Array:
        """Return the log-odds of ``classes_[1]``, by the mean probability.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        log_odds : ndarray of shape (n_samples,)
            float64.
        """
        negative, positive = self._mean_logarithms(X)
        return positive - negative

    def predict(self, X: ArrayLike) -> Array:
        """Return the more probable class of each row.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Entries of ``classes_``, in its dtype.
        """
        negative, positive = self._mean_probabilities(X)
        return self.classes_[(positive > negative).astype(np.intp)]

    def member_proba(self, X: ArrayLike) -> Array:
        """Return each network's probability of ``classes_[1]``.

        Where those that count disagree, chance decided: along the boundary, and above all where it
        goes on beyond the rows of training. That they agree proves nothing.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_networks)
            float64. `predict_proba` is their mean, by ``estimator_weights_``.
        """
        table = self._check_new(X)
        probabilities = np.empty((table.shape[0], len(self.estimators_)))
        with single_blas_thread(), np.errstate(all="ignore"):
            for rows, members, logits in self._member_logits(table):
                probabilities[rows, members] = probability(logits.astype(np.float64)).T
        return probabilities

    # ------------------------------------------------------------------ interfaces

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the ensemble, or of its ``estimator`` (``estimator__alpha``).

        Parameters
        ----------
        **params : dict
            Parameters by name.

        Returns
        -------
        self : DeepEnsembleClassifier

        Raises
        ------
        ValueError
            For a name that is none, or of an ``estimator`` or ``encoder`` that is not given.
        """
        nested = [name for name in params if name.startswith("encoder__")]
        if nested and isinstance(params.get("encoder", self.encoder), str | None):
            raise ValueError(
                f"{nested[0]} needs an encoder to be set on, but encoder is "
                f"{params.get('encoder', self.encoder)!r}: give one, encoder=TableEncoder(...)."
            )
        nested = [name for name in params if name.startswith("estimator__")]
        if nested and params.get("estimator", self.estimator) is None:
            raise ValueError(
                f"{nested[0]} needs a network to be set on, but estimator is None, which stands "
                "for defaults that fit finds. Give one: estimator=DeepBinaryClassifier(...); "
                "estimator_ of a fitted ensemble shows what the defaults were."
            )
        return super().set_params(**params)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "oof_log_loss_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        try:
            inputs = [input_tags(kind.encoder) for kind in check_kinds(self)]
        except (ValueError, TypeError):  # fit says what is wrong with a parameter
            return tags
        for name in ("sparse", "allow_nan", "string", "categorical"):
            setattr(tags.input_tags, name, all(getattr(tag, name) for tag in inputs))
        return tags
