"""scikit-learn's callbacks and Ctrl-C: when hooks run, what they see, and what they may change."""

import functools
import os
import signal
import threading

import joblib
import numpy as np
import pytest
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn.training.objective import Objective
from skdnn.training.training import Training
from tests import models
from tests.callbacks import Callback, Saves
from tests.models import RATES, assert_same_bits, learned, parameters_of

ALL_SOLVERS = pytest.mark.parametrize("solver", RATES)
ROW_SPACE_SOLVERS = pytest.mark.parametrize("solver", ["gd", "sgd", "lbfgs"])
N_EPOCHS = 6

make_model = functools.partial(
    models.make_model, activation="tanh", max_iter=N_EPOCHS, batch_size=16
)


class Recorder(Callback):
    """Keeps the names of its hooks, with the task's, in the order of their calls."""

    def __init__(self):
        self.calls = []

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name))

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context):
        self.calls.append(("end", context.task_name))


class Observer(Callback):
    """Looks at everything in every hook, and keeps it by task name."""

    def __init__(self):
        self.begins, self.ends = [], []

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.begins.append((context.task_name, X, y, metadata, fitted_estimator))

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.ends.append((context.task_name, X, y, metadata, fitted_estimator))

    def estimators(self, hook="ends"):
        """Return the fitted estimators of the epochs."""
        return [fitted for name, *_, fitted in getattr(self, hook) if name == "epoch"]

    def metadata(self):
        return [metadata for _, _, _, metadata, _ in self.begins + self.ends]


class Acts(Callback):
    """Calls a function at the beginning or end of one epoch, counted from 0."""

    def __init__(self, action, epoch=2, hook="end", task="epoch"):
        self.action = action
        self.where = (hook, task, epoch if task == "epoch" else 0)
        self.n_torn_down = 0

    def teardown(self, estimator, context):
        self.n_torn_down += 1

    def _act(self, hook, context):
        here = (hook, context.task_name, context.task_id) == self.where
        return self.action() if here else None

    def on_fit_task_begin(self, estimator, context):
        self._act("begin", context)

    def on_fit_task_end(self, estimator, context):
        return self._act("end", context)


# ---------------------------------------------------------------------- when hooks run


@ALL_SOLVERS
def test_every_epoch_is_a_task(solver, data):
    recorder = Recorder()
    model = make_model(solver).set_callbacks(recorder).fit(*data)
    assert recorder.calls.count(("end", "epoch")) == model.n_iter_ == N_EPOCHS


@ALL_SOLVERS
def test_hooks_come_in_pairs(solver, data):
    recorder = Recorder()
    make_model(solver).set_callbacks(recorder).fit(*data)
    expected = [("setup", "fit"), ("begin", "fit")]
    expected += N_EPOCHS * [("begin", "epoch"), ("end", "epoch")]
    expected += [("end", "fit"), ("teardown", "fit")]
    assert recorder.calls == expected


@ALL_SOLVERS
def test_hooks_come_in_pairs_when_training_ends_early(solver, breast_cancer):
    recorder = Recorder()
    model = make_model(solver, tol=0.5, n_iter_no_change=2, max_iter=100, batch_size=200)
    model.set_callbacks(recorder).fit(*breast_cancer)
    assert recorder.calls.count(("begin", "epoch")) == model.n_iter_
    assert recorder.calls.count(("end", "epoch")) == model.n_iter_


def test_tasks_are_numbered(data):
    ids = []

    class Numbers(Callback):
        def on_fit_task_end(self, estimator, context):
            ids.append((context.task_name, context.task_id))

    make_model().set_callbacks(Numbers()).fit(*data)
    assert ids == [*(("epoch", i) for i in range(N_EPOCHS)), ("fit", 0)]


def test_number_of_tasks_is_told(data):
    found = []

    class Limits(Callback):
        def on_fit_task_begin(self, estimator, context):
            found.append(context.max_subtasks)

    make_model().set_callbacks(Limits()).fit(*data)
    assert found == [N_EPOCHS] + [0] * N_EPOCHS


def test_every_callback_is_run(data):
    recorders = [Recorder(), Recorder()]
    make_model().set_callbacks(*recorders).fit(*data)
    assert recorders[0].calls == recorders[1].calls


def test_partial_fit_runs_no_callbacks(data):
    recorder = Recorder()
    make_model().set_callbacks(recorder).partial_fit(*data, classes=[0, 1])
    assert recorder.calls == []


def test_every_call_of_a_warm_start_is_a_run(data):
    recorder = Recorder()
    model = make_model(warm_start=True, max_iter=2).set_callbacks(recorder)
    model.fit(*data).fit(*data)
    assert recorder.calls.count(("setup", "fit")) == 2


def test_callbacks_are_instances(data):
    with pytest.raises(TypeError, match="callbacks must be instances"):
        make_model().set_callbacks(Recorder)


# ---------------------------------------------------------------------- scikit-learn's callbacks


@ALL_SOLVERS
def test_progress_bar_on_the_estimator(solver, data, capsys):
    make_model(solver).set_callbacks(ProgressBar()).fit(*data)
    assert "DeepBinaryClassifier - fit" in capsys.readouterr().out


def test_progress_bar_on_a_pipeline(data, capsys):
    pipeline = make_pipeline(StandardScaler(), make_model())
    pipeline.set_callbacks(ProgressBar()).fit(*data)
    assert "DeepBinaryClassifier" in capsys.readouterr().out


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_bar_on_a_grid_search(n_jobs, data, capsys):
    search = GridSearchCV(make_model(), {"alpha": [0.1, 1.0]}, cv=2, n_jobs=n_jobs)
    search.set_callbacks(ProgressBar()).fit(*data)
    assert "GridSearchCV" in capsys.readouterr().out


def test_progress_bar_inside_is_refused_by_scikit_learn(data):
    inside = make_model().set_callbacks(ProgressBar())
    with pytest.raises(TypeError, match=r"ProgressBar"):
        make_pipeline(StandardScaler(), inside).fit(*data)


def scores_of_epochs(monitor, name):
    return [row[name] for row in monitor.get_logs().data if row["task_name"] == "epoch"]


def losses_of_shorter_fits(solver, data, sample_weight=None):
    """Return minus the log loss of models that are trained for 1, 2, ... epochs."""
    X, y = data
    models = [
        make_model(solver, max_iter=k).fit(X, y, sample_weight) for k in range(1, N_EPOCHS + 1)
    ]
    return [-log_loss(y, m.predict_proba(X), sample_weight=sample_weight) for m in models]


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "adamw", "lbfgs"])
def test_scoring_monitor_scores_the_model_of_every_epoch(solver, data):
    monitor = ScoringMonitor(scoring="neg_log_loss")
    make_model(solver).set_callbacks(monitor).fit(*data)
    np.testing.assert_allclose(
        scores_of_epochs(monitor, "neg_log_loss"), losses_of_shorter_fits(solver, data), rtol=1e-12
    )


def test_scoring_monitor_weighs_rows(data, weight):
    monitor = ScoringMonitor(scoring="neg_log_loss")
    make_model().set_callbacks(monitor).fit(*data, weight)
    np.testing.assert_allclose(
        scores_of_epochs(monitor, "neg_log_loss"),
        losses_of_shorter_fits("adam", data, weight),
        rtol=1e-12,
    )


def test_scoring_monitor_works_inside_a_grid_search(data):
    monitor = ScoringMonitor(scoring="accuracy")
    model = make_model().set_callbacks(monitor)
    GridSearchCV(model, {"alpha": [0.1, 1.0]}, cv=2, n_jobs=2).fit(*data)
    # 2 values, 2 folds, and the best of them on all rows
    assert len(scores_of_epochs(monitor, "accuracy")) == 5 * N_EPOCHS


# ---------------------------------------------------------------------- what hooks see


def observed(*args, arguments=(), **parameters):
    """Return the observer of a fit."""
    observer = Observer()
    make_model(**parameters).set_callbacks(observer).fit(*args, **dict(arguments))
    return observer


@ALL_SOLVERS
def test_fitted_estimator_is_the_model_of_its_epoch(solver, data):
    fitted = observed(*data, solver=solver).estimators()
    for n_epochs in range(1, N_EPOCHS + 1):
        assert_same_bits(fitted[n_epochs - 1], make_model(solver, max_iter=n_epochs).fit(*data))


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam"])
def test_estimator_of_an_epochs_begin_is_that_of_the_end_before(solver, data):
    observer = observed(*data, solver=solver)
    for begin, end in zip(
        observer.estimators("begins")[1:], observer.estimators()[:-1], strict=True
    ):
        assert_same_bits(begin, end)


def test_fitted_estimator_goes_on_predicting_the_same(data):
    X, _ = data
    kept = []

    class Keeper(Callback):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            kept.append((fitted_estimator, fitted_estimator.decision_function(X)))

    model = make_model(warm_start=True).set_callbacks(Keeper()).fit(*data)
    model.set_callbacks().fit(*data)
    for fitted, logits in kept:
        np.testing.assert_array_equal(fitted.decision_function(X), logits)


@ALL_SOLVERS
def test_fitted_estimator_can_be_saved(solver, data, tmp_path):
    make_model(solver).set_callbacks(Saves(tmp_path)).fit(*data)
    assert_same_bits(joblib.load(tmp_path / "2.joblib"), make_model(solver, max_iter=3).fit(*data))


def test_fitted_estimator_is_another_object(data):
    observer = Observer()
    model = make_model().set_callbacks(observer).fit(*data)
    assert all(fitted is not model for fitted in observer.estimators())


def test_last_fitted_estimator_is_the_result(data):
    observer = Observer()
    model = make_model().set_callbacks(observer).fit(*data)
    assert_same_bits(observer.ends[-1][-1], model)


def test_last_fitted_estimator_is_the_best_with_early_stopping(breast_cancer):
    observer = Observer()
    model = make_model(early_stopping=True, learning_rate_init=0.1, batch_size=200)
    model.set_callbacks(observer).fit(*breast_cancer)
    assert_same_bits(observer.ends[-1][-1], model)


@ROW_SPACE_SOLVERS
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_fitted_estimator_is_in_feature_coordinates(solver, alpha, wide):
    common = {"solver": solver, "alpha": alpha, "learning_rate_init": 0.01}
    inside = observed(*wide, row_space=True, **common).estimators()
    direct = observed(*wide, row_space=False, **common).estimators()
    for one, other in zip(inside, direct, strict=True):
        np.testing.assert_allclose(parameters_of(one), parameters_of(other), rtol=0, atol=1e-8)


def test_hooks_see_the_users_rows(data):
    X, y = data
    assert all(seen is X for _, seen, *_ in observed(X, y).ends)


def test_hooks_see_the_users_labels(data):
    X, y = data
    assert all(seen is y for _, _, seen, *_ in observed(X, y).ends)


def test_metadata_is_none_without_weights(data):
    assert observed(*data).metadata() == [None] * (2 * N_EPOCHS + 2)


def test_metadata_holds_the_weights(data, weight):
    assert all(seen["sample_weight"] is weight for seen in observed(*data, weight).metadata())


def test_metadata_holds_the_weights_alone(data, weight):
    X, y = data
    given = {"X_val": X, "y_val": y, "sample_weight_val": weight, "sample_weight": weight}
    metadata = observed(X, y, arguments=given, early_stopping=True).metadata()
    assert [set(seen) for seen in metadata] == [{"sample_weight"}] * len(metadata)


@pytest.fixture
def copies(monkeypatch):
    """Count how often the parameters are copied out for callbacks."""
    counted = []
    original = Training.snapshot

    def count(self):
        counted.append(1)
        return original(self)

    monkeypatch.setattr(Training, "snapshot", count)
    return counted


@ALL_SOLVERS
def test_without_callbacks_nothing_is_copied(solver, data, copies):
    make_model(solver).fit(*data)
    assert copies == []


@ALL_SOLVERS
def test_hooks_that_do_not_look_copy_nothing(solver, data, copies):
    make_model(solver).set_callbacks(Recorder()).fit(*data)
    assert copies == []


def test_hooks_that_look_copy_once_a_call(data, copies):
    make_model().set_callbacks(Observer(), Observer()).fit(*data)
    assert len(copies) == 2 * N_EPOCHS


# ---------------------------------------------------------------------- what they may change


@ALL_SOLVERS
@pytest.mark.parametrize("early_stopping", [False, True])
def test_callbacks_change_no_bit(solver, early_stopping, data):
    common = {"early_stopping": early_stopping, "max_grad_norm": 0.5}
    watched = make_model(solver, **common).set_callbacks(Observer(), Recorder()).fit(*data)
    assert_same_bits(watched, make_model(solver, **common).fit(*data))


@ROW_SPACE_SOLVERS
@pytest.mark.parametrize("row_space", [True, False, "auto"])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_callbacks_change_no_bit_of_wide_data(solver, row_space, alpha, wide):
    common = {"row_space": row_space, "alpha": alpha, "learning_rate_init": 0.01}
    watched = make_model(solver, **common).set_callbacks(Observer()).fit(*wide)
    assert_same_bits(watched, make_model(solver, **common).fit(*wide))


@ALL_SOLVERS
def test_true_from_a_hook_stops_after_that_epoch(solver, data):
    model = make_model(solver).set_callbacks(Acts(lambda: True)).fit(*data)
    assert model.n_iter_ == 3


@ALL_SOLVERS
def test_stopped_model_is_that_of_a_shorter_fit(solver, data):
    model = make_model(solver).set_callbacks(Acts(lambda: True)).fit(*data)
    assert_same_bits(model, make_model(solver, max_iter=3).fit(*data))


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "adamw", "lbfgs"])
def test_stopping_by_a_hook_is_no_missing_convergence(solver, data):
    # a warning would be an error here
    model = make_model(solver, tol=1e-12).set_callbacks(Acts(lambda: True)).fit(*data)
    assert model.n_iter_ == 3


@pytest.mark.parametrize("answer", [False, None, 0])
def test_no_other_answer_stops(answer, data):
    model = make_model().set_callbacks(Acts(lambda: answer)).fit(*data)
    assert model.n_iter_ == N_EPOCHS


def test_one_callback_is_enough_to_stop(data):
    model = make_model().set_callbacks(Recorder(), Acts(lambda: True), Recorder()).fit(*data)
    assert model.n_iter_ == 3


def test_stopped_training_goes_on(data):
    model = make_model(warm_start=True).set_callbacks(Acts(lambda: True)).fit(*data)
    model.set_callbacks().set_params(max_iter=3).fit(*data)
    assert_same_bits(model, make_model().fit(*data))


# ---------------------------------------------------------------------- errors in hooks


def fail():
    raise RuntimeError("from a hook")


HOOKS = pytest.mark.parametrize(
    ("hook", "task"), [("begin", "epoch"), ("end", "epoch"), ("begin", "fit"), ("end", "fit")]
)


@HOOKS
@ALL_SOLVERS
def test_error_in_a_hook_leaves_the_model_as_it_was(hook, task, solver, data):
    model = make_model(solver).fit(*data)
    before = learned(model)
    model.set_params(alpha=3.0).set_callbacks(Acts(fail, hook=hook, task=task))
    with pytest.raises(RuntimeError, match="from a hook"):
        model.fit(*data)
    assert learned(model) == before


@HOOKS
@ALL_SOLVERS
def test_error_in_a_hook_leaves_an_unfitted_model_unfitted(hook, task, solver, data):
    model = make_model(solver).set_callbacks(Acts(fail, hook=hook, task=task))
    with pytest.raises(RuntimeError, match="from a hook"):
        model.fit(*data)
    assert not model.__sklearn_is_fitted__()


@HOOKS
def test_callbacks_are_torn_down_after_an_error(hook, task, data):
    callbacks = [Acts(fail, hook=hook, task=task), Acts(lambda: None)]
    with pytest.raises(RuntimeError, match="from a hook"):
        make_model().set_callbacks(*callbacks).fit(*data)
    assert [callback.n_torn_down for callback in callbacks] == [1, 1]


def test_training_goes_on_after_an_error_as_if_it_had_not_been(data):
    model = make_model(warm_start=True, max_iter=3).fit(*data)
    with pytest.raises(RuntimeError, match="from a hook"):
        model.set_callbacks(Acts(fail)).fit(*data)
    assert_same_bits(model.set_callbacks().fit(*data), make_model().fit(*data))


def test_bad_data_is_refused_before_callbacks_are_set_up(data):
    recorder = Recorder()
    with pytest.raises(ValueError, match="inconsistent"):
        make_model().set_callbacks(recorder).fit(data[0], data[1][1:])
    assert recorder.calls == []


# ---------------------------------------------------------------------- Ctrl-C


def interrupt():
    raise KeyboardInterrupt


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def interrupted(action, solver="adam", hook="end", epoch=2, task="epoch", **parameters):
    """Return a function that fits until it is interrupted, and gives the model."""

    def fit(*data):
        model = make_model(solver, **parameters)
        model.set_callbacks(Acts(action, epoch, hook, task))
        with pytest.raises(KeyboardInterrupt):
            model.fit(*data)
        return model

    return fit


WAYS = pytest.mark.parametrize("action", [interrupt, press_ctrl_c])


@pytest.mark.usefixtures("ctrl_c")
@WAYS
@ALL_SOLVERS
def test_interrupt_keeps_the_last_whole_epoch(action, solver, data):
    model = interrupted(action, solver)(*data)
    assert_same_bits(model, make_model(solver, max_iter=3).fit(*data))


@pytest.mark.usefixtures("ctrl_c")
@WAYS
@ALL_SOLVERS
def test_interrupted_model_counts_its_epochs(action, solver, data):
    model = interrupted(action, solver)(*data)
    assert model.n_iter_ == len(model.loss_curve_) == 3


@ALL_SOLVERS
def test_interrupt_at_the_begin_of_an_epoch_keeps_the_one_before(solver, data):
    model = interrupted(interrupt, solver, hook="begin")(*data)
    assert_same_bits(model, make_model(solver, max_iter=2).fit(*data))


@pytest.mark.usefixtures("ctrl_c")
@ALL_SOLVERS
def test_ctrl_c_within_an_epoch_lets_it_end(solver, data):
    model = interrupted(press_ctrl_c, solver, hook="begin")(*data)
    assert_same_bits(model, make_model(solver, max_iter=3).fit(*data))


@ALL_SOLVERS
def test_interrupt_before_the_first_epoch_leaves_the_model_unfitted(solver, data):
    model = interrupted(interrupt, solver, hook="begin", epoch=0)(*data)
    assert not model.__sklearn_is_fitted__()


@pytest.mark.usefixtures("ctrl_c")
@WAYS
@ALL_SOLVERS
def test_interrupt_after_the_last_epoch_loses_nothing(action, solver, data):
    model = interrupted(action, solver, task="fit")(*data)
    assert_same_bits(model, make_model(solver).fit(*data))


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "adamw"])
def test_ctrl_c_lets_the_epoch_of_partial_fit_end(solver, data, monkeypatch):
    evaluate = Objective.value_and_gradient

    def press_and_evaluate(self, batch):
        press_ctrl_c()
        monkeypatch.setattr(Objective, "value_and_gradient", evaluate)
        return evaluate(self, batch)

    model = make_model(solver)
    monkeypatch.setattr(Objective, "run_compiled", None)
    monkeypatch.setattr(Objective, "value_and_gradient", press_and_evaluate)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(*data, classes=[0, 1])
    assert_same_bits(model, make_model(solver).partial_fit(*data, classes=[0, 1]))


@pytest.mark.usefixtures("ctrl_c")
@WAYS
def test_interrupted_model_predicts(action, data):
    X, y = data
    assert accuracy_score(y, interrupted(action)(X, y).predict(X)) > 0.5


@pytest.mark.usefixtures("ctrl_c")
@WAYS
def test_interrupted_early_stopping_returns_the_best_epoch(action, breast_cancer):
    common = {"early_stopping": True, "learning_rate_init": 0.1, "batch_size": 200}
    model = interrupted(action, epoch=9, max_iter=20, **common)(*breast_cancer)
    assert_same_bits(model, make_model(max_iter=10, **common).fit(*breast_cancer))


@pytest.mark.usefixtures("ctrl_c")
@WAYS
def test_interrupted_training_goes_on(action, data):
    model = interrupted(action, warm_start=True)(*data)
    model.set_callbacks().set_params(max_iter=3).fit(*data)
    assert_same_bits(model, make_model().fit(*data))


@pytest.mark.usefixtures("ctrl_c")
@WAYS
def test_interrupt_warns_of_no_missing_convergence(action, data):
    assert interrupted(action, tol=1e-12)(*data).n_iter_ == 3


@WAYS
@pytest.mark.usefixtures("ctrl_c")
def test_callbacks_are_torn_down_after_an_interrupt(action, data):
    callback = Acts(action)
    with pytest.raises(KeyboardInterrupt):
        make_model().set_callbacks(callback).fit(*data)
    assert callback.n_torn_down == 1


@pytest.mark.usefixtures("ctrl_c")
@ALL_SOLVERS
def test_ctrl_c_without_callbacks_keeps_whole_epochs(solver, breast_cancer):
    X, y = breast_cancer
    # noise that takes lbfgs long to learn by heart
    y = np.random.RandomState(0).permutation(y)
    common = {"batch_size": 200, "row_space": False}
    model = make_model(solver, max_iter=10**6, **common)
    over = threading.Event()

    def press_in_training():
        while signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            if over.wait(0.01):
                return
        if not over.wait(0.2):
            press_ctrl_c()

    presser = threading.Thread(target=press_in_training)
    presser.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
    finally:
        over.set()
        presser.join()
    assert_same_bits(model, make_model(solver, max_iter=model.n_iter_, **common).fit(X, y))


@pytest.mark.usefixtures("ctrl_c")
@WAYS
@ALL_SOLVERS
def test_handler_is_restored_after_an_interrupt(action, solver, data):
    interrupted(action, solver)(*data)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("ctrl_c")
@ALL_SOLVERS
def test_handler_is_restored_after_training(solver, data):
    make_model(solver).fit(*data)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("ctrl_c")
def test_handler_is_restored_after_an_error(data):
    with pytest.raises(RuntimeError, match="from a hook"):
        make_model().set_callbacks(Acts(fail)).fit(*data)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("ctrl_c")
def test_handler_of_the_user_is_left_alone(data):
    seen = []
    signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    model = make_model().set_callbacks(Acts(press_ctrl_c)).fit(*data)
    assert (model.n_iter_, seen) == (N_EPOCHS, [1])


@pytest.mark.usefixtures("ctrl_c")
def test_training_in_another_thread_touches_no_handler(data):
    found = []

    def look():
        found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=make_model().set_callbacks(Acts(look)).fit, args=data)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


@pytest.mark.usefixtures("ctrl_c")
@ALL_SOLVERS
def test_second_ctrl_c_within_an_epoch_leaves_the_model_as_it_was(solver, data, monkeypatch):
    model = make_model(solver).fit(*data)
    before = learned(model)
    evaluate = Objective.value_and_gradient

    def evaluate_slowly(self, batch):
        press_ctrl_c()
        press_ctrl_c()
        return evaluate(self, batch)

    monkeypatch.setattr(Objective, "run_compiled", None)
    monkeypatch.setattr(Objective, "value_and_gradient", evaluate_slowly)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data)
    assert learned(model) == before


@pytest.mark.parametrize("curve", ["validation_scores_", "validation_loss_curve_"])
def test_interrupt_while_scoring_leaves_curves_of_one_length(curve, data):
    actions = iter([float, float, interrupt])
    model = make_model(early_stopping=True, scoring=lambda m, X, y: next(actions)())
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data)
    assert len(getattr(model, curve)) == len(model.loss_curve_)
