"""`score` of the estimators: accuracy, with weights that are checked as those of fit are."""

from __future__ import annotations

from typing import Any

from sklearn.utils import column_or_1d

from skdnn.training.targets import check_masked, check_sample_weight, plain_labels

__all__ = ["WeightedAccuracy"]


class WeightedAccuracy:
    """Mixin that stands before scikit-learn's `ClassifierMixin`."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of `predict` on some rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict; whatever else `predict` takes, too.
        y : array-like or h5py.Dataset of shape (n_samples,)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative and not all zero.

        Returns
        -------
        accuracy : float
            Share of the rows, by weight, that `predict` gets right.

        Raises
        ------
        ValueError, TypeError
            For rows, labels or weights that cannot be used.
        """
        check_masked(y, "y")
        y = plain_labels(y)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(column_or_1d(y)))
        return super().score(X, y, sample_weight)  # type: ignore[misc]
