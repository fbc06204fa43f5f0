"""Early stopping on a user's rows and by a user's score, by every solver, and when going on."""

import numpy as np
import pytest
import scipy.sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import get_scorer, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier
from tests.callbacks import Callback
from tests.models import parameters_of

RATES = {"gd": 0.5, "sgd": 0.3, "adam": 0.05, "adamw": 0.05, "lbfgs": 0.1}
ALL_SOLVERS = pytest.mark.parametrize("solver", RATES)
FIRST_ORDER_SOLVERS = pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "adamw"])
MAY_NOT_CONVERGE = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def make_model(solver="adam", **parameters):
    """Return a model that overfits, watched by a validation set, and warns of nothing."""
    defaults = {
        "learning_rate_init": RATES[solver],
        "max_iter": 40,
        "tol": None,
        "random_state": 1,
        "early_stopping": True,
        "batch_size": 50,
        "momentum": 0.5,
    }
    return DeepBinaryClassifier((20,), solver=solver, **(defaults | parameters))


@pytest.fixture(scope="module")
def noisy(breast_cancer):
    """Return X, y, X_val and y_val with every fifth label wrong, on which training overfits."""
    X, y = breast_cancer
    y = y ^ (np.arange(y.size) % 5 == 0)
    return X[:150], y[:150], X[150:250], y[150:250]


@pytest.fixture(scope="module")
def weights():
    return np.random.RandomState(3).uniform(0.1, 5, 100)


def fit(model, data, **arguments):
    X, y, X_val, y_val = data
    return model.fit(X, y, X_val=X_val, y_val=y_val, **arguments)


# ---------------------------------------------------------------------- the given rows


@ALL_SOLVERS
def test_given_rows_are_what_is_watched(solver, noisy):
    model = fit(make_model(solver), noisy)
    loss = log_loss(noisy[3], model.predict_proba(noisy[2]))
    assert loss == pytest.approx(min(model.validation_loss_curve_), rel=1e-10)


@ALL_SOLVERS
def test_nothing_is_set_aside_from_x(solver, noisy):
    X, y, *_ = noisy
    watched = fit(make_model(solver, max_iter=5), noisy)
    blind = make_model(solver, max_iter=5, early_stopping=False).fit(X, y)
    assert watched.loss_curve_ == blind.loss_curve_


@ALL_SOLVERS
def test_parameters_of_the_best_epoch_are_those_of_a_shorter_fit(solver, noisy):
    X, y, *_ = noisy
    model = fit(make_model(solver), noisy)
    shorter = make_model(solver, max_iter=model.best_iter_, early_stopping=False).fit(X, y)
    np.testing.assert_array_equal(parameters_of(model), parameters_of(shorter))


@ALL_SOLVERS
def test_training_overfits(solver, noisy):
    model = fit(make_model(solver), noisy)
    assert model.best_iter_ < model.n_iter_


@ALL_SOLVERS
def test_best_score_is_at_the_best_iteration(solver, noisy):
    model = fit(make_model(solver), noisy)
    assert model.best_validation_score_ == model.validation_scores_[model.best_iter_ - 1]


@ALL_SOLVERS
def test_score_of_loss_is_minus_the_loss(solver, noisy):
    model = fit(make_model(solver), noisy)
    assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]


@ALL_SOLVERS
def test_patience_ends_training(solver, noisy):
    model = fit(make_model(solver, tol=1e-4, n_iter_no_change=5, max_iter=300), noisy)
    assert model.n_iter_ < 300


@pytest.mark.parametrize("labels", [("no", "yes"), (False, True), (-1, 1)], ids=str)
def test_labels_may_be_of_any_kind(labels, noisy):
    X, y, X_val, y_val = noisy
    labels = np.array(labels)
    model = make_model().fit(X, labels[y], X_val=X_val, y_val=labels[y_val])
    assert model.validation_loss_curve_ == fit(make_model(), noisy).validation_loss_curve_


def test_given_rows_may_be_of_one_class(noisy):
    X, y, X_val, y_val = noisy
    rows = y_val == 1
    model = make_model().fit(X, y, X_val=X_val[rows], y_val=y_val[rows])
    loss = log_loss(y_val[rows], model.predict_proba(X_val[rows]), labels=[0, 1])
    assert model.best_validation_score_ == pytest.approx(-loss, rel=1e-10)


def test_given_rows_need_no_second_row_of_a_class(noisy):
    X, _, X_val, y_val = noisy
    y = np.arange(150) == 0
    assert make_model().fit(X, y, X_val=X_val, y_val=y_val == 1).n_iter_ == 40


def test_given_rows_leave_the_generator_alone(noisy):
    X, y, X_val, y_val = noisy
    one = make_model("adam", max_iter=5).fit(X, y, X_val=X_val, y_val=y_val)
    other = make_model("adam", max_iter=5).fit(X, y, X_val=X_val[:50], y_val=y_val[:50])
    assert one.loss_curve_ == other.loss_curve_


# ---------------------------------------------------------------------- weights


@ALL_SOLVERS
def test_weights_of_given_rows_count(solver, noisy, weights):
    model = fit(make_model(solver), noisy, sample_weight_val=weights)
    loss = log_loss(noisy[3], model.predict_proba(noisy[2]), sample_weight=weights)
    assert model.best_validation_score_ == pytest.approx(-loss, rel=1e-10)


def test_given_row_of_weight_zero_is_as_if_it_were_not_there(noisy):
    X, y, X_val, y_val = noisy
    weight = (np.arange(100) < 60).astype(float)
    weighted = fit(make_model(), noisy, sample_weight_val=weight)
    without = make_model().fit(X, y, X_val=X_val[:60], y_val=y_val[:60])
    np.testing.assert_allclose(
        weighted.validation_loss_curve_, without.validation_loss_curve_, rtol=1e-12
    )


def test_weights_reach_the_scorer(noisy, weights):
    model = fit(make_model(scoring="roc_auc"), noisy, sample_weight_val=weights)
    score = roc_auc_score(noisy[3], model.decision_function(noisy[2]), sample_weight=weights)
    assert model.best_validation_score_ == pytest.approx(score, rel=1e-12)


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("missing", ["X_val", "y_val"])
def test_rows_and_labels_go_together(missing, noisy):
    X, y, X_val, y_val = noisy
    given = {"X_val": X_val, "y_val": y_val} | {missing: None}
    with pytest.raises(ValueError, match="X_val and y_val go together"):
        make_model().fit(X, y, **given)


def test_weights_without_rows_are_refused(noisy, weights):
    X, y, *_ = noisy
    with pytest.raises(ValueError, match="X_val"):
        make_model().fit(X, y, sample_weight_val=weights)


@ALL_SOLVERS
def test_given_rows_are_for_early_stopping(solver, noisy):
    with pytest.raises(ValueError, match="X_val and y_val are for early_stopping=True"):
        fit(make_model(solver, early_stopping=False), noisy)


def test_given_rows_have_the_features_of_x(noisy):
    X, y, X_val, y_val = noisy
    with pytest.raises(ValueError, match="X has 29 features"):
        make_model().fit(X, y, X_val=X_val[:, 1:], y_val=y_val)


def test_given_rows_have_a_label_each(noisy):
    X, y, X_val, y_val = noisy
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        make_model().fit(X, y, X_val=X_val, y_val=y_val[1:])


def test_label_that_y_does_not_have_is_named_as_one_of_y_val(noisy):
    X, y, X_val, y_val = noisy
    with pytest.raises(ValueError, match="y_val"):
        make_model().fit(X, y, X_val=X_val, y_val=y_val + 1)


@pytest.mark.parametrize("bad", [np.ones(99), -np.ones(100), np.zeros(100)], ids=["n", "<", "0"])
def test_weights_of_given_rows_are_checked(bad, noisy):
    with pytest.raises(ValueError, match="sample_weight"):
        fit(make_model(), noisy, sample_weight_val=bad)


def test_missing_values_in_given_rows_are_refused(noisy):
    X, y, X_val, y_val = noisy
    with pytest.raises(ValueError, match="contains NaN"):
        make_model().fit(X, y, X_val=np.where(X_val > 2, np.nan, X_val), y_val=y_val)


@pytest.mark.parametrize("scoring", ["not a scorer", "r2_"])
def test_unknown_scorer_is_named(scoring, noisy):
    with pytest.raises(ValueError, match=scoring):
        fit(make_model(scoring=scoring), noisy)


def test_refused_rows_leave_an_unfitted_model_unfitted(noisy):
    X, y, X_val, y_val = noisy
    model = make_model()
    with pytest.raises(ValueError, match="features"):
        model.fit(X, y, X_val=X_val[:, 1:], y_val=y_val)
    assert [name for name in vars(model) if name.endswith("_")] == []


@pytest.mark.parametrize("bad", [-np.ones(100), np.zeros(100), np.ones(3)], ids=["<0", "0", "n"])
def test_weights_of_validation_rows_are_named_as_such(bad, noisy):
    with pytest.raises(ValueError, match="sample_weight_val"):
        fit(make_model(), noisy, sample_weight_val=bad)


def test_validation_rows_are_named_as_such(noisy):
    X, y, X_val, y_val = noisy
    with pytest.raises(ValueError, match="X_val"):
        make_model().fit(X, y, X_val=X_val * np.nan, y_val=y_val)


# ---------------------------------------------------------------------- through a pipeline


def test_pipeline_transforms_the_given_rows(noisy):
    X, y, X_val, y_val = noisy
    with config_context(enable_metadata_routing=True):
        model = make_model().set_fit_request(X_val=True, y_val=True)
        pipeline = Pipeline(
            [("scale", StandardScaler()), ("model", model)], transform_input=["X_val"]
        ).fit(7 * X + 3, y, X_val=7 * X_val + 3, y_val=y_val)
    scaler = StandardScaler().fit(X)
    by_hand = fit(make_model(), (scaler.transform(X), y, scaler.transform(X_val), y_val))
    np.testing.assert_allclose(
        pipeline[-1].validation_loss_curve_, by_hand.validation_loss_curve_, rtol=1e-6
    )


def test_pipeline_hands_the_weights_of_the_given_rows_on(noisy, weights):
    X, y, X_val, y_val = noisy
    given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": weights}
    with config_context(enable_metadata_routing=True):
        model = make_model().set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
        pipeline = Pipeline(
            [("scale", StandardScaler(with_mean=False, with_std=False)), ("model", model)],
            transform_input=["X_val"],
        ).fit(X, y, **given)
    assert pipeline[-1].validation_scores_ == make_model().fit(X, y, **given).validation_scores_


def test_pipeline_sets_rows_aside_by_itself(noisy):
    X, y, *_ = noisy
    pipeline = make_pipeline(StandardScaler(), make_model()).fit(X, y)
    assert len(pipeline[-1].validation_scores_) == 40


# ---------------------------------------------------------------------- scoring


def share_of_right_answers(estimator, X, y, sample_weight=None):
    return np.average(estimator.predict(X) == y, weights=sample_weight)


SCORINGS = {
    "accuracy": "accuracy",
    "roc_auc": "roc_auc",
    "average_precision": "average_precision",
    "neg_log_loss": "neg_log_loss",
    "f1": "f1",
    "scorer": get_scorer("balanced_accuracy"),
    "function": share_of_right_answers,
}


def scored(scoring, model, X, y):
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    return scorer(model, X, y)


@pytest.mark.parametrize("name", SCORINGS)
@ALL_SOLVERS
def test_returned_model_has_the_best_score(name, solver, noisy):
    model = fit(make_model(solver, scoring=SCORINGS[name]), noisy)
    assert scored(SCORINGS[name], model, *noisy[2:]) == pytest.approx(
        model.best_validation_score_, rel=1e-12
    )


@pytest.mark.parametrize("name", SCORINGS)
@ALL_SOLVERS
def test_best_iteration_is_the_first_with_the_highest_score(name, solver, noisy):
    model = fit(make_model(solver, scoring=SCORINGS[name]), noisy)
    assert model.best_iter_ == np.argmax(model.validation_scores_) + 1


@pytest.mark.parametrize("name", SCORINGS)
def test_loss_is_recorded_beside_any_score(name, noisy):
    scored, plain = fit(make_model(scoring=SCORINGS[name]), noisy), fit(make_model(), noisy)
    assert scored.validation_loss_curve_ == plain.validation_loss_curve_


def test_log_loss_of_scikit_learn_stops_where_ours_does(noisy):
    scored, plain = fit(make_model(scoring="neg_log_loss"), noisy), fit(make_model(), noisy)
    np.testing.assert_allclose(scored.validation_scores_, plain.validation_scores_, rtol=1e-10)


def test_scorer_sees_the_users_labels(noisy):
    X, y, X_val, y_val = noisy
    labels = np.array(["no", "yes"])
    model = make_model(scoring=share_of_right_answers)
    named = clone(model).fit(X, labels[y], X_val=X_val, y_val=labels[y_val])
    assert named.validation_scores_ == fit(model, noisy).validation_scores_


def test_scorer_without_weights_serves_data_without_weights(noisy):
    model = make_model(scoring=lambda estimator, X, y: estimator.score(X, y))
    assert len(fit(model, noisy).validation_scores_) == 40


def test_scoring_counts_rows_set_aside(noisy):
    X, y, *_ = noisy
    model = make_model(scoring="accuracy", validation_fraction=0.2).fit(X, y)
    right = 30 * np.array(model.validation_scores_)  # of 30 rows
    np.testing.assert_allclose(right, np.round(right), atol=1e-12)


def test_user_may_maximise_what_is_lowest_for_the_loss(noisy):
    model = fit(make_model(scoring=lambda m, X, y: -get_scorer("neg_log_loss")(m, X, y)), noisy)
    assert model.best_iter_ == np.argmax(model.validation_loss_curve_) + 1


# ---------------------------------------------------------------------- coordinates and formats


@pytest.fixture(scope="module")
def wide():
    """Return 50 rows to train and 30 to validate on, of 300 features."""
    generator = np.random.RandomState(0)
    X = generator.standard_normal((80, 300))
    y = (X[:, :3].sum(axis=1) + generator.standard_normal(80) > 0).astype(int)
    return X[:50], y[:50], X[50:], y[50:]


ROW_SPACE_SOLVERS = pytest.mark.parametrize("solver", ["gd", "sgd", "lbfgs"])


def fit_both(solver, data, **parameters):
    common = {"learning_rate_init": 0.02, "max_iter": 15, "activation": "tanh"} | parameters
    return [fit(make_model(solver, row_space=r, **common), data) for r in (True, False)]


@ROW_SPACE_SOLVERS
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_row_space_scores_given_rows_alike(solver, alpha, wide):
    inside, direct = fit_both(solver, wide, alpha=alpha)
    np.testing.assert_allclose(
        inside.validation_loss_curve_, direct.validation_loss_curve_, rtol=1e-8
    )


@ROW_SPACE_SOLVERS
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_row_space_returns_the_same_model(solver, alpha, wide):
    inside, direct = fit_both(solver, wide, alpha=alpha)
    np.testing.assert_allclose(parameters_of(inside), parameters_of(direct), rtol=0, atol=1e-8)


@ROW_SPACE_SOLVERS
def test_row_space_serves_a_named_scorer(solver, wide):
    inside, direct = fit_both(solver, wide, scoring="roc_auc")
    np.testing.assert_allclose(inside.validation_scores_, direct.validation_scores_, rtol=1e-12)


@ROW_SPACE_SOLVERS
def test_model_from_row_space_has_its_score_in_feature_coordinates(solver, wide):
    model, _ = fit_both(solver, wide)
    loss = log_loss(wide[3], model.predict_proba(wide[2]))
    assert model.best_validation_score_ == pytest.approx(-loss, rel=1e-8)


def test_callable_scorer_sees_the_features(wide):
    seen = []

    def scorer(estimator, X, y):
        seen.append(X)
        return 0.0

    fit(make_model("gd", scoring=scorer, max_iter=1), wide)
    np.testing.assert_array_equal(seen[0], wide[2])


SPARSE = pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.csc_matrix])


@SPARSE
@ALL_SOLVERS
def test_sparse_rows_are_validated_on_like_dense(kind, solver, noisy):
    X, y, X_val, y_val = noisy
    X, X_val = np.where(X > 0, X, 0), np.where(X_val > 0, X_val, 0)
    common = {"max_iter": 5, "row_space": False}
    sparse = make_model(solver, **common).fit(kind(X), y, X_val=kind(X_val), y_val=y_val)
    dense = make_model(solver, **common).fit(X, y, X_val=X_val, y_val=y_val)
    np.testing.assert_allclose(
        sparse.validation_loss_curve_, dense.validation_loss_curve_, rtol=1e-8
    )


@pytest.mark.parametrize("sparse_one", ["X", "X_val"])
def test_one_side_alone_may_be_sparse(sparse_one, noisy):
    X, y, X_val, y_val = noisy
    given = {"X": X, "X_val": X_val}
    given[sparse_one] = scipy.sparse.csr_array(given[sparse_one])
    model = make_model(max_iter=5).fit(y=y, y_val=y_val, **given)
    expected = fit(make_model(max_iter=5), noisy).validation_loss_curve_
    np.testing.assert_allclose(model.validation_loss_curve_, expected, rtol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_that_of_x(dtype, noisy):
    X, y, X_val, y_val = noisy
    model = make_model(max_iter=5).fit(X.astype(dtype), y, X_val=X_val, y_val=y_val)
    assert model.coefs_[0].dtype == dtype


# ---------------------------------------------------------------------- going on


def call_by_call(solver, noisy, n_epochs, **parameters):
    """Return a model that was trained by calls of one epoch."""
    model = make_model(solver, max_iter=1, warm_start=True, **parameters)
    for _ in range(n_epochs):
        model.fit(*noisy[:2])
    return model


@FIRST_ORDER_SOLVERS
@pytest.mark.parametrize("attribute", ["validation_scores_", "best_iter_", "loss_curve_"])
def test_calls_of_one_epoch_watch_like_one_call(attribute, solver, noisy):
    calls = call_by_call(solver, noisy, 25)
    whole = make_model(solver, max_iter=25).fit(*noisy[:2])
    assert getattr(calls, attribute) == getattr(whole, attribute)


@FIRST_ORDER_SOLVERS
@pytest.mark.parametrize("scoring", ["loss", "accuracy"])
def test_calls_of_one_epoch_end_at_the_best_model_of_one_call(scoring, solver, noisy):
    calls = call_by_call(solver, noisy, 25, scoring=scoring)
    whole = make_model(solver, max_iter=25, scoring=scoring).fit(*noisy[:2])
    np.testing.assert_array_equal(parameters_of(calls), parameters_of(whole))


def test_calls_go_on_past_the_best_epoch(noisy):
    calls = call_by_call("adam", noisy, 40)
    assert calls.best_iter_ < 40


@MAY_NOT_CONVERGE
@FIRST_ORDER_SOLVERS
def test_patience_counts_over_calls(solver, noisy):
    """Calls whose epoch completes a plateau stop without a warning, so both end alike."""
    common = {"tol": 1e-4, "n_iter_no_change": 4, "warm_start": True}
    whole = make_model(solver, max_iter=100, **common).fit(*noisy[:2])
    calls = make_model(solver, max_iter=1, **common)
    for _ in range(whole.n_iter_):
        calls.fit(*noisy[:2])
    np.testing.assert_array_equal(parameters_of(calls), parameters_of(whole))


class Keeper:
    """A scorer that keeps the rows that it is shown."""

    def __init__(self):
        self.seen = []

    def __call__(self, estimator, X, y):
        self.seen.append(X.copy())
        return 0.0


@ALL_SOLVERS
def test_rows_set_aside_are_the_same_in_every_call(solver, noisy):
    keeper = Keeper()
    model = make_model(solver, max_iter=1, warm_start=True, scoring=keeper).fit(*noisy[:2])
    model.fit(*noisy[:2]).fit(*noisy[:2])
    np.testing.assert_array_equal(keeper.seen, [keeper.seen[0]] * 3)


@ALL_SOLVERS
def test_rows_set_aside_are_the_same_in_every_epoch(solver, noisy):
    keeper = Keeper()
    make_model(solver, max_iter=3, scoring=keeper).fit(*noisy[:2])
    np.testing.assert_array_equal(keeper.seen, [keeper.seen[0]] * 3)


def test_rows_are_set_aside_anew_from_other_data(noisy):
    X, y, X_val, y_val = noisy
    keeper = Keeper()
    model = make_model(max_iter=1, warm_start=True, scoring=keeper).fit(X, y).fit(X_val, y_val)
    model.fit(X_val, y_val)
    assert [len(rows) for rows in keeper.seen] == [15, 10, 10]


def test_rows_set_aside_change_with_the_seed(noisy):
    keepers = Keeper(), Keeper()
    for seed, keeper in enumerate(keepers):
        make_model(max_iter=1, scoring=keeper, random_state=seed).fit(*noisy[:2])
    assert not np.array_equal(keepers[0].seen, keepers[1].seen)


def test_other_data_have_a_best_epoch_of_their_own(noisy):
    X, y, X_val, y_val = noisy
    model = make_model(max_iter=30, warm_start=True).fit(X, y)
    model.set_params(max_iter=1).fit(X_val, y_val)
    assert model.best_iter_ == 31


@FIRST_ORDER_SOLVERS
def test_calls_with_given_rows_end_at_the_best_model_of_one_call(solver, noisy):
    calls = make_model(solver, max_iter=1, warm_start=True)
    for _ in range(25):
        fit(calls, noisy)
    whole = fit(make_model(solver, max_iter=25), noisy)
    np.testing.assert_array_equal(parameters_of(calls), parameters_of(whole))


@pytest.mark.parametrize("attribute", ["best_iter_", "best_validation_score_"])
def test_partial_fit_in_between_leaves_early_stopping_its_best_epoch(attribute, noisy):
    model = fit(make_model(max_iter=3, warm_start=True), noisy)
    # the training loss falls below any validation loss
    for _ in range(60):
        model.partial_fit(*noisy[:2])
    assert getattr(fit(model, noisy), attribute) is not None


def test_partial_fit_in_between_leaves_early_stopping_its_best_model(noisy):
    model = fit(make_model(max_iter=3, warm_start=True), noisy)
    for _ in range(60):
        model.partial_fit(*noisy[:2])
    fit(model, noisy)
    loss = log_loss(noisy[3], model.predict_proba(noisy[2]))
    assert loss == pytest.approx(min(model.validation_loss_curve_), rel=1e-10)


@pytest.mark.parametrize("second", ["accuracy", lambda estimator, X, y: estimator.score(X, y)])
def test_other_score_has_a_best_epoch_of_its_own(second, noisy):
    # no accuracy is as high as the first score
    model = fit(make_model(max_iter=5, warm_start=True, scoring=lambda *_: 2.0), noisy)
    fit(model.set_params(scoring=second), noisy)
    assert model.best_validation_score_ == max(model.validation_scores_[5:])


def test_lbfgs_goes_on_from_its_latest_parameters(noisy):
    model = make_model("lbfgs", warm_start=True, max_iter=20).fit(*noisy[:2])
    assert model.fit(*noisy[:2]).loss_curve_[20] < model.loss_curve_[18]


def test_lbfgs_keeps_the_best_model_of_all_calls(noisy):
    model = make_model("lbfgs", warm_start=True, max_iter=20)
    for _ in range(3):
        fit(model, noisy)
    loss = log_loss(noisy[3], model.predict_proba(noisy[2]))
    assert loss == pytest.approx(min(model.validation_loss_curve_), rel=1e-10)


# ---------------------------------------------------------------------- what it does not touch


@FIRST_ORDER_SOLVERS
def test_partial_fit_ignores_early_stopping(solver, noisy):
    X, y, *_ = noisy
    stopping, plain = make_model(solver), make_model(solver, early_stopping=False)
    for _ in range(3):
        stopping.partial_fit(X, y, classes=[0, 1])
        plain.partial_fit(X, y, classes=[0, 1])
    np.testing.assert_array_equal(parameters_of(stopping), parameters_of(plain))


def test_partial_fit_has_no_validation_scores(noisy):
    X, y, *_ = noisy
    assert make_model().partial_fit(X, y, classes=[0, 1]).validation_scores_ is None


class Observer(Callback):
    """A callback that looks at everything and asks for nothing."""

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata, fitted_estimator):
        pass

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        pass


@ALL_SOLVERS
def test_early_stopping_is_the_same_with_and_without_callbacks(solver, noisy):
    watched = fit(make_model(solver).set_callbacks(Observer()), noisy)
    plain = fit(make_model(solver), noisy)
    np.testing.assert_array_equal(parameters_of(watched), parameters_of(plain))


# ---------------------------------------------------------------------- scores that are NaN


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_scores_that_are_all_nan_leave_the_last_parameters_and_a_warning(solver, data):
    common = {"max_iter": 5, "batch_size": 54}
    model = make_model(solver, scoring=lambda estimator, X, y: float("nan"), **common)
    with pytest.warns(UserWarning, match="Every validation score is NaN"):
        model.fit(*data)
    last = make_model(solver, scoring=lambda *_: model.n_iter_, **common).fit(*data)
    assert model.best_iter_ is None
    np.testing.assert_array_equal(model.loss_curve_, last.loss_curve_)


def test_epoch_without_a_score_is_not_the_best(data):
    scores = iter([float("nan"), 0.5, 0.7, float("nan"), 0.6])
    model = make_model(max_iter=5, scoring=lambda *_: next(scores)).fit(*data)
    assert model.best_iter_ == 3


def test_rows_set_aside_stay_the_same_through_partial_fit(data):
    model = make_model(max_iter=5, warm_start=True).fit(*data)
    before = model._training_state.held_out
    after = model.partial_fit(*data).fit(*data)._training_state.held_out
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array, scipy.sparse.csc_matrix])
def test_validation_rows_beyond_the_dtype_of_x_are_refused_by_name(form):
    X = np.random.RandomState(0).standard_normal((40, 3))
    y = X[:, 0] > 0
    X_val = X.copy()
    X_val[7, 1] = 1e50
    model = DeepBinaryClassifier(early_stopping=True)
    with pytest.raises(ValueError, match="X_val has numbers that are too large for float32"):
        model.fit(form(X.astype(np.float32)), y, X_val=form(X_val), y_val=y)
    assert not model.__sklearn_is_fitted__()
