"""ONNX files predict what their models do: judged by onnxruntime."""

import json

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import skl2onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, StackingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import skdnn
import skdnn.onnx
from skdnn import DeepBinaryClassifier
from skdnn.network.activations import ACTIVATIONS

LATEST = skl2onnx.get_latest_tested_opset_version()
ARRAYS = {"zipmap": False}


def session_of(graph):
    content = graph if isinstance(graph, (str, bytes)) else graph.SerializeToString()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def run(graph, X):
    """Return the outputs for an array, or for a data frame with gaps."""
    session = session_of(graph)
    if isinstance(X, np.ndarray):
        return session.run(None, {"X": X})
    dtypes = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(string)": object}
    return session.run(
        None, {i.name: X[[i.name]].to_numpy(dtypes[i.type]) for i in session.get_inputs()}
    )


def network(activation="relu", **parameters):
    defaults = {"max_iter": 20, "tol": None, "learning_rate_init": 0.01, "random_state": 0}
    return DeepBinaryClassifier((16, 8), activation, **defaults | parameters)


@pytest.fixture(scope="module")
def rows():
    """Return X (1000, 6), float32, and y of the sign of a product."""
    X = np.random.RandomState(0).normal(size=(1000, 6)).astype(np.float32)
    return X, X[:, 0] * X[:, 1] > 0


@pytest.fixture(scope="module")
def table(rows):
    """Return a data frame of numbers and text, with gaps, and y."""
    X, y = rows
    frame = pd.DataFrame(X.astype(float), columns=list("abcdef"))
    frame["port"] = np.random.RandomState(1).choice(["S", "C", "Q"], len(frame))
    frame.loc[::7, "a"] = np.nan
    return frame, np.where(y, "yes", "no")


# ---------------------------------------------------------------------- the network


@pytest.mark.parametrize("opset", sorted({13, 15, 18, LATEST}))
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_probabilities_and_labels_are_those_of_the_model(activation, opset, rows):
    X, y = rows
    model = network(activation).fit(X, y)
    labels, probabilities = run(
        skl2onnx.to_onnx(model, X[:1], options=ARRAYS, target_opset=opset), X
    )
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=0, atol=1e-5)
    assert probabilities.dtype == np.float32
    np.testing.assert_array_equal(labels, model.predict(X))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_float64_inputs_are_computed_in_float64(activation, rows):
    X, y = rows[0].astype(np.float64), rows[1]
    model = network(activation).fit(X, y)
    _, probabilities = run(skl2onnx.to_onnx(model, X[:1], options=ARRAYS), X)
    assert probabilities.dtype == np.float64
    # onnxruntime has the error function in float32 alone
    atol = 1e-6 if activation == "gelu" else 1e-14
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=0, atol=atol)


def test_small_probabilities_keep_their_precision():
    X = np.array([[-20.0], [20.0]], np.float32)
    model = DeepBinaryClassifier((), max_iter=1, tol=None, random_state=0).fit(X, [0, 1])
    model.coefs_[0][:], model.intercepts_[0][:] = 1, 0
    _, probabilities = run(skl2onnx.to_onnx(model, X, options=ARRAYS), X)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Hidden layer:UserWarning")  # of a single unit, say
@settings(max_examples=15, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 9), max_size=3),
    activation=st.sampled_from(ACTIVATIONS),
    slope=st.sampled_from([0.0, 0.2]),
    n_rows=st.integers(1, 70),
)
def test_any_architecture_and_any_number_of_rows(hidden, activation, slope, n_rows):
    X = np.random.RandomState(n_rows).normal(size=(70, 3)).astype(np.float32)
    model = DeepBinaryClassifier(
        hidden, activation, negative_slope=slope, max_iter=2, tol=None, random_state=n_rows
    ).fit(X, X[:, 0] > 0)
    _, probabilities = run(skl2onnx.to_onnx(model, X[:1], options=ARRAYS), X[:n_rows])
    np.testing.assert_allclose(probabilities, model.predict_proba(X[:n_rows]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["spam", "ham"], ["ham", "spam"]),
        (np.array(["spam", "häm"], object), ["häm", "spam"]),
        ([2**40, -1], [-1, 2**40]),
        (np.array([3, 1], np.uint8), [1, 3]),
        ([2.0, -1.0], [-1, 2]),
        ([True, False], [0, 1]),
    ],
    ids=["text", "object", "large", "uint8", "float", "bool"],
)
def test_labels_of_any_type_with_and_without_zipmap(classes, expected, rows):
    X, y = rows
    model = network().fit(X, np.asarray(classes)[y.astype(int)])
    predicted = [expected[i] for i in (model.decision_function(X) > 0).astype(int).tolist()]
    labels, probabilities = run(skl2onnx.to_onnx(model, X[:1], options=ARRAYS), X)
    assert labels.tolist() == predicted

    labels, dicts = run(skl2onnx.to_onnx(model, X[:1]), X)
    assert labels.tolist() == predicted
    assert list(dicts[0]) == expected
    np.testing.assert_allclose([row[expected[1]] for row in dicts], probabilities[:, 1])


def test_zipmap_of_float64_inputs_is_a_valid_graph(rows):
    X, y = rows[0].astype(np.float64), rows[1]
    model = network().fit(X, y.astype(int))
    _, dicts = run(skl2onnx.to_onnx(model, X[:1]), X)
    np.testing.assert_allclose([d[1] for d in dicts], model.predict_proba(X)[:, 1], atol=1e-6)


def test_zipmap_columns_give_an_output_for_each_class(rows):
    X, y = rows
    model = network().fit(X, np.where(y, "b", "a"))
    _, a, b = run(skl2onnx.to_onnx(model, X[:1], options={"zipmap": "columns"}), X)
    np.testing.assert_allclose(np.column_stack([a, b]), model.predict_proba(X), atol=1e-5)


def test_option_nocl_gives_indices_of_classes(rows):
    X, y = rows
    model = network().fit(X, np.where(y, "b", "a"))
    labels, _ = run(skl2onnx.to_onnx(model, X[:1], options=ARRAYS | {"nocl": True}), X)
    np.testing.assert_array_equal(labels, model.predict(X) == "b")


def test_raw_scores_are_the_log_odds_of_each_class(rows):
    X, y = rows
    model = network().fit(X, y)
    _, scores = run(skl2onnx.to_onnx(model, X[:1], options=ARRAYS | {"raw_scores": True}), X)
    logits = model.decision_function(X)
    np.testing.assert_allclose(scores, np.column_stack([-logits, logits]), atol=1e-4)


# ---------------------------------------------------------------------- in scikit-learn's company


def table_pipeline():
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [
            ("numbers", numbers, list("abcdef")),
            ("text", OneHotEncoder(handle_unknown="ignore"), ["port"]),
        ]
    )
    return make_pipeline(columns, network())


def test_pipeline_of_a_table_with_gaps_and_unseen_categories(table, tmp_path):
    X, y = table
    model = table_pipeline().fit(X, y)
    new = X.copy()
    new.loc[::5, "port"] = "unseen"
    skdnn.onnx.save(model, tmp_path / "model.onnx", X)
    labels, probabilities = run(str(tmp_path / "model.onnx"), new)
    np.testing.assert_allclose(probabilities, model.predict_proba(new), atol=1e-5)
    np.testing.assert_array_equal(labels, model.predict(new))


def test_pipeline_takes_the_types_that_skl2onnx_guesses(table):
    X, y = table
    X = X.fillna({"a": 0})
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), list("abcdef")),
            ("text", OneHotEncoder(handle_unknown="ignore"), ["port"]),
        ]
    )
    model = make_pipeline(columns, network()).fit(X, y)
    graph = skl2onnx.to_onnx(model, X[:1], options={id(model): ARRAYS})
    _, probabilities = run(graph, X)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)


def test_network_takes_the_columns_of_a_data_frame_side_by_side(table):
    X, y = table
    X = X[list("bcd")]
    model = network().fit(X, y)
    types = skdnn.onnx.input_types(model, X)
    _, probabilities = run(skl2onnx.to_onnx(model, initial_types=types, options=ARRAYS), X)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        GridSearchCV(network(), {"alpha": [0, 1]}, cv=2),
        GridSearchCV(make_pipeline(StandardScaler(), network()), {}, cv=2),
        CalibratedClassifierCV(network(), cv=2),
        StackingClassifier([("network", network())], cv=2),
        BaggingClassifier(network(), 2, random_state=0),
    ],
    ids=["search", "search of pipeline", "calibrated", "stacking", "bagging"],
)
def test_meta_estimators(model, rows):
    X, y = rows
    model.fit(X, y.astype(int))
    _, probabilities = run(skl2onnx.to_onnx(model, X[:1], options=ARRAYS), X)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)


def test_one_network_for_each_of_three_classes(rows):
    X, _ = rows
    y = np.digitize(X[:, 0], [-0.5, 0.5])
    model = OneVsRestClassifier(network()).fit(X, y)
    labels, probabilities = run(skl2onnx.to_onnx(model, X[:1], options=ARRAYS), X)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)
    np.testing.assert_array_equal(labels, model.predict(X))


@pytest.mark.parametrize("raw_scores", [False, True])
def test_bagging_of_some_columns(raw_scores, rows, tmp_path):
    X, y = rows
    model = BaggingClassifier(network(), 2, max_features=0.6, random_state=0).fit(X, y)
    skdnn.onnx.save(model, tmp_path / "model.onnx", raw_scores=raw_scores)
    _, scores = run(str(tmp_path / "model.onnx"), X)
    expected = model.decision_function(X) if raw_scores else model.predict_proba(X)[:, 1]
    np.testing.assert_allclose(scores[:, 1], expected, atol=1e-5)


def test_one_network_for_each_of_two_targets(rows, tmp_path):
    X, _ = rows
    model = MultiOutputClassifier(network()).fit(X, (X[:, :2] > 0).astype(int))
    skdnn.onnx.save(model, tmp_path / "model.onnx")
    labels, probabilities = run(str(tmp_path / "model.onnx"), X)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)
    np.testing.assert_array_equal(labels, model.predict(X))
    metadata = session_of(str(tmp_path / "model.onnx")).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == [[0, 1], [0, 1]]


# ---------------------------------------------------------------------- save


def test_saved_file_tells_of_its_model(table, tmp_path):
    X, y = table
    model = table_pipeline().fit(X, y)
    path = tmp_path / "model.onnx"
    skdnn.onnx.save(model, path, X)
    onnx.checker.check_model(onnx.load(path))
    metadata = session_of(str(path)).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == ["no", "yes"]
    assert json.loads(metadata["feature_names"]) == list(X)
    assert metadata["estimator"] == "Pipeline"
    assert metadata["skdnn_version"] == skdnn.__version__


def test_save_needs_no_rows_where_all_are_numbers(rows, tmp_path):
    X, y = rows
    model = make_pipeline(StandardScaler(), network()).fit(X, y)
    skdnn.onnx.save(model, tmp_path / "model.onnx", raw_scores=True)
    _, scores = run(str(tmp_path / "model.onnx"), X)
    np.testing.assert_allclose(scores[:, 1], model.decision_function(X), atol=1e-4)


def test_save_asks_for_rows_where_columns_differ(table, tmp_path):
    X, y = table
    model = table_pipeline().fit(X, y)
    with pytest.raises(ValueError, match=r"ColumnTransformer takes columns .* give X"):
        skdnn.onnx.save(model, tmp_path / "model.onnx")


def test_save_names_the_opsets_that_there_are(rows, tmp_path):
    model = network().fit(*rows)
    for opset in (12, LATEST + 1):
        with pytest.raises(ValueError, match=rf"from 13 to {LATEST}.* got {opset}"):
            skdnn.onnx.save(model, tmp_path / "model.onnx", target_opset=opset)


class Unknown(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X


def test_save_names_what_skl2onnx_cannot_convert(rows, tmp_path):
    X, y = rows
    model = make_pipeline(Unknown(), network()).fit(X, y)
    path = tmp_path / "model.onnx"
    path.write_text("before")
    with pytest.raises(ValueError, match=r"skl2onnx .* no converter .*Unknown"):
        skdnn.onnx.save(model, path)
    assert path.read_text() == "before"


def test_save_refuses_what_is_not_fitted(tmp_path):
    with pytest.raises(NotFittedError):
        skdnn.onnx.save(network(), tmp_path / "model.onnx")


def test_a_folder_that_is_not_there_is_named(rows, tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        skdnn.onnx.save(network().fit(*rows), tmp_path / "nowhere" / "model.onnx")


def test_wrong_number_of_columns_is_an_error(rows):
    X, y = rows
    with pytest.raises(ValueError, match="5 columns, but DeepBinaryClassifier was fitted on 6"):
        skl2onnx.to_onnx(network().fit(X, y), X[:1, :5])


def test_text_is_no_input_of_a_network(rows):
    model = network().fit(*rows)
    types = [("numbers", FloatTensorType([None, 5])), ("port", StringTensorType([None, 1]))]
    with pytest.raises(TypeError, match="'port' is text"):
        skl2onnx.to_onnx(model, initial_types=types)


def test_too_old_an_opset_is_an_error(rows):
    X, y = rows
    with pytest.raises(ValueError, match="target_opset >= 13, got 12"):
        skl2onnx.to_onnx(network().fit(X, y), X[:1], target_opset=12)


def test_too_old_a_converter_library_is_an_error(monkeypatch):
    monkeypatch.setattr(skl2onnx, "__version__", "1.16.0")
    with pytest.raises(ImportError, match=r"1\.16\.0 is installed: pip install --upgrade"):
        skdnn.onnx.registration.register()


def test_input_types_survive_a_gap_in_the_first_row():
    X = pd.DataFrame({"port": [None, "S"], "kind": pd.Categorical([None, "a"]), "age": [None, 1]})
    kinds = [kind for _, kind in skdnn.onnx.input_types(None, X)]
    assert [type(kind) for kind in kinds] == [StringTensorType, StringTensorType, FloatTensorType]


def test_input_types_name_a_column_of_dates():
    X = pd.DataFrame({"day": pd.to_datetime(["2020-01-01"])})
    with pytest.raises(TypeError, match="'day' holds neither text nor numbers"):
        skdnn.onnx.input_types(None, X)
