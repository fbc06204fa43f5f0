"""HDF5Matrix: too small limits, and chunks that are damaged."""

import re

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier
from skdnn.datasets import HDF5Matrix, load_hdf5


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function", "score"])
@pytest.mark.parametrize("memory_limit", [1, 1000])
def test_limit_that_training_refuses_is_refused_by_prediction(method, memory_limit, tmp_path):
    values = np.random.RandomState(0).standard_normal((500, 7))
    y = values[:, 0] > 0
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["X"] = values
    model = DeepBinaryClassifier(max_iter=1, tol=None).fit(values, y)
    X = HDF5Matrix(tmp_path / "rows.h5", "X", memory_limit=memory_limit)
    with pytest.raises(ValueError, match=f"memory_limit={memory_limit} is too small"):
        getattr(model, method)(X, *([y] if method == "score" else []))
    with pytest.raises(ValueError, match=f"memory_limit={memory_limit} is too small") as caught:
        model.fit(X, y)
    least = HDF5Matrix(
        tmp_path / "rows.h5",
        "X",
        memory_limit=int(re.findall(r"(\d+) bytes", str(caught.value))[0]),
    )
    assert_array_equal(model.fit(least, y).predict(least), model.predict(values))


@pytest.fixture
def damaged(tmp_path):
    """Return a file whose chunk of rows 50 to 99 has a NaN, and lacks its second half."""
    values = np.random.RandomState(0).standard_normal((200, 20))
    values[52, 3] = np.nan
    raw = values[50:75].tobytes()
    # LZF of 32 bytes as they are, again and again
    chunk = b"".join(b"\x1f" + raw[i : i + 32] for i in range(0, len(raw), 32))
    with h5py.File(tmp_path / "damaged.h5", "w") as file:
        dataset = file.create_dataset("X", data=values, chunks=(50, 20), compression="lzf")
        dataset.id.write_direct_chunk((50, 0), chunk)
    return tmp_path / "damaged.h5"


DAMAGE = r"rows 50 to 99 of '/X' is damaged"


@pytest.mark.parametrize(
    "read",
    [
        lambda path: HDF5Matrix(path, "X").load(),
        lambda path: HDF5Matrix(path, "X", dtype=np.float32)[52:120].load(),
        lambda path: HDF5Matrix(path, "X", transform=StandardScaler().fit(np.eye(20))).load(),
        lambda path: load_hdf5(path, x="X"),
        lambda path: DeepBinaryClassifier().fit(HDF5Matrix(path, "X"), np.arange(200) % 2),
    ],
    ids=["load", "view", "transform", "load_hdf5", "fit"],
)
def test_damaged_lzf_chunk_is_no_nan_of_the_user(read, damaged):
    with pytest.raises(OSError, match=DAMAGE):
        read(damaged)


def test_nan_that_fills_an_lzf_chunk_never_written_is_one_of_the_user(tmp_path):
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        rows = file.create_dataset(
            "X", (40, 3), chunks=(20, 3), compression="lzf", fillvalue=np.nan, dtype=float
        )
        rows[:20] = 1
    with pytest.raises(ValueError, match="contains NaN in row 20"):
        HDF5Matrix(tmp_path / "rows.h5", "X").load()


@pytest.mark.parametrize("shape", [(50, 20), (30, 7), (200, 3)])
@pytest.mark.parametrize("values", ["random", "equal", "long runs"])
def test_nan_in_a_whole_lzf_chunk_is_one_of_the_user(values, shape, tmp_path):
    X = {
        "random": np.random.RandomState(0).standard_normal((200, 20)),
        "equal": np.zeros((200, 20)),
        "long runs": np.repeat(np.arange(40.0), 100).reshape(200, 20),
    }[values]
    X[77, 3] = np.nan
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file.create_dataset("X", data=X, chunks=shape, compression="lzf")
    with pytest.raises(ValueError, match="contains NaN in row 77"):
        HDF5Matrix(tmp_path / "rows.h5", "X").load()
    assert_array_equal(load_hdf5(tmp_path / "rows.h5", x="X"), X)
