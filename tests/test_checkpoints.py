"""Checkpoints: the same bits after a kill, nothing lost, and nothing taken for what it is not.

data/checkpoint_v1.ckpt was made by data/make_checkpoint_v1.py in the version that file format 1
began with.
"""

import errno
import gc
import os
import pickle
import re
import signal
import subprocess
import sys
import warnings
import weakref
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import Checkpoint, DeepBinaryClassifier, load_checkpoint
from skdnn.__main__ import main
from skdnn.container.container import sign
from skdnn.datasets import HDF5Matrix
from skdnn.persistence import ModelFileError, load_model, save_model
from skdnn.solvers import DivergenceError
from skdnn.training.training import Training
from tests.callbacks import Callback
from tests.models import learned
from tests.processes import run_script, run_until_second_save

ROOT = Path(__file__).parents[1]
DATA = Path(__file__).with_name("data")
HEADER_BYTES = 512
N_EPOCHS = 6


class KilledError(Exception):
    """Stands for the end of a process."""


class Killer(Callback):
    """Raises after an epoch of the call, counted from 1; put behind a Checkpoint."""

    def __init__(self, epoch, error=KilledError):
        self.epoch = epoch
        self.error = error

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id + 1 == self.epoch:
            raise self.error


class Stopper(Callback):
    """Stops training after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_fit_task_end(self, estimator, context):
        return context.task_name == "epoch" and context.task_id + 1 == self.epoch


class Counter(Callback):
    """Adds a line to a file for every epoch, also from other processes."""

    def __init__(self, path):
        self.path = path

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch":
            with self.path.open("a") as file:
                file.write("epoch\n")

    def count(self):
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.path.unlink(missing_ok=True)
        return len(lines)


def make_model(**parameters):
    defaults = {
        "hidden_layer_sizes": (4, 3), "max_iter": N_EPOCHS, "tol": None, "random_state": 0,
        "batch_size": 16, "learning_rate_init": 0.05,
    }  # fmt: skip
    return DeepBinaryClassifier(**(defaults | parameters))


def make_rows(n_samples=60, n_features=5, seed=0):
    X = np.random.RandomState(seed).standard_normal((n_samples, n_features))
    return X, X[:, 0] * X[:, 1] > 0


def resumed(path, fit, kills, every=1):
    """Return what ``fit`` trains when it is killed and begun again; the file stays readable."""
    for epoch in kills:
        with pytest.raises(KilledError):
            fit(Checkpoint(path, every), Killer(epoch))
        if path.exists():
            load_checkpoint(path)
    return fit(Checkpoint(path, every))


def fitting(parameters=(), data=None, **keywords):
    """Return a function that fits a new model with callbacks, as a script that is run again."""

    def fit(*callbacks):
        model = make_model(**dict(parameters)).set_callbacks(*callbacks)
        return model.fit(*(make_rows() if data is None else data), **keywords)

    return fit


def contents_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def killed(tmp_path):
    """Return the checkpoint of a run that was killed after its third epoch."""
    path = tmp_path / "run.ckpt"
    with pytest.raises(KilledError):
        fitting()(Checkpoint(path), Killer(3))
    return path


# ---------------------------------------------------------------------- the same bits

RULES = {
    "gd": {"solver": "gd"},
    "sgd": {"solver": "sgd", "momentum": 0},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd"},
    "adam": {"solver": "adam"},
    "adamw": {"solver": "adamw", "alpha": 0.1},
}
SCHEDULES = {
    "constant": {},
    "invscaling": {"learning_rate": "invscaling"},
    "adaptive": {"learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 2},
    "cosine": {"learning_rate": "cosine"},
    "one_cycle": {"learning_rate": "one_cycle"},
    "warmup": {"learning_rate": "cosine", "warmup": 2.5},
}
# counted from where a run goes on: after epochs 1, 3, and the last
KILLS = [1, 2, N_EPOCHS - 3]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("rule", RULES)
def test_run_killed_again_and_again_ends_with_the_same_bits(rule, schedule, tmp_path):
    fit = fitting(RULES[rule] | SCHEDULES[schedule])
    assert learned(resumed(tmp_path / "run.ckpt", fit, KILLS)) == learned(fit())


# not of the seed that the weights are drawn by: they would lie in the row space
WIDE = make_rows(12, 300, seed=5)
NARROW = make_rows()
HELD_OUT = make_rows(30, seed=1)
WEIGHTS = np.arange(60) % 4 / 2.0
OPTIONS = {
    "dropout": fitting({"dropout": (0.3, 0.1)}),
    "dropout, sgd": fitting({"dropout": 0.2, "solver": "sgd"}),
    "clipped": fitting({"max_grad_norm": 0.05, "solver": "sgd"}),
    "batch": fitting({"batch_size": 7}),
    "all rows": fitting({"batch_size": 60}),
    "in order": fitting({"shuffle": False}),
    "logistic": fitting({"hidden_layer_sizes": ()}),
    "split": fitting({"early_stopping": True}),
    "split, AUC": fitting(
        {"early_stopping": True, "scoring": "roc_auc", "validation_fraction": 0.3}
    ),
    "X_val": fitting({"early_stopping": True}, X_val=HELD_OUT[0], y_val=HELD_OUT[1]),
    "X_val, AUC, weights": fitting(
        {"early_stopping": True, "scoring": "roc_auc"},
        X_val=HELD_OUT[0], y_val=HELD_OUT[1], sample_weight_val=np.arange(30.0),
    ),
    "stopping soon": fitting({"early_stopping": True, "tol": 0.1, "n_iter_no_change": 4}),
    "sample_weight": fitting(sample_weight=WEIGHTS),
    "class_weight": fitting({"class_weight": {False: 1.0, True: 3.0}}),
    "balanced": fitting({"class_weight": "balanced"}, sample_weight=WEIGHTS),
    "float32": fitting(data=(NARROW[0].astype(np.float32), NARROW[1])),
    "float32, split": fitting({"early_stopping": True}, (NARROW[0].astype(np.float32), NARROW[1])),
    "sparse": fitting(data=(scipy.sparse.csr_array(NARROW[0]), NARROW[1])),
    "sparse, sgd, split": fitting(
        {"solver": "sgd", "early_stopping": True}, (scipy.sparse.csr_array(NARROW[0]), NARROW[1])
    ),
    "wide, gd": fitting({"solver": "gd"}, WIDE),
    "wide, gd, alpha 0": fitting({"solver": "gd", "alpha": 0, "row_space": True}, WIDE),
    "wide, sgd": fitting({"solver": "sgd", "row_space": True, "batch_size": 4}, WIDE),
    "wide, alpha 0, split": fitting(
        {"solver": "sgd", "row_space": True, "alpha": 0, "early_stopping": True, "batch_size": 4},
        WIDE,
    ),
    "wide, X_val, float32": fitting(
        {"solver": "sgd", "row_space": True, "early_stopping": True, "batch_size": 4},
        (WIDE[0].astype(np.float32), WIDE[1]), X_val=make_rows(9, 300, 1)[0], y_val=WIDE[1][:9],
    ),
    "wide, adam": fitting({"batch_size": 4}, WIDE),
    "texts": fitting(data=(NARROW[0], np.where(NARROW[1], "yes", "no"))),
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_ends_with_the_same_bits(option, tmp_path):
    fit = OPTIONS[option]
    expected = fit()
    kills = [1, 2, expected.n_iter_ - 3]
    assert learned(resumed(tmp_path / "run.ckpt", fit, kills)) == learned(expected)


def test_wide_data_are_trained_in_their_row_space(tmp_path):
    OPTIONS["wide, gd"](Checkpoint(tmp_path / "run.ckpt"))
    assert load_checkpoint(tmp_path / "run.ckpt")._progress.first_layer.shape == (300, 4)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return a file that does not fit into the memory limit of `streamed`."""
    X, y = make_rows(16_000, 6)
    path = tmp_path_factory.mktemp("stored") / "data.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=X, chunks=(50, 6))
    return path, y


def streamed(path):
    return HDF5Matrix(path, "X", memory_limit=650_000)


@pytest.mark.parametrize(
    "options", [{}, {"solver": "gd"}, {"dropout": 0.2, "early_stopping": True}]
)
def test_data_on_disk_end_with_the_same_bits(options, stored, tmp_path):
    path, y = stored
    fit = fitting(options | {"batch_size": 500}, (streamed(path), y))
    assert streamed(path).nbytes > streamed(path).memory_limit
    assert learned(resumed(tmp_path / "run.ckpt", fit, KILLS)) == learned(fit())


def test_file_that_fits_into_memory_is_the_array_that_it_holds(stored, tmp_path):
    path, y = stored
    with pytest.raises(KilledError):
        fitting(data=(HDF5Matrix(path, "X"), y))(Checkpoint(tmp_path / "run.ckpt"), Killer(3))
    in_memory = fitting(data=(HDF5Matrix(path, "X").load(), y))
    assert learned(in_memory(Checkpoint(tmp_path / "run.ckpt"))) == learned(in_memory())


@pytest.mark.parametrize("kills", [[2], [5], [4, 1]])
def test_every_third_epoch_is_enough_for_the_same_bits(kills, tmp_path):
    fit = fitting({"dropout": 0.2})
    assert learned(resumed(tmp_path / "run.ckpt", fit, kills, every=3)) == learned(fit())


def test_file_holds_the_last_epoch_that_every_divides(tmp_path):
    with pytest.raises(KilledError):
        fitting()(Checkpoint(tmp_path / "run.ckpt", every=2), Killer(5))
    assert len(load_checkpoint(tmp_path / "run.ckpt")._progress.curves["loss"]) == 4


def test_seed_of_chance_is_kept(tmp_path):
    fit = fitting({"random_state": None, "dropout": 0.2})
    with pytest.raises(KilledError):
        fit(Checkpoint(tmp_path / "run.ckpt"), Killer(3))
    copied = (tmp_path / "run.ckpt").read_bytes()
    one = fit(Checkpoint(tmp_path / "run.ckpt"))
    (tmp_path / "run.ckpt").write_bytes(copied)
    assert learned(fit(Checkpoint(tmp_path / "run.ckpt"))) == learned(one)


def test_loaded_checkpoint_goes_on_to_the_same_bits(killed):
    assert learned(load_checkpoint(killed).fit(*make_rows())) == learned(fitting()())


def test_loaded_checkpoint_may_be_killed_and_loaded_again(killed):
    again = load_checkpoint(killed)
    with pytest.raises(KilledError):
        again.set_callbacks(*again._skl_callbacks, Killer(2)).fit(*make_rows())
    assert len(load_checkpoint(killed)._progress.curves["loss"]) == 5
    assert learned(load_checkpoint(killed).fit(*make_rows())) == learned(fitting()())


def test_loaded_checkpoint_that_failed_goes_on_from_the_file(killed, tmp_path):
    model, counter = load_checkpoint(killed), Counter(tmp_path / "epochs")
    with pytest.raises(KilledError):
        model.set_callbacks(Checkpoint(killed), Killer(2)).fit(*make_rows())
    model.set_callbacks(Checkpoint(killed), counter).fit(*make_rows())
    assert counter.count() == 1
    assert learned(model) == learned(fitting()())


def test_pickle_of_a_loaded_checkpoint_goes_on(killed):
    again = pickle.loads(pickle.dumps(load_checkpoint(killed)))
    assert learned(again.fit(*make_rows())) == learned(fitting()())


def test_loaded_checkpoint_goes_on_without_callbacks(killed):
    before = killed.read_bytes()
    model = load_checkpoint(killed).set_callbacks().fit(*make_rows())
    assert learned(model) == learned(fitting()())
    assert killed.read_bytes() == before


def test_loaded_checkpoint_is_not_fitted(killed):
    model = load_checkpoint(killed)
    assert not hasattr(model, "coefs_")
    assert model.get_params() == make_model().get_params()


def test_clone_of_a_loaded_checkpoint_starts_anew(killed):
    copied = clone(load_checkpoint(killed)).set_callbacks()
    assert not hasattr(copied, "_progress")
    other_rows = make_rows(seed=3)
    assert learned(copied.fit(*other_rows)) == learned(fitting(data=other_rows)())


# ---------------------------------------------------------------------- warm start


def twice_fitted(*callbacks, parameters=()):
    """Return a model that was fitted twice, the second time with callbacks."""
    model = fitting({"warm_start": True, **dict(parameters)})()
    return model.set_callbacks(*callbacks).fit(*make_rows())


WARM = {
    "adam": {},
    "momentum": {"solver": "sgd", "learning_rate": "adaptive"},
    "gd": {"solver": "gd", "learning_rate": "invscaling"},
    "cosine": {"learning_rate": "cosine", "warmup": 1},
    "dropout": {"solver": "adamw", "dropout": 0.2},
    "split": {"early_stopping": True},
    "split, none better": {"early_stopping": True, "activation": "tanh", "learning_rate_init": 1.0},
}
EVERY_WARM = pytest.mark.parametrize("setting", WARM)


@EVERY_WARM
def test_first_fit_of_a_warm_start_ends_with_the_same_bits(setting, tmp_path):
    fit = fitting(WARM[setting] | {"warm_start": True})
    model = resumed(tmp_path / "run.ckpt", fit, KILLS)
    assert learned(model) == learned(fit())
    assert learned(model.set_callbacks().fit(*make_rows())) == learned(
        twice_fitted(parameters=WARM[setting])
    )


@EVERY_WARM
def test_second_fit_goes_on_from_a_loaded_checkpoint(setting, tmp_path):
    path = tmp_path / "run.ckpt"
    with pytest.raises(KilledError):
        twice_fitted(Checkpoint(path), Killer(KILLS[0]), parameters=WARM[setting])
    for epoch in KILLS[1:]:
        model = load_checkpoint(path)
        with pytest.raises(KilledError):
            model.set_callbacks(*model._skl_callbacks, Killer(epoch)).fit(*make_rows())
    model = load_checkpoint(path).fit(*make_rows())
    assert learned(model) == learned(twice_fitted(parameters=WARM[setting]))


def test_second_fit_in_wide_data_goes_on(tmp_path):
    options = {"solver": "sgd", "row_space": True, "warm_start": True, "batch_size": 4}
    fit = fitting(options, WIDE)
    model = fit().set_callbacks(Checkpoint(tmp_path / "run.ckpt"), Killer(3))
    with pytest.raises(KilledError):
        model.fit(*WIDE)
    progress = load_checkpoint(tmp_path / "run.ckpt")._progress
    assert [velocity.shape for velocity in progress.velocities] == [(300, 4)]
    resumed_model = load_checkpoint(tmp_path / "run.ckpt").fit(*WIDE)
    assert learned(resumed_model) == learned(fit().fit(*WIDE))


def test_second_fit_replaces_the_file_of_the_first(tmp_path):
    path = tmp_path / "run.ckpt"
    model = fitting({"warm_start": True})(Checkpoint(path)).fit(*make_rows())
    assert learned(model) == learned(twice_fitted())
    assert load_checkpoint(path).loss_curve_ == model.loss_curve_[:N_EPOCHS]


def test_script_of_two_fits_is_not_mistaken_when_it_is_run_again(tmp_path):
    path = tmp_path / "run.ckpt"
    with pytest.raises(KilledError):
        twice_fitted(Checkpoint(path), Killer(2))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"{path}.*went on from a fitted model"):
        fitting({"warm_start": True})(Checkpoint(path))
    assert path.read_bytes() == before


# ---------------------------------------------------------------------- lbfgs


@pytest.mark.parametrize("data", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("epoch", [1, 3, 9])
def test_lbfgs_goes_on_from_its_parameters(epoch, data, tmp_path):
    fit = fitting({"solver": "lbfgs", "max_iter": 15, "alpha": 1.0}, data)
    path = tmp_path / "run.ckpt"
    with pytest.raises(KilledError):
        fit(Checkpoint(path), Killer(epoch))
    model = fit(Checkpoint(path))
    assert model.loss_curve_[:epoch] == fit().loss_curve_[:epoch]
    assert model.n_iter_ == 15
    assert (np.diff(model.loss_curve_) <= 0).all()


def test_lbfgs_with_a_validation_set_keeps_the_best_epoch(tmp_path):
    fit = fitting({"solver": "lbfgs", "max_iter": 15, "early_stopping": True})
    model = resumed(tmp_path / "run.ckpt", fit, [6])
    assert model.best_iter_ == 1 + int(np.argmax(model.validation_scores_))


def test_lbfgs_without_an_iteration_leaves_a_readable_file(tmp_path):
    nothing_to_learn = np.zeros((20, 3)), np.arange(20) % 2
    fit = fitting({"solver": "lbfgs", "alpha": 0, "hidden_layer_sizes": ()}, nothing_to_learn)
    first = fit(Checkpoint(tmp_path / "run.ckpt"))
    assert first.loss_curve_ == []
    assert learned(fit(Checkpoint(tmp_path / "run.ckpt"))) == learned(first)


# ---------------------------------------------------------------------- how training ended


ENDS = {
    "max_iter": {},
    "plateau": {"tol": 10.0, "n_iter_no_change": 2},
    "best epoch": {"early_stopping": True, "tol": 0.5, "n_iter_no_change": 2},
    "lbfgs": {"solver": "lbfgs", "tol": 0.1},
}


@pytest.mark.parametrize("end", ENDS)
def test_finished_training_gives_its_result_at_once(end, tmp_path):
    fit, counter = fitting(ENDS[end]), Counter(tmp_path / "epochs")
    first = fit(Checkpoint(tmp_path / "run.ckpt"))
    assert learned(fit(Checkpoint(tmp_path / "run.ckpt"), counter)) == learned(first)
    assert counter.count() == 0


@pytest.mark.filterwarnings("error")
def test_finished_training_warns_as_it_did(tmp_path):
    fit = fitting({"tol": 1e-9})
    for _ in range(2):
        with pytest.warns(UserWarning, match="ran for max_iter=6 epochs"):
            fit(Checkpoint(tmp_path / "run.ckpt"))


def test_callback_that_stopped_training_has_stopped_the_script(tmp_path):
    path, counter = tmp_path / "run.ckpt", Counter(tmp_path / "epochs")
    stopped = fitting()(Checkpoint(path), Stopper(3))
    assert stopped.n_iter_ == 3
    assert learned(fitting()(Checkpoint(path), counter)) == learned(stopped)
    assert counter.count() == 0


def test_loaded_checkpoint_goes_on_where_a_callback_stopped(tmp_path):
    path = tmp_path / "run.ckpt"
    fitting()(Checkpoint(path), Stopper(3))
    assert learned(load_checkpoint(path).fit(*make_rows())) == learned(fitting()())


def test_interrupted_training_goes_on_to_the_same_bits(tmp_path):
    path = tmp_path / "run.ckpt"
    model = make_model().set_callbacks(Checkpoint(path), Killer(3, KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        model.fit(*make_rows())
    assert model.n_iter_ == 3
    assert learned(fitting()(Checkpoint(path))) == learned(fitting()())


class Signaller(Callback):
    """Sends the signal of Ctrl-C at the beginning of the third epoch."""

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_control_c_keeps_the_epoch_that_it_meets(tmp_path, ctrl_c):
    path = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        fitting()(Checkpoint(path, every=100), Signaller())
    assert len(load_checkpoint(path)._progress.curves["loss"]) == 3
    assert learned(fitting()(Checkpoint(path))) == learned(fitting()())


class Blowup(Callback):
    """Blows the parameters up after the third epoch, so that the fourth diverges."""

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == 2:
            context.parent.skdnn_run.get_progress()().vectors["parameters"] *= 1e200


def test_divergence_keeps_the_last_finite_epoch(tmp_path):
    path = tmp_path / "run.ckpt"
    fit = fitting({"solver": "sgd", "activation": "identity"})
    with pytest.raises(DivergenceError):
        fit(Checkpoint(path), Blowup())
    assert len(load_checkpoint(path)._progress.curves["loss"]) == 3
    assert learned(fit(Checkpoint(path))) == learned(fit())


class OutOfMemory(Callback):
    """Fails at the beginning of the third epoch."""

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == 2:
            raise MemoryError


def test_error_of_another_callback_keeps_the_file(tmp_path):
    path = tmp_path / "run.ckpt"
    with pytest.raises(MemoryError):
        fitting()(Checkpoint(path), OutOfMemory())
    assert learned(fitting()(Checkpoint(path))) == learned(fitting()())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.filterwarnings("ignore:Every validation score is NaN")
def test_curves_of_nan_scores_come_back(tmp_path):
    one_class = {"X_val": HELD_OUT[0], "y_val": np.ones(30, bool)}
    fit = fitting({"early_stopping": True, "scoring": "roc_auc"}, **one_class)
    model = resumed(tmp_path / "run.ckpt", fit, KILLS)
    assert np.isnan(model.validation_scores_).tolist() == [True] * N_EPOCHS
    assert learned(model) == learned(fit())


def test_result_of_two_checkpoints_is_in_both_files(tmp_path):
    paths = [tmp_path / "one.ckpt", tmp_path / "two.ckpt"]
    fitting()(*map(Checkpoint, paths))
    assert paths[0].read_bytes() == paths[1].read_bytes()


# ---------------------------------------------------------------------- what is refused

CHANGES = {
    "alpha": ({"alpha": 0.5}, "alpha was 0.0001 and is 0.5"),
    "several": (
        {"solver": "sgd", "max_iter": 9},
        "max_iter was 6 and is 9; solver was 'adam' and is 'sgd'|"
        "solver was 'adam' and is 'sgd'; max_iter was 6 and is 9",
    ),
    "layers": ({"hidden_layer_sizes": (4, 4)}, r"hidden_layer_sizes was \(4, 3\) and is \(4, 4\)"),
    "type": ({"hidden_layer_sizes": [4, 3]}, r"was \(4, 3\) and is \[4, 3\]"),
    "seed": ({"random_state": np.random.RandomState(0)}, "cannot store the parameter random_state"),
}


def assert_refused(model, path, message, *data, **keywords):
    """Assert that fit raises ValueError, and that neither file nor model changes."""
    files, before = contents_of(path.parent), learned(model)
    with pytest.raises(ValueError, match=message):
        model.fit(*data, **keywords)
    assert contents_of(path.parent) == files
    assert learned(model) == before


@pytest.mark.parametrize("change", CHANGES)
def test_other_parameters_are_named(change, killed):
    parameters, message = CHANGES[change]
    model = make_model(**parameters).set_callbacks(Checkpoint(killed))
    assert_refused(model, killed, message, *make_rows())


def test_other_verbosity_goes_on(killed, capsys):
    model = fitting({"verbose": True})(Checkpoint(killed))
    assert learned(model) == learned(fitting()())
    assert capsys.readouterr().out.startswith("Iteration 4, ")


X, Y = make_rows()
X_VAL, Y_VAL = make_rows(30, seed=1)
ONES, ONES_VAL = np.ones(60), np.ones(30)
GIVEN = {
    "X": X, "y": Y, "sample_weight": ONES,
    "X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": ONES_VAL,
}  # fmt: skip
OTHER = {
    "X": np.nextafter(X, 9),
    "y": ~Y,
    "sample_weight": ONES + (np.arange(60) == 59),
    "X_val": X_VAL[::-1].copy(),
    "y_val": Y_VAL[::-1].copy(),
    "sample_weight_val": ONES_VAL + 1,
}


@pytest.fixture
def killed_with_validation(tmp_path):
    path = tmp_path / "run.ckpt"
    model = make_model(early_stopping=True).set_callbacks(Checkpoint(path), Killer(3))
    with pytest.raises(KilledError):
        model.fit(**GIVEN)
    return path


@pytest.mark.parametrize("name", OTHER)
def test_other_data_are_named(name, killed_with_validation):
    path = killed_with_validation
    for model in (load_checkpoint(path), make_model(early_stopping=True)):
        model.set_callbacks(Checkpoint(path))
        message = f"{path} is of another fit: {name} is not the same data\\. "
        assert_refused(model, path, message, **(GIVEN | {name: OTHER[name]}))


def test_missing_weights_and_validation_rows_are_named(killed_with_validation):
    model = make_model(early_stopping=True).set_callbacks(Checkpoint(killed_with_validation))
    message = "X_val is not .*; sample_weight is not .*; sample_weight_val is not .*; y_val is not"
    assert_refused(model, killed_with_validation, message, X, Y)


def test_equal_data_of_another_kind_go_on(killed):
    X, y = make_rows()
    model = make_model().set_callbacks(Checkpoint(killed)).fit(X.tolist(), y.tolist())
    assert learned(model) == learned(fitting()())


def test_other_labels_of_the_same_rows_are_named(killed):
    model = make_model().set_callbacks(Checkpoint(killed))
    assert_refused(model, killed, "y is not the same data", X, np.where(Y, "yes", "no"))


def test_dtype_belongs_to_the_data(killed):
    model = make_model().set_callbacks(Checkpoint(killed))
    assert_refused(model, killed, "X is not the same data", X.astype(np.float32), Y)


def test_changed_file_of_data_is_named(stored, tmp_path):
    path, y = stored
    with pytest.raises(KilledError):
        fitting(data=(streamed(path), y))(Checkpoint(tmp_path / "run.ckpt"), Killer(1))
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file.create_dataset("X", data=streamed(path).load() + 1, chunks=(50, 6))
    model = make_model().set_callbacks(Checkpoint(tmp_path / "run.ckpt"))
    with pytest.raises(ValueError, match="X is not the same data"):
        model.fit(streamed(other), y)


def own_score(model, X, y):
    return 0.5


class Forbidden(Callback):
    def on_fit_task_begin(self, estimator, context):
        raise AssertionError("training has begun")


UNSTORABLE = {
    "random_state": np.random.RandomState(0),
    "scoring": own_score,
    "hidden_layer_sizes": range(3, 5),
}


@pytest.mark.parametrize("name", UNSTORABLE)
def test_parameter_that_no_file_holds_is_named_before_training(name, tmp_path):
    model = make_model(early_stopping=True, **{name: UNSTORABLE[name]})
    model.set_callbacks(Checkpoint(tmp_path / "run.ckpt"), Forbidden())
    assert_refused(model, tmp_path / "run.ckpt", f"cannot store the parameter {name}=", X, Y)


@pytest.mark.parametrize("every", [0, -1, 1.0, True, "1", None])
def test_every_is_a_number_of_epochs(every, tmp_path):
    with pytest.raises(ValueError, match=f"every must be an integer.*got {every!r}"):
        Checkpoint(tmp_path / "run.ckpt", every=every)


@pytest.mark.parametrize("path", [None, 3, b"run.ckpt"])
def test_path_is_a_path(path):
    with pytest.raises(TypeError, match="path must be a str or path-like"):
        Checkpoint(path)


def test_serves_networks_alone(tmp_path):
    pipeline = make_pipeline(StandardScaler(), make_model())
    pipeline.set_callbacks(Checkpoint(tmp_path / "run.ckpt"))
    with pytest.raises(
        TypeError, match=r"got Pipeline: .*call set_callbacks on the network itself"
    ):
        pipeline.fit(X, Y)


def test_missing_folder_is_named_before_training(tmp_path):
    model = make_model().set_callbacks(Checkpoint(tmp_path / "no" / "run.ckpt"), Forbidden())
    with pytest.raises(FileNotFoundError, match=f"no folder {tmp_path / 'no'}"):
        model.fit(X, Y)


def test_model_and_checkpoint_are_told_apart(killed, tmp_path):
    save_model(fitting()(), tmp_path / "model.h5")
    with pytest.raises(ModelFileError, match="holds a model, not a checkpoint"):
        load_checkpoint(tmp_path / "model.h5")
    with pytest.raises(ModelFileError, match="holds a checkpoint, not a model"):
        load_model(killed)
    with pytest.raises(ModelFileError, match="holds a model, not a checkpoint"):
        fitting()(Checkpoint(tmp_path / "model.h5"))
    assert load_model(tmp_path / "model.h5").n_iter_ == N_EPOCHS


@pytest.mark.parametrize("content", [b"", b"something", b"skdnn file, format 7\n"])
def test_file_that_is_no_checkpoint_is_not_overwritten(content, tmp_path):
    path = tmp_path / "run.ckpt"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=str(path)):
        fitting()(Checkpoint(path))
    assert path.read_bytes() == content


def test_damaged_checkpoint_is_not_overwritten(killed):
    damaged = bytearray(killed.read_bytes())
    damaged[3000] ^= 1
    killed.write_bytes(damaged)
    with pytest.raises(ModelFileError, match="damaged"):
        fitting()(Checkpoint(killed))
    assert killed.read_bytes() == damaged


def test_partial_fit_leaves_checkpoints_alone(tmp_path):
    model = make_model().set_callbacks(Checkpoint(tmp_path / "run.ckpt"))
    model.partial_fit(X, Y, classes=[False, True])
    assert list(tmp_path.iterdir()) == []


def test_partial_fit_does_not_lose_where_fit_stands(killed):
    model = load_checkpoint(killed)
    with pytest.raises(ValueError, match=r"loaded from a checkpoint of fit.*Call fit first"):
        model.partial_fit(X, Y, classes=[False, True])
    assert learned(model.fit(*make_rows())) == learned(fitting()())


class WithParameter(DeepBinaryClassifier):
    """Has a parameter that `load_checkpoint` does not know."""

    def __init__(self, own=None):
        super().__init__((4, 3), max_iter=2, tol=None)
        self.own = own

    @classmethod
    def _get_param_names(cls):
        return sorted([*DeepBinaryClassifier._get_param_names(), "own"])


def test_parameter_that_could_not_be_loaded_is_named_before_training(tmp_path):
    model = WithParameter().set_callbacks(Checkpoint(tmp_path / "run.ckpt"), Forbidden())
    assert_refused(model, tmp_path / "run.ckpt", r"unknown parameters \['own'\]", X, Y)


# ---------------------------------------------------------------------- disks and signals


def failing(*arguments, **keywords):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failing_disk_keeps_the_file_and_the_model(call, killed, monkeypatch):
    model, files = fitting()(), contents_of(killed.parent)
    before = learned(model)
    model.set_callbacks(Checkpoint(killed))
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(OSError, match=f"No space left.*as it was.*{killed.name}"):
            model.fit(*make_rows())
    assert learned(model) == before
    assert contents_of(killed.parent) == files
    assert learned(model.fit(*make_rows())) == before


FULL_DISK = """
import resource, sys
import numpy as np
from skdnn import Checkpoint, DeepBinaryClassifier

X = np.random.RandomState(0).standard_normal((60, 5))
model = DeepBinaryClassifier((4, 3), max_iter=6, tol=None, random_state=0, batch_size=16,
                             learning_rate_init=0.05)
model.set_callbacks(Checkpoint(sys.argv[1]))
if sys.argv[2:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    model.fit(X, X[:, 0] * X[:, 1] > 0)
except OSError as error:
    print(error, hasattr(model, "coefs_"))
"""


def run_fit(path, *arguments):
    return subprocess.run(
        [sys.executable, "-c", FULL_DISK, path, *arguments],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


def test_full_disk_keeps_the_file(killed):
    pytest.importorskip("resource")
    files = contents_of(killed.parent)
    printed = run_fit(killed, "4096")
    assert re.search(f"File too large.*as it was.*{killed}.*False", printed)
    assert contents_of(killed.parent) == files
    assert learned(load_checkpoint(killed).fit(*make_rows())) == learned(fitting()())


def test_full_file_system_keeps_the_file(killed, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "skdnn", full]
    if not hasattr(os, "geteuid") or os.geteuid() or subprocess.run(mount).returncode:
        pytest.skip("mounting a small file system takes rights that this process lacks")
    try:
        path = full / "run.ckpt"
        path.write_bytes(killed.read_bytes())
        (full / "other").write_bytes(bytes(12_000))
        before = path.read_bytes()
        with pytest.raises(OSError, match=r"No space left.*as it was"):
            fitting()(Checkpoint(path))
        assert path.read_bytes() == before
        (full / "other").unlink()
        assert learned(fitting()(Checkpoint(path))) == learned(fitting()())
    finally:
        subprocess.run(["umount", full], check=True)


def test_file_that_vanishes_in_training_is_written_anew(tmp_path):
    path = tmp_path / "run.ckpt"

    class Remover(Callback):
        def on_fit_task_begin(self, estimator, context):
            path.unlink(missing_ok=True)

    fitting()(Checkpoint(path), Remover())
    assert load_checkpoint(path)._progress.ended == "max_iter"


def test_link_stays_a_link(tmp_path):
    (tmp_path / "run.ckpt").symlink_to(tmp_path / "real.ckpt")
    with pytest.raises(KilledError):
        fitting()(Checkpoint(tmp_path / "run.ckpt"), Killer(3))
    assert (tmp_path / "run.ckpt").is_symlink()
    assert learned(fitting()(Checkpoint(tmp_path / "real.ckpt"))) == learned(fitting()())


def test_process_that_is_killed_goes_on_in_another(tmp_path):
    path = tmp_path / "run.ckpt"
    script = FULL_DISK.replace("max_iter=6", "max_iter=60")
    (tmp_path / "fit.py").write_text(script)
    run_until_second_save(tmp_path / "fit.py", path)
    assert load_checkpoint(path)._progress.ended == ""
    subprocess.run([sys.executable, "-c", script, path], check=True)
    undisturbed = make_model(max_iter=60).set_callbacks(Checkpoint(tmp_path / "whole.ckpt"))
    undisturbed.fit(*make_rows())
    assert path.read_bytes() == (tmp_path / "whole.ckpt").read_bytes()


def test_ten_kills_lose_nothing():
    done = run_script("kill_fit", "--kills", "10")
    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------------- searches


GRID = {"alpha": [0.0, 1.0], "solver": ["adam", "gd"]}


def searched(estimator, grid, type_=GridSearchCV, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("error", FitFailedWarning)
        search = type_(estimator, grid, cv=2, **keywords)
        return search.fit(*make_rows())


def scores_of(search):
    return {k: list(v) for k, v in search.cv_results_.items() if "time" not in k}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_every_fit_of_a_search_has_a_file_of_its_own(n_jobs, tmp_path):
    model = make_model().set_callbacks(Checkpoint(tmp_path / "run.ckpt"))
    search = searched(model, GRID, n_jobs=n_jobs)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == [
        "run.fit-0.refit-with-best-params-1.ckpt",
        *(f"run.fit-0.search-0.candidate-split-evaluation-{i}.ckpt" for i in range(8)),
    ]
    assert scores_of(search) == scores_of(searched(make_model(), GRID))


class FailingLater(Callback):
    """Ends the search in the third epoch of its fourth fit."""

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == 2 and context.parent.task_id == 3:
            raise KeyboardInterrupt


def counting(folder, *others, **parameters):
    """Return a model with checkpoints in a folder, and what counts its epochs."""
    folder.mkdir(exist_ok=True)
    counter = Counter(folder.parent / "epochs")
    model = make_model(**parameters)
    return model.set_callbacks(Checkpoint(folder / "run.ckpt"), counter, *others), counter


def test_search_that_was_stopped_trains_nothing_twice(tmp_path):
    model, counter = counting(tmp_path / "files", FailingLater())
    with pytest.raises(KeyboardInterrupt):
        searched(model, GRID)
    assert counter.count() == 3 * N_EPOCHS + 3
    model, counter = counting(tmp_path / "files")
    search = searched(model, GRID, n_jobs=2)
    assert counter.count() == 9 * N_EPOCHS - (3 * N_EPOCHS + 3)
    assert scores_of(search) == scores_of(searched(make_model(), GRID))


def test_finished_search_gives_its_result_at_once(tmp_path):
    model, counter = counting(tmp_path / "files")
    first = searched(model, GRID)
    assert counter.count() == 9 * N_EPOCHS
    again = searched(model, GRID)
    assert counter.count() == 0
    assert scores_of(again) == scores_of(first)
    assert learned(again.best_estimator_) == learned(first.best_estimator_)


class Survivors(Callback):
    """Notes, when a fit begins, how many networks of fits before it are still in memory."""

    def __init__(self):
        self.trainings, self.counts = weakref.WeakSet(), []

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == "fit":
            gc.collect()
            self.counts.append(len(self.trainings))


def test_search_keeps_no_network_of_a_fit_that_is_over(tmp_path, monkeypatch):
    survivors = Survivors()

    class Tracked(Training):
        def __init__(self, *arguments, **keywords):
            survivors.trainings.add(self)
            super().__init__(*arguments, **keywords)

    monkeypatch.setattr(DeepBinaryClassifier, "_training_type", Tracked)
    model, _ = counting(tmp_path / "files", survivors)
    searched(model, {"alpha": [0.0, 1.0]})
    assert survivors.counts == [0] * 5


def test_networks_in_pipelines_have_files_of_their_own(tmp_path):
    model, counter = counting(tmp_path / "files")
    grid = {"deepbinaryclassifier__alpha": [0.0, 1.0]}
    first = searched(make_pipeline(StandardScaler(), model), grid, n_jobs=2)
    assert counter.count() == 5 * N_EPOCHS
    assert len(list((tmp_path / "files").iterdir())) == 5
    again = searched(make_pipeline(StandardScaler(), model), grid)
    assert counter.count() == 0
    assert scores_of(again) == scores_of(first)


def test_rounds_of_a_halving_search_have_files_of_their_own(tmp_path):
    model, counter = counting(tmp_path / "files", batch_size=5)
    options = {"type_": HalvingGridSearchCV, "min_resources": 20, "random_state": 0}
    first = searched(model, {"alpha": [0.0, 0.1, 1.0]}, **options)
    n_epochs = counter.count()
    assert n_epochs == N_EPOCHS * len(list((tmp_path / "files").iterdir()))
    again = searched(model, {"alpha": [0.0, 0.1, 1.0]}, **options)
    assert counter.count() == 0
    assert scores_of(again) == scores_of(first)


# ---------------------------------------------------------------------- the first format


ROWS = np.array([[0.5, -1.0, 2.0], [-1.5, 0.25, 0.0], [0.0, 0.0, 0.0], [3.0, 1.0, -2.0]])
LABELS = np.array(["benign", "malign", "benign", "malign"])


def test_first_format_goes_on_to_the_end_it_had(tmp_path):
    logits = ["-0x1.ac4a3dc501d0dp-1", "-0x1.d315300866709p-1"]
    logits += ["-0x1.420af4c0fc153p-1", "0x1.5664e2e597019p-2"]
    path = tmp_path / "run.ckpt"
    path.write_bytes((DATA / "checkpoint_v1.ckpt").read_bytes())
    model = load_checkpoint(path).fit(ROWS, LABELS, X_val=-ROWS, y_val=LABELS[::-1])
    found = model.decision_function(ROWS)
    np.testing.assert_allclose(found, [float.fromhex(logit) for logit in logits], rtol=1e-13)
    losses = [0.9536766436428756, 0.9864339106202553, 0.8253026824194301]
    losses += [0.7916751033612804, 0.7446375328475263]
    np.testing.assert_allclose(model.loss_curve_, losses, rtol=1e-13)
    assert model.best_iter_ == 5


def test_first_format_keeps_what_else_was_saved():
    model = load_checkpoint(DATA / "checkpoint_v1.ckpt")
    assert (model.hidden_layer_sizes, model.learning_rate) == ((3, 2), "one_cycle")
    assert model._progress.state.counters == {"n_steps": 4, "n_plateaus": 0}
    assert model._progress.best_iter == 2
    assert model._progress.first_layer.shape == (3, 3)


# ---------------------------------------------------------------------- the command line


def info(path, capsys):
    assert main(["info", str(path)]) == 0
    return capsys.readouterr().out


def test_info_says_where_training_stands(killed, capsys):
    loss = load_checkpoint(killed)._progress.curves["loss"][-1]
    text = info(killed, capsys)
    assert text.startswith(f"{killed}: checkpoint, written by skdnn 0.1.0\nparameters (the rest")
    assert "  hidden_layer_sizes = (4, 3)\n" in text
    assert f"\ntraining: epoch 3 of 6, goes on; last loss {loss:.6g}\n" in text
    assert "\nsolver: Adam, 12 steps, 0 plateaus\n" in text
    assert "\ncoordinates: of the features; 43 parameters, float64\nbegins: anew\n" in text
    assert "best epoch" not in text
    assert re.search(r"data \(hashes\):\n  X: \w+\n  sample_weight: \w+\n  y: \w+\n$", text)


def test_info_names_row_space_best_epoch_and_end(capsys):
    text = info(DATA / "checkpoint_v1.ckpt", capsys)
    assert "\ntraining: epoch 2 of 5, ended by a callback; last loss 0.986434\n" in text
    assert "\nbest epoch: 2, validation score -0.984344\n" in text
    assert "\ncoordinates: of the row space, 3 features; 23 parameters, float64\n" in text


def test_info_names_the_model_that_a_fit_went_on_from(tmp_path, capsys):
    twice_fitted(Checkpoint(tmp_path / "run.ckpt"))
    text = info(tmp_path / "run.ckpt", capsys)
    assert "\ntraining: epoch 6 of 6, ended by max_iter; " in text
    assert "\nbegins: from a model of 6 epochs\n" in text


def forge(path, **attributes):
    """Change attributes and sign the file anew."""
    with h5py.File(path, "r+") as file:
        for name, text in attributes.items():
            file.attrs.create(name, text, dtype=h5py.string_dtype("utf-8", len(text)))
    content = path.read_bytes()[HEADER_BYTES:]
    path.write_bytes(sign(content) + content)


def test_info_does_nothing_to_the_terminal(killed, capsys):
    forge(killed, data=b'{"X": "\\u001b[2J"}')
    assert r"\x1b[2J" in info(killed, capsys)


def test_coordinates_that_come_out_otherwise_are_refused(tmp_path):
    """As those of dependent rows may, under another BLAS kernel."""
    with pytest.raises(KilledError):
        OPTIONS["wide, gd"](Checkpoint(tmp_path / "run.ckpt"), Killer(3))
    model = load_checkpoint(tmp_path / "run.ckpt")
    model._progress.coordinates = model._progress.coordinates[::-1].copy()
    with pytest.raises(ValueError, match="made in coordinates of X's row space that come out"):
        model.fit(*WIDE)
