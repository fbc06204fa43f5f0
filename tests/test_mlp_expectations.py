"""What scikit-learn's documentation promises of MLPClassifier on binary data, on both classes.

Where the two differ on purpose, each side has a test of its own at the end.
"""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.metrics import accuracy_score
from sklearn.neural_network import MLPClassifier
from sklearn.utils._param_validation import InvalidParameterError

from skdnn import DeepBinaryClassifier
from tests.models import assert_same_bits, parameters_of

BOTH = pytest.mark.parametrize("estimator_class", [MLPClassifier, DeepBinaryClassifier])
SOLVERS = pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
STOCHASTIC = pytest.mark.parametrize("solver", ["sgd", "adam"])
ACTIVATIONS = pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# at these no epoch but the first improves on anything
STANDING_STILL = {"learning_rate_init": 1e-12, "tol": 1e-4, "random_state": 0}


def make(estimator_class, **parameters):
    defaults = {"hidden_layer_sizes": (5, 3), "max_iter": 5, "random_state": 1}
    return estimator_class(**(defaults | parameters))


# ---------------------------------------------------------------------- fitted attributes


@BOTH
@SOLVERS
@pytest.mark.parametrize("hidden", [(), 4, (4,), [5, 3], (5, 4, 3)], ids=str)
def test_weights_have_the_shapes_of_the_layers(estimator_class, solver, hidden, apart):
    model = make(estimator_class, solver=solver, hidden_layer_sizes=hidden).fit(*apart)
    sizes = [4, *np.atleast_1d(hidden).astype(int), 1]
    assert [w.shape for w in model.coefs_] == list(pairwise(sizes))


@BOTH
@SOLVERS
def test_biases_have_the_shapes_of_the_layers(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver).fit(*apart)
    assert [b.shape for b in model.intercepts_] == [(5,), (3,), (1,)]


@BOTH
@SOLVERS
@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("n_layers_", 4),
        ("n_outputs_", 1),
        ("out_activation_", "logistic"),
        ("n_features_in_", 4),
        ("n_iter_", 5),
    ],
)
def test_counts_are_told(estimator_class, solver, attribute, expected, apart):
    model = make(estimator_class, solver=solver, tol=1e-15).fit(*apart)
    assert getattr(model, attribute) == expected


@BOTH
@STOCHASTIC
def test_loss_is_the_last_of_the_curve(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver).fit(*apart)
    assert model.loss_ == model.loss_curve_[-1]


@BOTH
@STOCHASTIC
def test_best_loss_is_the_lowest_of_the_curve(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver).fit(*apart)
    assert model.best_loss_ == min(model.loss_curve_)


@BOTH
@STOCHASTIC
def test_curve_has_an_entry_an_epoch(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver).fit(*apart)
    assert len(model.loss_curve_) == model.n_iter_


@BOTH
@STOCHASTIC
def test_rows_seen_are_counted(estimator_class, solver, apart):
    assert make(estimator_class, solver=solver).fit(*apart).t_ == 5 * 60


@BOTH
@STOCHASTIC
@pytest.mark.parametrize("attribute", ["validation_scores_", "best_validation_score_"])
def test_nothing_is_validated_without_early_stopping(estimator_class, solver, attribute, apart):
    assert getattr(make(estimator_class, solver=solver).fit(*apart), attribute) is None


@BOTH
@pytest.mark.parametrize("labels", [[0, 1], [-1, 1], ["no", "yes"], [False, True]], ids=str)
def test_classes_are_sorted_labels(estimator_class, labels, apart):
    X, y = apart
    assert make(estimator_class).fit(X, np.array(labels)[y]).classes_.tolist() == labels


@BOTH
def test_feature_names_are_kept(estimator_class, apart):
    X, y = apart
    model = make(estimator_class).fit(pd.DataFrame(X, columns=list("abcd")), y)
    assert model.feature_names_in_.tolist() == list("abcd")


# ---------------------------------------------------------------------- learning and predicting


@BOTH
@ACTIVATIONS
def test_lbfgs_learns_small_data(estimator_class, activation, apart):
    model = make(estimator_class, solver="lbfgs", activation=activation, max_iter=150)
    assert model.set_params(hidden_layer_sizes=50).fit(*apart).score(*apart) > 0.95


@BOTH
@STOCHASTIC
@ACTIVATIONS
def test_stochastic_solvers_learn_small_data(estimator_class, solver, activation, apart):
    model = make(estimator_class, solver=solver, activation=activation, max_iter=300)
    model.set_params(hidden_layer_sizes=30, learning_rate_init=0.05)
    assert model.fit(*apart).score(*apart) > 0.95


@BOTH
@SOLVERS
def test_training_lowers_the_loss(estimator_class, solver, apart):
    short = make(estimator_class, solver=solver, max_iter=1).fit(*apart)
    long = make(estimator_class, solver=solver, max_iter=20).fit(*apart)
    assert long.loss_ < short.loss_


@BOTH
@SOLVERS
def test_score_is_accuracy(estimator_class, solver, apart):
    X, y = apart
    model = make(estimator_class, solver=solver).fit(X, y)
    assert model.score(X, y) == accuracy_score(y, model.predict(X))


@BOTH
@SOLVERS
def test_probabilities_have_a_column_a_class(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver).fit(*apart)
    assert model.predict_proba(apart[0]).shape == (60, 2)


@BOTH
@SOLVERS
def test_probabilities_add_up_to_one(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver).fit(*apart)
    np.testing.assert_allclose(model.predict_proba(apart[0]).sum(axis=1), 1, rtol=1e-14)


@BOTH
@SOLVERS
def test_prediction_is_the_more_probable_class(estimator_class, solver, apart):
    X, y = apart
    labels = np.array(["no", "yes"])
    model = make(estimator_class, solver=solver).fit(X, labels[y])
    expected = labels[model.predict_proba(X).argmax(axis=1)]
    np.testing.assert_array_equal(model.predict(X), expected)


@BOTH
@SOLVERS
def test_log_probabilities_are_logarithms(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver).fit(*apart)
    np.testing.assert_allclose(
        model.predict_log_proba(apart[0]),
        np.log(model.predict_proba(apart[0])),
        rtol=1e-10,
        atol=1e-15,  # what the logarithm of a number next to 1 resolves
    )


@BOTH
@SOLVERS
def test_alpha_makes_weights_smaller(estimator_class, solver, apart):
    loose, tight = (
        make(estimator_class, solver=solver, alpha=alpha, max_iter=100).fit(*apart)
        for alpha in (1e-4, 100.0)
    )
    assert np.abs(parameters_of(tight)).sum() < np.abs(parameters_of(loose)).sum()


@BOTH
@SOLVERS
def test_weights_of_the_rows_count(estimator_class, solver, apart):
    X, y = apart
    plain = make(estimator_class, solver=solver, max_iter=50).fit(X, y)
    heavy = make(estimator_class, solver=solver, max_iter=50).fit(X, y, np.where(y == 1, 50.0, 1.0))
    assert heavy.predict_proba(X)[:, 1].mean() > plain.predict_proba(X)[:, 1].mean()


@BOTH
def test_column_of_labels_is_taken_with_a_warning(estimator_class, apart):
    X, y = apart
    with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
        make(estimator_class).fit(X, y[:, None])


@BOTH
@SOLVERS
@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.csc_matrix])
def test_sparse_rows_are_trained_on_like_dense(estimator_class, solver, kind, apart):
    X, y = np.where(apart[0] > 0.5, apart[0], 0), apart[1]
    dense = make(estimator_class, solver=solver).fit(X, y)
    sparse = make(estimator_class, solver=solver).fit(kind(X), y)
    np.testing.assert_allclose(parameters_of(sparse), parameters_of(dense), rtol=1e-6, atol=1e-8)


@BOTH
@SOLVERS
@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.coo_array])
def test_sparse_rows_are_predicted_like_dense(estimator_class, solver, kind, apart):
    X, y = apart
    model = make(estimator_class, solver=solver).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(kind(X)), model.predict_proba(X), rtol=1e-10)


@BOTH
@STOCHASTIC
def test_float32_is_kept(estimator_class, solver, apart):
    X, y = apart
    model = make(estimator_class, solver=solver).fit(X.astype(np.float32), y)
    assert {p.dtype for p in (*model.coefs_, *model.intercepts_)} == {np.dtype(np.float32)}


# ---------------------------------------------------------------------- randomness and batches


@BOTH
@SOLVERS
def test_same_seed_gives_the_same_model(estimator_class, solver, apart):
    assert_same_bits(*(make(estimator_class, solver=solver).fit(*apart) for _ in range(2)))


@BOTH
@SOLVERS
def test_other_seed_gives_another_model(estimator_class, solver, apart):
    one, other = (make(estimator_class, solver=solver, random_state=s).fit(*apart) for s in (0, 1))
    assert not np.array_equal(parameters_of(one), parameters_of(other))


@BOTH
@STOCHASTIC
def test_shuffling_changes_training(estimator_class, solver, apart):
    one, other = (
        make(estimator_class, solver=solver, shuffle=shuffle, batch_size=10).fit(*apart)
        for shuffle in (True, False)
    )
    assert not np.array_equal(parameters_of(one), parameters_of(other))


@BOTH
@STOCHASTIC
def test_without_shuffling_batches_are_consecutive_rows(estimator_class, solver, apart):
    """One epoch in order is the same as partial_fit of its batches in turn."""
    X, y = apart
    common = {"solver": solver, "shuffle": False, "batch_size": 20, "alpha": 0.0}
    whole = make(estimator_class, max_iter=1, **common).fit(X, y)
    parts = make(estimator_class, **common)
    for rows in (slice(0, 20), slice(20, 40), slice(40, 60)):
        parts.partial_fit(X[rows], y[rows], classes=[0, 1])
    np.testing.assert_allclose(parameters_of(parts), parameters_of(whole), rtol=1e-9, atol=1e-12)


@BOTH
def test_lbfgs_ignores_the_batch_size(estimator_class, apart):
    one, other = (
        make(estimator_class, solver="lbfgs", batch_size=size).fit(*apart) for size in ("auto", 7)
    )
    assert_same_bits(one, other)


@BOTH
@STOCHASTIC
def test_batch_size_is_at_most_200_by_default(estimator_class, solver, breast_cancer):
    common = {"solver": solver, "max_iter": 2}
    assert_same_bits(
        make(estimator_class, **common).fit(*breast_cancer),
        make(estimator_class, batch_size=200, **common).fit(*breast_cancer),
    )


@BOTH
@STOCHASTIC
def test_batch_size_is_at_most_the_number_of_rows(estimator_class, solver, apart):
    common = {"solver": solver, "max_iter": 2}
    assert_same_bits(
        make(estimator_class, **common).fit(*apart),
        make(estimator_class, batch_size=60, **common).fit(*apart),
    )


@BOTH
@STOCHASTIC
def test_batch_size_that_is_too_large_is_clipped_with_a_warning(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver, batch_size=61)
    with pytest.warns(UserWarning, match="batch_size"):
        model.fit(*apart)
    assert_same_bits(model, make(estimator_class, solver=solver).fit(*apart))


# ---------------------------------------------------------------------- learning rates


@BOTH
@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive"])
def test_schedules_of_sgd_learn(estimator_class, schedule, apart):
    model = make(estimator_class, solver="sgd", learning_rate=schedule, max_iter=100)
    model.set_params(learning_rate_init=0.1, power_t=0.1)
    assert model.fit(*apart).score(*apart) > 0.9


@BOTH
def test_adaptive_rate_is_constant_while_the_loss_falls(estimator_class, apart):
    common = {"solver": "sgd", "max_iter": 10, "tol": 0.0}
    assert_same_bits(
        make(estimator_class, learning_rate="adaptive", **common).fit(*apart),
        make(estimator_class, learning_rate="constant", **common).fit(*apart),
    )


@BOTH
def test_adaptive_rate_trains_on_through_plateaus(estimator_class, apart):
    common = {"solver": "sgd", "tol": 1.0, "n_iter_no_change": 3, "max_iter": 500}
    constant = make(estimator_class, learning_rate="constant", **common).fit(*apart)
    adaptive = make(estimator_class, learning_rate="adaptive", **common).fit(*apart)
    assert constant.n_iter_ < adaptive.n_iter_ < 500


@BOTH
@pytest.mark.parametrize(
    ("name", "values"), [("momentum", (0.0, 0.9)), ("nesterovs_momentum", (False, True))]
)
def test_momentum_is_that_of_sgd_alone(estimator_class, name, values, apart):
    one, other = (make(estimator_class, **{name: value}).fit(*apart) for value in values)
    assert_same_bits(one, other)


@BOTH
@pytest.mark.parametrize(("name", "values"), [("beta_1", (0.5, 0.9)), ("epsilon", (1e-8, 1.0))])
def test_moments_are_those_of_adam_alone(estimator_class, name, values, apart):
    one, other = (make(estimator_class, solver="sgd", **{name: v}).fit(*apart) for v in values)
    assert_same_bits(one, other)


# ---------------------------------------------------------------------- when training ends


@BOTH
@SOLVERS
def test_max_iter_ends_training_with_a_warning(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver, max_iter=3, tol=1e-15)
    with pytest.warns(ConvergenceWarning):
        model.fit(*apart)
    assert model.n_iter_ == 3


@BOTH
@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_lbfgs_that_converges_warns_of_nothing(estimator_class, apart):
    model = make(estimator_class, solver="lbfgs", alpha=1.0, max_iter=1000)
    assert model.set_params(activation="tanh").fit(*apart).n_iter_ < 1000


@BOTH
@pytest.mark.parametrize("max_fun", [1, 2, 5])
def test_max_fun_ends_lbfgs_with_a_warning(estimator_class, max_fun, apart):
    model = make(estimator_class, solver="lbfgs", max_iter=1000, max_fun=max_fun, tol=1e-15)
    with pytest.warns(ConvergenceWarning):
        model.fit(*apart)
    assert model.n_iter_ <= max_fun


@BOTH
def test_tol_of_lbfgs_ends_it(estimator_class, apart):
    coarse, fine = (
        make(estimator_class, solver="lbfgs", alpha=1.0, max_iter=1000, tol=tol).fit(*apart)
        for tol in (1e-1, 1e-5)
    )
    assert coarse.n_iter_ < fine.n_iter_


@BOTH
@STOCHASTIC
@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_tol_ends_training_without_a_warning(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver, tol=0.5, max_iter=500).fit(*apart)
    assert model.n_iter_ < 500


@BOTH
@STOCHASTIC
@pytest.mark.parametrize("early_stopping", [True, False])
def test_patience_prolongs_training(estimator_class, solver, early_stopping, apart):
    common = {"solver": solver, "early_stopping": early_stopping, "max_iter": 100}
    short, long = (
        make(estimator_class, n_iter_no_change=n, **common, **STANDING_STILL).fit(*apart).n_iter_
        for n in (3, 13)
    )
    assert long - short == 10


@BOTH
@STOCHASTIC
@pytest.mark.parametrize("early_stopping", [True, False])
def test_infinite_patience_never_ends_training(estimator_class, solver, early_stopping, apart):
    model = make(
        estimator_class,
        solver=solver,
        early_stopping=early_stopping,
        n_iter_no_change=np.inf,
        max_iter=40,
        **STANDING_STILL,
    )
    assert model.fit(*apart).n_iter_ == 40


# ---------------------------------------------------------------------- early stopping


@pytest.fixture(scope="module", params=[MLPClassifier, DeepBinaryClassifier])
def stopped(request, breast_cancer):
    """Return a model of each class that early stopping ended."""
    model = request.param((10,), early_stopping=True, max_iter=500, random_state=0)
    return model.set_params(learning_rate_init=0.01).fit(*breast_cancer)


def test_early_stopping_ends_training(stopped):
    assert stopped.n_iter_ < 500


def test_validation_scores_have_an_entry_an_epoch(stopped):
    assert len(stopped.validation_scores_) == stopped.n_iter_


def test_best_validation_score_is_the_highest(stopped):
    assert stopped.best_validation_score_ == max(stopped.validation_scores_)


def test_early_stopping_has_no_best_loss(stopped):
    assert stopped.best_loss_ is None


def test_early_stopping_generalises(stopped, breast_cancer):
    assert stopped.score(*breast_cancer) > 0.95


def test_a_tenth_of_the_rows_is_set_aside(stopped):
    # 57 of 569
    assert stopped.t_ == stopped.n_iter_ * 512


@BOTH
@STOCHASTIC
@pytest.mark.parametrize(("fraction", "n_left"), [(0.1, 54), (0.2, 48), (0.5, 30)])
def test_validation_fraction_is_set_aside(estimator_class, solver, fraction, n_left, apart):
    model = make(estimator_class, solver=solver, early_stopping=True, max_iter=1)
    assert model.set_params(validation_fraction=fraction).fit(*apart).t_ == n_left


@BOTH
@pytest.mark.parametrize("labels", [[0, 1], ["no", "yes"], [False, True]], ids=str)
def test_early_stopping_takes_any_labels(estimator_class, labels, apart):
    X, y = apart
    model = make(estimator_class, early_stopping=True).fit(X, np.array(labels)[y])
    assert set(model.predict(X)) <= set(labels)


@BOTH
def test_class_with_a_single_row_cannot_be_split(estimator_class, apart):
    X, _ = apart
    with pytest.raises(ValueError, match="least populated class"):
        make(estimator_class, early_stopping=True).fit(X, np.arange(60) == 0)


# ---------------------------------------------------------------------- going on


@BOTH
@SOLVERS
def test_warm_start_goes_on_from_the_solution(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver, warm_start=True, max_iter=20).fit(*apart)
    before = model.loss_
    assert model.fit(*apart).loss_ < before


@BOTH
@SOLVERS
def test_without_warm_start_the_solution_is_forgotten(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver).fit(*apart)
    assert_same_bits(clone(model).fit(*apart), model.fit(*apart))


@BOTH
@STOCHASTIC
def test_warm_start_counts_the_epochs_of_the_call(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver, warm_start=True)
    assert model.fit(*apart).fit(*apart).n_iter_ == 5


@BOTH
@pytest.mark.parametrize("labels", [[0, 2], ["a", "b"]], ids=str)
def test_warm_start_refuses_other_classes(estimator_class, labels, apart):
    X, y = apart
    model = make(estimator_class, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="classes"):
        model.fit(X, np.array(labels)[y])


@BOTH
@STOCHASTIC
def test_partial_fit_is_one_epoch(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver)
    assert model.partial_fit(*apart, classes=[0, 1]).n_iter_ == 1


@BOTH
@STOCHASTIC
def test_partial_fit_accumulates_the_curve(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver).partial_fit(*apart, classes=[0, 1])
    assert len(model.partial_fit(*apart).loss_curve_) == 2


@BOTH
@STOCHASTIC
def test_partial_fit_accumulates_the_rows(estimator_class, solver, apart):
    X, y = apart
    model = make(estimator_class, solver=solver).partial_fit(X[:20], y[:20], classes=[0, 1])
    assert model.partial_fit(X[20:], y[20:]).t_ == 60


@BOTH
@STOCHASTIC
def test_partial_fit_learns(estimator_class, solver, apart):
    model = make(estimator_class, solver=solver, hidden_layer_sizes=30, learning_rate_init=0.05)
    for _ in range(100):
        model.partial_fit(*apart, classes=[0, 1])
    assert model.score(*apart) > 0.95


@BOTH
@STOCHASTIC
def test_partial_fit_of_one_epoch_is_fit_of_one_epoch(estimator_class, solver, apart):
    assert_same_bits(
        make(estimator_class, solver=solver).partial_fit(*apart, classes=[0, 1]),
        make(estimator_class, solver=solver, max_iter=1).fit(*apart),
    )


@BOTH
def test_partial_fit_needs_classes_at_first(estimator_class, apart):
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        make(estimator_class).partial_fit(*apart)


@BOTH
def test_partial_fit_takes_the_same_classes_again(estimator_class, apart):
    model = make(estimator_class).partial_fit(*apart, classes=[0, 1])
    assert model.partial_fit(*apart, classes=[0, 1]).classes_.tolist() == [0, 1]


@BOTH
def test_partial_fit_refuses_other_classes_later(estimator_class, apart):
    model = make(estimator_class).partial_fit(*apart, classes=[0, 1])
    with pytest.raises(ValueError, match="is not the same as"):
        model.partial_fit(*apart, classes=[0, 2])


@BOTH
def test_partial_fit_refuses_labels_that_are_no_class(estimator_class, apart):
    X, y = apart
    with pytest.raises(ValueError, match="classes"):
        make(estimator_class).partial_fit(X, y + 1, classes=[0, 1])


@BOTH
def test_partial_fit_takes_a_batch_of_one_class(estimator_class, apart):
    X, y = apart
    model = make(estimator_class).partial_fit(X[y == 1], y[y == 1], classes=[0, 1])
    assert model.predict_proba(X).shape == (60, 2)


@BOTH
def test_partial_fit_refuses_other_features_later(estimator_class, apart):
    X, y = apart
    model = make(estimator_class).partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="X has 3 features"):
        model.partial_fit(X[:, :3], y)


@BOTH
def test_lbfgs_has_no_partial_fit(estimator_class):
    assert not hasattr(estimator_class(solver="lbfgs"), "partial_fit")


# ---------------------------------------------------------------------- reports and parameters


@BOTH
@STOCHASTIC
def test_verbose_prints_every_epoch(estimator_class, solver, apart, capsys):
    make(estimator_class, solver=solver, verbose=True).fit(*apart)
    printed = capsys.readouterr().out
    assert [f"Iteration {i}, loss = " in printed for i in range(7)] == [False] + 5 * [True] + [
        False
    ]


@BOTH
def test_verbose_prints_the_validation_score(estimator_class, apart, capsys):
    make(estimator_class, early_stopping=True, verbose=True).fit(*apart)
    assert "validation score" in capsys.readouterr().out.lower()


@BOTH
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_layer_sizes", -1),
        ("activation", "ghost"),
        ("solver", "ghost"),
        ("alpha", -1),
        ("batch_size", 0),
        ("learning_rate", "ghost"),
        ("learning_rate_init", 0),
        ("max_iter", 0),
        ("shuffle", "true"),
        ("tol", -1),
        ("momentum", 2),
        ("nesterovs_momentum", "true"),
        ("early_stopping", "true"),
        ("validation_fraction", 1),
        ("beta_1", 1),
        ("beta_2", 1),
        ("epsilon", 0),
        ("n_iter_no_change", 0),
        ("max_fun", 0),
    ],
)
def test_parameter_out_of_range_is_named(estimator_class, name, value, apart):
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter"):
        estimator_class(**{name: value}).fit(*apart)
