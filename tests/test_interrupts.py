"""Ctrl-C while validation rows are scored: the epoch is what it would have been, or is not kept."""

import math

import h5py
import numpy as np
import pytest
import scipy.sparse

from skdnn import Checkpoint, DeepBinaryClassifier, load_checkpoint
from skdnn.datasets import HDF5Matrix
from skdnn.training.monitor import Monitor, Plateau

N_EPOCHS = 5
X = np.random.RandomState(0).standard_normal((200, 8))
Y = X[:, 0] * X[:, 1] > 0


def make_model(solver="adam", **parameters):
    defaults = {"max_iter": N_EPOCHS, "tol": None, "early_stopping": True, "random_state": 0}
    return DeepBinaryClassifier((6, 4), solver=solver, batch_size=40, **(defaults | parameters))


@pytest.fixture
def on_scoring(monkeypatch):
    """Return a function that sets what happens before the k-th scoring of validation rows."""
    actions, make = {}, Monitor.__init__

    def wrapped(self, *arguments, validate=None, **keywords):
        n_calls = 0

        def act_and_validate():
            nonlocal n_calls
            n_calls += 1
            actions.pop(n_calls, lambda: None)()
            return validate()

        make(self, *arguments, validate=validate and act_and_validate, **keywords)

    monkeypatch.setattr(Monitor, "__init__", wrapped)
    return actions.__setitem__


def interrupt():
    raise KeyboardInterrupt


def fail():
    raise RuntimeError("cannot be scored now")


def learned(model):
    return model.coefs_ + model.intercepts_ + [np.array(model.validation_scores_)]


def assert_same_bits(model, other):
    for a, b in zip(learned(model), learned(other), strict=True):
        np.testing.assert_array_equal(a, b)


def data_in_a_file(tmp_path):
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file.create_dataset("X", data=np.tile(X, (20, 1)), chunks=(20, 8))
    return HDF5Matrix(tmp_path / "rows.h5", "X", memory_limit=150_000), np.tile(Y, 20)


DATA = {
    "dense": lambda tmp_path: (X, Y),
    "float32": lambda tmp_path: (X.astype(np.float32), Y),
    "sparse": lambda tmp_path: (scipy.sparse.csr_array(X), Y),
    "file": data_in_a_file,
}


@pytest.mark.parametrize("epoch", [1, 3, N_EPOCHS])
@pytest.mark.parametrize("scoring", ["loss", "roc_auc"])
@pytest.mark.parametrize(
    ("solver", "data"),
    [
        ("gd", "dense"), ("sgd", "dense"), ("adam", "dense"), ("adamw", "dense"),
        ("adam", "float32"), ("sgd", "sparse"), ("adam", "file"),
    ],
)  # fmt: skip
def test_resumed_run_ends_with_the_bits_of_one_that_nobody_interrupted(
    solver, data, scoring, epoch, tmp_path, on_scoring
):
    rows = DATA[data](tmp_path)
    undisturbed = make_model(solver, scoring=scoring).fit(*rows)
    path = tmp_path / "run.ckpt"
    on_scoring(epoch, interrupt)
    model = make_model(solver, scoring=scoring).set_callbacks(Checkpoint(path))
    with pytest.raises(KeyboardInterrupt):
        model.fit(*rows)
    assert model.n_iter_ == epoch
    assert not np.isnan(model.validation_scores_).any()
    assert_same_bits(load_checkpoint(path).fit(*rows), undisturbed)


def test_lbfgs_keeps_its_score_too(on_scoring):
    on_scoring(3, interrupt)
    model = make_model("lbfgs")
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert_same_bits(model, make_model("lbfgs", max_iter=3).fit(X, Y))


def test_own_validation_rows_are_scored_again(on_scoring, tmp_path):
    given = {"X_val": X[:50], "y_val": Y[:50]}
    undisturbed = make_model().fit(X[50:], Y[50:], **given)
    path = tmp_path / "run.ckpt"
    on_scoring(2, interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_model().set_callbacks(Checkpoint(path, every=3)).fit(X[50:], Y[50:], **given)
    assert_same_bits(load_checkpoint(path).fit(X[50:], Y[50:], **given), undisturbed)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_goes_on_as_if_nobody_had_interrupted(on_scoring):
    on_scoring(2, interrupt)
    model = make_model(warm_start=True, tol=1e-4, n_iter_no_change=3)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    model.set_params(max_iter=N_EPOCHS - 2).fit(X, Y)
    assert_same_bits(model, make_model(tol=1e-4, n_iter_no_change=3, warm_start=True).fit(X, Y))


def test_second_interrupt_leaves_the_model_as_it_was(on_scoring):
    model = make_model().fit(X, Y)
    before = dict(vars(model))
    on_scoring(2, interrupt)
    on_scoring(3, interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert all(vars(model)[name] is value for name, value in before.items() if name[-1] == "_")


@pytest.mark.parametrize("every", [1, 2, 10])
def test_epoch_that_cannot_be_scored_is_kept_but_not_saved(every, on_scoring, tmp_path):
    path = tmp_path / "run.ckpt"
    undisturbed = make_model().fit(X, Y)
    on_scoring(3, interrupt)
    on_scoring(4, fail)
    model = make_model().set_callbacks(Checkpoint(path, every=every))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert len(model.validation_scores_) == len(model.loss_curve_) == 3
    assert math.isnan(model.validation_scores_[2])
    assert path.exists() == (every < 3)
    assert_same_bits(make_model().set_callbacks(Checkpoint(path)).fit(X, Y), undisturbed)


def test_interrupt_while_an_epoch_is_recorded_loses_no_epoch_and_splits_none(monkeypatch):
    update = Plateau.update

    def update_and_interrupt(self, loss):
        update(self, loss)
        raise KeyboardInterrupt

    model = make_model().fit(X, Y)
    before = dict(vars(model))
    monkeypatch.setattr(Plateau, "update", update_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert all(vars(model)[name] is value for name, value in before.items() if name[-1] == "_")
