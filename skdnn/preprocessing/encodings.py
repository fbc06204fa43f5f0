"""What is learned of one column, and what is prepared of its values.

A column of numbers is prepared as one float column, a category as its codes and perhaps as the
places that have log-odds. What becomes of them is said in outputs, which `layout` computes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from skdnn.preprocessing.layout import Output
from skdnn.preprocessing.values import is_gap

__all__ = [
    "FARTHEST",
    "Category",
    "Number",
    "learn_bins",
    "learn_category",
    "learn_number",
]

Array = np.ndarray

# As in Gorishniy et al., so that a split is of more than one row
_ROWS_OF_A_LEAF = 5

# Numbers are as large as this at most, so that no difference overflows
_LARGEST = 1e300

# As text has them, from a file or in ONNX
_BOOLEANS = {"False": 0.0, "True": 1.0}

# Interquartile ranges from the median beyond which all is the same
FARTHEST = 1e6


@dataclass
class Number:
    """A column of numbers: ``(x - center) * scale`` is prepared of it.

    Parameters
    ----------
    center, scale : float
        Of its numbers.
    is_constant : bool
        Whether it has one value, so that only its gaps tell anything.
    has_gaps : bool
        Whether it had any in fit.
    unit : {"number", "date", "duration", ""}
        What they are; seconds but for the first. "": not known.
    """

    center: float
    scale: float
    is_constant: bool = False
    has_gaps: bool = False
    unit: str = ""

    n_prepared = 1

    def prepare(self, numbers: Array) -> list[Array]:
        """Return the numbers centred and scaled; NaN stays."""
        with np.errstate(all="ignore"):
            scaled = (numbers.astype(np.float64) - self.center) * self.scale
        return [np.clip(scaled, -FARTHEST, FARTHEST)]

    def outputs(self, name: str, place: int, edges: Array, marks_gaps: bool) -> Iterator[Output]:
        """Say what becomes of prepared column ``place``, with bins between some edges."""
        if not self.is_constant:
            yield Output("number", place, name)
            for k, (low, high) in enumerate(pairwise(edges.tolist())):
                yield Output("bin", place, f"{name}_bin{k}", low, high - low)
        if self.is_constant or marks_gaps:
            yield Output("gap", place, f"{name}_missing")


@dataclass(eq=False)
class Category:
    """A column of categories, as codes, and perhaps as log-odds of the positive class.

    Of log-odds, which labels tell, only the place among them is prepared: levels have theirs in
    their order, gaps come next, and then what was never seen.

    Parameters
    ----------
    levels : ndarray of shape (n_levels,)
        Sorted: objects that are text, or floats in the dtype that the column had in fit.
    codes : ndarray of shape (n_levels,)
        The output that stands for each.
    group : int
        The output of rare levels, and of such as were never seen; -1: there is none. 0: all are
        rare, and no codes are prepared.
    by_target : bool
        Whether it is encoded as log-odds too.
    """

    levels: Array
    codes: Array
    group: int = -1
    by_target: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Category) and all(
            np.array_equal(getattr(self, field.name), getattr(other, field.name))
            for field in fields(self)
        )

    @property
    def is_text(self) -> bool:
        """Whether the levels are text, numbers if not."""
        return self.levels.dtype.kind == "O"

    @property
    def n_prepared(self) -> int:
        """Number of columns that are prepared of it."""
        return (self.group != 0) + self.by_target

    @property
    def n_places(self) -> int:
        """Number of log-odds: of levels, of gaps, and of what was never seen, which is 0."""
        return len(self.levels) + 2

    def levels_in(self, dtype: Any) -> tuple[Array, Array]:
        """Return the levels as numbers of a dtype are compared with them, and their places.

        Where either are float32, both are compared as such: a table is then the same in both
        dtypes. Levels that float32 makes one are none of its numbers, but for the one that is
        exactly this.
        """
        if self.levels.dtype == dtype or dtype != np.float32:
            return self.levels, np.arange(len(self.levels))
        with np.errstate(all="ignore"):
            rounded = self.levels.astype(np.float32)
        differs = np.concatenate([[True], rounded[1:] != rounded[:-1], [True]])
        is_one = differs[1:] & differs[:-1] & np.isfinite(rounded)
        places = np.flatnonzero(is_one | (rounded == self.levels))
        return rounded[places], places

    def _find(self, categories: Array, missing: Array) -> Array:
        """Return the place of each among the levels, that of gaps, and that of none of them.

        Categories are text if the levels are.
        """
        n_levels = len(self.levels)
        places = np.full(len(categories), n_levels)
        present = categories[~missing]
        if not self.is_text:
            present = _as_numbers(present)
            levels, place = self.levels_in(present.dtype)
            with np.errstate(all="ignore"):  # what is beyond float32 is no level
                present = present.astype(levels.dtype)
            nearest = np.searchsorted(levels, present)
            levels, place = np.append(levels, np.nan), np.append(place, n_levels + 1)
            is_level = levels[nearest] == present
            places[~missing] = np.where(is_level, place[nearest], n_levels + 1)
        elif present.size:
            known = {level: place for place, level in enumerate(self.levels.tolist())}
            places[~missing] = [known.get(value, n_levels + 1) for value in present.tolist()]
        return places

    def prepare(self, categories: Array) -> list[Array]:
        """Return codes with NaN for gaps, and places among the log-odds if there are any."""
        places = self._find(categories, is_gap(categories))
        codes = np.concatenate([self.codes, [np.nan, self.group]])
        return [codes[places]] * (self.group != 0) + [places] * self.by_target

    def outputs(self, name: str, place: int, has_log_odds: bool) -> Iterator[Output]:
        """Say what becomes of prepared column ``place`` and the next."""
        if has_log_odds:
            yield Output("number", place + (self.group != 0), f"{name}_log_odds")
        if self.group == 0:
            return
        for level, code in zip(self.levels.tolist(), self.codes.tolist(), strict=True):
            if code != self.group:
                yield Output("level", place, f"{name}_{_title(level)}", code)
        if self.group > 0:
            yield Output("level", place, f"{name}_infrequent", self.group)


def _title(level: float | str) -> str:
    if isinstance(level, float) and level.is_integer():
        return str(int(level))
    return str(level)


def _as_numbers(present: Array) -> Array:
    """Return categories as numbers; text that is none as NaN."""
    if present.dtype.kind == "f":
        return present
    numbers = np.full(len(present), np.nan)
    for k, value in enumerate(present.tolist()):
        try:
            numbers[k] = _BOOLEANS[value] if value in _BOOLEANS else float(value)
        except ValueError:
            continue
    return numbers


def learn_number(numbers: Array) -> Number | str:
    """Return how to prepare a column of numbers, or why there is nothing to.

    Median and interquartile range are those of scikit-learn's RobustScaler, which refuses infinity
    and divides by 1 where half of the numbers are the same.

    Parameters
    ----------
    numbers : ndarray of shape (n_samples,)
        With NaN for gaps.
    """
    present = numbers[~np.isnan(numbers)].astype(np.float64)
    if present.size == 0:
        return "empty"
    has_gaps = present.size < numbers.size
    if present.min() == present.max():
        center = float(np.nan_to_num(present[0]))
        return Number(center, 1.0, True, True) if has_gaps else "constant"
    _pull_in(present)
    low, center, high = np.quantile(present, (0.25, 0.5, 0.75)).tolist()
    # RealMLP's rule where half of the numbers are the same
    width = high - low if high > low else float(present.max() - present.min()) / 2
    return Number(center, 1 / max(width, 1 / _LARGEST), has_gaps=has_gaps)


def _pull_in(present: Array) -> None:
    """Put infinite numbers a range beyond the finite ones, in place."""
    is_finite = np.isfinite(present)
    np.clip(present, -_LARGEST, _LARGEST, out=present, where=is_finite)
    if is_finite.all():
        return
    low = present.min(where=is_finite, initial=_LARGEST)
    high = present.max(where=is_finite, initial=-_LARGEST)
    if not is_finite.any():
        low = high = 0.0
    beyond = (high - low) or 1.0
    np.clip(present, low - beyond, high + beyond, out=present)


def learn_bins(prepared: Array, n_bins: int, positive: Array | None) -> Array:
    """Return the edges of bins of a prepared column; none where one bin would do.

    Each number is an edge where there are few. Else they are quantiles, as of scikit-learn's
    KBinsDiscretizer, which takes no gaps and loses bins where quantiles are the same: there,
    numbers that would fill a bin (often 0) are edges, and the others are quantiles of the rest.

    Parameters
    ----------
    prepared : ndarray of shape (n_samples,)
        float32, with NaN for gaps.
    n_bins : int
        Bins at most.
    positive : ndarray of shape (n_samples,) or None
        Labels. The edges are then where a decision tree of so many leaves splits the column.

    Returns
    -------
    edges : ndarray of shape (n_edges,)
        float32, increasing.
    """
    present = ~np.isnan(prepared)
    numbers = prepared[present]
    ordered = np.sort(numbers)
    if n_bins < 2 or ordered[0] == ordered[-1]:
        return np.empty(0, np.float32)  # no view, which would keep the whole column
    if positive is not None:
        tree = DecisionTreeClassifier(
            max_leaf_nodes=n_bins, min_samples_leaf=_ROWS_OF_A_LEAF, random_state=0
        ).fit(numbers[:, np.newaxis], positive[present])
        splits = tree.tree_.threshold[tree.tree_.feature >= 0]
        edges = np.unique(np.concatenate([ordered[[0, -1]], splits]).astype(np.float32))
    else:
        edges = _quantile_edges(ordered, n_bins)
    return edges if edges.size > 2 else edges[:0]


def _quantile_edges(ordered: Array, n_bins: int) -> Array:
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    if starts.size <= n_bins + 1:
        return ordered[starts]
    edges = np.unique(np.quantile(ordered, np.linspace(0, 1, n_bins + 1)).astype(np.float32))
    if edges.size <= n_bins:
        n_rows = np.diff(starts, append=ordered.size)
        heavy = n_rows > ordered.size / n_bins
        rest = ordered[np.repeat(~heavy, n_rows)]
        quantiles = np.quantile(rest, np.linspace(0, 1, max(n_bins + 1 - heavy.sum(), 2)))
        edges = np.unique(np.concatenate([ordered[starts[heavy]], quantiles]).astype(np.float32))
    return edges


def learn_category(categories: Array, max_levels: int, min_frequency: int) -> Category | str:
    """Return how to prepare a column of categories, or why there is nothing to.

    Parameters
    ----------
    categories : ndarray of shape (n_samples,)
        float64, or objects that are text.
    max_levels, min_frequency : int
        As of `TableEncoder`.
    """
    missing = is_gap(categories)
    counts = Counter(categories[~missing].tolist())
    if not counts:
        return "empty"
    if len(counts) == 1 and not missing.any():
        return "constant"
    levels = np.array(sorted(counts), categories.dtype)
    category = Category(levels, np.arange(len(levels)))
    if len(levels) <= max_levels:
        return category
    n_rows = np.array([counts[level] for level in levels.tolist()])
    order = np.argsort(-n_rows, kind="stable")[:max_levels]
    kept = np.sort(order[n_rows[order] >= min_frequency])
    category.group = len(kept)
    category.codes = np.full(len(levels), len(kept))
    category.codes[kept] = np.arange(len(kept))
    return category
