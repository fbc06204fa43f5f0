"""From Dask collections to what training takes: rows that stay on the workers.

Decides what `skdnn.training.preparation` decides, by what the partitions report of themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any, Self

import numpy as np
from dask.base import tokenize
from sklearn.utils.validation import validate_data

from skdnn.classifier import DeepBinaryClassifier
from skdnn.dask.evaluation import NetworkPlan
from skdnn.dask.held import Summary
from skdnn.dask.partitions import make_partitions, sample_of
from skdnn.dask.remote import RemoteData
from skdnn.dask.rows import RemoteRows, joined
from skdnn.training.preparation import Preparation
from skdnn.training.scoring import check_scorer, is_known
from skdnn.training.state import Weights
from skdnn.training.targets import apply_class_weight, encode_labels

__all__ = ["DaskPreparation"]

Array = np.ndarray


class DaskPreparation(Preparation):
    """`Preparation` for Dask collections, which gives the workers' memory back at its end."""

    def __enter__(self) -> Self:
        self._client = self._model._find_client()
        with ExitStack() as opened:
            opened.enter_context(self._client.as_current())  # actors look for it
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()
        super().__exit__(*error)

    def _rows_of(
        self, X: Any, y: Any, sample_weight: Any, known: Array | None, suffix: str = ""
    ) -> tuple[Array, RemoteRows]:
        if self._model.row_space is True:
            raise ValueError(
                "row_space=True cannot serve rows that are on several workers: use 'auto' or "
                "False, or fit a DeepBinaryClassifier."
            )
        names = (f"X{suffix}", f"y{suffix}", f"sample_weight{suffix}")
        partitions = make_partitions(X, y, sample_weight, names)
        reset = not (suffix or self._continuing)
        try:
            validate_data(self._model, sample_of(X), reset=reset, skip_check_array=True)
        except ValueError as error:
            if not suffix:
                raise
            raise ValueError(f"X{suffix} and y{suffix} cannot be used: {error}") from error
        data = self._open(partitions, names[0])
        summaries = _check_summaries(joined(data.ask("summarise")), X.shape[1], names[0])
        labels = _labels_of(summaries, names[1])
        need_both = not (suffix or self._incremental)
        classes, _ = encode_labels(labels, known, need_both=need_both, name=names[1])
        token = tokenize(X, y, sample_weight)
        rows = self._encode(data, summaries, classes, sample_weight is not None, token, names[2])
        if suffix:
            data.set_up("hold_out_all")
        return classes, rows

    def _open(self, partitions: list[Any], name: str) -> RemoteData:
        """Load partitions, to be given back at the end of the call."""
        data = RemoteData(self._client, partitions, float(self._model.timeout), name)
        return self._opened.enter_context(closing(data))

    def _encode(
        self,
        data: RemoteData,
        summaries: list[Summary],
        classes: Array,
        weighted: bool,
        token: str,
        name: str,
    ) -> RemoteRows:
        """Let the workers encode labels and apply the class weights; ``name`` is the weights'."""
        model = self._model
        counts, sums = np.zeros(2), np.zeros(2)
        for summary in summaries:
            places = np.searchsorted(classes, summary.labels)
            counts[places] += summary.counts
            sums[places] += summary.sums
        if weighted and not sums.any():
            raise ValueError(f"{name} must have a positive entry, but every weight is zero.")
        by_class = None
        if model.class_weight is not None:
            # a class's rows weigh as one row of their sum does
            present = counts > 0
            weights = apply_class_weight(
                model.class_weight, classes, np.flatnonzero(present) == 1, sums[present]
            )
            by_class = np.ones(2)
            by_class[present] = np.asarray(weights) / sums[present]
        dtype = np.result_type(*{summary.dtype for summary in summaries})
        report = sorted(joined(data.set_up("encode", classes, by_class, dtype)))
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
        dropout = np.broadcast_to(np.asarray(model.dropout, float), len(self._hidden))
        plan = NetworkPlan(
            (model.n_features_in_, *self._hidden, 1),
            model.activation,
            model.negative_slope,
            tuple(dropout),
            dtype,
            summaries[0].sparse,
        )
        weighted = weighted or by_class is not None
        counts = np.array([n_rows - n_positive, n_positive])
        return RemoteRows(data, sizes, plan, weight_sum, weighted, token, counts)

    def _make_scorer(self, validation: RemoteRows | None) -> Callable[..., float] | None:
        model = self._model
        if validation is None or model.scoring == "loss":
            return None
        if not is_known(model.scoring):
            raise ValueError(
                "scoring must be 'loss' or the name of a scorer, or made by make_scorer, since "
                f"validation rows stay on the workers; got {model.scoring!r}."
            )
        parts = sorted(joined(validation.data.ask("held_out_labels")), key=lambda part: part[0])
        _, positive, weights = zip(*parts, strict=True)
        labels = model.classes_[np.concatenate(positive).astype(np.intp)]
        weight = {}
        if validation.weighted:
            weight["sample_weight"] = np.concatenate(weights)
        # Scorers ask a classifier: one that returns the logits it is given
        echo = DeepBinaryClassifier((), scoring=model.scoring)
        scorer = check_scorer(echo, model.classes_)
        echo.classes_, echo.n_features_in_ = model.classes_, 1
        echo.intercepts_ = [np.zeros(1)]

        def score(weights: Weights, logits: Array) -> float:
            echo.coefs_ = [np.ones((1, 1), logits.dtype)]
            return float(scorer(echo, logits.reshape(-1, 1), labels, **weight))

        return score


def _labels_of(summaries: list[Summary], name: str) -> Array:
    """Return the labels of all partitions, sorted; raise if they are not of one kind."""
    # which NumPy would make text of
    if len({summary.labels.dtype.kind in "biuf" for summary in summaries}) > 1:
        raise ValueError(
            f"{name} has text in some partitions and numbers in others: convert it to one."
        )
    return np.unique(np.concatenate([summary.labels for summary in summaries]))


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
