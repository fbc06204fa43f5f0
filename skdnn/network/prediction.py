"""Prediction in blocks of rows, so that memory stays bounded whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse

from skdnn import kernels
from skdnn.network.activations import Activation
from skdnn.network.network import Network, forward
from skdnn.numerics.threads import Crew, blas_threads, single_blas_thread

__all__ = ["dead_layers", "predict_logits"]

Array = np.ndarray
# Gives consecutive blocks of up to a number of rows
RowBlocks = Callable[[Any, int], Iterable[Any]]

# Prediction holds about this many activations of one layer at a time: two such buffers stay in a
# core's share of the cache.
_PREDICTION_BLOCK = 2**17
# What is compiled is fast with fewer activations at a time, that stay in the core's own cache
_COMPILED_BLOCK = 2**16
# With AVX-512, OpenBLAS multiplies up to so many pairs of numbers without copying them first, which
# saves up to a fifth of the time, if weights are so few that a block still has rows enough
_SMALL_PRODUCT = 10**6
_ROWS_ENOUGH = 128
# Takes in about this many dense features at a time
_INPUT_BLOCK = 2**21
# From about so many multiplications on, BLAS wakes its threads for every product of a block. They
# meet at each, and wait for each other wherever a core has other work.
_THREADED_PRODUCTS = 2**18
# Blocks of a CSR matrix that are cut out of it together
_SPARSE_BLOCKS = 8
# Multiplications that a thread of our own is worth
_SHARE_PRODUCTS = 2**24


def _slices(X: Any, size: int) -> Iterable[Any]:
    """Return the blocks of an array or a CSR matrix."""
    n_rows = X.shape[0]
    return (X[start : min(start + size, n_rows)] for start in range(0, n_rows, size))


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
    dtype = X.dtype
    if dtype != weights[0].dtype:
        dtype = np.result_type(dtype, weights[0].dtype)
    weights = [_as_stored(w, dtype) for w in weights]
    biases = [_as_stored(b, dtype) for b in biases]
    block, taken_in = _block_sizes(X, weights)
    logits = np.empty(n_samples, dtype)
    n_products = n_samples * sum(w.size for w in weights)
    crew = _make_crew(n_products) if taken_in > block else None
    run = _predictor(weights, biases, activation, block, crew)
    start = 0
    alone = single_blas_thread() if n_products > _THREADED_PRODUCTS else nullcontext()
    # kernels read prepared rows as they are
    is_read = kernels.compiled is not None and hasattr(X, "compiled")
    with alone, crew or nullcontext():
        for rows in (X,) if is_read else row_blocks(X, taken_in):
            n_rows = rows.shape[0]
            run(rows.astype(dtype, copy=False), logits[start : start + n_rows])
            start += n_rows
    return logits


def _as_stored(array: Array, dtype: np.dtype) -> Array:
    """Return parameters as kernels read them; what came over a network may be anywhere in memory.

    Only asked for what it may be lacking: `numpy.require` costs as much as a small network.
    """
    if array.dtype == dtype and array.flags.carray:
        return array
    return np.require(array, dtype, ("C", "A"))


def _block_sizes(X: Any, weights: Sequence[Array]) -> tuple[int, int]:
    """Return the number of rows that go through the network together, and that are taken in."""
    n_samples, n_features = X.shape
    block = _PREDICTION_BLOCK if kernels.compiled is None else _COMPILED_BLOCK
    block = min(n_samples, max(1, block // max(w.shape[1] for w in weights)))
    if kernels.compiled is not None and kernels.compiled.INSTRUCTIONS == "AVX-512":
        of_small_products = _SMALL_PRODUCT // max(w.size for w in weights)
        if of_small_products >= _ROWS_ENOUGH:
            block = min(block, of_small_products)
    if scipy.sparse.issparse(X):
        return block, _SPARSE_BLOCKS * block
    block = max(1, min(block, _INPUT_BLOCK // n_features))
    if kernels.compiled is None or not isinstance(X, np.ndarray):
        return block, block
    # whole blocks, so that a row's neighbours are the same however much is taken in
    return block, max(1, _INPUT_BLOCK // (n_features * block)) * block


def _make_crew(n_products: int) -> Crew | None:
    """Return the threads that share the blocks, if there is enough to do for more than one."""
    if kernels.compiled is None or n_products < 2 * _SHARE_PRODUCTS:
        return None
    n_threads = min(blas_threads(), n_products // _SHARE_PRODUCTS)
    return Crew(n_threads) if n_threads > 1 else None


def _predictor(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activation: Activation,
    block: int,
    crew: Crew | None,
) -> Callable[[Any, Array], None]:
    """Return what writes the logits of rows to an array, by blocks.

    Compiled it takes any number of rows, otherwise up to a block.
    """
    if kernels.compiled is not None:
        predictions = [
            kernels.compiled.CompiledPrediction(
                weights, biases, activation.name, activation.slope, block
            )
            for _ in range(1 if crew is None else crew.n_threads)
        ]
        return predictions[0].logits if crew is None else partial(_share, crew, predictions, block)
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


def _share(crew: Crew, predictions: Sequence[Any], block: int, rows: Any, out: Array) -> None:
    """Let each thread of a crew predict some whole blocks of the rows.

    The blocks are those of a single thread, and so are the bits.
    """
    n_rows = rows.shape[0]
    size = -(-n_rows // (block * len(predictions))) * block
    starts = range(0, n_rows, size)
    crew.run(
        [
            partial(prediction.logits, rows, out, start, min(start + size, n_rows))
            for prediction, start in zip(predictions, starts, strict=False)
        ]
    )


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
