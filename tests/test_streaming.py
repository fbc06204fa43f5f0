"""Windows over rows in a file: every row once, in an order that the generator alone decides."""

import itertools
import threading
import tracemalloc

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skdnn.datasets import HDF5Matrix
from skdnn.datasets.windows import Windows

N_FEATURES = 16


def write(path, n_rows, **layout):
    """Store rows that tell where they stand; return them."""
    values = np.arange(n_rows, dtype=np.float64)[:, np.newaxis] + np.linspace(0, 0.5, N_FEATURES)
    with h5py.File(path, "w") as file:
        file.create_dataset("rows", data=values, **layout)
    return values


def make_windows(path, *, batch_size, dtype=np.float64, rows=slice(None), **options):
    return Windows(HDF5Matrix(path, "rows", **options)[rows], batch_size=batch_size, dtype=dtype)


def batches(windows, random_state=None):
    """Return the rows of each batch of an epoch, and check each window on the way."""
    result = []
    for window in windows.epoch(random_state):
        order = np.arange(len(window.X)) if window.order is None else window.order
        assert len(window.X) == len(window.rows) <= windows.window_rows
        for first in range(0, len(order), windows._batch_size):
            batch = order[first : first + windows._batch_size]
            result.append((window.X[batch].copy(), window.rows[batch]))
    return result


@pytest.fixture
def large(tmp_path):
    """Return the path of 4,000 rows of 128 bytes in chunks of 100, and the rows."""
    path = tmp_path / "large.h5"
    return path, write(path, 4000, chunks=(100, N_FEATURES))


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    """Make groups of about 100 rows, so that small files have many."""
    monkeypatch.setattr("skdnn.datasets.stored._BLOCK_BYTES", 100 * N_FEATURES * 8)


def test_windows_in_order_have_the_batches_of_an_array(large):
    path, values = large
    windows = make_windows(path, batch_size=64, memory_limit=2**18)
    assert windows.window_rows < 1000
    found = batches(windows)
    for k, (X, rows) in enumerate(found):
        np.testing.assert_array_equal(rows, np.arange(4000)[64 * k : 64 * k + 64])
        np.testing.assert_array_equal(X, values[rows])
    assert sum(len(rows) for _, rows in found) == 4000


@given(
    n_rows=st.integers(1, 700),
    batch_size=st.integers(1, 150),
    chunk=st.one_of(st.none(), st.tuples(st.integers(1, 120), st.integers(1, N_FEATURES))),
    extra=st.integers(0, 2**18),
    seed=st.one_of(st.none(), st.integers(0, 9)),
    kind=st.sampled_from(["all", "slice", "back", "some", "shuffled"]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_epoch_has_every_row_once_in_full_batches(
    tmp_path, n_rows, batch_size, chunk, extra, seed, kind, dtype
):
    path = tmp_path / "any.h5"
    layout = {} if chunk is None else {"chunks": (min(chunk[0], n_rows), chunk[1])}
    values = write(path, n_rows, **layout)
    drawn = np.random.RandomState(0)
    taken = {
        "all": np.arange(n_rows),
        "slice": np.arange(n_rows)[n_rows // 3 :],
        "back": np.arange(n_rows)[::-2],
        "some": np.flatnonzero(drawn.rand(n_rows) < 0.7),
        "shuffled": drawn.permutation(n_rows),
    }[kind]
    X = HDF5Matrix(path, "rows", memory_limit=2**28)
    view = {"all": X, "slice": X[n_rows // 3 :], "back": X[::-2]}.get(kind)
    view = X[taken] if view is None else view
    largest = max(np.bincount(taken // X._group_rows)) if taken.size else 0
    # the least that serves, and more
    view.memory_limit = (
        (batch_size + largest) * (2 * N_FEATURES * np.dtype(dtype).itemsize + 48)
        + view.astype(dtype).staged_bytes
        + extra
    )
    windows = Windows(view, batch_size=batch_size, dtype=dtype)
    random_state = None if seed is None else np.random.RandomState(seed)
    for _ in range(2):
        found = batches(windows, random_state)
        for X_batch, rows in found:
            assert X_batch.dtype == dtype
            np.testing.assert_array_equal(X_batch, values[taken[rows]].astype(dtype))
        assert [len(rows) for _, rows in found] == [
            min(batch_size, taken.size - first) for first in range(0, taken.size, batch_size)
        ]
        visited = np.concatenate([np.empty(0, int), *[rows for _, rows in found]])
        if seed is None:
            np.testing.assert_array_equal(visited, np.arange(taken.size))
        np.testing.assert_array_equal(np.sort(visited), np.arange(taken.size))


def test_generator_state_decides_the_epoch(large):
    path, _ = large
    first, second = np.random.RandomState(3), np.random.RandomState(3)
    windows = make_windows(path, batch_size=64, memory_limit=2**18)
    orders = [np.concatenate([rows for _, rows in batches(windows, first)]) for _ in range(2)]
    assert not np.array_equal(*orders)
    again = make_windows(path, batch_size=64, memory_limit=2**18)
    batches(again, second)
    state = second.get_state()
    resumed = np.random.RandomState(0)
    resumed.set_state(state)
    fresh = make_windows(path, batch_size=64, memory_limit=2**18)
    np.testing.assert_array_equal(
        np.concatenate([rows for _, rows in batches(fresh, resumed)]), orders[1]
    )


def test_rows_of_a_chunk_stay_together_in_a_window(large):
    path, _ = large
    windows = make_windows(path, batch_size=50, memory_limit=2**18)
    seen = []
    for window in windows.epoch(np.random.RandomState(0)):
        new = np.setdiff1d(window.rows, seen)
        assert set(np.bincount(new // 100, minlength=40)) == {0, 100}
        seen.extend(new)


def test_shuffled_batches_mix_chunks_and_neighbours(large):
    path, _ = large
    windows = make_windows(path, batch_size=100, memory_limit=2**18)
    found = batches(windows, np.random.RandomState(0))
    assert min(len(np.unique(rows // 100)) for _, rows in found) > 3
    order = np.concatenate([rows for _, rows in found])
    assert np.mean(np.diff(order) == 1) < 0.01


def test_values_are_converted_as_by_the_matrix(large):
    path, values = large
    windows = make_windows(
        path,
        batch_size=64,
        dtype=np.float32,
        scale=7,
        transform=lambda rows: rows[:, :3] - 1,
        memory_limit=2**18,
    )
    expected = (values[:, :3] / 7 - 1).astype(np.float32)
    for X, rows in batches(windows, np.random.RandomState(0)):
        np.testing.assert_array_equal(X, expected[rows])


def test_repeated_rows_come_as_often_as_they_are_selected(large):
    path, values = large
    chosen = np.random.RandomState(0).randint(4000, size=3000)
    windows = make_windows(path, batch_size=64, rows=chosen, memory_limit=2**18)
    found = batches(windows, np.random.RandomState(1))
    order = np.concatenate([rows for _, rows in found])
    np.testing.assert_array_equal(np.sort(chosen[order]), np.sort(chosen))
    np.testing.assert_array_equal(np.concatenate([X for X, _ in found]), values[chosen[order]])


def test_next_window_is_read_while_this_one_is_used(large, monkeypatch):
    path, _ = large
    reading = threading.Event()
    read_rows = HDF5Matrix.read_rows

    def note(self, *arguments):
        assert threading.current_thread() is not threading.main_thread()
        read_rows(self, *arguments)
        reading.set()

    monkeypatch.setattr(HDF5Matrix, "read_rows", note)
    epoch = make_windows(path, batch_size=64, memory_limit=2**18).epoch()
    for _ in itertools.islice(epoch, 3):
        assert reading.wait(10)
        reading.clear()
    epoch.close()


def test_one_epoch_uses_two_buffers_and_the_next_the_same(large):
    path, _ = large
    windows = make_windows(path, batch_size=64, memory_limit=2**18)
    places = [
        window.X.__array_interface__["data"][0]
        for _ in range(2)
        for window in windows.epoch(np.random.RandomState(0))
    ]
    assert len(places) > 8
    assert len(set(places)) == 2


def test_rows_that_fit_into_one_window_take_one_buffer(large):
    path, _ = large
    windows = make_windows(path, batch_size=64)
    (window,) = windows.epoch(np.random.RandomState(0))
    assert windows.window_rows == windows.n_rows == len(window.X) == 4000
    assert len(windows._buffers) == 1


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)])
def test_no_rows_are_no_windows(large, random_state):
    path, _ = large
    assert not list(make_windows(path, batch_size=64, rows=[]).epoch(random_state))


def test_early_close_leaves_no_thread_and_the_windows_usable(large):
    path, _ = large
    windows = make_windows(path, batch_size=64, memory_limit=2**18)
    epoch = windows.epoch(np.random.RandomState(0))
    next(epoch)
    with pytest.raises(RuntimeError, match="Another epoch of these windows is under way"):
        next(windows.epoch())
    epoch.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("skdnn-windows")]
    assert sum(len(rows) for _, rows in batches(windows)) == 4000
    assert not [t for t in threading.enumerate() if t.name.startswith("skdnn-windows")]


def test_error_while_reading_ahead_reaches_the_consumer(large):
    path, _ = large
    with h5py.File(path, "r+") as file:
        file["rows"][3456, 7] = np.nan
    windows = make_windows(path, batch_size=64, memory_limit=2**18)
    epoch = windows.epoch()
    assert len(next(epoch).X) == windows.window_rows // 64 * 64
    with pytest.raises(ValueError, match=r"Input X contains NaN in row 3456 \(of 'rows' in "):
        list(epoch)
    assert not [t for t in threading.enumerate() if t.name.startswith("skdnn-windows")]


def test_file_that_goes_away_is_an_error_of_the_next_window(large):
    path, _ = large
    windows = make_windows(path, batch_size=64, memory_limit=2**18)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"large\.h5"):
        list(windows.epoch())


@pytest.mark.parametrize("options", [{}, {"scale": 3, "transform": np.sqrt}])
@pytest.mark.parametrize("rows", [slice(None), np.random.RandomState(0).permutation(4000)])
def test_memory_stays_within_the_limit(large, options, rows):
    path, _ = large
    X = HDF5Matrix(path, "rows", memory_limit=2**18, **options)[rows]
    X[:1].load()  # whatever is imported for it
    # what one entry a row takes is not of the rows' values
    tracemalloc.start()
    windows = Windows(X, batch_size=64, dtype=np.float64)
    for _ in windows.epoch(np.random.RandomState(0)):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**18 + 4000 * 16 + 2**16
    buffers = 2 * windows.window_rows * N_FEATURES * 8
    assert buffers > 2**18 / 3


def test_limit_that_is_too_small_is_refused_with_one_that_does(large):
    path, _ = large
    with pytest.raises(ValueError, match="memory_limit=50000 is too small") as caught:
        make_windows(path, batch_size=64, memory_limit=50_000)
    words = str(caught.value)
    assert "a batch of 64 rows and 100 rows of whole chunks" in words
    least = int(words.split("need ")[1].split(" bytes")[0])
    windows = make_windows(path, batch_size=64, memory_limit=least)
    assert sum(len(rows) for _, rows in batches(windows, np.random.RandomState(0))) == 4000
