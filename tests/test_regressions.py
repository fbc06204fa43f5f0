"""Faults that were found once, each with the smallest case that showed it."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import skdnn.training.build
from skdnn import DeepBinaryClassifier

RNG = np.random.RandomState(0)
X = RNG.standard_normal((60, 4))
Y = (X[:, 0] + 0.3 * RNG.standard_normal(60) > 0).astype(int)


def make_model(**params):
    defaults = {"max_iter": 5, "tol": None, "random_state": 0}
    return DeepBinaryClassifier((6,), **defaults | params)


@pytest.mark.parametrize("solver", ["adam", "gd", "lbfgs"])
@pytest.mark.parametrize("name", ["alpha", "max_grad_norm"])
def test_numpy_scalars_do_not_lower_the_precision_of_the_loss(solver, name):
    given = make_model(solver=solver, **{name: np.float32(0.1)}).fit(X, Y)
    plain = make_model(solver=solver, **{name: float(np.float32(0.1))}).fit(X, Y)
    assert json.dumps(given.loss_curve_) == json.dumps(plain.loss_curve_)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_scores_that_are_all_nan_leave_the_last_parameters_and_a_warning(solver):
    model = make_model(
        solver=solver, early_stopping=True, scoring=lambda estimator, X, y: float("nan")
    )
    with pytest.warns(UserWarning, match="Every validation score is NaN"):
        model.fit(X, Y)
    last = make_model(solver=solver, early_stopping=True, scoring=lambda *_: model.n_iter_)
    assert model.best_iter_ is None
    assert_array_equal(model.loss_curve_, last.fit(X, Y).loss_curve_)


def test_epoch_without_a_score_is_not_the_best():
    scores = iter([float("nan"), 0.5, 0.7, float("nan"), 0.6])
    model = make_model(early_stopping=True, scoring=lambda *_: next(scores)).fit(X, Y)
    assert model.best_iter_ == 3


def test_loss_that_rose_is_no_reason_to_raise_the_learning_rate():
    model = make_model(solver="gd", learning_rate_init=50, tol=1e-4, max_iter=3, activation="tanh")
    with pytest.warns(ConvergenceWarning, match="lower learning_rate_init"):
        model.fit(X * 100, 1 - Y)


def test_memory_that_the_cost_model_does_not_see_ends_in_direct_training(monkeypatch):
    wide = RNG.standard_normal((20, 3000))
    model = make_model(solver="gd", max_iter=500)
    direct = clone(model).set_params(row_space=False).fit(wide, Y[:20])

    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(skdnn.training.build, "RowSpace", no_memory)
    assert_array_equal(clone(model).fit(wide, Y[:20]).coefs_[0], direct.coefs_[0])


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd", "gd", "lbfgs"])
@pytest.mark.parametrize("schedule", ["constant", "adaptive", "cosine", "one_cycle"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_mlp_classifier_that_we_make_can_be_cloned_and_fitted(solver, schedule):
    mlp = make_model(solver=solver, learning_rate=schedule).fit(X, Y).to_mlp_classifier()
    assert clone(mlp).set_params(max_iter=2).fit(X, Y).n_iter_ <= 2


def test_verbose_counts_along_all_calls(capsys):
    model = make_model(verbose=3)
    for _ in range(7):
        model.partial_fit(X, Y, classes=[0, 1])
    numbers = [line.split(",")[0] for line in capsys.readouterr().out.splitlines()]
    assert numbers == ["Iteration 3", "Iteration 6"]


@pytest.mark.parametrize(
    "weights",
    [
        {"class_weight": {0: 1e308, 1: 1e308}},
        {"class_weight": {0: 1e10, 1: 1e10}, "sample_weight": 1e300},
        {"sample_weight": 1e308},
    ],
    ids=str,
)
def test_weights_whose_sum_overflows_are_named(weights):
    params = dict(weights)
    sample_weight = params.pop("sample_weight", None)
    with pytest.raises(ValueError, match="sum of the weights"):
        make_model(**params).fit(X, Y, sample_weight)


def test_one_number_weighs_all_rows():
    weighted = make_model(alpha=0).fit(X, Y, 2.0)
    assert_array_equal(weighted.coefs_[0], make_model(alpha=0).fit(X, Y, np.full(60, 2)).coefs_[0])


@pytest.mark.parametrize("bad", [-np.ones(60), np.zeros(60), np.ones(3)], ids=["<0", "0", "short"])
def test_weights_of_validation_rows_are_named_as_such(bad):
    with pytest.raises(ValueError, match="sample_weight_val"):
        make_model(early_stopping=True).fit(X, Y, X_val=X, y_val=Y, sample_weight_val=bad)


def test_validation_rows_are_named_as_such():
    with pytest.raises(ValueError, match="X_val"):
        make_model(early_stopping=True).fit(X, Y, X_val=X * np.nan, y_val=Y)


def test_class_weights_that_are_no_numbers_are_named():
    with pytest.raises(ValueError, match="class_weight must map labels to numbers"):
        make_model(class_weight={0: "a"}).fit(X, Y)


@pytest.mark.parametrize("sizes", [np.array(6), 6, np.int64(6), [6], (6,), np.array([6])], ids=repr)
def test_one_hidden_layer_may_be_given_in_any_form(sizes):
    model = make_model().set_params(hidden_layer_sizes=sizes).fit(X, Y)
    assert_array_equal(model.coefs_[0], make_model().fit(X, Y).coefs_[0])


def test_network_of_given_weights_can_be_trained_on():
    model = make_model()
    fitted = make_model().fit(X, Y)
    model.coefs_, model.intercepts_, model.n_features_in_ = fitted.coefs_, fitted.intercepts_, 4
    assert model.partial_fit(X, Y, classes=[0, 1]).n_iter_ == 1


def test_rows_set_aside_stay_the_same_through_partial_fit():
    model = make_model(early_stopping=True, warm_start=True).fit(X, Y)
    before = model._training_state.held_out
    after = model.partial_fit(X, Y).fit(X, Y)._training_state.held_out
    assert_array_equal(before, after)


def test_batch_size_of_an_mlp_classifier_that_we_make_is_the_number_of_rows():
    model = make_model(solver="gd", warm_start=True).fit(X, Y).fit(X, Y)
    assert model.to_mlp_classifier().batch_size == len(X)
