"""ONNX files of encoders and ensembles take tables as they are: judged by onnxruntime."""

import re

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import scipy.sparse
import skl2onnx
from numpy.testing import assert_allclose
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skdnn.onnx
from skdnn import DeepBinaryClassifier
from skdnn.ensemble import DeepEnsembleClassifier
from skdnn.preprocessing import TableEncoder

NETWORK = DeepBinaryClassifier((8,), max_iter=3, tol=None)


@pytest.fixture(scope="module")
def table():
    """Return 1,000 rows of every kind of column, with gaps, and y."""
    rng = np.random.default_rng(0)
    n = 1000
    X = pd.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "fare": rng.lognormal(3, 2, n),
            "port": rng.choice(list("SCQ"), n),
            "deck": pd.Categorical(rng.choice(["A", "B"], n)),
            "class": pd.Categorical(rng.integers(1, 4, n)),
            "ticket": [f"t{k}" for k in rng.integers(0, 150, n)],
            "alone": rng.random(n) < 0.5,
            "constant": 1.0,
            "day": pd.Timestamp(2020, 1, 1) + pd.to_timedelta(rng.integers(0, 900, n), "D"),
        }
    )
    y = np.where((X["age"] > 40) ^ (X["port"] == "S"), "yes", "no")
    for name in ("age", "port", "deck", "class", "ticket"):
        X.loc[rng.random(n) < 0.2, name] = None
    return X, y


@pytest.fixture(scope="module")
def new_rows(table):
    """Return rows with categories and numbers that were never seen."""
    X = table[0].copy()
    X.loc[::9, "port"] = "unseen"
    X.loc[::7, "ticket"] = "unseen"
    X.loc[::5, "age"] = 1e9
    X.loc[3, "fare"], X.loc[4, "fare"] = np.inf, -np.inf
    return X


def run(graph, X, *, gap=None):
    """Return the outputs for a table; a missing text is ``gap``."""
    content = graph if isinstance(graph, str) else graph.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    if isinstance(X, np.ndarray):
        return session.run(None, {"X": X})
    feed = {}
    for node in session.get_inputs():
        column = X[node.name]
        if node.type == "tensor(string)":
            values = column.astype(object).where(column.notna(), gap).to_numpy(object)
        elif column.dtype.kind == "M":
            values = column.astype("datetime64[us]").astype(np.int64).to_numpy() / 1e6
        else:
            dtype = {"tensor(double)": np.float64, "tensor(float)": np.float32}[node.type]
            values = column.astype(np.float64).to_numpy(dtype)
        feed[node.name] = values[:, np.newaxis]
    return session.run(None, feed)


def convert(model, **options):
    options = {id(model): {"zipmap": False} | options} if hasattr(model, "classes_") else None
    return skl2onnx.to_onnx(model, initial_types=skdnn.onnx.input_types(model), options=options)


# ---------------------------------------------------------------------- TableEncoder


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"n_bins": 0, "missing_indicator": True},
        {"bins": "tree", "target_encoding": False},
        {"max_levels": 2},
    ],
    ids=str,
)
def test_encoded_tables_are_equal(parameters, table, new_rows):
    encoder = TableEncoder(random_state=0, **parameters).fit(*table)
    (encoded,) = run(convert(encoder), new_rows)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, encoder.transform(new_rows), rtol=0, atol=1e-6)


@pytest.mark.parametrize("gap", ["", None, np.nan, pd.NA], ids=repr)
def test_a_missing_text_is_empty_or_what_pandas_has(gap, table):
    X, y = table
    encoder = TableEncoder(random_state=0).fit(X, y)
    (encoded,) = run(convert(encoder), X, gap=gap)
    np.testing.assert_allclose(encoded, encoder.transform(X), rtol=0, atol=1e-6)


def test_empty_text_that_is_a_category_is_no_gap():
    X = pd.DataFrame({"port": ["", "S", "", "C", None] * 4})
    encoder = TableEncoder().fit(X)
    (encoded,) = run(convert(encoder), X)
    np.testing.assert_array_equal(encoded, encoder.transform(X))


def test_numbers_may_be_float32(table):
    X = table[0][["age", "fare"]].astype(np.float32)
    encoder = TableEncoder().fit(X)
    types = [(name, FloatTensorType([None, 1])) for name in X]
    (encoded,) = run(skl2onnx.to_onnx(encoder, initial_types=types), X)
    np.testing.assert_allclose(encoded, encoder.transform(X), rtol=0, atol=1e-6)


def test_matrix_of_numbers_is_one_input(table):
    X = table[0][["fare", "constant", "age"]].to_numpy()
    encoder = TableEncoder(categorical_features=[1]).fit(X)
    (encoded,) = run(convert(encoder), X)
    np.testing.assert_allclose(encoded, encoder.transform(X), rtol=0, atol=1e-6)


def test_rows_of_an_encoder_of_sparse_rows_are_dense():
    X = scipy.sparse.random(50, 4, 0.5, "csr", random_state=0, dtype=np.float32)
    encoder = TableEncoder().fit(X)
    (encoded,) = run(convert(encoder), X.toarray())
    np.testing.assert_allclose(encoded, encoder.transform(X).toarray(), rtol=1e-6)


def test_input_types_are_those_of_the_columns_in_fit(table):
    types = dict(skdnn.onnx.input_types(TableEncoder(random_state=0).fit(*table)))
    texts = [name for name, kind in types.items() if isinstance(kind, StringTensorType)]
    assert texts == ["port", "deck", "ticket"]
    assert list(types) == list(table[0])


@pytest.mark.parametrize(("column", "given"), [("port", "numbers"), ("age", "text")])
def test_a_column_of_another_type_is_named(column, given, table):
    encoder = TableEncoder(random_state=0).fit(*table)
    types = dict(skdnn.onnx.input_types(encoder))
    types[column] = (DoubleTensorType if given == "numbers" else StringTensorType)([None, 1])
    with pytest.raises(TypeError, match=rf"'{column}' held .* is of {given}"):
        skl2onnx.to_onnx(encoder, initial_types=list(types.items()))


def test_missing_columns_are_an_error(table):
    encoder = TableEncoder(random_state=0).fit(*table)
    with pytest.raises(ValueError, match="8 columns, but TableEncoder was fitted on 9"):
        skl2onnx.to_onnx(encoder, initial_types=skdnn.onnx.input_types(encoder)[:-1])


def test_encoder_before_a_network(table, new_rows, tmp_path):
    model = make_pipeline(TableEncoder(random_state=0), NETWORK).fit(*table)
    skdnn.onnx.save(model, tmp_path / "model.onnx")
    labels, probabilities = run(str(tmp_path / "model.onnx"), new_rows)
    np.testing.assert_allclose(probabilities, model.predict_proba(new_rows), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(labels, model.predict(new_rows))


@pytest.mark.parametrize(
    "model", [TableEncoder(), make_pipeline(TableEncoder())], ids=["alone", "piped"]
)
def test_encoder_is_saved_without_a_network(model, table, tmp_path):
    X = table[0][["age", "fare"]]
    model = clone(model).fit(X)
    skdnn.onnx.save(model, tmp_path / "encoder.onnx")
    (encoded,) = run(str(tmp_path / "encoder.onnx"), X)
    assert_allclose(encoded, model.transform(X), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="zipmap=True, but skl2onnx has none of TableEncoder"):
        skdnn.onnx.save(model, tmp_path / "encoder.onnx", zipmap=True)


def test_text_and_numbers_of_one_entry_are_refused(table, tmp_path):
    columns = ColumnTransformer([("table", TableEncoder(), ["age", "port"])])
    model = make_pipeline(columns, NETWORK).fit(*table)
    with pytest.raises(ValueError, match=r"text and of numbers.* make an entry of each kind"):
        skdnn.onnx.save(model, tmp_path / "model.onnx", table[0][["age", "port"]])


# ---------------------------------------------------------------------- DeepEnsembleClassifier


@pytest.fixture(scope="module")
def ensemble(table):
    """Return an ensemble of three kinds, whose encoders look at labels."""
    return DeepEnsembleClassifier(NETWORK, 12, random_state=0).fit(*table)


def test_ensemble_of_a_table_with_gaps_and_unseen_categories(ensemble, new_rows, tmp_path):
    skdnn.onnx.save(ensemble, tmp_path / "model.onnx")
    labels, probabilities = run(str(tmp_path / "model.onnx"), new_rows)
    np.testing.assert_allclose(probabilities, ensemble.predict_proba(new_rows), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(labels, ensemble.predict(new_rows))


def test_ensemble_of_one_row(ensemble, new_rows):
    _, probabilities = run(convert(ensemble), new_rows[:1])
    np.testing.assert_allclose(probabilities, ensemble.predict_proba(new_rows[:1]), atol=1e-5)


def test_raw_scores_of_an_ensemble(ensemble, new_rows):
    _, scores = run(convert(ensemble, raw_scores=True), new_rows)
    logits = ensemble.decision_function(new_rows)
    np.testing.assert_allclose(scores, np.column_stack([-logits, logits]), atol=1e-4)


def test_zipmap_of_an_ensemble(ensemble, new_rows):
    _, dicts = run(convert(ensemble, zipmap=True), new_rows)
    positive = [row["yes"] for row in dicts]
    np.testing.assert_allclose(positive, ensemble.predict_proba(new_rows)[:, 1], atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ensemble_of_a_matrix(dtype, table):
    X, y = table[0][["fare", "age"]].to_numpy(dtype), table[1]
    model = DeepEnsembleClassifier(NETWORK, 2, random_state=0).fit(X, y)
    graph = skl2onnx.to_onnx(model, X[:1], options={"zipmap": False})
    _, probabilities = run(graph, X)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("encoder", [None, StandardScaler()], ids=["none", "scaler"])
def test_ensemble_with_another_encoder(encoder, table):
    X = table[0][["age", "fare"]].fillna(0).clip(-5, 5).to_numpy(np.float32)
    model = DeepEnsembleClassifier(NETWORK, 2, encoder=encoder, random_state=0).fit(X, table[1])
    graph = skl2onnx.to_onnx(model, X[:1], options={"zipmap": False})
    _, probabilities = run(graph, X)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)


def test_ensemble_in_a_pipeline(table):
    X, y = table[0][["age", "fare"]].fillna(0).to_numpy(np.float32), table[1]
    ensemble = DeepEnsembleClassifier(NETWORK, 2, random_state=0)
    model = make_pipeline(StandardScaler(), ensemble).fit(X, y)
    graph = skl2onnx.to_onnx(model, X[:1], options={id(model): {"zipmap": False}})
    _, probabilities = run(graph, X)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("name", ["hours per week", "a/b", "label", "probabilities"])
def test_inputs_are_called_as_the_columns(name, table, tmp_path):
    X = table[0][["fare"]].rename(columns={"fare": name})
    X["other"] = np.sqrt(X[name])
    model = DeepEnsembleClassifier(n_estimators=2, random_state=0).fit(X, table[1])
    path = str(tmp_path / "model.onnx")
    skdnn.onnx.save(model, path)
    session = onnxruntime.InferenceSession(path)
    is_output = name in ("label", "probabilities")
    names = [f"{name}1" if is_output else name, "other"]
    assert [node.name for node in session.get_inputs()] == names
    row = {given: X[[column]].to_numpy() for given, column in zip(names, X, strict=True)}
    _, probabilities = session.run(None, row)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)


def test_column_without_a_name_is_refused(table, tmp_path):
    model = TableEncoder().fit(table[0][["fare"]].rename(columns={"fare": ""}))
    with pytest.raises(ValueError, match="A column of X has no name"):
        skdnn.onnx.save(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "labels", [np.array([18262, 18628], kind) for kind in ("M8[D]", "m8[h]", "S5")]
)
@pytest.mark.parametrize("zipmap", [False, True])
def test_labels_that_onnx_cannot_hold_are_refused(table, labels, zipmap, tmp_path):
    X, y = table[0][["fare"]], labels[(table[1] == "yes").astype(int)]
    network = DeepBinaryClassifier((3,), max_iter=5, tol=None, random_state=0)
    for model in (network, DeepEnsembleClassifier(network, n_estimators=2)):
        model.fit(X, y)
        message = rf"Labels of dtype {re.escape(str(y.dtype))} have no form in ONNX: give text"
        with pytest.raises(ValueError, match=message):
            skdnn.onnx.save(model, tmp_path / "model.onnx", zipmap=zipmap)
        with pytest.raises(ValueError, match=message):
            skl2onnx.to_onnx(model, initial_types=skdnn.onnx.input_types(model))
    assert not list(tmp_path.iterdir())


def test_integers_beyond_int64_are_no_labels_of_onnx(table, tmp_path):
    X, is_yes = table[0][["fare"]], table[1] == "yes"
    model = DeepBinaryClassifier((3,), max_iter=5, tol=None, random_state=0)
    model.fit(X, np.where(is_yes, np.uint64(2**64 - 1), np.uint64(2**63)))
    with pytest.raises(ValueError, match="Labels of dtype uint64 have no form in ONNX"):
        skdnn.onnx.save(model, tmp_path / "model.onnx")
    model.fit(X, np.where(is_yes, np.uint64(2**63 - 1), np.uint64(0)))
    skdnn.onnx.save(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    label, _ = session.run(None, {"X": X.to_numpy(np.float32)})
    assert set(label.tolist()) <= {0, 2**63 - 1}


def test_calibrated_ensemble_takes_large_numbers(tmp_path):
    rng = np.random.RandomState(0)
    X = np.column_stack([1.7e9 + rng.randint(0, 1000, 200), rng.rand(200)])
    y = X[:, 0] > 1.7e9 + 500
    ensemble = DeepEnsembleClassifier(n_estimators=2, random_state=0)
    model = CalibratedClassifierCV(ensemble, cv=2).fit(X, y)
    skdnn.onnx.save(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(["probabilities"], {"X": X})
    assert_allclose(found, model.predict_proba(X), atol=1e-5)


def test_what_skl2onnx_fails_at_is_a_named_error(tmp_path):
    X, y = load_breast_cancer(return_X_y=True)
    network = DeepBinaryClassifier((4,), max_iter=3, tol=None, random_state=0)
    model = CalibratedClassifierCV(network, cv=2, method="temperature").fit(X / X.max(axis=0), y)
    with pytest.raises(ValueError, match="cannot convert this CalibratedClassifierCV"):
        skdnn.onnx.save(model, tmp_path / "model.onnx")


def test_numbers_that_are_names(tmp_path):
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.randint(0, 60, 1500) / 10, rng.rand(1500)])
    effect = 2 * rng.standard_normal(60)
    y = rng.rand(1500) < 1 / (1 + np.exp(-effect[np.rint(X[:, 0] * 10).astype(int)]))
    model = DeepEnsembleClassifier(n_estimators=4, random_state=0).fit(X, y)
    assert model.encoder_.encodes_target_
    skdnn.onnx.save(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    X[:5, 0] = [np.nan, 7.7, -1, 0.05, np.inf]
    (found,) = session.run(["probabilities"], {"X": X})
    assert_allclose(found, model.predict_proba(X), atol=1e-5)


def test_inputs_of_columns_that_were_dropped_are_of_their_kind():
    X = pd.DataFrame({"x": np.arange(6.0), "text": ["a"] * 6, "one": 1.0})
    types = skdnn.onnx.input_types(TableEncoder().fit(X))
    kinds = [DoubleTensorType, StringTensorType, DoubleTensorType]
    assert [(name, type(kind)) for name, kind in types] == list(zip(X, kinds, strict=True))


def test_numbers_may_be_names_in_some_folds_alone(tmp_path):
    rng = np.random.RandomState(0)
    codes, effect = rng.randint(0, 30, 400), 0.75 * rng.standard_normal(30)
    X = np.column_stack([codes, rng.rand(400)])
    y = rng.rand(400) < 1 / (1 + np.exp(-effect[codes]))
    model = DeepEnsembleClassifier(NETWORK, 4, encoder=TableEncoder(), random_state=0).fit(X, y)
    are_names = [encoder.encodes_target_ for encoder in model.encoders_]
    assert any(are_names)
    assert not are_names[0]
    skdnn.onnx.save(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(["probabilities"], {"X": X})
    assert_allclose(found, model.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("fitted", [np.float32, np.float64])
@pytest.mark.parametrize("given", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0, 20240101])
def test_large_codes_are_names_in_the_dtype_of_the_input(fitted, given, offset):
    rng = np.random.RandomState(0)
    codes = rng.randint(0, 60, 2000)
    y = rng.rand(2000) < 1 / (1 + np.exp(-2 * rng.standard_normal(60)[codes]))
    X = np.column_stack([offset + codes / (1 if offset else 10), rng.rand(2000)]).astype(fitted)
    encoder = TableEncoder(random_state=0).fit(X, y)
    assert encoder.encodes_target_
    X = X.astype(given)
    kind = FloatTensorType if given == np.float32 else DoubleTensorType
    (encoded,) = run(skl2onnx.to_onnx(encoder, initial_types=[("X", kind([None, 2]))]), X)
    assert_allclose(encoded, encoder.transform(X), rtol=0, atol=1e-6)


def test_categories_of_float64_take_float32():
    X = np.repeat([0.1, 0.2, 0.3], 2)[:, np.newaxis]
    encoder = TableEncoder([0]).fit(X)
    graph = skl2onnx.to_onnx(encoder, initial_types=[("X", FloatTensorType([None, 1]))])
    (encoded,) = run(graph, X.astype(np.float32))
    np.testing.assert_array_equal(encoded, np.repeat(np.eye(3), 2, axis=0))


def test_numbers_that_are_no_names_are_not_looked_up(tmp_path):
    # enough for all rows to be asked again, too little for a name
    rng = np.random.RandomState(11)
    X = np.column_stack([rng.randint(0, 40, 400), rng.rand(400)]).astype(float)
    for seed in range(200):
        y = np.random.RandomState(seed).rand(400) < 0.5
        encoder = TableEncoder(random_state=0).fit(X, y)
        if encoder._by_target and not encoder.encodes_target_:
            break
    skdnn.onnx.save(encoder, tmp_path / "model.onnx")
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert "Equal" not in {node.op_type for node in graph.node}
