"""Cells of every type in TableEncoder: the same in every container, or a clear error."""

import datetime
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from skdnn.preprocessing import TableEncoder
from tests.tables import small


@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_failed_fit_leaves_the_encoder_as_it_was(mixed, method):
    encoder = TableEncoder(n_bins=0)
    bad = mixed.assign(text=[[1]] * 300)
    with pytest.raises(TypeError, match="'text'"):
        getattr(encoder, method)(bad)
    with pytest.raises(NotFittedError):
        encoder.transform(mixed)
    expected = encoder.fit_transform(mixed)
    with pytest.raises(TypeError, match="'text'"):
        getattr(encoder, method)(bad)
    np.testing.assert_array_equal(encoder.transform(mixed), expected)
    with pytest.raises(ValueError, match="bins='tree' needs y"):
        getattr(encoder.set_params(bins="tree", n_bins=4), method)(mixed)
    np.testing.assert_array_equal(encoder.transform(mixed), expected)


def test_outputs_take_the_names_that_columns_had_before_a_step(rng):
    X = rng.choice([1.0, 2, 3], (60, 2))
    encoder = TableEncoder(n_bins=0, categorical_features=[1]).fit(X)
    assert encoder.get_feature_names_out().tolist() == ["x0", "x1_1", "x1_2", "x1_3"]
    assert encoder.get_feature_names_out(["a", "b"]).tolist() == ["a", "b_1", "b_2", "b_3"]
    frame = pd.DataFrame(X, columns=["age", "sex"])
    pipeline = make_pipeline(SimpleImputer(), TableEncoder(n_bins=0)).fit(frame)
    assert pipeline.get_feature_names_out().tolist() == ["age", "sex"]


def test_dates_are_the_same_categories_in_every_form():
    days = pd.Series(pd.to_datetime(["2020-01-01", "2020-02-01", None] * 12))
    forms = [
        days.dt.as_unit("ns"),
        days.dt.as_unit("s"),
        days.astype(object),
        pd.Series([None if day is pd.NaT else day.date() for day in days], dtype=object),
    ]
    encoder = TableEncoder(["day"]).fit(pd.DataFrame({"day": forms[0]}))
    for form in forms:
        np.testing.assert_array_equal(
            encoder.transform(pd.DataFrame({"day": form})), np.eye(3)[[0, 1, 2] * 12, :2]
        )


def test_dates_of_numpy_that_are_objects_are_dates():
    days = np.array(["2020-01-01", "2021-01-01", "NaT", "2022-06-01"] * 9, "datetime64[D]")
    objects = pd.Series([*days], dtype=object)
    np.testing.assert_array_equal(
        TableEncoder().fit_transform(pd.DataFrame({"day": objects})),
        TableEncoder().fit_transform(pd.DataFrame({"day": pd.Series(days.astype("M8[s]"))})),
    )


def test_numbers_are_no_dates():
    days = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=50)})
    numbers = pd.DataFrame({"day": np.arange(50) * 1000})
    spans = pd.DataFrame({"day": pd.to_timedelta(np.arange(50), unit="h")})
    gaps = pd.DataFrame({"day": [None, np.nan]})
    tables = {"date": days, "number": numbers, "duration": spans}
    for unit, fitted in tables.items():
        encoder = TableEncoder().fit(fitted)
        for other, mixed in tables.items():
            if unit == other:
                encoder.transform(mixed)
                continue
            message = f"Column 'day' holds {unit}s in fit, and {other}s now"
            with pytest.raises(ValueError, match=message):
                encoder.transform(mixed)
        assert encoder.transform(gaps).shape == (2, encoder.n_outputs_)


@pytest.mark.parametrize(
    ("columns", "n_bins", "names"),
    [
        ({"a": ["b_c", "d", "d"], "a_b": ["c", "c", "e"]}, 0, "a_b_c a_d a_b_c_2 a_b_e"),
        ({"a": ["b", "b_2", "b"], "a_b": [1, 2, 4]}, 0, "a_b a_b_3 a_b_2"),
        (
            {"a": [0, 1, 3], "a_bin0": [1, 0, 5]},
            2,
            "a a_bin0 a_bin0_2 a_bin1 a_bin0_bin0 a_bin0_bin1",
        ),
        ({"a": [None, "missing", "x"], "a_missing": [1, 2, 4]}, 0, "a_missing a_missing_2 a_x"),
    ],
    ids=["levels", "level like a name", "bin", "column"],
)
def test_names_of_outputs_are_unique(columns, n_bins, names):
    encoder = TableEncoder(n_bins=n_bins).set_output(transform="polars")
    assert encoder.fit_transform(pl.DataFrame(columns)).columns == names.split()
    assert encoder.get_feature_names_out().tolist() == names.split()


def test_tables_of_pyarrow_keep_their_names(rng):
    pyarrow = pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"x": rng.standard_normal(40), "t": ["a", "b"] * 20})
    encoder = TableEncoder().fit(frame)
    mixed = pyarrow.Table.from_pandas(frame)
    np.testing.assert_array_equal(encoder.transform(mixed), encoder.transform(frame))
    with pytest.raises(ValueError, match="same order"):
        encoder.transform(mixed.select(["t", "x"]))


@pytest.mark.parametrize(
    ("column", "given"),
    [
        (np.array([1j, 2, 3] * 9, object), None),
        (np.array([1j, 2, 3] * 9, object), ["c"]),
        ([[1], [2], [3]] * 9, ["c"]),
        (np.array([10**400, 1, 2] * 9, object), None),
        (pl.Series(np.ones((27, 2))), None),
    ],
)
def test_column_that_is_neither_number_nor_category_is_named(column, given):
    if isinstance(column, pl.Series):
        frame = pl.DataFrame({"c": column})
    else:
        frame = pd.DataFrame({"c": pd.Series(list(column), dtype=object)})
    with pytest.raises((TypeError, ValueError), match="Column 'c'"):
        TableEncoder(given).fit(frame)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.linspace(0, 1, 60), "continuous"),
        (np.arange(60) % 3, "y has the labels 0, 1, 2"),
        ([0, 1, np.nan] * 20, "y has 20 missing labels"),
        (["a", "b", None] * 20, "y has 20 missing labels"),
    ],
)
def test_bins_of_a_tree_need_two_classes(rng, y, message):
    with pytest.raises(ValueError, match=message):
        TableEncoder(bins="tree").fit(rng.standard_normal((60, 2)), y)


def test_mixed_categories_are_the_same_alone_and_among_others():
    day = datetime.date(2020, 1, 1)
    values = [True, "maybe", 2.5, 3, Decimal("4.0"), np.float32(0.1), day, datetime.timedelta(1)]
    column = pd.Series(values * 12, dtype=object)
    encoder = TableEncoder(["c"]).fit(pd.DataFrame({"c": column}))
    together = encoder.transform(pd.DataFrame({"c": column}))
    assert (together.sum(axis=1) == 1).all()
    for k in range(len(values)):
        alone = pd.DataFrame({"c": [column[k]]})
        np.testing.assert_array_equal(encoder.transform(alone), together[k : k + 1])


@pytest.mark.parametrize("others", [[], ["maybe"]])
def test_booleans_are_the_same_as_text(others):
    values = [True, False, *others] * 12
    booleans = pd.Series(values[:2] * 6)
    encoder = TableEncoder(["c"]).fit(pd.DataFrame({"c": pd.Series(values, dtype=object)}))
    read = TableEncoder(["c"]).fit(pd.DataFrame({"c": pd.Series(values).astype(str)}))
    expected = encoder.transform(pd.DataFrame({"c": booleans}))
    assert expected.sum(axis=1).tolist() == [1] * 12
    for dtype in (bool, object, "boolean", str):
        mixed = pd.DataFrame({"c": booleans.astype(dtype)})
        np.testing.assert_array_equal(encoder.transform(mixed), expected)
        np.testing.assert_array_equal(read.transform(mixed), expected)


def test_last_day_with_a_zone_is_a_date():
    last = datetime.datetime(
        9999, 12, 31, 23, tzinfo=datetime.timezone(-datetime.timedelta(hours=8))
    )
    days = [last, datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)] * 9
    encoded = TableEncoder(n_bins=0).fit_transform(
        pd.DataFrame({"d": pd.Series(days, dtype=object)})
    )
    assert (encoded[0] > encoded[1]).all()


@pytest.mark.parametrize("dtype", [np.int64, object, "Int64"])
def test_long_ids_are_told_apart(dtype):
    ids = 2**60 + np.arange(60) % 3
    encoder = TableEncoder(["id"])
    encoded = encoder.fit_transform(pd.DataFrame({"id": pd.Series(ids).astype(dtype)}))
    np.testing.assert_array_equal(encoded, np.eye(3)[np.arange(60) % 3])
    np.testing.assert_array_equal(encoder.transform(pd.DataFrame({"id": ids.astype(str)})), encoded)


def test_text_is_no_infinite_category():
    encoder = TableEncoder([0]).fit(np.array([[np.inf], [1], [2]] * 9))
    np.testing.assert_array_equal(encoder.transform(np.array([["none"]])), [[0, 0, 0]])


def test_days_of_pyarrow_are_dates():
    pyarrow = pytest.importorskip("pyarrow")
    days = [datetime.date(2020, 1, 1), None, datetime.date(2020, 1, 9)] * 9
    stored = pd.Series(days, dtype=pd.ArrowDtype(pyarrow.date32()))
    np.testing.assert_array_equal(
        TableEncoder().fit_transform(pd.DataFrame({"d": stored})),
        TableEncoder().fit_transform(pd.DataFrame({"d": pd.Series(days, dtype=object)})),
    )


def test_infinity_is_a_category_as_text():
    column = pd.DataFrame({"c": [np.inf, 1.0, np.nan, -np.inf] * 5})
    encoder = TableEncoder(["c"]).fit(column)
    assert encoder.get_feature_names_out().tolist() == ["c_-inf", "c_1", "c_inf"]
    np.testing.assert_array_equal(
        encoder.transform(column.astype(object)), encoder.transform(column)
    )
    assert encoder.transform(column[1:2]).tolist() == [[0, 1, 0]]


@pytest.mark.parametrize("kind", [object, "category", "Int64", str])
def test_labels_of_every_type_encode_by_the_target(rng, kind):
    X = pd.DataFrame({"text": rng.randint(0, 100, 300).astype(str)})
    y = pd.Series(rng.randint(0, 2, 300))
    encoded = TableEncoder(random_state=0).fit_transform(X, y.astype(kind))
    np.testing.assert_array_equal(encoded, TableEncoder(random_state=0).fit_transform(X, y))


def test_labels_of_one_class_encode_nothing():
    X = pd.DataFrame({"text": [f"id {k}" for k in range(200)], "x": np.arange(200.0)})
    encoder = TableEncoder(n_bins=0).fit(X, np.zeros(200))
    assert encoder.get_feature_names_out().tolist() == ["x"]


LONG_IDS = [2**60, 2**60 + 1, 2**60 + 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda ids: pl.DataFrame({"id": ids}),
        lambda ids: pd.DataFrame({"id": pd.Categorical(ids, categories=LONG_IDS)}),
        lambda ids: pd.DataFrame({"id": pd.Series(ids, dtype="Int64")}),
        lambda ids: pd.DataFrame({"id": [k if k is None else Decimal(k) for k in ids]}),
        lambda ids: pytest.importorskip("pyarrow").table({"id": ids}),
    ],
)
def test_a_gap_beside_long_ids_leaves_them_apart(make):
    encoder = TableEncoder(["id"]).fit(make(LONG_IDS * 9))
    expected = np.vstack([np.eye(3), np.zeros((1, 3))])
    np.testing.assert_array_equal(encoder.transform(make([*LONG_IDS, None])), expected)
    np.testing.assert_array_equal(encoder.transform(make(LONG_IDS)), np.eye(3))


def test_decimals_of_any_size_are_categories():
    values = [Decimal("Infinity"), Decimal("1e40"), Decimal("0.5"), Decimal(3)] * 9
    encoder = TableEncoder(["d"]).fit(pd.DataFrame({"d": values}))
    names = ["d_0.5", f"d_{10**40}", "d_3", "d_inf"]
    assert encoder.get_feature_names_out().tolist() == names


def test_complex_categories_are_text():
    mixed = pd.DataFrame({"c": pd.Categorical([1j, 2.0, 1j] * 9)})
    assert TableEncoder().fit_transform(mixed).sum() == 27


def test_dictionaries_of_arrow_are_categories():
    pyarrow = pytest.importorskip("pyarrow")
    codes = pyarrow.array([1, 2, 3] * 9).dictionary_encode()
    series = pd.Series(codes, dtype=pd.ArrowDtype(codes.type))
    for mixed in (pyarrow.table({"id": codes}), pd.DataFrame({"id": series})):
        names = TableEncoder().fit(mixed).get_feature_names_out()
        assert names.tolist() == ["id_1", "id_2", "id_3"]


def test_intervals_are_categories():
    ages = pd.DataFrame({"age": pd.cut(np.arange(20.0), [-1, 9, 19])})
    encoder = TableEncoder().fit(ages)
    assert encoder.get_feature_names_out().tolist() == ["age_(-1, 9]", "age_(9, 19]"]
    np.testing.assert_array_equal(encoder.transform(ages).argmax(axis=1), np.arange(20) > 9)


def test_cell_that_cannot_be_encoded_is_named_in_prediction_too():
    mixed = pd.DataFrame({"t": list("abc") * 9, "x": np.arange(27.0)}).astype(object)
    encoder = TableEncoder(["t"]).fit(mixed)
    for column, cell in (("t", [1, 2]), ("x", 1j)):
        wrong = mixed.copy()
        wrong.at[3, column] = cell
        with pytest.raises(TypeError, match=f"Column '{column}' has values of type"):
            encoder.transform(wrong)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%y", "%Y/%m/%d %H:%M"])
def test_dates_that_are_text_are_told(form):
    days = pd.date_range("2020-01-01", periods=100)
    mixed = pd.DataFrame({"when": days.strftime(form), "number": np.arange(100)})
    with pytest.warns(UserWarning, match="Column 'when' holds dates as text.*to_datetime"):
        TableEncoder().fit(mixed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TableEncoder().fit(mixed.assign(when=days))
        TableEncoder().fit(mixed.assign(when=[f"{k}-{k}-x" for k in range(100)]))


def test_text_where_dates_were(rng):
    mixed = pd.DataFrame({"when": pd.date_range("2020-01-01", periods=20)})
    encoder = TableEncoder().fit(mixed)
    with pytest.raises(ValueError, match="Column 'when' is of numbers or dates, and holds '2020"):
        encoder.transform(mixed.astype(str))


def test_decimals_of_any_nan_are_gaps():
    column = [Decimal(k) for k in range(8)] + [Decimal("NaN"), Decimal("sNaN"), Decimal("-sNaN")]
    encoded = TableEncoder(missing_indicator=True).fit_transform(pd.DataFrame({"a": column}))
    np.testing.assert_array_equal(encoded[:, -1], [0] * 8 + [1] * 3)


@pytest.mark.parametrize(("form", "freq"), [("%Y-%m-%d", "24h"), ("%Y-%m-%d %H:%M:%S", "7h")])
def test_dates_as_categories_are_those_of_a_file(form, freq):
    days = pd.date_range("2020-01-01 05:00", periods=4, freq=freq)
    if freq == "24h":
        days = days.normalize()
    dates = pd.DataFrame({"when": days.repeat(5)})
    texts = dates.assign(when=dates["when"].dt.strftime(form))
    of_dates = TableEncoder(["when"]).fit(dates)
    for encoder in (of_dates, TableEncoder().fit(texts)):
        for mixed in (dates, texts, dates.astype(object)):
            np.testing.assert_array_equal(encoder.transform(mixed), of_dates.transform(dates))
    assert of_dates.get_feature_names_out().tolist() == [f"when_{t}" for t in days.strftime(form)]


def test_durations_as_categories_have_whole_names():
    hours = pd.DataFrame({"d": pd.to_timedelta([1, 2] * 30, unit="h")})
    names = TableEncoder(["d"]).fit(hours).get_feature_names_out().tolist()
    assert names == ["d_3600000000 microseconds", "d_7200000000 microseconds"]


def test_gaps_of_sparse_tables_are_refused(rng):
    X = scipy.sparse.csr_array(rng.rand(60, 3))
    y = np.arange(60) % 2
    encoder, ensemble = TableEncoder().fit(X, y), small(n_estimators=2).fit(X, y)
    X.data[7] = np.nan
    message = r"X contains NaN, but gaps of sparse tables are not encoded.* X\.toarray\(\)"
    for method in (encoder.fit, ensemble.fit, encoder.transform, ensemble.predict):
        with pytest.raises(ValueError, match=message):
            method(X, y) if method.__name__ == "fit" else method(X)
    with pytest.raises(ValueError, match=message):
        encoder.transform(X.toarray())
    with pytest.raises(ValueError, match="X contains infinity"):
        encoder.transform(X * np.inf)


def test_categories_of_sparse_tables_are_refused(rng):
    X = scipy.sparse.csr_matrix(rng.rand(20, 3))
    with pytest.raises(ValueError, match=r"categorical_features is .* but X is sparse"):
        TableEncoder([0]).fit(X)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (scipy.sparse.csr_matrix, TypeError, "y is sparse"),
        (lambda y: y[:3], ValueError, "inconsistent numbers of samples"),
        (lambda y: np.where(np.arange(60) < 3, np.nan, y), ValueError, "y has 3 missing labels"),
        (lambda y: [None, *y[1:]], ValueError, "y has 1 missing labels"),
        (lambda y: np.ma.masked_array(y, np.arange(60) < 4), ValueError, "y has 4 masked entries"),
    ],
)
def test_labels_that_are_none_are_named(rng, sparse, change, error, message):
    y = np.arange(60) % 2
    X = pd.DataFrame({"id": [f"v{k % 30}" for k in range(60)], "number": rng.rand(60)})
    if sparse:
        X = scipy.sparse.csr_matrix(rng.rand(60, 2))
    with pytest.raises(error, match=message):
        TableEncoder(max_levels=5, min_frequency=1).fit(X, change(y))
