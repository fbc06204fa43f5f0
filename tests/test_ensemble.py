"""DeepEnsembleClassifier: its own promises, and its place among scikit-learn's tools."""

import functools
import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import AdaBoostClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RepeatedStratifiedKFold,
    StratifiedKFold,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, maxabs_scale
from sklearn.utils import estimator_checks
from sklearn.utils._testing import assert_allclose_dense_sparse
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier, load_model, save_model
from skdnn.preprocessing import TableEncoder
from tests.tables import SMALL, small

QUIET = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:Hidden layer:UserWarning"
)
# Quantiles, and the order of the rows in batches, are of rows and not of weights.
WEIGHTS_DO_NOT_REPEAT = {
    f"check_sample_weight_equivalence_on_{kind}_data": "rows are drawn and encoded one by one"
    for kind in ("dense", "sparse")
}


@pytest.fixture
def close_in_float32(monkeypatch):
    """Let checks compare as float32 allows, which networks are trained in: 1e-7 is one rounding."""
    close = functools.partial(assert_allclose_dense_sparse, rtol=1e-4)
    monkeypatch.setattr(estimator_checks, "assert_allclose_dense_sparse", close)

    def close_rows(found, expected, rtol=1e-7, atol=0, **how):
        assert_allclose(found, expected, rtol, max(atol, 1e-6), **how)

    # some BLAS kernels round a row by its place among the others
    monkeypatch.setattr(estimator_checks, "assert_allclose", close_rows)


@QUIET
@parametrize_with_checks(
    [DeepEnsembleClassifier(n_estimators=2), DeepEnsembleClassifier()],
    expected_failed_checks=lambda e: WEIGHTS_DO_NOT_REPEAT,
)
@pytest.mark.usefixtures("close_in_float32")
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# of all rows at a time, so that the order of the rows has no say
FULL_BATCH = DeepBinaryClassifier((8,), solver="gd", learning_rate_init=0.5, max_iter=100, tol=None)


@QUIET
@parametrize_with_checks([DeepEnsembleClassifier(FULL_BATCH, n_estimators=2, encoder=None)])
@pytest.mark.usefixtures("close_in_float32")
def test_scikit_learn_checks_without_encoder(estimator, check):
    check(estimator)


# ---------------------------------------------------------------------- tables


def test_table_is_learned_as_it_is(fitted, table):
    X, y = table
    assert roc_auc_score(y, fitted.oof_decision_function_) > 0.7
    assert fitted.classes_.tolist() == ["n", "y"]
    assert set(fitted.predict(X)) == {"n", "y"}
    assert fitted.feature_names_in_.tolist() == list(X.columns)


def test_polars_and_pandas_learn_the_same(fitted, table):
    X, y = table
    other = DeepEnsembleClassifier(random_state=0).fit(pl.from_pandas(X), y)
    assert_array_equal(other.predict_proba(pl.from_pandas(X)), fitted.predict_proba(X))


def test_thirty_percent_of_cells_missing(table):
    X, y = table
    holed = X.mask(np.random.RandomState(1).rand(*X.shape) < 0.3)
    model = DeepEnsembleClassifier(random_state=0).fit(holed, y)
    assert np.isfinite(model.predict_proba(holed)).all()
    assert roc_auc_score(y, model.oof_decision_function_) > 0.6


def test_names_that_are_missing_are_told_of_once(numbers):
    X, y = numbers
    model = small(n_estimators=1).fit(pd.DataFrame(X).add_prefix("c"), y)
    with pytest.warns(UserWarning, match="does not have valid feature names") as warned:
        model.predict(X)
    assert len(warned) == 1


def test_category_never_seen_is_predicted(fitted, table):
    X, _ = table
    never = fitted.predict_proba(X[:5].assign(port="never"))
    none = fitted.predict_proba(X[:5].assign(port=None))
    assert_array_equal(never, none)


def test_column_of_ids_and_constant_column_change_little(fitted, table):
    X, y = table
    more = X.assign(id=[f"id{k}" for k in range(len(X))], one=1)
    model = DeepEnsembleClassifier(random_state=0).fit(more, y)
    assert model.oof_log_loss_ < fitted.oof_log_loss_ + 0.02


def test_two_rows_of_a_class_make_two_folds(table):
    X, y = table
    rows = np.r_[np.flatnonzero(y == "n")[:40], np.flatnonzero(y == "y")[:2]]
    model = DeepEnsembleClassifier(random_state=0).fit(X.iloc[rows], y[rows])
    assert np.isfinite(model.oof_decision_function_).all()


def test_one_row_of_a_class_is_an_error(table):
    X, y = table
    rows = np.r_[np.flatnonzero(y == "n")[:40], np.flatnonzero(y == "y")[:1]]
    with pytest.raises(ValueError, match=r"Class 'y' has 1 row"):
        DeepEnsembleClassifier().fit(X.iloc[rows], y[rows])


def test_sparse_table_is_learned():
    X, y = load_breast_cancer(return_X_y=True)
    model = DeepEnsembleClassifier(SMALL, n_estimators=2, random_state=0)
    model.fit(scipy.sparse.csr_array(X), y)
    assert model.score(scipy.sparse.csr_array(X), y) > 0.85


@pytest.mark.parametrize("n_bins", [0, 8])
def test_dense_rows_are_predicted_as_the_sparse_ones_of_fit(n_bins, numbers):
    X, y = np.where(numbers[0] > 0.5, numbers[0], 0), numbers[1]
    model = DeepEnsembleClassifier(SMALL, 2, encoder=TableEncoder(n_bins=n_bins), random_state=0)
    model.fit(scipy.sparse.csr_array(X), y)
    sparse = model.predict_proba(scipy.sparse.csr_array(X))
    assert_allclose(model.predict_proba(X), sparse, rtol=1e-5)


# ---------------------------------------------------------------------- the ensemble


def test_prediction_is_the_mean_of_the_networks(ensemble, numbers):
    X, _ = numbers
    encoded = ensemble.encoder_.transform(X)
    members = [member.predict_proba(encoded)[:, 1] for member in ensemble.estimators_]
    assert_allclose(ensemble.member_proba(X), np.transpose(members), rtol=1e-4)
    assert_allclose(
        ensemble.predict_proba(X)[:, 1], ensemble.member_proba(X).mean(axis=1), rtol=1e-12
    )
    assert_allclose(expit(ensemble.decision_function(X)), ensemble.predict_proba(X)[:, 1])
    assert_allclose(ensemble.predict_log_proba(X), np.log(ensemble.predict_proba(X)))


def test_out_of_fold_judgement_is_of_networks_that_did_not_train_on_the_row(numbers):
    X, y = numbers
    folds = list(StratifiedKFold(3).split(X, y))
    model = small(n_estimators=3, cv=folds).fit(X, y)
    encoded = model.encoder_.transform(X)
    for (_, held_out), member in zip(folds, model.estimators_, strict=True):
        # in another epoch than the network returned to, which these rows chose
        says, now = (
            model.oof_decision_function_[held_out],
            member.decision_function(encoded[held_out]),
        )
        assert np.corrcoef(says, now)[0, 1] > 0.99
    assert model.oof_log_loss_ == pytest.approx(log_loss(y, expit(model.oof_decision_function_)))


@pytest.mark.parametrize("n_jobs", [2, -1])
def test_threads_give_the_same_bits(ensemble, numbers, n_jobs):
    X, _ = numbers
    model = small(n_jobs=n_jobs).fit(*numbers)
    assert_array_equal(model.predict_proba(X), ensemble.predict_proba(X))
    assert_array_equal(model.oof_decision_function_, ensemble.oof_decision_function_)


def test_warm_start_adds_networks_as_if_from_the_start(ensemble, numbers):
    X, y = numbers
    model = small(n_estimators=2, warm_start=True, cv=4).fit(X, y)
    first = model.estimators_[0]
    model.set_params(n_estimators=4).fit(X, y)
    assert model.estimators_[0] is first
    assert_array_equal(model.predict_proba(X), ensemble.predict_proba(X))
    assert model.oof_log_loss_ == ensemble.oof_log_loss_


def test_warm_start_refuses_fewer_networks_and_other_rows(numbers):
    X, y = numbers
    model = small(n_estimators=2, warm_start=True).fit(X, y)
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="n_estimators=1 must not be less than the 2"):
        model.set_params(n_estimators=1).fit(X, y)
    with pytest.raises(ValueError, match="must be the same, but have 100 rows"):
        model.set_params(n_estimators=3).fit(X[:100], y[:100])
    with pytest.raises(ValueError, match="y is not the same as in the call before"):
        model.fit(X, np.roll(y, 1))
    with pytest.raises(ValueError, match="sample_weight is not the same as in the call before"):
        model.fit(X, y, sample_weight=1 + np.arange(len(y)))
    assert_array_equal(model.predict_proba(X), before)
    with pytest.warns(UserWarning, match="adds none"):
        model.set_params(n_estimators=2).fit(X, y)


TABLE = {
    "number": np.r_[np.nan, np.arange(119.0)],
    "city": [f"u{i % 7}" for i in range(119)] + [None],
    "day": np.datetime64("2026-11-27", "us") + np.arange(120),
}


FRAME, CSR = pd.DataFrame(TABLE), scipy.sparse.eye(120, 3, format="csr")


@pytest.mark.parametrize(
    ("X", "other"),
    [
        (FRAME, FRAME.assign(number=FRAME["number"] + 1)),
        (FRAME, FRAME.assign(city=FRAME["city"].str.upper())),
        (FRAME, FRAME.assign(day=FRAME["day"][::-1].to_numpy())),
        (FRAME, FRAME.iloc[::-1]),
        (CSR.toarray(), CSR.toarray() + 1),
        (CSR, 2 * CSR),
    ],
    ids=["numbers", "text", "dates", "order", "array", "sparse"],
)
def test_warm_start_refuses_another_table(X, other):
    y = np.arange(120) % 2
    model = small(n_estimators=2, warm_start=True).fit(X, y).set_params(n_estimators=3)
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="X is not the same as in the call before"):
        model.fit(other, y)
    assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize(
    ("X", "again"),
    [
        (FRAME, pl.DataFrame(TABLE)),
        (CSR.toarray(), np.asfortranarray(CSR.toarray(), dtype=np.float32)),
        (CSR, CSR.tocsc()),
    ],
    ids=["frames", "arrays", "sparse"],
)
def test_warm_start_goes_on_with_the_same_table_whatever_holds_it(X, again):
    y = np.arange(120) % 2
    model = small(n_estimators=2, warm_start=True).fit(X, y)
    assert len(model.set_params(n_estimators=3).fit(again, y).estimators_) == 3


def test_warm_start_refuses_other_groups(numbers):
    X, y = numbers
    model = small(n_estimators=2, warm_start=True).fit(X, y, groups=np.arange(len(y)) % 30)
    model.set_params(n_estimators=3)
    for groups in (None, np.arange(len(y)) % 20):
        with pytest.raises(ValueError, match="groups is not the same as in the call before"):
            model.fit(X, y, groups=groups)
    assert len(model.fit(X, y, groups=np.arange(len(y)) % 30).estimators_) == 3


def test_one_network_is_a_network_stopped_early(numbers):
    X, y = numbers
    model = small(n_estimators=1).fit(X, y)
    (member,) = model.estimators_
    assert member.best_iter_ is not None
    assert_allclose(
        model.predict_proba(X), member.predict_proba(model.encoder_.transform(X)), rtol=1e-4
    )
    judged = ~np.isnan(model.oof_decision_function_)
    assert judged.sum() == pytest.approx(len(y) / 8, abs=2)


def test_more_networks_than_folds_are_shuffled_again(numbers):
    X, y = numbers
    model = small(n_estimators=4, cv=2).fit(X, y)
    assert np.isfinite(model.oof_decision_function_).all()
    assert model._judgement._counts.tolist() == [[2] * len(y)]


def test_networks_of_several_kinds_take_turns(numbers):
    X, y = numbers
    wide = DeepBinaryClassifier((16,), max_iter=5, tol=None)
    model = DeepEnsembleClassifier(
        n_estimators=4, kinds=[(TableEncoder(), SMALL), (StandardScaler(), wide)], random_state=0
    ).fit(X, y)
    assert [member.coefs_[0].shape[1] for member in model.estimators_] == [8, 16, 8, 16]
    assert model.encoders_[0] is model.encoders_[2]
    assert isinstance(model.encoders_[1], StandardScaler)
    assert_allclose(
        model.predict_proba(X)[:, 1], model.member_proba(X) @ model.estimator_weights_, rtol=1e-12
    )


def test_kinds_weigh_by_their_out_of_fold_loss(numbers):
    X, y = numbers
    lame = DeepBinaryClassifier((2,), learning_rate_init=1e-6, max_iter=1, tol=None)
    model = DeepEnsembleClassifier(
        n_estimators=8, kinds=[("auto", lame), ("auto", SMALL)], random_state=0
    ).fit(X, y)
    assert model.estimator_weights_.sum() == pytest.approx(1)
    assert model.estimator_weights_[::2].sum() < 1e-3
    assert np.isfinite(model.oof_decision_function_).all()


def test_encoder_sees_no_labels_of_the_fold_set_aside():
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"text": rng.randint(0, 100, 600).astype(str)})
    y = rng.randint(0, 2, 600)
    folds = list(StratifiedKFold(3).split(X, y))
    model = small(n_estimators=3, cv=folds).fit(X, y)
    for k, ((train, held_out), encoder) in enumerate(zip(folds, model.encoders_, strict=True)):
        alone = TableEncoder(random_state=encoder.random_state).fit(X.iloc[train], y[train])
        assert_array_equal(encoder.transform(X)[:, 0], alone.transform(X)[:, 0])
        others = y.copy()
        others[held_out] = 1 - y[held_out]
        again = small(n_estimators=3, cv=folds).fit(X, others)
        assert_array_equal(again.encoders_[k].transform(X), encoder.transform(X))


def test_prediction_reads_a_table_once(tmp_path, monkeypatch):
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"text": rng.randint(0, 100, 300).astype(str), "number": rng.rand(300)})
    model = small(encoder="auto", n_estimators=8).fit(X, rng.randint(0, 2, 300))
    assert len(set(map(id, model.encoders_))) == 8
    save_model(model, tmp_path / "model.h5")
    loaded = load_model(tmp_path / "model.h5")
    read = []
    prepare = TableEncoder._prepare
    monkeypatch.setattr(
        TableEncoder, "_prepare", lambda *args, **kw: read.append(1) or prepare(*args, **kw)
    )
    for ensemble in (model, loaded):
        ensemble.predict_proba(X)
        assert len(read) == 1
        read.clear()


def test_out_of_fold_auc_of_noise_is_a_half():
    rng = np.random.RandomState(0)
    aucs = []
    for _ in range(8):
        X = pd.DataFrame(rng.standard_normal((600, 3))).add_prefix("x")
        X["text"] = rng.randint(0, 500, 600).astype(str)
        y = rng.randint(0, 2, 600)
        model = small(n_estimators=8, random_state=rng).fit(X, y)
        aucs.append(roc_auc_score(y, model.oof_decision_function_))
    error = np.std(aucs, ddof=1) / np.sqrt(len(aucs))
    assert abs(np.mean(aucs) - 0.5) < 3 * error


@pytest.mark.parametrize(
    "cv", [3, KFold(3), RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0)]
)
def test_splitters_of_scikit_learn(numbers, cv):
    model = small(n_estimators=2, cv=cv).fit(*numbers)
    assert len(model.estimators_) == 2


@pytest.mark.parametrize("cv", [None, GroupKFold(4)])
def test_groups_stay_on_one_side(numbers, cv):
    X, y = numbers
    groups = np.arange(len(y)) // 10
    model = small(cv=cv).fit(X, y, groups=groups)
    judged = np.isfinite(model.oof_decision_function_)
    assert all(np.unique(judged[groups == group]).size == 1 for group in np.unique(groups))


@pytest.mark.parametrize(
    "cv",
    [[(np.arange(240), np.arange(240))] * 2, KFold(2), [(np.arange(180), np.arange(150, 240))]],
)
def test_row_on_both_sides_of_a_split_is_an_error(numbers, cv, monkeypatch):
    monkeypatch.setattr(KFold, "split", lambda self, X, y, groups: [(np.arange(99), [98, 99])])
    with pytest.raises(ValueError, match=r"cv must set rows aside .* split 0 have (240|1|30) rows"):
        small(n_estimators=1, cv=cv).fit(*numbers)


def test_row_of_weight_0_may_be_on_both_sides_of_a_split(numbers):
    X, y = numbers
    cv = [(np.arange(121), np.arange(120, len(y)))]
    model = small(n_estimators=1, cv=cv).fit(X, y, np.arange(len(y)) != 120)
    assert np.isnan(model.oof_decision_function_[:121]).all()


def test_iterable_that_is_used_up_is_told_of(numbers):
    halves = np.arange(240).reshape(2, 120)
    model = small(n_estimators=2, cv=(pair for pair in (halves, halves[::-1]))).fit(*numbers)
    with pytest.raises(ValueError, match=r"cv=<generator .* gives no splits. It is used up: give"):
        model.fit(*numbers)


def test_a_single_group_is_an_error(numbers):
    X, y = numbers
    with pytest.raises(ValueError, match="groups has 1 group, but folds need 2"):
        small().fit(X, y, groups=np.zeros(len(y)))


def test_networks_of_three_kinds_share_two_encoders(fitted):
    assert len(set(map(id, fitted.encoders_))) == 2
    sizes = [len(network.coefs_) for network in fitted.estimators_]
    assert sizes == [3, 3, 2] * 8


def columns_seen(network, encoder):
    """Return the names of the columns that a network has weights for."""
    names = encoder.get_feature_names_out()
    weighs = np.abs(network.coefs_[0]).sum(axis=1) > 0
    return {name.split("_")[0] for name in names[weighs]}, {
        name.split("_")[0] for name in names[~weighs]
    }


@pytest.mark.parametrize("as_needed", [False, True])
def test_networks_see_other_columns_each_and_these_whole(as_needed, numbers, monkeypatch):
    if as_needed:
        monkeypatch.setattr("skdnn.ensemble.encoded._LARGE", 0)
    X = pd.DataFrame(numbers[0][:, :5], columns=list("abcde"))
    X["f"] = np.where(X["a"] > X["a"].median(), "yes", "no")
    kinds = [("auto", clone(SMALL).set_params(alpha=0.0), 0.5)]
    model = DeepEnsembleClassifier(kinds=kinds, n_estimators=6, random_state=0)
    model.fit(X, numbers[1])
    of_networks = []
    for network, encoder in zip(model.estimators_, model.encoders_, strict=True):
        seen, unseen = columns_seen(network, encoder)
        assert len(seen) == 3
        assert not seen & unseen
        of_networks.append(tuple(sorted(seen)))
    assert len(set(of_networks)) > 2
    changed = X.copy()
    missing = sorted(set("abcde") - set(of_networks[0]))
    changed[missing] = 0.0
    found = model.member_proba(changed)
    assert_array_equal(found[:, 0], model.member_proba(X)[:, 0])
    assert (found != model.member_proba(X)).any()


@pytest.mark.parametrize("encoder", ["auto", None, StandardScaler(with_mean=False)])
def test_networks_may_see_some_columns_of_sparse_rows(encoder, numbers):
    X, y = scipy.sparse.csr_array(maxabs_scale(numbers[0])), numbers[1]
    model = DeepEnsembleClassifier(kinds=[(encoder, SMALL, 0.6)], n_estimators=4, random_state=0)
    assert roc_auc_score(y, model.fit(X, y).predict_proba(X)[:, 1]) > 0.9
    n_seen = [(np.abs(network.coefs_[0]).sum(axis=1) > 0).sum() for network in model.estimators_]
    assert n_seen == [round(0.6 * X.shape[1])] * 4


def test_rate_goes_down_where_inputs_are_very_many():
    rng = np.random.RandomState(0)
    X, y = rng.standard_normal((60, 4000)), np.arange(60) % 2
    model = DeepEnsembleClassifier(n_estimators=1, random_state=0).fit(X, y)  # no unit dies
    n_inputs = model.encoder_.n_outputs_
    assert n_inputs > 30_000
    assert model.estimator_.learning_rate_init == pytest.approx(0.006 * 10_000 / n_inputs)
    sparse = clone(model).fit(scipy.sparse.random(60, 20_000, 0.01, "csr", random_state=rng), y)
    assert sparse.estimator_.learning_rate_init == 0.006
    narrow = clone(model).fit(X[:, :100], y)
    assert narrow.estimator_.learning_rate_init == 0.006


def test_fine_bins_join_where_there_are_rows_for_them():
    X = np.random.RandomState(0).standard_normal((1000, 2))
    y = X[:, 0] > 0
    model = DeepEnsembleClassifier(n_estimators=16, random_state=0).fit(X, y)
    assert [encoder.n_bins for encoder in model.encoders_] == [8, 0, 8, 32] * 4
    wide = np.random.RandomState(1).standard_normal((1000, 51))
    assert {encoder.n_bins for encoder in clone(model).fit(wide, y).encoders_} == {8, 0}
    weight = np.ones(1000)
    weight[0] = 0  # a row that is not there
    model.fit(X, y, weight)
    assert {encoder.n_bins for encoder in model.encoders_} == {8, 0}
    more = model.set_params(warm_start=True, n_estimators=18).fit(X, y, weight)
    assert [encoder.n_bins for encoder in more.encoders_[15:]] == [8, 0, 8]


def test_groups_and_weights_are_routed(numbers):
    X, y = numbers
    groups, weight = np.arange(len(y)) // 10, np.ones(len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        model = small(cv=GroupKFold(4)).set_fit_request(groups=True, sample_weight=True)
        model.set_score_request(sample_weight=False)
        search = GridSearchCV(model, {"estimator__alpha": [1, 2]}, cv=2)
        search.fit(X, y, groups=groups, sample_weight=weight)
    assert search.best_score_ > 0.9


def test_row_of_weight_zero_is_as_if_it_were_not_there(numbers):
    X, y = numbers
    weight = np.ones(len(y))
    weight[::3] = 0
    model = small().fit(X, y, sample_weight=weight)
    kept = weight > 0
    other = small().fit(X[kept], y[kept])
    assert_allclose(model.predict_proba(X), other.predict_proba(X), rtol=1e-5)
    assert np.isnan(model.oof_decision_function_[~kept]).all()


def test_only_ratios_of_weights_matter_to_the_defaults(numbers):
    """Weights that sum to 1, as AdaBoost's do, left nothing of the loss beside the penalty."""
    X, y = numbers
    weight = np.random.RandomState(0).uniform(0.5, 1.5, len(y))
    models = [
        DeepEnsembleClassifier(n_estimators=4, random_state=0).fit(X, y, sample_weight=w)
        for w in (weight, weight / weight.sum())
    ]
    probabilities = [model.predict_proba(X) for model in models]
    assert_allclose(*probabilities, atol=1e-3)
    boosted = AdaBoostClassifier(models[0], n_estimators=2).fit(X, y)
    assert boosted.score(X, y) > models[0].score(X, y) - 0.05


@pytest.mark.parametrize("wrap", [lambda encoder: encoder, make_pipeline])
def test_function_as_encoder_is_called_in_training_too(wrap):
    X = np.exp(2 * np.random.RandomState(0).standard_normal((240, 3)))
    y = np.log(X[:, 0] * X[:, 1]) > 0
    model = small(n_estimators=2, encoder=wrap(FunctionTransformer(np.log))).fit(X, y)
    encoded = small(n_estimators=2, encoder=None).fit(np.log(X), y)
    assert_allclose(model.predict_proba(X), encoded.predict_proba(np.log(X)), rtol=1e-5)


def test_log_odds_are_finite_where_probabilities_are_not():
    X = np.random.RandomState(0).standard_normal((240, 3))
    y = X[:, 0] + X[:, 1] > 0
    X[0], y[0] = [300, 300, 0], False  # as wrong as can be
    model = small(encoder=None).fit(X, y)
    assert np.isfinite(model.oof_log_loss_)
    assert np.isfinite(model.oof_decision_function_).all()
    far = 1e3 * X
    logs = model.predict_log_proba(far)
    assert np.isfinite(logs).all()
    assert_allclose(logs[:, 1] - logs[:, 0], model.decision_function(far))
    near = model.predict_proba(X[1:])
    assert_allclose(np.exp(model.predict_log_proba(X[1:])), near, rtol=1e-9)


def test_warm_start_goes_on_with_the_same_encoders(numbers):
    X, y = numbers
    model = small(n_estimators=2, encoder=TableEncoder(n_bins=8), warm_start=True).fit(X, y)
    model.set_params(n_estimators=4, encoder=TableEncoder(n_bins=2))
    with pytest.raises(ValueError, match=r"TableEncoder.* is another than TableEncoder"):
        model.fit(X, y)
    model.set_params(encoder=TableEncoder(n_bins=8)).fit(X, y)
    assert len(model.estimators_) == 4


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_configured_output_of_transformers_changes_nothing(output):
    rng = np.random.RandomState(0)
    table = pd.DataFrame({"city": [f"u{i % 80}" for i in range(300)], "a": rng.randn(300)})
    y = table["a"] > 0
    sparse = scipy.sparse.random(300, 5, 0.3, format="csr", random_state=0)
    for X, encoder in ((table, "auto"), (sparse, "auto"), (table[["a"]].to_numpy(), None)):
        model = small(n_estimators=2, encoder=encoder)
        expected = model.fit(X, y).predict_proba(X)
        with sklearn.config_context(transform_output=output):
            np.testing.assert_array_equal(model.fit(X, y).predict_proba(X), expected)


def test_column_of_numbers_and_text_is_one_in_every_fold():
    mixed = pd.Series([i % 7 for i in range(240)], dtype=object)
    mixed[5] = "unknown"  # in one fold alone
    table = pd.DataFrame({"city": [f"u{i % 80}" for i in range(240)], "mixed": mixed})
    assert np.isfinite(small(encoder="auto").fit(table, np.arange(240) % 2).oof_log_loss_)


def test_parameters_of_no_encoder_cannot_be_set():
    with pytest.raises(ValueError, match=r"encoder__n_bins needs an encoder.*'auto'"):
        DeepEnsembleClassifier().set_params(encoder__n_bins=4)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["a", None] * 120, "groups has 120 missing"),
        (np.array(["a", 1] * 120, object), "groups mixes labels"),
        (np.zeros((240, 2)), "groups must have shape"),
        (np.ma.array(np.arange(240), mask=np.arange(240) < 9), "groups has 9 masked entries"),
    ],
)
def test_groups_that_cannot_be_used_are_named(groups, message):
    X = np.random.RandomState(0).standard_normal((240, 2))
    with pytest.raises(ValueError, match=message):
        small().fit(X, X[:, 0] > 0, groups=groups)


def test_failed_fit_leaves_the_ensemble_as_it_was(numbers):
    X, y = numbers
    model = small(n_estimators=2).fit(X, y)
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="one class"):
        model.fit(X, np.zeros(len(y)))
    with pytest.raises(TypeError, match="estimator must be a DeepBinaryClassifier"):
        model.set_params(estimator=LogisticRegression()).fit(X, y)
    assert_array_equal(model.predict_proba(X), before)


def test_gaps_that_tell_of_labels_are_seen():
    rng = np.random.RandomState(0)
    X, y = rng.standard_normal((500, 3)), rng.rand(500) < 0.3
    X[np.where(rng.rand(500) < 0.8, y, rng.rand(500) < 0.3), 0] = np.nan
    model = DeepEnsembleClassifier(n_estimators=8, random_state=0).fit(X[:300], y[:300])
    assert roc_auc_score(y[300:], model.predict_proba(X[300:])[:, 1]) > 0.8
    assert len({id(encoder) for encoder in model.encoders_}) == 2  # those of all folds are alike


def test_prediction_of_a_row_does_not_depend_on_its_neighbours(ensemble, numbers):
    X, _ = numbers
    alone = [ensemble.decision_function(X[k : k + 1])[0] for k in range(20)]
    assert_allclose(ensemble.decision_function(X)[:20], alone, rtol=1e-6)


@pytest.mark.parametrize("kinds", ["default", "of the user"])
def test_large_table_takes_little_more_than_itself(kinds, monkeypatch):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((100_000, 20)).astype(np.float32)
    y = X[:, 0] > 0
    monkeypatch.setattr("skdnn.ensemble.defaults._MOST_EPOCHS", 1)
    network = DeepBinaryClassifier((8,), batch_size=256, max_iter=1, tol=None)
    networks = {} if kinds == "default" else {"estimator": network, "n_estimators": 8}
    model = DeepEnsembleClassifier(**networks, random_state=0)
    tracemalloc.start()
    model.fit(X, y).predict_proba(X[:1000])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * X.nbytes


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("max_features", [1.0, 0.5])
def test_rows_encoded_batch_by_batch_train_the_same_networks(
    max_features, solver, monkeypatch, table
):
    X, y = table
    network = DeepBinaryClassifier(
        (6,), solver=solver, class_weight="balanced", max_iter=5, tol=None
    )
    kinds = [("auto", network, max_features)]
    model = DeepEnsembleClassifier(kinds=kinds, n_estimators=2, random_state=0)
    expected = model.fit(X, y).predict_proba(X)
    monkeypatch.setattr("skdnn.ensemble.encoded._LARGE", 0)
    assert_allclose(clone(model).fit(X, y).predict_proba(X), expected, atol=1e-4)


def test_rows_of_weight_0_and_dead_layers_of_rows_encoded_batch_by_batch(monkeypatch, numbers):
    X, y = numbers
    monkeypatch.setattr("skdnn.ensemble.encoded._LARGE", 0)
    dead = clone(SMALL).set_params(row_space="auto", class_weight={0: 1e-3, 1: 1.0})
    model = DeepEnsembleClassifier(dead, n_estimators=2, random_state=0).fit(X, y)
    assert model.predict(X).mean() > 0.9
    with pytest.raises(ValueError, match="rows that are encoded batch by batch"):
        model.set_params(estimator=clone(SMALL).set_params(solver="lbfgs", row_space=True)).fit(
            X, y
        )
