"""From Dask collections to what training takes: rows that stay on the workers.

Decides what `skdnn.training.preparation` decides, by what the partitions report of themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from dask.base import tokenize
from sklearn.metrics import check_scoring
from sklearn.utils.validation import validate_data

from skdnn.classifier import DeepBinaryClassifier
from skdnn.dask.held import Summary
from skdnn.dask.order import SAME_ORDER_ROWS
from skdnn.dask.partitions import make_partitions, sample_of
from skdnn.dask.remote import RemoteData
from skdnn.training.preparation import Preparation
from skdnn.training.state import Rows, Weights
from skdnn.training.targets import apply_class_weight, encode_labels

__all__ = ["DaskPreparation", "RemoteRows"]

Array = np.ndarray


class RemoteRows:
    """Stands for X where the rows are on the workers.

    Parameters
    ----------
    data : RemoteData
        Who holds them.
    sizes : dict of int to int
        Rows of each partition, by its number, in order.
    n_features : int
        Number of features.
    dtype : dtype
        Of X on the workers.
    weight_sum : float
        Sum of the weights of the rows, their number if there are none.
    weighted : bool
        Whether there are weights.
    sparse : bool
        Whether X is in CSR blocks.
    token : str
        Hash of the collections.
    """

    def __init__(
        self,
        data: RemoteData,
        sizes: dict[int, int],
        n_features: int,
        dtype: np.dtype,
        weight_sum: float,
        weighted: bool,
        sparse: bool,
        token: str,
    ) -> None:
        self.data = data
        self.sizes = sizes
        self.shape = (sum(sizes.values()), n_features)
        self.dtype = np.dtype(dtype)
        self.weight_sum = weight_sum
        self.weighted = weighted
        self.sparse = sparse
        self.token = token

    def __reduce__(self) -> tuple[Any, ...]:
        # what a hash is made of
        return str, (self.token,)

    def astype(self, dtype: np.dtype, copy: bool = False) -> RemoteRows:
        """Convert the rows where they are."""
        if dtype != self.dtype:
            self.data.set_up("astype", dtype)
            self.dtype = np.dtype(dtype)
        return self


class DaskPreparation(Preparation):
    """`Preparation` for Dask collections."""

    def check_rows(self, X: Any, y: Any, sample_weight: Any, classes: Any) -> Rows:
        model = self._model
        if model.row_space is True:
            raise ValueError(
                "row_space=True cannot serve rows that are on several workers: use 'auto' or "
                "False, or fit a DeepBinaryClassifier."
            )
        partitions = make_partitions(X, y, sample_weight)
        validate_data(model, sample_of(X), reset=not self.continuing, skip_check_array=True)
        known = self._known_classes(classes)
        data = self._open(partitions)
        summaries = _check_summaries(_joined(data.ask("summarise")), X.shape[1], "X")
        labels = np.unique(np.concatenate([s.labels for s in summaries]))
        model.classes_, _ = encode_labels(labels, known, need_both=not self._incremental)
        token = tokenize(X, y, sample_weight)
        rows, counts = self._encode(data, summaries, sample_weight is not None, token, "X")
        self._check_counts(counts)
        return rows

    def check_validation(self, validation: dict[str, Any]) -> Rows | None:
        X, y = validation.get("X_val"), validation.get("y_val")
        weight = validation.get("sample_weight_val")
        if X is None or y is None or not self._model.early_stopping:
            return super().check_validation(validation)
        names = ("X_val", "y_val", "sample_weight_val")
        partitions = make_partitions(X, y, weight, names)
        try:
            validate_data(self._model, sample_of(X), reset=False, skip_check_array=True)
        except ValueError as error:
            raise ValueError(f"X_val and y_val cannot be used: {error}") from error
        data = self._open(partitions, "X_val")
        summaries = _check_summaries(_joined(data.ask("summarise")), X.shape[1], "X_val")
        labels = np.unique(np.concatenate([s.labels for s in summaries]))
        encode_labels(labels, self._model.classes_, need_both=False, name="y_val")
        token = tokenize(X, y, weight)
        rows, _ = self._encode(data, summaries, weight is not None, token, "X_val")
        data.set_up("hold_out_all")
        return rows

    def _open(self, partitions: list[Any], name: str = "X") -> RemoteData:
        """Load partitions, to be given back at the end of the call."""
        model = self._model
        data = RemoteData(model._find_client(), partitions, float(model.timeout), name)
        model._open_data.append(data)
        return data

    def _encode(
        self, data: RemoteData, summaries: list[Summary], weighted: bool, token: str, name: str
    ) -> tuple[Rows, Array]:
        """Let the workers encode labels and apply the class weights.

        Returns
        -------
        rows : Rows
        counts : ndarray of shape (2,)
            Rows of each class that have a weight.
        """
        model = self._model
        counts, sums = np.zeros(2), np.zeros(2)
        for summary in summaries:
            places = np.searchsorted(model.classes_, summary.labels)
            counts[places] += summary.counts
            sums[places] += summary.sums
        if weighted and not sums.any():
            which = "sample_weight" if name == "X" else "sample_weight_val"
            raise ValueError(f"{which} must have a positive entry, but every weight is zero.")
        by_class = None
        if model.class_weight is not None:
            # a class's rows weigh as one row of their sum does
            present = counts > 0
            weights = apply_class_weight(
                model.class_weight, model.classes_, np.flatnonzero(present) == 1, sums[present]
            )
            by_class = np.ones(2)
            by_class[present] = np.asarray(weights) / sums[present]
        dtype = np.result_type(*{summary.dtype for summary in summaries})
        report = sorted(_joined(data.set_up("encode", model.classes_, by_class, dtype)))
        sizes = {number: n_rows for number, n_rows, *_ in report}
        n_rows = sum(sizes.values())
        if n_rows == 0:
            raise ValueError("class_weight leaves no row a positive weight: all are zero.")
        weight_sum = sum(weight for *_, weight in report)
        if not np.isfinite(weight_sum):
            raise ValueError(
                "The sum of the weights (sample_weight, class_weight) overflows: scale them down."
            )
        n_positive = sum(n for _, _, n, _ in report)
        X = RemoteRows(
            data,
            sizes,
            model.n_features_in_,
            dtype,
            weight_sum,
            weighted or by_class is not None,
            summaries[0].sparse,
            token,
        )
        counts = np.array([n_rows - n_positive, n_positive])
        return Rows(X, np.empty(0, bool), None), counts

    def _positive(self, rows: Rows) -> Array:
        X = rows.X
        if X.shape[0] > 64 * SAME_ORDER_ROWS:
            raise ValueError(
                f"validation_fraction sets rows aside of up to {64 * SAME_ORDER_ROWS} rows, X has "
                f"{X.shape[0]}: give X_val and y_val."
            )
        bits = dict(_joined(X.data.ask("positive")))
        positive = [np.unpackbits(bits[n], count=size) for n, size in X.sizes.items()]
        return np.concatenate(positive).astype(bool)

    def _split(self, rows: Rows, mask: Array) -> tuple[Rows, Rows]:
        X = rows.X
        stops = np.cumsum(list(X.sizes.values()))[:-1]
        masks = zip(X.sizes, np.split(mask, stops), strict=True)
        packed = {number: np.packbits(part) for number, part in masks}
        report = sorted(_joined(X.data.set_up("hold_out", packed)))
        sizes = {number: n_rows for number, n_rows, _ in report}
        weight_sum = sum(weight for *_, weight in report)
        kept = RemoteRows(
            X.data, sizes, X.shape[1], X.dtype, weight_sum, X.weighted, X.sparse, X.token
        )
        return rows._replace(X=kept), rows

    def make_scorer(self, held_out: Rows | None) -> Callable[[Weights, Any], float] | None:
        model = self._model
        if held_out is None or model.scoring == "loss":
            return None
        if not isinstance(model.scoring, str):
            raise ValueError(
                "scoring must be 'loss' or the name of a scorer, since validation rows stay on "
                f"the workers; got {model.scoring!r}."
            )
        scorer = check_scoring(model, model.scoring)
        parts = sorted(_joined(held_out.X.data.ask("held_out_labels")), key=lambda part: part[0])
        _, positive, weights = zip(*parts, strict=True)
        labels = model.classes_[np.concatenate(positive).astype(np.intp)]
        weight = {}
        if held_out.X.weighted:
            weight["sample_weight"] = np.concatenate(weights)
        # Scorers ask a classifier: one that returns the logits it is given
        echo = DeepBinaryClassifier(())
        echo.classes_, echo.n_features_in_ = model.classes_, 1
        echo.intercepts_ = [np.zeros(1)]

        def score(weights: Weights, logits: Array) -> float:
            echo.coefs_ = [np.ones((1, 1), logits.dtype)]
            return float(scorer(echo, logits.reshape(-1, 1), labels, **weight))

        return score

    def hash_data(self, rows: Rows, held_out: Rows | None) -> dict[str, str]:
        hashes = {"X": rows.X.token}
        if held_out is not None:
            hashes["X_val"] = held_out.X.token
        return hashes


def _joined(answers: list[list[Any]]) -> list[Any]:
    return [entry for answer in answers for entry in answer]


def _check_summaries(summaries: list[Summary], n_features: int, name: str) -> list[Summary]:
    """Return what is known of the partitions that have rows; raise if they do not fit."""
    summaries = [summary for summary in summaries if summary.n_rows > 0]
    if not summaries:
        raise ValueError(f"{name} has no rows.")
    for summary in summaries:
        if summary.n_features != n_features:
            raise ValueError(
                f"Partition {summary.number} of {name} has {summary.n_features} features, "
                f"{name} says {n_features}."
            )
    if len({summary.sparse for summary in summaries}) > 1:
        raise ValueError(f"{name} must be sparse in all partitions or in none.")
    return summaries
