"""TableEncoder on tables of every kind, against scikit-learn's own parts where they exist."""

import datetime
import pickle
import tracemalloc
from decimal import Decimal

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, RobustScaler, TargetEncoder
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdnn.preprocessing import TableEncoder
from skdnn.preprocessing.encodings import learn_bins, learn_number
from tests.tables import clip_smoothly, encode


@parametrize_with_checks([TableEncoder(), TableEncoder(n_bins=0, missing_indicator=True)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ---------------------------------------------------------------------- numbers


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


def test_dates_are_a_number_that_grows(mixed):
    encoded = encode(mixed[["day"]])
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


def test_level_never_seen_is_none_of_the_levels(mixed):
    encoder = TableEncoder().fit(mixed)
    new = mixed.assign(text="never")
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
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    p = theirs.set_params(cv=folds).fit_transform(X, y)[:, 0]
    above = np.log(p / (1 - p)) - np.log(prior / (1 - prior))
    crossed = TableEncoder(max_levels=10, random_state=0).fit_transform(X, y)[:, place]
    np.testing.assert_allclose(crossed, clip_smoothly(above), rtol=1e-5, atol=1e-6)


def test_log_odds_are_learned_where_metadata_are_routed(rng):
    X, y = rng.randint(0, 100, (1500, 1)), rng.randint(0, 2, 1500)
    expected = TableEncoder([0], random_state=0).fit_transform(X, y)
    with sklearn.config_context(enable_metadata_routing=True):
        np.testing.assert_array_equal(
            TableEncoder([0], random_state=0).fit_transform(X, y), expected
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


@pytest.mark.parametrize("columns", [[1], [False, True]])
def test_columns_may_be_given_as_objects(columns, rng):
    X = rng.randint(0, 4, (100, 2))
    np.testing.assert_array_equal(
        TableEncoder(np.array(columns, object)).fit_transform(X),
        TableEncoder(columns).fit_transform(X),
    )


@pytest.mark.parametrize(
    ("columns", "types"),
    [(["age", 1], "int, str"), ([0.5], "float"), ([b"age"], "bytes")],
)
def test_columns_given_by_what_names_none_are_refused(columns, types, mixed):
    with pytest.raises(ValueError, match=f"all of one type: str, int or bool. Got {types}: "):
        TableEncoder(columns).fit(mixed)


def test_name_that_is_no_column_is_named(mixed):
    with pytest.raises(ValueError, match="'age', which is no column"):
        TableEncoder(["age"]).fit(mixed)


def test_levels_of_mixed_types_are_text():
    X = pd.DataFrame({"x": pd.Series([1, "a", 2.0, None], dtype=object)})
    encoder = TableEncoder().fit(X)
    assert encoder.get_feature_names_out().tolist() == ["x_1", "x_2", "x_a"]
    np.testing.assert_array_equal(encoder.transform(X[:2]), [[1, 0, 0], [0, 0, 1]])


# ---------------------------------------------------------------------- tables


def test_nullable_types_encode_the_same(mixed):
    expected = TableEncoder().fit_transform(mixed)
    np.testing.assert_array_equal(TableEncoder().fit_transform(mixed.convert_dtypes()), expected)


def test_arrow_types_encode_the_same(mixed):
    arrow = mixed.convert_dtypes(dtype_backend="pyarrow")
    np.testing.assert_array_equal(
        TableEncoder().fit_transform(arrow), TableEncoder().fit_transform(mixed)
    )


def test_polars_encodes_the_same(mixed):
    mixed = mixed.drop(columns="code")  # polars has no categories that are numbers
    np.testing.assert_array_equal(
        TableEncoder().fit_transform(pl.from_pandas(mixed)), TableEncoder().fit_transform(mixed)
    )


def test_object_array_encodes_the_same(mixed):
    mixed = mixed.drop(columns=["code", "day"])
    np.testing.assert_array_equal(
        TableEncoder().fit_transform(mixed.astype(object).to_numpy()),
        TableEncoder().fit_transform(mixed),
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
def test_set_output(mixed, library):
    encoder = TableEncoder().set_output(transform=library)
    encoded = encoder.fit_transform(mixed)
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
    X = scipy.sparse.random(50, 20, 0.2, "csr", random_state=0) * 7
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
def test_encoder_travels(mixed, copy):
    encoder = TableEncoder().fit(mixed)
    assert copy(encoder) is not None


def test_pickle_encodes_the_same(mixed):
    encoder = TableEncoder().fit(mixed)
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(again.transform(mixed), encoder.transform(mixed))


def test_fit_takes_little_more_than_the_table(rng):
    X = rng.standard_normal((100_000, 20)).astype(np.float32)
    tracemalloc.start()
    TableEncoder().fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * X.nbytes


@pytest.mark.parametrize("index", [-3, 2])
def test_index_that_is_no_column_is_named(index):
    with pytest.raises(ValueError, match=f"holds the index {index}, but X has 2 columns"):
        TableEncoder([index]).fit(np.eye(4)[:, :2])


def test_mask_of_the_user_is_left_as_it_is():
    mask = np.array([False, False])
    X = pd.DataFrame({"number": [1.0, 2.0, 3.0], "text": ["a", "b", "a"]})
    assert TableEncoder(mask).fit(X).categorical_features_.tolist() == [False, True]
    assert not mask.any()


def test_infinity_is_a_range_beyond_the_finite_numbers():
    number = learn_number(np.array([0, 1, 2, np.inf, np.inf, np.inf]))
    # as 0, 1, 2, 4, 4, 4: quartiles of 1.25 and 4 around a median of 3
    assert (number.center, number.scale) == pytest.approx((3, 1 / 2.75))


def test_number_that_would_fill_a_bin_is_an_edge_and_the_rest_share_the_others():
    numbers = np.concatenate([np.zeros(40), np.arange(1, 61)]).astype(np.float32)
    edges = learn_bins(numbers, 4, None)
    np.testing.assert_allclose(edges, [0, 1, 1 + 59 / 3, 1 + 2 * 59 / 3, 60], rtol=1e-6)


def test_tree_splits_the_rows_without_gaps():
    numbers = np.concatenate([np.full(20, np.nan), np.arange(40)]).astype(np.float32)
    edges = learn_bins(numbers, 2, numbers >= 10)
    assert edges.tolist() == [0, 9.5, 39]


def test_outputs_of_one_name_are_numbered(rng):
    X = pd.DataFrame({"x_y_z": rng.rand(20), "x": ["y_z", "a"] * 10, "x_y": ["b", "z"] * 10})
    names = TableEncoder(n_bins=0).fit(X).get_feature_names_out()
    assert names.tolist() == ["x_y_z", "x_a", "x_y_z_2", "x_y_b", "x_y_z_3"]
