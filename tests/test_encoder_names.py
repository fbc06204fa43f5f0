"""What labels tell an encoder of: numbers that are names, and gaps."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.preprocessing import TargetEncoder

from skdnn import DeepEnsembleClassifier
from skdnn.preprocessing import TableEncoder
from skdnn.preprocessing.log_odds import gaps_tell
from tests.tables import clip_smoothly


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


def make_codes(rng, n_rows=2000):
    """Return a table of codes and a smooth number, and labels that depend on both."""
    codes, smooth = rng.randint(0, 60, n_rows), rng.randint(0, 60, n_rows)
    log_odds = rng.standard_normal(60)[codes] * 1.5 + smooth / 20 - 1.5
    y = rng.rand(n_rows) < 1 / (1 + np.exp(-log_odds))
    return pd.DataFrame({"code": codes, "smooth": smooth, "real": rng.rand(n_rows)}), y


def test_ids_of_a_few_rows_each_are_names(rng):
    # as of a panel: what is asked of a person does not change from year to year
    ids = np.repeat(rng.permutation(300), 3)
    X = pd.DataFrame({"id": ids, "real": rng.rand(900), "count": rng.randint(0, 60, 900)})
    y = (rng.rand(300) < 0.5)[ids]
    names = TableEncoder(random_state=0).fit(X, y).get_feature_names_out()
    assert [name for name in names if "log_odds" in name] == ["id_log_odds"]
    train = rng.permutation(900)[:600]
    test = np.setdiff1d(np.arange(900), train)
    model = DeepEnsembleClassifier(n_estimators=8, random_state=0).fit(X.iloc[train], y[train])
    assert model.score(X.iloc[test], y[test]) > 0.8


def test_what_no_labels_tell_is_not_prepared_as_names(rng):
    X, y = make_codes(rng)
    encoder = TableEncoder(random_state=0).fit(X, rng.permutation(y))
    assert not encoder.uses_target_
    assert encoder._n_prepared == 3


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
