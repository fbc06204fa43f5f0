"""Files on the disk: who may read them while they are written, and what is not their fault."""

import errno
import gc
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from skdnn import Checkpoint, DeepBinaryClassifier, load_checkpoint
from skdnn.__main__ import main
from skdnn.container import container
from skdnn.container.container import sign
from skdnn.datasets import HDF5Matrix, load_hdf5, read_labels
from skdnn.persistence import ModelFileError, load_model, save_model

HEADER_BYTES = 512
on_unix = pytest.mark.skipif(os.name == "nt", reason="pipes and permissions of Unix")


def make_rows():
    X = np.random.RandomState(0).standard_normal((40, 5))
    return X, X[:, 0] > 0


def make_model():
    return DeepBinaryClassifier((4, 3), max_iter=3, tol=None, random_state=0)


def save_a_checkpoint(path):
    make_model().set_callbacks(Checkpoint(path)).fit(*make_rows())


@pytest.fixture(scope="module")
def fitted():
    return make_model().fit(*make_rows())


@pytest.fixture
def saved(fitted, tmp_path):
    path = tmp_path / "model.h5"
    save_model(fitted, path)
    return path


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "run.ckpt"
    save_a_checkpoint(path)
    return path


# ---------------------------------------------------------------------- permissions


@pytest.fixture
def seen_modes(monkeypatch):
    """Return the permissions that every temporary file had when its contents went to the disk."""
    modes = []
    fsync = os.fsync

    def note(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return modes


@on_unix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400])
def test_only_the_owner_reads_a_file_that_is_being_replaced(mode, fitted, saved, seen_modes):
    saved.chmod(mode)
    save_model(fitted, saved)
    assert seen_modes == [0o600]
    assert stat.S_IMODE(saved.stat().st_mode) == mode


@on_unix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o027])
def test_a_new_file_is_private_until_it_is_whole(mask, fitted, tmp_path, seen_modes):
    before = os.umask(mask)
    try:
        save_model(fitted, tmp_path / "new.h5")
    finally:
        os.umask(before)
    assert seen_modes == [0o600]
    assert stat.S_IMODE((tmp_path / "new.h5").stat().st_mode) == 0o666 & ~mask
    assert [path.name for path in tmp_path.iterdir()] == ["new.h5"]


@on_unix
def test_only_the_owner_reads_a_checkpoint_that_is_being_written(tmp_path, seen_modes):
    path = tmp_path / "run.ckpt"
    path.touch(0o600)
    path.unlink()
    save_a_checkpoint(path)
    assert set(seen_modes) == {0o600}


@on_unix
def test_a_kill_leaves_nothing_that_others_may_read(saved, tmp_path):
    saved.chmod(0o600)
    script = """
import os, signal, sys
from skdnn.persistence import load_model, save_model
model = load_model(sys.argv[1])
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
save_model(model, sys.argv[1])
"""
    subprocess.run([sys.executable, "-c", script, saved], check=False)
    (left,) = tmp_path.glob(".*.tmp")
    assert left.stat().st_size > HEADER_BYTES
    assert stat.S_IMODE(left.stat().st_mode) == 0o600


# ---------------------------------------------------------------------- not the file's fault


class OwnError(Exception):
    """What somebody's signal handler raises."""


LOADERS = {"model": load_model, "checkpoint": load_checkpoint}


@pytest.fixture(params=LOADERS)
def loads(request, saved, checkpoint):
    """Return a function that loads a good file of either kind."""
    path = {"model": saved, "checkpoint": checkpoint}[request.param]
    return lambda: LOADERS[request.param](path)


# Where reading is when the signal comes: in the bytes, in HDF5, in the checks of what was read
MOMENTS = {
    "digest": (container.hashlib, "sha256"),
    "HDF5": (container.HDF5Reader, "read_group"),
    "parameters": (DeepBinaryClassifier, "_validate_params"),
}
ERRORS = [
    OwnError("time is over"),
    TimeoutError("time is over"),
    RuntimeError("time is over"),
    ValueError("time is over"),
    OSError("time is over"),
    KeyError("time is over"),
    MemoryError(),
]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_of_a_signal_handler_stays_what_it_is(loads, error, moment, monkeypatch):
    def handler(signum, frame):
        raise error

    owner, name = MOMENTS[moment]
    original = getattr(owner, name)

    def interrupted(*arguments, **keywords):
        signal.raise_signal(signal.SIGTERM)
        return original(*arguments, **keywords)

    before = signal.signal(signal.SIGTERM, handler)
    monkeypatch.setattr(owner, name, interrupted)
    try:
        with pytest.raises(type(error)) as caught:
            loads()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value is error


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory by /proc")
def test_too_little_memory_is_a_memory_error_however_little_it_is(tmp_path):
    script = """
import os, resource, sys
import numpy as np
from skdnn import DeepBinaryClassifier
from skdnn.persistence import load_model, save_model
rng = np.random.RandomState(0)
X = rng.standard_normal((10, 20_000))
model = DeepBinaryClassifier((200,), solver="gd", tol=None, max_iter=1, random_state=0)
save_model(model.fit(X, X[:, 0] > 0), sys.argv[1])
del model, X
load_model(sys.argv[1])
counts = {}
for extra in range(10, 150, 20):  # MiB, for a file of 31
    child = os.fork()
    if child == 0:
        status = 3
        try:
            pages = int(open("/proc/self/statm").read().split()[0])
            limit = pages * resource.getpagesize() + extra * 2**20
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            load_model(sys.argv[1])
            status = 0
        except MemoryError:
            status = 1
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    counts[status] = counts.get(status, 0) + 1
print(sorted(counts))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "model.h5"],
        # what is freed goes back to the system, so that the limit is met
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["[0,", "1]"]


@pytest.mark.skipif(sys.platform != "linux", reason="a file whose first bytes cannot be read")
@pytest.mark.parametrize("call", [load_model, load_checkpoint])
def test_an_error_of_the_disk_is_one_of_the_system(call):
    with pytest.raises(OSError, match="/proc/self/mem") as caught:
        call("/proc/self/mem")
    assert caught.value.errno == errno.EIO


@pytest.mark.parametrize("path", [b"model.h5", 3, None, bytearray(b"model.h5")])
@pytest.mark.parametrize(
    "call",
    [
        load_model,
        load_checkpoint,
        Checkpoint,
        lambda path: save_model(make_model().fit(*make_rows()), path),
    ],
    ids=["load_model", "load_checkpoint", "Checkpoint", "save_model"],
)
def test_what_is_no_path_is_no_bad_file(call, path):
    with pytest.raises(TypeError, match="path must be a str or path-like, got"):
        call(path)


@pytest.mark.parametrize("call", [load_model, load_checkpoint])
def test_a_path_that_no_system_has_is_no_bad_file(call):
    with pytest.raises(ValueError, match="null") as caught:
        call("a\0b")
    assert not isinstance(caught.value, ModelFileError)


# ---------------------------------------------------------------------- what is no file


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


PIPE_READERS = {
    "load_model": load_model,
    "load_checkpoint": load_checkpoint,
    "fit": lambda path: make_model().set_callbacks(Checkpoint(path)).fit(*make_rows()),
    "save_model": lambda path: save_model(make_model().fit(*make_rows()), path),
    "HDF5Matrix": lambda path: HDF5Matrix(path, "X"),
    "load_hdf5": lambda path: load_hdf5(path, x="X"),
    "read_labels": lambda path: read_labels(path, "y"),
}


@on_unix
@pytest.mark.parametrize("reader", PIPE_READERS)
def test_a_pipe_is_refused_at_once(reader, pipe):
    with pytest.raises(OSError, match="not a regular file") as caught:
        PIPE_READERS[reader](pipe)
    assert str(pipe) in str(caught.value)


@on_unix
def test_info_refuses_a_pipe(pipe, capsys):
    assert main(["info", str(pipe)]) == 1
    assert "not a regular file" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["/", "//", "/."])
@pytest.mark.parametrize("name", ["new.h5", "model.h5"])
def test_a_path_of_a_folder_is_not_saved_to(name, ending, fitted, saved, tmp_path):
    before = saved.read_bytes()
    with pytest.raises(OSError, match="folder"):
        save_model(fitted, f"{tmp_path / name}{ending}")
    assert list(tmp_path.iterdir()) == [saved]
    assert saved.read_bytes() == before


@on_unix
def test_a_path_of_a_folder_is_not_loaded_from(saved):
    with pytest.raises(NotADirectoryError):
        load_model(f"{saved}/")


def test_a_checkpoint_needs_the_path_of_a_file(tmp_path):
    with pytest.raises(ValueError, match="path must name a file"):
        Checkpoint(f"{tmp_path}/run.ckpt/")


# ---------------------------------------------------------------------- order, and what is closed


@on_unix
@pytest.mark.parametrize("n_bytes", [3, 10_000])  # within a buffer, or not
def test_contents_are_on_the_disk_before_the_name_is_and_the_name_is_brought_there(
    n_bytes, saved, monkeypatch
):
    whole, seen = b"x" * n_bytes, []
    saved.write_bytes(b"before")
    fsync = os.fsync

    def note(descriptor):
        found = os.fstat(descriptor)
        is_folder = stat.S_ISDIR(found.st_mode)
        seen.append(("folder" if is_folder else found.st_size, saved.read_bytes()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    container.replace_file(saved, (whole[:2], whole[2:]))
    assert seen == [(len(whole), b"before"), ("folder", whole)]


@on_unix
def test_a_folder_that_cannot_be_brought_to_the_disk_is_told(fitted, saved, monkeypatch):
    saved.write_bytes(b"before")
    fsync = os.fsync

    def fail_for_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    with pytest.raises(OSError, match="in place, but may not outlive a loss of power") as caught:
        save_model(fitted, saved)
    assert caught.value.filename == str(saved.parent)
    monkeypatch.undo()
    assert (load_model(saved).coefs_[0] == fitted.coefs_[0]).all()


OPEN_FILES = Path("/proc/self/fd")


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="counts open files as Linux does")
def test_no_file_stays_open(fitted, saved, pipe, tmp_path):
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(saved.read_bytes()[:-1])
    gc.collect()
    before = set(OPEN_FILES.iterdir())
    save_model(fitted, saved)
    load_model(saved)
    for path, error in ((damaged, ModelFileError), (pipe, OSError), (tmp_path, OSError)):
        with pytest.raises(error):
            load_model(path)
    with pytest.raises(OSError, match="not a regular file"):
        save_model(fitted, pipe)
    assert set(OPEN_FILES.iterdir()) <= before


# ---------------------------------------------------------------------- what a forger writes

HARMLESS = "\x1b]0;owned\x07\x1b[2J\u202e"


def forge(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    content = path.read_bytes()[HEADER_BYTES:]
    path.write_bytes(sign(content) + content)


def write_text(item, name, text):
    item.attrs.create(name, text.encode(), dtype=h5py.string_dtype("utf-8", len(text.encode())))


def rename_a_layer(file):
    file.move("layers/1/weights", f"layers/1/{HARMLESS}")


TEXTS = {
    "kind": lambda file: write_text(file, "kind", HARMLESS),
    "version": lambda file: write_text(file, "skdnn_version", HARMLESS),
    "name of an attribute": lambda file: write_text(file, HARMLESS, "1"),
    "name of an array": rename_a_layer,
    "text that is no JSON": lambda file: write_text(file, "fitted", HARMLESS),
    "type of the labels": lambda file: write_text(file["classes"], "dtype", f'"{HARMLESS[8:]}"'),
    "parameter": lambda file: write_text(file, "parameters", f'{{"{HARMLESS[-1]}\\u001b": 1}}'),
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_forged_text_does_nothing_to_a_terminal(text, saved):
    forge(saved, TEXTS[text])
    with pytest.raises(ModelFileError) as caught:
        load_model(saved)
    assert str(caught.value).isprintable()


def test_a_forged_kind_of_a_checkpoint_does_nothing_to_a_terminal(checkpoint):
    forge(checkpoint, TEXTS["kind"])
    with pytest.raises(ModelFileError) as caught:
        load_checkpoint(checkpoint)
    assert str(caught.value).isprintable()


def test_a_name_of_a_file_stays_as_it_is(tmp_path):
    path = Path(tmp_path, "ein Näme\u00a0.h5")
    path.write_bytes(b"something else")
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: ")
