"""Every example runs to its end without a warning, on less data, and finds what it tells.

The scripts know nothing of that: what is to be smaller is replaced in a copy of the script, and
what must hold is asked of its variables when it has run.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest

from skdnn import load_model
from tests.processes import run_until_second_save

EXAMPLES = {path.stem: path for path in (Path(__file__).parents[1] / "examples").rglob("*.py")}


class Expected(NamedTuple):
    smaller: Mapping[str, str] = MappingProxyType({})  # what to replace in the copy, and by what
    holds: tuple[str, ...] = ()  # expressions that are true when the script has run
    prints: str = ""


EXPECTED = {
    "nightly_job": Expected({"n_rows = 100_000": "n_rows = 4000"}, prints="saved model.h5"),
    "mlflow_logging": Expected(prints="the same predictions: True"),
    "model_card": Expected(prints="# Model description"),
    "optuna_pruning": Expected(holds=("n_pruned > 0", "study.best_value < 0.3")),
    "shap_values": Expected(
        {"Independent(X[:20])": "Independent(X[:5])"},
        prints="the parts add up to the logits: True",
    ),
    "plot_dask": Expected(
        {"n_rows = 40_000": "n_rows = 20_000", "(5_000, 10)": "(2_500, 10)"},
        (
            "accuracy > 0.9",
            "np.allclose(model.loss_curve_, local.loss_curve_)",
            "np.allclose(moved.coefs_[0], local.coefs_[0])",
        ),
    ),
    "plot_dead_units": Expected(
        {
            "rates = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3]": "rates = [0.003, 0.03, 0.3]",
            "n_starts = 5": "n_starts = 2",
            'train("relu", 0.1, seed=0)': 'train("relu", 0.03, seed=0)',
        },
        (
            'dead["relu"][-1].mean() > 2 * dead["relu"][0].mean()',
            'accuracy["leaky_relu"][-1].mean() > accuracy["relu"][-1].mean() + 0.1',
        ),
    ),
    "plot_from_mlpclassifier": Expected(
        {"np.logspace(-2, 1, 7)": "np.logspace(-2, 1, 3)"},
        (
            "np.abs(converted - theirs)[-1] < np.abs(same - theirs)[-1] / 2",
            "np.allclose(mlp.predict_proba(X_test), model.predict_proba(X_test))",
        ),
        "DeepBinaryClassifier by roc_auc",
    ),
    "plot_from_scikeras": Expected(
        {'learning_rate_init": [0.003, 0.01],': 'learning_rate_init": [0.003],'},
        ("search.best_score_ > 0.85",),
    ),
    "plot_from_skorch": Expected(
        holds=("np.allclose(moved.predict_proba(X_test), net.predict_proba(X_test), atol=1e-4)",)
    ),
    "plot_hdf5": Expected(
        {
            "n_signals, n_readings, n_piece = 30_000": "n_signals, n_readings, n_piece = 4000",
            "max_iter=10,": "max_iter=3,",
        },
        (
            "accuracy > 0.8",
            "np.allclose(on_disk.coefs_[0], in_memory.coefs_[0], rtol=1e-3, atol=1e-5)",
        ),
        "disk and memory give the same bits: True",
    ),
    "plot_image_classifier": Expected(
        {
            "max_iter=3000,": "max_iter=1000,",
            "[(20, 7, 5), (64, 16)]": "[(64, 16)]",
            '["he", "xavier"]': '["he"]',
            "n_jobs=2": "n_jobs=1",
        },
        ("n_correct[2] > n_correct[0]", "n_correct[2] > n_correct[1]"),
        "a new process predicts 50 probabilities, equal to this one's",
    ),
    "plot_imbalanced": Expected(
        {"n_samples=12000": "n_samples=3000"},
        (
            'scores["class_weight"][0] > scores["plain"][0] < scores["tuned threshold"][0]',
            'scores["class_weight"][3] > 1.2 * scores["plain"][3]',
            'scores["weights, calibrated"][3] < scores["class_weight"][3]',
        ),
    ),
    "plot_initialisation": Expected(
        {
            'dict.fromkeys(starts, 5) | {"he": 48}': 'dict.fromkeys(starts, 1) | {"he": 16}',
            "n_epochs = 60": "n_epochs = 5",
        },
        (
            "np.all(np.abs(he / he[0] - 1) < 0.2)",
            'curves["xavier"].mean(axis=0)[-1] < 1e-6',
            'curves["normal"].mean(axis=0)[-1] > 1e50',
        ),
        "He's variance is constant within",
    ),
    "plot_mixed_table": Expected(
        {
            "n_loans = 4000": "n_loans = 1000",
            "EnsembleClassifier(random": "EnsembleClassifier(n_estimators=8, random",
        }
    ),
    "plot_uncertainty": Expected(
        {
            "make_moons(1500": "make_moons(400",
            "EnsembleClassifier(random": "EnsembleClassifier(n_estimators=8, random",
        }
    ),
    "plot_relu_sums": Expected(
        {"max_iter=500": "max_iter=100"},
        (
            "np.allclose(psi, np.clip(x, 0, 1))",
            "all(4 / n**2 + 1e-9 >= error for n, error in zip(n_units, errors))",
            "wave_errors[32] < wave_errors[4] < wave_errors[2]",
        ),
    ),
    "plot_resuming": Expected(
        holds=(
            "process.returncode == 1",
            "all(map(np.allclose, resumed.coefs_, undisturbed.coefs_))",
        ),
        prints="the same bits as without a crash: True",
    ),
    "plot_searches": Expected(
        {
            "[(32,), (32, 16), (64, 32, 16)]": "[(32,), (32, 16)]",
            "[0.0003, 0.001, 0.003, 0.01]": "[0.0003, 0.003]",
            "n_epochs = 45": "n_epochs = 9",
            "min_resources=5": "min_resources=3",
        },
        ("epochs_of_halving < epochs_of_grid",),
        "halving trains",
    ),
    "plot_tabular_pipeline": Expected(
        {"n_customers = 4000": "n_customers = 1500", "n_repeats=10": "n_repeats=3"},
        ("auc > linear_auc + 0.02",),
    ),
    "plot_text_tfidf": Expected(
        holds=(
            'models["network", 1].score(test, y_test)'
            ' > models["linear", 1].score(test, y_test) + 0.05',
            "np.all(np.sign(logits[::2]) == -np.sign(logits[1::2]))",
        )
    ),
    "plot_why_depth": Expected(
        {"n_bits, n_starts, n_epochs = (8, 4, 1500)": "n_bits, n_starts, n_epochs = (6, 2, 600)"},
        (
            'np.mean(accuracies["one hidden layer"]) > np.mean(accuracies["shape of the tree"])',
            "n_wrong == 0",
        ),
        "exact on all 4096 inputs",
    ),
    "plot_wide_data": Expected(
        {'"max_iter": 60': '"max_iter": 20', "[500, 2000, 8000, 16000]": "[500, 4000]"},
        ("difference < 1e-8",),
    ),
}


# by what they need besides
RECIPES = {
    "mlflow_logging": "mlflow",
    "model_card": "skops",
    "optuna_pruning": "optuna",
    "shap_values": "shap",
}


@pytest.fixture
def environment():
    variables = os.environ | {"MPLBACKEND": "Agg", "OPENBLAS_NUM_THREADS": "1"}
    # with a screen, matplotlib warns that Agg shows nothing on it
    return {name: value for name, value in variables.items() if name != "DISPLAY"}


def make_copy(name, folder):
    """Write a copy of an example that does less, and in the end looks at what it found."""
    expected = EXPECTED.get(name, Expected())
    script = EXAMPLES[name].read_text()
    for original, smaller in expected.smaller.items():
        assert script.count(original) == 1, original
        script = script.replace(original, smaller)
    checks = "".join(f"assert {expression}, {expression!r}\n" for expression in expected.holds)
    copy = folder / f"{name}.py"
    copy.write_text(f"{script}\n{checks}")
    return copy


def run(*command, warnings="error", **options):
    command = [sys.executable, "-W", warnings, *map(str, command)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_example_runs_without_warnings_and_keeps_its_promise(name, environment, tmp_path):
    package = RECIPES.get(name)
    if package is not None:
        pytest.importorskip(package, reason=f"the extra 'recipes' brings {package}")
    # other packages may warn of each other
    warnings = "error" if package is None else "default"
    copy = make_copy(name, tmp_path)
    printed = run(copy, cwd=tmp_path, env=environment, warnings=warnings)
    assert EXPECTED.get(name, Expected()).prints in printed


def test_every_expectation_is_of_an_example():
    assert set(EXAMPLES) >= set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_example_has_no_plumbing_of_tests(name):
    script = EXAMPLES[name].read_text()
    assert "assert " not in script
    assert "SKDNN_" not in script


def test_killed_nightly_job_goes_on_to_the_undisturbed_model(environment, tmp_path):
    data, checkpoint = tmp_path / "today.h5", tmp_path / "today.ckpt"
    resumed, undisturbed = tmp_path / "resumed.h5", tmp_path / "undisturbed.h5"
    script = make_copy("nightly_job", tmp_path)

    def arguments(model):
        return "--data", data, "--model", model, "--max-iter", 200

    run_until_second_save(script, *arguments(resumed), env=environment)
    assert checkpoint.exists()
    assert not resumed.exists()

    assert f"going on from {checkpoint}" in run(script, *arguments(resumed), env=environment)
    assert not checkpoint.exists()

    run(script, *arguments(undisturbed), env=environment)
    models = load_model(resumed), load_model(undisturbed)
    assert len(models[0].loss_curve_) == 200
    np.testing.assert_array_equal(models[0].coefs_[0], models[1].coefs_[0])
