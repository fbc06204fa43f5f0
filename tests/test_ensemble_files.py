"""Ensembles in files: the same bits, little more than the parameters, nothing from forged ones."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier, load_model, save_model
from skdnn.__main__ import main
from skdnn.container.container import ModelFileError, open_container, write_container
from skdnn.preprocessing import TableEncoder

SMALL = DeepBinaryClassifier((4,), learning_rate_init=0.01, max_iter=3, tol=None)


@pytest.fixture(scope="module")
def table():
    """Return a table with every kind of column, and labels."""
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "real": rng.standard_normal(300),
            "gaps": np.where(rng.rand(300) < 0.3, np.nan, 1.0),
            "text": rng.choice(["x", "y", "z"], 300),
            "ids": [f"id{k % 100}" for k in range(300)],
            "code": pd.Categorical(rng.choice([1, 2, 3], 300)),
            "one": 1,
        }
    )
    return frame, rng.choice(["no", "yes"], 300)


def small(**parameters):
    return DeepEnsembleClassifier(**({"n_estimators": 3, "random_state": 0} | parameters))


def travel(model, tmp_path):
    save_model(model, tmp_path / "model.h5")
    return load_model(tmp_path / "model.h5")


def test_gaps_that_are_told_of_travel(tmp_path):
    rng = np.random.RandomState(0)
    X, y = rng.standard_normal((300, 2)), rng.rand(300) < 0.4
    X[np.where(rng.rand(300) < 0.8, y, rng.rand(300) < 0.4), 0] = np.nan
    X[::9, 1] = np.nan
    model = small().fit(X, y)
    loaded = travel(model, tmp_path)
    names = loaded.encoder_.get_feature_names_out().tolist()
    assert "x0_missing" in names
    assert "x1_missing" not in names
    np.testing.assert_array_equal(loaded.member_proba(X), model.member_proba(X))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"n_estimators": 8},
        {"estimator": SMALL, "cv": 3},
        {"encoder": TableEncoder(bins="tree", missing_indicator=True, target_encoding=False)},
        {"kinds": [(TableEncoder(n_bins=2, max_levels=200), None), ("auto", SMALL, 0.5)]},
        {"categorical_features": ["text", "ids", "code", "one"]},
    ],
    ids=["default", "two kinds", "estimator", "tree", "kinds", "columns"],
)
def test_loaded_ensemble_predicts_the_same_bits(table, tmp_path, parameters):
    X, y = table
    model = small(**parameters).fit(X, y)
    loaded = travel(model, tmp_path)
    np.testing.assert_array_equal(loaded.member_proba(X), model.member_proba(X))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.oof_log_loss_ == model.oof_log_loss_
    assert loaded.feature_names_in_.tolist() == model.feature_names_in_.tolist()
    assert loaded.encoder_.dropped_features_ == model.encoder_.dropped_features_
    assert loaded.encoder_.uses_target_ == model.encoder_.uses_target_
    assert loaded.get_params(deep=False).keys() == model.get_params(deep=False).keys()
    assert repr(loaded) == repr(model)


def test_equal_ensembles_give_equal_bytes(table, tmp_path):
    for name in "ab":
        save_model(small().fit(*table), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_loaded_ensemble_predicts_sparse_rows_whatever_output_is_configured(tmp_path):
    X = scipy.sparse.random_array((60, 3), density=0.5, format="csr", rng=0)
    model = small(estimator=SMALL).fit(X, np.arange(60) % 2)
    loaded = travel(model, tmp_path)
    with sklearn.config_context(transform_output="pandas"):
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_ensembles_of_arrays_and_sparse_matrices(tmp_path):
    X = np.random.RandomState(0).standard_normal((60, 3))
    y = X[:, 0] > 0
    for encoder, rows in (("auto", scipy.sparse.csr_array(X)), (None, X)):
        model = small(encoder=encoder, estimator=SMALL).fit(rows, y)
        np.testing.assert_array_equal(
            travel(model, tmp_path).predict_proba(rows), model.predict_proba(rows)
        )


def test_file_is_little_more_than_the_parameters(table, tmp_path):
    model = small(n_estimators=8).fit(*table)
    save_model(model, tmp_path / "model.h5")
    parameters = sum(
        array.nbytes for m in model.estimators_ for array in (*m.coefs_, *m.intercepts_)
    )
    assert (tmp_path / "model.h5").stat().st_size <= 1.05 * parameters + 200_000


def test_loaded_ensemble_cannot_add_networks(table, tmp_path):
    loaded = travel(small(warm_start=True, estimator=SMALL).fit(*table), tmp_path)
    with pytest.raises(ValueError, match="loaded from a file"):
        loaded.set_params(n_estimators=4).fit(*table)


def test_other_encoder_is_refused(table, tmp_path):
    X, y = table
    model = small(encoder=StandardScaler(), estimator=SMALL).fit(X[["real"]], y)
    with pytest.raises(ValueError, match="no StandardScaler: save this ensemble with joblib"):
        save_model(model, tmp_path / "model.h5")
    assert not (tmp_path / "model.h5").exists()


def test_info_tells_of_the_networks(table, tmp_path, capsys):
    wrapped = clone(SMALL).set_params(batch_size=50, learning_rate_init=0.01, beta_1=0.95)
    save_model(small(estimator=wrapped).fit(*table), tmp_path / "model.h5")
    main(["info", str(tmp_path / "model.h5")])
    printed = capsys.readouterr().out
    assert f"  estimator = {' '.join(repr(wrapped).split())}\n" in printed
    assert "out-of-fold log loss: 0." in printed
    assert "-> 4 -> 1, best epoch" in printed


@pytest.fixture(scope="module")
def contents(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("ensemble") / "model.h5"
    save_model(small(estimator=SMALL).fit(*table), path)
    return open_container(path)


def forged(contents, tmp_path, attributes=None, arrays=None):
    path = tmp_path / "forged.h5"
    write_container(
        path,
        kind="ensemble",
        attributes=contents.attributes | (attributes or {}),
        arrays=contents.arrays | (arrays or {}),
    )
    return path


@pytest.mark.parametrize(
    ("attributes", "arrays"),
    [
        ({"n_networks": 2}, {}),
        ({"n_networks": 10**9}, {}),
        ({"n_encoders": 0}, {}),
        ({"unknown": 1}, {}),
        ({"oof_log_loss_": 1}, {}),
        ({}, {"encoder_of": np.array([0, 1, 99])}),
        ({}, {"estimator_weights": np.array([np.nan, 1, 1])}),
        ({}, {"encoders/0/columns/source": np.array([0, 1, 2, 3, 99])}),
        ({}, {"encoders/0/columns/n_edges": np.array([-1, 0, 0, 0, 0])}),
        ({}, {"encoders/0/columns/codes": np.array([10**6])}),
        ({}, {"encoders/0/columns/is_float32": np.zeros(1, bool)}),
        ({}, {"encoders/0/columns/edges": np.zeros(9, np.float32)}),
        ({}, {"encoders/0/columns/level_sizes": np.array([-1, 2])}),
        ({}, {"encoders/0/columns/level_sizes": np.array([2**62] * 4)}),
        ({}, {"encoders/0/columns/level_bytes": np.full(3, 255, np.uint8)}),
        ({}, {"unknown": np.zeros(3)}),
    ],
)
def test_forged_file_is_an_error(contents, tmp_path, attributes, arrays):
    with pytest.raises(ModelFileError):
        load_model(forged(contents, tmp_path, attributes, arrays))


def replaced(place, value):
    def replace(array):
        array = array.copy()
        array[place] = value(array) if callable(value) else value
        return array

    return replace


def appended(array):
    return np.append(array, array[-1:])


FORGERIES = [
    ("encoder_of", replaced(0, -1)),
    ("estimator_weights", replaced(0, -0.1)),
    ("encoders/0/categorical", lambda mask: mask.astype(np.int8)),
    ("encoders/0/columns/center", replaced(0, np.nan)),
    ("encoders/0/columns/unit", replaced(0, 4)),
    ("encoders/0/columns/unit", replaced(0, -1)),
    ("encoders/0/columns/source", replaced(0, -1)),
    ("encoders/0/columns/edges", replaced(1, lambda edges: edges[0])),
    ("encoders/0/columns/edges", replaced(1, lambda edges: edges[0] - 1)),
    ("encoders/0/columns/edges", appended),
    ("encoders/0/columns/codes", appended),
    ("encoders/0/columns/codes", replaced(0, -1)),
    ("encoders/0/columns/level_bytes", appended),
    ("encoders/0/columns/level_bytes", lambda encoded: encoded[:-1]),
]


@pytest.mark.parametrize(("name", "forge"), FORGERIES)
def test_each_entry_is_checked_by_itself(name, forge, contents, tmp_path):
    with pytest.raises(ModelFileError):
        load_model(forged(contents, tmp_path, arrays={name: forge(contents.arrays[name])}))


@pytest.mark.parametrize("levels", [[1.0, 1.0, 3.0], [2.0, 1.0, 3.0]])
def test_levels_must_increase(levels, tmp_path):
    X, y = np.repeat([1.0, 2.0, 3.0], 10)[:, np.newaxis], np.arange(30) % 2
    model = small(encoder=TableEncoder([0]), estimator=SMALL).fit(X, y)
    save_model(model, tmp_path / "model.h5")
    whole = open_container(tmp_path / "model.h5")
    name = "encoders/0/columns/number_levels"
    assert whole.arrays[name].tolist() == [1, 2, 3]
    with pytest.raises(ModelFileError, match="not in order"):
        load_model(forged(whole, tmp_path, arrays={name: np.array(levels)}))
    with pytest.raises(ModelFileError, match="one place among the encoders"):
        load_model(forged(whole, tmp_path, arrays={"encoder_of": np.array([0, 0, -1])}))
    for code in (3, -1):
        arrays = {"encoders/0/columns/codes": np.array([0, 1, code])}
        with pytest.raises(ModelFileError, match="do not fit together"):
            load_model(forged(whole, tmp_path, arrays=arrays))


def test_forged_copy_without_changes_is_read(contents, tmp_path):
    assert isinstance(load_model(forged(contents, tmp_path)), DeepEnsembleClassifier)


def test_one_long_text_among_many_does_not_blow_up_the_file(table, tmp_path):
    X, y = table
    texts = [f"review {k}" for k in range(len(X))]
    texts[0], texts[1] = "x" * 200_000, "with \0"
    X = pd.DataFrame({"text": texts, "real": np.arange(len(X))})
    model = small(estimator=SMALL).fit(X, y)
    save_model(model, tmp_path / "model.h5")
    assert (tmp_path / "model.h5").stat().st_size < 5 * 200_000
    loaded = load_model(tmp_path / "model.h5")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_levels_of_many_encoders_stand_in_a_file_once(tmp_path):
    rng = np.random.RandomState(0)
    codes = rng.randint(0, 250, (2500, 12)).astype(float)
    codes[:20, 1] = np.inf
    y = rng.rand(2500) < 1 / (1 + np.exp(-2 * rng.standard_normal(250)[rng.randint(0, 250, 2500)]))
    y[codes[:, 0] < 40] = True
    model = DeepEnsembleClassifier(n_estimators=12, random_state=0).fit(codes, y)
    save_model(model, tmp_path / "model.h5")
    loaded = load_model(tmp_path / "model.h5")
    np.testing.assert_array_equal(loaded.predict_proba(codes), model.predict_proba(codes))
    n_bytes = sum(part.nbytes for e in model.estimators_ for part in (*e.coefs_, *e.intercepts_))
    assert (tmp_path / "model.h5").stat().st_size < 1.05 * n_bytes + 200_000


def codes_and_labels(dtype):
    """Return a table of 60 numbers that are names, none a whole one, and labels."""
    rng = np.random.RandomState(0)
    codes = rng.randint(0, 60, 2000)
    y = rng.rand(2000) < 1 / (1 + np.exp(-2 * rng.standard_normal(60)[codes]))
    return (codes[:, np.newaxis] / 10).astype(dtype), y


@pytest.mark.parametrize("fitted", [np.float32, np.float64])
def test_names_keep_the_dtype_that_they_were_learned_in(fitted, tmp_path):
    model = small(estimator=SMALL).fit(*codes_and_labels(fitted))
    loaded = travel(model, tmp_path)
    for given in (np.float32, np.float64):
        X, _ = codes_and_labels(given)
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
        of_fit = model.predict_proba(codes_and_labels(fitted)[0])
        assert_allclose(model.predict_proba(X), of_fit, atol=1e-5)


def test_levels_that_are_none_of_their_dtype_are_an_error(tmp_path):
    save_model(small(estimator=SMALL).fit(*codes_and_labels(np.float64)), tmp_path / "model.h5")
    contents = open_container(tmp_path / "model.h5")
    narrow = {
        name: np.ones_like(array)
        for name, array in contents.arrays.items()
        if name.endswith("is_float32")
    }
    with pytest.raises(ModelFileError, match="column 0 are no numbers of float32"):
        load_model(forged(contents, tmp_path, arrays=narrow))
