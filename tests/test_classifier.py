"""DeepBinaryClassifier: which parameters, labels, rows and weights it takes and refuses."""

import inspect
import json
import tracemalloc
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.utils._param_validation import InvalidParameterError

from skdnn import DeepBinaryClassifier
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
    ("solver", "name", "value"),
    [
        ("sgd", "momentum", 0),
        ("sgd", "momentum", 1),
        ("adam", "alpha", 0),
        ("adam", "beta_1", 0),
        ("adam", "beta_2", 0),
        ("adam", "validation_fraction", 0),
        ("adam", "negative_slope", 0),
        ("adam", "dropout", 0),
        ("adam", "n_iter_no_change", np.inf),
    ],
)
def test_parameter_may_be_at_its_bound(solver, name, value, data):
    make_model(solver, max_iter=1, **{name: value}).fit(*data)


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


@pytest.mark.parametrize("solver", ["adam", "gd", "lbfgs"])
@pytest.mark.parametrize("name", ["alpha", "max_grad_norm"])
def test_numpy_scalars_do_not_lower_the_precision_of_the_loss(solver, name, data):
    given = make_model(solver, **{name: np.float32(0.1)}).fit(*data)
    plain = make_model(solver, **{name: float(np.float32(0.1))}).fit(*data)
    assert json.dumps(given.loss_curve_) == json.dumps(plain.loss_curve_)


@pytest.mark.parametrize("sizes", [np.array(6), 6, np.int64(6), [6], (6,), np.array([6])], ids=repr)
def test_one_hidden_layer_may_be_given_in_any_form(sizes, data):
    model = make_model().set_params(hidden_layer_sizes=sizes).fit(*data)
    np.testing.assert_array_equal(model.coefs_[0], make_model(hidden=(6,)).fit(*data).coefs_[0])


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


@pytest.mark.parametrize(("fitted", "dtype"), [("f4", "f8"), ("f8", "f4")])
def test_predictions_have_the_wider_of_two_dtypes(fitted, dtype, data):
    X, y = data
    model = make_model().fit(X.astype(fitted), y)
    assert model.decision_function(X.astype(dtype)).dtype == np.float64


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
@settings(derandomize=True, max_examples=20)
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


def test_scorer_must_exist_even_where_none_is_asked():
    with pytest.raises(InvalidParameterError, match="'scoring' parameter"):
        DeepBinaryClassifier(scoring="no_such_scorer").fit([[0.0], [1.0]], [0, 1])


@pytest.mark.parametrize("sizes", [(10**9,) * 3, 10**30, 10**400])
def test_more_units_than_can_be_allocated_are_named(sizes, data):
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=.* too many parameters"):
        DeepBinaryClassifier(sizes).fit(*data)
