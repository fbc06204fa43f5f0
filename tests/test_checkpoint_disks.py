"""Checkpoints on disks that are full, fail, or lose power, and in processes that are killed."""

import errno
import os
import re
import subprocess
import sys

import pytest

from skdnn import Checkpoint, load_checkpoint
from tests.callbacks import Callback
from tests.checkpoints import KilledError, Killer, contents_of, fitting, make_model, make_rows
from tests.models import learned
from tests.processes import run_script, run_until_second_save


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
