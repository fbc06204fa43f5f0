"""Data that several test modules share."""

import os
import signal
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from skdnn import Checkpoint, DeepBinaryClassifier, DeepEnsembleClassifier, save_model
from tests import checkpoints, model_files
from tests.tables import small

# a busy machine may take its time for an example
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _seed():
    """Start NumPy's own generator anew: a test without random_state is the same in every run."""
    np.random.seed(0)


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
def apart():
    """Return X and y of 60 rows of two classes that overlap little, read-only."""
    generator = np.random.RandomState(1)
    y = np.repeat([0, 1], 30)
    X = generator.standard_normal((60, 4)) + 2 * y[:, None]
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


@pytest.fixture(scope="session")
def mistaken(breast_cancer):
    """Return a model, rows, and labels of which four are wrong that the model knows better."""
    X, y = breast_cancer
    model = DeepBinaryClassifier((8, 4), random_state=0, max_iter=60, tol=None).fit(X, y)
    wrong = y.copy()
    wrong[[3, 70, 200, 400]] ^= 1
    return model, X, wrong


@pytest.fixture
def saved(tmp_path):
    """Return the path of a saved model with three layers and a training state."""
    path = tmp_path / "model.h5"
    model = model_files.make_model(warm_start=True, early_stopping=True)
    save_model(model.fit(*model_files.make_rows()), path)
    return path


@pytest.fixture
def killed(tmp_path):
    """Return the checkpoint of a run that was killed after its third epoch."""
    path = tmp_path / "run.ckpt"
    with pytest.raises(checkpoints.KilledError):
        checkpoints.fitting()(Checkpoint(path), checkpoints.Killer(3))
    return path


@pytest.fixture(scope="session")
def stored(tmp_path_factory):
    """Return a file that does not fit into the memory limit of `checkpoints.streamed`, and y."""
    X, y = checkpoints.make_rows(16_000, 6)
    path = tmp_path_factory.mktemp("stored") / "data.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=X, chunks=(50, 6))
    return path, y


@pytest.fixture
def mixed(rng):
    """Return 300 rows of every kind of column, some with gaps."""
    frame = pd.DataFrame(
        {
            "real": rng.standard_normal(300),
            "count": rng.randint(0, 5, 300),
            "flag": rng.rand(300) > 0.5,
            "text": rng.choice(["x", "y", "z"], 300),
            "day": pd.date_range("2020-01-01", periods=300),
            "level": pd.Categorical(rng.choice(["low", "high"], 300)),
            "code": pd.Categorical(rng.choice([1, 2, 3], 300)),
        }
    )
    frame.loc[3, "real"] = np.nan
    frame.loc[4, "text"] = None
    return frame


@pytest.fixture(scope="module")
def table():
    """Return 400 rows of numbers, categories, text and gaps, and labels that they tell of."""
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "age": rng.standard_normal(400),
            "fare": np.exp(rng.standard_normal(400)),
            "port": rng.choice(["S", "C", "Q"], 400),
            "deck": pd.Categorical(rng.choice(["a", "b"], 400)),
        }
    )
    y = np.where(frame["age"] + (frame["port"] == "S") + rng.standard_normal(400) > 0.5, "y", "n")
    frame.loc[rng.rand(400) < 0.1, "age"] = np.nan
    frame.loc[rng.rand(400) < 0.1, "port"] = None
    return frame, y


@pytest.fixture(scope="module")
def fitted(table):
    return DeepEnsembleClassifier(random_state=0).fit(*table)


@pytest.fixture(scope="module")
def numbers():
    X, y = load_breast_cancer(return_X_y=True)
    return X[::2], y[::2]


@pytest.fixture(scope="module")
def ensemble(numbers):
    return small().fit(*numbers)
