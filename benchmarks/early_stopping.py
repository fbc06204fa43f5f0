"""What early stopping costs and brings: python -m benchmarks.early_stopping.

Full training is 200 epochs without a stopping rule; everything else is as it is by default. Both
scores are of rows that no model has seen.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
    make_circles,
    make_classification,
    make_gaussian_quantiles,
    make_moons,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier

RESULTS = Path(__file__).parent / "results" / "early_stopping.md"
MAX_ITER = 200
Model = DeepBinaryClassifier | MLPClassifier
# learning rate and seed in, unfitted model out
MODELS: dict[str, Callable[[float, int], Model]] = {
    "skdnn, full": lambda rate, seed: DeepBinaryClassifier(
        learning_rate_init=rate, max_iter=MAX_ITER, tol=None, random_state=seed
    ),
    "skdnn, early": lambda rate, seed: DeepBinaryClassifier(
        learning_rate_init=rate, max_iter=MAX_ITER, early_stopping=True, random_state=seed
    ),
    # MLPClassifier has no tol=None; patience without end comes to the same
    "MLPClassifier, full": lambda rate, seed: MLPClassifier(
        learning_rate_init=rate, max_iter=MAX_ITER, n_iter_no_change=np.inf, random_state=seed
    ),
    "MLPClassifier, early": lambda rate, seed: MLPClassifier(
        learning_rate_init=rate, max_iter=MAX_ITER, early_stopping=True, random_state=seed
    ),
}


class Task(NamedTuple):
    """A binary problem of a data set."""

    dataset: str
    name: str
    X: np.ndarray
    y: np.ndarray


def make_tasks() -> Iterator[Task]:
    """Make the problems: real ones, then synthetic ones with noise."""
    X, y = load_breast_cancer(return_X_y=True)
    yield Task("breast cancer", "breast cancer", X, y)
    for dataset, load in (("iris", load_iris), ("wine", load_wine), ("digits", load_digits)):
        X, y = load(return_X_y=True)
        for label in np.unique(y):
            yield Task(dataset, f"{dataset}, {label} or not", X, (y == label).astype(int))
    synthetic = {
        "moons, 200 rows": make_moons(200, noise=0.3, random_state=0),
        "circles, 500 rows": make_circles(500, noise=0.2, factor=0.5, random_state=0),
        "quantiles, 1,000 rows": make_gaussian_quantiles(
            n_samples=1000, n_features=10, n_classes=2, random_state=0
        ),
        "hypercube, 2,000 rows": make_classification(
            2000, n_features=20, n_informative=5, flip_y=0.1, random_state=0
        ),
        "hypercube, 5,000 rows": make_classification(
            5000, n_features=40, n_informative=10, flip_y=0.05, weights=[0.8], random_state=0
        ),
    }
    for name, (X, y) in synthetic.items():
        yield Task(name, name, X, y)


class Scores(NamedTuple):
    """Mean scores of a model on a task's test rows."""

    roc_auc: float
    log_loss: float
    n_iter: float


def evaluate(task: Task, make_model: Callable[[int], Model], n_splits: int) -> Scores:
    """Train and score a model on random stratified splits of a task."""
    splits = StratifiedShuffleSplit(n_splits, test_size=0.3, random_state=0)
    scores = []
    for seed, (train, test) in enumerate(splits.split(task.X, task.y)):
        model = make_pipeline(StandardScaler(), make_model(seed))
        with warnings.catch_warnings():
            # that 200 epochs are not the end of it is the point of the comparison
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(task.X[train], task.y[train])
        p, y = model.predict_proba(task.X[test])[:, 1], task.y[test]
        scores.append(Scores(roc_auc_score(y, p), log_loss(y, p), model[-1].n_iter_))
    return Scores(*np.mean(scores, axis=0))


def format_table(rows: dict[str, dict[str, Scores]]) -> str:
    """Return a Markdown table: ROC AUC / log loss (epochs) of every model, a line a task."""
    lines = [
        "| | " + " | ".join(MODELS) + " |",
        "|---|" + "---|" * len(MODELS),
    ]
    for name, scores in rows.items():
        cells = (f"{s.roc_auc:.4f} / {s.log_loss:.4f} ({s.n_iter:.0f})" for s in scores.values())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def mean_scores(rows: list[dict[str, Scores]]) -> dict[str, Scores]:
    """Average some lines of the table."""
    return {model: Scores(*np.mean([row[model] for row in rows], axis=0)) for model in MODELS}


def format_change(of: str, means: dict[str, Scores]) -> str:
    """Say what early stopping changes in the means of a library."""
    full, early = means[f"{of}, full"], means[f"{of}, early"]
    return (
        f"- {of}: early stopping changes mean ROC AUC by {early.roc_auc - full.roc_auc:+.4f} and "
        f"mean log loss by {early.log_loss - full.log_loss:+.4f}."
    )


def format_section(rate: float, n_splits: int) -> str:
    """Evaluate every model on every task at a learning rate; return heading, table and changes."""
    by_task: dict[str, dict[str, Scores]] = {}
    by_dataset: dict[str, list[dict[str, Scores]]] = {}
    for task in make_tasks():
        row = {name: evaluate(task, partial(make, rate), n_splits) for name, make in MODELS.items()}
        by_task[task.name] = row
        by_dataset.setdefault(task.dataset, []).append(row)
        print(format_table({task.name: row}).splitlines()[-1], flush=True)
    of_tasks = mean_scores(list(by_task.values()))
    of_datasets = mean_scores([mean_scores(rows) for rows in by_dataset.values()])
    by_task[f"**mean of {len(by_task)} tasks**"] = of_tasks
    by_task[f"**mean of {len(by_dataset)} data sets**"] = of_datasets
    return "\n".join(
        [
            f"## learning_rate_init={rate:g}",
            "",
            format_table(by_task),
            "",
            "Over the tasks:",
            "",
            *(format_change(of, of_tasks) for of in ("skdnn", "MLPClassifier")),
            "",
            "Over the data sets:",
            "",
            *(format_change(of, of_datasets) for of in ("skdnn", "MLPClassifier")),
            "",
        ]
    )


def main() -> None:
    """Evaluate every model on every task, print the tables, and write them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.early_stopping")
    parser.add_argument("--splits", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument(
        "--learning-rates",
        type=float,
        nargs="+",
        default=[0.001, 0.01],
        metavar="RATE",
        help="default: 0.001, at which 200 epochs of a small data set are too few, and 0.01",
    )
    parser.add_argument(
        "--output", type=Path, default=RESULTS, metavar="FILE", help=f"default: {RESULTS.name}"
    )
    arguments = parser.parse_args()
    sections = [
        "# Early stopping against full training\n",
        f"Test ROC AUC / log loss (epochs), means of {arguments.splits} stratified splits with "
        f"30 % of the rows to test on. Full: {MAX_ITER} epochs; early: `early_stopping=True`, at "
        f"most {MAX_ITER} epochs. `StandardScaler` in front, all else by default.\n",
        *(format_section(rate, arguments.splits) for rate in arguments.learning_rates),
    ]
    report = "\n".join(sections)
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(report)
    print(f"\n{report}")


if __name__ == "__main__":
    main()
