"""Labels of every kind: taken as what they hold, or refused by name."""

import datetime
import re
from decimal import Decimal
from uuid import UUID

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
from distributed import Client
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import f1_score, make_scorer, recall_score

from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier
from skdnn.dask import DaskDeepBinaryClassifier
from skdnn.dask.held import load_partition
from skdnn.preprocessing import TableEncoder

N_ROWS = 60


@pytest.fixture(scope="module")
def X():
    return np.random.RandomState(0).standard_normal((N_ROWS, 3))


@pytest.fixture(scope="module")
def client():
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0") as c:
        yield c


def make(kind=DeepBinaryClassifier, **parameters):
    return kind((3,), max_iter=2, tol=None, random_state=0, **parameters)


def on_cluster(*arrays):
    return [da.from_array(a, chunks=(20, *(-1 for _ in a.shape[1:])), name=False) for a in arrays]


HELD = [
    (lambda signs: signs.astype(int), np.int64),
    (lambda signs: signs, np.bool_),
    (lambda signs: signs.astype(float), np.float64),
]


@pytest.mark.parametrize(("hold", "dtype"), HELD, ids=["integers", "booleans", "floats"])
def test_object_arrays_are_fitted_as_what_they_hold(X, hold, dtype):
    labels = hold(X[:, 0] > 0)
    model = make().fit(X, labels.astype(object))
    assert model.classes_.dtype == dtype
    assert_array_equal(model.predict(X), make().fit(X, labels).predict(X))


@pytest.mark.parametrize(("hold", "dtype"), HELD, ids=["integers", "booleans", "floats"])
def test_object_arrays_on_a_cluster_are_fitted_as_what_they_hold(client, X, hold, dtype):
    labels = hold(X[:, 0] > 0)
    model = make(DaskDeepBinaryClassifier).fit(*on_cluster(X, labels.astype(object)))
    assert model.classes_.dtype == dtype
    assert_array_equal(model.predict(X), make().fit(X, labels).predict(X))
    assert model.score(*on_cluster(X, labels.astype(object))) == model.score(X, labels)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_text_labels_are_told_of(X, missing):
    y = np.where(X[:, 0] > 0, "yes", "no").astype(object)
    y[30:32] = [missing, missing]
    with pytest.raises(ValueError, match="y has 2 missing labels, the first in row 30"):
        make().fit(X, y)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_text_labels_on_a_cluster_are_told_of_y(client, X, missing):
    y = np.where(X[:, 0] > 0, "yes", "no").astype(object)
    y[30:32] = [missing, missing]
    with pytest.raises(ValueError, match=r"Partition 1 of y: y has 2 missing .* in row 10"):
        make(DaskDeepBinaryClassifier).fit(*on_cluster(X, y))


def test_missing_numbers_in_a_partition_are_told_of_y(X):
    y = np.array([0.0, np.nan] * 30)
    with pytest.raises(ValueError, match="Partition 4 of y_val: y_val has 30 missing labels"):
        load_partition(4, X, y, None, ("X_val", "y_val", "sample_weight_val"))


def test_text_and_numbers_together_are_no_labels(client, X):
    mixed = np.array([0, "a"] * 30, object)
    with pytest.raises(ValueError, match="y mixes labels of the types int, str"):
        make().fit(X, mixed)
    by_partition = np.array([0, 1] * 15 + ["0", "1"] * 15, object)
    collections = on_cluster(X, by_partition)
    collections[1] = collections[1].rechunk(30)
    with pytest.raises(ValueError, match="y has text in some partitions and numbers in others"):
        make(DaskDeepBinaryClassifier).fit(collections[0].rechunk((30, -1)), collections[1])


def test_third_label_is_told_with_the_known_ones(X):
    y = np.arange(N_ROWS) % 2
    third = np.arange(N_ROWS) % 3
    with pytest.raises(ValueError, match=r"y has the labels 0, 1, 2.*OneVsRestClassifier"):
        make().fit(X, third)
    message = "has the label 2, which is not among the classes 0, 1"
    with pytest.raises(ValueError, match=f"y_val {message}"):
        make(early_stopping=True).fit(X, y, X_val=X, y_val=third)
    with pytest.raises(ValueError, match=f"y {message}"):
        make().partial_fit(X, y, classes=[0, 1]).partial_fit(X, third)
    with pytest.raises(
        ValueError, match="has the label 'c', which is not among the classes 'a', 'b'"
    ):
        make().fit(X, np.array(["a", "b"])[y]).partial_fit(X, np.array(["a", "b", "c"])[third])


def test_third_label_on_a_cluster_is_told_with_the_known_ones(client, X):
    y = np.arange(N_ROWS) % 2
    third = np.arange(N_ROWS) % 3
    X_, y_, third_ = on_cluster(X, y, third)
    with pytest.raises(ValueError, match=r"y has the labels 0, 1, 2.*OneVsRestClassifier"):
        make(DaskDeepBinaryClassifier).fit(X_, third_)
    message = "has the label 2, which is not among the classes 0, 1"
    with pytest.raises(ValueError, match=f"y_val {message}"):
        make(DaskDeepBinaryClassifier, early_stopping=True).fit(X_, y_, X_val=X_, y_val=third_)
    model = make(DaskDeepBinaryClassifier).partial_fit(X_, y_, classes={0, 1})
    with pytest.raises(ValueError, match=f"y {message}"):
        model.partial_fit(X_, third_)


@pytest.mark.parametrize("classes", [{1, 0}, frozenset({0, 1}), np.array([0, 1], object)])
def test_classes_may_be_a_set(X, classes):
    y = np.arange(N_ROWS) % 2
    model = make().partial_fit(X, y, classes=classes)
    assert_array_equal(model.classes_, [0, 1])


@pytest.mark.parametrize("dtype", [float, object])
def test_an_infinite_label_is_told(X, dtype):
    y = (X[:, 0] > 0).astype(dtype)
    y[7] = np.inf
    with pytest.raises(ValueError, match="y contains infinity"):
        make().fit(X, y)


@pytest.mark.parametrize("scoring", ["f1", "average_precision", make_scorer(recall_score)])
def test_scorer_that_asks_for_the_positive_label_is_told_before_training(client, X, scoring):
    y = np.where(X[:, 0] > 0, "yes", "no")
    parameters = {"early_stopping": True, "scoring": scoring}
    message = r"scoring=.* cannot score the labels 'no' and 'yes'.*make_scorer\(.*pos_label='yes'\)"
    network = make(**parameters)
    for ours, data in (
        (network, (X, y)),
        (DeepEnsembleClassifier(network, n_estimators=2), (X, y)),
        (make(DaskDeepBinaryClassifier, **parameters), on_cluster(X, y)),
    ):
        with pytest.raises(ValueError, match=message):
            ours.fit(*data)
        assert not hasattr(ours, "classes_")


def test_scorer_with_the_positive_label_scores_text(client, X):
    y = np.where(X[:, 0] > 0, "yes", "no")
    scorer = make_scorer(f1_score, pos_label="yes")
    parameters = {"early_stopping": True, "scoring": scorer}
    local = make(**parameters).fit(X, y, X_val=X, y_val=y)
    assert local.best_validation_score_ == f1_score(y, local.predict(X), pos_label="yes")
    blocks = on_cluster(X, y)
    remote = make(DaskDeepBinaryClassifier, **parameters)
    remote.fit(*blocks, X_val=blocks[0], y_val=blocks[1])
    assert_allclose(remote.validation_scores_, local.validation_scores_)


@pytest.mark.parametrize("kind", [DeepBinaryClassifier, DeepEnsembleClassifier])
def test_labels_that_are_objects_can_be_scored(X, kind):
    y = (X[:, 0] > 0).astype(object)
    model = kind(random_state=0)
    if kind is DeepBinaryClassifier:
        model.set_params(max_iter=2, tol=None)
    model.fit(X, y)
    assert model.score(X, y) == model.score(X, y.astype(int))


def test_masked_entries_are_no_data():
    X = np.random.RandomState(0).standard_normal((40, 2))
    y = np.arange(40) % 2
    model = DeepBinaryClassifier((3,), max_iter=2, tol=None).fit(X, y)
    masked, labels = np.ma.array(X, mask=X > 1), np.ma.array(y, mask=y > 0)
    with pytest.raises(ValueError, match=rf"X has {(X > 1).sum()} masked entries"):
        model.fit(masked, y)
    with pytest.raises(ValueError, match=r"X has \d+ masked entries"):
        model.predict(masked)
    for ours in (model, DeepEnsembleClassifier(n_estimators=1)):
        with pytest.raises(ValueError, match="y has 20 masked entries"):
            ours.fit(X, labels)
        with pytest.raises(ValueError, match="y has 20 masked entries"):
            ours.fit(X, y).score(X, labels)
    gaps = np.where(X > 1, np.nan, X)
    assert_array_equal(TableEncoder().fit_transform(masked), TableEncoder().fit_transform(gaps))
    model.fit(np.ma.array(X), y)  # a mask of nothing


def test_labels_that_are_no_numbers_of_numpy_are_named(X):
    with pytest.raises(ValueError, match="y has labels that are no numbers of NumPy"):
        make().fit(X, [2**70 if k % 2 else 1 for k in range(N_ROWS)])


def test_numbers_beside_text_in_a_list_do_not_become_text(X):
    for model in (make(), DeepEnsembleClassifier(n_estimators=1)):
        with pytest.raises(ValueError, match="y mixes labels of the types int, str"):
            model.fit(X, [1 if k % 2 else "a" for k in range(N_ROWS)])


def test_dates_that_are_missing_are_no_labels(X):
    y = np.where(np.arange(N_ROWS) % 2, np.datetime64("2020-01-01"), np.datetime64("NaT"))
    with pytest.raises(ValueError, match="missing labels"):
        make().fit(X, y)


def test_text_of_any_width_is_text(X):
    y = np.where(X[:, 0] > 0, "yes", "no")
    any_width = y.astype(np.dtypes.StringDType())
    for model in (make(), DeepEnsembleClassifier(make(), n_estimators=2, random_state=0)):
        expected = model.fit(X, y).predict(X)
        found = model.fit(X, any_width).predict(X)
        assert found.dtype == expected.dtype
        assert_array_equal(found, expected)
        assert model.score(X, any_width) == model.score(X, y)
    assert_array_equal(make().partial_fit(X, y, classes=any_width[:20]).classes_, ["no", "yes"])
    gap = np.array(["a", None] * (N_ROWS // 2), np.dtypes.StringDType(na_object=None))
    with pytest.raises(ValueError, match=rf"y has {N_ROWS // 2} missing labels"):
        make().fit(X, gap)


@pytest.mark.parametrize("model", [make(), DeepEnsembleClassifier(n_estimators=1)])
def test_huge_numbers_that_are_no_labels_are_told_without_warnings(X, model):
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        model.fit(X, np.where(X[:, 0] > 0, 1e300, 0.0))


@pytest.mark.parametrize("labels", [["no", "yes"], [0, 1], [False, True]], ids=str)
def test_labels_of_an_open_file_are_those_of_an_array(X, labels, tmp_path):
    y = np.array(labels)[(X[:, 0] > 0).astype(int)]
    dtype = h5py.string_dtype() if y.dtype.kind == "U" else y.dtype
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        stored = file.create_dataset("y", data=y.tolist(), dtype=dtype)
        for model in (make(), DeepEnsembleClassifier(make(), n_estimators=2, random_state=0)):
            fitted, expected = clone(model).fit(X, stored), clone(model).fit(X, y)
            assert_array_equal(fitted.predict(X), expected.predict(X))
            assert fitted.score(X, stored) == expected.score(X, y)
        encoder = TableEncoder(bins="tree", random_state=0)
        assert_array_equal(encoder.fit_transform(X, stored), encoder.fit_transform(X, y))


@pytest.mark.parametrize(
    ("dtype", "labels", "kind"),
    [
        ("boolean", [False, True], "b"),
        ("bool[pyarrow]", [False, True], "b"),
        ("category", [False, True], "b"),
        ("Int64", [2**53, 2**53 + 1], "i"),
        ("int64[pyarrow]", [2**53, 2**53 + 1], "i"),
    ],
)
def test_labels_of_nullable_dtypes_stay_what_they_are(X, dtype, labels, kind):
    y = np.array(labels)[(X[:, 0] > 0).astype(int)]
    nullable = pd.Series(y).astype(dtype)
    for model in (make(), DeepEnsembleClassifier(make(), n_estimators=2, random_state=0)):
        expected = model.fit(X, y).predict(X)
        found = model.fit(X, nullable).predict(X)
        assert found.dtype.kind == kind
        assert_array_equal(found, expected)
        assert model.score(X, nullable) == model.score(X, y)
    assert make().partial_fit(X, nullable, classes=nullable[:20]).classes_.tolist() == labels


@pytest.mark.parametrize("dtype", ["boolean", "Int64"])
def test_missing_labels_of_nullable_dtypes_are_told_of(X, dtype):
    y = pd.Series(np.arange(N_ROWS) % 2).astype(dtype)
    y[3:5] = pd.NA
    with pytest.raises(ValueError, match="y has 2 missing labels, the first in row 3"):
        make().fit(X, y)


LABELS_OF_NO_USE = [datetime.date(2020, 1, 1), Decimal(1), UUID(int=1), pd.Period("2020-01", "M")]


@pytest.mark.parametrize("label", LABELS_OF_NO_USE, ids=lambda label: type(label).__name__)
def test_objects_that_are_no_labels_are_named_by_their_type(X, label):
    y = pd.Series([label] * N_ROWS)
    message = rf"y has labels of type {type(label).__name__}, like {re.escape(repr(label))}"
    for model in (make(), DeepEnsembleClassifier(n_estimators=1)):
        with pytest.raises(ValueError, match=message):
            model.fit(X, y)
    with pytest.raises(ValueError, match="Partition 0 of y_val: y_val has labels of type"):
        load_partition(0, X, y, None, ("X_val", "y_val", "sample_weight_val"))


class OnlyAnArray:
    """What has `__array__` and leaves NumPy's functions to no one, as arrays of other libraries."""

    def __init__(self, values):
        self._values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self._values, dtype)

    def __array_function__(self, function, types, args, kwargs):
        raise TypeError(f"{function.__name__} is not for this array")


@pytest.mark.parametrize("weight", [None, np.arange(N_ROWS)])
@pytest.mark.parametrize("model", [make(), DeepEnsembleClassifier(make(), n_estimators=2)])
def test_labels_that_only_become_an_array_are_scored(X, model, weight):
    y = (X[:, 0] > 0).astype(int)
    model = clone(model).fit(X, y)
    assert model.score(X, OnlyAnArray(y), weight) == model.score(X, y, weight)


@pytest.mark.parametrize("weight", [None, np.ones(N_ROWS)])
@pytest.mark.parametrize("y", [None, 1])
def test_labels_that_are_none_are_told_by_score(X, y, weight):
    model = make().fit(X, X[:, 0] > 0)
    with pytest.raises(ValueError, match=r"y_true|y should be a 1d array"):
        model.score(X, y, weight)
