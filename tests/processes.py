"""Processes that tests start: scripts that run to their end, or die at a moment of our choice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_DIES_IN_SECOND_SAVE = """
import os, runpy, signal, sys

n_saves = 0

def die_in_second_save(event, arguments):
    global n_saves
    if event == "os.rename" and str(arguments[1]).endswith(".ckpt"):
        n_saves += 1
        if n_saves == 2:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

sys.addaudithook(die_in_second_save)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_until_second_save(script, *arguments, env=None):
    """Run a script that dies, as if by kill -9, before its second checkpoint takes its place."""
    command = [sys.executable, "-W", "error", "-c", _DIES_IN_SECOND_SAVE, script, *arguments]
    process = subprocess.run(
        list(map(str, command)), env=env, capture_output=True, text=True, check=False
    )
    assert process.returncode not in (0, 1), process.stderr
    return process


def run_script(name, *arguments):
    """Run one of the scripts that make faults on purpose, to its end."""
    pytest.importorskip("resource")
    return subprocess.run(
        [sys.executable, "-m", f"robustness.{name}", *arguments],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
