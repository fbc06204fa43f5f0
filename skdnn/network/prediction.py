"""Prediction in blocks of rows, so that memory stays bounded whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.utils import gen_batches

from skdnn import kernels
from skdnn.network.activations import Activation
from skdnn.network.network import Network, forward
from skdnn.numerics.threads import single_blas_thread

__all__ = ["dead_layers", "predict_logits"]

Array = np.ndarray
# Gives consecutive blocks of up to a number of rows
RowBlocks = Callable[[Any, int], Iterable[Any]]

# Prediction holds about this many activations of one layer at a time: two such buffers stay in a
# core's share of the cache.
_PREDICTION_BLOCK = 2**17
# and takes in about this many dense features
_INPUT_BLOCK = 2**21
# What is compiled is fast with fewer activations at a time, that stay in the core's own cache
_COMPILED_BLOCK = 2**15
# From about so many multiplications on, BLAS wakes its threads for every product of a block. They
# meet at each, and wait for each other wherever a core has other work.
_THREADED_PRODUCTS = 2**18


def _slices(X: Any, size: int) -> Iterable[Any]:
    """Return the blocks of an array or a CSR matrix."""
    return (X[rows] for rows in gen_batches(X.shape[0], size))


def predict_logits(
    X: Any,
    weights: Sequence[Array],
    biases: Sequence[Array],
    activation: Activation,
    row_blocks: RowBlocks = _slices,
) -> Array:
    """Return the logits of any number of rows with a bounded workspace of its own.

    Reads its arguments only, so threads may share them. Works in the wider of the dtypes of X
    and the weights.

    Parameters
    ----------
    X : {ndarray, sparse matrix, rows that ``row_blocks`` reads} of shape (n_samples, n_features)
    weights, biases : sequence of ndarray
        Parameters by layer.
    activation : Activation
        Hidden activation.
    row_blocks : callable, default=slices of X
        ``row_blocks(X, size)`` gives X's rows in order, up to ``size`` at a time, dense or CSR.

    Returns
    -------
    logits : ndarray of shape (n_samples,)
    """
    if scipy.sparse.issparse(X):
        X = X.tocsr()
    n_samples = X.shape[0]
    dtype = np.result_type(X.dtype, weights[0].dtype)
    # what came over a network may be anywhere in memory
    weights = [np.require(w, dtype, ("C", "A")) for w in weights]
    biases = [np.require(b, dtype, ("C", "A")) for b in biases]
    widths = [b.size for b in biases]
    block = min(n_samples, _PREDICTION_BLOCK // max(widths))
    if not scipy.sparse.issparse(X):
        block = min(block, _INPUT_BLOCK // X.shape[1])
    block = max(1, block)
    run = _block_predictor(weights, biases, activation, block)
    logits = np.empty(n_samples, dtype)
    start = 0
    n_products = n_samples * sum(w.size for w in weights)
    with single_blas_thread(n_products > _THREADED_PRODUCTS):
        for rows in row_blocks(X, block):
            n_rows = rows.shape[0]
            run(rows.astype(dtype, copy=False), logits[start : start + n_rows])
            start += n_rows
    return logits


def _block_predictor(
    weights: Sequence[Array], biases: Sequence[Array], activation: Activation, block: int
) -> Callable[[Any, Array], None]:
    """Return what writes the logits of up to ``block`` rows to an array, compiled or not."""
    if kernels.compiled is not None:
        widest = max(b.size for b in biases)
        cached = max(1, min(block, _COMPILED_BLOCK // widest))
        return kernels.compiled.CompiledPrediction(
            weights, biases, activation.name, activation.slope, cached
        ).logits
    widths = [b.size for b in biases]
    buffers = np.empty((3, block * max(widths)), weights[0].dtype)

    def run(rows: Any, out: Array) -> None:
        n_rows = rows.shape[0]
        # Layers write alternately to two buffers; the third is scratch.
        views = [buffers[i % 2, : n_rows * w].reshape(n_rows, w) for i, w in enumerate(widths)]
        scratches = [buffers[2, : n_rows * w].reshape(n_rows, w) for w in widths]
        caches = [None] * len(widths)
        out[...] = forward(rows, weights, biases, activation, views, scratches, caches)

    return run


def dead_layers(network: Network, X: Any, block: int, row_blocks: RowBlocks = _slices) -> list[int]:
    """Return the hidden layers, counted from 1, in which every unit is 0 on every row.

    Only ReLU gives exact zeros. Looks at blocks of rows until every layer has shown life, which is
    the first block for any healthy network.

    Parameters
    ----------
    network : Network
        At its present parameters; its workspace is written to.
    X : {ndarray, CSR matrix, rows that ``row_blocks`` reads} of shape (n_samples, n_features)
    block : int
        Number of rows to look at together.
    row_blocks : callable, default=slices of X
        As of `predict_logits`.

    Returns
    -------
    list of int
    """
    silent: set[int] = set()
    if network.activation.cache == "mask":
        silent = set(range(len(network.weights) - 1))
    for rows in row_blocks(X, block):
        if not silent:
            break
        work = network.workspace(rows.shape[0])
        with np.errstate(all="ignore"):
            forward(
                rows.astype(network.dtype, copy=False),
                network.weights,
                network.biases,
                network.activation,
                work.activations,
                work.scratches,
                work.caches,
            )
        silent = {layer for layer in silent if not work.activations[layer].any()}
    return sorted(layer + 1 for layer in silent)
