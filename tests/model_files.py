"""Model files to save, describe and forge, for the modules that test them."""

from contextlib import contextmanager

import h5py
import numpy as np

from skdnn import DeepBinaryClassifier
from skdnn.container.container import sign
from skdnn.training.state import TrainingState

HEADER_BYTES = 512


def make_model(**parameters):
    defaults = {"hidden_layer_sizes": (4, 3), "max_iter": 3, "tol": None, "random_state": 0}
    return DeepBinaryClassifier(**(defaults | parameters))


def make_rows(labels=(False, True), dtype=np.float64, n_samples=40):
    X = np.random.RandomState(0).standard_normal((n_samples, 5)).astype(dtype)
    return X, np.asarray(labels)[(X[:, 0] > 0).astype(int)]


def described(value):
    """Return nested tuples that are equal for values of the same types and bits."""
    if isinstance(value, np.random.RandomState):
        return described(list(value.get_state()))
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return "dict", tuple((described(k), described(v)) for k, v in sorted(value.items()))
    if isinstance(value, TrainingState):
        return "state", described(vars(value))
    if isinstance(value, list | tuple | np.ndarray):
        return type(value).__name__, tuple(map(described, value))
    return type(value).__name__, repr(value)


@contextmanager
def forged(path):
    """Open a model file for changes, and sign it anew as a forger would."""
    with h5py.File(path, "r+") as file:
        yield file
    content = path.read_bytes()[HEADER_BYTES:]
    path.write_bytes(sign(content) + content)


def write_text(item, name, text):
    item.attrs.create(name, text.encode(), dtype=h5py.string_dtype("utf-8", len(text.encode())))
