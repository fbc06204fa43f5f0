"""Checkpoints that belong to another fit, and fits that no file can hold: named before training."""

import h5py
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import Checkpoint, DeepBinaryClassifier, load_checkpoint
from skdnn.persistence import ModelFileError, load_model, save_model
from tests.callbacks import Callback
from tests.checkpoints import (
    N_EPOCHS,
    KilledError,
    Killer,
    X,
    Y,
    contents_of,
    fitting,
    make_model,
    make_rows,
    streamed,
)
from tests.model_files import forged, write_text
from tests.models import learned

CHANGES = {
    "alpha": ({"alpha": 0.5}, "alpha was 0.0001 and is 0.5"),
    "several": (
        {"solver": "sgd", "max_iter": 9},
        "max_iter was 6 and is 9; solver was 'adam' and is 'sgd'|"
        "solver was 'adam' and is 'sgd'; max_iter was 6 and is 9",
    ),
    "layers": ({"hidden_layer_sizes": (4, 4)}, r"hidden_layer_sizes was \(4, 3\) and is \(4, 4\)"),
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


# ---------------------------------------------------------------------- what a forger writes


def set_text(owner, name, text):
    return lambda file: write_text(file[owner], name, text)


def set_parameter(old, new):
    def store(file):
        text = file.attrs["parameters"].decode()
        assert old in text
        write_text(file, "parameters", text.replace(old, new))

    return store


def set_array(name, array):
    def store(file):
        del file[name]
        file[name] = array

    return store


FORGERIES = {
    "number of arrays": (set_text("/", "n_arrays", "99"), "has [0-9]+ arrays, and must have 99"),
    "end": (set_text("/", "ended", '"lost"'), "attribute 'ended' is 'lost', and must be one of"),
    "best epoch of none": (set_text("/", "best_iter", "1"), "'best_iter' is 1, and must be an ep"),
    "no number": (set_text("/", "best_iter", "false"), "'best_iter' is False, and must be an ep"),
    "unknown data": (set_text("/", "data", '{"Z": "a"}'), "attribute 'data' must have texts for"),
    "hash that is a number": (set_text("/", "data", '{"X": 3}'), "attribute 'data' must have "),
    "solver": (set_text("training_state", "rule", '"Momentum"'), "'Momentum': not the solver's"),
    "fewer epochs": (set_parameter('"max_iter": 6', '"max_iter": 2'), "not those of max_iter=2"),
    "no validation": (
        set_parameter('"early_stopping": false', '"early_stopping": true'),
        "early_stopping=True: 3 epochs, 3 rates, 0 scores",
    ),
    "two losses": (set_array("curves/loss", np.ones(2)), "the curves do not match"),
    "NaN loss": (set_array("curves/loss", np.full(3, np.nan)), "'curves/loss' has entries that ar"),
    "infinite weight": (
        lambda file: file["vectors/parameters"].__setitem__(0, np.inf),
        "'vectors/parameters' has entries that are not finite",
    ),
    "moments of few": (set_array("vectors/first_sum", np.ones(3)), "'vectors/first_sum' is float"),
    "a model of its own": (
        lambda file: file.create_dataset("vectors/best", data=np.ones(3)), "arrays, and must have",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FORGERIES)
def test_each_part_of_a_checkpoint_is_checked(case, killed):
    forge, reason = FORGERIES[case]
    with forged(killed) as file:
        forge(file)
    with pytest.raises(ModelFileError, match=reason):
        load_checkpoint(killed)
