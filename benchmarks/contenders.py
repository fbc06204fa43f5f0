"""One training task, done by each contender: the same network, rule, batches and epochs.

No contender stops before the last epoch. The modules of torch are imported where they are used:
the benchmark runs without it.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks import textbook
from skdnn import DeepBinaryClassifier, kernels

__all__ = [
    "Training",
    "fit_mlp",
    "fit_ours",
    "fit_reference",
    "fit_textbook",
    "fit_torch",
    "has_torch",
    "make_mlp",
    "make_ours",
    "on_reference",
    "silent",
]

SEED = 0


@dataclass(frozen=True)
class Training:
    """A network, and how to train it.

    Parameters
    ----------
    hidden : tuple of int
        Units of each hidden layer; all are ReLU.
    solver : {"adam", "gd", "lbfgs"}
        Rule.
    epochs : int
        Epochs; iterations of L-BFGS.
    batch_size : int, default=None
        Rows of a batch; None where the rule takes all rows.
    learning_rate : float, default=0.001
        Learning rate, constant.
    alpha : float, default=0.0001
        L2 penalty.
    """

    hidden: tuple[int, ...]
    solver: str
    epochs: int
    batch_size: int | None = None
    learning_rate: float = 0.001
    alpha: float = 0.0001

    def lasting(self, epochs: int) -> Training:
        """Return the same training with another number of epochs."""
        return replace(self, epochs=epochs)

    def batches(self, n_samples: int) -> list[int]:
        """Return the numbers of rows of the batches of one epoch."""
        size = min(self.batch_size or n_samples, n_samples)
        full, rest = divmod(n_samples, size)
        return [size] * full + [rest] * (rest > 0)


@contextmanager
def silent() -> Iterator[None]:
    """Keep MLPClassifier from warning that it ran through all epochs, as it is meant to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _shared_parameters(training: Training) -> dict[str, Any]:
    """Return the parameters that both estimators have, and mean alike."""
    return {
        "hidden_layer_sizes": training.hidden,
        "alpha": training.alpha,
        "learning_rate_init": training.learning_rate,
        "max_iter": training.epochs,
        "random_state": SEED,
    }


def make_ours(training: Training) -> DeepBinaryClassifier:
    """Return our estimator."""
    return DeepBinaryClassifier(
        solver=training.solver,
        batch_size=training.batch_size or "auto",
        tol=None,
        **_shared_parameters(training),
    )


def make_mlp(training: Training, n_samples: int) -> MLPClassifier:
    """Return scikit-learn's estimator; gd is its sgd without momentum on all rows."""
    parameters = _shared_parameters(training) | {"tol": 0, "n_iter_no_change": np.inf}
    if training.solver == "gd":
        parameters |= {"solver": "sgd", "momentum": 0, "shuffle": False, "batch_size": n_samples}
    else:
        parameters |= {"solver": training.solver, "batch_size": training.batch_size or "auto"}
    return MLPClassifier(**parameters)


def _ran_to_the_end(model: Any, training: Training) -> Any:
    """Return the model, unless it stopped early: its time could not be compared.

    L-BFGS is let pass: MLPClassifier cannot turn off scipy's test for a relative decrease.
    """
    if training.solver != "lbfgs" and model.n_iter_ != training.epochs:
        raise RuntimeError(f"{model} stopped after {model.n_iter_} of {training.epochs} epochs")
    return model


def fit_ours(training: Training, X: Any, y: np.ndarray) -> DeepBinaryClassifier:
    return _ran_to_the_end(make_ours(training).fit(X, y), training)


@contextmanager
def on_reference() -> Iterator[None]:
    """Let ours run on its NumPy reference, whatever was built."""
    built = kernels.compiled
    kernels.compiled = None
    try:
        yield
    finally:
        kernels.compiled = built


def fit_reference(training: Training, X: Any, y: np.ndarray) -> DeepBinaryClassifier:
    with on_reference():
        return fit_ours(training, X, y)


def fit_mlp(training: Training, X: Any, y: np.ndarray) -> MLPClassifier:
    with silent():
        model = make_mlp(training, X.shape[0]).fit(X, y)
    return _ran_to_the_end(model, training)


def fit_textbook(training: Training, X: np.ndarray, y: np.ndarray) -> Any:
    return textbook.train(
        X, y, training.hidden, learning_rate=training.learning_rate, n_steps=training.epochs
    )


def has_torch() -> bool:
    """Return whether torch is installed."""
    return importlib.util.find_spec("torch") is not None


def _make_torch_network(n_features: int, hidden: tuple[int, ...], dtype: Any) -> Any:
    from torch import nn

    modules: list[nn.Module] = []
    n_in = n_features
    for n_out in hidden:
        modules += [nn.Linear(n_in, n_out, dtype=dtype), nn.ReLU()]
        n_in = n_out
    return nn.Sequential(*modules, nn.Linear(n_in, 1, dtype=dtype))


def _make_torch_optimizer(training: Training, network: Any, n_samples: int) -> Any:
    import torch

    rule = {"adam": torch.optim.Adam, "gd": torch.optim.SGD}[training.solver]
    # our alpha / 2 * sum(W ** 2) is divided by the number of samples
    decay = training.alpha / n_samples
    return rule(network.parameters(), lr=training.learning_rate, weight_decay=decay)


def fit_torch(training: Training, X: np.ndarray, y: np.ndarray) -> Any:
    """Train as torch's own tutorials do, but on index batches: a DataLoader is far slower."""
    import torch

    torch.manual_seed(SEED)
    inputs = torch.from_numpy(X)
    targets = torch.from_numpy(y.astype(X.dtype)).reshape(-1, 1)
    n_samples = len(inputs)
    size = training.batch_size or n_samples
    network = _make_torch_network(X.shape[1], training.hidden, inputs.dtype)
    optimizer = _make_torch_optimizer(training, network, n_samples)
    criterion = torch.nn.BCEWithLogitsLoss()
    curve = []
    for _ in range(training.epochs):
        order = torch.randperm(n_samples) if size < n_samples else None
        total = 0.0
        for start in range(0, n_samples, size):
            rows = slice(None) if order is None else order[start : start + size]
            batch = inputs[rows]
            loss = criterion(network(batch), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        curve.append(total / n_samples)
    return network, curve
