"""Model files: what comes back, what a stranger sees, what is not saved, and what a crash leaves.

data/model_v1.h5 was made by data/make_model_v1.py in the version that file format 1 began with.
"""

import errno
import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skdnn
from skdnn.__main__ import main
from skdnn.container.exact_json import decode, encode
from skdnn.persistence import load_model, save_model
from skdnn.training.state import TrainingState
from tests.model_files import HEADER_BYTES, described, make_model, make_rows
from tests.processes import run_script

DATA = Path(__file__).with_name("data")


def saved_and_loaded(model, path):
    save_model(model, path)
    return load_model(path)


# ---------------------------------------------------------------------- what comes back


LABELS = {
    "booleans": [False, True],
    "integers": [-3, 7],
    "small integers": np.array([1, 2], np.int8),
    "unsigned": np.array([1, 2**64 - 1], np.uint64),
    "big-endian": np.array([1, 2], ">i4"),
    "floats": [0.0, 1.0],
    "float32": np.array([0, 1], np.float32),
    "strings": ["no", "yes"],
    "other alphabets": ["да", "нет 🙂"],
    "wide strings": np.array(["no", "yes"], "<U40"),
    "objects": np.array(["no", "yes"], object),
    "empty string": ["", "a"],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", LABELS)
def test_labels_and_numbers_keep_type_and_bits(kind, dtype, tmp_path):
    X, y = make_rows(LABELS[kind], dtype)
    model = make_model().fit(X, y)
    loaded = saved_and_loaded(model, tmp_path / "model.h5")
    assert described(vars(loaded)) == described(vars(model))


SETTINGS = {
    "lbfgs": {"solver": "lbfgs"},
    "logistic regression": {"hidden_layer_sizes": ()},
    "early stopping": {"early_stopping": True},
    "warm adam": {"warm_start": True},
    "warm adamw": {"warm_start": True, "solver": "adamw"},
    "warm sgd": {"warm_start": True, "solver": "sgd"},
    "warm gd": {"warm_start": True, "solver": "gd"},
    "warm lbfgs": {"warm_start": True, "solver": "lbfgs"},
    "warm, held out": {"warm_start": True, "early_stopping": True, "tol": 10.0},
    "never a plateau": {"n_iter_no_change": float("inf"), "warm_start": True},
    "sizes as list": {"hidden_layer_sizes": [4, 3]},
    "sizes as integer": {"hidden_layer_sizes": 4},
    "sizes as NumPy integer": {"hidden_layer_sizes": np.int32(4)},
    "sizes as array": {"hidden_layer_sizes": np.array([4, 3], np.uint8)},
    "sizes as tuple of NumPy integers": {"hidden_layer_sizes": (np.int64(4), 3)},
    "dropout as array": {"dropout": np.array([0.25, 0.5], np.float32)},
    "dropout as tuple": {"dropout": (0.25, 0)},
    "class weights": {"class_weight": {False: 1, True: np.float32(2.5)}},
    "class weights by NumPy labels": {"class_weight": {np.bool_(True): 3.0}},
    "NumPy numbers": {"momentum": np.float32(0.1), "tol": np.float64(0), "power_t": np.int8(1)},
    "NumPy boolean": {"shuffle": np.bool_(False)},
    "NumPy seed": {"random_state": np.uint32(7)},
    "long seed": {"random_state": 2**32 - 1},
    "scorer by name": {"scoring": "roc_auc", "early_stopping": True},
    "everything": {
        "activation": "leaky_relu", "solver": "sgd", "alpha": 1e-3, "batch_size": 16,
        "learning_rate": "one_cycle", "learning_rate_init": 0.05, "power_t": 0.25, "max_iter": 2,
        "shuffle": False, "random_state": 5, "verbose": 0, "momentum": 0.5, "beta_1": 0.8,
        "beta_2": 0.99, "epsilon": 1e-7, "nesterovs_momentum": False, "early_stopping": True,
        "validation_fraction": 0.3, "n_iter_no_change": 3, "max_fun": 100, "init": "xavier",
        "init_scale": 1.5, "init_distribution": "uniform", "negative_slope": 0.1,
        "row_space": False, "class_weight": "balanced", "scoring": "accuracy", "dropout": [0.1, 0],
        "max_grad_norm": 2.0, "warmup": 1.5, "warm_start": True, "tol": 1e-3,
    },
}  # fmt: skip
EVERY_SETTING = pytest.mark.parametrize("setting", SETTINGS)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@EVERY_SETTING
def test_every_parameter_and_attribute_comes_back(setting, tmp_path):
    model = make_model(**SETTINGS[setting]).fit(*make_rows())
    loaded = saved_and_loaded(model, tmp_path / "model.h5")
    assert described(vars(loaded)) == described(vars(model))


def test_losses_of_numpy_type_are_saved(tmp_path):
    model = make_model().fit(*make_rows())
    model.loss_curve_ = [np.float32(value) for value in model.loss_curve_]
    model.loss_ = model.loss_curve_[-1]
    loaded = saved_and_loaded(model, tmp_path / "model.h5")
    assert loaded.loss_curve_ == model.loss_curve_
    assert described(loaded.loss_) == described(model.loss_)


def test_setting_of_everything_sets_every_parameter():
    assert {*SETTINGS["everything"], "hidden_layer_sizes"} == {*make_model().get_params()}


@pytest.mark.parametrize("n_rows", [1, 7, 5000])
def test_predicts_the_same_bits(n_rows, saved, tmp_path):
    X = np.random.RandomState(1).standard_normal((n_rows, 5))
    model = load_model(saved)
    expected = saved_and_loaded(model, tmp_path / "again.h5").decision_function(X)
    np.testing.assert_array_equal(model.decision_function(X), expected, strict=True)


def test_feature_names_come_back(tmp_path):
    pd = pytest.importorskip("pandas")
    X, y = make_rows()
    frame = pd.DataFrame(X, columns=["a", "größe", "", "d e", "x" * 300])
    model = make_model().fit(frame, y)
    loaded = saved_and_loaded(model, tmp_path / "model.h5")
    assert described(vars(loaded)) == described(vars(model))


def test_diverging_scores_come_back(tmp_path):
    model = make_model(early_stopping=True).fit(*make_rows())
    model.validation_scores_ = [float("nan"), float("-inf"), 0.5]
    model.best_validation_score_ = float("-inf")
    loaded = saved_and_loaded(model, tmp_path / "model.h5")
    assert described(vars(loaded)) == described(vars(model))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("setting", [name for name in SETTINGS if "warm" in name])
def test_warm_start_goes_on_to_the_same_bits(setting, tmp_path):
    data = make_rows()
    model = make_model(**SETTINGS[setting]).fit(*data)
    loaded = saved_and_loaded(model, tmp_path / "model.h5").fit(*data)
    assert described(vars(loaded)) == described(vars(model.fit(*data)))


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "adamw"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_partial_fit_goes_on_to_the_same_bits(solver, dtype, tmp_path):
    X, y = make_rows(dtype=dtype)
    model = make_model(solver=solver, batch_size=8, dropout=0.2)
    model.partial_fit(X, y, classes=[False, True]).partial_fit(X, y)
    loaded = saved_and_loaded(model, tmp_path / "model.h5").partial_fit(X, y)
    assert described(vars(loaded)) == described(vars(model.partial_fit(X, y)))


GO_ON = """
import sys
from skdnn.persistence import load_model, save_model
import numpy as np

X, y = np.load(sys.argv[2]), np.load(sys.argv[3])
save_model(load_model(sys.argv[1]).partial_fit(X, y), sys.argv[1])
"""


def test_another_process_goes_on_to_the_same_bits(saved, tmp_path):
    X, y = make_rows()
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    here = load_model(saved).partial_fit(X, y)
    subprocess.run(
        [sys.executable, "-c", GO_ON, saved, tmp_path / "X.npy", tmp_path / "y.npy"], check=True
    )
    assert described(vars(load_model(saved))) == described(vars(here))


def test_training_state_has_no_field_that_is_not_stored():
    assert [field.name for field in fields(TrainingState)] == [
        "random_state", "rule", "counters", "moments", "plateau", "latest", "watched", "held_out",
        "scoring", "n_seen", "mean_weight",
    ]  # fmt: skip


def test_equal_models_give_equal_bytes(saved, tmp_path):
    save_model(load_model(saved), tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == saved.read_bytes()


def test_reads_the_first_format():
    rows = np.array([[0.5, -1.0, 2.0], [-1.5, 0.25, 0.0], [0.0, 0.0, 0.0], [3.0, 1.0, -2.0]])
    logits = ["0x1.b8b45a3aa2b6cp-4", "-0x1.1b88b527ef73ep-3"]
    logits += ["0x1.527b289a0c71bp-3", "0x1.e5f67041c53aep-1"]
    model = load_model(DATA / "model_v1.h5")
    del model.feature_names_in_
    found = model.decision_function(rows)
    np.testing.assert_allclose(found, [float.fromhex(logit) for logit in logits], rtol=1e-13)


def test_first_format_keeps_what_else_was_saved():
    model = load_model(DATA / "model_v1.h5")
    assert model.feature_names_in_.tolist() == ["texture", "radius", "área"]
    assert model.classes_.tolist() == ["benign", "malign"]
    assert model.n_iter_no_change == float("inf")
    assert model._training_state.counters == {"n_steps": 4, "n_plateaus": 0}


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.floats(width=32).map(np.float32),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.booleans().map(np.bool_),
    st.lists(st.floats(width=16), max_size=5).map(lambda values: np.array(values, np.float16)),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def spelled(value):
    if isinstance(value, dict):
        return [(spelled(k), spelled(v)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [spelled(entry) for entry in value]
    return type(value).__name__, repr(value)


@given(VALUES)
def test_values_are_exact_in_json(value):
    text = json.dumps(encode(value), allow_nan=False)
    assert spelled(decode(json.loads(text))) == spelled(value)


def test_text_of_numpy_stays_what_it_is():
    again = decode(json.loads(json.dumps(encode(np.str_("balanced")))))
    assert (type(again), again) == (np.str_, "balanced")


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"tuple": [1], "x": 1},
        {"dict": [], "x": 1},
        {"float": "inf", "x": 1},
        {"float": "1.0"},
        {"numpy": "str", "value": "a", "x": 1},
        {"numpy": "int64", "value": 3, "x": 1},
        {"numpy": "int64", "values": [3], "x": 1},
        {"numpy": "object", "value": 3},
    ],
    ids=str,
)
def test_what_stands_for_no_value_is_refused(other):
    with pytest.raises(ValueError, match="stands for no value"):
        decode([other])


# ---------------------------------------------------------------------- what a stranger sees


def test_layers_are_datasets_with_shapes_and_names(saved):
    with h5py.File(saved) as file:
        shapes = {name: file[f"layers/{name}"].shape for name in ("1/weights", "2/weights")}
        biases = file["layers/3/biases"].shape
        units = {name: json.loads(text) for name, text in file["layers/2"].attrs.items()}
    assert shapes == {"1/weights": (5, 4), "2/weights": (4, 3)}
    assert biases == (1,)
    assert units == {"inputs": 4, "units": 3, "activation": "relu"}


def test_root_says_what_the_file_is(saved):
    with h5py.File(saved) as file:
        root = dict(file.attrs)
        names = sorted(file)
    assert (root["kind"], root["format_version"]) == (b"model", 1)
    assert json.loads(root["class"]) == "DeepBinaryClassifier"
    assert json.loads(root["parameters"])["max_iter"] == 3
    assert names == ["classes", "curves", "layers", "training_state"]


def test_header_is_text(saved):
    lines = saved.read_bytes()[:HEADER_BYTES].decode().splitlines()
    assert lines[0] == "skdnn file, format 1"
    assert lines[1] == f"bytes {saved.stat().st_size - HEADER_BYTES}"
    assert re.fullmatch("sha256 [0-9a-f]{64}", lines[2])


# ---------------------------------------------------------------------- what is not saved


def assert_refused(model, path, message, error=ValueError):
    path.write_bytes(b"old")
    with pytest.raises(error, match=message):
        save_model(model, path)
    assert [(file.name, file.read_bytes()) for file in path.parent.iterdir()] == [
        (path.name, b"old")
    ]


def own_score(model, X, y):
    return 0.5


REFUSED_PARAMETERS = {
    "random_state": np.random.RandomState(0),
    "scoring": own_score,
    "hidden_layer_sizes": range(3, 5),
    "class_weight": {False: 1.0, True: 2 + 0j},
    "alpha": np.longdouble(0.1),
    "dropout": np.zeros((2, 1)),
}


@pytest.mark.parametrize("name", REFUSED_PARAMETERS)
def test_refuses_a_parameter_by_name(name, tmp_path):
    model = make_model().fit(*make_rows()).set_params(**{name: REFUSED_PARAMETERS[name]})
    assert_refused(model, tmp_path / "model.h5", f"cannot store the parameter {name}=")


CHANGED_AFTER_FIT = {
    "invalid": ({"alpha": -1}, "'alpha' parameter"),
    "dropout": ({"dropout": (0.5,)}, "one for each of the 2 hidden layers"),
}


@pytest.mark.parametrize("case", CHANGED_AFTER_FIT)
def test_refuses_what_could_not_be_loaded(case, tmp_path):
    parameters, message = CHANGED_AFTER_FIT[case]
    model = make_model().fit(*make_rows()).set_params(**parameters)
    assert_refused(model, tmp_path / "model.h5", message)


def test_refuses_labels_that_hdf5_lacks(tmp_path):
    X, y = make_rows(np.array(["2001", "2002"], "M8[D]"))
    model = make_model().fit(X, y)
    assert_refused(model, tmp_path / "model.h5", r"classes_ of dtype datetime64\[D\]")


@pytest.mark.parametrize("label", ["b\0", "b\ud800"])
def test_refuses_text_that_would_not_survive(label, tmp_path):
    model = make_model().fit(*make_rows())
    model.classes_ = np.array(["a", label], object)
    assert_refused(model, tmp_path / "model.h5", "NUL at its end|not Unicode")


def test_refuses_attributes_of_others(tmp_path):
    model = make_model().fit(*make_rows())
    model.threshold_ = 0.3
    assert_refused(model, tmp_path / "model.h5", "cannot store threshold_")


def test_refuses_weights_that_are_not_finite(tmp_path):
    model = make_model().fit(*make_rows())
    model.coefs_[1][0, 0] = np.nan
    assert_refused(model, tmp_path / "model.h5", "layers/2/weights.*not finite")


def test_refuses_other_generators(tmp_path):
    generator = np.random.RandomState(np.random.PCG64(0))
    model = make_model(warm_start=True, random_state=generator).fit(*make_rows())
    assert_refused(model.set_params(random_state=0), tmp_path / "model.h5", "drew from PCG64")


def test_refuses_models_that_are_not_fitted(tmp_path):
    assert_refused(make_model(), tmp_path / "model.h5", "not fitted", NotFittedError)


def test_sends_pipelines_to_joblib_and_skops(tmp_path):
    model = make_pipeline(StandardScaler(), make_model()).fit(*make_rows())
    assert_refused(model, tmp_path / "model.h5", "Pipeline.*joblib.*skops", TypeError)


def test_skops_takes_pipelines(tmp_path):
    skops = pytest.importorskip("skops.io")
    X, y = make_rows()
    model = make_pipeline(StandardScaler(), make_model()).fit(X, y)
    skops.dump(model, tmp_path / "model.skops")
    untrusted = skops.get_untrusted_types(file=tmp_path / "model.skops")
    loaded = skops.load(tmp_path / "model.skops", trusted=untrusted)
    assert untrusted == ["skdnn.classifier.DeepBinaryClassifier"]
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X), strict=True)


# ---------------------------------------------------------------------- what a crash leaves


def failing(*arguments, **keywords):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failing_disk_keeps_the_old_file(call, saved, monkeypatch):
    before = saved.read_bytes()
    monkeypatch.setattr(os, call, failing)
    with pytest.raises(OSError, match=f"No space left.*as it was.*{saved.name}"):
        save_model(make_model().fit(*make_rows()), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


FULL_DISK = """
import resource, sys
from skdnn.persistence import load_model, save_model

model = load_model(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    save_model(model.set_params(max_iter=9), sys.argv[1])
except OSError as error:
    print(error)
"""


def test_full_disk_keeps_the_old_file(saved):
    pytest.importorskip("resource")
    before = saved.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, saved], check=True, capture_output=True, text=True
    )
    assert "File too large" in done.stdout
    assert str(saved) in done.stdout
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_interrupt_keeps_the_old_file(saved, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_model(make_model().fit(*make_rows()), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        save_model(make_model().fit(*make_rows()), tmp_path / "missing" / "model.h5")


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(OSError, match="not a regular file"):
        save_model(make_model().fit(*make_rows()), tmp_path)


def test_link_stays_a_link(saved, tmp_path):
    link = tmp_path / "link.h5"
    link.symlink_to(saved)
    save_model(make_model(max_iter=1).fit(*make_rows()), link)
    assert link.is_symlink()
    assert load_model(saved).max_iter == 1


def test_permissions_are_kept(saved):
    saved.chmod(0o640)
    save_model(load_model(saved), saved)
    assert saved.stat().st_mode & 0o777 == 0o640


def test_kills_leave_the_old_file_or_the_new():
    done = run_script("kill_save", "--kills", "10", "--features", "500")
    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------------- the command line


def test_info_of_a_model(capsys):
    assert main(["info", str(DATA / "model_v1.h5")]) == 0
    text = capsys.readouterr().out
    assert "model, written by skdnn 0.1.0" in text
    assert "  activation = 'tanh'\n" in text
    assert "  1: 3 -> 3, tanh\n" in text
    assert "features: 3: texture, radius, área\n" in text
    assert "training state: Adam, 4 steps\n" in text
    assert "solver" not in text


def test_info_of_data(tmp_path, capsys):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["images/x"] = np.zeros((4, 2, 2, 3), np.uint8)
        file.create_dataset("y", data=np.zeros(4), chunks=(2,), compression="gzip")
    assert main(["info", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: HDF5 with 2 datasets",
        "  images/x: (4, 2, 2, 3), uint8, contiguous, not compressed",
        "  y: (4,), float64, chunks (2,), gzip",
    ]


def test_info_does_nothing_to_the_terminal(tmp_path, capsys):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["\x1b[2J\r"] = [1.0]
    assert main(["info", str(path)]) == 0
    assert r"  \x1b[2J\r: (1,)" in capsys.readouterr().out


def test_info_ends_quietly_when_nobody_reads_on():
    command = [sys.executable, "-W", "error", "-m", "skdnn", "info", str(DATA / "model_v1.h5")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # before anything can be written: imports take longer
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_info_without_an_output_says_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)  # as of a job whose output is closed
    assert main(["info", str(DATA / "model_v1.h5")]) == 0


def test_command_that_fails_says_so_by_its_exit_code(tmp_path):
    command = [sys.executable, "-m", "skdnn", "info", str(tmp_path / "none.h5")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("skdnn: error: ")


@pytest.mark.parametrize("content", [None, b"", b"something", b"\x89HDF\r\n\x1a\nbroken"])
def test_info_of_what_is_no_file_is_one_line(content, tmp_path, capsys):
    path = tmp_path / "file.h5"
    if content is not None:
        path.write_bytes(content)
    assert main(["info", str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("skdnn: error: ")
    assert printed.err.count("\n") == 1
    assert str(path) in printed.err


def test_command_line_tells_the_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"skdnn {skdnn.__version__}\n"


def test_info_wants_a_file():
    with pytest.raises(SystemExit) as stopped:
        main(["info"])
    assert stopped.value.code == 2
