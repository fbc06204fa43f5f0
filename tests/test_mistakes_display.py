"""MistakesDisplay: which rows it shows, and as what."""

import h5py
import numpy as np
import pytest
import scipy.sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier
from skdnn.datasets import HDF5Matrix
from skdnn.displays import MistakesDisplay

plt = pytest.importorskip("matplotlib.pyplot")


def fit(X, y, hidden=(8, 4), **parameters):
    defaults = {"random_state": 0, "max_iter": 4, "tol": None}
    return DeepBinaryClassifier(hidden, **(defaults | parameters)).fit(X, y)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def model(breast_cancer):
    return fit(*breast_cancer)


def worst(model, X, y):
    """Return the rows that a model gets wrong, the most confident first."""
    logits = model.decision_function(X)
    against = np.where(y, -logits, logits)
    return np.argsort(-against)[: np.count_nonzero(against > 0)]


def test_most_confident_errors_come_first(mistaken):
    model, X, y = mistaken
    display = MistakesDisplay.from_estimator(model, X, y, n_mistakes=4)
    rows = worst(model, X, y)
    mistakes = display.mistakes
    assert mistakes.row.tolist() == rows[:4].tolist()
    assert display.n_wrong == rows.size
    np.testing.assert_array_equal(mistakes.truth, y[rows[:4]])
    np.testing.assert_array_equal(mistakes.prediction, model.predict(X)[rows[:4]])
    np.testing.assert_allclose(
        mistakes.probability, model.predict_proba(X)[rows[:4]].max(axis=1), rtol=1e-12
    )
    assert display.ax_.get_title() == f"4 of {rows.size} mistakes in 569 rows"


def test_predictions_and_estimator_show_the_same(mistaken):
    model, X, y = mistaken
    shown = MistakesDisplay.from_estimator(model, X, y).mistakes
    probabilities = model.predict_proba(X)
    names = np.array(["no", "yes"])[y]
    for display in (
        MistakesDisplay.from_predictions(y, probabilities, X),
        MistakesDisplay.from_predictions(y, probabilities[:, 1], X),
        MistakesDisplay.from_predictions(names, probabilities, X, pos_label="no"),
        MistakesDisplay.from_predictions(names, probabilities[:, 0], X, pos_label="no"),
    ):
        np.testing.assert_array_equal(display.mistakes.row, shown.row)
        np.testing.assert_allclose(display.mistakes.probability, shown.probability, rtol=1e-9)
    assert set(display.mistakes.truth) == {"no", "yes"}


def test_images_of_mistakes_are_the_rows(mistaken):
    model, X, y = mistaken
    pixels = np.round(127 + 40 * X).clip(0, 255).astype(np.uint8)
    probabilities = model.predict_proba(X)
    display = MistakesDisplay.from_predictions(
        y, probabilities, pixels, image_shape=(5, 2, 3), n_mistakes=3
    )
    assert len(display.images_) == len(display.headings_) == 3
    for image, row in zip(display.images_, display.mistakes.row, strict=True):
        np.testing.assert_allclose(image.get_array(), pixels[row].reshape(5, 2, 3) / 255)
    row, truth, probability = (display.mistakes[k][0] for k in ("row", "truth", "probability"))
    expected = f"row {row} is {truth}\nP({1 - truth}) = {probability:.3f}"
    assert display.headings_[0].get_text() == expected


def test_images_of_any_numbers_are_stretched(mistaken):
    model, X, y = mistaken
    display = MistakesDisplay.from_estimator(model, X, y, image_shape=(5, 6), n_mistakes=1)
    image = X[display.mistakes.row[0]].reshape(5, 6)
    expected = (image - image.min()) / np.ptp(image)
    np.testing.assert_allclose(display.images_[0].get_array(), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        (np.array([0, 51, 255], np.uint8), [0, 0.2, 1]),
        (np.array([0, 1, 1], np.uint8), [0, 1, 1]),
        ([0.2, 0.5, 0.4], [0.2, 0.5, 0.4]),
        ([-0.5, 0, 0.5], [0, 0.5, 1]),
        ([0, 2, 8], [0, 0.25, 1]),
    ],
)
def test_brightness_is_by_the_kind_of_numbers(numbers, shown):
    X = np.stack([numbers, numbers])
    display = MistakesDisplay.from_predictions([0, 1], [1.0, 0.0], X, image_shape=(1, 3))
    np.testing.assert_allclose(display.images_[0].get_array(), [shown], atol=1e-12)
    assert display.images_[0].get_clim() == (0, 1)


def test_probability_of_a_half_predicts_the_first_class():
    display = MistakesDisplay.from_predictions([0, 1], [0.5, 0.5], np.eye(2))
    assert display.mistakes.row.tolist() == [1]


def test_infinity_is_no_deviation_and_makes_none():
    X = np.array([["a", 0.0], ["b", 2.0], ["a", np.inf], ["b", 1.0]], object)
    y = np.array([0, 1, 0, 1])
    display = MistakesDisplay.from_predictions(y, [0.1, 0.0, 0.2, 0.9], X, n_features=1)
    found = display.features
    assert (found.row.tolist(), found.feature) == ([1], ["x1"])
    np.testing.assert_allclose(found.deviation, 1 / np.std([0, 2, 1]))


@pytest.mark.parametrize(
    ("texts", "is_left_out"),
    [
        (["a", "b"] * 2, False),
        (["a", "b", "c", "c"], True),
        ([f"{k}" for k in range(50)] * 2, False),
        ([f"{k}" for k in range(51)] * 2, True),
    ],
)
def test_texts_of_which_many_are_one_of_a_kind_are_left_out(texts, is_left_out):
    X = np.array([texts, range(len(texts))], object).T
    y = np.arange(len(texts)) % 2
    display = MistakesDisplay.from_predictions(y, 1.0 - y, X, n_mistakes=1)
    assert display.left_out == ["x0"] * is_left_out


def test_bars_are_the_deviations_that_stand_out(mistaken):
    model, X, y = mistaken
    scaled = 100 + X * np.arange(1, 31)
    pipeline = make_pipeline(StandardScaler(), model).fit(scaled, y)
    display = MistakesDisplay.from_estimator(pipeline, scaled, y, n_mistakes=2, n_features=4)
    deviations = StandardScaler().fit_transform(scaled)
    for i, row in enumerate(display.mistakes.row):
        features = np.argsort(-np.abs(deviations[row]))[:4]
        part = slice(4 * i, 4 * i + 4)
        assert display.features.feature[part] == [f"x{k}" for k in features]
        np.testing.assert_allclose(display.features.value[part], scaled[row, features])
        widths = [bar.get_width() for bar in display.bars_[part]]
        np.testing.assert_allclose(widths, deviations[row, features], rtol=1e-9)
    ticks = [text.get_text() for text in display.ax_.get_yticklabels()]
    name, value = display.features.feature[0], display.features.value[0]
    assert ticks[0] == f"{name} = {value:.4g}"


def test_columns_of_a_data_frame_name_the_features(mistaken):
    pd = pytest.importorskip("pandas")
    _, X, y = mistaken
    frame = pd.DataFrame(X, columns=[f"feature {i}" for i in range(30)])
    named = fit(frame, y)
    display = MistakesDisplay.from_estimator(named, frame, y)
    assert all(name.startswith("feature ") for name in display.features.feature)


def test_given_names_come_before_others(mistaken):
    model, X, y = mistaken
    names = [f"gene {i}" for i in range(30)]
    display = MistakesDisplay.from_estimator(model, X, y, feature_names=names)
    assert all(name.startswith("gene ") for name in display.features.feature)
    with pytest.raises(ValueError, match="must name the 30 features, got 2 names"):
        MistakesDisplay.from_estimator(model, X, y, feature_names=["a", "b"])


def test_words_of_a_text_stand_out():
    texts = ["good plot", "bad plot", "good film", "bad film", "dull film"] * 3
    y = np.array([1, 0, 1, 0, 1] + [1, 0, 1, 0, 0] * 2)
    pipeline = make_pipeline(
        TfidfVectorizer(),
        DeepBinaryClassifier((4,), max_iter=60, tol=None, random_state=0, learning_rate_init=0.05),
    ).fit(texts, y)
    display = MistakesDisplay.from_estimator(pipeline, texts, y)
    assert display.mistakes.row.tolist() == [4]
    assert set(display.features.feature) == {"dull", "film"}


@pytest.fixture(scope="module")
def mixed():
    """Return a frame, labels of which the first is wrong, and a pipeline of their columns."""
    pd = pytest.importorskip("pandas")
    from sklearn.compose import make_column_transformer
    from sklearn.preprocessing import OneHotEncoder

    frame = pd.DataFrame(
        {
            "size": np.arange(20.0) ** 2,
            "colour": ["green", "green", *["red", "blue", "blue"] * 6],
            "name": [f"name {i}" for i in range(20)],
            "count": pd.array([None, *range(19)], dtype="Int64"),
            "day": pd.date_range("2020-01-01", periods=20),
        }
    )
    y = (np.arange(20) >= 10).astype(int)
    y[0] = 1
    columns = make_column_transformer((StandardScaler(), ["size"]), (OneHotEncoder(), ["colour"]))
    pipeline = make_pipeline(columns, DeepBinaryClassifier((2,), random_state=0, alpha=1))
    pipeline.set_params(deepbinaryclassifier__solver="lbfgs").fit(frame, y)
    return frame, y, pipeline


def test_columns_of_several_types_are_shown_as_the_user_has_them(mixed):
    frame, y, pipeline = mixed
    display = MistakesDisplay.from_estimator(pipeline, frame, y, n_mistakes=1)
    assert display.mistakes.row.tolist() == [0]
    # the size is the least, two of twenty rows are green, the count is missing
    assert display.features.feature == ["colour", "size"]
    assert display.features.value.tolist() == ["green", 0.0]
    green, size = (frame.colour == "green").to_numpy(float), frame["size"].to_numpy()
    expected = [(1 - green.mean()) / green.std(), -size.mean() / size.std()]
    np.testing.assert_allclose(display.features.deviation, expected)
    assert display.rows.tolist()[0][:3] == [0.0, "green", "name 0"]
    ticks = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert ticks == ["colour = green", "size = 0"]


def test_columns_that_cannot_stand_out_are_said_to_be_left_out(mixed):
    frame, y, pipeline = mixed
    display = MistakesDisplay.from_estimator(pipeline, frame, y)
    assert display.left_out == ["name", "day"]
    assert display.ax_.get_xlabel().endswith("\nleft out: name, day")
    probabilities = pipeline.predict_proba(frame)
    same = MistakesDisplay.from_predictions(y, probabilities, frame.to_numpy())
    assert same.left_out == ["x2", "x4"]
    np.testing.assert_array_equal(same.features.deviation, display.features.deviation)


def test_frame_without_a_column_to_show_is_shown_as_the_network_gets_it():
    pd = pytest.importorskip("pandas")
    from sklearn.compose import make_column_transformer

    frame = pd.DataFrame({"text": ["good plot", "bad plot", "good film", "bad film", "dull film"]})
    y = np.array([1, 0, 1, 0, 0])
    pipeline = make_pipeline(
        make_column_transformer((TfidfVectorizer(), "text")),
        DeepBinaryClassifier((4,), solver="lbfgs", random_state=0),
    ).fit(frame, y)
    display = MistakesDisplay.from_estimator(pipeline, frame, 1 - y, n_mistakes=5)
    assert "tfidfvectorizer__dull" in display.features.feature


def test_numbers_as_large_as_floats_go_are_drawn_without_warnings():
    X = np.array([[1e200, 1.0], [-1e200, 2.0], [1e200, 3.0], [0.0, 9.0]])
    display = MistakesDisplay.from_predictions([0, 1, 0, 1], [0.9, 0.9, 0.1, 0.1], X)
    assert display.mistakes.row.tolist() == [0, 3]
    assert display.features.feature[2] == "x1"
    assert np.isfinite(display.features.deviation).all()


def test_only_the_chosen_rows_are_kept(mistaken, tmp_path):
    model, X, y = mistaken
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["X"] = X
    expected = MistakesDisplay.from_estimator(model, X, y, n_mistakes=3)
    for rows in (X, HDF5Matrix(tmp_path / "data.h5", "X"), scipy.sparse.csr_array(X)):
        display = MistakesDisplay.from_estimator(model, rows, y, n_mistakes=3)
        assert display.rows.shape == (3, 30)
        assert display.features.feature == expected.features.feature
        np.testing.assert_allclose(display.features.deviation, expected.features.deviation)


def test_no_mistakes_are_said_to_be_none(breast_cancer):
    X, y = breast_cancer
    for options in ({}, {"image_shape": (5, 6)}):
        display = MistakesDisplay.from_predictions(y, y.astype(float), X, **options)
        assert display.ax_.get_title() == "0 mistakes in 569 rows"
        assert display.images_ == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_true": [0] * 4}, "must hold two classes, got"),
        ({"y_proba": [0.1, 0.2, 0.3, 1.2]}, "y_proba must be probabilities.*to 1.2"),
        ({"y_proba": [[0.2, 0.3, 0.5]] * 4}, "y_proba must be probabilities of shape"),
        ({"y_proba": [0.1, 0.2]}, "inconsistent numbers of samples"),
        ({"X": ["a", "b", "c", "d"]}, r"X must be a matrix of shape.*got list of shape \(4,\)"),
        (
            {"X": [["a"], ["b"], ["a"], ["b"]], "image_shape": (1, 1)},
            "X must be a matrix of numbers, got list",
        ),
        ({"pos_label": 7}, r"pos_label must be one of \[0, 1\], got 7"),
        ({"n_mistakes": 0}, "n_mistakes must be an integer of at least 1, got 0"),
        ({"n_features": True}, "n_features must be an integer of at least 1, got True"),
    ],
)
def test_predictions_that_do_not_suit_are_errors(change, message):
    arguments = {"y_true": [0, 1, 0, 1], "y_proba": [0.9, 0.2, 0.1, 0.8], "X": np.eye(4)}
    with pytest.raises(ValueError, match=message):
        MistakesDisplay.from_predictions(**(arguments | change))
