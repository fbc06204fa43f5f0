"""The estimator inside scikit-learn: its own checks, and its tools on its bundled data."""

import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.ensemble import BaggingClassifier
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdnn import DeepBinaryClassifier

# The checks train on few rows, and for few epochs.
QUIET = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:Hidden layer:UserWarning"
)
# A random split, or batches smaller than the data, make "weight 2 is the row twice" impossible.
WEIGHTS_DO_NOT_REPEAT = {
    f"check_sample_weight_equivalence_on_{kind}_data": reason
    for kind in ("dense", "sparse")
    for reason in ["rows are drawn at random one by one, whatever their weight"]
}

FULL_BATCH = [
    DeepBinaryClassifier(),
    DeepBinaryClassifier(solver="sgd", learning_rate_init=0.1),
    DeepBinaryClassifier(solver="gd", learning_rate_init=0.5),
    DeepBinaryClassifier(solver="lbfgs"),
    DeepBinaryClassifier((), learning_rate_init=0.02),
    DeepBinaryClassifier((5,), solver="sgd", learning_rate_init=0.1, activation="tanh"),
    DeepBinaryClassifier((4, 3, 2), solver="gd", learning_rate_init=0.5, activation="elu"),
    DeepBinaryClassifier((4, 3, 2), learning_rate_init=0.02, activation="gelu"),
    DeepBinaryClassifier((5,), solver="lbfgs", activation="logistic"),
    DeepBinaryClassifier((5,), learning_rate_init=0.02, activation="leaky_relu", init="xavier"),
    DeepBinaryClassifier(
        (5,), solver="sgd", learning_rate_init=0.1, activation="silu", learning_rate="adaptive"
    ),
]
RANDOM_ROWS = [
    DeepBinaryClassifier(early_stopping=True),
    DeepBinaryClassifier((5,), learning_rate_init=0.02, batch_size=8),
    DeepBinaryClassifier((), solver="lbfgs", early_stopping=True),
]


@QUIET
@parametrize_with_checks(FULL_BATCH)
def test_scikit_learn_checks_of_full_batches(estimator, check):
    check(estimator)


@QUIET
@parametrize_with_checks(RANDOM_ROWS, expected_failed_checks=lambda e: WEIGHTS_DO_NOT_REPEAT)
def test_scikit_learn_checks_of_random_rows(estimator, check):
    check(estimator)


# ---------------------------------------------------------------------- its tools, on its data


def make_model(**parameters):
    defaults = {"learning_rate_init": 0.01, "max_iter": 40, "tol": None, "random_state": 0}
    return DeepBinaryClassifier((16, 8), **(defaults | parameters))


def make_scaled_model(**parameters):
    return make_pipeline(StandardScaler(), make_model(**parameters))


@pytest.fixture(scope="module")
def halves():
    """Return breast cancer data to train and to test on."""
    X, y = load_breast_cancer(return_X_y=True)
    return train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)


@pytest.fixture(scope="module")
def fitted(breast_cancer):
    return make_model().fit(*breast_cancer)


def test_clone_learns_the_same(breast_cancer, fitted):
    X, y = breast_cancer
    again = clone(fitted).fit(X, y)
    np.testing.assert_array_equal(again.decision_function(X), fitted.decision_function(X))


def test_clone_keeps_every_parameter():
    model = make_model(init="xavier", init_scale=0.5, activation="gelu", alpha=3.0)
    assert clone(model).get_params() == model.get_params()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_predicts_the_same(protocol, breast_cancer, fitted):
    X, _ = breast_cancer
    again = pickle.loads(pickle.dumps(fitted, protocol))
    np.testing.assert_array_equal(again.decision_function(X), fitted.decision_function(X))


def test_memory_mapped_model_predicts_the_same(breast_cancer, fitted, tmp_path):
    X, _ = breast_cancer
    joblib.dump(fitted, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    np.testing.assert_array_equal(mapped.predict_proba(X), fitted.predict_proba(X))


def test_memory_mapped_model_is_read_in_place(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert {type(weights) for weights in mapped.coefs_} == {np.memmap}


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "lbfgs"])
def test_memory_mapped_model_can_be_trained_on(solver, breast_cancer, tmp_path):
    X, y = breast_cancer
    model = make_model(solver=solver, warm_start=True, max_iter=5).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    np.testing.assert_array_equal(
        mapped.fit(X, y).decision_function(X), model.fit(X, y).decision_function(X)
    )


def test_memory_mapped_data_is_trained_on(breast_cancer, fitted, tmp_path):
    joblib.dump(breast_cancer, tmp_path / "data.joblib")
    X, y = joblib.load(tmp_path / "data.joblib", mmap_mode="r")
    np.testing.assert_array_equal(make_model().fit(X, y).predict_proba(X), fitted.predict_proba(X))


def test_pipeline_generalises(halves):
    X_train, X_test, y_train, y_test = halves
    assert make_scaled_model().fit(X_train, y_train).score(X_test, y_test) > 0.95


@pytest.mark.parametrize("solver", ["gd", "sgd", "lbfgs"])
def test_pipeline_generalises_with_any_solver(solver, halves):
    X_train, X_test, y_train, y_test = halves
    model = make_scaled_model(solver=solver, learning_rate_init=0.1, max_iter=300, alpha=1.0)
    assert model.fit(X_train, y_train).score(X_test, y_test) > 0.95


def test_pipeline_hands_weights_on(halves):
    X_train, X_test, y_train, _ = halves
    weight = np.where(y_train == 0, 1e-3, 1.0)
    plain = make_scaled_model().fit(X_train, y_train)
    weighted = make_scaled_model().fit(X_train, y_train, deepbinaryclassifier__sample_weight=weight)
    assert (weighted.predict(X_test) == 1).sum() > (plain.predict(X_test) == 1).sum()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_finds_the_network_that_learns(n_jobs, halves):
    X_train, X_test, y_train, y_test = halves
    grid = {"deepbinaryclassifier__learning_rate_init": [1e-7, 0.01]}
    search = GridSearchCV(make_scaled_model(), grid, n_jobs=n_jobs, cv=3).fit(X_train, y_train)
    assert search.best_params_ == {"deepbinaryclassifier__learning_rate_init": 0.01}
    assert search.score(X_test, y_test) > 0.95


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_tries_layers_and_activations(n_jobs, halves):
    X_train, _, y_train, _ = halves
    grid = {
        "deepbinaryclassifier__hidden_layer_sizes": [(), (8,), (8, 4)],
        "deepbinaryclassifier__init": ["he", "lecun"],
    }
    search = GridSearchCV(make_scaled_model(), grid, n_jobs=n_jobs, cv=3).fit(X_train, y_train)
    assert (search.cv_results_["mean_test_score"] > 0.9).all()


WINE = load_wine(as_frame=True)
FRAMES = {
    "pandas": WINE.data,
    "polars": pl.DataFrame(WINE.data.to_dict("list")),
}


def wine_transformer():
    """Return a transformer that scales some columns of the wines and cuts others into bins."""
    bins = KBinsDiscretizer(4, encode="onehot", quantile_method="averaged_inverted_cdf")
    return ColumnTransformer(
        [
            ("scaled", StandardScaler(), ["alcohol", "hue", "flavanoids", "color_intensity"]),
            ("binned", bins, ["proline", "ash"]),
        ]
    )


@pytest.mark.parametrize("kind", FRAMES)
def test_column_transformer_feeds_the_network(kind):
    model = make_pipeline(wine_transformer(), make_model())
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    scores = cross_val_score(model, FRAMES[kind], WINE.target == 0, cv=folds, scoring="roc_auc")
    assert scores.min() > 0.95


def test_pandas_and_polars_frames_train_the_same_network():
    one, other = (make_model().fit(frame, WINE.target == 0) for frame in FRAMES.values())
    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])


@pytest.mark.parametrize("kind", FRAMES)
def test_frame_is_trained_on_directly(kind):
    model = make_model().fit(FRAMES[kind], WINE.target == 0)
    assert model.feature_names_in_.tolist() == list(WINE.data.columns)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_frames_with_categories_are_encoded(container):
    bins = pd.cut(WINE.data["proline"], 5, labels=list("abcde")).astype(str)
    frame = {"proline": bins.to_list()}
    frame = pd.DataFrame(frame) if container == "pandas" else pl.DataFrame(frame)
    model = make_pipeline(ColumnTransformer([("c", OneHotEncoder(), ["proline"])]), make_model())
    assert model.fit(frame, WINE.target == 0).score(frame, WINE.target == 0) > 0.85


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_calibration_improves_an_overconfident_network(method, halves):
    X_train, X_test, y_train, y_test = halves
    model = make_scaled_model(max_iter=300, alpha=0)
    plain = model.fit(X_train, y_train)
    calibrated = CalibratedClassifierCV(model, method=method, cv=5).fit(X_train, y_train)
    assert log_loss(y_test, calibrated.predict_proba(X_test)) < log_loss(
        y_test, plain.predict_proba(X_test)
    )


def test_tuned_threshold_helps_the_rare_class():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y == 8, random_state=0, stratify=y)
    model = make_scaled_model(max_iter=10, learning_rate_init=0.001)
    tuned = TunedThresholdClassifierCV(model, scoring="balanced_accuracy", cv=3)
    plain = balanced_accuracy_score(y_test, model.fit(X_train, y_train).predict(X_test))
    assert balanced_accuracy_score(y_test, tuned.fit(X_train, y_train).predict(X_test)) > plain


def test_tuned_threshold_works_on_logits(halves):
    X_train, X_test, y_train, y_test = halves
    tuned = TunedThresholdClassifierCV(
        make_scaled_model(), response_method="decision_function", cv=3
    )
    assert tuned.fit(X_train, y_train).score(X_test, y_test) > 0.95


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_bagging_averages_its_networks(n_jobs, halves):
    X_train, X_test, y_train, _ = halves
    bag = BaggingClassifier(make_scaled_model(), n_estimators=4, random_state=0, n_jobs=n_jobs)
    bag.fit(X_train, y_train)
    mean = np.mean([model.predict_proba(X_test) for model in bag.estimators_], axis=0)
    np.testing.assert_allclose(bag.predict_proba(X_test), mean, rtol=1e-12)


def test_bagged_networks_differ(halves):
    X_train, X_test, y_train, _ = halves
    bag = BaggingClassifier(make_scaled_model(), n_estimators=2, random_state=0)
    one, other = bag.fit(X_train, y_train).estimators_
    assert not np.array_equal(one.predict_proba(X_test), other.predict_proba(X_test))


def test_cross_validated_logits_rank_the_rows(breast_cancer):
    X, y = breast_cancer
    logits = cross_val_predict(make_model(), X, y, cv=5, method="decision_function")
    assert roc_auc_score(y, logits) > 0.98


def test_cross_validated_logits_are_those_of_the_folds(breast_cancer):
    X, y = breast_cancer
    first = np.arange(len(y)) < 300
    folds = [(np.flatnonzero(~first), np.flatnonzero(first))]
    folds += [(np.flatnonzero(first), np.flatnonzero(~first))]
    logits = cross_val_predict(make_model(), X, y, cv=folds, method="decision_function")
    np.testing.assert_array_equal(
        logits[first], make_model().fit(X[~first], y[~first]).decision_function(X[first])
    )


@pytest.mark.parametrize("load", [load_iris, load_wine, load_digits])
def test_one_against_the_rest_learns_more_classes(load):
    X, y = load(return_X_y=True)
    model = OneVsRestClassifier(make_scaled_model(max_iter=60))
    assert cross_val_score(model, X, y, cv=3).mean() > 0.9
