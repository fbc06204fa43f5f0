"""The same data in other objects: a checkpoint goes on with them, and with no other data."""

import h5py
import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skdnn import Checkpoint, DeepBinaryClassifier
from skdnn.datasets import HDF5Matrix
from skdnn.training.fingerprint import canonical, is_same_parameter

rng = np.random.RandomState(0)
X = np.where(rng.uniform(size=(60, 8)) < 0.5, rng.standard_normal((60, 8)), 0)
WEIGHT = rng.uniform(0.5, 2, size=60)
Y = X[:, 0] + X[:, 1] > 0


class KilledError(Exception):
    pass


class Killer:
    """Ends training after its third epoch; put behind a Checkpoint."""

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == 2:
            raise KilledError


def make_model(**parameters):
    defaults = {"max_iter": 6, "tol": None, "random_state": 0, "batch_size": 20}
    return DeepBinaryClassifier(**({"hidden_layer_sizes": (8,)} | defaults | parameters))


def leave_a_checkpoint(path, *data, parameters=None, **more):
    model = make_model(**(parameters or {})).set_callbacks(Checkpoint(path), Killer())
    with pytest.raises(KilledError):
        model.fit(*data, **more)


def go_on(path, *data, parameters=None, **more):
    model = make_model(**(parameters or {})).set_callbacks(Checkpoint(path))
    return model.fit(*data, **more)


def assert_same_bits(model, other):
    for a, b in zip(model.coefs_, other.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------------- sparse matrices


def with_wide_indices(matrix):
    matrix = matrix.copy()
    matrix.indices, matrix.indptr = (
        part.astype(np.int64) for part in (matrix.indices, matrix.indptr)
    )
    return matrix


def with_stored_zeros(matrix):
    coo = matrix.tocoo()
    zero = np.flatnonzero(matrix.toarray()[0] == 0)[:1]
    row, col = np.r_[coo.row, 0], np.r_[coo.col, zero]
    return scipy.sparse.csr_matrix((np.r_[coo.data, 0.0], (row, col)), matrix.shape)


def with_spare_room(matrix):
    spare = np.zeros(7)
    parts = (np.r_[matrix.data, spare], np.r_[matrix.indices, spare.astype(int)], matrix.indptr)
    return scipy.sparse.csr_matrix(parts, matrix.shape)


CSR = scipy.sparse.csr_matrix(X)
SPARSE = {
    "copied": CSR.copy(),
    "from other arrays": scipy.sparse.csr_matrix(
        (CSR.data.copy(), CSR.indices.astype(np.intc), CSR.indptr.astype(np.intc)), CSR.shape
    ),
    "csr_array": scipy.sparse.csr_array(X),
    "CSC": scipy.sparse.csc_matrix(X),
    "csc_array": scipy.sparse.csc_array(X),
    "COO": scipy.sparse.coo_matrix(X),
    "coo_array": scipy.sparse.coo_array(X),
    "LIL": scipy.sparse.lil_matrix(X),
    "DOK": scipy.sparse.dok_array(X),
    "BSR": scipy.sparse.bsr_matrix(X),
    "int64 indices": with_wide_indices(CSR),
    "int64 indices, array": with_wide_indices(scipy.sparse.csr_array(X)),
    "slice of a larger one": scipy.sparse.vstack([CSR, CSR]).tocsr()[:60],
    "stored zeros": with_stored_zeros(CSR),
    "spare room": with_spare_room(CSR),
    "DataFrame": pd.DataFrame.sparse.from_spmatrix(CSR),
}


@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize("form", SPARSE)
def test_same_sparse_numbers_go_on(form, tmp_path):
    leave_a_checkpoint(tmp_path / "run.ckpt", CSR, Y)
    if form == "DataFrame":
        SPARSE[form].columns = [0, 1, 2, 3, 4, 5, 6, 7]  # no names
    assert_same_bits(go_on(tmp_path / "run.ckpt", SPARSE[form], Y), make_model().fit(CSR, Y))


@pytest.mark.parametrize("form", SPARSE)
def test_same_sparse_validation_rows_go_on(form, tmp_path):
    path, early = tmp_path / "run.ckpt", {"parameters": {"early_stopping": True}}
    leave_a_checkpoint(path, CSR, Y, X_val=CSR, y_val=Y, **early)
    if form == "DataFrame":
        SPARSE[form].columns = range(8)
    go_on(path, CSR, Y, X_val=SPARSE[form], y_val=Y, **early)


@pytest.mark.parametrize("change", ["value", "place", "shape"])
def test_other_sparse_numbers_are_refused(change, tmp_path):
    leave_a_checkpoint(tmp_path / "run.ckpt", CSR, Y)
    other = CSR.toarray()
    if change == "value":
        other[5, np.flatnonzero(other[5])[0]] += 1e-9
    elif change == "place":
        other[[5, 6]] = other[[6, 5]]
    else:
        other = np.c_[other, np.zeros(60)]
    with pytest.raises(ValueError, match="X is not the same data"):
        go_on(tmp_path / "run.ckpt", scipy.sparse.csr_matrix(other), Y)


# ---------------------------------------------------------------------- dense arrays

COLUMN = np.ascontiguousarray(X[:, 0])
WIDE = np.ascontiguousarray(X)


def in_a_file(values, folder):
    with h5py.File(folder / "rows.h5", "w") as file:
        file["X"] = values
    return HDF5Matrix(folder / "rows.h5", "X")


COLUMNS = {
    "slice": lambda folder: WIDE[:, :1],
    "new axis": lambda folder: COLUMN[:, None],
    "reshaped": lambda folder: COLUMN.reshape(-1, 1),
    "transposed": lambda folder: COLUMN[None].T,
    "Fortran order": lambda folder: np.asfortranarray(WIDE[:, :1]),
    "frame": lambda folder: pd.DataFrame(WIDE[:, :1]),
    "column of a frame": lambda folder: pd.DataFrame(WIDE)[[0]],
    "read-only": lambda folder: np.broadcast_to(COLUMN[:, None], (60, 1)),
    "list": lambda folder: COLUMN[:, None].tolist(),
    "swapped bytes": lambda folder: COLUMN[:, None].astype(">f8"),
    "file": lambda folder: in_a_file(COLUMN[:, None], folder),
}


@pytest.mark.parametrize("form", COLUMNS)
@pytest.mark.parametrize("first", ["slice", "new axis", "frame"])
def test_one_column_goes_on_whatever_it_was_cut_from(first, form, tmp_path):
    leave_a_checkpoint(tmp_path / "run.ckpt", COLUMNS[first](tmp_path), Y)
    model = go_on(tmp_path / "run.ckpt", COLUMNS[form](tmp_path), Y)
    assert_same_bits(model, make_model().fit(COLUMN[:, None], Y))


def test_one_row_set_aside_goes_on_whatever_it_was_cut_from(tmp_path):
    early = {"parameters": {"early_stopping": True}}
    path = tmp_path / "run.ckpt"
    leave_a_checkpoint(path, X, Y, X_val=X[3:4], y_val=Y[3:4], **early)
    go_on(path, X, Y, X_val=X.T[:, 3][None], y_val=[Y[3]], **early)


TABLES = {
    "copied": X.copy(),
    "Fortran order": np.asfortranarray(X),
    "every second": np.repeat(X, 2, axis=0)[::2],
    "list": X.tolist(),
    "pandas": pd.DataFrame(X),
    "memory map": "memory map",
}


@pytest.mark.parametrize("form", TABLES)
def test_same_table_goes_on(form, tmp_path):
    data = TABLES[form]
    if form == "memory map":
        data = np.memmap(tmp_path / "X", float, "w+", shape=X.shape)
        data[...] = X
    leave_a_checkpoint(tmp_path / "run.ckpt", X, Y)
    assert_same_bits(go_on(tmp_path / "run.ckpt", data, Y), make_model().fit(X, Y))


def test_same_named_table_goes_on_from_another_library(tmp_path):
    names = [f"x{i}" for i in range(8)]
    leave_a_checkpoint(tmp_path / "run.ckpt", pd.DataFrame(X, columns=names), Y)
    go_on(tmp_path / "run.ckpt", pl.DataFrame(X, schema=names), Y)


LABELS = {
    "list": Y.tolist(),
    "Series": pd.Series(Y),
    "column slice": np.c_[Y, Y][:, 0],
}
TEXTS = np.where(Y, "yes", "no")
TEXT_LABELS = {
    "objects": TEXTS.astype(object),
    "NumPy objects": np.array([np.str_(text) for text in TEXTS], object),
    "wider": TEXTS.astype("<U10"),
    "list": TEXTS.tolist(),
    "Series": pd.Series(TEXTS),
    "string Series": pd.Series(TEXTS, dtype="string"),
    "categories": pd.Series(TEXTS, dtype="category"),
}


@pytest.mark.parametrize("form", LABELS)
def test_same_labels_go_on(form, tmp_path):
    leave_a_checkpoint(tmp_path / "run.ckpt", X, Y)
    go_on(tmp_path / "run.ckpt", X, LABELS[form])


@pytest.mark.parametrize("form", TEXT_LABELS)
def test_same_text_labels_go_on(form, tmp_path):
    leave_a_checkpoint(tmp_path / "run.ckpt", X, TEXTS)
    go_on(tmp_path / "run.ckpt", X, TEXT_LABELS[form])


@pytest.mark.parametrize("other", ["list", "Series", "column", "float64 of another order"])
def test_same_weights_go_on(other, tmp_path):
    forms = {
        "list": WEIGHT.tolist(),
        "Series": pd.Series(WEIGHT),
        "column": np.c_[WEIGHT, WEIGHT][:, 0],
        "float64 of another order": WEIGHT.astype(">f8"),
    }
    leave_a_checkpoint(tmp_path / "run.ckpt", X, Y, WEIGHT)
    go_on(tmp_path / "run.ckpt", X, Y, forms[other])


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("X", (X + 1e-12, Y, WEIGHT)),
        ("X", (X.astype(np.float32), Y, WEIGHT)),
        ("X", (scipy.sparse.csr_array(X), Y, WEIGHT)),
        ("X", (X[:, ::-1], Y, WEIGHT)),
        ("y", (X, ~Y, WEIGHT)),
        ("sample_weight", (X, Y, WEIGHT + 1e-12)),
        ("sample_weight", (X, Y, None)),
    ],
)
def test_other_data_are_refused_by_name(name, data, tmp_path):
    leave_a_checkpoint(tmp_path / "run.ckpt", X, Y, WEIGHT)
    with pytest.raises(ValueError, match=f": {name} is not the same data"):
        go_on(tmp_path / "run.ckpt", *data)


@given(hnp.arrays(float, hnp.array_shapes(min_dims=1, max_dims=2)))
def test_hash_of_an_array_is_that_of_its_numbers(array):
    spaced = np.repeat(array, 2, axis=0)[::2]
    assert joblib.hash(canonical(array)) == joblib.hash(canonical(spaced))
    assert joblib.hash(canonical(array)) == joblib.hash(array.copy())


# ---------------------------------------------------------------------- parameters

SAME = [
    ({"hidden_layer_sizes": (8,)}, {"hidden_layer_sizes": [8]}),
    ({"hidden_layer_sizes": [8]}, {"hidden_layer_sizes": 8}),
    ({"hidden_layer_sizes": (8,)}, {"hidden_layer_sizes": np.array([8])}),
    ({"hidden_layer_sizes": np.array([8, 4])}, {"hidden_layer_sizes": (8, np.int32(4))}),
    ({"max_iter": 6}, {"max_iter": np.int64(6)}),
    ({"random_state": np.uint32(0)}, {"random_state": 0}),
    ({"alpha": 0}, {"alpha": 0.0}),
    ({"alpha": np.float64(0.1)}, {"alpha": 0.1}),
    ({"shuffle": np.True_}, {"shuffle": True}),
    ({"dropout": [0.2]}, {"dropout": (0.2,)}),
    ({"dropout": 0.2}, {"dropout": np.array([0.2])}),
    ({"class_weight": {False: 1, True: 2}}, {"class_weight": {True: 2.0, False: 1.0}}),
    ({"class_weight": {False: 1, True: 2}}, {"class_weight": {np.False_: np.float32(1), 1: 2}}),
    ({"solver": "adam"}, {"solver": np.str_("adam")}),
    ({"verbose": False}, {"verbose": 1}),
]


@pytest.mark.parametrize(("before", "now"), SAME)
def test_same_parameters_go_on(before, now, tmp_path):
    leave_a_checkpoint(tmp_path / "run.ckpt", X, Y, parameters=before)
    model = go_on(tmp_path / "run.ckpt", X, Y, parameters=now)
    assert_same_bits(model, make_model(**before).fit(X, Y))


OTHER = [
    ({"hidden_layer_sizes": (8,)}, {"hidden_layer_sizes": (8, 8)}),
    ({"hidden_layer_sizes": (8, 4)}, {"hidden_layer_sizes": (4, 8)}),
    ({"alpha": 0.1}, {"alpha": np.float32(0.1)}),
    ({"class_weight": {False: 1, True: 2}}, {"class_weight": {False: 2, True: 1}}),
    ({"class_weight": None}, {"class_weight": "balanced"}),
    ({"tol": None}, {"tol": 0.0}),
    ({"scoring": "loss"}, {"scoring": "roc_auc"}),
]


@pytest.mark.parametrize(("before", "now"), OTHER)
def test_other_parameters_are_refused_by_name(before, now, tmp_path):
    leave_a_checkpoint(tmp_path / "run.ckpt", X, Y, parameters=before)
    with pytest.raises(ValueError, match=f": {next(iter(now))} was .* and is "):
        go_on(tmp_path / "run.ckpt", X, Y, parameters=now)


@given(st.recursive(st.integers() | st.booleans() | st.text(), st.lists, max_leaves=5))
def test_a_parameter_is_the_same_as_itself(value):
    assert is_same_parameter(value, value)


def test_matrix_of_the_user_is_left_as_it_is():
    matrix = scipy.sparse.csr_array(([1.0, 2.0, 0.0], [1, 1, 0], [0, 2, 3]), shape=(2, 3))
    canonical(matrix)
    assert (matrix.data.tolist(), matrix.indices.tolist()) == ([1, 2, 0], [1, 1, 0])
