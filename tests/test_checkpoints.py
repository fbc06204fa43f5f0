"""Checkpoints: the same bits after a kill, nothing lost, and nothing taken for what it is not.

data/checkpoint_v1.ckpt was made by data/make_checkpoint_v1.py in the version that file format 1
began with.
"""

import os
import pickle
import re
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone

from skdnn import Checkpoint, load_checkpoint
from skdnn.__main__ import main
from skdnn.container.container import sign
from skdnn.datasets import HDF5Matrix
from skdnn.solvers import DivergenceError
from tests.callbacks import Callback
from tests.checkpoints import (
    N_EPOCHS,
    Counter,
    KilledError,
    Killer,
    Stopper,
    fitting,
    make_model,
    make_rows,
    resumed,
    streamed,
)
from tests.models import learned

DATA = Path(__file__).with_name("data")
HEADER_BYTES = 512

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
    assert load_checkpoint(tmp_path / "run.ckpt")._progress.row_space.first_layer.shape == (300, 4)


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
    assert [velocity.shape for velocity in progress.row_space.velocities] == [(300, 4)]
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
            context.parent.skdnn_run.get_progress().vectors["parameters"] *= 1e200


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


# ---------------------------------------------------------------------- the first format


ROWS = np.array([[0.5, -1.0, 2.0], [-1.5, 0.25, 0.0], [0.0, 0.0, 0.0], [3.0, 1.0, -2.0]])
LABELS = np.array(["benign", "malign", "benign", "malign"])


def test_first_format_goes_on_to_the_end_it_had(tmp_path):
    # Two epochs are in the file. The others divide a batch by its rows times the mean weight, which
    # is newer: the version that the format began with gives these bits when it divides so.
    logits = ["-0x1.3781d284a096ep-1", "-0x1.6412a49cba608p-1"]
    logits += ["-0x1.a23d57afcdba3p-2", "0x1.aa57f9aadc613p-2"]
    path = tmp_path / "run.ckpt"
    path.write_bytes((DATA / "checkpoint_v1.ckpt").read_bytes())
    model = load_checkpoint(path).fit(ROWS, LABELS, X_val=-ROWS, y_val=LABELS[::-1])
    found = model.decision_function(ROWS)
    np.testing.assert_allclose(found, [float.fromhex(logit) for logit in logits], rtol=1e-13)
    losses = [0.9536766436428756, 0.9864339106202553, 0.8319649059908355]
    losses += [0.7718404714673386, 0.7194069370555536]
    np.testing.assert_allclose(model.loss_curve_, losses, rtol=1e-13)
    assert model.best_iter_ == 5


def test_first_format_keeps_what_else_was_saved():
    model = load_checkpoint(DATA / "checkpoint_v1.ckpt")
    assert (model.hidden_layer_sizes, model.learning_rate) == ((3, 2), "one_cycle")
    assert model._progress.state.counters == {"n_steps": 4, "n_plateaus": 0}
    assert model._progress.best_iter == 2
    assert model._progress.row_space.first_layer.shape == (3, 3)


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
    coordinates = model._progress.row_space.coordinates
    coordinates[...] = coordinates[::-1].copy()
    with pytest.raises(ValueError, match="made in coordinates of X's row space that come out"):
        model.fit(*WIDE)
