"""Columns that are not of numbers: named, whatever table holds them, and never trained on."""

import datetime

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow
import pytest

from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier
from skdnn.preprocessing import TableEncoder
from tests.models import assert_same_bits, make_model

y = np.arange(20) % 2
NUMBERS = np.arange(20.0)
DATES = np.datetime64("2026-11-27", "us") + np.arange(20)
DURATIONS = np.arange(20).astype("timedelta64[us]")
DAYS = [datetime.date(2026, 11, 27)] * 20
TIMES = [datetime.time(12)] * 20

COLUMNS = {
    "text": (pd.DataFrame, list("ab" * 10)),
    "text of polars": (pl.DataFrame, list("ab" * 10)),
    "text of pyarrow": (pyarrow.table, list("ab" * 10)),
    "dicts": (pd.DataFrame, [{}] * 20),
    "dates": (pd.DataFrame, DATES),
    "zoned dates": (pd.DataFrame, pd.Series(DATES).dt.tz_localize("UTC")),
    "durations": (pd.DataFrame, DURATIONS),
    "objects that are dates": (pd.DataFrame, pd.Series([*DATES], dtype=object)),
    "objects that are durations": (pd.DataFrame, pd.Series([*DURATIONS], dtype=object)),
    "categories of dates": (pd.DataFrame, pd.Series(DATES).astype("category")),
    "arrow dates": (pd.DataFrame, pd.Series(DATES).astype("timestamp[us][pyarrow]")),
    "arrow days": (pd.DataFrame, pd.Series(DAYS).astype("date32[pyarrow]")),
    "days of polars": (pl.DataFrame, DAYS),
    "dates of polars": (pl.DataFrame, DATES),
    "zoned dates of polars": (pl.DataFrame, pl.Series(DATES).dt.replace_time_zone("UTC")),
    "durations of polars": (pl.DataFrame, DURATIONS),
    "times of polars": (pl.DataFrame, TIMES),
    "objects of polars": (pl.DataFrame, pl.Series([*DATES], dtype=pl.Object)),
    "days of pyarrow": (pyarrow.table, DAYS),
    "dates of pyarrow": (pyarrow.table, DATES),
    "durations of pyarrow": (pyarrow.table, DURATIONS),
}


@pytest.mark.parametrize("is_alone", [False, True])
@pytest.mark.parametrize(("frame", "column"), COLUMNS.values(), ids=COLUMNS)
def test_column_that_is_not_of_numbers_is_named(frame, column, is_alone):
    numbers = {} if is_alone else {"number": NUMBERS}
    with pytest.raises((TypeError, ValueError), match=r"Column 'other' of X.*TableEncoder"):
        DeepBinaryClassifier().fit(frame({**numbers, "other": column}), y)


ARRAYS = {
    "dates": DATES[:, np.newaxis],
    "durations": DURATIONS[:, np.newaxis],
    "objects": np.array([[1.0, date] for date in DATES], object),
    "lists": [[date] for date in DATES],
    "lists of numbers and durations": [[1.0, duration] for duration in DURATIONS],
}


@pytest.mark.parametrize("X", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict"])
def test_dates_of_an_array_are_refused(X, method):
    model = DeepBinaryClassifier(max_iter=2, tol=None).fit(np.ones((20, len(X[0]))), y)
    arguments = (X,) if method == "predict" else (X, y)
    with pytest.raises(TypeError, match=r"X holds .*, and is not of numbers.*TableEncoder"):
        getattr(model, method)(*arguments)


def test_dates_of_validation_rows_are_named_as_theirs():
    X_val = pd.DataFrame({"number": DATES})
    X = pd.DataFrame({"number": NUMBERS})
    model = DeepBinaryClassifier(early_stopping=True)
    with pytest.raises(TypeError, match="X_val and y_val cannot be used: Column 'number'"):
        model.fit(X, y, X_val=X_val, y_val=y)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pyarrow.table])
def test_columns_of_numbers_are_trained_on_whatever_holds_them(frame):
    columns = {"a": NUMBERS, "b": np.arange(20), "c": NUMBERS > 3}
    X = np.column_stack([*columns.values()])
    of_frame, of_array = (make_model(max_iter=3).fit(rows, y) for rows in (frame(columns), X))
    assert_same_bits(of_frame, of_array)


@pytest.mark.parametrize("column", ["dates", "zoned dates", "durations", "days of polars"])
def test_dates_without_an_encoder_are_named(column):
    frame, dates = COLUMNS[column]
    model = DeepEnsembleClassifier(make_model(hidden=(), max_iter=2), n_estimators=2, encoder=None)
    X = frame({"number": NUMBERS, "other": dates})
    with pytest.raises(TypeError, match=r"Column 'other' of X.* leave encoder=None out"):
        model.fit(X, y)
    model.fit(X[["number"]], y)
    with pytest.raises(TypeError, match=r"Column 'number' of X.* leave encoder=None out"):
        model.predict(frame({"number": dates}))


def test_text_without_an_encoder_is_named():
    model = DeepEnsembleClassifier(make_model(hidden=(), max_iter=2), n_estimators=2, encoder=None)
    X = pd.DataFrame({"number": NUMBERS, "other": ["a", "b"] * 10})
    with pytest.raises(ValueError, match=r"Column 'other' of X.* leave encoder=None out"):
        model.fit(X, y)
    model.fit(X[["number"]], y)
    with pytest.raises(ValueError, match=r"Column 'number' of X.* leave encoder=None out"):
        model.predict(pd.DataFrame({"number": X["other"]}))


def test_rows_that_are_not_collected_are_refused():
    X = pl.DataFrame({"a": NUMBERS})
    model = make_model(max_iter=2).fit(X, y)
    for method in (
        lambda lazy: model.fit(lazy, y),
        model.predict,
        lambda lazy: model.score(lazy, y),
    ):
        with pytest.raises(TypeError, match=r"X is a LazyFrame.* give X\.collect\(\)"):
            method(X.lazy())


def test_frame_of_dask_is_no_table_in_memory():
    X = pd.DataFrame({"a": NUMBERS})
    lazy = dd.from_pandas(X, npartitions=2)
    ensemble = DeepEnsembleClassifier(make_model(max_iter=2), n_estimators=2).fit(X, y)
    for method in (lambda rows: ensemble.fit(rows, y), ensemble.predict, TableEncoder().fit):
        with pytest.raises(TypeError, match=r"DataFrame of Dask.* give X\.compute\(\), or take"):
            method(lazy)


@pytest.mark.parametrize("name", ["Int128", "UInt128"])
def test_long_integers_of_polars_are_numbers_with_and_without_gaps(name):
    dtype = getattr(pl, name, None)
    if dtype is None:
        pytest.skip(f"polars {pl.__version__} has no {name}")
    numbers = [*range(9), 2**70]
    X = pl.DataFrame({"a": pl.Series(numbers, dtype=dtype)})
    expected = TableEncoder().fit(pl.DataFrame({"a": [float(number) for number in numbers]}))
    encoded = TableEncoder().fit_transform(X)
    np.testing.assert_array_equal(encoded, expected.transform(X))
    gaps = pl.concat([X, pl.DataFrame({"a": pl.Series([None], dtype=dtype)})])
    assert TableEncoder().fit_transform(gaps).shape[0] == 11


def test_integers_that_float64_makes_the_same_are_a_copy_in_it():
    X = pd.DataFrame({"a": 2**60 + 300 * np.arange(20), "b": NUMBERS**2})
    X = X.assign(c=X["a"] + 1, d=X["a"])
    assert TableEncoder().fit(X).dropped_features_ == {
        "c": "a copy of 'a' in float64",
        "d": "a copy of 'a'",
    }
