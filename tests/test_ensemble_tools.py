"""DeepEnsembleClassifier among scikit-learn's tools, and parameters that do not suit."""

import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import skops.io
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    OneHotEncoder,
    StandardScaler,
)
from sklearn.utils import get_tags
from sklearn.utils._param_validation import InvalidParameterError

from skdnn import Checkpoint, DeepBinaryClassifier, DeepEnsembleClassifier, load_model, save_model
from skdnn.dask import DaskDeepBinaryClassifier
from skdnn.ensemble.defaults import Kind, check_kinds, resolve_estimator
from skdnn.ensemble.encoded import encoded_blocks
from skdnn.preprocessing import TableEncoder
from tests.callbacks import Callback
from tests.tables import SMALL, small

# What the docstring of DeepEnsembleClassifier says of networks by default
KINDS = [
    # bins, share of the columns, layers, learning rate
    (8, 1, (64, 64), 0.006),
    (0, 1, (64, 64), 0.008),
    (8, 0.6, (64,), 0.012),
    (32, 1, (64, 64), 0.006),
]


@pytest.mark.parametrize(
    ("n_estimators", "estimator", "n_kinds"),
    [(1, None, 1), (7, None, 1), (8, None, 2), (12, None, 3), (16, None, 4), (24, SMALL, 2)],
)
def test_kinds_of_default_networks_are_those_of_the_docstring(n_estimators, estimator, n_kinds):
    kinds = check_kinds(DeepEnsembleClassifier(estimator, n_estimators))
    found = [
        (kind.encoder.n_bins, kind.max_features, kind.hidden_layer_sizes, kind.learning_rate_init)
        for kind in kinds
    ]
    assert found == KINDS[:n_kinds]


@pytest.mark.parametrize(
    ("n_rows", "batch_size"), [(300, 16), (900, 30), (3000, 100), (7680, 256), (9000, 256)]
)
def test_default_network_is_that_of_the_docstring(n_rows, batch_size):
    network = resolve_estimator(Kind("auto", None), n_rows, n_rows, mean_weight=2.0)
    expected = {
        "hidden_layer_sizes": (64, 64),
        "learning_rate_init": 0.006,
        "alpha": 2.0,
        "n_iter_no_change": 9,
        "max_iter": 1000,
        "batch_size": batch_size,
        "early_stopping": True,
    }
    defaults = DeepBinaryClassifier().get_params()
    assert network.get_params() == defaults | expected


@pytest.mark.parametrize(
    "travel",
    [
        lambda model: pickle.loads(pickle.dumps(model)),
        lambda model: joblib.load(_dumped(model)),
        lambda model: skops.io.loads(
            skops.io.dumps(model), trusted=skops.io.get_untrusted_types(data=skops.io.dumps(model))
        ),
    ],
    ids=["pickle", "joblib", "skops"],
)
def test_copy_predicts_the_same(fitted, table, travel):
    X, _ = table
    assert_array_equal(travel(fitted).predict_proba(X), fitted.predict_proba(X))


def _dumped(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return file


def test_clone_learns_the_same(ensemble, numbers):
    X, y = numbers
    assert_array_equal(clone(ensemble).fit(X, y).predict_proba(X), ensemble.predict_proba(X))


def test_parameters_of_the_networks_are_searched(numbers):
    X, y = numbers
    search = GridSearchCV(
        make_pipeline(small(n_estimators=2, encoder=TableEncoder())),
        {
            "deepensembleclassifier__estimator__alpha": [0.1, 10],
            "deepensembleclassifier__encoder__n_bins": [0, 4],
        },
        cv=2,
        scoring="neg_log_loss",
    ).fit(X, y)
    assert len(search.cv_results_["params"]) == 4


def test_probabilities_are_calibrated_by_scikit_learn(table):
    X, y = table
    model = CalibratedClassifierCV(small(n_estimators=2), cv=2).fit(X, y)
    assert model.predict_proba(X).shape == (len(y), 2)


def test_rows_that_an_encoder_makes_nan_are_its_own(numbers):
    X, y = numbers
    encoder = FunctionTransformer(lambda X: np.where(X > 0, X, np.nan))
    with pytest.raises(ValueError, match="Input encoded by FunctionTransformer contains NaN"):
        small(encoder=encoder).fit(X, y)


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (lambda X: X[:-1], r"has 212 rows, but there were 213"),
        (lambda X: X[:, 0], r"is no matrix of numbers: Expected 2D array"),
        (lambda X: X[:, :0], r"is no matrix of numbers: Found array with 0 feature"),
        (lambda X: np.full(X.shape, "a"), r"is no matrix of numbers: could not convert"),
    ],
    ids=["rows", "dimensions", "columns", "text"],
)
def test_encodings_of_no_use_are_told_of_the_encoder(numbers, encode, message):
    model = small(encoder=FunctionTransformer(encode), n_estimators=4)
    with pytest.raises(ValueError, match=f"X, encoded by FunctionTransformer, {message}"):
        model.fit(*numbers)


def test_table_that_is_its_own_encoding_is_called_x(numbers):
    X, y = numbers
    model = small(encoder=None, n_estimators=2).fit(X, y)
    for bad, message in ((np.nan, "NaN"), (1e300, "infinity or a value too large")):
        table = X.astype(float)
        table[3, 1] = bad
        for method in (model.fit, lambda X, _: model.predict(X)):
            with pytest.raises(ValueError, match=f"^Input X contains {message}"):
                method(table, y)


class Centered(BaseEstimator):
    """A transformer without fit_transform."""

    def fit(self, X, y=None):
        self.mean_ = X.mean(axis=0)

    def transform(self, X):
        return X - self.mean_


def test_transformer_without_fit_transform_is_an_encoder(numbers):
    X, y = numbers
    model = small(encoder=Centered(), n_estimators=2).fit(X, y)
    scaler = StandardScaler(with_std=False)
    expected = small(encoder=scaler, n_estimators=2).fit(X, y).predict_proba(X)
    assert_allclose(model.predict_proba(X), expected, rtol=1e-5)
    frozen = FrozenEstimator(scaler.fit(X))
    assert small(kinds=[(frozen, SMALL)], n_estimators=2).fit(X, y).score(X, y) > 0.5


def test_encoder_of_the_user_is_fitted_to_the_rows_that_each_network_trains_on(numbers):
    X, y = numbers
    folds = list(StratifiedKFold(3).split(X, y))
    model = small(encoder=StandardScaler(), cv=folds, n_estimators=3).fit(X, y)
    for (train, _), encoder in zip(folds, model.encoders_, strict=True):
        assert_allclose(encoder.mean_, X[train].mean(axis=0), rtol=1e-9, atol=1e-12)


def test_column_transformer_is_an_encoder(table):
    X, y = table
    encoder = make_column_transformer(
        (StandardScaler(), ["fare"]), (OneHotEncoder(sparse_output=False), ["port", "deck"])
    )
    scores = cross_val_score(small(encoder=encoder), X, y, cv=2)
    assert scores.mean() > 0.5


def test_callbacks_see_networks_and_epochs(numbers):
    class Recorder:
        def __init__(self):
            self.tasks = []

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            self.tasks.append(context.task_name)

        def on_fit_task_end(self, estimator, context):
            pass

    recorder = Recorder()
    small(n_estimators=2).set_callbacks(recorder).fit(*numbers)
    assert recorder.tasks == ["fit", "network", "network"]


def test_callbacks_that_are_passed_on_see_each_task_once(numbers):
    class Counter(Callback):
        max_propagation_depth = None

        def __init__(self):
            self.begun, self.ended = [], []

        def on_fit_task_begin(self, estimator, context):
            self.begun.append((context.source_task_name, context.task_name))

        def on_fit_task_end(self, estimator, context):
            self.ended.append((context.source_task_name, context.task_name))

    counter = Counter()
    model = small(n_estimators=2).set_callbacks(counter).fit(*numbers)
    assert counter.begun.count(("network", "fit")) == 2
    assert len(counter.begun) == 1 + 2 + sum(len(net.loss_curve_) for net in model.estimators_)
    assert sorted(counter.begun, key=str) == sorted(counter.ended, key=str)


def test_progress_bar_goes_through_networks_and_epochs(numbers):
    from sklearn.callback import ProgressBar

    small(n_estimators=2, n_jobs=2).set_callbacks(ProgressBar()).fit(*numbers)


def test_verbose_prints_a_line_a_network(numbers, capsys):
    small(n_estimators=2, verbose=1).fit(*numbers)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 2
    assert "Network 2 of 2: best of" in printed


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_estimators": 0}, "n_estimators"),
        ({"cv": 1}, "'cv' parameter"),
        ({"encoder": "other"}, "encoder"),
        ({"kinds": []}, "at least one pair"),
        ({"kinds": [TableEncoder()]}, "pairs of encoder and estimator"),
        ({"kinds": [("auto", None, 0.0)]}, "max_features of a kind must be more than 0"),
        ({"kinds": [("auto", None, "half")]}, "max_features of a kind must be more than 0"),
    ],
)
def test_bad_parameter_is_named(numbers, parameters, message):
    with pytest.raises(ValueError, match=message):
        small(**parameters).fit(*numbers)


def test_parameters_of_the_default_network_cannot_be_set():
    model = DeepEnsembleClassifier(n_estimators=2)
    with pytest.raises(ValueError, match="estimator__alpha needs a network"):
        model.set_params(estimator__alpha=0.1)
    given = model.set_params(estimator=DeepBinaryClassifier(), estimator__alpha=0.1)
    assert given.estimator.alpha == 0.1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"encoder": TableEncoder(), "categorical_features": ["fare"]}, "give it to that"),
        ({"encoder": None, "categorical_features": [0]}, "give it to that"),
        ({"kinds": [("auto", None), ("Auto", None)]}, "must be 'auto', None or a transformer"),
        ({"kinds": [("auto", None), (None, 5)]}, "estimator must be a DeepBinaryClassifier"),
        ({"kinds": [(None, DaskDeepBinaryClassifier())]}, "a DaskDeepBinaryClassifier does not"),
        ({"cv": [(np.arange(60), np.arange(60, 999))]}, "cv must give pairs of rows"),
        ({"cv": [1]}, "cv must give pairs of rows"),
        ({"cv": [None]}, "cv must give pairs of rows"),
        ({"cv": []}, r"cv=\[\] gives no splits\.$"),
        ({"cv": KFold}, r"cv is the class KFold: give KFold\(\)"),
        ({"encoder": TableEncoder}, r"encoder is the class TableEncoder: give TableEncoder\(\)"),
        ({"kinds": [(TableEncoder, None)]}, "encoder of a kind is the class TableEncoder"),
    ],
)
def test_parameters_that_do_not_suit_are_named(parameters, message, table):
    model = small(**parameters)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(*table)
    assert model._repr_html_()  # which asks for tags


def test_kinds_may_share_their_columns_by_any_number(numbers):
    assert small(kinds=[("auto", SMALL, np.float32(0.5))]).fit(*numbers).estimators_


@pytest.mark.parametrize("parameters", [{"n_estimators": "10"}, {"kinds": 5}])
def test_unusable_parameter_is_told_by_fit_and_not_by_tags(parameters, numbers):
    model = DeepEnsembleClassifier(**parameters)
    assert get_tags(model).estimator_type == "classifier"
    with pytest.raises(InvalidParameterError, match=f"'{next(iter(parameters))}' parameter"):
        model.fit(*numbers)


def test_weights_that_overflow_are_named_before_training(numbers):
    X, y = numbers
    with pytest.raises(ValueError, match="sum of the weights"):
        small().fit(X, y, sample_weight=np.full(len(y), 1e308))


def test_two_rows_of_a_class_and_ids_alone():
    X = pd.DataFrame({"id": [f"L{k}" for k in range(150)]})
    model = DeepEnsembleClassifier(n_estimators=8, random_state=0).fit(X, np.arange(150) < 2)
    assert model.predict_proba(X)[:, 1].max() < 0.5


def test_a_fold_without_the_only_text_has_text_all_the_same(numbers):
    _, y = numbers
    mixed = np.random.RandomState(0).randint(0, 100, len(y)).astype(object)
    mixed[7] = "unknown"
    X = pd.DataFrame({"mixed": mixed, "number": np.arange(len(y)) / len(y)})
    model = small(encoder="auto", n_estimators=4).fit(X, y)
    texts = [column.is_text for e in model.encoders_ for _, column in e._columns[:1]]
    assert all(texts)


class SubclassedEnsemble(DeepEnsembleClassifier):
    pass


@pytest.mark.parametrize("ensemble", [DeepEnsembleClassifier, SubclassedEnsemble])
def test_checkpoints_are_of_single_networks(ensemble, numbers, tmp_path):
    checkpoint = Checkpoint(tmp_path / "run.ckpt")
    with pytest.raises(TypeError, match=r"An ensemble has no checkpoints: .* warm_start=True"):
        ensemble().set_callbacks(checkpoint).fit(*numbers)
    network = clone(SMALL).set_callbacks(checkpoint)
    with pytest.raises(ValueError, match=r"this one is an ensemble's: .* warm_start=True"):
        ensemble(network, n_estimators=2).fit(*numbers)


def test_kinds_of_which_there_would_be_no_network(numbers):
    model = DeepEnsembleClassifier(kinds=[("auto", SMALL)] * 3, n_estimators=2)
    with pytest.raises(ValueError, match="3 kinds of networks, and n_estimators=2"):
        model.fit(*numbers)


def test_codes_of_noise_do_not_leak_labels():
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"code": rng.randint(0, 60, 1200), "other": rng.randint(0, 40, 1200)})
    y = rng.randint(0, 2, 1200)
    model = DeepEnsembleClassifier(n_estimators=6, random_state=0).fit(X, y)
    error = np.sqrt(1 / (12 * 600) * 2)
    assert abs(roc_auc_score(y, model.oof_decision_function_) - 0.5) < 3 * error


def test_codes_are_learned_without_the_fold_set_aside_and_go_to_files(tmp_path):
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"code": rng.randint(0, 60, 1500), "number": rng.rand(1500)})
    y = (rng.rand(1500) < expit(2 * rng.standard_normal(60)[X["code"]])).astype(int)
    folds = list(StratifiedKFold(3).split(X, y))
    model = small(encoder="auto", n_estimators=3, cv=folds).fit(X, y)
    assert all(encoder.encodes_target_ for encoder in model.encoders_)
    for k, (_, held_out) in enumerate(folds):
        others = y.copy()
        others[held_out] = rng.permutation(y[held_out])
        again = small(encoder="auto", n_estimators=3, cv=folds).fit(X, others)
        assert_array_equal(again.encoders_[k].transform(X), model.encoders_[k].transform(X))
    save_model(model, tmp_path / "model.h5")
    loaded = load_model(tmp_path / "model.h5")
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert len({id(encoder._columns) for encoder in loaded.encoders_}) == 1


def test_scoring_function_is_given_arrays(numbers):
    seen = []

    def accuracy(estimator, X, y):
        seen.append(type(X))
        return float(np.mean(estimator.predict(X) == y) + X[:, 0].mean() * 0)

    network = clone(SMALL).set_params(scoring=accuracy)
    DeepEnsembleClassifier(network, n_estimators=4, random_state=0).fit(*numbers)
    assert set(seen) == {np.ndarray}


def test_networks_may_be_trained_in_the_space_of_the_rows():
    rng = np.random.RandomState(0)
    X, y = rng.standard_normal((40, 200)), np.arange(40) % 2
    network = DeepBinaryClassifier((3,), solver="gd", row_space=True, max_iter=20, tol=None)
    inside = DeepEnsembleClassifier(network, n_estimators=4, random_state=0).fit(X, y)
    network = clone(network).set_params(row_space=False)
    outside = DeepEnsembleClassifier(network, n_estimators=4, random_state=0).fit(X, y)
    assert_allclose(inside.predict_proba(X), outside.predict_proba(X), rtol=1e-3)


def test_dense_rows_are_predicted_where_sparse_ones_were_learned(numbers):
    X = scipy.sparse.csr_array(np.maximum(numbers[0], 0))
    model = small(n_estimators=2).fit(X, numbers[1])
    expected = model.predict_proba(X)
    for rows in (X.toarray(), X.toarray().tolist(), pd.DataFrame(X.toarray())):
        assert_allclose(model.predict_proba(rows), expected, rtol=1e-6)
    assert_allclose(model.predict_proba(X.toarray()[:1]), expected[:1], rtol=1e-6)


def test_wide_sparse_rows_are_encoded_many_at_a_time():
    X = scipy.sparse.random(500, 100_000, 1e-4, "csr", random_state=0)
    for encoder in (TableEncoder().fit(X), MaxAbsScaler().fit(X)):
        assert len([*encoded_blocks([encoder], X)]) == 1
