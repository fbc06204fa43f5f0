"""DeepBinaryClassifier: what it takes, what it refuses, what it keeps, what it repeats."""

import hashlib
import inspect
import pickle
import re
import subprocess
import sys
import tracemalloc
import warnings
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.utils._param_validation import InvalidParameterError
from threadpoolctl import threadpool_limits

from skdnn import DeepBinaryClassifier, DivergenceError
from tests.models import RATES, learned, make_model, parameters_of

SOLVERS = ["gd", "sgd", "adam", "lbfgs"]
FIRST_ORDER = ["gd", "sgd", "adam"]
ALL_SOLVERS = pytest.mark.parametrize("solver", SOLVERS)
FIRST_ORDER_SOLVERS = pytest.mark.parametrize("solver", FIRST_ORDER)
# for data that leave a network no other way
MAY_DIE = pytest.mark.filterwarnings("ignore:Hidden layer:UserWarning")


@pytest.fixture(scope="module")
def fitted(data):
    return make_model().fit(*data)


# ---------------------------------------------------------------------- signature


def described(estimator_class, n_parameters):
    parameters = list(inspect.signature(estimator_class).parameters.values())[:n_parameters]
    return [(p.name, p.kind, p.default) for p in parameters]


def test_first_parameters_are_those_of_mlp_classifier():
    assert described(DeepBinaryClassifier, 23) == described(MLPClassifier, 23)


def test_mlp_classifier_has_no_parameter_more():
    assert len(inspect.signature(MLPClassifier).parameters) == 23


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fitted_attributes_are_those_of_mlp_classifier(solver, early_stopping, data):
    shared = {"solver": solver, "early_stopping": early_stopping, "max_iter": 3}
    theirs = MLPClassifier((5, 3), **shared).fit(*data)
    ours = DeepBinaryClassifier((5, 3), **shared).fit(*data)
    public = {name for name in vars(theirs) if name.endswith("_") and not name.startswith("_")}
    assert public <= set(vars(ours))


@pytest.mark.parametrize("attribute", ["coefs_", "intercepts_"])
@pytest.mark.parametrize("hidden", [(), (5,), (5, 3)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_shapes_are_those_of_mlp_classifier(attribute, hidden, data):
    theirs = MLPClassifier(hidden, max_iter=3).fit(*data)
    ours = make_model(hidden=hidden).fit(*data)
    assert [a.shape for a in getattr(ours, attribute)] == [
        a.shape for a in getattr(theirs, attribute)
    ]


@pytest.mark.parametrize(
    "attribute",
    ["n_layers_", "n_outputs_", "out_activation_", "n_features_in_", "n_iter_", "t_"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_counts_are_those_of_mlp_classifier(attribute, data):
    theirs = MLPClassifier((5, 3), max_iter=3).fit(*data)
    ours = make_model(max_iter=3).fit(*data)
    assert getattr(ours, attribute) == getattr(theirs, attribute)


@pytest.mark.parametrize("hidden", [5, [5], (5,), np.array([5]), range(5, 6)])
def test_hidden_layer_sizes_may_be_a_number_or_any_sequence(hidden, data):
    assert make_model(hidden=hidden).fit(*data).coefs_[0].shape == (4, 5)


# ---------------------------------------------------------------------- labels

LABELS = pytest.mark.parametrize(
    "labels",
    [
        np.array(["no", "yes"]),
        np.array(["no", "yes"], dtype=object),
        np.array([False, True]),
        np.array([-1, 1]),
        np.array([0, 1]),
        np.array([0, 1], dtype=np.int8),
        np.array([1.0, 2.0], dtype=np.float32),
        np.array([-7, 40], dtype=np.int64),
    ],
    ids=repr,
)


@LABELS
def test_predictions_are_labels(labels, data):
    X, y = data
    assert set(make_model().fit(X, labels[y]).predict(X)) == set(labels)


@LABELS
def test_predictions_have_the_dtype_of_the_labels(labels, data):
    X, y = data
    assert make_model().fit(X, labels[y]).predict(X).dtype == labels.dtype


@LABELS
def test_classes_have_the_dtype_of_the_labels(labels, data):
    X, y = data
    assert make_model().fit(X, labels[y]).classes_.dtype == labels.dtype


@LABELS
def test_names_of_the_labels_change_no_bit(labels, data, fitted):
    X, y = data
    np.testing.assert_array_equal(
        parameters_of(make_model().fit(X, labels[y])), parameters_of(fitted)
    )


def test_pandas_labels_are_taken(data, fitted):
    X, y = data
    labels = pd.Series(np.array(["a", "b"])[y], dtype="category")
    np.testing.assert_array_equal(parameters_of(make_model().fit(X, labels)), parameters_of(fitted))


def test_list_input_is_taken(data, fitted):
    X, y = data
    model = make_model().fit(X.tolist(), y.tolist())
    np.testing.assert_array_equal(parameters_of(model), parameters_of(fitted))


def test_column_of_labels_is_taken_with_scikit_learns_warning(data):
    X, y = data
    with pytest.warns(DataConversionWarning, match="column-vector"):
        make_model().fit(X, y[:, None])


def test_feature_names_are_kept(data):
    X, y = data
    model = make_model().fit(pd.DataFrame(X, columns=list("abcd")), y)
    assert model.feature_names_in_.tolist() == list("abcd")


def test_feature_names_must_not_change(data):
    X, y = data
    model = make_model().fit(pd.DataFrame(X, columns=list("abcd")), y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(pd.DataFrame(X, columns=list("abdc")))


def test_decision_function_is_the_log_odds_of_the_second_class(data, fitted):
    X, _ = data
    p = fitted.predict_proba(X)
    np.testing.assert_allclose(fitted.decision_function(X), np.log(p[:, 1] / p[:, 0]), rtol=1e-10)


def test_probabilities_add_up_to_one(data, fitted):
    np.testing.assert_allclose(fitted.predict_proba(data[0]).sum(axis=1), 1, rtol=1e-15)


# ---------------------------------------------------------------------- data that is refused


def message(estimator, X, y):
    """Return what fit says to bad data, with the estimator's name taken out."""
    with pytest.raises(ValueError, match=r".") as error:
        estimator.fit(X, y)
    return str(error.value).replace(type(estimator).__name__, "Estimator")


def with_entry(X, value):
    X = X.copy()
    X[3, 2] = value
    return X


BAD_DATA = {
    "nan": lambda X, y: (with_entry(X, np.nan), y),
    "inf": lambda X, y: (with_entry(X, np.inf), y),
    "sparse nan": lambda X, y: (scipy.sparse.csr_array(with_entry(X, np.nan)), y),
    "one-dimensional": lambda X, y: (X[:, 0], y),
    "three-dimensional": lambda X, y: (X[:, :, None], y),
    "no rows": lambda X, y: (X[:0], y[:0]),
    "no features": lambda X, y: (X[:, :0], y),
    "lengths differ": lambda X, y: (X[1:], y),
    "complex": lambda X, y: (X * 1j, y),
    "strings": lambda X, y: (np.full(X.shape, "a"), y),
    "nan label": lambda X, y: (X, np.where(y == 0, np.nan, 1.0)),
    "two columns of labels": lambda X, y: (X, np.column_stack([y, y])),
    "continuous target": lambda X, y: (X, y + np.linspace(0, 0.5, y.size)),
}


@pytest.mark.parametrize("flaw", BAD_DATA)
def test_bad_data_gets_the_message_of_scikit_learn(flaw, data):
    bad = BAD_DATA[flaw](*data)
    ours = message(DeepBinaryClassifier(), *bad)
    theirs = message(LogisticRegression(), *bad)
    # whatever advice they add about other estimators is theirs
    assert ours.split("\n")[0] == theirs.split("\n")[0]


def test_three_classes_are_refused(data):
    X, _ = data
    with pytest.raises(
        ValueError,
        match=r"Only binary classification is supported\. The type of the target is multiclass",
    ):
        make_model().fit(X, np.arange(60) % 3)


@ALL_SOLVERS
def test_one_class_is_refused(solver, data):
    X, _ = data
    with pytest.raises(ValueError, match=r"samples of .*2 classes in the data.*only one class"):
        make_model(solver).fit(X, np.ones(60))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_other_number_of_features_is_refused(method, data, fitted):
    with pytest.raises(ValueError, match="X has 3 features, but DeepBinaryClassifier is expecting"):
        getattr(fitted, method)(data[0][:, :3])


@pytest.mark.parametrize(
    "method",
    ["predict", "predict_proba", "predict_log_proba", "decision_function", "to_mlp_classifier"],
)
def test_unfitted_estimator_says_so(method):
    arguments = [] if method == "to_mlp_classifier" else [[[0.0]]]
    with pytest.raises(NotFittedError):
        getattr(DeepBinaryClassifier(), method)(*arguments)


@pytest.mark.parametrize("flaw", BAD_DATA)
@ALL_SOLVERS
def test_bad_data_leaves_a_fitted_estimator_as_it_was(flaw, solver, data):
    model = make_model(solver).fit(*data)
    before = learned(model)
    with suppress(ValueError):
        model.fit(*BAD_DATA[flaw](*data))
    assert learned(model) == before


@pytest.mark.parametrize("flaw", BAD_DATA)
@FIRST_ORDER_SOLVERS
def test_bad_data_leaves_partial_fit_as_it_was(flaw, solver, data):
    model = make_model(solver).partial_fit(*data, classes=[0, 1])
    before = learned(model)
    with suppress(ValueError):
        model.partial_fit(*BAD_DATA[flaw](*data))
    assert learned(model) == before


def test_bad_parameter_leaves_a_fitted_estimator_as_it_was(data):
    model = make_model().fit(*data)
    before = learned(model)
    with pytest.raises(InvalidParameterError):
        model.set_params(alpha=-1).fit(*data)
    assert learned(model) == before


# ---------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_layer_sizes", 0),
        ("hidden_layer_sizes", 2.5),
        ("activation", "softmax"),
        ("solver", "newton"),
        ("alpha", -0.1),
        ("batch_size", 0),
        ("batch_size", "all"),
        ("learning_rate", "steps"),
        ("learning_rate_init", 0.0),
        ("learning_rate_init", np.nan),
        ("power_t", -1.0),
        ("max_iter", 0),
        ("max_iter", 2.5),
        ("shuffle", "yes"),
        ("random_state", -1),
        ("tol", -1e-4),
        ("verbose", -1),
        ("warm_start", "no"),
        ("momentum", 1.1),
        ("nesterovs_momentum", 2),
        ("early_stopping", "no"),
        ("validation_fraction", -0.1),
        ("validation_fraction", 1.0),
        ("beta_1", 1.0),
        ("beta_2", -0.1),
        ("epsilon", 0.0),
        ("n_iter_no_change", 0),
        ("max_fun", 0),
        ("init", "zeros"),
        ("init_scale", 0.0),
        ("init_distribution", "cauchy"),
        ("negative_slope", 1.0),
    ],
)
def test_invalid_parameter_is_named(name, value, data):
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter"):
        DeepBinaryClassifier(**{name: value}).fit(*data)


@pytest.mark.parametrize(
    "hidden",
    [(0,), (-1,), (5, 2.5), (5, "3"), ("five",), (True,), (5, None), [[5, 3]], np.ones((2, 2))],
    ids=repr,
)
def test_invalid_hidden_layer_sizes_are_shown(hidden, data):
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        make_model(hidden=hidden).fit(*data)


def test_batch_larger_than_the_data_warns(data):
    with pytest.warns(UserWarning, match="batch_size=1000 is more than the 60"):
        make_model(batch_size=1000).fit(*data)


@pytest.mark.parametrize("solver", ["gd", "lbfgs"])
def test_full_batch_solver_has_no_use_for_batch_size(solver, data):
    np.testing.assert_array_equal(
        parameters_of(make_model(solver, batch_size=7).fit(*data)),
        parameters_of(make_model(solver).fit(*data)),
    )


def test_gd_has_no_use_for_momentum(data):
    np.testing.assert_array_equal(
        parameters_of(make_model("gd", momentum=0.0).fit(*data)),
        parameters_of(make_model("gd", momentum=0.9).fit(*data)),
    )


def test_sgd_on_all_rows_without_momentum_is_gd(data):
    np.testing.assert_array_equal(
        parameters_of(make_model("sgd", momentum=0.0, batch_size=60).fit(*data)),
        parameters_of(make_model("gd", learning_rate_init=RATES["sgd"]).fit(*data)),
    )


def test_gd_and_lbfgs_learn_the_same_minimum(data):
    gd = make_model("gd", (), alpha=1.0, max_iter=2000).fit(*data)
    lbfgs = make_model("lbfgs", (), alpha=1.0, max_iter=2000).fit(*data)
    np.testing.assert_allclose(parameters_of(gd), parameters_of(lbfgs), rtol=1e-5)


# ---------------------------------------------------------------------- dtypes and sparse input


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("early_stopping", [False, True])
@ALL_SOLVERS
def test_parameters_have_the_dtype_of_the_data(dtype, early_stopping, solver, data):
    X, y = data
    model = make_model(solver, early_stopping=early_stopping).fit(X.astype(dtype), y)
    assert {p.dtype for p in (*model.coefs_, *model.intercepts_)} == {np.dtype(dtype)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba", "decision_function"])
def test_predictions_have_the_dtype_of_the_data(dtype, method, data):
    X, y = data
    X = X.astype(dtype)
    assert getattr(make_model().fit(X, y), method)(X).dtype == dtype


@MAY_DIE
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool, np.float16])
def test_other_numbers_become_float64(dtype, data):
    X, y = data
    assert make_model().fit((X > 0).astype(dtype), y).coefs_[0].dtype == np.float64


@ALL_SOLVERS
def test_float32_stays_near_float64(solver, data):
    X, y = data
    single, double = make_model(solver).fit(X.astype(np.float32), y), make_model(solver).fit(X, y)
    np.testing.assert_allclose(single.predict_proba(X), double.predict_proba(X), atol=1e-3)


SPARSE = pytest.mark.parametrize(
    "sparse",
    [
        scipy.sparse.csr_array,
        scipy.sparse.csc_array,
        scipy.sparse.csr_matrix,
        scipy.sparse.csc_matrix,
    ],
)


@SPARSE
@ALL_SOLVERS
@pytest.mark.parametrize("early_stopping", [False, True])
def test_sparse_input_is_trained_on_like_dense(sparse, solver, early_stopping, data):
    X, y = data
    X = np.where(X > 0.5, X, 0)
    model = make_model(solver, early_stopping=early_stopping, batch_size=60)
    dense = parameters_of(clone(model).set_params(batch_size="auto").fit(X, y))
    model.set_params(batch_size="auto")
    np.testing.assert_allclose(parameters_of(model.fit(sparse(X), y)), dense, rtol=1e-8, atol=1e-10)


@SPARSE
def test_sparse_batches_are_trained_on_like_dense(sparse, data):
    X, y = data
    X = np.where(X > 0.5, X, 0)
    model = make_model(batch_size=16)
    dense = parameters_of(clone(model).fit(X, y))
    np.testing.assert_allclose(parameters_of(model.fit(sparse(X), y)), dense, rtol=1e-8, atol=1e-10)


@SPARSE
def test_sparse_input_is_predicted_like_dense(sparse, data, fitted):
    X = np.where(data[0] > 0.5, data[0], 0)
    np.testing.assert_allclose(
        fitted.decision_function(sparse(X)), fitted.decision_function(X), rtol=1e-12, atol=1e-14
    )


def test_sparse_float32_stays_float32(data):
    X, y = data
    model = make_model().fit(scipy.sparse.csr_array(X.astype(np.float32)), y)
    assert model.coefs_[0].dtype == np.float32


@pytest.fixture(scope="module")
def wide_and_sparse():
    """Return 10,000 rows of 1,000,000 features, 80 GB if they were dense."""
    generator = np.random.RandomState(0)
    n_rows, n_features, n_entries = 10_000, 1_000_000, 100_000
    rows, columns = (generator.randint(n, size=n_entries) for n in (n_rows, n_features))
    X = scipy.sparse.coo_array((np.ones(n_entries), (rows, columns)), (n_rows, n_features))
    return X, np.arange(n_rows) % 2


@MAY_DIE
@pytest.mark.parametrize("kind", ["csr", "csc"])
@ALL_SOLVERS
@pytest.mark.parametrize("early_stopping", [False, True])
def test_sparse_input_is_never_made_dense(kind, solver, early_stopping, wide_and_sparse):
    X, y = wide_and_sparse
    X = X.asformat(kind)
    model = make_model(solver, (1,), max_iter=1, batch_size=5_000, early_stopping=early_stopping)
    tracemalloc.start()
    try:
        model.fit(X, y).predict(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 400e6


def test_fit_leaves_its_input_alone(data):
    X, y = (a.copy() for a in data)
    make_model().fit(X, y)
    np.testing.assert_array_equal(X, data[0])


# ---------------------------------------------------------------------- sample weights


@ALL_SOLVERS
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_weight_of_two_is_the_row_twice(solver, alpha, data):
    X, y = data
    times = np.arange(60) % 3 + 1
    model = make_model(solver, alpha=alpha)
    weighted = clone(model).fit(X, y, sample_weight=times)
    repeated = clone(model).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    np.testing.assert_allclose(parameters_of(weighted), parameters_of(repeated), rtol=1e-9)


@ALL_SOLVERS
def test_weight_of_two_counts_twice_in_the_loss(solver, data):
    X, y = data
    times = np.arange(60) % 3 + 1
    weighted = make_model(solver).fit(X, y, sample_weight=times)
    repeated = make_model(solver).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-9)


@ALL_SOLVERS
def test_weights_of_one_are_no_weights(solver, data):
    X, y = data
    np.testing.assert_allclose(
        parameters_of(make_model(solver).fit(X, y, np.ones(60))),
        parameters_of(make_model(solver).fit(X, y)),
        rtol=1e-9,
    )


@given(scale=st.floats(1e-200, 1e200))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_scale_of_the_weights_does_not_matter_without_penalty(scale):
    X, y = np.arange(8.0)[:, None] - 3.5, np.array([0, 0, 1, 0, 1, 0, 1, 1])
    weight = np.linspace(1, 2, 8)
    model = make_model("gd", (3,), alpha=0.0)
    np.testing.assert_allclose(
        parameters_of(clone(model).fit(X, y, weight * scale)),
        parameters_of(clone(model).fit(X, y, weight)),
        rtol=1e-9,
    )


@ALL_SOLVERS
@pytest.mark.parametrize("early_stopping", [False, True])
def test_rows_of_weight_zero_are_as_if_they_were_not_there(solver, early_stopping, data):
    X, y = data
    weight = np.arange(60) % 3 / 2
    kept = weight > 0
    model = make_model(solver, early_stopping=early_stopping, batch_size=16)
    np.testing.assert_array_equal(
        parameters_of(clone(model).fit(X, y, weight)),
        parameters_of(clone(model).fit(X[kept], y[kept], weight[kept])),
    )


@FIRST_ORDER_SOLVERS
def test_partial_fit_drops_rows_of_weight_zero(solver, data):
    X, y = data
    weight = np.arange(60) % 3 / 2
    kept = weight > 0
    model = make_model(solver, batch_size=16)
    np.testing.assert_array_equal(
        parameters_of(clone(model).partial_fit(X, y, weight, classes=[0, 1])),
        parameters_of(clone(model).partial_fit(X[kept], y[kept], weight[kept], classes=[0, 1])),
    )


@pytest.mark.parametrize(
    ("weight", "complaint"),
    [
        (np.where(np.arange(60) == 7, -1.0, 1.0), "negative"),
        (np.zeros(60), "zero"),
        (np.full(60, np.nan), "NaN"),
        (np.full(60, np.inf), "infinity"),
        (np.ones(59), r"shape \(60,\)"),
        (np.ones((60, 1)), r"shape \(60,\)"),
        (np.full(60, 1e308), "sum of the weights"),
    ],
    ids=["negative", "zero", "nan", "infinite", "short", "column", "sum overflows"],
)
def test_what_cannot_be_weights_is_refused(weight, complaint, data):
    with pytest.raises(ValueError, match=complaint):
        make_model().fit(*data, sample_weight=weight)


def test_both_classes_need_positive_weight(data):
    X, y = data
    with pytest.raises(ValueError, match=r"positive \w+ are of one class"):
        make_model().fit(X, y, sample_weight=y)


# ---------------------------------------------------------------------- divergence


@FIRST_ORDER_SOLVERS
def test_divergence_names_epoch_and_learning_rate(solver, breast_cancer):
    with pytest.raises(DivergenceError, match=r"epoch \d+.*learning rate 1e\+200"):
        make_model(solver, learning_rate_init=1e200).fit(*breast_cancer)


def test_divergence_of_lbfgs_names_the_iteration(breast_cancer):
    X, y = breast_cancer
    with pytest.raises(DivergenceError, match=r"iteration \d+.*learning rate"):
        make_model("lbfgs").fit(X * 1e300, y)


@ALL_SOLVERS
def test_divergence_says_what_to_change(solver, breast_cancer):
    X, y = breast_cancer
    with pytest.raises(DivergenceError, match=r"StandardScaler.*init_scale"):
        make_model(solver, learning_rate_init=1e200).fit(X * 1e300, y)


@FIRST_ORDER_SOLVERS
def test_divergence_knows_its_epoch(solver, breast_cancer):
    with pytest.raises(DivergenceError) as error:
        make_model(solver, learning_rate_init=1e200).fit(*breast_cancer)
    assert f"epoch {error.value.epoch}:" in str(error.value)


@FIRST_ORDER_SOLVERS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_divergence_stops_training_soon(solver, dtype, breast_cancer):
    X, y = breast_cancer
    with pytest.raises(DivergenceError) as error:
        make_model(solver, learning_rate_init=1e300, max_iter=10**6).fit(X.astype(dtype), y)
    assert error.value.epoch <= 3


def test_divergence_error_survives_pickling():
    error = pickle.loads(pickle.dumps(DivergenceError("went astray", 7)))
    assert (str(error), error.epoch) == ("went astray", 7)


@ALL_SOLVERS
def test_divergence_leaves_an_unfitted_estimator_unfitted(solver, breast_cancer):
    X, y = breast_cancer
    model = make_model(solver, learning_rate_init=1e200)
    with pytest.raises(DivergenceError):
        model.fit(X * 1e300, y)
    assert set(vars(model)) == set(model.get_params())


@ALL_SOLVERS
def test_divergence_leaves_a_fitted_estimator_unfitted(solver, breast_cancer):
    X, y = breast_cancer
    model = make_model(solver).fit(X, y)
    with pytest.raises(DivergenceError):
        model.set_params(learning_rate_init=1e200).fit(X * 1e300, y)
    with pytest.raises(NotFittedError):
        model.predict(X)


@ALL_SOLVERS
def test_divergence_leaves_a_warm_start_as_it_was(solver, breast_cancer):
    X, y = breast_cancer
    model = make_model(solver, warm_start=True).fit(X, y)
    before = learned(model)
    with pytest.raises(DivergenceError):
        model.set_params(learning_rate_init=1e200).fit(X * 1e300, y)
    assert learned(model) == before


@FIRST_ORDER_SOLVERS
def test_divergence_leaves_partial_fit_as_it_was(solver, breast_cancer):
    X, y = breast_cancer
    model = make_model(solver).partial_fit(X, y, classes=[0, 1])
    before = learned(model)
    with pytest.raises(DivergenceError):
        model.set_params(learning_rate_init=1e200).partial_fit(X * 1e300, y)
    assert learned(model) == before


@FIRST_ORDER_SOLVERS
def test_training_goes_on_after_divergence_as_if_it_had_not_been(solver, breast_cancer):
    X, y = breast_cancer
    model = make_model(solver, batch_size=50).partial_fit(X, y, classes=[0, 1])
    undisturbed = pickle.loads(pickle.dumps(model)).partial_fit(X, y)
    with pytest.raises(DivergenceError):
        model.set_params(learning_rate_init=1e200).partial_fit(X * 1e300, y)
    model.set_params(learning_rate_init=RATES[solver]).partial_fit(X, y)
    np.testing.assert_array_equal(parameters_of(model), parameters_of(undisturbed))


def test_net_that_adam_would_freeze_is_divergence(data):
    # gradients that float32 holds, and squares that it does not
    X, y = data
    with pytest.raises(DivergenceError, match="moment"):
        make_model("adam").fit((X * 1e25).astype(np.float32), y)


# ---------------------------------------------------------------------- extremes
# numpy's warnings are errors here


def probabilities_or_divergence(model, X, y):
    """Return the probabilities of X after training; without a row if training diverged."""
    with suppress(DivergenceError):
        return model.fit(X, y).predict_proba(X)
    return np.empty((0, 2))


@MAY_DIE
@ALL_SOLVERS
@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(1e300, np.float64), (1e-300, np.float64), (1e30, np.float32), (1e-30, np.float32)],
)
@pytest.mark.parametrize("hidden", [(), (5, 3)])
def test_extreme_features_give_probabilities_or_divergence(solver, scale, dtype, hidden, data):
    X, y = data
    X = (X / abs(X).max() * scale).astype(dtype)
    probabilities = probabilities_or_divergence(make_model(solver, hidden), X, y)
    assert np.isfinite(probabilities).all()


@MAY_DIE
@ALL_SOLVERS
@pytest.mark.parametrize("activation", ["leaky_relu", "tanh", "logistic", "elu", "silu", "gelu"])
def test_extreme_features_of_any_activation(solver, activation, data):
    X, y = data
    model = make_model(solver, activation=activation)
    probabilities = probabilities_or_divergence(model, X / abs(X).max() * 1e300, y)
    assert np.isfinite(probabilities).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("logit", [-1e4, 1e4])
@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba", "decision_function"])
def test_predictions_of_large_logits_are_finite(dtype, logit, method, data):
    X, y = data
    model = make_model(hidden=()).fit(X.astype(dtype), y)
    model.coefs_[0][...] = 0
    model.intercepts_[0][...] = logit
    assert np.isfinite(getattr(model, method)(X.astype(dtype))).all()


@ALL_SOLVERS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_from_large_logits_is_finite(solver, dtype, data):
    X, y = data
    model = make_model(solver, (), init="normal", init_scale=1e8)
    probabilities = probabilities_or_divergence(model, X.astype(dtype), y)
    assert np.isfinite(probabilities).all()


@MAY_DIE
@ALL_SOLVERS
@pytest.mark.parametrize("constant", [0.0, 1.0, -1e4])
def test_constant_features_are_trained_on(solver, constant):
    X, y = np.full((10, 3), constant), np.arange(10) < 3
    probabilities = probabilities_or_divergence(make_model(solver), X, y)
    assert np.isfinite(probabilities).all()


@MAY_DIE
@ALL_SOLVERS
@pytest.mark.parametrize("hidden", [(), (1,), (1, 1, 1)])
def test_one_feature_and_one_unit_are_trained_on(solver, hidden, data):
    X, y = data
    assert np.isfinite(make_model(solver, hidden).fit(X[:, :1], y).predict_proba(X[:, :1])).all()


@MAY_DIE
@ALL_SOLVERS
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_thirty_layers_are_trained_on(solver, activation, data):
    X, y = data
    model = make_model(solver, (4,) * 30, activation=activation)
    assert np.isfinite(probabilities_or_divergence(model, X, y)).all()


@ALL_SOLVERS
def test_two_rows_are_trained_on(solver):
    X = np.array([[0.0], [1.0]])
    assert np.isfinite(make_model(solver).fit(X, [0, 1]).predict_proba(X)).all()


def test_lbfgs_that_starts_at_the_minimum_has_its_loss():
    model = make_model("lbfgs", (), alpha=0.0).fit(np.zeros((4, 2)), [0, 1, 0, 1])
    assert model.loss_ == pytest.approx(np.log(2))


def test_overflow_of_hidden_units_gives_a_probability_of_one(data):
    model = make_model(hidden=(2,)).fit(*data)
    model.coefs_[0][...] = 1
    model.coefs_[1][...] = 1
    np.testing.assert_array_equal(model.predict_proba(np.full((1, 4), 1e308)), [[0, 1]])


def test_row_without_a_prediction_is_named(data):
    model = make_model(hidden=(2,)).fit(*data)
    model.coefs_[0][...] = 1
    model.coefs_[1][...] = [[1], [-1]]
    X = np.ones((5, 4))
    X[3] = 1e308
    with pytest.raises(ValueError, match=r"Row 3 "):
        model.predict_proba(X)


@MAY_DIE
@given(
    X=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=6, max_size=6),
    solver=st.sampled_from(SOLVERS),
)
@settings(deadline=None, derandomize=True, max_examples=100)
def test_any_finite_features_give_probabilities_or_divergence(X, solver):
    X = np.array(X).reshape(6, 1)
    probabilities = probabilities_or_divergence(make_model(solver, (2,)), X, [0, 1, 0, 1, 0, 1])
    assert np.isfinite(probabilities).all()


# ---------------------------------------------------------------------- epochs and reports


@ALL_SOLVERS
def test_without_tol_training_takes_exactly_max_iter_epochs(solver, breast_cancer):
    assert make_model(solver, max_iter=17).fit(*breast_cancer).n_iter_ == 17


@ALL_SOLVERS
def test_loss_curve_has_an_entry_an_epoch(solver, breast_cancer):
    assert len(make_model(solver, max_iter=17).fit(*breast_cancer).loss_curve_) == 17


@ALL_SOLVERS
def test_running_out_of_epochs_warns(solver, breast_cancer):
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        make_model(solver, max_iter=3, tol=1e-9).fit(*breast_cancer)


@ALL_SOLVERS
def test_convergence_does_not_warn(solver, breast_cancer):
    model = make_model(solver, (), alpha=100.0, tol=1e-3, max_iter=1000)
    assert model.fit(*breast_cancer).n_iter_ < 1000


@ALL_SOLVERS
@pytest.mark.parametrize(("verbose", "n_lines"), [(False, 0), (True, 6), (1, 6), (2, 3), (4, 1)])
def test_verbose_prints_a_line_every_so_many_epochs(solver, verbose, n_lines, data, capsys):
    make_model(solver, max_iter=6, verbose=verbose).fit(*data)
    assert len(capsys.readouterr().out.splitlines()) == n_lines


def test_lines_name_their_epoch(data, capsys):
    make_model("gd", max_iter=6, verbose=2).fit(*data)
    assert re.findall(r"Iteration (\d+)", capsys.readouterr().out) == ["2", "4", "6"]


def test_loss_curve_starts_with_the_cost_before_the_first_update(data):
    one, ten = make_model("gd", max_iter=1).fit(*data), make_model("gd").fit(*data)
    assert one.loss_curve_[0] == ten.loss_curve_[0]


@pytest.mark.parametrize("solver", ["gd", "lbfgs"])
def test_training_lowers_the_loss(solver, breast_cancer):
    curve = make_model(solver, max_iter=30).fit(*breast_cancer).loss_curve_
    assert curve[-1] < curve[0] / 2


# ---------------------------------------------------------------------- reproducibility

ONE_THREAD = """
import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
"""
SCRIPT = """
import hashlib
import sys

import numpy as np
from sklearn.datasets import load_breast_cancer
from skdnn import DeepBinaryClassifier

X, y = load_breast_cancer(return_X_y=True)
model = DeepBinaryClassifier(
    (20, 7), solver=sys.argv[1], max_iter=20, tol=None, random_state=0, early_stopping=True
)
model.fit(X / X.max(axis=0), y)
print(hashlib.sha256(b"".join(p.tobytes() for p in model.coefs_ + model.intercepts_)).hexdigest())
"""


@ALL_SOLVERS
@pytest.mark.parametrize("early_stopping", [False, True])
def test_same_seed_gives_the_same_bits(solver, early_stopping, breast_cancer):
    model = make_model(solver, (20, 7), early_stopping=early_stopping)
    np.testing.assert_array_equal(
        parameters_of(clone(model).fit(*breast_cancer)),
        parameters_of(clone(model).fit(*breast_cancer)),
    )


def test_refit_forgets_the_first_fit(data):
    model = make_model().fit(*data)
    first = learned(model)
    assert learned(model.fit(*data)) == first


def test_other_seed_gives_other_parameters(data, fitted):
    other = make_model(random_state=2).fit(*data)
    assert not np.array_equal(parameters_of(other), parameters_of(fitted))


def test_numpy_seed_is_used_without_random_state(data):
    model = make_model(random_state=None)
    np.random.seed(5)
    first = parameters_of(clone(model).fit(*data))
    np.random.seed(5)
    np.testing.assert_array_equal(parameters_of(clone(model).fit(*data)), first)


@ALL_SOLVERS
def test_other_process_gives_the_same_bits(solver):
    X, y = load_breast_cancer(return_X_y=True)
    model = DeepBinaryClassifier(
        (20, 7), solver=solver, max_iter=20, tol=None, random_state=0, early_stopping=True
    )
    with threadpool_limits(1):
        model.fit(X / X.max(axis=0), y)
    here = hashlib.sha256(b"".join(p.tobytes() for p in model.coefs_ + model.intercepts_))
    there = subprocess.run(
        [sys.executable, "-c", ONE_THREAD + SCRIPT, solver],
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == here.hexdigest()


@ALL_SOLVERS
def test_grid_search_gives_the_same_bits_with_one_and_two_jobs(solver, breast_cancer):
    search = GridSearchCV(
        make_model(solver, (20,)), {"alpha": [1e-4, 1.0]}, scoring="neg_log_loss", cv=2
    )
    with threadpool_limits(1):
        one = clone(search).set_params(n_jobs=1).fit(*breast_cancer)
        two = clone(search).set_params(n_jobs=2).fit(*breast_cancer)
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"]
    )


@ALL_SOLVERS
def test_number_of_blas_threads_changes_little(solver):
    generator = np.random.RandomState(0)
    X = generator.standard_normal((300, 400))
    y = X[:, :5].sum(axis=1) > 0
    model = make_model(solver, (64, 16), max_iter=20)
    with threadpool_limits(1):
        one = parameters_of(clone(model).fit(X, y))
    with threadpool_limits(2):
        two = parameters_of(clone(model).fit(X, y))
    np.testing.assert_allclose(two, one, rtol=1e-9, atol=1e-9)


# ---------------------------------------------------------------------- pickles


def allowed_bytes(model):
    return 1.1 * parameters_of(model).nbytes + 20_000 + 40 * model.n_iter_


@ALL_SOLVERS
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("hidden", [(3,), (300, 100)])
@pytest.mark.parametrize("max_iter", [2, 40])
def test_pickle_is_little_more_than_the_parameters(
    solver, early_stopping, hidden, max_iter, breast_cancer
):
    X, y = breast_cancer
    model = make_model(solver, hidden, early_stopping=early_stopping, max_iter=max_iter)
    model.fit(X, y)
    assert len(pickle.dumps(model)) <= allowed_bytes(model)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_epoch_costs_a_pickle_40_bytes(early_stopping, data):
    short = make_model(early_stopping=early_stopping, max_iter=10).fit(*data)
    long = make_model(early_stopping=early_stopping, max_iter=2010).fit(*data)
    assert len(pickle.dumps(long)) - len(pickle.dumps(short)) <= 40 * 2000


def test_pickle_of_a_cold_fit_after_a_warm_one_is_small(breast_cancer):
    X, y = breast_cancer
    model = make_model(hidden=(300, 100), warm_start=True).fit(X, y)
    model.set_params(warm_start=False).fit(X, y)
    assert len(pickle.dumps(model)) <= allowed_bytes(model)


# ---------------------------------------------------------------------- going on

SCHEDULES = pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive"])


@FIRST_ORDER_SOLVERS
@SCHEDULES
@pytest.mark.parametrize("batch_size", [16, 60])
def test_warm_start_of_one_epoch_each_is_one_fit(solver, schedule, batch_size, data):
    common = {"learning_rate": schedule, "batch_size": batch_size}
    whole = make_model(solver, max_iter=5, **common).fit(*data)
    model = make_model(solver, max_iter=1, warm_start=True, **common)
    for _ in range(5):
        model.fit(*data)
    np.testing.assert_array_equal(parameters_of(model), parameters_of(whole))


@FIRST_ORDER_SOLVERS
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_meets_the_plateaus_of_one_fit(solver, data):
    # an epoch in two is a plateau, which lowers the rate
    common = {"learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 2}
    whole = make_model(solver, max_iter=7, **common).fit(*data)
    model = make_model(solver, max_iter=1, warm_start=True, **common)
    for _ in range(7):
        model.fit(*data)
    np.testing.assert_array_equal(parameters_of(model), parameters_of(whole))


@FIRST_ORDER_SOLVERS
@SCHEDULES
@pytest.mark.parametrize("batch_size", [16, 60])
def test_partial_fit_of_one_epoch_each_is_one_fit(solver, schedule, batch_size, data):
    common = {"learning_rate": schedule, "batch_size": batch_size}
    whole = make_model(solver, max_iter=5, **common).fit(*data)
    model = make_model(solver, **common)
    for _ in range(5):
        model.partial_fit(*data, classes=[0, 1])
    np.testing.assert_array_equal(parameters_of(model), parameters_of(whole))


@FIRST_ORDER_SOLVERS
@SCHEDULES
def test_pickle_in_between_changes_no_bit(solver, schedule, data):
    common = {"learning_rate": schedule, "batch_size": 16}
    whole = make_model(solver, max_iter=6, **common).fit(*data)
    model = make_model(solver, max_iter=3, warm_start=True, **common).fit(*data)
    model = pickle.loads(pickle.dumps(model)).fit(*data)
    np.testing.assert_array_equal(parameters_of(model), parameters_of(whole))


@FIRST_ORDER_SOLVERS
def test_partial_fit_goes_on_through_pickles(solver, data):
    whole = make_model(solver, max_iter=3, batch_size=16).fit(*data)
    model = make_model(solver, batch_size=16).partial_fit(*data, classes=[0, 1])
    for _ in range(2):
        model = pickle.loads(pickle.dumps(model)).partial_fit(*data)
    np.testing.assert_array_equal(parameters_of(model), parameters_of(whole))


@FIRST_ORDER_SOLVERS
def test_loss_curve_goes_on(solver, data):
    whole = make_model(solver, max_iter=6).fit(*data)
    model = make_model(solver, max_iter=3, warm_start=True).fit(*data).fit(*data)
    assert model.loss_curve_ == whole.loss_curve_


@FIRST_ORDER_SOLVERS
def test_count_of_rows_goes_on(solver, data):
    model = make_model(solver, max_iter=3, warm_start=True).fit(*data).fit(*data)
    assert model.t_ == 6 * 60


def test_warm_start_of_lbfgs_goes_on_from_the_parameters(data):
    model = make_model("lbfgs", max_iter=3, warm_start=True).fit(*data)
    before = model.loss_
    assert model.fit(*data).loss_ < before


def test_without_warm_start_fit_starts_anew(data):
    model = make_model().fit(*data)
    once = parameters_of(model)
    np.testing.assert_array_equal(parameters_of(model.fit(*data)), once)


def test_warm_start_needs_the_same_layers(data):
    model = make_model(warm_start=True).fit(*data)
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        model.set_params(hidden_layer_sizes=(7,)).fit(*data)


def test_warm_start_needs_the_same_classes(data):
    X, y = data
    model = make_model(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="same classes"):
        model.fit(X, y + 1)


def test_warm_start_needs_the_same_features(data):
    X, y = data
    model = make_model(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="X has 3 features"):
        model.fit(X[:, :3], y)


@FIRST_ORDER_SOLVERS
def test_partial_fit_takes_one_class_first(solver, data):
    X, y = data
    model = make_model(solver).partial_fit(X[y == 1], y[y == 1], classes=[0, 1])
    assert model.classes_.tolist() == [0, 1]


@FIRST_ORDER_SOLVERS
def test_partial_fit_learns_from_batches_of_one_class(solver, data):
    X, y = data
    model = make_model(solver, ())
    for _ in range(200):
        model.partial_fit(X[y == 1], y[y == 1], classes=[0, 1])
        model.partial_fit(X[y == 0], y[y == 0])
    assert model.score(X, y) > 0.75


def test_partial_fit_needs_classes_first(data):
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        make_model().partial_fit(*data)


@pytest.mark.parametrize("classes", [[0], [0, 1, 2], [1, 1]])
def test_partial_fit_needs_two_classes(classes, data):
    with pytest.raises(ValueError, match="Only binary classification is supported"):
        make_model().partial_fit(*data, classes=classes)


def test_partial_fit_refuses_other_classes_later(data):
    model = make_model().partial_fit(*data, classes=[0, 1])
    with pytest.raises(ValueError, match="not the same as"):
        model.partial_fit(*data, classes=[0, 2])


def test_partial_fit_refuses_unknown_labels(data):
    X, y = data
    model = make_model().partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="same classes"):
        model.partial_fit(X, y + 1)


def test_partial_fit_goes_on_from_fit(data):
    model = make_model().fit(*data)
    assert len(model.partial_fit(*data).loss_curve_) == 11


def test_lbfgs_has_no_partial_fit():
    assert not hasattr(make_model("lbfgs"), "partial_fit")


def test_partial_fit_never_warns_of_convergence(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = DeepBinaryClassifier().partial_fit(*data, classes=[0, 1])
    assert model.n_iter_ == 1


def test_clone_is_unfitted(fitted):
    assert not hasattr(clone(fitted), "coefs_")


# ---------------------------------------------------------------------- to_mlp_classifier

MLP_ACTIVATIONS = pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])


@MLP_ACTIVATIONS
@ALL_SOLVERS
def test_mlp_classifier_predicts_the_same_probabilities(activation, solver, breast_cancer):
    X, y = breast_cancer
    model = make_model(solver, activation=activation).fit(X, y)
    np.testing.assert_allclose(
        model.to_mlp_classifier().predict_proba(X), model.predict_proba(X), rtol=1e-12, atol=1e-12
    )


@MLP_ACTIVATIONS
def test_mlp_classifier_predicts_the_same_labels(activation, breast_cancer):
    X, y = breast_cancer
    labels = np.array(["malignant", "benign"])[y]
    model = make_model(activation=activation).fit(X, labels)
    np.testing.assert_array_equal(model.to_mlp_classifier().predict(X), model.predict(X))


@pytest.mark.parametrize("activation", ["leaky_relu", "elu", "silu", "gelu"])
def test_mlp_classifier_lacks_other_activations(activation, data):
    model = make_model(activation=activation).fit(*data)
    with pytest.raises(ValueError, match=f"no activation '{activation}'"):
        model.to_mlp_classifier()


@FIRST_ORDER_SOLVERS
@pytest.mark.parametrize("tol", [None, 1e-4])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_mlp_classifier_can_be_trained_on(solver, tol, data):
    mlp = make_model(solver, tol=tol).fit(*data).to_mlp_classifier()
    before = parameters_of(mlp)
    mlp.partial_fit(*data)
    assert not np.array_equal(parameters_of(mlp), before)


def test_mlp_classifier_has_weights_of_its_own(data):
    model = make_model().fit(*data)
    before = parameters_of(model)
    model.to_mlp_classifier().partial_fit(*data)
    np.testing.assert_array_equal(parameters_of(model), before)


def test_mlp_classifier_has_valid_parameters(data):
    mlp = make_model("gd").fit(*data).to_mlp_classifier()
    mlp._validate_params()
    assert mlp.get_params()["solver"] == "sgd"


def test_mlp_classifier_survives_clone_and_pickle(data):
    X, _ = data
    mlp = make_model().fit(*data).to_mlp_classifier()
    again = pickle.loads(pickle.dumps(mlp))
    np.testing.assert_array_equal(again.predict_proba(X), mlp.predict_proba(X))


def test_mlp_classifier_keeps_feature_names(data):
    X, y = data
    model = make_model().fit(pd.DataFrame(X, columns=list("abcd")), y)
    assert model.to_mlp_classifier().feature_names_in_.tolist() == list("abcd")
