"""Datasets that are put together of several files: what is missing is named, what changed shows."""

import os
import subprocess
import sys
import time

import h5py
import joblib
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier
from skdnn.datasets import HDF5Matrix, load_hdf5, read_labels

FILL = -9.0
VALUES = np.random.RandomState(0).standard_normal((40, 3))
Y = VALUES[:, 0] > 0


def write(path, values=VALUES, key="X"):
    with h5py.File(path, "w") as file:
        file[key] = values


def write_view(path, parts, key="V"):
    """Write a virtual dataset: one source after the other, as (path, key, number of rows)."""
    layout = h5py.VirtualLayout((sum(n for *_, n in parts), 3), float)
    start = 0
    for source, inner, n_rows in parts:
        layout[start : start + n_rows] = h5py.VirtualSource(source, inner, (n_rows, 3))
        start += n_rows
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset(key, layout, fillvalue=FILL)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with sources a.h5 and b.h5, and what reads them in several ways."""
    write(tmp_path / "a.h5", VALUES[:25])
    write(tmp_path / "b.h5", VALUES[25:])
    write_view(tmp_path / "view.h5", [("a.h5", "X", 25), ("b.h5", "X", 15)])
    write_view(tmp_path / "nested.h5", [("view.h5", "V", 40)])
    write_view(tmp_path / "twice.h5", [("nested.h5", "V", 40)])
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["V"] = h5py.ExternalLink("view.h5", "/V")
    with h5py.File(tmp_path / "source by link.h5", "w") as file:
        file["X"] = h5py.ExternalLink("b.h5", "/X")
    write_view(tmp_path / "over a link.h5", [("a.h5", "X", 25), ("source by link.h5", "X", 15)])
    absolute = [(str(tmp_path / "a.h5"), "X", 25), (str(tmp_path / "b.h5"), "X", 15)]
    write_view(tmp_path / "absolute.h5", absolute)
    write(tmp_path / "own.h5")
    write_view(tmp_path / "own.h5", [(".", "X", 40)])
    write_view(tmp_path / "own view.h5", [("own.h5", "V", 40)])
    return tmp_path


VIEWS = [
    "view.h5", "nested.h5", "twice.h5", "linked.h5", "over a link.h5", "absolute.h5",
]  # fmt: skip


def read_all(path):
    return HDF5Matrix(path, "V").load()


def read_open(path):
    with h5py.File(path) as file:
        return HDF5Matrix(file["V"]).load()


def fit_open(path):
    with h5py.File(path) as file:
        return DeepBinaryClassifier(max_iter=1, tol=None).fit(file["V"], Y)


READERS = {
    "load": read_all,
    "load_hdf5": lambda path: load_hdf5(path, x="V"),
    "open dataset": read_open,
    "fit": lambda path: DeepBinaryClassifier(max_iter=1, tol=None).fit(HDF5Matrix(path, "V"), Y),
    "fit, open dataset": fit_open,
}


@pytest.mark.parametrize("view", [*VIEWS, "own.h5", "own view.h5"])
def test_whole_views_are_read(view, folder):
    np.testing.assert_array_equal(read_all(folder / view), VALUES)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("view", VIEWS)
def test_missing_source_is_named(view, reader, folder):
    (folder / "b.h5").unlink()
    with pytest.raises(OSError, match=r"b\.h5"):
        READERS[reader](folder / view)


@pytest.mark.parametrize("view", VIEWS)
def test_source_without_the_dataset_is_named(view, folder):
    write(folder / "b.h5", VALUES[25:], key="other")
    with pytest.raises(OSError, match=r"(b|source by link)\.h5"):
        read_all(folder / view)


@pytest.mark.parametrize("reader", READERS)
def test_source_that_is_no_hdf5_is_named(reader, folder):
    (folder / "b.h5").write_bytes(b"something else")
    with pytest.raises(OSError, match=r"b\.h5"):
        READERS[reader](folder / "view.h5")


@pytest.mark.parametrize("view", VIEWS)
def test_source_that_goes_missing_later_is_named(view, folder):
    matrix = HDF5Matrix(folder / view, "V")
    (folder / "b.h5").unlink()
    with pytest.raises(OSError, match=r"b\.h5"):
        matrix[:3].load()


def test_source_of_an_open_dataset_that_goes_missing_later_is_named(folder):
    with h5py.File(folder / "view.h5") as file:
        matrix = HDF5Matrix(file["V"])
        (folder / "b.h5").unlink()
        with pytest.raises(OSError, match=r"b\.h5"):
            matrix[:3].load()


def test_missing_source_of_prediction_is_named(folder):
    model = DeepBinaryClassifier(max_iter=1, tol=None).fit(HDF5Matrix(folder / "view.h5", "V"), Y)
    matrix = HDF5Matrix(folder / "view.h5", "V")
    (folder / "a.h5").unlink()
    with pytest.raises(OSError, match=r"a\.h5"):
        model.predict(matrix)


def test_missing_source_of_labels_is_named(folder):
    with h5py.File(folder / "labels.h5", "w") as file:
        layout = h5py.VirtualLayout((40,), float)
        layout[:] = h5py.VirtualSource("y.h5", "y", (40,))
        file.create_virtual_dataset("y", layout, fillvalue=0)
        file["X"] = VALUES
    with pytest.raises(OSError, match=r"y\.h5"):
        read_labels(folder / "labels.h5", "y")
    with pytest.raises(OSError, match=r"y\.h5"):
        load_hdf5(folder / "labels.h5", x="X", y="y")
    with h5py.File(folder / "labels.h5") as file, pytest.raises(OSError, match=r"y\.h5"):
        DeepBinaryClassifier(max_iter=1, tol=None).fit(VALUES, file["y"])


def test_source_is_found_wherever_hdf5_finds_it(folder):
    (folder / "elsewhere").mkdir()
    (folder / "b.h5").rename(folder / "elsewhere" / "b.h5")
    script = """
import sys
from skdnn.datasets import HDF5Matrix
print((HDF5Matrix(sys.argv[1], "V").load() == -9).sum())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, folder / "view.h5"],
        env=os.environ | {"HDF5_VDS_PREFIX": "${ORIGIN}/elsewhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "0\n"


def test_source_beside_a_file_that_was_moved_is_found(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for name in ("absolute.h5", "a.h5", "b.h5"):
        (folder / name).rename(other / name)
    np.testing.assert_array_equal(read_all(other / "absolute.h5"), VALUES)


def test_source_beside_the_file_that_a_link_leads_to_is_found(folder, tmp_path_factory):
    link = tmp_path_factory.mktemp("other") / "link.h5"
    link.symlink_to(folder / "view.h5")
    np.testing.assert_array_equal(read_all(link), VALUES)


def test_as_many_numbered_sources_as_there_are_make_the_dataset(tmp_path):
    for i in range(2):
        write(tmp_path / f"part-{i}.h5", VALUES[:20])
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    shape = (0, 3), (h5py.h5s.UNLIMITED, 3)
    blocks = h5py.h5s.create_simple(*shape)
    blocks.select_hyperslab((0, 0), (h5py.h5s.UNLIMITED, 1), (20, 3), (20, 3))
    creation.set_virtual(blocks, b"part-%b.h5", b"X", h5py.h5s.create_simple((20, 3)))
    with h5py.File(tmp_path / "all.h5", "w") as file:
        space = h5py.h5s.create_simple(*shape)
        h5py.h5d.create(file.id, b"V", h5py.h5t.IEEE_F64LE, space, creation)
    expected = np.concatenate([VALUES[:20]] * 2)
    np.testing.assert_array_equal(read_all(tmp_path / "all.h5"), expected)


@pytest.mark.parametrize("target", ["gone.h5", "own.h5"])
def test_external_link_to_nothing_names_the_file(target, folder):
    with h5py.File(folder / "broken.h5", "w") as file:
        file["V"] = h5py.ExternalLink(target, "/nothing")
    with pytest.raises(KeyError, match=target):
        read_all(folder / "broken.h5")


# ---------------------------------------------------------------------- external storage


@pytest.fixture
def raw(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with h5py.File("raw.h5", "w") as file:
        parts = [("first.bin", 0, 480), ("second.bin", 16, h5py.h5f.UNLIMITED)]
        file.create_dataset("V", VALUES.shape, float, external=parts)[...] = VALUES
    return tmp_path / "raw.h5"


@pytest.mark.parametrize("reader", READERS)
def test_external_storage_is_read(reader, raw):
    assert READERS[reader](raw) is not None


@pytest.mark.parametrize("name", ["first.bin", "second.bin"])
@pytest.mark.parametrize("reader", READERS)
def test_missing_external_storage_is_named(reader, name, raw):
    raw.with_name(name).unlink()
    with pytest.raises(OSError, match=name):
        READERS[reader](raw)


@pytest.mark.parametrize("name", ["first.bin", "second.bin"])
@pytest.mark.parametrize("reader", READERS)
def test_external_storage_that_is_cut_short_is_named(reader, name, raw):
    os.truncate(raw.with_name(name), raw.with_name(name).stat().st_size - 1)
    with pytest.raises(OSError, match=f"{name}.*cut short"):
        READERS[reader](raw)


# ---------------------------------------------------------------------- changes


def wait_for_another_time(path):
    """Wait until a file that is written now gets another time than this one has."""
    probe = path.with_name("probe")
    while True:
        probe.touch()
        if probe.stat().st_mtime_ns > path.stat().st_mtime_ns:
            return
        time.sleep(0.001)


def scaled(path, memory):
    model = DeepBinaryClassifier(max_iter=1, tol=None, random_state=0)
    pipeline = make_pipeline(StandardScaler(), model, memory=str(memory))
    return pipeline.fit(HDF5Matrix(path, "V"), Y)[0]


@pytest.mark.parametrize("changed", ["own.h5", "view.h5", "nested.h5", "linked.h5"])
def test_cached_preprocessing_is_that_of_the_file_as_it_is(changed, folder):
    before = scaled(folder / changed, folder / "cache")
    source = folder / ("own.h5" if changed == "own.h5" else "b.h5")
    wait_for_another_time(source)
    with h5py.File(source, "r+") as file:
        file["X"][...] += 1
    after = scaled(folder / changed, folder / "cache")
    np.testing.assert_allclose(after.mean_, HDF5Matrix(folder / changed, "V").load().mean(axis=0))
    assert not np.allclose(after.mean_, before.mean_)


def test_file_that_takes_the_place_of_another_is_another(folder):
    before = joblib.hash(HDF5Matrix(folder / "own.h5", "X"))
    status = (folder / "own.h5").stat()
    write(folder / "new.h5", VALUES + 1)
    write_view(folder / "new.h5", [(".", "X", 40)])
    (folder / "new.h5").replace(folder / "own.h5")
    # as `cp -p` and archives do
    os.utime(folder / "own.h5", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert joblib.hash(HDF5Matrix(folder / "own.h5", "X")) != before


def test_rows_that_were_changed_through_an_open_file_are_others(folder):
    with h5py.File(folder / "own.h5", "r+") as file:
        before = joblib.hash(HDF5Matrix(file["X"]))
        wait_for_another_time(folder / "own.h5")
        file["X"][0, 0] = 100
        assert joblib.hash(HDF5Matrix(file["X"])) != before


@pytest.mark.parametrize("view", [*VIEWS, "own.h5"])
def test_file_that_stays_as_it_is_stays_the_same(view, folder):
    first, second = (HDF5Matrix(folder / view, "V") for _ in range(2))
    first.load()
    assert joblib.hash(first) == joblib.hash(second)
    assert joblib.hash(first[5:]) == joblib.hash(second[5:])
    assert joblib.hash(first[5:]) != joblib.hash(second)
