"""Data that several test modules share."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler


@pytest.fixture(scope="session")
def breast_cancer():
    """Return X, standardised and read-only, and y of 569 biopsies."""
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    X.flags.writeable = y.flags.writeable = False
    return X, y


@pytest.fixture(scope="session")
def catvnoncat():
    """Return the folder of the cat images, which cannot be part of the project."""
    root = os.environ.get("SKDNN_DATA")
    if root is None:
        pytest.skip("SKDNN_DATA is not set: it names the folder that holds catvnoncat/")
    return Path(root) / "catvnoncat"


@pytest.fixture(scope="session")
def data():
    """Return X and y of 60 rows of two classes that overlap, read-only."""
    generator = np.random.RandomState(1)
    y = np.repeat([0, 1], 30)
    X = generator.standard_normal((60, 4)) + y[:, None]
    order = generator.permutation(60)
    X, y = X[order], y[order]
    X.flags.writeable = y.flags.writeable = False
    return X, y


@pytest.fixture(scope="session")
def weight():
    """Return a weight for each row of ``data``, read-only."""
    weight = np.random.RandomState(2).uniform(0.5, 3, 60)
    weight.flags.writeable = False
    return weight


@pytest.fixture(scope="session")
def wide():
    """Return X and y of 30 rows with 200 features, which are trained in row space; read-only."""
    generator = np.random.RandomState(0)
    X = generator.standard_normal((30, 200))
    y = (X[:, :3].sum(axis=1) > 0).astype(int)
    X.flags.writeable = y.flags.writeable = False
    return X, y


@pytest.fixture
def rng():
    return np.random.RandomState(0)


@pytest.fixture
def ctrl_c():
    """Let Ctrl-C raise KeyboardInterrupt, which test runners may not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
