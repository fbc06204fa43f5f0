"""The recipe's algorithm as a textbook writes it: plain NumPy, nothing reused, nothing clever.

Samples are columns, parameters live in a dict, every function returns new arrays, and the cost is
computed from the probabilities. It is here to be measured, not to be used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["train"]

Array = np.ndarray
Parameters = dict[str, Array]


def initialize_parameters(layer_sizes: Sequence[int], seed: int, dtype: np.dtype) -> Parameters:
    """He's initialisation, biases 0."""
    random_state = np.random.RandomState(seed)
    parameters = {}
    for layer in range(1, len(layer_sizes)):
        n_in, n_out = layer_sizes[layer - 1], layer_sizes[layer]
        weights = random_state.randn(n_out, n_in) * np.sqrt(2 / n_in)
        parameters[f"W{layer}"] = weights.astype(dtype)
        parameters[f"b{layer}"] = np.zeros((n_out, 1), dtype)
    return parameters


def relu(Z: Array) -> Array:
    return np.maximum(0, Z)


def sigmoid(Z: Array) -> Array:
    return 1 / (1 + np.exp(-Z))


def linear_forward(A: Array, W: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    return np.dot(W, A) + b, (A, W)


def forward(X: Array, parameters: Parameters) -> tuple[Array, list[tuple[Array, Array, Array]]]:
    """Return the probabilities and what the backward pass needs, by layer."""
    n_layers = len(parameters) // 2
    A, caches = X, []
    for layer in range(1, n_layers + 1):
        Z, (A_before, W) = linear_forward(A, parameters[f"W{layer}"], parameters[f"b{layer}"])
        A = sigmoid(Z) if layer == n_layers else relu(Z)
        caches.append((A_before, W, Z))
    return A, caches


def compute_cost(AL: Array, Y: Array) -> float:
    return float(-np.mean(Y * np.log(AL) + (1 - Y) * np.log(1 - AL)))


def relu_backward(dA: Array, Z: Array) -> Array:
    dZ = dA.copy()
    dZ[Z <= 0] = 0
    return dZ


def sigmoid_backward(dA: Array, Z: Array) -> Array:
    s = sigmoid(Z)
    return dA * s * (1 - s)


def linear_backward(dZ: Array, A_before: Array, W: Array) -> tuple[Array, Array, Array]:
    m = A_before.shape[1]
    dW = np.dot(dZ, A_before.T) / m
    db = np.sum(dZ, axis=1, keepdims=True) / m
    return np.dot(W.T, dZ), dW, db


def backward(AL: Array, Y: Array, caches: list[tuple[Array, Array, Array]]) -> Parameters:
    gradients = {}
    dA = -(Y / AL - (1 - Y) / (1 - AL))
    for layer in range(len(caches), 0, -1):
        A_before, W, Z = caches[layer - 1]
        dZ = sigmoid_backward(dA, Z) if layer == len(caches) else relu_backward(dA, Z)
        dA, dW, db = linear_backward(dZ, A_before, W)
        gradients[f"W{layer}"], gradients[f"b{layer}"] = dW, db
    return gradients


def update(parameters: Parameters, gradients: Parameters, learning_rate: float) -> Parameters:
    return {name: p - learning_rate * gradients[name] for name, p in parameters.items()}


def train(
    X: Array,
    y: Array,
    hidden: Sequence[int],
    *,
    learning_rate: float,
    n_steps: int,
    seed: int = 0,
) -> tuple[Parameters, list[float]]:
    """Descend the gradient of all samples; return the parameters and the cost of every step."""
    columns = np.ascontiguousarray(X.T)  # (n_features, n_samples)
    Y = y.reshape(1, -1).astype(X.dtype)
    parameters = initialize_parameters((columns.shape[0], *hidden, 1), seed, X.dtype)
    costs = []
    for _ in range(n_steps):
        AL, caches = forward(columns, parameters)
        costs.append(compute_cost(AL, Y))
        parameters = update(parameters, backward(AL, Y, caches), learning_rate)
    return parameters, costs
