"""The fitted network as scikit-learn's own MLPClassifier."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from tests.models import make_model, parameters_of

SOLVERS = ["gd", "sgd", "adam", "lbfgs"]
FIRST_ORDER = ["gd", "sgd", "adam"]
ALL_SOLVERS = pytest.mark.parametrize("solver", SOLVERS)
FIRST_ORDER_SOLVERS = pytest.mark.parametrize("solver", FIRST_ORDER)

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


def test_mlp_classifier_goes_on_with_the_steps_of_gd(data):
    model = make_model("gd", alpha=0.0).fit(*data)
    mlp = model.to_mlp_classifier()
    for _ in range(3):
        model.partial_fit(*data)
        mlp.partial_fit(*data)
    np.testing.assert_allclose(parameters_of(mlp), parameters_of(model), rtol=1e-9, atol=1e-12)


def test_mlp_classifier_has_no_stopping_rule_where_ours_has_none(data):
    mlp = make_model(tol=None).fit(*data).to_mlp_classifier()
    assert (mlp.tol, mlp.n_iter_no_change) == (0, np.inf)


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


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd", "gd", "lbfgs"])
@pytest.mark.parametrize("schedule", ["constant", "adaptive", "cosine", "one_cycle"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_mlp_classifier_that_we_make_can_be_cloned_and_fitted(solver, schedule, data):
    mlp = make_model(solver, learning_rate=schedule).fit(*data).to_mlp_classifier()
    assert clone(mlp).set_params(max_iter=2).fit(*data).n_iter_ <= 2


def test_batch_size_of_an_mlp_classifier_that_we_make_is_the_number_of_rows(data):
    model = make_model("gd", warm_start=True).fit(*data).fit(*data)
    assert model.to_mlp_classifier().batch_size == 60
