"""What the ensemble's networks are where the user does not say."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from skdnn.classifier import DeepBinaryClassifier

__all__ = ["resolve_estimator"]

# benchmarks/results/quality.md has a row for each of these
_BATCHES = 30
_SMALLEST_BATCH, _LARGEST_BATCH = 16, 256


def resolve_estimator(estimator: Any, n_samples: int, n_train: int) -> DeepBinaryClassifier:
    """Return what networks for a table are copies of, at least ``n_train`` rows to train each."""
    if estimator is not None:
        if not isinstance(estimator, DeepBinaryClassifier):
            raise TypeError(
                f"estimator must be a DeepBinaryClassifier or None, got {estimator!r:.100}."
            )
        return clone(estimator).set_params(early_stopping=True, warm_start=False)
    batch_size = min(max(round(n_samples / _BATCHES), _SMALLEST_BATCH), _LARGEST_BATCH)
    return DeepBinaryClassifier(
        (128, 128),
        alpha=1.0,
        batch_size=min(batch_size, n_train),
        learning_rate_init=0.001,
        early_stopping=True,
    )
