"""The limit: bare matrix products of the shapes of a training step, with nothing around them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

__all__ = ["forward_products", "step_products", "training_products"]

Product = Callable[[], object]


def _numbers(rows: int, columns: int, dtype: Any) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, columns)).astype(dtype)


def _dot(a: np.ndarray, b: np.ndarray) -> Product:
    return partial(np.dot, a, b, out=np.empty((a.shape[0], b.shape[1]), a.dtype))


def forward_products(n_rows: int, sizes: Sequence[int], dtype: Any) -> list[Product]:
    """Return the products of a forward pass of dense rows; ``sizes`` from the input to 1."""
    return [_dot(_numbers(n_rows, i, dtype), _numbers(i, o, dtype)) for i, o in pairwise(sizes)]


def _first_layer(X: Any, n_out: int) -> list[Product]:
    """Return the two products of the first layer with a dense or CSR batch."""
    weights = _numbers(X.shape[1], n_out, X.dtype)
    delta = _numbers(X.shape[0], n_out, X.dtype)
    if isinstance(X, np.ndarray):
        return [_dot(X, weights), _dot(X.T, delta)]
    return [partial(operator.matmul, X, weights), partial(operator.matmul, X.T, delta)]


def _later_layer(n_rows: int, n_in: int, n_out: int, dtype: Any) -> list[Product]:
    """Return the three products of a layer that passes a gradient on."""
    a, weights = _numbers(n_rows, n_in, dtype), _numbers(n_in, n_out, dtype)
    delta = _numbers(n_rows, n_out, dtype)
    return [_dot(a, weights), _dot(a.T, delta), _dot(delta, weights.T)]


def step_products(X: Any, sizes: Sequence[int]) -> list[Product]:
    """Return the products of one step on the batch X; ``sizes`` from the first layer to 1."""
    products = _first_layer(X, sizes[0])
    for n_in, n_out in pairwise(sizes):
        products += _later_layer(X.shape[0], n_in, n_out, X.dtype)
    return products


def training_products(
    X: Any, hidden: Sequence[int], batches: Sequence[int], epochs: int
) -> Callable[[], None]:
    """Return what does the products of a whole training.

    Parameters
    ----------
    X : {ndarray, CSR matrix} of shape (n_samples, n_features)
        Its first rows are every batch: gathering rows is not the product's cost.
    hidden : sequence of int
        Units of the hidden layers.
    batches : sequence of int
        Rows of each batch of an epoch.
    epochs : int
        Number of epochs.

    Returns
    -------
    callable
    """
    steps = {n_rows: step_products(X[:n_rows], (*hidden, 1)) for n_rows in set(batches)}

    def run() -> None:
        for _ in range(epochs):
            for n_rows in batches:
                for product in steps[n_rows]:
                    product()

    return run
