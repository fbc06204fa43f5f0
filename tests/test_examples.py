"""Every example runs to its end in fast mode, without a warning, and prints what it promises."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skdnn import load_model
from tests.processes import run_until_second_save

EXAMPLES = Path(__file__).parents[1] / "examples"

PROMISED = {
    "nightly_job": "saved model.h5",
    "plot_from_mlpclassifier": "DeepBinaryClassifier by roc_auc",
    "plot_hdf5": "disk and memory give the same bits: True",
    "plot_image_classifier": "a new process predicts 50 probabilities, equal to this one's",
    "plot_initialisation": "He's variance is constant within",
    "plot_resuming": "the same bits as without a crash: True",
    "plot_searches": "halving trains",
    "plot_why_depth": "exact on all 4096 inputs",
}


def command_of(name, *arguments):
    return [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *map(str, arguments)]


@pytest.fixture
def environment():
    variables = os.environ | {"SKDNN_FAST": "1", "MPLBACKEND": "Agg", "OPENBLAS_NUM_THREADS": "1"}
    # with a screen, matplotlib warns that Agg shows nothing on it
    return {name: value for name, value in variables.items() if name != "DISPLAY"}


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_example_runs_without_warnings_and_keeps_its_promise(name, environment, tmp_path):
    process = subprocess.run(
        command_of(name), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert PROMISED.get(name, "") in process.stdout


def test_every_promise_is_of_an_example():
    assert {path.stem for path in EXAMPLES.glob("*.py")} >= set(PROMISED)


def test_killed_nightly_job_goes_on_to_the_undisturbed_model(environment, tmp_path):
    data, checkpoint = tmp_path / "today.h5", tmp_path / "today.ckpt"
    resumed, undisturbed = tmp_path / "resumed.h5", tmp_path / "undisturbed.h5"

    def arguments(model):
        return "--data", data, "--model", model, "--max-iter", 200

    run_until_second_save(EXAMPLES / "nightly_job.py", *arguments(resumed), env=environment)
    assert checkpoint.exists()
    assert not resumed.exists()

    again = subprocess.run(
        command_of("nightly_job", *arguments(resumed)),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"going on from {checkpoint}" in again.stdout
    assert not checkpoint.exists()

    subprocess.run(command_of("nightly_job", *arguments(undisturbed)), env=environment, check=True)
    models = load_model(resumed), load_model(undisturbed)
    assert len(models[0].loss_curve_) == 200
    np.testing.assert_array_equal(models[0].coefs_[0], models[1].coefs_[0])
