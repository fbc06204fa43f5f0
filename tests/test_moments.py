"""Dates and durations of TableEncoder: any unit, whatever holds them."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from skdnn.preprocessing import TableEncoder
from skdnn.preprocessing.columns import Table
from skdnn.preprocessing.moments import seconds_of
from skdnn.preprocessing.values import categories_of, numbers_of, unit_of

UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns"]
PARTS = {"ns": 10**9, "ps": 10**12, "fs": 10**15, "as": 10**18}


@pytest.mark.parametrize("unit", UNITS)
def test_dates_are_seconds_in_every_unit(unit):
    dates = np.array(["1931-07-08T09:10:11.121314", "1970", "2024-02-29T12", "NaT"], f"M8[{unit}]")
    expected = dates.astype("M8[us]").astype(np.int64) / 1e6
    assert_array_equal(numbers_of(dates, "d")[:3], expected[:3])
    assert_array_equal(numbers_of(np.array([*dates[:3]], object), "d"), expected[:3])
    assert np.isnan(numbers_of(dates, "d")[3])


@pytest.mark.parametrize("kind", ["M8", "m8"])
@pytest.mark.parametrize("unit", PARTS)
def test_parts_of_a_microsecond_count(kind, unit):
    moments = np.array([-1, 0, 1, 1001], f"{kind}[{unit}]")
    np.testing.assert_allclose(numbers_of(moments, "d"), np.array([-1, 0, 1, 1001]) / PARTS[unit])
    encoded = TableEncoder(n_bins=0).fit_transform(moments[:, np.newaxis])
    assert (np.diff(encoded[:, 0]) > 0).all()


@pytest.mark.parametrize("kind", ["M8", "m8"])
def test_far_days_do_not_wrap_around(kind):
    days = np.array([-(10**10), -(10**9), 0, 10**9, 10**10], f"{kind}[D]")
    assert_array_equal(numbers_of(days, "d"), days.astype(np.int64) * 86400.0)
    assert_array_equal(numbers_of(np.array([*days, None])[:5], "d"), numbers_of(days, "d"))
    assert len(set(categories_of(days).tolist())) == 5


def test_longest_duration_of_python_is_a_number():
    values = np.array([datetime.timedelta.min, datetime.timedelta(0), datetime.timedelta.max])
    expected = [value.total_seconds() for value in values.tolist()]
    np.testing.assert_allclose(numbers_of(values, "d"), expected)


def test_moments_of_several_units_stand_in_one_column():
    values = np.array(
        [np.datetime64(1, "ns"), np.datetime64(10**9, "D"), datetime.date(1970, 1, 2), None]
    )
    assert_array_equal(numbers_of(values, "d"), [1e-9, 86400e9, 86400, np.nan])
    assert unit_of(values) == "date"


@pytest.mark.parametrize("kind", ["datetime64[ns]", "timedelta64[ns]", "datetime64[D]"])
def test_masked_moments_are_moments_with_a_gap(kind):
    moments = np.arange(6).reshape(3, 2).astype(kind)
    masked = np.ma.array(moments, mask=[[0, 0], [0, 1], [0, 0]])
    frame = pd.DataFrame(moments, columns=["x0", "x1"])
    frame.loc[1, "x1"] = pd.NaT
    encoder = TableEncoder(missing_indicator=True).fit(masked)
    assert {column.unit for _, column in encoder._columns} == {
        "date" if kind.startswith("date") else "duration"
    }
    expected = TableEncoder(missing_indicator=True).fit(frame)
    assert_array_equal(encoder.transform(masked), expected.transform(frame))
    with pytest.raises(ValueError, match=r"give (dates|durations) again"):
        encoder.transform(moments.astype(np.int64))


def nanoseconds(kind):
    """Return whole and broken microseconds."""
    return np.array([1_000, 1_001, 1_010, 10**9, 10**18 + 1], f"{kind}[ns]")


@pytest.mark.parametrize("kind", ["M8", "m8"])
@pytest.mark.parametrize(
    "hold",
    [
        pd.Series,
        lambda values: pd.Series(values).astype(object),
        pl.Series,
        lambda values: pd.Series(pa.array(values), dtype=pd.ArrowDtype(pa.array(values).type)),
        lambda values: pd.Series(list(values), dtype=object),
    ],
    ids=["pandas", "objects of pandas", "polars", "pyarrow", "objects of numpy"],
)
def test_nanoseconds_are_the_same_whatever_holds_them(kind, hold):
    moments = nanoseconds(kind)
    series = hold(moments)
    frame = pl.DataFrame({"x0": series}) if isinstance(series, pl.Series) else series.to_frame("x0")
    for parameters in ({"n_bins": 0}, {"categorical_features": [0]}):
        encoder = TableEncoder(**parameters).fit(moments[:, np.newaxis])
        names = encoder.get_feature_names_out().tolist()
        other = TableEncoder(**parameters).fit(frame)
        assert other.get_feature_names_out().tolist() == names
        assert_array_equal(other.transform(frame), encoder.transform(moments[:, np.newaxis]))


def test_nanoseconds_keep_their_digits_as_categories():
    assert categories_of(nanoseconds("M8")).tolist() == [
        "1970-01-01 00:00:00.000001",
        "1970-01-01 00:00:00.000001001",
        "1970-01-01 00:00:00.00000101",
        "1970-01-01 00:00:01",
        "2001-09-09 01:46:40.000000001",
    ]
    assert categories_of(nanoseconds("m8")).tolist() == [
        f"{number} microseconds"
        for number in ("1", "1.001", "1.01", "1000000", "1000000000000000.001")
    ]


def test_zoned_dates_keep_their_nanoseconds():
    dates = pd.Series(pd.to_datetime(nanoseconds("M8"))).dt.tz_localize("Asia/Tokyo")
    (encoded,) = TableEncoder(n_bins=0).fit_transform(dates.to_frame("d")).T
    assert (np.diff(encoded[:4]) > 0).all()


@pytest.mark.parametrize(
    "hold", [pd.Series, pl.Series, lambda days: pd.Series(days).astype(object)]
)
def test_dates_that_are_named_as_categories_are_not_warned_of(hold):
    days = hold(np.arange(100).astype("M8[D]").astype("M8[us]"))
    table = pl.DataFrame({"d": days}) if isinstance(days, pl.Series) else days.to_frame("d")
    encoder = TableEncoder(["d"], max_levels=20, min_frequency=1)
    assert encoder.fit_transform(table).shape == (100, 21)


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m", "s"])
def test_durations_are_as_many_seconds_as_numpy_takes_them_for(unit):
    durations = np.array([1, -3, 400], f"m8[{unit}]")
    assert_array_equal(seconds_of(durations), durations.astype("m8[s]").astype(float))


@pytest.mark.parametrize("step", [10, 25])
@pytest.mark.parametrize("unit", ["ms", "s", "m"])
def test_units_of_several_are_the_same_seconds(step, unit):
    counts = np.random.RandomState(0).randint(10**9, size=1000)
    several = counts.astype(f"datetime64[{step}{unit}]")
    single = several.astype(f"datetime64[{unit}]")
    assert_array_equal(seconds_of(several), seconds_of(single))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Rome", "Asia/Tokyo"])
@pytest.mark.parametrize("kind", ["datetime64[us, {}]", "timestamp[us, tz={}][pyarrow]"])
def test_moments_are_those_of_utc_in_every_zone(kind, zone):
    days = np.arange(366).astype("M8[D]").astype("M8[us]")
    dates = pd.Series(days).dt.tz_localize("UTC").astype(kind.format(zone))
    found = Table(dates.to_frame("d"), None, reset=True, is_checked=True).values(0)
    assert_array_equal(found, days, strict=True)


def test_dates_of_python_are_those_of_utc_in_every_zone():
    zone = datetime.timezone(datetime.timedelta(hours=9))
    dates = [
        datetime.datetime(2020, 1, 1, 9, tzinfo=zone),
        datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(2020, 1, 1),
    ]
    assert numbers_of(np.array(dates, object), "d").tolist() == [1_577_836_800] * 3
