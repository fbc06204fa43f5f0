"""What is looked at: a fitted network, alone or at the end of a pipeline, and rows as it sees them.

Rows on disk are read block by block, so that memory stays bounded whatever the size of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from skdnn.classifier import DeepBinaryClassifier
from skdnn.datasets.rows import as_matrix, is_on_disk, row_blocks, take_rows
from skdnn.network.network import Network, flatten
from skdnn.training.preparation import check_data
from skdnn.training.targets import (
    apply_class_weight,
    check_masked,
    check_sample_weight,
    encode_labels,
    plain_labels,
)

__all__ = ["Subject", "check_count", "fitted_network"]

Array = np.ndarray

# Numbers of a block of rows, inputs and activations together
_BLOCK_SIZE = 2**20


class Subject:
    """A fitted network, and rows as it sees them: validated, block by block.

    Parameters
    ----------
    model : DeepBinaryClassifier or Pipeline
        Fitted. A pipeline must end with the network; X goes through the steps before.
    X : {array-like, sparse matrix, HDF5Matrix, h5py.Dataset} of shape (n_samples, n_features)
        What ``model.predict`` takes. Rows on disk are read a block at a time.

    Attributes
    ----------
    model : DeepBinaryClassifier
        The network itself.
    n_samples : int
        Number of rows.
    """

    def __init__(self, model: Any, X: Any) -> None:
        self._steps, self.model = _split(model)
        check_is_fitted(self.model)
        # where a pipeline comes before, each block of a file goes through it as it is read
        self._is_raw = bool(self._steps) and is_on_disk(X)
        self._X = as_matrix(X) if self._is_raw else self._see(X)
        self.n_samples: int = self._X.shape[0]

    def _see(self, rows: Any) -> Any:
        """Return rows as the network takes them."""
        for step in self._steps:
            rows = step.transform(rows)
        return check_data(self.model, rows)

    def make_network(self, dtype: np.dtype | None = None) -> Network:
        """Return a network with a copy of the parameters, without dropout."""
        model = self.model
        dtype = np.dtype(dtype or model.coefs_[0].dtype)
        sizes = (model.coefs_[0].shape[0], *(bias.size for bias in model.intercepts_))
        parameters = flatten(model.coefs_, model.intercepts_, dtype)
        return Network(sizes, model._hidden_activation, dtype, parameters=parameters)

    def blocks(self) -> Iterator[tuple[slice, Any]]:
        """Yield which rows, and the rows in the parameters' dtype, dense or CSR."""
        coefs = self.model.coefs_
        n_numbers = coefs[0].shape[0] + sum(bias.size for bias in self.model.intercepts_)
        start = 0
        for block in row_blocks(self._X, max(1, _BLOCK_SIZE // n_numbers)):
            rows = self._see(block) if self._is_raw else block
            stop = start + rows.shape[0]
            yield slice(start, stop), rows.astype(coefs[0].dtype, copy=False)
            start = stop

    @property
    def rows(self) -> Any:
        """The rows as the network takes them, if they are in memory."""
        return self._X

    def feature_names(self) -> list[str] | None:
        """Return what the network's inputs are called, if that is known."""
        names = getattr(self.model, "feature_names_in_", None)
        if names is None and len(self._steps) == 1:
            try:
                names = self._steps[0].get_feature_names_out()
            except (AttributeError, ValueError):  # a step that has no names for its columns
                return None
        return None if names is None else [str(name) for name in names]

    def take(self, rows: Array) -> Any:
        """Return some rows, by index, in memory."""
        taken = take_rows(self._X, rows)
        return self._see(taken) if self._is_raw else taken

    def check_targets(self, y: Any, sample_weight: Any) -> tuple[Array, Array | None]:
        """Return which rows are of the second class, and their weights as `fit` would use them."""
        model = self.model
        check_masked(y, "y")
        y = plain_labels(y)
        check_consistent_length(self._X, y)
        positive = encode_labels(y, model.classes_, need_both=False)[1]
        weight = check_sample_weight(sample_weight, self.n_samples)
        weight = apply_class_weight(model.class_weight, model.classes_, positive, weight)
        if weight is not None and not weight.any():
            raise ValueError("class_weight leaves no row a positive weight: all are zero.")
        return positive, weight


def fitted_network(model: Any, name: str = "model") -> DeepBinaryClassifier:
    """Return the network of a fitted model, or raise an error that says what was found.

    ``name`` is what the caller's user calls the model.
    """
    network = _split(model, name)[1]
    check_is_fitted(network)
    return network


def check_count(name: str, number: Any) -> None:
    """Raise ValueError unless a number is an integer of at least 1; True is none."""
    if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {number!r}.")


def _split(model: Any, name: str = "model") -> tuple[list[Any], DeepBinaryClassifier]:
    """Return the transformers before the network, and the network."""
    steps: list[Any] = []
    last = model
    while isinstance(last, Pipeline):
        check_is_fitted(last)
        if len(last.steps) > 1:
            steps.append(last[:-1])
        last = last.steps[-1][1]
    if isinstance(last, DeepBinaryClassifier):
        return steps, last
    found = f"a Pipeline that ends with {last!r}" if last is not model else f"{model!r}"
    hint = ""
    if hasattr(last, "best_estimator_"):
        hint = " Pass its best_estimator_."
    elif isinstance(last, type):
        hint = " Pass a fitted instance of the class."
    elif hasattr(last, "estimators_"):
        hint = " Of an ensemble, pass one of its estimators_, and rows that its encoder encoded."
    raise TypeError(
        f"{name} must be a fitted DeepBinaryClassifier, or a Pipeline whose last step is one, got "
        f"{found} ({type(last).__name__}).{hint}"
    )
