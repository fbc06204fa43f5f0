"""TableEncoder on tables of every kind, against scikit-learn's own parts where they exist."""

import datetime
import pickle
import tracemalloc
import warnings
from decimal import Decimal

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, RobustScaler, TargetEncoder
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdnn.preprocessing import TableEncoder
from skdnn.preprocessing.log_odds import gaps_tell


@parametrize_with_checks([TableEncoder(), TableEncoder(n_bins=0, missing_indicator=True)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def rng():
    return np.random.RandomState(0)


@pytest.fixture
def table(rng):
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


def encode(X, **parameters):
    """Return encoded columns by name."""
    encoder = TableEncoder(**parameters)
    encoded = encoder.fit_transform(X)
    return dict(zip(encoder.get_feature_names_out(), encoded.T, strict=True))


# ---------------------------------------------------------------------- numbers


def clip_smoothly(z):
    return z / np.sqrt(1 + (z / 3) ** 2)


def test_numbers_are_scaled_as_by_the_robust_scaler(rng):
    x = rng.standard_normal((200, 1))
    expected = clip_smoothly(RobustScaler().fit_transform(x))
    np.testing.assert_allclose(encode(x, n_bins=0)["x0"], expected[:, 0], rtol=1e-6, atol=1e-6)


def test_bins_are_those_of_the_quantile_discretizer(rng):
    x = rng.standard_normal((200, 1))
    bins = KBinsDiscretizer(4, encode="ordinal", quantile_method="linear", subsample=None).fit(x)
    encoded = TableEncoder(n_bins=4).fit_transform(x)[:, 1:]
    # the sum of the shares is the number of the bin, and the share of it
    np.testing.assert_array_equal(
        np.minimum(np.floor(encoded.sum(axis=1) + 1e-6), 3), bins.transform(x)[:, 0]
    )


def test_bins_interpolate_between_their_edges():
    x = np.arange(9.0)[:, np.newaxis]
    encoder = TableEncoder(n_bins=2).fit(x)
    np.testing.assert_allclose(
        encoder.transform([[1.0], [4.0], [7.0], [99.0], [-99.0]])[:, 1:],
        [[0.25, 0], [1, 0], [1, 0.75], [1, 1], [0, 0]],
        atol=1e-6,
    )


def test_few_values_are_edges_each():
    encoded = encode(np.array([[0.0], [1.0], [10.0], [0.0]]), n_bins=8)
    assert encoded["x0_bin0"].tolist() == [0, 1, 1, 0]
    assert encoded["x0_bin1"].tolist() == [0, 0, 1, 0]
    assert "x0_bin2" not in encoded


def test_number_that_fills_a_bin_is_an_edge(rng):
    amounts = np.concatenate([np.zeros(500), rng.uniform(10, 20, 300)])[:, np.newaxis]
    encoded = TableEncoder(n_bins=4).fit(amounts).transform([[0.0], [5.0], [12.5], [20.0]])
    # 0, and the quantiles of the rest: 10, 13.3, 16.7 and 20
    np.testing.assert_allclose(encoded[0, 1:], 0)
    np.testing.assert_allclose(encoded[1, 1:], [0.5, 0, 0, 0], atol=0.01)
    np.testing.assert_allclose(encoded[2, 1:], [1, 0.75, 0, 0], atol=0.1)
    np.testing.assert_allclose(encoded[3, 1:], 1)


def test_bins_of_a_tree_are_where_it_splits(rng):
    x = rng.standard_normal((300, 1)).astype(np.float32)
    y = (np.abs(x[:, 0]) > 1).astype(int)
    tree = DecisionTreeClassifier(max_leaf_nodes=3, min_samples_leaf=5).fit(x, y).tree_
    low, high = np.sort(tree.threshold[tree.feature >= 0])
    encoder = TableEncoder(n_bins=3, bins="tree").fit(x, y)
    assert encoder.uses_target_
    middle = encoder.transform([[low], [(low + high) / 2], [high]])
    np.testing.assert_allclose(middle[:, 1:], [[1, 0, 0], [1, 0.5, 0], [1, 1, 0]], atol=1e-3)


def test_bins_of_a_tree_need_labels(rng):
    with pytest.raises(ValueError, match="bins='tree' needs y"):
        TableEncoder(bins="tree").fit(rng.standard_normal((20, 1)))


def test_gap_is_the_median():
    encoded = encode(np.array([[1.0], [2.0], [9.0], [np.nan]]))
    assert encoded["x0"][3] == encoded["x0"][1] == 0


def test_infinity_is_beyond_every_number():
    encoder = TableEncoder().fit(np.array([[1.0], [2.0], [9.0], [np.inf], [-np.inf]]))
    finite, infinite = encoder.transform([[9.0], [np.inf]])
    assert infinite[0] > finite[0]
    np.testing.assert_allclose(encoder.transform([[np.inf], [-np.inf]])[:, 0], [3, -3])


def test_dates_are_a_number_that_grows(table):
    encoded = encode(table[["day"]])
    assert (np.diff(encoded["day"]) > 0).all()


@pytest.mark.parametrize(
    "values",
    [
        [datetime.date(2020, 1, 1), None, datetime.date(2020, 3, 1), datetime.date(2021, 1, 1)],
        [Decimal("1.5"), None, Decimal(2), Decimal(3)],
        [True, None, False, np.True_],
        [1, None, 2.5, np.int8(3)],
        [datetime.timedelta(1), None, datetime.timedelta(2), datetime.timedelta(5)],
        pd.to_datetime(["2020-01-01", None, "2020-03-01", "2021-01-01"]).tz_localize("Europe/Rome"),
    ],
    ids=["date", "Decimal", "bool", "mixed numbers", "timedelta", "time zone"],
)
def test_objects_that_are_numbers_are_numbers(values):
    frame = pd.DataFrame({"x": pd.Series(values, dtype=None if hasattr(values, "tz") else object)})
    encoded = encode(frame, missing_indicator=True)
    assert encoded["x_missing"].tolist() == [0, 1, 0, 0]
    assert encoded["x"][1] == 0


@given(
    arrays(np.float64, st.tuples(st.integers(2, 30), st.just(1))),
    st.integers(0, 10),
)
def test_any_numbers_encode_to_finite_ones(x, n_bins):
    # a second column, since there may be nothing to tell of the first
    X = np.hstack([x, np.arange(len(x))[:, np.newaxis]])
    encoded = TableEncoder(n_bins=n_bins).fit_transform(X)
    assert np.isfinite(encoded).all()
    assert np.abs(encoded).max() <= 3


# ---------------------------------------------------------------------- categories


def test_levels_are_one_hot(rng):
    X = pd.DataFrame({"text": rng.choice(["x", "y", "z"], 50)})
    expected = OneHotEncoder(sparse_output=False).fit_transform(X)
    np.testing.assert_array_equal(TableEncoder().fit_transform(X), expected)


def test_level_never_seen_is_none_of_the_levels(table):
    encoder = TableEncoder().fit(table)
    new = table.assign(text="never")
    encoded = dict(zip(encoder.get_feature_names_out(), encoder.transform(new).T, strict=True))
    assert not np.any([encoded[f"text_{level}"] for level in "xyz"])


def test_level_never_seen_joins_the_rare_ones(rng):
    X = pd.DataFrame({"text": [*"aaaabbbb", "c", "d"]})
    encoder = TableEncoder(max_levels=2, min_frequency=3).fit(X)
    assert encoder.get_feature_names_out().tolist() == ["text_a", "text_b", "text_infrequent"]
    np.testing.assert_array_equal(
        encoder.transform(pd.DataFrame({"text": ["a", "d", "never", None]})),
        [[1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]],
    )


def test_log_odds_are_those_of_the_target_encoder(rng):
    levels = rng.choice([f"v{k}" for k in range(30)], 600)
    y = rng.rand(600) < np.where(levels < "v2", 0.8, 0.2)
    X = pd.DataFrame({"text": levels})
    encoder = TableEncoder(max_levels=10, random_state=0).fit(X, y)
    assert encoder.uses_target_
    theirs = TargetEncoder(smooth=10.0, target_type="binary").fit(X, y)
    p, prior = theirs.transform(X)[:, 0], theirs.target_mean_
    above = np.log(p / (1 - p)) - np.log(prior / (1 - prior))
    place = encoder.get_feature_names_out().tolist().index("text_log_odds")
    np.testing.assert_allclose(
        encoder.transform(X)[:, place], clip_smoothly(above), rtol=1e-5, atol=1e-6
    )


def test_log_odds_do_not_leak_labels(rng):
    X = pd.DataFrame({"text": rng.randint(0, 500, 2000).astype(str)})
    y = rng.randint(0, 2, 2000)
    crossed = TableEncoder(random_state=0).fit_transform(X, y)[:, 0]
    assert abs(roc_auc_score(y, crossed) - 0.5) < 3 * np.sqrt(1 / (12 * 500))
    model = make_pipeline(TableEncoder(random_state=0), LogisticRegression())
    predicted = cross_val_predict(model, X, y, method="decision_function")
    assert abs(roc_auc_score(y, predicted) - 0.5) < 3 * np.sqrt(1 / (12 * 500))


def test_ids_are_dropped_without_labels(rng):
    X = pd.DataFrame({"id": [f"id{k}" for k in range(300)], "x": rng.standard_normal(300)})
    encoder = TableEncoder().fit(X)
    assert encoder.dropped_features_ == {"id": "categories of which none has 10 rows"}


def test_numbers_named_as_categories(rng):
    X = rng.randint(0, 4, (100, 2)).astype(float)
    expected = OneHotEncoder(sparse_output=False).fit_transform(X)
    for columns in ([0, 1], [True, True], [-1, 0]):
        np.testing.assert_array_equal(TableEncoder(columns).fit_transform(X), expected)
    frame = pd.DataFrame(X, columns=["a", "b"])
    np.testing.assert_array_equal(TableEncoder(["a", "b"]).fit_transform(frame), expected)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([5], "index 5, but X has 2 columns"),
        ([True], "mask of 1 entries, but X has 2 columns"),
        (["age"], "names, but X has none"),
    ],
)
def test_category_that_is_no_column_is_named(columns, message):
    with pytest.raises(ValueError, match=message):
        TableEncoder(columns).fit(np.eye(2))


def test_name_that_is_no_column_is_named(table):
    with pytest.raises(ValueError, match="'age', which is no column"):
        TableEncoder(["age"]).fit(table)


def test_levels_of_mixed_types_are_text():
    X = pd.DataFrame({"x": pd.Series([1, "a", 2.0, None], dtype=object)})
    encoder = TableEncoder().fit(X)
    assert encoder.get_feature_names_out().tolist() == ["x_1", "x_2", "x_a"]
    np.testing.assert_array_equal(encoder.transform(X[:2]), [[1, 0, 0], [0, 0, 1]])


# ---------------------------------------------------------------------- tables


def test_nullable_types_encode_the_same(table):
    expected = TableEncoder().fit_transform(table)
    np.testing.assert_array_equal(TableEncoder().fit_transform(table.convert_dtypes()), expected)


def test_arrow_types_encode_the_same(table):
    arrow = table.convert_dtypes(dtype_backend="pyarrow")
    np.testing.assert_array_equal(
        TableEncoder().fit_transform(arrow), TableEncoder().fit_transform(table)
    )


def test_polars_encodes_the_same(table):
    table = table.drop(columns="code")  # polars has no categories that are numbers
    np.testing.assert_array_equal(
        TableEncoder().fit_transform(pl.from_pandas(table)), TableEncoder().fit_transform(table)
    )


def test_object_array_encodes_the_same(table):
    table = table.drop(columns=["code", "day"])
    np.testing.assert_array_equal(
        TableEncoder().fit_transform(table.astype(object).to_numpy()),
        TableEncoder().fit_transform(table),
    )


def test_float32_and_float64_encode_alike(rng):
    X = rng.standard_normal((100, 3)).astype(np.float32)
    encoded = TableEncoder().fit_transform(X)
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded, TableEncoder().fit_transform(X.astype(np.float64)))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([2**60, 2**60 + 1], "constant in float64"),
        (np.array([2**60, 2**60 + 1], object), "constant in float64"),
        (np.array([2**60, 2**60 + 1], "M8[ns]"), "constant in float64"),
        ([2**60, 2**60], "constant"),
        ([Decimal(1), 1.0], "constant"),
        ([0.0, -0.0], "constant"),
    ],
    ids=["integers", "objects", "nanoseconds", "equal", "of two types", "zeros"],
)
def test_numbers_that_are_one_in_float64_are_dropped_for_that(values, reason):
    frame = pd.DataFrame({"id": values, "x": [1.0, 2.0]})
    assert TableEncoder().fit(frame).dropped_features_ == {"id": reason}


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output(table, library):
    encoder = TableEncoder().set_output(transform=library)
    encoded = encoder.fit_transform(table)
    assert list(encoded.columns) == encoder.get_feature_names_out().tolist()


def test_columns_that_say_nothing_are_dropped(rng):
    x = rng.standard_normal(50)
    frame = pd.DataFrame(
        {"x": x, "one": 1, "empty": None, "scaled": 2 * x, "text": "a", "z": rng.permutation(x)}
    )
    encoder = TableEncoder(n_bins=0).fit(frame)
    assert encoder.get_feature_names_out().tolist() == ["x", "z"]
    assert encoder.dropped_features_ == {
        "one": "constant",
        "empty": "empty",
        "scaled": "a copy of 'x'",
        "text": "constant",
    }


def with_gaps(share, n_rows=600):
    """Return two columns, and labels of which gaps of the first tell by a share of the rows."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((n_rows, 2))
    y = rng.rand(n_rows) < 0.4
    is_told = rng.rand(n_rows) < share
    X[np.where(is_told, y, rng.rand(n_rows) < 0.4), 0] = np.nan
    return X, y


@pytest.mark.parametrize(
    ("share", "parameters", "is_told"),
    [
        (0.5, {}, True),
        (0.0, {}, False),
        (0.5, {"missing_indicator": False}, False),
        (0.0, {"missing_indicator": True}, True),
        (0.5, {"min_frequency": 400}, False),
    ],
)
def test_gaps_are_told_of_where_they_tell_of_labels(share, parameters, is_told):
    X, y = with_gaps(share)
    encoder = TableEncoder(**parameters).fit(X, y)
    assert ("x0_missing" in encoder.get_feature_names_out()) == is_told
    assert encoder.uses_target_ == ("missing_indicator" not in parameters)
    if is_told:
        column = encoder.get_feature_names_out().tolist().index("x0_missing")
        np.testing.assert_array_equal(encoder.transform(X)[:, column], np.isnan(X[:, 0]))


def test_gaps_are_not_told_of_without_two_classes():
    X, y = with_gaps(0.5)
    for labels in (None, np.ones(len(y)), np.arange(len(y)) % 3, np.arange(len(y)) / 7):
        encoder = TableEncoder().fit(X, labels)
        assert not encoder.uses_target_
        assert "x0_missing" not in encoder.get_feature_names_out()


def test_few_gaps_tell_as_often_as_chance_lets_them():
    # by three standard errors: 3 in 1,000, and a normal distribution is no more than near
    rng = np.random.RandomState(0)
    told = [gaps_tell(rng.permutation(200) < 10, rng.rand(200) < 0.1, 10) for _ in range(3000)]
    assert np.mean(told) < 0.01


def test_constant_with_gaps_tells_the_gaps():
    encoded = encode(np.array([[1.0], [np.nan], [1.0]]))
    assert {name: column.tolist() for name, column in encoded.items()} == {"x0_missing": [0, 1, 0]}


def test_table_without_a_column_that_tells_anything_is_an_error():
    with pytest.raises(ValueError, match="'a' is constant, 'b' is empty"):
        TableEncoder().fit(pd.DataFrame({"a": [1, 1], "b": [None, None]}))


def test_lazy_frame_is_to_be_collected():
    with pytest.raises(TypeError, match=r"X is a LazyFrame.*X\.collect\(\)"):
        TableEncoder().fit(pl.LazyFrame({"a": [1, 2]}))


def test_bytes_that_are_no_text_are_levels():
    encoder = TableEncoder().fit(np.array([[b"\xff"], [b"b"], [b"b"]], object))
    assert encoder.get_feature_names_out().tolist() == ["x0_\\xff", "x0_b"]


def test_column_that_cannot_be_encoded_is_named():
    with pytest.raises(TypeError, match="'lists' has values of type list"):
        TableEncoder().fit(pd.DataFrame({"lists": [[1], [2]]}))


def test_text_among_numbers_is_named():
    encoder = TableEncoder().fit(pd.DataFrame({"a": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="Column 'a' is of numbers or dates, and holds 'two'"):
        encoder.transform(pd.DataFrame({"a": ["one", "two"]}).iloc[1:])


def test_more_than_two_classes_are_named(rng):
    X = pd.DataFrame({"text": rng.randint(0, 100, 300).astype(str)})
    with pytest.raises(ValueError, match=r"Column 'text' has .* y must have two classes"):
        TableEncoder().fit(X, np.arange(300) % 3)


def test_sparse_is_scaled_and_stays_sparse(rng):
    X = scipy.sparse.random_array((50, 20), density=0.2, rng=0, format="csr") * 7
    encoded = TableEncoder().fit_transform(X)
    assert scipy.sparse.issparse(encoded)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(abs(encoded).max(axis=0).toarray(), 1)


def test_sparse_after_dense_is_an_error(rng):
    encoder = TableEncoder().fit(rng.standard_normal((20, 3)))
    with pytest.raises(TypeError, match="sparse, but was dense in fit"):
        encoder.transform(scipy.sparse.eye_array(3, format="csr"))


@pytest.mark.parametrize(
    "copy", [clone, pickle.dumps, joblib.hash], ids=["clone", "pickle", "hash"]
)
def test_encoder_travels(table, copy):
    encoder = TableEncoder().fit(table)
    assert copy(encoder) is not None


def test_pickle_encodes_the_same(table):
    encoder = TableEncoder().fit(table)
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(again.transform(table), encoder.transform(table))


def test_fit_takes_little_more_than_the_table(rng):
    X = rng.standard_normal((100_000, 20)).astype(np.float32)
    tracemalloc.start()
    TableEncoder().fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * X.nbytes


# ---------------------------------------------------------------------- what fit knew


@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_failed_fit_leaves_the_encoder_as_it_was(table, method):
    encoder = TableEncoder(n_bins=0)
    bad = table.assign(text=[[1]] * 300)
    with pytest.raises(TypeError, match="'text'"):
        getattr(encoder, method)(bad)
    with pytest.raises(NotFittedError):
        encoder.transform(table)
    expected = encoder.fit_transform(table)
    with pytest.raises(TypeError, match="'text'"):
        getattr(encoder, method)(bad)
    np.testing.assert_array_equal(encoder.transform(table), expected)
    with pytest.raises(ValueError, match="bins='tree' needs y"):
        getattr(encoder.set_params(bins="tree", n_bins=4), method)(table)
    np.testing.assert_array_equal(encoder.transform(table), expected)


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
        for other, table in tables.items():
            if unit == other:
                encoder.transform(table)
                continue
            message = f"Column 'day' holds {unit}s in fit, and {other}s now"
            with pytest.raises(ValueError, match=message):
                encoder.transform(table)
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
    table = pyarrow.Table.from_pandas(frame)
    np.testing.assert_array_equal(encoder.transform(table), encoder.transform(frame))
    with pytest.raises(ValueError, match="same order"):
        encoder.transform(table.select(["t", "x"]))


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
    frame = pl.DataFrame({"c": column}) if isinstance(column, pl.Series) else {"c": column}
    frame = frame if isinstance(frame, pl.DataFrame) else pd.DataFrame(frame)
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
        table = pd.DataFrame({"c": booleans.astype(dtype)})
        np.testing.assert_array_equal(encoder.transform(table), expected)
        np.testing.assert_array_equal(read.transform(table), expected)


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
    table = pd.DataFrame({"c": pd.Categorical([1j, 2.0, 1j] * 9)})
    assert TableEncoder().fit_transform(table).sum() == 27


def test_dictionaries_of_arrow_are_categories():
    pyarrow = pytest.importorskip("pyarrow")
    codes = pyarrow.array([1, 2, 3] * 9).dictionary_encode()
    series = pd.Series(codes, dtype=pd.ArrowDtype(codes.type))
    for table in (pyarrow.table({"id": codes}), pd.DataFrame({"id": series})):
        names = TableEncoder().fit(table).get_feature_names_out()
        assert names.tolist() == ["id_1", "id_2", "id_3"]


def test_intervals_are_categories():
    ages = pd.DataFrame({"age": pd.cut(np.arange(20.0), [-1, 9, 19])})
    encoder = TableEncoder().fit(ages)
    assert encoder.get_feature_names_out().tolist() == ["age_(-1, 9]", "age_(9, 19]"]
    np.testing.assert_array_equal(encoder.transform(ages).argmax(axis=1), np.arange(20) > 9)


def test_cell_that_cannot_be_encoded_is_named_in_prediction_too():
    table = pd.DataFrame({"t": list("abc") * 9, "x": np.arange(27.0)}).astype(object)
    encoder = TableEncoder(["t"]).fit(table)
    for column, cell in (("t", [1, 2]), ("x", 1j)):
        wrong = table.copy()
        wrong.at[3, column] = cell
        with pytest.raises(TypeError, match=f"Column '{column}' has values of type"):
            encoder.transform(wrong)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%y", "%Y/%m/%d %H:%M"])
def test_dates_that_are_text_are_told(form):
    days = pd.date_range("2020-01-01", periods=100)
    table = pd.DataFrame({"when": days.strftime(form), "number": np.arange(100)})
    with pytest.warns(UserWarning, match="Column 'when' holds dates as text.*to_datetime"):
        TableEncoder().fit(table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TableEncoder().fit(table.assign(when=days))
        TableEncoder().fit(table.assign(when=[f"{k}-{k}-x" for k in range(100)]))


def test_text_where_dates_were(rng):
    table = pd.DataFrame({"when": pd.date_range("2020-01-01", periods=20)})
    encoder = TableEncoder().fit(table)
    with pytest.raises(ValueError, match="Column 'when' is of numbers or dates, and holds '2020"):
        encoder.transform(table.astype(str))


def test_decimals_of_any_nan_are_gaps():
    column = [Decimal(k) for k in range(8)] + [Decimal("NaN"), Decimal("sNaN"), Decimal("-sNaN")]
    encoded = TableEncoder(missing_indicator=True).fit_transform(pd.DataFrame({"a": column}))
    np.testing.assert_array_equal(encoded[:, -1], [0] * 8 + [1] * 3)


# ---------------------------------------------------------------------- numbers that are names


def make_codes(rng, n_rows=2000):
    """Return a table of codes and a smooth number, and labels that depend on both."""
    codes, smooth = rng.randint(0, 60, n_rows), rng.randint(0, 60, n_rows)
    log_odds = rng.standard_normal(60)[codes] * 1.5 + smooth / 20 - 1.5
    y = rng.rand(n_rows) < 1 / (1 + np.exp(-log_odds))
    return pd.DataFrame({"code": codes, "smooth": smooth, "real": rng.rand(n_rows)}), y


def test_numbers_whose_values_tell_more_than_their_neighbourhood_are_names_too(rng):
    X, y = make_codes(rng)
    encoder = TableEncoder(random_state=0).fit(X, y)
    names = encoder.get_feature_names_out().tolist()
    assert [name for name in names if "log_odds" in name] == ["code_log_odds"]
    theirs = TargetEncoder(smooth=10.0, target_type="binary").fit(X[["code"]], y)
    p, prior = theirs.transform(X[["code"]])[:, 0], theirs.target_mean_
    above = np.log(p / (1 - p)) - np.log(prior / (1 - prior))
    found = encoder.transform(X)[:, names.index("code_log_odds")]
    np.testing.assert_allclose(found, clip_smoothly(above), rtol=1e-5, atol=1e-6)
    others = encoder.transform(X.assign(code=[*range(60, 90), *[np.nan] * (len(X) - 30)]))
    np.testing.assert_array_equal(others[:, names.index("code_log_odds")], 0)


def test_names_are_the_same_in_every_dtype(rng):
    X, y = make_codes(rng)
    X["code"] = X["code"] / 10  # no float has most of them
    narrow = X.astype(np.float32)
    wide = TableEncoder(random_state=0).fit(X, y)
    place = wide.get_feature_names_out().tolist().index("code_log_odds")
    of_float32 = TableEncoder(random_state=0).fit(narrow, y)
    for encoder in (wide, of_float32):
        for table in (X, narrow, X.astype(object), pl.from_pandas(X)):
            np.testing.assert_array_equal(
                encoder.transform(table)[:, place], wide.transform(X)[:, place]
            )


@pytest.mark.parametrize("first", [2**24, 20240101, 10**12, -(2**40)])
@pytest.mark.parametrize("step", [1, 2])
def test_large_codes_are_names_as_small_ones_are(first, step, rng):
    X, y = make_codes(rng)
    large = X.assign(code=first + step * X["code"])
    small, encoder = (TableEncoder(random_state=0).fit(table, y) for table in (X, large))
    np.testing.assert_array_equal(encoder.transform(large), small.transform(X))
    place = encoder.get_feature_names_out().tolist().index("code_log_odds")
    unseen = encoder.transform(large.assign(code=first + step * 60))
    np.testing.assert_array_equal(unseen[:, place], 0)


def test_codes_that_float32_makes_one_are_none_of_its_numbers(rng):
    X, y = make_codes(rng)
    X["code"] += 2**25  # of which float32 has every fourth
    encoder = TableEncoder(random_state=0).fit(X, y)
    place = encoder.get_feature_names_out().tolist().index("code_log_odds")
    found = encoder.transform(X.astype(np.float32))[:, place]
    is_exact = X["code"].astype(np.float32) == X["code"]
    np.testing.assert_array_equal(found[is_exact], encoder.transform(X)[is_exact, place])
    between = X.assign(code=np.float32(2**25 + 400))
    np.testing.assert_array_equal(encoder.transform(between)[:, place], 0)


def test_number_of_float32_is_no_level_where_two_are_as_near():
    levels = [2.0**25 + 1, 2.0**25 + 2, 0.1]
    encoder = TableEncoder([0]).fit(np.repeat(levels, 2)[:, np.newaxis])
    narrow = np.float32([[2**25], [0.1]])
    np.testing.assert_array_equal(encoder.transform(narrow), [[0, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize("fitted", [np.float32, np.float64, "Float32", object])
@pytest.mark.parametrize("given", [np.float32, np.float64, "Float32", object])
def test_categories_that_are_numbers_are_the_same_in_every_dtype(fitted, given):
    X = pd.DataFrame({"size": [0.1, 0.2, 0.3, 0.1, 7.0, 7.0]})
    encoder = TableEncoder(["size"]).fit(X.astype(fitted))
    np.testing.assert_array_equal(encoder.transform(X.astype(given)), np.eye(4)[[0, 1, 2, 0, 3, 3]])


@pytest.mark.parametrize("parameters", [{"target_encoding": False}, {"y": None}])
def test_numbers_are_no_names_without_labels(rng, parameters):
    X, y = make_codes(rng)
    y = parameters.pop("y", y)
    encoder = TableEncoder(**parameters).fit(X, y)
    assert not any("log_odds" in name for name in encoder.get_feature_names_out())


def test_two_numbers_of_a_regression_are_no_labels(rng):
    X, y = make_codes(rng)
    encoder = TableEncoder().fit(X, y * 2.5)
    assert not encoder.encodes_target_


def test_names_of_noise_are_none(rng):
    X, _ = make_codes(rng)
    found = 0
    for _ in range(20):
        encoder = TableEncoder(random_state=0).fit(X, rng.randint(0, 2, len(X)))
        found += encoder.encodes_target_
    assert found <= 1  # of 40 tries; beyond three standard errors is one in 700


# ---------------------------------------------------------------------- what goes with a table


@pytest.mark.parametrize(("form", "freq"), [("%Y-%m-%d", "24h"), ("%Y-%m-%d %H:%M:%S", "7h")])
def test_dates_as_categories_are_those_of_a_file(form, freq):
    days = pd.date_range("2020-01-01 05:00", periods=4, freq=freq)
    if freq == "24h":
        days = days.normalize()
    dates = pd.DataFrame({"when": days.repeat(5)})
    texts = dates.assign(when=dates["when"].dt.strftime(form))
    of_dates = TableEncoder(["when"]).fit(dates)
    for encoder in (of_dates, TableEncoder().fit(texts)):
        for table in (dates, texts, dates.astype(object)):
            np.testing.assert_array_equal(encoder.transform(table), of_dates.transform(dates))
    assert of_dates.get_feature_names_out().tolist() == [f"when_{t}" for t in days.strftime(form)]


def test_durations_as_categories_have_whole_names():
    hours = pd.DataFrame({"d": pd.to_timedelta([1, 2] * 30, unit="h")})
    names = TableEncoder(["d"]).fit(hours).get_feature_names_out().tolist()
    assert names == ["d_3600000000 microseconds", "d_7200000000 microseconds"]


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
