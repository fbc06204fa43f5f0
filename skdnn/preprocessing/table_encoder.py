"""`TableEncoder`: a table as it is, encoded for a network."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Collection, Iterator
from typing import Any, Literal, Self

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from skdnn.parameters import ENCODER_CONSTRAINTS, fit_context
from skdnn.preprocessing.columns import Table, find_categories
from skdnn.preprocessing.encodings import (
    Category,
    Number,
    learn_bins,
    learn_category,
    learn_number,
)
from skdnn.preprocessing.layout import Layout, Output
from skdnn.preprocessing.log_odds import (
    BINS_BESIDE_NAMES,
    are_names,
    as_names,
    check_target,
    has_log_odds,
    learn_log_odds,
    learn_names,
)
from skdnn.preprocessing.values import are_dates, categories_of, numbers_of, unit_of
from skdnn.training.learned import Learned
from skdnn.training.messages import warn
from skdnn.training.targets import encode_labels

__all__ = ["TableEncoder"]

Array = np.ndarray


class TableEncoder(Learned, TransformerMixin, BaseEstimator):
    """Encode a table as it is, with numbers, categories, text labels and gaps, for a network.

    - **Numbers**, booleans and dates (as seconds since 1970): centred by the median, scaled by the
      interquartile range and clipped smoothly to (-3, 3) [1]_, and beside it a piecewise-linear
      encoding by bins of quantiles [2]_: in the bins below a number 1, in its own the share that it
      lies above the lower edge, in those above 0. Infinite numbers count as beyond all finite ones.
    - **Categories** and text: one output a level, 1 where the row has it. A level never seen is 0
      everywhere. Of a column with more than ``max_levels`` levels, those of fewer than
      ``min_frequency`` rows and all but the ``max_levels`` most frequent share one output,
      'infrequent', together with levels never seen; and the log-odds of the positive class among
      the rows of a level, of scikit-learn's cross-fitted
      :class:`~sklearn.preprocessing.TargetEncoder`, stand beside.
    - **Numbers that are names**, such as codes of places: log-odds among the rows with a value are
      beside the number, too, where values tell labels better than bins do (18 values or more, each
      of five rows on average; by three standard errors of the log loss of rows not seen).
    - **Gaps** (NaN, None, NaT, pandas.NA, null): the median among numbers, 0 in every level among
      categories.
    - Columns that are constant, or empty, or that would be encoded as an earlier one, are dropped.

    Sparse X stays sparse: each column is divided by its largest absolute value, nothing else.

    Parameters
    ----------
    categorical_features : {"from_dtype"} or array-like of str, int or bool, default="from_dtype"
        Which columns are categories: names, indices or a mask. "from_dtype": those of a
        categorical dtype. Columns of text are in any case.
    n_bins : int, default=8
        Bins of each number. 0: no piecewise-linear encoding.
    bins : {"quantile", "tree"}, default="quantile"
        Where bins begin and end: at quantiles, each value being an edge where there are few, and
        a value that would fill a bin being one too; or where a decision tree with ``n_bins``
        leaves on this column alone splits it, which needs y.
    max_levels : int, default=64
        Levels of a category that have an output each.
    min_frequency : int, default=10
        Rows that a level needs for an output of its own where a column has more levels than that.
    target_encoding : bool, default=True
        Whether the log-odds stand beside the levels where there are more, and beside numbers that
        are names; they need y. Without y,
        or without this, the encoding looks at no labels.
    missing_indicator : bool, default=False
        Whether an output tells where a number is missing. (It does in any case where a number's
        column has one value, and gaps.)
    random_state : int, RandomState instance or None, default=None
        Generator of the folds of the target encoding.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if they have names that are all strings.
    categorical_features_ : ndarray of shape (`n_features_in_`,) of bool
        Which columns are categories; all False for sparse X.
    dropped_features_ : dict of {str: str}
        Why a column has no output, by its name.
    n_outputs_ : int
        Number of columns of the encoding.
    uses_target_ : bool
        Whether labels have a say in the encoding, or were asked.
    encodes_target_ : bool
        Whether log-odds do.

    See Also
    --------
    skdnn.DeepEnsembleClassifier : Encodes what it is given in this way.
    sklearn.compose.ColumnTransformer : Encodings of your own choice for each column.

    Notes
    -----
    The output is float32. `fit_transform` differs from `transform` of the same rows where
    ``encodes_target_`` is True: there a row's log-odds come from other rows.

    References
    ----------
    .. [1] Holzmüller, Grinsztajn, Steinwart (2024). Better by default: strong pre-tuned MLPs and
       boosted trees on tabular data. NeurIPS. arXiv:2407.04491.
    .. [2] Gorishniy, Rubachev, Babenko (2022). On embeddings for numerical features in tabular
       deep learning. NeurIPS. arXiv:2203.05556.

    Examples
    --------
    >>> import pandas as pd
    >>> from skdnn.preprocessing import TableEncoder
    >>> X = pd.DataFrame({"age": [22, 38, None, 35], "port": ["S", "C", "S", None]})
    >>> TableEncoder(n_bins=2).set_output(transform="pandas").fit_transform(X)
           age  age_bin0  age_bin1  port_C  port_S
    0 -1.428849       0.0       0.0     0.0     1.0
    1  0.372104       1.0       1.0     1.0     0.0
    2  0.000000       1.0       0.0     0.0     1.0
    3  0.000000       1.0       0.0     0.0     0.0
    """

    _parameter_constraints = ENCODER_CONSTRAINTS
    _learned_privately = (
        "_coarse_edges",
        "_columns",
        "_edges",
        "_layout",
        "_log_odds",
        "_n_prepared",
        "_names",
        "_replaced",
        "_scaler",
    )

    def __init__(
        self,
        categorical_features: Any = "from_dtype",
        *,
        n_bins: int = 8,
        bins: Literal["quantile", "tree"] = "quantile",
        max_levels: int = 64,
        min_frequency: int = 10,
        target_encoding: bool = True,
        missing_indicator: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.categorical_features = categorical_features
        self.n_bins = n_bins
        self.bins = bins
        self.max_levels = max_levels
        self.min_frequency = min_frequency
        self.target_encoding = target_encoding
        self.missing_indicator = missing_indicator
        self.random_state = random_state

    # ------------------------------------------------------------------ fit

    @fit_context
    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn the encoding.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            The table.
        y : array-like of shape (n_samples,), default=None
            Labels of two classes, for the target encoding and the bins of trees.

        Returns
        -------
        self : TableEncoder

        Raises
        ------
        ValueError, TypeError
            For a table, a column or a parameter that cannot be used; the message names it.
        """
        with self._unchanged_on_error():
            self._learn(X, y)
        return self

    @fit_context
    def fit_transform(self, X: ArrayLike, y: ArrayLike | None = None) -> Any:
        """Learn the encoding and return it; log-odds of a row then come from other rows.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            The table.
        y : array-like of shape (n_samples,), default=None
            Labels of two classes, for the target encoding and the bins of trees.

        Returns
        -------
        encoded : {ndarray, sparse matrix} of shape (n_samples, n_features_out)
            float32.

        Raises
        ------
        ValueError, TypeError
            As `fit`.
        """
        with self._unchanged_on_error():
            prepared, crossed = self._learn(X, y)
            return self._encode(self._with_log_odds(prepared, slice(None), crossed))

    def _learn(self, X: Any, y: Any) -> tuple[Any, Array | None]:
        """Learn the encoding; return what is prepared of X, and log-odds, each from other rows."""
        self.dropped_features_: dict[str, str] = {}
        self.uses_target_ = self.encodes_target_ = False
        self._columns: list[tuple[int, Number | Category]] = []
        self._log_odds: list[Array] = []
        self._coarse_edges: dict[int, Array] = {}
        self._scaler: MaxAbsScaler | None = None
        if y is not None:
            y = check_target(y, X)
        if scipy.sparse.issparse(X):
            return self._learn_scales(X), None
        table = Table(X, self, reset=True)
        self.categorical_features_ = find_categories(
            self.categorical_features, table, hasattr(self, "feature_names_in_")
        )
        n_high = np.count_nonzero(self.categorical_features_)
        prepared = np.empty((table.n_rows, table.n_columns + n_high), np.float32)
        seen: dict[bytes, str] = {}
        n_prepared = 0
        for j, name in enumerate(table.names):
            learned = self._learn_column(table, j, y)
            if isinstance(learned, str):
                self.dropped_features_[name] = learned
                continue
            column, parts = learned
            place = prepared[:, n_prepared : n_prepared + len(parts)]
            _fill(place, parts)
            key = hashlib.sha256(place.tobytes()).digest()
            key += type(column).__name__.encode()
            if key in seen:
                self.dropped_features_[name] = f"a copy of {seen[key]!r}"
                continue
            seen[key] = name
            n_prepared += len(parts)
            self._columns.append((j, column))
        if not self._columns:
            reasons = [f"{name!r} is {why}" for name, why in self.dropped_features_.items()]
            raise ValueError(
                f"No column of X can be encoded (n_samples = {table.n_rows}): "
                f"{', '.join(reasons):.500}."
            )
        self._names = table.names
        names = list(self._learn_names(table, y))
        prepared = prepared[:, :n_prepared]
        if names:
            prepared = np.column_stack([prepared, *names])
        return prepared, self._learn_layout(prepared, y)

    def _learn_scales(self, X: Any) -> Any:
        """Learn the largest values of sparse columns; return them scaled."""
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32))
        if not isinstance(self.categorical_features, str | None):
            raise ValueError(
                f"categorical_features is {self.categorical_features!r:.100}, but X is sparse, "
                "and columns of that are scaled only: give X.toarray(), or leave it out."
            )
        self.categorical_features_ = np.zeros(X.shape[1], bool)
        self.n_outputs_ = X.shape[1]
        # whatever the caller's configuration says
        self._scaler = MaxAbsScaler().set_output(transform="default").fit(X)
        return self._scaler.transform(X)

    def _learn_names(self, table: Table, y: Any) -> Iterator[Array]:
        """Learn which numbers may be names, and return what is prepared of these."""
        if y is None or not self.target_encoding or type_of_target(y) != "binary":
            return
        if not has_log_odds(y):
            return
        numbers = [(j, column) for j, column in self._columns if isinstance(column, Number)]
        for j, number in numbers:
            values = as_names(numbers_of(table.values(j), table.names[j]))
            names = learn_names(values)
            if names is not None:
                self._columns.append((j, names))
                (scaled,) = number.prepare(values)
                self._coarse_edges[j] = learn_bins(
                    scaled.astype(np.float32), BINS_BESIDE_NAMES, None
                )
                yield names.prepare(values)[0].astype(np.float32)

    def _learn_column(
        self, table: Table, j: int, y: Any
    ) -> tuple[Number | Category, list[Array]] | str:
        """Return a column's encoding and what is prepared of it; or why there is none."""
        values, name = table.values(j), table.names[j]
        if not self.categorical_features_[j]:
            numbers = numbers_of(values, name)
            number = learn_number(numbers)
            if isinstance(number, str):
                return number
            number.unit = unit_of(values)
            return number, number.prepare(numbers)
        categories = categories_of(values)
        category = learn_category(categories, self.max_levels, self.min_frequency)
        if isinstance(category, str):
            return category
        if category.group >= 0 and category.is_text and are_dates(category.levels):
            warn(
                f"Column {name!r} holds dates as text, like {category.levels[0]!r}, and is encoded "
                f"as {len(category.levels)} categories. Make dates of them: pandas.to_datetime."
            )
        if category.group >= 0 and self.target_encoding and y is not None:
            if type_of_target(y) != "binary":
                raise ValueError(
                    f"Column {name!r} has {len(category.levels)} levels, more than max_levels="
                    f"{self.max_levels}: to encode them by the target, y must have two classes. "
                    "Set target_encoding=False, or raise max_levels."
                )
            category.by_target = has_log_odds(y)
        if category.group == 0 and not category.by_target:
            return f"categories of which none has {self.min_frequency} rows"
        return category, category.prepare(categories)

    def _learn_layout(self, prepared: Array, y: Any, edges: list[Array] | None = None) -> Array:
        """Learn bins, but for known ``edges``, and log-odds; say where each output comes from.

        Return log-odds of prepared rows, each from other rows.
        """
        positive: Any = None
        if self._bins_use_target or self._by_target:
            if y is None:
                raise ValueError("bins='tree' needs y: the bins of a number are where it splits y.")
            positive = encode_labels(y, None)[1]
        of_trees = positive if self._bins_use_target else None
        if edges is None:
            edges = [
                learn_bins(prepared[:, place], self.n_bins, of_trees)
                for place, _, column in self._placed
                if isinstance(column, Number)
            ]
        crossed = self._learn_log_odds(prepared, y, positive)
        self._lay_out(edges, self.missing_indicator)
        self.uses_target_ = positive is not None
        return crossed

    def _learn_log_odds(self, prepared: Array, y: Any, positive: Any) -> Array:
        """Learn log-odds, none of numbers that are no names; return those of rows, from others."""
        by_target = self._by_target
        self._log_odds = [np.empty(0)] * len(by_target)
        place_of = {j: place for place, j, column in self._placed if isinstance(column, Number)}
        chosen = [
            k
            for k, (place, j, _) in enumerate(by_target)
            if j not in place_of
            or are_names(
                prepared[:, place], prepared[:, place_of[j]], self._coarse_edges[j], positive
            )
        ]
        if not chosen:
            return np.empty((len(prepared), 0))
        places = prepared[:, [by_target[k][0] for k in chosen]]
        learned, crossed = learn_log_odds(places, y, self.random_state)
        for k, log_odds in zip(chosen, learned, strict=True):
            n_unknown = by_target[k][2].n_places - log_odds.size
            self._log_odds[k] = np.pad(log_odds.astype(np.float32), (0, n_unknown))
        return crossed

    @property
    def _bins_use_target(self) -> bool:
        return self.bins == "tree" and self.n_bins > 0

    def _lay_out(self, edges: list[Array], missing_indicator: bool) -> None:
        """Say which output comes from which prepared column, with the edges of each number."""
        self._edges = edges
        outputs: list[Output] = []
        left, log_odds = iter(edges), iter(self._log_odds)
        for place, j, column in self._placed:
            name = self._names[j]
            if isinstance(column, Number):
                outputs += column.outputs(name, place, next(left), missing_indicator)
            else:
                has_log_odds = column.by_target and next(log_odds).size > 0
                outputs += column.outputs(name, place, has_log_odds)
        self._layout = Layout(outputs)
        self._n_prepared = sum(column.n_prepared for _, column in self._columns)
        self.n_outputs_ = len(outputs)
        self._replaced = [
            (place, log_odds)
            for (place, _, _), log_odds in zip(self._by_target, self._log_odds, strict=True)
            if log_odds.size
        ]
        self.encodes_target_ = bool(self._replaced)

    @property
    def _placed(self) -> list[tuple[int, int, Number | Category]]:
        """Where the first column that is prepared stands, and the column that it is of."""
        ends = np.cumsum([column.n_prepared for _, column in self._columns]).tolist()
        return [
            (end - column.n_prepared, j, column)
            for end, (j, column) in zip(ends, self._columns, strict=True)
        ]

    @property
    def _by_target(self) -> list[tuple[int, int, Category]]:
        """Where places among log-odds are prepared, and the column that they are of."""
        return [
            (place + column.n_prepared - 1, j, column)
            for place, j, column in self._placed
            if isinstance(column, Category) and column.by_target
        ]

    @property
    def _sources(self) -> Array:
        """Which column of the table each output comes from."""
        if self._scaler is not None:
            return np.arange(self.n_outputs_)
        columns = np.repeat(
            [j for j, _ in self._columns], [column.n_prepared for _, column in self._columns]
        )
        return columns[[output.source for output in self._layout.outputs]]

    def _encodes_as(self, other: TableEncoder, but: Collection[str] = ()) -> bool:
        """Return whether another encoder has the same parameters, but for some."""
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in set(self.get_params()) - {*but}
        )

    def _prepares_as(self, other: TableEncoder) -> bool:
        """Return whether another encoder would prepare the same of a table: all but the bins."""
        return self._encodes_as(other, but=("n_bins", "bins", "missing_indicator"))

    def _of_rows(
        self, prepared: Array, y: Any, parameters: dict[str, Any] | None = None
    ) -> tuple[TableEncoder, Array | None]:
        """Return an encoder that prepares as this one, and what else it learns of prepared rows.

        These are the bins, by other parameters if there are any, and the log-odds: the latter are
        returned too, those of each row from other rows. What learns nothing else is the same.
        """
        encoder = copy.copy(self)
        encoder.set_params(**(parameters or {}))
        if self._scaler is not None:
            return encoder, None
        keeps_bins = not (parameters or self._bins_use_target)
        crossed = encoder._learn_layout(prepared, y, self._edges if keeps_bins else None)
        is_same = keeps_bins and not (self.encodes_target_ or encoder.encodes_target_)
        return (self if is_same else encoder), crossed

    # ------------------------------------------------------------------ transform

    def transform(self, X: ArrayLike) -> Any:
        """Return the encoded table.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            The table.

        Returns
        -------
        encoded : {ndarray, sparse matrix} of shape (n_samples, n_features_out)
            float32; sparse if X is.

        Raises
        ------
        ValueError, TypeError
            For a table or a column that cannot be used; the message names it.
        """
        return self._encode(self._with_log_odds(self._prepare(X)))

    def _prepare(self, X: Any, *, is_checked: bool = False) -> Any:
        """Return the prepared columns of a table: float32, (n_samples, n_prepared).

        ``is_checked`` as of `Table`.
        """
        check_is_fitted(self)
        if self._scaler is not None:
            kinds = (np.float64, np.float32)
            X = validate_data(self, X, reset=False, accept_sparse="csr", dtype=kinds)
            return self._scaler.transform(X)
        if scipy.sparse.issparse(X):
            raise TypeError("X is sparse, but was dense in fit: give X.toarray().")
        table = Table(X, self, reset=False, is_checked=is_checked)
        prepared = np.empty((table.n_rows, self._n_prepared), np.float32)
        for place, j, column in self._placed:
            values = table.values(j)
            table.check_objects(j, values)
            if isinstance(column, Number):
                data = numbers_of(values, table.names[j])
                _check_unit(column.unit, values, table.names[j])
            elif self.categorical_features_[j]:
                data = categories_of(values, to_text=column.is_text)
            else:
                data = as_names(numbers_of(values, table.names[j]))
            _fill(prepared[:, place : place + column.n_prepared], column.prepare(data))
        return prepared

    def _with_log_odds(
        self, prepared: Any, rows: Array | slice = slice(0), crossed: Array | None = None
    ) -> Any:
        """Return prepared rows with log-odds in the stead of places.

        Those of some rows, if there are such, are given: ``crossed``.
        """
        if not self.encodes_target_:
            return prepared
        filled = prepared.copy()
        for k, (place, log_odds) in enumerate(self._replaced):
            filled[:, place] = log_odds[prepared[:, place].astype(np.intp)]
            if crossed is not None:
                filled[rows, place] = crossed[:, k]
        return filled

    def _encode(self, prepared: Any, rows: Array | None = None) -> Any:
        """Return encoded rows of prepared ones `_with_log_odds`: all, or those of some indices."""
        if self._scaler is not None:
            return (prepared if rows is None else prepared[rows]).astype(np.float32)
        return self._layout.encode(prepared, rows)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> Array:
        """Return the names of the outputs.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns, which must be those of fit, if that had any.

        Returns
        -------
        names : ndarray of str objects
            ``age`` for a number, ``age_bin0`` for its first bin, ``port_S`` for a level,
            ``port_infrequent``, ``port_log_odds``, and ``age_missing`` for gaps.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        if self._scaler is not None:
            return names
        pairs = zip(self._layout.outputs, self._sources.tolist(), strict=True)
        named = [f"{names[j]}{output.name.removeprefix(self._names[j])}" for output, j in pairs]
        return np.array(named, object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _check_unit(unit: str, values: Array, name: str) -> None:
    """Raise ValueError if numbers came where dates were in fit, or the other way round."""
    if not unit or (unit == "number" and values.dtype.kind in "biuf"):
        return
    now = unit_of(values)
    if now and now != unit:
        raise ValueError(
            f"Column {name!r} holds {unit}s in fit, and {now}s now: give {unit}s again."
        )


def _fill(place: Array, parts: list[Array]) -> None:
    """Write prepared columns side by side."""
    for k, part in enumerate(parts):
        place[:, k] = part
