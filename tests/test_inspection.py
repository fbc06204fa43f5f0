"""What inspection tells against numpy by hand, on every kind of input."""

import tracemalloc
from xml.etree import ElementTree

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy.special import expit, ndtr
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier
from skdnn.datasets import HDF5Matrix
from skdnn.inspection import (
    Table,
    activation_statistics,
    check_gradients,
    dead_units,
    gradient_statistics,
)
from skdnn.network.activations import ACTIVATIONS
from skdnn.training.objective import Objective

ALL_ACTIVATIONS = pytest.mark.parametrize("activation", ACTIVATIONS)


def fit(X, y, hidden=(6, 4), **parameters):
    defaults = {"random_state": 0, "max_iter": 3, "tol": None}
    return DeepBinaryClassifier(hidden, **(defaults | parameters)).fit(X, y)


def hidden_inputs(model, X):
    """Return what each hidden layer of a tanh or ReLU network receives, and its logits."""
    function = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh}[model.activation]
    inputs, a = [], X
    for weights, bias in zip(model.coefs_, model.intercepts_, strict=True):
        inputs.append(a @ weights + bias)
        a = function(inputs[-1])
    return inputs


@pytest.fixture(scope="module")
def model(breast_cancer):
    return fit(*breast_cancer)


@pytest.fixture
def small_blocks(monkeypatch):
    """Make a block some 20 rows of the breast cancer data."""
    monkeypatch.setattr("skdnn.inspection.subject._BLOCK_SIZE", 20 * 41)


@pytest.fixture
def file(breast_cancer, tmp_path):
    X, y = breast_cancer
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=X, chunks=(64, X.shape[1]))
        file["y"] = y
        file["images"] = X.reshape(-1, 5, 6)
    return path


# ------------------------------------------------------------------------------- dead units


def test_shares_are_those_of_positive_relu_inputs(model, breast_cancer, small_blocks):
    X, _ = breast_cancer
    units = dead_units(model, X)
    for share, mask, z in zip(units.shares, units.masks, hidden_inputs(model, X), strict=False):
        np.testing.assert_allclose(share, (z > 0).mean(axis=0), rtol=0, atol=1e-15)
        np.testing.assert_array_equal(mask, (z <= 0).all(axis=0))


def test_unit_below_zero_on_every_row_is_dead(breast_cancer):
    X, y = breast_cancer
    model = fit(X, y)
    model.intercepts_[1][2] = -1e6
    units = dead_units(model, X)
    assert units.masks[1].tolist() == [False, False, True, False]
    assert units.shares[1][2] == 0
    assert units.summary.n_dead.tolist() == [0, 1]


def test_unit_that_one_row_activates_is_alive(breast_cancer):
    X, y = breast_cancer
    model = fit(X, y)
    z = hidden_inputs(model, X)[0][:, 3]
    first, second = np.sort(z)[:-3:-1]
    model.intercepts_[0][3] -= (first + second) / 2
    assert dead_units(model, X).shares[0][3] == 1 / X.shape[0]


DERIVATIVES = {
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "logistic": lambda z: expit(z) * expit(-z),
    "elu": lambda z: np.where(z > 0, 1, np.exp(np.minimum(z, 0))),
    "silu": lambda z: expit(z) * (1 + z * expit(-z)),
    "gelu": lambda z: ndtr(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
}


@pytest.mark.parametrize("activation", DERIVATIVES)
def test_saturated_rows_do_not_activate_a_smooth_unit(activation, breast_cancer):
    X, y = breast_cancer
    model = fit(X, y, hidden=(6,), activation=activation)
    model.coefs_[0][...] *= 4
    model.intercepts_[0][...] = [-200, -20, -5, 0, 5, 20]
    units = dead_units(model, X)
    slopes = DERIVATIVES[activation](X @ model.coefs_[0] + model.intercepts_[0])
    np.testing.assert_allclose(units.shares[0], (np.abs(slopes) > 1e-3).mean(axis=0), atol=1e-15)
    assert units.masks[0].tolist()[0]
    assert not units.masks[0].all()


@pytest.mark.parametrize("activation", ["leaky_relu", "identity"])
def test_activations_with_a_slope_everywhere_never_die(activation, breast_cancer):
    X, y = breast_cancer
    model = fit(X, y, activation=activation)
    model.intercepts_[0][...] = -1e6
    assert all((share == 1).all() for share in dead_units(model, X).shares)


def test_network_without_hidden_layers_has_no_units_to_die(breast_cancer):
    X, y = breast_cancer
    units = dead_units(fit(X, y, hidden=()), X)
    assert units.masks == units.shares == []


def test_threshold_out_of_its_range_is_an_error(model, breast_cancer):
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\), got 1"):
        dead_units(model, breast_cancer[0], threshold=1)


# ------------------------------------------------------------------------------- statistics


def test_activation_statistics_are_those_of_numpy(model, breast_cancer, small_blocks):
    X, _ = breast_cancer
    statistics = activation_statistics(model, X)
    *hidden, logits = hidden_inputs(model, X)
    layers = [*(np.maximum(z, 0) for z in hidden), logits]
    assert statistics.n_units.tolist() == [6, 4, 1]
    np.testing.assert_allclose(statistics.mean, [a.mean() for a in layers], rtol=1e-12)
    np.testing.assert_allclose(statistics.variance, [a.var() for a in layers], rtol=1e-12)
    np.testing.assert_allclose(statistics.zeros, [(a == 0).mean() for a in layers], rtol=1e-15)
    magnitudes = [np.abs(a[a != 0]) for a in layers]
    for name, share in (("low", 0.05), ("median", 0.5), ("high", 0.95)):
        expected = [np.quantile(m, share, method="inverted_cdf") for m in magnitudes]
        np.testing.assert_allclose(statistics[name], expected, rtol=1 / 31)


def test_logits_are_those_of_decision_function(model, breast_cancer):
    X, _ = breast_cancer
    statistics = activation_statistics(model, X)
    np.testing.assert_allclose(statistics.mean[-1], model.decision_function(X).mean(), rtol=1e-12)


def test_overflowing_activations_are_infinite_without_a_warning(breast_cancer):
    X, y = breast_cancer
    model = fit(X, y)
    model.coefs_[0][...] *= 1e200
    model.coefs_[1][...] *= 1e200
    statistics = activation_statistics(model, X)
    assert not np.isfinite(statistics.mean[1:]).any()
    assert statistics.high[1] == np.inf


def test_gradient_statistics_are_those_of_the_textbook(breast_cancer, small_blocks):
    X, y = breast_cancer
    model = fit(X, y, activation="tanh", alpha=3.0)
    z1, z2, logits = hidden_inputs(model, X)
    d3 = (expit(logits) - y[:, None]) / y.size
    d2 = (d3 @ model.coefs_[2].T) * (1 - np.tanh(z2) ** 2)
    d1 = (d2 @ model.coefs_[1].T) * (1 - np.tanh(z1) ** 2)
    gradients = [X.T @ d1, np.tanh(z1).T @ d2, np.tanh(z2).T @ d3]
    statistics = gradient_statistics(model, X, y)
    assert statistics.n_weights.tolist() == [180, 24, 4]
    np.testing.assert_allclose(statistics.norm, [np.linalg.norm(g) for g in gradients], rtol=1e-10)
    np.testing.assert_allclose(statistics.mean, [g.mean() for g in gradients], rtol=1e-9)
    np.testing.assert_allclose(statistics.variance, [g.var() for g in gradients], rtol=1e-10)


def test_weights_of_a_dead_unit_have_gradients_of_zero(breast_cancer):
    X, y = breast_cancer
    model = fit(X, y)
    model.intercepts_[0][0] = -1e6
    assert gradient_statistics(model, X, y).zeros[0] >= 1 / 6


def test_weighted_rows_equal_repeated_rows(model, breast_cancer, small_blocks):
    X, y = breast_cancer
    counts = np.random.RandomState(0).randint(0, 3, y.size)
    counts[:60] = 0  # whole blocks without weight
    weighted = gradient_statistics(model, X, y, counts)
    repeated = gradient_statistics(model, np.repeat(X, counts, axis=0), np.repeat(y, counts))
    for name in weighted:
        np.testing.assert_allclose(weighted[name], repeated[name], rtol=1e-8, err_msg=name)


def test_class_weights_of_the_model_weigh_the_gradient(breast_cancer):
    X, y = breast_cancer
    model = fit(X, y)
    by_hand = gradient_statistics(model, X, y, np.where(y, 5.0, 1.0))
    by_class = gradient_statistics(model.set_params(class_weight={1: 5.0}), X, y)
    np.testing.assert_allclose(by_class.norm, by_hand.norm, rtol=1e-12)


# ------------------------------------------------------------------------------- gradients


@ALL_ACTIVATIONS
def test_gradients_agree_with_central_differences(activation, breast_cancer):
    X, y = breast_cancer
    model = fit(X, y, activation=activation, class_weight="balanced", alpha=2.0)
    checks = check_gradients(model, X, y, np.linspace(0, 1, y.size), max_parameters=6)
    assert checks.agrees.all()
    assert checks.error.max() < 1e-6
    assert checks.block == [
        *(f"coefs_[{layer}]" for layer in range(3)),
        *(f"intercepts_[{layer}]" for layer in range(3)),
    ]
    assert (checks.n_checked + checks.n_kinks).tolist() == [6, 6, 4, 6, 4, 1]


def test_model_in_float32_is_checked_in_float64(breast_cancer):
    X, y = breast_cancer
    model = fit(X.astype(np.float32), y)
    assert check_gradients(model, X, y).error.max() < 1e-6


def test_decoupled_decay_is_no_part_of_the_gradient(breast_cancer):
    X, y = breast_cancer
    assert check_gradients(fit(X, y, solver="adamw", alpha=2.0), X, y).agrees.all()


def test_wrong_gradient_of_one_block_is_found(model, breast_cancer, monkeypatch):
    right = Objective.value_and_gradient

    def value_and_gradient(self, batch):
        value = right(self, batch)
        self.gradient[second_layer] *= 1.001
        return value

    first, second = model.coefs_[:2]
    second_layer = slice(first.size, first.size + second.size)
    monkeypatch.setattr(Objective, "value_and_gradient", value_and_gradient)
    checks = check_gradients(model, *breast_cancer)
    assert checks.agrees.tolist() == [True, False, True, True, True, True]
    assert checks.error[1] == pytest.approx(1e-3, rel=0.01)


@pytest.mark.parametrize("sign", [-1, 1])
def test_parameter_of_the_largest_gradient_is_compared(sign, model, breast_cancer, monkeypatch):
    right = Objective.value_and_gradient

    def value_and_gradient(self, batch):
        value = right(self, batch)
        found = self.gradient[: model.coefs_[0].size]
        found[np.abs(found).argmax()] *= sign * 1.1
        return value

    monkeypatch.setattr(Objective, "value_and_gradient", value_and_gradient)
    checks = check_gradients(model, *breast_cancer, max_parameters=1)
    assert checks.agrees.tolist() == [False, True, True, True, True, True]


def test_others_than_those_of_the_largest_gradient_are_drawn(model, breast_cancer):
    first, second = (
        check_gradients(model, *breast_cancer, max_samples=569, random_state=seed)
        for seed in (0, 1)
    )
    assert first.error[0] != second.error[0]


def test_rows_without_weight_are_not_drawn(model, breast_cancer):
    X, y = breast_cancer
    weight = np.zeros(len(y))
    weight[[3, 50, 200]] = 1
    assert check_gradients(model, X, y, weight, max_samples=2).agrees.all()


def test_forgotten_penalty_is_found(breast_cancer, monkeypatch):
    X, y = breast_cancer
    model = fit(X, y, alpha=50.0)
    monkeypatch.setattr(
        "skdnn.inspection.gradients.Objective",
        lambda *data, alpha: Objective(*data, alpha=0.9 * alpha),
    )
    checks = check_gradients(model, X, y)
    assert checks.agrees.tolist() == [False, False, False, True, True, True]


def test_parameters_at_a_kink_are_left_out(breast_cancer):
    X, y = breast_cancer
    model = fit(X, y, hidden=(3,))
    model.coefs_[0][:, 1] = model.intercepts_[0][1] = 0.0  # an input of exactly 0 on every row
    checks = check_gradients(model, X, y)
    assert checks.n_kinks[2] == 1
    assert checks.n_checked[2] == 2
    assert checks.agrees.all()


def test_step_that_would_cross_a_kink_is_shortened(breast_cancer):
    X, y = breast_cancer
    model = fit(X, y, hidden=(1,))
    z = X @ model.coefs_[0]
    # the first row is 1e-7 above the kink, and the first step is 6e-6
    model.intercepts_[0][0] = 1e-7 - z[0, 0]
    checks = check_gradients(model, X[:1], y[:1])
    assert checks.n_kinks.sum() == 0
    assert checks.agrees.all()


def test_where_nothing_could_be_compared_nothing_agrees(breast_cancer):
    X, y = breast_cancer
    model = fit(X, y, hidden=(2,))
    model.coefs_[0][...] = 0
    model.intercepts_[0][...] = 0
    checks = check_gradients(model, X, y)
    assert np.isnan(checks.error[0])
    assert not checks.agrees[0]


def test_vanished_gradient_is_told_from_a_wrong_one(breast_cancer):
    X, y = breast_cancer
    model = fit(X, y, activation="tanh", alpha=0)
    model.coefs_[-1][...] *= 1e-13
    checks = check_gradients(model, X, y)
    assert (checks.error <= checks.rounding + 1e-5).all()
    assert checks.rounding[0] > 1e-3


def test_gradient_that_rounding_hides_does_not_agree(breast_cancer):
    X, y = breast_cancer
    model = fit(X, y, activation="tanh", alpha=0)
    model.coefs_[-1][...] *= 1e-18
    checks = check_gradients(model, X, y)
    assert checks.rounding[0] >= 0.1
    assert checks.error[0] <= checks.rounding[0]
    assert not checks.agrees[0]
    assert checks.agrees[-1]  # the last bias does not pass through the weights


def test_checks_are_the_same_each_time_and_move_no_model(model, breast_cancer):
    before = [array.copy() for array in (*model.coefs_, *model.intercepts_)]
    first, second = (check_gradients(model, *breast_cancer) for _ in range(2))
    np.testing.assert_array_equal(first.error, second.error)
    for array, copy in zip((*model.coefs_, *model.intercepts_), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("name", ["max_samples", "max_parameters"])
@pytest.mark.parametrize("number", [0, 2.5, True])
def test_numbers_that_cannot_be_are_errors(name, number, model, breast_cancer):
    with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got {number}"):
        check_gradients(model, *breast_cancer, **{name: number})


# ------------------------------------------------------------------------------- inputs


def everything(model, X, y):
    """Return all that the module tells, as one vector."""
    units = dead_units(model, X)
    tables = [
        activation_statistics(model, X),
        gradient_statistics(model, X, y),
        check_gradients(model, X, y),
    ]
    numbers = [c for table in tables for name, c in table.items() if name != "block"]
    return np.concatenate([*units.shares, *units.masks, *numbers])


@pytest.mark.parametrize(
    "make",
    [
        lambda X, path: scipy.sparse.csr_array(X),
        lambda X, path: scipy.sparse.csc_matrix(X),
        lambda X, path: X.tolist(),
        lambda X, path: np.asfortranarray(X),
        lambda X, path: HDF5Matrix(path, "X"),
        lambda X, path: HDF5Matrix(path, "images"),
        lambda X, path: HDF5Matrix(path, "X", transform=lambda rows: rows),
    ],
    ids=["csr", "csc", "list", "Fortran", "file", "images in a file", "transformed file"],
)
def test_every_kind_of_input_gives_the_same(make, model, breast_cancer, file, small_blocks):
    X, y = breast_cancer
    np.testing.assert_allclose(
        everything(model, make(X, file), y), everything(model, X, y), rtol=1e-5, atol=1e-7
    )


def test_open_datasets_of_rows_and_labels_are_read(model, breast_cancer, file, small_blocks):
    with h5py.File(file) as data:
        found = everything(model, data["X"], data["y"])
    np.testing.assert_allclose(found, everything(model, *breast_cancer), rtol=1e-5, atol=1e-7)


def test_rows_go_through_the_steps_before_the_network(breast_cancer, file, small_blocks):
    X, y = breast_cancer
    steps = make_pipeline(StandardScaler(), PCA(5)).fit(X)
    pipeline = make_pipeline(StandardScaler(), PCA(5), fit(steps.transform(X), y)).fit(X, y)
    nested = make_pipeline(StandardScaler(), make_pipeline(PCA(5), pipeline[-1])).fit(X, y)
    expected = everything(pipeline[-1], pipeline[:-1].transform(X), y)
    for model, rows in ((pipeline, X), (pipeline, HDF5Matrix(file, "X")), (nested, X)):
        np.testing.assert_allclose(everything(model, rows, y), expected, rtol=1e-4, atol=1e-6)


def test_text_is_inspected_through_its_pipeline():
    texts, y = ["good plot", "bad plot", "good film", "bad film"], [1, 0, 1, 0]
    pipeline = make_pipeline(
        TfidfVectorizer(), DeepBinaryClassifier((3,), max_iter=2, tol=None, random_state=0)
    ).fit(texts, y)
    assert activation_statistics(pipeline, texts).n_units.tolist() == [3, 1]


def test_sparse_rows_are_never_made_dense(model, breast_cancer, monkeypatch):
    X, y = breast_cancer

    def refuse(*arguments, **options):
        raise AssertionError("made dense")

    X = scipy.sparse.csr_array(X)
    monkeypatch.setattr(scipy.sparse.csr_array, "toarray", refuse)
    monkeypatch.setattr(scipy.sparse.csr_array, "todense", refuse)
    assert np.isfinite(everything(model, X, y)).all()


def test_memory_stays_bounded_for_rows_on_disk(tmp_path):
    model = fit(np.random.RandomState(0).normal(size=(20, 500)), np.arange(20) % 2, hidden=(4,))
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        # 240 MB, which need no place in the file before they are written
        file.create_dataset("X", (60_000, 500), np.float64, chunks=(500, 500), fillvalue=0.5)
    tracemalloc.start()
    try:
        units = dead_units(model, HDF5Matrix(path, "X"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert units.n_samples == 60_000
    assert peak < 120e6


def test_float32_model_is_inspected_in_float32(breast_cancer):
    X, y = breast_cancer
    model = fit(X.astype(np.float32), y)
    z = X.astype(np.float32) @ model.coefs_[0] + model.intercepts_[0]
    np.testing.assert_allclose(
        activation_statistics(model, X).mean[0], np.maximum(z, 0).mean(dtype=float), rtol=1e-6
    )


# ------------------------------------------------------------------------------- errors

FUNCTIONS = pytest.mark.parametrize(
    "function",
    [
        lambda model, X, y: dead_units(model, X),
        lambda model, X, y: activation_statistics(model, X),
        gradient_statistics,
        check_gradients,
    ],
    ids=["dead_units", "activation_statistics", "gradient_statistics", "check_gradients"],
)


@FUNCTIONS
def test_unfitted_model_is_an_error(function, breast_cancer):
    with pytest.raises(NotFittedError):
        function(DeepBinaryClassifier(), *breast_cancer)
    with pytest.raises(NotFittedError):
        function(make_pipeline(StandardScaler(), DeepBinaryClassifier()), *breast_cancer)


@FUNCTIONS
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (LogisticRegression, r"got LogisticRegression\(\) \(LogisticRegression\)"),
        (lambda: make_pipeline(StandardScaler(), LogisticRegression()), "a Pipeline that ends"),
        (lambda: DeepBinaryClassifier, "Pass a fitted instance"),
        (lambda: None, "got None"),
    ],
    ids=["estimator", "pipeline", "class", "None"],
)
def test_other_models_are_named_in_the_error(function, make, message, breast_cancer):
    X, y = breast_cancer
    model = make()
    if hasattr(model, "fit") and not isinstance(model, type):
        model.fit(X, y)
    with pytest.raises(TypeError, match=f"whose last step is one, got.*{message}|{message}"):
        function(model, X, y)


def test_error_for_a_search_tells_of_its_best_estimator(breast_cancer):
    X, y = breast_cancer
    network = DeepBinaryClassifier((2,), max_iter=2, tol=None)
    search = GridSearchCV(network, {"alpha": [1, 2]}, cv=2).fit(X, y)
    with pytest.raises(TypeError, match="Pass its best_estimator_"):
        dead_units(search, X)


@FUNCTIONS
def test_wrong_number_of_features_is_an_error(function, model, breast_cancer, file):
    X, y = breast_cancer
    with pytest.raises(ValueError, match="X has 29 features, but DeepBinaryClassifier"):
        function(model, X[:, :-1], y)
    with pytest.raises(ValueError, match="29 features"):
        function(model, HDF5Matrix(file, "X", transform=lambda rows: rows[:, :-1]), y)


def test_row_with_nan_in_a_file_is_named(model, breast_cancer, file):
    with h5py.File(file, "r+") as data:
        data["X"][123, 4] = np.nan
    with pytest.raises(ValueError, match="NaN in row 123"):
        activation_statistics(model, HDF5Matrix(file, "X"))


def test_dataset_of_images_is_an_error_that_tells_how_to_flatten_it(model, file):
    with h5py.File(file) as data, pytest.raises(ValueError, match="HDF5Matrix"):
        activation_statistics(model, data["images"])


@pytest.mark.parametrize("function", [gradient_statistics, check_gradients])
def test_targets_that_do_not_suit_are_errors(function, model, breast_cancer):
    X, y = breast_cancer
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        function(model, X, y[:-1])
    with pytest.raises(ValueError, match="must have the same classes"):
        function(model, X, y + 1)
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        function(model, X, y, -np.ones(y.size))
    with pytest.raises(ValueError, match="NaN"):
        function(model, X, np.where(y == 1, np.nan, 0.0))


# ------------------------------------------------------------------------------- tables


def test_tables_become_data_frames(model, breast_cancer):
    frame = pd.DataFrame(gradient_statistics(model, *breast_cancer))
    assert frame.shape == (3, 9)
    assert frame["layer"].tolist() == [1, 2, 3]
    assert pd.DataFrame(dead_units(model, breast_cancer[0]).summary).shape == (2, 4)


def test_table_is_a_table_in_a_notebook():
    table = ElementTree.fromstring(Table(x=[1.5, 2], name=["<b>", "c"])._repr_html_())
    rows = [[cell.text for cell in row] for row in table.iter("tr")]
    assert rows == [["x", "name"], ["1.5", "<b>"], ["2", "c"]]


def test_table_prints_its_columns_side_by_side():
    table = Table(block=["a", "long"], n=np.array([10, 2]), ok=np.array([True, False]))
    assert str(table).splitlines() == ["block   n   ok", "    a  10  yes", " long   2   no"]
