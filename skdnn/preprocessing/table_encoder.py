"""`TableEncoder`: a table as it is, encoded for a network."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from typing import Any, Literal, Self

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
)

from skdnn.parameters import ENCODER_CONSTRAINTS, fit_context
from skdnn.preprocessing.columns import Table
from skdnn.preprocessing.encodings import Number
from skdnn.preprocessing.learned_columns import LearnedColumns, fill
from skdnn.preprocessing.values import categories_of, numbers_of, unit_of

__all__ = ["TableEncoder"]

Array = np.ndarray


class TableEncoder(LearnedColumns, TransformerMixin, BaseEstimator):
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
      beside the number, too, where values tell labels better than bins do (ten values or more, with
      1.3 rows of each on average; by three standard errors of the log loss of rows not seen).
    - **Gaps** (NaN, None, NaT, pandas.NA, null): the median among numbers, and an output that
      tells of them where they tell of labels; 0 in every level among categories.
    - Columns that are constant, or empty, or that would be encoded as an earlier one, are dropped.

    Sparse X, which must have no gaps, stays sparse: each column is divided by its largest absolute
    value, nothing else.

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
        are names; they need y.
    missing_indicator : {"auto"} or bool, default="auto"
        Whether an output tells where a number is missing. "auto": where the labels of rows with a
        gap are others than those of the rest, by three standard errors, and there are
        ``min_frequency`` rows of both; without y, nowhere. (It does in any case where a number's
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
        Why a column has no output, by its name: 'constant', 'empty' or "a copy of 'age'", say, or
        'constant in float64', which long ids may be as numbers, but not as categories.
    n_outputs_ : int
        Number of columns of the encoding.
    uses_target_ : bool
        Whether labels have a say in the encoding, or may have in that of some of the rows.
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

    def __init__(
        self,
        categorical_features: Any = "from_dtype",
        *,
        n_bins: int = 8,
        bins: Literal["quantile", "tree"] = "quantile",
        max_levels: int = 64,
        min_frequency: int = 10,
        target_encoding: bool = True,
        missing_indicator: bool | Literal["auto"] = "auto",
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
            Labels: of two classes for log-odds, for gaps that tell, and for the bins of trees. The
            encoding looks at none of other labels, or without y.

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
            Labels: of two classes for log-odds, for gaps that tell, and for the bins of trees. The
            encoding looks at none of other labels, or without y.

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

    def _encodes_as(self, other: TableEncoder, but: Collection[str] = ()) -> bool:
        """Return whether another encoder has the same parameters, but for some."""
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in set(self.get_params()) - {*but}
        )

    def _prepares_as(self, other: TableEncoder) -> bool:
        """Return whether another encoder would prepare the same of a table, and lay out another."""
        return self._encodes_as(other, but=("n_bins", "bins", "missing_indicator"))

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

    @np.errstate(all="ignore")  # whatever the caller set
    def _prepare(self, X: Any, *, is_checked: bool = False) -> Any:
        """Return the prepared columns of a table: float32, (n_samples, n_prepared).

        ``is_checked`` as of `Table`.
        """
        check_is_fitted(self)
        if self._scaler is not None:
            return self._scaler.transform(self._check_scaled(X, reset=False))
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
                data = numbers_of(values, table.names[j])
            fill(prepared[:, place : place + column.n_prepared], column.prepare(data))
        return prepared

    @np.errstate(all="ignore")  # whatever the caller set
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

    @np.errstate(all="ignore")  # whatever the caller set
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
            ``port_infrequent``, ``port_log_odds``, and ``age_missing`` for gaps. Where several
            outputs would have the same name, the first has it, and the others end with a number:
            ``port_S_2``.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        if self._scaler is not None:
            return names
        pairs = zip(self._layout.outputs, self._sources.tolist(), strict=True)
        named = [f"{names[j]}{output.name.removeprefix(self._names[j])}" for output, j in pairs]
        return np.array(_unique(named), object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _unique(names: list[str]) -> list[str]:
    """Return names of which no two are the same: all but the first end with a number."""
    taken = set(names)
    if len(taken) == len(names):
        return names
    seen: set[str] = set()
    unique = []
    for name in names:
        if name in seen:
            name = next(new for k in count(2) if (new := f"{name}_{k}") not in taken)
            taken.add(name)
        seen.add(name)
        unique.append(name)
    return unique


def _check_unit(unit: str, values: Array, name: str) -> None:
    """Raise ValueError if numbers came where dates were in fit, or the other way round."""
    if not unit or (unit == "number" and values.dtype.kind in "biuf"):
        return
    now = unit_of(values)
    if now and now != unit:
        raise ValueError(
            f"Column {name!r} holds {unit}s in fit, and {now}s now: give {unit}s again."
        )
