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
    hidden_layer_sizes: tuple[int, ...] = (128,)  # of the default estimator
    learning_rate_init: float = 0.003


def default_kinds(n_estimators: int, categorical_features: Any, estimator: Any) -> list[Kind]:
    """Return kinds of networks: both, if there can be four networks of each.

    Numbers in bins, or as they are: which of them suits depends on the table, by much.
    """
    kinds = [
        Kind(TableEncoder(categorical_features), estimator),
        Kind(TableEncoder(categorical_features, n_bins=0), estimator, (64, 64), 0.004),
    ]
    return kinds if n_estimators >= _FEWEST_FOLDS * len(kinds) else kinds[:1]


def count_folds(n_estimators: int, n_kinds: int) -> int:
    """Return how many folds there are by default."""
    n_networks = n_estimators // n_kinds
    return min(n_networks, _MOST_FOLDS) if n_networks >= _FEWEST_FOLDS else _MOST_FOLDS


def resolve_estimator(kind: Kind, n_samples: int, n_train: int) -> DeepBinaryClassifier:
    """Return what a kind's networks are copies of, at least ``n_train`` of the rows for each."""
    if kind.estimator is None:
        size = min(max(round(n_samples / _BATCHES), _SMALLEST_BATCH), _LARGEST_BATCH)
        return DeepBinaryClassifier(
            kind.hidden_layer_sizes,
            alpha=1.0,
            batch_size=min(size, n_train),
            learning_rate_init=kind.learning_rate_init,
            early_stopping=True,
        )
    if not isinstance(kind.estimator, DeepBinaryClassifier):
        raise TypeError(
            f"estimator must be a DeepBinaryClassifier or None, got {kind.estimator!r:.100}."
        )
    return clone(kind.estimator).set_params(early_stopping=True, warm_start=False)
