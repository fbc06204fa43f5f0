"""Matrices in a file: what they select and read, against numpy on the array that was stored."""

import copy
import io
import os
import pickle
import tracemalloc

import h5py
import joblib
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from skdnn.datasets import HDF5Matrix, load_hdf5, read_labels
from skdnn.datasets.rows import as_matrix, is_on_disk

RNG = np.random.RandomState(0)
STORED = {
    "images": RNG.randint(256, size=(53, 4, 4, 3)).astype(np.uint8),
    "single": RNG.normal(size=(53, 7)).astype(np.float32),
    "double": RNG.normal(size=(53, 7)),
    "half": RNG.normal(size=(53, 7)).astype(np.float16),
    "int": RNG.randint(-1000, 1000, size=(53, 7)),
    "bool": RNG.rand(53, 7) < 0.5,
    "line": RNG.normal(size=53),
    "inner/single": RNG.normal(size=(53, 7)).astype(np.float32),
    "swapped": RNG.normal(size=(53, 7)).astype(">f4"),
}
LAYOUTS = {
    "contiguous": {},
    "rows": {"chunks": (5, 7)},
    "cells": {"chunks": (8, 3)},
    "columns": {"chunks": (53, 1)},
    "gzip": {"chunks": (6, 7), "compression": "gzip", "shuffle": True},
    "lzf": {"chunks": (1, 7), "compression": "lzf"},
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("matrix") / "data.h5"
    with h5py.File(path, "w") as file:
        for key, values in STORED.items():
            file[key] = values
        for name, layout in LAYOUTS.items():
            file.create_dataset(f"layout/{name}", data=STORED["double"], **layout)
        file["labels"] = np.arange(53) % 2
        file["text"] = np.array([b"a"] * 53)
        file["number"] = 7
        file["nothing"] = h5py.Empty("f8")
        file["no_rows"] = np.empty((0, 3))
        file["no_columns"] = np.empty((3, 0))
    return path


def flat(key):
    values = STORED[key]
    return values.reshape(len(values), -1)


def assert_same(actual, expected):
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


def with_value(tmp_path, row, value, dtype=np.float64, column=2):
    """Return the path of a file of 40 rows, one of which holds a value."""
    values = np.ones((40, 3), dtype)
    values[row, column] = value
    path = tmp_path / "odd.h5"
    with h5py.File(path, "w") as file:
        file["rows"] = values
    return path


# ----------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("key", sorted(STORED))
def test_loaded_values_are_the_stored_ones(path, key):
    expected = flat(key)
    X = HDF5Matrix(path, key)
    assert_same(X.load(), expected.astype(expected.dtype.newbyteorder("=")))
    assert (X.shape, X.size, X.nbytes) == (expected.shape, expected.size, expected.nbytes)
    assert (X.ndim, len(X), X.dtype) == (2, 53, expected.dtype.newbyteorder("="))


@pytest.mark.parametrize("key", sorted(STORED))
def test_scaled_values_are_those_of_load_hdf5(path, key):
    assert_same(HDF5Matrix(path, key, scale=255).load(), load_hdf5(path, x=key, scale=255))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("memory_limit", [1, 5_000, 2**28])
def test_rows_in_any_order_from_any_layout(path, layout, memory_limit):
    X = HDF5Matrix(path, f"layout/{layout}", memory_limit=memory_limit)
    rows = np.random.RandomState(1).randint(53, size=80)
    assert_same(X[rows].load(), STORED["double"][rows])
    assert_same(X[::-3].load(), STORED["double"][::-3])
    assert_same(X[3:50].load(), STORED["double"][3:50])


def test_rows_far_apart_and_close_together_in_a_large_file(tmp_path):
    values = np.arange(40_000 * 50, dtype=np.float32).reshape(-1, 50)
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        file["flat"] = values
        file.create_dataset("chunked", data=values, chunks=(3_000, 50), compression="lzf")
    rows = np.random.RandomState(0).permutation(np.r_[0:40, 17_000:29_000:7, 39_999, 39_999, 5])
    for key in ("flat", "chunked"):
        assert_same(HDF5Matrix(path, key, memory_limit=2**21)[rows].load(), values[rows])


def test_division_is_in_the_dtype_that_is_asked_for(path):
    expected = np.divide(flat("images"), np.float32(255), dtype=np.float32)
    X = HDF5Matrix(path, "images", scale=255, dtype=np.float32)
    assert_same(X.load(), expected)
    assert_same(X[[5, 1]].load(), expected[[5, 1]])


def test_astype_converts_last(path):
    X = HDF5Matrix(path, "images", scale=255).astype(np.float32)
    assert_same(X.load(), (flat("images") / 255).astype(np.float32))
    assert_same(X.astype("float64").load(), flat("images") / 255)
    shifted = HDF5Matrix(path, "int", transform=lambda rows: rows + 0.1).astype(np.float32)
    assert_same(shifted[7:9].load(), (flat("int")[7:9] + 0.1).astype(np.float32))


def test_astype_knows_floats_alone(path):
    with pytest.raises(TypeError, match="dtype must be float32 or float64, got 'int'"):
        HDF5Matrix(path, "int").astype("int")


def test_numpy_makes_an_array_of_it(path):
    X = HDF5Matrix(path, "single")[5:9]
    assert_same(np.asarray(X), flat("single")[5:9])
    assert_same(np.asarray(X, dtype=np.float64), flat("single")[5:9].astype(np.float64))
    assert_same(np.stack(list(X)), flat("single")[5:9])
    with pytest.raises(ValueError, match="always a copy"):
        np.asarray(X, copy=False)


@pytest.mark.parametrize("n_rows", [1, 10, 53, 1000, None])
def test_blocks_are_consecutive_rows(path, n_rows):
    X = HDF5Matrix(path, "single")[::-1]
    blocks = list(X.blocks(n_rows))
    assert_same(np.concatenate(blocks), flat("single")[::-1])
    assert {len(block) for block in blocks[:-1]} <= {n_rows}


def test_blocks_stay_within_the_limit(path):
    blocks = list(HDF5Matrix(path, "double", memory_limit=4096).blocks())
    assert max(block.nbytes for block in blocks) <= 512
    assert_same(np.concatenate(blocks), STORED["double"])


@pytest.mark.parametrize("n_rows", [0, -1, 2.5, "all"])
def test_blocks_of_no_rows_are_refused(path, n_rows):
    with pytest.raises(ValueError, match="n_rows must be a positive int or None"):
        HDF5Matrix(path, "double").blocks(n_rows)


def test_reading_holds_little_beside_the_result(tmp_path):
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("rows", (20_000, 500), "u1", chunks=(64, 500), compression="lzf")
    X = HDF5Matrix(path, "rows", scale=255, memory_limit=2**22)
    rows = np.random.RandomState(0).permutation(20_000)[:5000]
    tracemalloc.start()
    values = X[rows].load()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < values.nbytes + 2**22


# -------------------------------------------------------------------------------- selection


@st.composite
def selections(draw, n_rows):
    """Draw keys, each for the rows that the one before leaves."""
    values = np.arange(n_rows)
    keys = []
    for _ in range(draw(st.integers(1, 4))):
        kinds = [st.slices(len(values))]
        if len(values):
            index = st.integers(-len(values), len(values) - 1)
            kinds.append(st.lists(index, max_size=30))
            kinds.append(st.lists(index, max_size=30).map(lambda rows: np.array(rows, np.int32)))
            kinds.append(
                st.lists(st.booleans(), min_size=len(values), max_size=len(values)).map(
                    lambda mask: np.array(mask, bool)
                )
            )
        key = draw(st.one_of(kinds))
        keys.append(key)
        values = values[np.array(key, np.intp) if isinstance(key, list) else key]
    return keys, values


@given(selections(53), st.sampled_from(sorted(LAYOUTS)))
@settings(max_examples=100)
def test_any_chain_of_selections_is_that_of_numpy(path, selection, layout):
    keys, rows = selection
    view = HDF5Matrix(path, f"layout/{layout}")
    for key in keys:
        view = view[key]
        assert isinstance(view, HDF5Matrix)
    assert view.shape == (rows.size, 7)
    assert_same(view.load(), STORED["double"][rows])


@pytest.mark.parametrize("row", [0, -1, 17, np.int64(3), np.array(4)])
def test_an_int_gives_one_row(path, row):
    assert_same(HDF5Matrix(path, "single")[row], flat("single")[row])
    assert_same(HDF5Matrix(path, "single")[5:40][::2][row], flat("single")[5:40][::2][row])


def test_all_columns_may_be_named(path):
    X, expected = HDF5Matrix(path, "single"), flat("single")
    for key in (
        (slice(3), slice(None)),
        ([4, 2], ...),
        ([4, 2], slice(None)),
        ([4, 2], ..., slice(None)),
        (..., slice(None)),
        (...,),
        ...,
        (),
    ):
        assert_same(X[key].load(), expected[key])
    assert_same(X[3, ...], expected[3])


@pytest.mark.parametrize(
    "key", [(slice(None), 0), (..., 0), (0, [1, 2]), (0, 0, 0), (slice(None), np.array([True] * 7))]
)
def test_columns_cannot_be_selected(path, key):
    with pytest.raises(IndexError, match="selects whole rows"):
        HDF5Matrix(path, "single")[key]


@pytest.mark.parametrize("key", [1.0, None, "rows", [0.5], True, np.array([[1]]), np.empty(0)])
def test_other_keys_are_refused(path, key):
    with pytest.raises(IndexError, match="is indexed by an int, a slice"):
        HDF5Matrix(path, "single")[key]


@pytest.mark.parametrize("key", [53, -54, [0, 53], np.array([-54])])
def test_rows_out_of_range_are_refused(path, key):
    with pytest.raises(IndexError, match=r"Row (53|-54) is out of range: there are 53 rows"):
        HDF5Matrix(path, "single")[key]


def test_mask_of_another_length_is_refused(path):
    with pytest.raises(IndexError, match="The mask has 52 values for 53 rows"):
        HDF5Matrix(path, "single")[np.ones(52, bool)]


def test_view_does_not_follow_the_array_that_selected_it(path):
    rows = np.array([1, 2, 3])
    view = HDF5Matrix(path, "single")[10:][rows]
    rows[:] = 0
    assert_same(view.load(), flat("single")[11:14])


def test_selecting_reads_nothing(path, tmp_path):
    moved = tmp_path / "moved.h5"
    moved.write_bytes(path.read_bytes())
    X = HDF5Matrix(moved, "single", scale=2)
    moved.unlink()
    view = X[::2][[3, 1]].astype(np.float64)
    assert view.shape == (2, 7)
    with pytest.raises(FileNotFoundError, match=r"moved\.h5"):
        view.load()


# -------------------------------------------------------------------------------- transform


def test_scaler_fitted_block_by_block_serves_as_transform(path):
    scaler = StandardScaler()
    for block in HDF5Matrix(path, "images", scale=255).blocks(10):
        scaler.partial_fit(block)
    X = HDF5Matrix(path, "images", scale=255, transform=scaler)
    np.testing.assert_allclose(
        X.load(), StandardScaler().fit_transform(flat("images") / 255), atol=1e-12
    )


def test_transform_may_change_columns_and_dtype(path):
    pca = PCA(3, random_state=0).fit(flat("single"))
    X = HDF5Matrix(path, "single", transform=pca)
    assert (X.shape, X.dtype) == ((53, 3), np.float32)
    np.testing.assert_allclose(X[[40, 2]].load(), pca.transform(flat("single")[[40, 2]]), rtol=1e-5)
    positive = HDF5Matrix(path, "int", transform=lambda rows: rows[:, [0, 3]] > 0)
    assert_same(positive.load(), flat("int")[:, [0, 3]] > 0)


def test_transform_gets_flat_scaled_rows(path):
    seen = []

    def note(rows):
        seen.append((rows.shape[1], rows.dtype, rows.max() <= 1))
        return rows

    HDF5Matrix(path, "images", scale=255, dtype=np.float32, transform=note).load()
    assert set(seen) == {(48, np.dtype(np.float32), True)}


def test_transform_in_place_leaves_file_and_result_right(path):
    scaler = StandardScaler(copy=False).fit(flat("double").copy())
    X = HDF5Matrix(path, "double", transform=scaler)
    expected = scaler.transform(flat("double").copy())
    assert_same(X.load(), expected)
    assert_same(X.load(), expected)


def test_data_frames_are_taken(path):
    pytest.importorskip("pandas")
    scaler = StandardScaler().fit(flat("double"))
    expected = scaler.transform(flat("double"))
    assert_same(
        HDF5Matrix(path, "double", transform=scaler.set_output(transform="pandas")).load(), expected
    )


@pytest.mark.parametrize(
    ("transform", "error", "words"),
    [
        (lambda rows: scipy.sparse.csr_array(rows), TypeError, "a sparse csr_array; it must be"),
        (lambda rows: rows[1:], ValueError, r"the shape \(7, 7\) for 8 rows"),
        (lambda rows: rows[:, 0], ValueError, r"the shape \(8,\) for 8 rows"),
        (lambda rows: None, TypeError, "object; it must give numbers"),
        (lambda rows: rows.astype(str), TypeError, "it must give numbers"),
        (lambda rows: rows[:, :0], ValueError, "gives no columns"),
        (OneHotEncoder().fit(np.arange(7)[np.newaxis]), ValueError, "unknown categories"),
    ],
)
def test_transform_that_cannot_be_used_is_refused_at_once(path, transform, error, words):
    with pytest.raises(error, match=words):
        HDF5Matrix(path, "double", transform=transform)


def test_transform_that_changes_its_mind_is_found(path):
    shape = HDF5Matrix(
        path, "int", memory_limit=2_000, transform=lambda rows: rows[:, : 7 - (len(rows) < 8)]
    )
    with pytest.raises(ValueError, match="gave 7 columns before, now 6"):
        shape[:3].load()
    dtype = HDF5Matrix(path, "int", transform=lambda rows: rows if len(rows) == 8 else rows / 2)
    with pytest.raises(TypeError, match="gave int64 before, now float64"):
        dtype.load()


@pytest.mark.parametrize("transform", [3, "scaler", StandardScaler])
def test_what_is_no_transform_is_refused(path, transform):
    with pytest.raises(TypeError, match="transform must be a fitted transformer, a function"):
        HDF5Matrix(path, "double", transform=transform)


# --------------------------------------------------------------------------- NaN and infinity


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
@pytest.mark.parametrize("scale", [None, 255])
@pytest.mark.parametrize("transform", [None, FunctionTransformer()])
def test_row_that_is_not_finite_is_named(tmp_path, value, word, scale, transform):
    path = with_value(tmp_path, 17, value)
    X = HDF5Matrix(path, "rows", scale=scale, transform=transform)
    with pytest.raises(ValueError, match=rf"^Input X contains {word} in row 17 \(of 'rows' in "):
        X.load()
    with pytest.raises(ValueError, match=r"in row 17 \(of .*odd\.h5; row 22 of the view\)"):
        X[::-1].load()
    np.testing.assert_array_equal(X[:17].load(), np.ones((17, 3)) / (scale or 1))


def test_values_that_a_dtype_cannot_hold_are_named(tmp_path):
    path = with_value(tmp_path, 20, 1e300)
    for X in (
        HDF5Matrix(path, "rows", dtype=np.float32),
        HDF5Matrix(path, "rows", scale=2).astype(np.float32),
        HDF5Matrix(path, "rows", scale=1e-20),
    ):
        with pytest.raises(ValueError, match=r"too large for float\d\d in row 20 \(of 'rows'"):
            X.load()


def test_transform_that_makes_nan_of_one_row_is_blamed(tmp_path):
    path = with_value(tmp_path, 20, -1.0)
    X = HDF5Matrix(path, "rows", transform=np.log)
    with pytest.raises(ValueError, match=r"transform=<ufunc 'log'> makes NaN of row 20 \(of 'rows"):
        X.load()
    with pytest.raises(ValueError, match=r"row 20 \(of 'rows' .*; row 1 of the view"):
        X[[19, 20]].load()


@pytest.mark.parametrize("transform", [StandardScaler().fit(np.eye(3)), np.log])
def test_rows_that_cannot_be_used_may_be_left_out(tmp_path, transform):
    path = with_value(tmp_path, 1, np.nan)
    X = HDF5Matrix(path, "rows", transform=transform)
    with pytest.raises(ValueError, match="contains NaN in row 1"):
        X.load()
    assert X[np.arange(40) != 1].load().shape == (39, 3)


def test_large_numbers_whose_sum_overflows_are_fine(tmp_path):
    path = tmp_path / "large.h5"
    values = np.full((30, 3), 3e38, np.float32)
    with h5py.File(path, "w") as file:
        file["rows"] = values
    assert_same(HDF5Matrix(path, "rows").load(), values)


# ------------------------------------------------------------------------ files and processes


def test_every_process_reads_from_the_path(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    X = HDF5Matrix("data.h5", "images", scale=255)[::-2]
    monkeypatch.chdir("/")
    parts = joblib.Parallel(n_jobs=2)(
        joblib.delayed(np.asarray)(X[rows]) for rows in (slice(5), [9, 7])
    )
    expected = (flat("images") / 255)[::-2]
    assert_same(parts[0], expected[:5])
    assert_same(parts[1], expected[[9, 7]])


def test_pickle_is_small(path):
    assert len(pickle.dumps(HDF5Matrix(path, "images")[5:])) < 1000


def test_open_dataset_is_read_where_it_is_open(path):
    with h5py.File(path) as file:
        X = HDF5Matrix(file["inner/single"])
        assert_same(X[2:4].load(), flat("inner/single")[2:4])
        assert_same(copy.deepcopy(X).load(), flat("inner/single"))
        other = pickle.loads(pickle.dumps(X))
    assert_same(other.load(), flat("inner/single"))
    with pytest.raises(ValueError, match="its file has been closed"):
        X.load()


@pytest.mark.parametrize("kind", ["core", "fileobj"])
def test_dataset_that_is_in_no_file_cannot_be_pickled(kind):
    options = {"driver": "core", "backing_store": False} if kind == "core" else {}
    with h5py.File("memory.h5" if options else io.BytesIO(), "w", **options) as file:
        file["rows"] = STORED["double"]
        X = HDF5Matrix(file["rows"])
        assert_same(X[::2].load(), STORED["double"][::2])
        with pytest.raises(TypeError, match=r"'rows' in .* cannot be pickled.*not in a file"):
            pickle.dumps(X)


def test_file_may_be_written_between_reads(path, tmp_path):
    own = tmp_path / "own.h5"
    with h5py.File(own, "w") as file:
        file.create_dataset("rows", data=STORED["double"], maxshape=(None, 7))
    X = HDF5Matrix(own, "rows")
    with h5py.File(own, "r+") as file:
        file["rows"].resize(60, axis=0)
        file["rows"][0] = 5
    assert X.shape == (53, 7)
    np.testing.assert_array_equal(X[0], np.full(7, 5.0))


def test_file_that_has_changed_is_found(tmp_path):
    own = tmp_path / "own.h5"
    for values in (STORED["double"], STORED["double"][:50]):
        with h5py.File(own, "w") as file:
            file["rows"] = values
        if len(values) == 53:
            X = HDF5Matrix(own, "rows")
    with pytest.raises(ValueError, match=r"'rows' in .*own\.h5 has changed: it was \(53, 7\)"):
        X[0]


def test_damaged_chunk_is_an_error_that_names_file_and_rows(tmp_path):
    own = tmp_path / "own.h5"
    with h5py.File(own, "w") as file:
        rows = file.create_dataset(
            "rows", data=STORED["double"], chunks=(10, 7), compression="gzip", fletcher32=True
        )
        offset = rows.id.get_chunk_info(2).byte_offset
    content = bytearray(own.read_bytes())
    content[offset + 5] ^= 255
    own.write_bytes(content)
    X = HDF5Matrix(own, "rows")
    assert_same(X[:10].load(), STORED["double"][:10])
    with pytest.raises(OSError, match=r"Rows 20 to 29 of 'rows' in .*own\.h5 cannot be read"):
        X[20:30].load()


@pytest.mark.parametrize(
    ("key", "error", "words"),
    [
        ("absent", KeyError, r"has no dataset key='absent'; it has \[.*'double'"),
        ("inner", ValueError, "key='inner' is a group, not a dataset"),
        ("text", ValueError, "key='text' holds .*; features must be integers, floats"),
        ("number", ValueError, r"key='number' has the shape \(\)"),
        ("nothing", ValueError, "key='nothing' has the shape None"),
        ("no_rows", ValueError, r"'no_rows' in .* is empty: it has the shape \(0, 3\)"),
        ("no_columns", ValueError, r"'no_columns' in .* is empty"),
        (None, TypeError, "key must be the key of a dataset"),
    ],
)
def test_dataset_that_cannot_be_used_is_refused_at_once(path, key, error, words):
    with pytest.raises(error, match=words):
        HDF5Matrix(path, key)


def test_files_that_cannot_be_used_are_refused_at_once(path, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.h5"):
        HDF5Matrix(tmp_path / "absent.h5", "rows")
    with pytest.raises(IsADirectoryError, match="A folder was given"):
        HDF5Matrix(tmp_path, "rows")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(ValueError, match="is not an HDF5 file"):
        HDF5Matrix(tmp_path / "text.h5", "rows")
    with h5py.File(path) as file:
        with pytest.raises(TypeError, match="path must be the path of an HDF5 file"):
            HDF5Matrix(file, "single")
        with pytest.raises(TypeError, match="without a key, got key='single'"):
            HDF5Matrix(file["single"], "single")
        dataset = file["single"]
    with pytest.raises(ValueError, match="belongs to a file that is closed"):
        HDF5Matrix(dataset)
    with pytest.raises(TypeError, match="path must be the path of an HDF5 file"):
        HDF5Matrix(STORED["single"])


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"scale": 0}, ValueError, "scale must be a positive finite number"),
        ({"dtype": np.int64}, TypeError, "dtype must be float32 or float64"),
        ({"dtype": "real"}, TypeError, "dtype must be float32 or float64, got 'real'"),
        ({"memory_limit": 0}, ValueError, "memory_limit must be a positive int, got 0"),
        ({"memory_limit": "1 GB"}, ValueError, "memory_limit must be a positive int, got '1 GB'"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(path, parameters, error, words):
    with pytest.raises(error, match=words):
        HDF5Matrix(path, "single", **parameters)


def test_repr_says_where_and_what(path):
    X = HDF5Matrix(os.fspath(path), "images", scale=255)[:5]
    assert (
        repr(X) == f"HDF5Matrix({str(path)!r}, 'images', scale=255, shape=(5, 48), dtype=float64)"
    )


def test_labels_are_read_by_key(path):
    assert_same(read_labels(path, "labels"), np.arange(53) % 2)


# -------------------------------------------------------------------------------- fingerprint


def test_fingerprint_is_of_content_and_not_of_place(path, tmp_path):
    twin = tmp_path / "twin.h5"
    twin.write_bytes(path.read_bytes())
    X = HDF5Matrix(path, "single")
    assert X.fingerprint() == HDF5Matrix(twin, "single").fingerprint()
    assert X.fingerprint() == X[np.arange(53)].fingerprint()
    with h5py.File(twin, "r+") as file:
        file["single"][30, 3] += 1
    others = [
        HDF5Matrix(twin, "single"),
        HDF5Matrix(path, "inner/single"),
        HDF5Matrix(path, "single", scale=2),
        X.astype(np.float64),
        X[:-1],
        X[::-1],
        X[[]],
    ]
    assert len({X.fingerprint(), *(other.fingerprint() for other in others)}) == 8


@pytest.mark.parametrize("layout", [{"chunks": (53, 7)}, {"chunks": (1, 7), "compression": "gzip"}])
def test_fingerprint_is_of_the_layout_that_rows_are_drawn_by(layout, path, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset("single", data=STORED["single"], **layout)
    other = HDF5Matrix(tmp_path / "other.h5", "single")
    assert other.fingerprint() != HDF5Matrix(path, "single").fingerprint()


# ------------------------------------------------------------------------------- scikit-learn


class CountingClassifier(ClassifierMixin, BaseEstimator):
    """Notes what it is given, and learns nothing from it."""

    def __init__(self, constant=0):
        self.constant = constant

    def fit(self, X, y):
        assert isinstance(X, HDF5Matrix)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        assert isinstance(X, HDF5Matrix)
        return np.full(len(X), self.constant)


def test_splitting_and_searching_read_no_rows(path, monkeypatch):
    y = np.arange(53) % 2
    X = HDF5Matrix(path, "images")
    monkeypatch.setattr(HDF5Matrix, "read_rows", None)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    assert (X_train.shape, X_test.shape) == ((39, 48), (14, 48))
    scores = cross_val_score(CountingClassifier(), X, y, cv=3)
    assert scores.mean() == pytest.approx(27 / 53, abs=0.01)
    search = GridSearchCV(CountingClassifier(), {"constant": [0, 1]}, cv=3).fit(X_train, y_train)
    assert search.score(X_test, y_test) == np.mean(y_test == search.best_params_["constant"])


def test_split_rows_are_those_of_the_array(path):
    expected = train_test_split(flat("images"), random_state=3)
    for view, rows in zip(
        train_test_split(HDF5Matrix(path, "images"), random_state=3), expected, strict=True
    ):
        assert_same(view.load(), rows)


def test_other_estimators_take_it_as_an_array(path):
    y = np.arange(53) % 2
    X = HDF5Matrix(path, "images", scale=255)
    np.testing.assert_array_equal(
        LogisticRegression().fit(X, y).coef_,
        LogisticRegression().fit(flat("images") / 255, y).coef_,
    )


# ------------------------------------------------------------------------- for other modules


def test_bare_datasets_become_matrices(path):
    with h5py.File(path) as file:
        assert_same(as_matrix(file["single"]).load(), flat("single"))
        for key in ("images", "line", "nothing"):
            with pytest.raises(ValueError, match=rf"Expected a 2D dataset, got '/{key}' of shape"):
                as_matrix(file[key])
        assert is_on_disk(file["single"])
        assert not is_on_disk(file)
    X = HDF5Matrix(path, "single")
    assert as_matrix(X) is X
    assert is_on_disk(X)
    assert not is_on_disk(flat("single"))
