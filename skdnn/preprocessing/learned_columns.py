"""What `TableEncoder` learns of a table: its columns, the bins and log-odds, and their layout.

Encodes nothing; `encodings` and `log_odds` know what is learned of a single column.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import validate_data

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
    are_two_classes,
    check_target,
    gaps_tell,
    has_log_odds,
    learn_log_odds,
    learn_names,
)
from skdnn.preprocessing.values import are_dates, categories_of, numbers_of, unit_of
from skdnn.training.learned import Learned
from skdnn.training.messages import warn
from skdnn.training.targets import encode_labels

__all__ = ["LearnedColumns", "fill"]

Array = np.ndarray


class LearnedColumns(Learned, BaseEstimator):
    """Base class of `TableEncoder`: what fit learns, by parameters that are documented there.

    Attributes
    ----------
    _columns : list of (int, Number or Category)
        Which column of the table each is, in the order in which they are prepared. Numbers that
        are names come again at the end, as categories.
    _names : list of str
        Of the table's columns.
    _edges : list of ndarray
        Of the bins of each number.
    _marks_gaps : list of bool
        Whether an output tells where each number is missing.
    _log_odds : list of ndarray
        Of the places of each category that has them; empty of numbers that are no names.
    _coarse_edges : dict of {int: ndarray}
        Of the bins that numbers which may be names are compared with, by column of the table.
    _layout : Layout
    _n_prepared : int
        Number of prepared columns.
    _replaced : list of (int, ndarray)
        Prepared columns in whose stead log-odds come, and these.
    _scaler : MaxAbsScaler or None
        Of a sparse table, which has nothing of the above.
    """

    _learned_privately = (
        "_coarse_edges",
        "_columns",
        "_edges",
        "_layout",
        "_log_odds",
        "_marks_gaps",
        "_n_prepared",
        "_names",
        "_replaced",
        "_scaler",
    )

    categorical_features: Any
    n_bins: int
    bins: str
    max_levels: int
    min_frequency: int
    target_encoding: bool
    missing_indicator: bool | str
    random_state: Any

    @np.errstate(all="ignore")  # whatever the caller set
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
        self._names = table.names
        self.categorical_features_ = find_categories(
            self.categorical_features, table, hasattr(self, "feature_names_in_")
        )
        prepared = self._learn_columns(table, y)
        names = list(self._learn_names(table, y))
        if names:
            prepared = np.column_stack([prepared, *names])
        return prepared, self._learn_layout(prepared, y)

    def _learn_columns(self, table: Table, y: Any) -> Array:
        """Learn the columns, but for copies of earlier ones; return what is prepared of them."""
        n_high = np.count_nonzero(self.categorical_features_)
        prepared = np.empty((table.n_rows, table.n_columns + n_high), np.float32)
        seen: dict[bytes, int] = {}
        n_prepared = 0
        for j, name in enumerate(table.names):
            learned = self._learn_column(table, j, y)
            if isinstance(learned, str):
                self.dropped_features_[name] = learned
                continue
            column, parts = learned
            place = prepared[:, n_prepared : n_prepared + len(parts)]
            fill(place, parts)
            key = hashlib.sha256(place.tobytes()).digest()
            key += type(column).__name__.encode()
            if key in seen:
                first = seen[key]
                how = " in float64" if _are_merged(table.values(j), table.values(first)) else ""
                self.dropped_features_[name] = f"a copy of {table.names[first]!r}{how}"
                continue
            seen[key] = j
            n_prepared += len(parts)
            self._columns.append((j, column))
        if not self._columns:
            reasons = [f"{name!r} is {why}" for name, why in self.dropped_features_.items()]
            raise ValueError(
                f"No column of X can be encoded (n_samples = {table.n_rows}): "
                f"{', '.join(reasons):.500}."
            )
        return prepared[:, :n_prepared]

    def _learn_scales(self, X: Any) -> Any:
        """Learn the largest values of sparse columns; return them scaled."""
        X = self._check_scaled(X, reset=True)
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

    def _check_scaled(self, X: Any, *, reset: bool) -> Any:
        """Return X of an encoder that scales, as numbers; ``reset`` as of `Table`."""
        kinds = (np.float64, np.float32)
        X = validate_data(
            self, X, reset=reset, accept_sparse="csr", dtype=kinds, ensure_all_finite="allow-nan"
        )
        # scikit-learn would say of all tables that they may have no gaps
        if np.isnan(X.data if scipy.sparse.issparse(X) else X).any():
            raise ValueError(
                "X contains NaN, but gaps of sparse tables are not encoded: fill them, or fit to "
                "X.toarray(), whose gaps are."
            )
        return X

    def _learn_column(
        self, table: Table, j: int, y: Any
    ) -> tuple[Number | Category, list[Array]] | str:
        """Return a column's encoding and what is prepared of it; or why there is none."""
        values, name = table.values(j), table.names[j]
        if not self.categorical_features_[j]:
            numbers = numbers_of(values, name)
            number = learn_number(numbers)
            if isinstance(number, str):
                # long integers may differ, and be one number
                is_merged = number == "constant" and (values != values[0]).any()
                return "constant in float64" if is_merged else number
            number.unit = unit_of(values)
            return number, number.prepare(numbers)
        categories = categories_of(values)
        category = learn_category(categories, self.max_levels, self.min_frequency)
        if isinstance(category, str):
            return category
        may_be_dates = category.group >= 0 and category.is_text and are_dates(category.levels)
        if may_be_dates and unit_of(values) != "date":
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

    def _learn_names(self, table: Table, y: Any) -> Iterator[Array]:
        """Learn which numbers may be names, and return what is prepared of these."""
        if not (self.target_encoding and are_two_classes(y)):
            return
        positive = encode_labels(y, None)[1]
        numbers = [(j, column) for j, column in self._columns if isinstance(column, Number)]
        for j, number in numbers:
            values = numbers_of(table.values(j), table.names[j])
            names = learn_names(values)
            if names is None:
                continue
            (places,), (scaled,) = names.prepare(values), number.prepare(values)
            scaled = scaled.astype(np.float32)
            edges = learn_bins(scaled, BINS_BESIDE_NAMES, None)
            # most tell nothing: they are not asked again, of the rows that a network sees
            if are_names(places, scaled, edges, positive, n_errors=1):
                self._columns.append((j, names))
                self._coarse_edges[j] = edges
                yield places.astype(np.float32)

    def _learn_layout(self, prepared: Array, y: Any, edges: list[Array] | None = None) -> Array:
        """Learn bins, but for known ``edges``, log-odds and gaps that tell; lay out the outputs.

        Return log-odds of prepared rows, each from other rows.
        """
        positive: Any = None
        asks = self.missing_indicator == "auto" and self._may_mark_gaps and are_two_classes(y)
        if self._bins_use_target or self._by_target or asks:
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
        marks_gaps = [
            number.has_gaps and self._marks(np.isnan(prepared[:, place]), positive)
            for place, _, number in self._placed
            if isinstance(number, Number)
        ]
        self._lay_out(edges, marks_gaps)
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

    @property
    def _may_mark_gaps(self) -> bool:
        """Whether a number has gaps, and more that can be told of it."""
        numbers = (column for _, column in self._columns if isinstance(column, Number))
        return any(number.has_gaps and not number.is_constant for number in numbers)

    def _marks(self, is_missing: Array, positive: Array | None) -> bool:
        """Return whether an output tells where a number is missing."""
        if self.missing_indicator != "auto":
            return bool(self.missing_indicator)
        return positive is not None and gaps_tell(is_missing, positive, self.min_frequency)

    def _lay_out(self, edges: list[Array], marks_gaps: list[bool]) -> None:
        """Say which output comes from which prepared column, with what was learned of numbers."""
        self._edges, self._marks_gaps = edges, marks_gaps
        outputs: list[Output] = []
        of_numbers = zip(edges, marks_gaps, strict=True)
        log_odds = iter(self._log_odds)
        for place, j, column in self._placed:
            name = self._names[j]
            if isinstance(column, Number):
                outputs += column.outputs(name, place, *next(of_numbers))
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

    @np.errstate(all="ignore")  # whatever the caller set
    def _of_rows(
        self, prepared: Array, y: Any, parameters: dict[str, Any] | None = None
    ) -> tuple[Self, Array | None]:
        """Return an encoder that prepares as this one, and what else it learns of prepared rows.

        These are the bins, by other parameters if there are any, which gaps tell, and the log-odds:
        the latter are returned too, those of each row from other rows. What learns nothing else is
        the same.
        """
        encoder = copy.copy(self)
        encoder.set_params(**(parameters or {}))
        if self._scaler is not None:
            return encoder, None
        keeps_bins = not (parameters or self._bins_use_target)
        crossed = encoder._learn_layout(prepared, y, self._edges if keeps_bins else None)
        has_log_odds = self.encodes_target_ or encoder.encodes_target_
        is_same = keeps_bins and not has_log_odds and self._marks_gaps == encoder._marks_gaps
        return (self if is_same else encoder), crossed


def _are_merged(integers: Array, others: Array) -> bool:
    """Return whether two columns are of integers that only float64 makes the same."""
    if not {integers.dtype.kind, others.dtype.kind} <= {"i", "u"}:
        return False
    is_same = np.array_equal(integers.astype(np.float64), others.astype(np.float64))
    return is_same and not np.array_equal(integers, others)


def fill(place: Array, parts: list[Array]) -> None:
    """Write prepared columns side by side."""
    for k, part in enumerate(parts):
        place[:, k] = part
