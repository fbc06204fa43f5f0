"""Going on: calls of one epoch are one fit, through any interruption, and leave nothing behind."""

import functools
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest

from tests import models
from tests.models import RATES, assert_same_bits, learned, parameters_of

ALL_SOLVERS = pytest.mark.parametrize("solver", RATES)
FIRST_ORDER_SOLVERS = pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "adamw"])
N_EPOCHS = 6

# Each needs something of its own to be carried over.
SETTINGS = {
    "plain": {},
    "one batch": {"batch_size": 60},
    "in order": {"shuffle": False},
    "dropout": {"dropout": 0.3},
    "dropout of all rows": {"dropout": (0.3, 0.2), "batch_size": 60},
    "clipped": {"max_grad_norm": 0.05},
    "warmup": {"warmup": 3.5},
    "weights": {"class_weight": "balanced"},
    "penalty": {"alpha": 3.0},
    "classical momentum": {"nesterovs_momentum": False},
}
EVERY_SETTING = pytest.mark.parametrize("setting", SETTINGS)

make_model = functools.partial(models.make_model, max_iter=N_EPOCHS, batch_size=16, row_space=False)


def fit_in_calls(data, *args, n_calls=N_EPOCHS, **parameters):
    model = make_model(*args, **({"max_iter": 1, "warm_start": True} | parameters))
    for _ in range(n_calls):
        model.fit(*data)
    return model


def partial_fit_in_calls(data, *args, n_calls=N_EPOCHS, **parameters):
    model = make_model(*args, **parameters)
    for _ in range(n_calls):
        model.partial_fit(*data, classes=[0, 1])
    return model


# ---------------------------------------------------------------------- k calls are one fit


@EVERY_SETTING
@FIRST_ORDER_SOLVERS
def test_calls_of_fit_are_one_fit(setting, solver, data):
    common = SETTINGS[setting]
    whole = make_model(solver, **common).fit(*data)
    assert_same_bits(fit_in_calls(data, solver, **common), whole)


@EVERY_SETTING
@FIRST_ORDER_SOLVERS
def test_calls_of_partial_fit_are_one_fit(setting, solver, data):
    common = SETTINGS[setting]
    whole = make_model(solver, **common).fit(*data)
    assert_same_bits(partial_fit_in_calls(data, solver, **common), whole)


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "invscaling", "adaptive"])
@pytest.mark.parametrize("warmup", [0, 2])
@FIRST_ORDER_SOLVERS
def test_schedule_goes_on_through_partial_fit(schedule, warmup, solver, data):
    common = {"learning_rate": schedule, "warmup": warmup}
    whole = make_model(solver, **common).fit(*data)
    assert_same_bits(partial_fit_in_calls(data, solver, **common), whole)


@pytest.mark.parametrize("schedule", ["invscaling", "adaptive"])
@pytest.mark.parametrize("warmup", [0, 2])
@FIRST_ORDER_SOLVERS
def test_schedule_goes_on_through_warm_starts(schedule, warmup, solver, data):
    common = {"learning_rate": schedule, "warmup": warmup}
    whole = make_model(solver, **common).fit(*data)
    assert_same_bits(fit_in_calls(data, solver, **common), whole)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@FIRST_ORDER_SOLVERS
def test_plateaus_are_counted_through_partial_fit(solver, data):
    common = {"learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 2}
    whole = make_model(solver, **common).fit(*data)
    calls = partial_fit_in_calls(data, solver, **common)
    assert calls.learning_rate_curve_ == whole.learning_rate_curve_


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@FIRST_ORDER_SOLVERS
def test_calls_are_one_fit_in_either_dtype(dtype, solver, data):
    data = data[0].astype(dtype), data[1]
    assert_same_bits(fit_in_calls(data, solver), make_model(solver).fit(*data))


@FIRST_ORDER_SOLVERS
def test_calls_of_several_epochs_are_one_fit(solver, data):
    whole = make_model(solver).fit(*data)
    assert_same_bits(fit_in_calls(data, solver, max_iter=3, n_calls=2), whole)


@FIRST_ORDER_SOLVERS
def test_both_ways_of_going_on_may_alternate(solver, data):
    model = make_model(solver, max_iter=2, warm_start=True).fit(*data)
    model.partial_fit(*data).fit(*data).partial_fit(*data)
    assert_same_bits(model, make_model(solver).fit(*data))


@pytest.mark.parametrize("solver", ["gd", "sgd"])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_calls_in_row_space_are_one_fit(solver, alpha, wide):
    common = {"row_space": True, "alpha": alpha, "learning_rate_init": 0.01}
    whole = make_model(solver, **common).fit(*wide)
    calls = fit_in_calls(wide, solver, **common)
    np.testing.assert_allclose(parameters_of(calls), parameters_of(whole), rtol=0, atol=1e-10)


@pytest.mark.parametrize("solver", ["gd", "sgd"])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_partial_fit_in_row_space_is_one_fit(solver, alpha, wide):
    common = {"row_space": True, "alpha": alpha, "learning_rate_init": 0.01}
    whole = make_model(solver, **common).fit(*wide)
    calls = partial_fit_in_calls(wide, solver, **common)
    np.testing.assert_allclose(parameters_of(calls), parameters_of(whole), rtol=0, atol=1e-10)


@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_row_space_may_be_left_and_entered_between_calls(solver, wide):
    common = {"learning_rate_init": 0.01, "warm_start": True, "max_iter": 2}
    model = make_model(solver, row_space=True, **common).fit(*wide)
    model.set_params(row_space=False).fit(*wide).set_params(row_space=True).fit(*wide)
    whole = make_model(solver, learning_rate_init=0.01).fit(*wide)
    np.testing.assert_allclose(parameters_of(model), parameters_of(whole), rtol=0, atol=1e-10)


@EVERY_SETTING
def test_curve_of_calls_is_that_of_one_fit(setting, data):
    common = SETTINGS[setting]
    assert (
        fit_in_calls(data, "sgd", **common).loss_curve_
        == make_model("sgd", **common).fit(*data).loss_curve_
    )


# ---------------------------------------------------------------------- another process

GO_ON = """
import pickle, sys
models, data = pickle.load(sys.stdin.buffer)
for _ in range(3):
    for name, model in models.items():
        getattr(model, "partial_fit" if name.startswith("partial") else "fit")(*data)
pickle.dump(models, sys.stdout.buffer)
"""
# How a model is trained in calls, by name
JOURNEYS = {
    "gd": lambda **k: fit_in_calls(solver="gd", **k),
    "sgd": lambda **k: fit_in_calls(solver="sgd", dropout=0.2, **k),
    "adam": lambda **k: fit_in_calls(solver="adam", dropout=0.2, **k),
    "adamw": lambda **k: fit_in_calls(solver="adamw", learning_rate="invscaling", **k),
    "lbfgs": lambda **k: fit_in_calls(solver="lbfgs", **k),
    "early stopping": lambda **k: fit_in_calls(early_stopping=True, scoring="roc_auc", **k),
    "private seed": lambda **k: fit_in_calls(random_state=np.random.RandomState(7), **k),
    "partial sgd": lambda **k: partial_fit_in_calls(solver="sgd", learning_rate="cosine", **k),
    "partial adam": lambda **k: partial_fit_in_calls(dropout=0.2, warmup=4, **k),
}


@pytest.fixture(scope="module")
def trained_elsewhere(data):
    """Return models that were trained half of the way in a process of their own."""
    halfway = {name: train(data=data, n_calls=3) for name, train in JOURNEYS.items()}
    done = subprocess.run(
        [sys.executable, "-c", GO_ON],
        input=pickle.dumps((halfway, data)),
        stdout=subprocess.PIPE,
        check=True,
    )
    return pickle.loads(done.stdout)


@pytest.mark.parametrize("name", JOURNEYS)
def test_pickle_goes_on_in_another_process(name, trained_elsewhere, data):
    assert_same_bits(trained_elsewhere[name], JOURNEYS[name](data=data))


# ---------------------------------------------------------------------- lbfgs


def test_lbfgs_goes_on_from_the_parameters(data):
    model = make_model("lbfgs", warm_start=True, max_iter=3).fit(*data)
    before = model.loss_
    # the first iteration of a call lowers the loss of where the last one ended
    assert model.fit(*data).loss_curve_[3] < before


def test_lbfgs_has_a_history_of_its_own_in_every_call(data):
    calls = fit_in_calls(data, "lbfgs")
    assert not np.array_equal(parameters_of(calls), parameters_of(make_model("lbfgs").fit(*data)))


def test_lbfgs_at_the_minimum_stays_there(data):
    model = make_model("lbfgs", (), alpha=1.0, warm_start=True, max_iter=200).fit(*data)
    once = parameters_of(model)
    np.testing.assert_allclose(parameters_of(model.fit(*data)), once, rtol=1e-5)


def test_other_solver_goes_on_from_the_parameters(data):
    model = make_model("adam", warm_start=True, max_iter=20).fit(*data)
    before = model.loss_
    model.set_params(solver="lbfgs", max_iter=5).fit(*data)
    assert model.loss_ < before


# ---------------------------------------------------------------------- counts and curves


@ALL_SOLVERS
def test_n_iter_counts_the_call(solver, data):
    assert fit_in_calls(data, solver, max_iter=2, n_calls=3).n_iter_ == 2


@FIRST_ORDER_SOLVERS
def test_n_iter_of_partial_fit_is_one(solver, data):
    assert partial_fit_in_calls(data, solver).n_iter_ == 1


@ALL_SOLVERS
def test_loss_curve_accumulates(solver, data):
    assert len(fit_in_calls(data, solver, max_iter=2, n_calls=3).loss_curve_) == 6


def test_best_loss_is_of_all_calls(data):
    model = make_model("adam", warm_start=True, max_iter=20).fit(*data)
    lowest = min(model.loss_curve_)
    model.set_params(alpha=100.0, max_iter=2).fit(*data)
    assert min(model.loss_curve_[-2:]) > lowest
    assert model.best_loss_ == lowest


@FIRST_ORDER_SOLVERS
def test_learning_rate_curve_accumulates(solver, data):
    assert len(fit_in_calls(data, solver, max_iter=2, n_calls=3).learning_rate_curve_) == 6


@ALL_SOLVERS
def test_rows_seen_accumulate(solver, data):
    assert fit_in_calls(data, solver, max_iter=2, n_calls=3).t_ == 6 * 60


def test_rows_seen_by_partial_fit_accumulate(data):
    X, y = data
    model = make_model().partial_fit(X[:40], y[:40], classes=[0, 1]).partial_fit(X[40:], y[40:])
    assert model.t_ == 60


def test_cold_fit_counts_anew(data):
    model = make_model(warm_start=True).fit(*data).set_params(warm_start=False).fit(*data)
    assert len(model.loss_curve_) == N_EPOCHS


# ---------------------------------------------------------------------- the generator


def test_one_seed_is_drawn_for_all_calls(data):
    np.random.seed(5)
    calls = fit_in_calls(data, random_state=None)
    np.random.seed(5)
    assert_same_bits(calls, make_model(random_state=None).fit(*data))


def test_one_seed_is_drawn_for_all_calls_of_partial_fit(data):
    np.random.seed(5)
    calls = partial_fit_in_calls(data, random_state=None)
    np.random.seed(5)
    assert_same_bits(calls, make_model(random_state=None).fit(*data))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_later_calls_leave_numpys_generator_alone(method, data):
    model = make_model(random_state=None, warm_start=True, dropout=0.2).fit(*data)
    before = joblib.hash(np.random.get_state())
    getattr(model, method)(*data)
    assert joblib.hash(np.random.get_state()) == before


def test_without_random_state_models_differ(data):
    one, other = (make_model(random_state=None).fit(*data) for _ in range(2))
    assert not np.array_equal(parameters_of(one), parameters_of(other))


def test_later_calls_leave_the_users_generator_alone(data):
    generator = np.random.RandomState(3)
    model = make_model(random_state=generator, warm_start=True).fit(*data)
    before = joblib.hash(generator.get_state())
    model.fit(*data)
    assert joblib.hash(generator.get_state()) == before


# ---------------------------------------------------------------------- what cannot go on


@pytest.mark.parametrize("hidden", [(7,), (5,), (5, 4), ()], ids=str)
@ALL_SOLVERS
def test_other_layers_are_refused(hidden, solver, data):
    model = fit_in_calls(data, solver, n_calls=2)
    before = learned(model)
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        model.set_params(hidden_layer_sizes=hidden).fit(*data)
    assert learned(model) == before


@pytest.mark.parametrize("labels", [[0, 2], [1, 2], ["a", "b"]], ids=str)
@ALL_SOLVERS
def test_other_classes_are_refused(labels, solver, data):
    X, y = data
    model = fit_in_calls(data, solver, n_calls=2)
    before = learned(model)
    with pytest.raises(ValueError, match="same classes"):
        model.fit(X, np.array(labels)[y])
    assert learned(model) == before


@FIRST_ORDER_SOLVERS
def test_refusal_does_not_disturb_what_follows(solver, data):
    X, y = data
    model = fit_in_calls(data, solver, n_calls=3)
    with pytest.raises(ValueError, match="same classes"):
        model.fit(X, y + 1)
    for _ in range(3):
        model.fit(X, y)
    assert_same_bits(model, make_model(solver).fit(X, y))


def test_cold_fit_takes_other_layers(data):
    model = make_model().fit(*data).set_params(hidden_layer_sizes=(7,)).fit(*data)
    assert model.coefs_[0].shape == (4, 7)


def test_cold_fit_takes_other_classes(data):
    X, y = data
    assert make_model().fit(X, y).fit(X, y + 1).classes_.tolist() == [1, 2]


# ---------------------------------------------------------------------- dtypes


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@FIRST_ORDER_SOLVERS
def test_float32_is_promoted_by_float64_data(method, solver, data):
    X, y = data
    model = make_model(solver, warm_start=True).fit(X.astype(np.float32), y)
    getattr(model, method)(X, y)
    assert {a.dtype for a in (*model.coefs_, *model.intercepts_)} == {np.dtype(np.float64)}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@FIRST_ORDER_SOLVERS
def test_float64_is_not_lowered_by_float32_data(method, solver, data):
    X, y = data
    model = make_model(solver, warm_start=True).fit(X, y)
    getattr(model, method)(X.astype(np.float32), y)
    assert {a.dtype for a in (*model.coefs_, *model.intercepts_)} == {np.dtype(np.float64)}


def test_promotion_starts_from_the_same_numbers(data):
    X, y = data
    model = make_model(warm_start=True).fit(X.astype(np.float32), y)
    before = parameters_of(model)
    model.set_params(learning_rate_init=1e-300, alpha=0.0, max_iter=1).fit(X, y)
    np.testing.assert_array_equal(parameters_of(model), before.astype(np.float64))
