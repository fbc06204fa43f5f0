"""Fits with checkpoints that are killed and begun again, for the modules that test them."""

import numpy as np
import pytest

from skdnn import Checkpoint, DeepBinaryClassifier, load_checkpoint
from skdnn.datasets import HDF5Matrix
from tests.callbacks import Callback

N_EPOCHS = 6


class KilledError(Exception):
    """Stands for the end of a process."""


class Killer(Callback):
    """Raises after an epoch of the call, counted from 1; put behind a Checkpoint."""

    def __init__(self, epoch, error=KilledError):
        self.epoch = epoch
        self.error = error

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id + 1 == self.epoch:
            raise self.error


class Stopper(Callback):
    """Stops training after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_fit_task_end(self, estimator, context):
        return context.task_name == "epoch" and context.task_id + 1 == self.epoch


class Counter(Callback):
    """Adds a line to a file for every epoch, also from other processes."""

    def __init__(self, path):
        self.path = path

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch":
            with self.path.open("a") as file:
                file.write("epoch\n")

    def count(self):
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.path.unlink(missing_ok=True)
        return len(lines)


def make_model(**parameters):
    defaults = {
        "hidden_layer_sizes": (4, 3), "max_iter": N_EPOCHS, "tol": None, "random_state": 0,
        "batch_size": 16, "learning_rate_init": 0.05,
    }  # fmt: skip
    return DeepBinaryClassifier(**(defaults | parameters))


def make_rows(n_samples=60, n_features=5, seed=0):
    X = np.random.RandomState(seed).standard_normal((n_samples, n_features))
    return X, X[:, 0] * X[:, 1] > 0


def resumed(path, fit, kills, every=1):
    """Return what ``fit`` trains when it is killed and begun again; the file stays readable."""
    for epoch in kills:
        with pytest.raises(KilledError):
            fit(Checkpoint(path, every), Killer(epoch))
        if path.exists():
            load_checkpoint(path)
    return fit(Checkpoint(path, every))


def fitting(parameters=(), data=None, **keywords):
    """Return a function that fits a new model with callbacks, as a script that is run again."""

    def fit(*callbacks):
        model = make_model(**dict(parameters)).set_callbacks(*callbacks)
        return model.fit(*(make_rows() if data is None else data), **keywords)

    return fit


def contents_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def streamed(path):
    return HDF5Matrix(path, "X", memory_limit=650_000)


X, Y = make_rows()
