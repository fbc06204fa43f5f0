"""The network: one flat parameter vector, one flat gradient, forward and backward pass.

The flat vectors hold the weights of all layers, then the biases of all layers; layers are views
into them. The network knows neither loss, penalty, targets nor solver.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from skdnn.network.activations import Activation
from skdnn.network.initializers import initialize

__all__ = [
    "Network",
    "Workspace",
    "count_parameters",
    "draw_parameters",
    "flatten",
    "forward",
    "layer_views",
]

Array = np.ndarray


def count_parameters(layer_sizes: Sequence[int]) -> tuple[int, int]:
    """Return the numbers of weights and of biases of a network."""
    return sum(i * o for i, o in pairwise(layer_sizes)), sum(layer_sizes[1:])


def layer_views(flat: Array, layer_sizes: Sequence[int]) -> tuple[list[Array], list[Array]]:
    """Split a flat vector into views: weights (n_in, n_out) and biases (n_out,) by layer."""
    weights, biases = [], []
    start = 0
    for n_in, n_out in pairwise(layer_sizes):
        weights.append(flat[start : start + n_in * n_out].reshape(n_in, n_out))
        start += n_in * n_out
    for n_out in layer_sizes[1:]:
        biases.append(flat[start : start + n_out])
        start += n_out
    return weights, biases


class Workspace:
    """The arrays that one pass over a number of rows writes to.

    Parameters
    ----------
    n_rows : int
        Number of rows of a batch.
    layer_sizes : sequence of int
        Sizes from the input to the logit.
    activation : Activation
        Hidden activation; tells what it wants cached.
    dtype : dtype
        Of all arrays but masks.
    dropout : sequence of float, default=()
        Rate of each hidden layer; nothing is made where there is none.

    Attributes
    ----------
    activations : list of ndarray of shape (n_rows, n_units)
        Output of each layer; in the backward pass, its derivative.
    scratches, caches : list of ndarray of shape (n_rows, n_units) or None
        What the activation of each hidden layer works with.
    dropout : list of ndarray of shape (n_rows, n_units)
        Factors of each hidden layer: 0 for a dropped unit, 1 / (1 - rate) for a kept one.
    dlogits : ndarray of shape (n_rows,)
        Derivative by the logits.
    """

    def __init__(
        self,
        n_rows: int,
        layer_sizes: Sequence[int],
        activation: Activation,
        dtype: np.dtype,
        dropout: Sequence[float] = (),
    ) -> None:
        shapes = [(n_rows, n_units) for n_units in layer_sizes[1:]]
        hidden = shapes[:-1]
        self.n_rows = n_rows
        self.activations = [np.empty(s, dtype) for s in shapes]
        self.dlogits = np.empty(n_rows, dtype)
        self.ones = np.ones(n_rows, dtype)
        self.dropout = [np.ones(s, dtype) for s, _ in zip(hidden, dropout, strict=False)]
        self.scratches: list[Any] = [None] * len(hidden)
        self.caches: list[Any] = self.scratches
        if activation.cache in ("shared", "own"):
            self.scratches = self.caches = _overlaid(hidden, dtype)
        if activation.cache == "own":
            self.caches = [np.empty(s, dtype) for s in hidden]
        elif activation.cache == "mask":
            self.caches = _overlaid(hidden, np.dtype(bool))

    def leading_rows(self, n_rows: int) -> Workspace:
        """Return a workspace for fewer rows that shares this one's memory."""

        def leading(arrays: list[Any]) -> list[Any]:
            return [None if array is None else array[:n_rows] for array in arrays]

        part = object.__new__(Workspace)
        part.n_rows = n_rows
        part.activations = leading(self.activations)
        part.dlogits = self.dlogits[:n_rows]
        part.ones = self.ones[:n_rows]
        part.dropout = leading(self.dropout)
        part.scratches = leading(self.scratches)
        part.caches = leading(self.caches)
        return part


def _overlaid(shapes: Sequence[tuple[int, int]], dtype: np.dtype) -> list[Array]:
    """Return arrays of some shapes in one piece of memory, each from its beginning."""
    memory = np.empty(max((r * u for r, u in shapes), default=0), dtype)
    return [memory[: r * u].reshape(r, u) for r, u in shapes]


def _affine(X: Array, weights: Array, bias: Array, out: Array) -> None:
    """Compute X W + b into ``out``, for dense or CSR X."""
    if isinstance(X, np.ndarray):
        # dot has less overhead than matmul and, with out, the same result
        np.dot(X, weights, out=out)
        out += bias
    else:
        np.add(X @ weights, bias, out=out)


def forward(
    X: Array,
    weights: Sequence[Array],
    biases: Sequence[Array],
    activation: Activation,
    activations: Sequence[Array],
    scratches: Sequence[Array],
    caches: Sequence[Any],
    dropout: Sequence[Array] = (),
) -> Array:
    """Run the forward pass; every pass of the package is this one.

    Parameters
    ----------
    X : {ndarray, CSR matrix} of shape (n_rows, n_features)
        Input rows, in the dtype of the weights.
    weights, biases : sequence of ndarray
        Parameters by layer, (n_in, n_out) and (n_out,).
    activation : Activation
        Hidden activation.
    activations : sequence of ndarray of shape (n_rows, n_out)
        Receive the layers' outputs.
    scratches, caches : sequence of ndarray or None
        What the activation works with, see `Activation`.
    dropout : sequence of ndarray of shape (n_rows, n_out), default=()
        Factors of the hidden activations; none at prediction.

    Returns
    -------
    logits : ndarray of shape (n_rows,)
        View of the last layer's output.
    """
    last = len(weights) - 1
    a = X
    for layer in range(last):
        z = activations[layer]
        _affine(a, weights[layer], biases[layer], z)
        activation.function(z, scratches[layer], caches[layer])
        if dropout:
            z *= dropout[layer]
        a = z
    _affine(a, weights[last], biases[last], activations[last])
    return activations[last].reshape(-1)


class Network:
    """L-layer perceptron with one logit, over one flat parameter vector.

    Parameters
    ----------
    layer_sizes : sequence of int
        Number of inputs, of units of each hidden layer, and 1.
    activation : Activation
        Hidden activation.
    dtype : dtype
        float32 or float64.
    dropout : sequence of float, default=()
        Rate of each hidden layer, in [0, 1); empty for none.
    parameters : ndarray of shape (n_parameters,), default=None
        Vector to work on; zeros by default.

    Attributes
    ----------
    parameters : ndarray of shape (n_parameters,)
        Weights of all layers, then biases of all layers.
    gradient : ndarray of shape (n_parameters,)
        Gradient by the parameters, in the same order.
    weights, biases, weight_gradients, bias_gradients : list of ndarray
        Views by layer.
    n_weights : int
        Number of leading entries of the flat vectors that are weights.
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: Activation,
        dtype: np.dtype,
        dropout: Sequence[float] = (),
        parameters: Array | None = None,
    ) -> None:
        self.layer_sizes = tuple(layer_sizes)
        # in the 16 bits that a unit's fate is drawn with
        self.dropout = tuple(min(round(r * 2**16), 2**16 - 1) / 2**16 for r in dropout)
        self.activation = activation
        self.dtype = np.dtype(dtype)
        n_weights, n_biases = count_parameters(self.layer_sizes)
        self.n_weights = n_weights
        if parameters is None:
            parameters = np.zeros(n_weights + n_biases, self.dtype)
        self.parameters = parameters
        self.gradient = np.zeros_like(self.parameters)
        self.weights, self.biases = layer_views(self.parameters, self.layer_sizes)
        self.weight_gradients, self.bias_gradients = layer_views(self.gradient, self.layer_sizes)
        self._workspaces: list[Workspace] = []

    def replica(self) -> Network:
        """Return a network on the same parameters, with a gradient and workspaces of its own."""
        return Network(self.layer_sizes, self.activation, self.dtype, self.dropout, self.parameters)

    def workspace(self, n_rows: int) -> Workspace:
        """Return the workspace for a batch of ``n_rows`` rows; made once for each size."""
        for workspace in self._workspaces:
            if workspace.n_rows == n_rows:
                return workspace
        if self._workspaces and n_rows < self._workspaces[0].n_rows:
            # Only the short last batch of an epoch comes here: keep the full one and this.
            self._workspaces[1:] = [self._workspaces[0].leading_rows(n_rows)]
        else:
            self._workspaces = [
                Workspace(n_rows, self.layer_sizes, self.activation, self.dtype, self.dropout)
            ]
        return self._workspaces[-1]

    def draw_dropout(self, n_rows: int, random_state: np.random.RandomState) -> None:
        """Draw which hidden units the next pass over ``n_rows`` rows leaves out (inverted dropout).

        Srivastava et al. 2014. Units are kept with probability 1 - rate, and scaled so that the
        mean stays as it is. 16 random bits a unit: rates are met to 1/65536.
        """
        factors = self.workspace(n_rows).dropout
        for factor, rate in zip(factors, self.dropout, strict=True):
            draws = random_state.randint(0, 2**16, factor.shape, dtype=np.uint16)
            np.greater_equal(draws, int(rate * 2**16), out=factor)
            factor *= 1.0 / (1.0 - rate)

    def forward(self, X: Array) -> tuple[Array, Array]:
        """Return the logits of X's rows and an array for their derivatives, both (n_rows,).

        Both live in the workspace; `backward` expects the derivatives there.
        """
        self._work = work = self.workspace(X.shape[0])
        logits = forward(
            X,
            self.weights,
            self.biases,
            self.activation,
            work.activations,
            work.scratches,
            work.caches,
            work.dropout,
        )
        return logits, work.dlogits

    def backward(self, X: Array) -> None:
        """Write the gradient by all parameters, from the derivatives by the logits of `forward`.

        Uses the activations up: the derivative by a layer's output takes the place of the output
        once that has served its purpose.
        """
        work = self._work
        delta = work.dlogits.reshape(-1, 1)  # (n_rows, n_out)
        for layer in range(len(self.weights) - 1, 0, -1):
            a, cache = work.activations[layer - 1], work.caches[layer - 1]  # (n_rows, n_in)
            np.dot(a.T, delta, out=self.weight_gradients[layer])
            np.dot(work.ones, delta, out=self.bias_gradients[layer])
            if work.dropout:
                # the derivative wants the activations as they were; dropped ones do not matter
                a *= 1.0 - self.dropout[layer - 1]
            self.activation.derivative(a, cache)
            np.dot(delta, self.weights[layer].T, out=a)
            if cache is not None:
                a *= cache
            if work.dropout:
                a *= work.dropout[layer - 1]
            delta = a
        if isinstance(X, np.ndarray):
            np.dot(X.T, delta, out=self.weight_gradients[0])
        else:
            self.weight_gradients[0][...] = X.T @ delta
        np.dot(work.ones, delta, out=self.bias_gradients[0])


def draw_parameters(
    params: Any, layer_sizes: Sequence[int], dtype: np.dtype, random_state: np.random.RandomState
) -> Array:
    """Draw the initial parameters of a network, as one flat vector.

    ``params`` has ``init``, ``init_scale`` and ``init_distribution`` as attributes. Raises
    ValueError for more parameters than an array can have.
    """
    n_parameters = sum(count_parameters(layer_sizes))
    if n_parameters > np.iinfo(np.intp).max // dtype.itemsize:
        raise ValueError(
            f"hidden_layer_sizes={tuple(layer_sizes[1:-1])!r:.100} makes too many parameters to be "
            "allocated: give fewer units."
        )
    parameters = np.zeros(n_parameters, dtype)
    initialize(
        layer_views(parameters, layer_sizes)[0],
        random_state,
        rule=params.init,
        scale=params.init_scale,
        distribution=params.init_distribution,
    )
    return parameters


def flatten(weights: Sequence[Array], biases: Sequence[Array], dtype: np.dtype) -> Array:
    """Return numbers that are kept by layer as one new vector; `layer_views` undoes it."""
    return np.concatenate([part.reshape(-1) for part in (*weights, *biases)], dtype=dtype)
