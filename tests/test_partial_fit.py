"""warm_start and partial_fit: one fit in parts, and what a later call may not change."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from skdnn import DeepBinaryClassifier, load_model, save_model
from tests.models import assert_same_bits, make_model, parameters_of

FIRST_ORDER = ["gd", "sgd", "adam"]

FIRST_ORDER_SOLVERS = pytest.mark.parametrize("solver", FIRST_ORDER)


@pytest.fixture(scope="module")
def fitted(data):
    return make_model().fit(*data)


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


def test_one_label_is_no_classes(data):
    with pytest.raises(ValueError, match="classes must hold 2 different labels, got 1"):
        make_model().partial_fit(*data, classes=1)


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


def test_network_of_given_weights_can_be_trained_on(data):
    model, fitted = make_model(), make_model().fit(*data)
    model.coefs_, model.intercepts_, model.n_features_in_ = fitted.coefs_, fitted.intercepts_, 4
    assert model.partial_fit(*data, classes=[0, 1]).n_iter_ == 1


def pickled(model, folder):
    return pickle.loads(pickle.dumps(model))


def through_a_file(model, folder):
    save_model(model, folder / "model.h5")
    return load_model(folder / "model.h5")


@pytest.mark.parametrize("copy", [pickled, through_a_file])
def test_mean_weight_of_the_rows_seen_survives(copy, tmp_path):
    rng = np.random.RandomState(0)
    X, y, weight = rng.standard_normal((60, 4)), rng.rand(60) < 0.5, rng.uniform(0.1, 5, 60)
    y[:2] = [False, True]
    model = DeepBinaryClassifier((4,), random_state=0, warm_start=True)
    model.partial_fit(X[:40], y[:40], weight[:40], classes=[False, True])
    again = copy(model, tmp_path)
    for network in (model, again):
        network.partial_fit(X[40:], y[40:], weight[40:])
    assert_same_bits(model, again)
