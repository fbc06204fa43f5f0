"""A fitted model is what was fitted: parameters that are set afterwards move nothing but a new fit.

Each parameter of the constructors is changed in turn.
"""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier
from skdnn.displays import MistakesDisplay
from skdnn.inspection import activation_statistics, check_gradients, dead_units
from skdnn.persistence import load_model, save_model
from skdnn.preprocessing import TableEncoder
from tests.models import assert_same_bits, make_model

CHANGES = {
    "hidden_layer_sizes": (7,),
    "activation": "logistic",
    "solver": "sgd",
    "alpha": 3.0,
    "batch_size": 7,
    "learning_rate": "one_cycle",
    "learning_rate_init": 0.7,
    "power_t": 0.7,
    "max_iter": 3,
    "shuffle": False,
    "random_state": 5,
    "tol": 0.1,
    "verbose": 2,
    "warm_start": True,
    "momentum": 0.1,
    "nesterovs_momentum": False,
    "early_stopping": True,
    "validation_fraction": 0.3,
    "beta_1": 0.5,
    "beta_2": 0.5,
    "epsilon": 1e-3,
    "n_iter_no_change": 3,
    "max_fun": 7,
    "init": "lecun",
    "init_scale": 3.0,
    "init_distribution": "uniform",
    "negative_slope": 0.9,
    "row_space": False,
    "class_weight": "balanced",
    "scoring": "roc_auc",
    "dropout": 0.5,
    "max_grad_norm": 1.0,
    "warmup": 2,
}
ENSEMBLE_CHANGES = {
    "estimator": DeepBinaryClassifier((2,), activation="tanh", early_stopping=True),
    "n_estimators": 7,
    "categorical_features": [0],
    "encoder": None,
    "kinds": [(None, None)],
    "cv": 4,
    "n_jobs": 2,
    "warm_start": True,
    "verbose": 1,
    "random_state": 7,
}
ENCODER_CHANGES = {
    "categorical_features": [0],
    "n_bins": 2,
    "bins": "tree",
    "max_levels": 2,
    "min_frequency": 1,
    "target_encoding": False,
    "missing_indicator": True,
    "random_state": 7,
}


def rows_of(kind=np.float64):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(80, 4)).astype(kind)
    return X, (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(int)


@pytest.fixture(params=["relu", "leaky_relu", "tanh"])
def fitted(request):
    return make_model(activation=request.param).fit(*rows_of())


def test_every_parameter_is_tried():
    assert CHANGES.keys() == DeepBinaryClassifier().get_params().keys()
    assert ENSEMBLE_CHANGES.keys() == DeepEnsembleClassifier().get_params(deep=False).keys()
    assert ENCODER_CHANGES.keys() == TableEncoder().get_params().keys()


@pytest.mark.parametrize("name", CHANGES)
def test_predictions_stay_as_they_were_fitted(fitted, name):
    X, _ = rows_of()
    before = fitted.decision_function(X)
    fitted.set_params(**{name: CHANGES[name]})
    assert_array_equal(fitted.decision_function(X), before)
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).decision_function(X), before)
    assert_array_equal(copy.deepcopy(fitted).predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_keeps_what_was_fitted_and_the_parameters_as_they_are(fitted, name, tmp_path):
    X, _ = rows_of()
    before = fitted.decision_function(X)
    fitted.set_params(**{name: CHANGES[name]})
    save_model(fitted, tmp_path / "model.h5")
    loaded = load_model(tmp_path / "model.h5")
    assert_array_equal(loaded.decision_function(X), before)
    assert loaded.get_params() == fitted.get_params()
    assert (loaded.activation_, loaded.negative_slope_) == (
        fitted.activation_,
        fitted.negative_slope_,
    )


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_mlp_classifier_is_what_was_fitted(activation, name):
    X, y = rows_of()
    model = make_model(activation=activation).fit(X, y)
    before = model.to_mlp_classifier().predict_proba(X)
    mlp = model.set_params(**{name: CHANGES[name]}).to_mlp_classifier()
    assert_array_equal(mlp.predict_proba(X), before)
    assert mlp.hidden_layer_sizes == (5, 3)
    assert mlp.activation == activation


@pytest.mark.parametrize("name", ["activation", "negative_slope", "hidden_layer_sizes"])
def test_inspection_looks_at_what_was_fitted(fitted, name):
    X, y = rows_of()

    def seen():
        return (
            dead_units(fitted, X).shares,
            vars(activation_statistics(fitted, X)),
            vars(check_gradients(fitted, X, y, random_state=0)),
            MistakesDisplay.from_estimator(fitted, X, y).mistakes,
        )

    before = seen()
    fitted.set_params(**{name: CHANGES[name]})
    assert repr(seen()) == repr(before)


def test_a_refused_refit_leaves_predictions_as_they_were(fitted):
    X, y = rows_of()
    before = fitted.decision_function(X)
    with pytest.raises(ValueError, match="y has"):
        fitted.set_params(activation="logistic").fit(X, np.arange(len(y)) % 3)
    assert_array_equal(fitted.decision_function(X), before)


@pytest.mark.parametrize("call", ["warm_start", "partial_fit"])
def test_a_continued_training_takes_the_activation_that_is_set(call):
    X, y = rows_of()
    model = make_model(activation="relu", warm_start=True).fit(X, y)
    fresh = make_model(activation="tanh", warm_start=True).fit(X, y)
    fresh.coefs_, fresh.intercepts_ = copy.deepcopy((model.coefs_, model.intercepts_))
    fresh._training_state = model._training_state.branch()
    for one in (model, fresh):
        one.set_params(activation="tanh")
        one.fit(X, y) if call == "warm_start" else one.partial_fit(X, y)
    assert model.activation_ == "tanh"
    assert_same_bits(model, fresh)


def test_a_call_that_finds_no_better_epoch_keeps_the_activation_of_the_best_one():
    X, y = rows_of()
    model = make_model(activation="relu", early_stopping=True, warm_start=True, max_iter=30)
    before = model.fit(X, y).decision_function(X)
    model.set_params(activation="identity", learning_rate_init=1e-9, max_iter=1).fit(X, y)
    assert model.best_iter_ <= 30
    assert model.activation_ == "relu"
    assert_array_equal(model.decision_function(X), before)


def test_a_scorer_sees_the_activation_of_this_fit():
    X, y = rows_of()

    def accuracy(model, X, y):
        seen.append(model.activation_)
        return model.score(X, y)

    seen = []
    model = make_model(activation="relu").fit(X, y)
    model.set_params(activation="tanh", early_stopping=True, scoring=accuracy, max_iter=2).fit(X, y)
    assert seen == ["tanh", "tanh"]


def test_a_clone_has_what_is_set():
    model = make_model(activation="relu").fit(*rows_of()).set_params(activation="tanh")
    assert clone(model).fit(*rows_of()).activation_ == "tanh"


def test_a_pickle_from_before_the_attribute_predicts_by_its_parameter():
    X, y = rows_of()
    model = make_model(activation="tanh").fit(X, y)
    before = model.decision_function(X)
    del model.activation_, model.negative_slope_
    assert_array_equal(pickle.loads(pickle.dumps(model)).decision_function(X), before)


@pytest.mark.parametrize("name", ENSEMBLE_CHANGES)
def test_an_ensemble_is_what_was_fitted(name, tmp_path):
    X, y = rows_of()
    model = DeepEnsembleClassifier(n_estimators=2, random_state=0).fit(X, y)
    before = model.predict_proba(X)
    model.set_params(**{name: ENSEMBLE_CHANGES[name]})
    assert_array_equal(model.predict_proba(X), before)
    assert_array_equal(model.member_proba(X).shape, (80, 2))
    save_model(model, tmp_path / "model.h5")
    loaded = load_model(tmp_path / "model.h5")
    assert_array_equal(loaded.predict_proba(X), before)


@pytest.mark.parametrize("name", ["activation", "negative_slope", "hidden_layer_sizes"])
def test_members_are_what_was_fitted(name, tmp_path):
    X, y = rows_of()
    model = DeepEnsembleClassifier(n_estimators=2, random_state=0).fit(X, y)
    before = model.predict_proba(X)
    for member in (*model.estimators_, model.estimator_):
        member.set_params(**{name: CHANGES[name]})
    assert_array_equal(model.predict_proba(X), before)
    save_model(model, tmp_path / "model.h5")
    assert_array_equal(load_model(tmp_path / "model.h5").predict_proba(X), before)


def table():
    pd = pytest.importorskip("pandas")
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=200)
    numbers[::9] = np.nan
    frame = pd.DataFrame(
        {
            "number": numbers,
            "few": generator.choice(list("abc"), 200),
            "many": generator.choice([f"level {i}" for i in range(90)], 200),
        }
    )
    return frame, np.arange(200) % 2


@pytest.mark.parametrize("name", ENCODER_CHANGES)
def test_an_encoder_is_what_was_fitted(name, tmp_path):
    X, y = table()
    encoder = TableEncoder().fit(X, y)
    before, names = encoder.transform(X), encoder.get_feature_names_out()
    encoder.set_params(**{name: ENCODER_CHANGES[name]})
    assert_array_equal(encoder.transform(X), before)
    assert_array_equal(encoder.get_feature_names_out(), names)


@pytest.mark.parametrize("name", ENCODER_CHANGES)
def test_the_encoder_of_an_ensemble_is_what_was_fitted(name, tmp_path):
    X, y = table()
    model = DeepEnsembleClassifier(n_estimators=2, encoder=TableEncoder(), random_state=0)
    before = model.fit(X, y).predict_proba(X)
    for encoder in (model.encoder_, *model.encoders_):
        encoder.set_params(**{name: ENCODER_CHANGES[name]})
    assert_array_equal(model.predict_proba(X), before)
    save_model(model, tmp_path / "model.h5")
    assert_array_equal(load_model(tmp_path / "model.h5").predict_proba(X), before)


@pytest.mark.parametrize("name", CHANGES)
def test_onnx_has_what_was_fitted(fitted, name):
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    import skdnn.onnx  # noqa: F401 - registers the converters

    X, _ = rows_of(np.float32)
    before = to_onnx(fitted, X[:1], name="model").SerializeToString()
    fitted.set_params(**{name: CHANGES[name]})
    assert to_onnx(fitted, X[:1], name="model").SerializeToString() == before
