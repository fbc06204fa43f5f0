"""What the ensemble's networks are where the user does not say.

Each number has its row in benchmarks/results/quality.md.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sklearn.base import clone

from skdnn.classifier import DeepBinaryClassifier
from skdnn.preprocessing import TableEncoder

__all__ = ["Kind", "count_folds", "default_kinds", "resolve_estimator"]

# Batches of an epoch, and what a batch is at least and at most
_BATCHES = 30
_SMALLEST_BATCH, _LARGEST_BATCH = 16, 256

# Folds where each kind has so many networks; else the second number, of which each has some
_FEWEST_FOLDS, _MOST_FOLDS = 4, 8


class Kind(NamedTuple):
    """What the networks of a kind see of a table, and what they are copies of."""

    encoder: Any
    estimator: DeepBinaryClassifier | None
    learning_rate: float = 0.003  # of the default estimator


# Numbers in bins of quantiles, as they are, and in bins where a tree would split them: which of
# them suits depends on the table. The rate is higher where inputs are fewer.
_KINDS: list[tuple[dict[str, Any], float]] = [
    ({"n_bins": 8}, 0.003),
    ({"n_bins": 0}, 0.004),
    ({"n_bins": 8, "bins": "tree"}, 0.003),
]


def default_kinds(n_estimators: int, categorical_features: Any, estimator: Any) -> list[Kind]:
    """Return kinds of networks, as many as can have four networks each, one for each fold."""
    n_kinds = min(max(n_estimators // _FEWEST_FOLDS, 1), len(_KINDS))
    return [
        Kind(TableEncoder(categorical_features, **parameters), estimator, learning_rate)
        for parameters, learning_rate in _KINDS[:n_kinds]
    ]


def count_folds(n_estimators: int, n_kinds: int) -> int:
    """Return how many folds there are by default."""
    n_networks = n_estimators // n_kinds
    return min(n_networks, _MOST_FOLDS) if n_networks >= _FEWEST_FOLDS else _MOST_FOLDS


def resolve_estimator(kind: Kind, n_samples: int, n_train: int) -> DeepBinaryClassifier:
    """Return what a kind's networks are copies of, at least ``n_train`` of the rows for each."""
    if kind.estimator is None:
        size = min(max(round(n_samples / _BATCHES), _SMALLEST_BATCH), _LARGEST_BATCH)
        return DeepBinaryClassifier(
            (128,),
            alpha=1.0,
            batch_size=min(size, n_train),
            learning_rate_init=kind.learning_rate,
            early_stopping=True,
        )
    if not isinstance(kind.estimator, DeepBinaryClassifier):
        raise TypeError(
            f"estimator must be a DeepBinaryClassifier or None, got {kind.estimator!r:.100}."
        )
    return clone(kind.estimator).set_params(early_stopping=True, warm_start=False)
