"""Columns that are not of numbers: named, whatever table holds them, and never trained on."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow
import pytest

from skdnn import DeepBinaryClassifier
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
