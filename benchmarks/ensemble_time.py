"""What the default ensemble costs: two threads against one, and CPU time against one network.

    SKDNN_TABLES=tables python -m benchmarks.ensemble_time

First, wall time of a fit to 20,000 x 20 rows with ``n_jobs=1`` and ``n_jobs=2``, in turn; then CPU
time of fit and of prediction on the tables of ``make quality``, first split, against
``MLPClassifier()`` behind the same encoding: of predictions it is timed too, and stands beside. One
BLAS thread throughout. Runs on a machine that has nothing else to do, and writes
``results/ensemble_time.md``.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.datasets import make_classification
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from benchmarks.quality import RESULTS, load
from benchmarks.timing import Contender, alternate, medians
from skdnn import DeepEnsembleClassifier
from skdnn.preprocessing import TableEncoder

Array = np.ndarray


def seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return what a call takes by a clock."""
    begin = clock()
    work()
    return clock() - begin


def measure_threads(n_times: int) -> dict[int, float]:
    """Return the median wall time of a fit on one thread, and on two."""
    X, y = make_classification(20_000, 20, n_informative=10, flip_y=0.1, random_state=0)

    def contender(n_jobs: int) -> Contender:
        model = DeepEnsembleClassifier(n_jobs=n_jobs, random_state=0)
        return Contender(lambda: model.fit(X, y), warm_up=lambda: model.fit(X[:500], y[:500]))

    took = medians(alternate({str(n): contender(n) for n in (1, 2)}, n_times))
    return {int(n_jobs): wall for n_jobs, wall in took.items()}


def measure_table(path: Path) -> dict[str, float]:
    """Return CPU seconds of ours and of MLPClassifier on the first split of a table."""
    X, y, cat = load(path, 5000)
    splitter = StratifiedShuffleSplit(2, test_size=0.3, random_state=11)
    train, test = next(splitter.split(X, y))
    encoder = TableEncoder(cat)
    encoded = encoder.fit_transform(X[train], y[train])
    encoded_test = encoder.transform(X[test])
    ours = DeepEnsembleClassifier(categorical_features=cat, random_state=0)
    theirs = MLPClassifier(random_state=0)
    clock = time.process_time
    return {
        "ours_fit": seconds(lambda: ours.fit(X[train], y[train]), clock),
        "theirs_fit": seconds(lambda: theirs.fit(encoded, y[train]), clock),
        "ours_predict": min(seconds(lambda: ours.predict_proba(X[test]), clock) for _ in range(5)),
        "ours_one_row": min(
            seconds(lambda: ours.predict_proba(X[test[:1]]), clock) for _ in range(5)
        ),
        "theirs_predict": min(
            seconds(lambda: theirs.predict_proba(encoded_test), clock) for _ in range(5)
        ),
        "encoding": min(seconds(lambda: encoder.transform(X[test]), clock) for _ in range(5)),
    }


def geometric_mean(ratios: list[float]) -> float:
    return float(np.exp(np.mean(np.log(ratios))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=3, help="fits of each number of threads")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # MLPClassifier's about its iterations
    with threadpool_limits(1, "blas"):
        threads = measure_threads(arguments.times)
        lines = [
            "# What the default ensemble costs",
            "",
            "`python -m benchmarks.ensemble_time` measures this.",
            "",
            f"20,000 x 20 rows: {threads[1]:.2f} s on one thread, {threads[2]:.2f} s on two, "
            f"{threads[1] / threads[2]:.2f} times as fast.",
            "",
            "CPU time against `MLPClassifier()` on what `TableEncoder()` makes of the same rows:",
            "",
            "| table | fit, s | MLPClassifier | ratio | predict, ms | MLPClassifier | ratio | "
            "TableEncoder | ratio to both | a row, ms |",
            "|---|" + "---:|" * 9,
        ]
        print(lines[4], flush=True)
        fits, predictions, with_encoding = [], [], []
        for path in sorted(Path(os.environ["SKDNN_TABLES"]).glob("*.npz")):
            took = measure_table(path)
            fits.append(took["ours_fit"] / took["theirs_fit"])
            predictions.append(took["ours_predict"] / took["theirs_predict"])
            both = took["theirs_predict"] + took["encoding"]
            with_encoding.append(took["ours_predict"] / both)
            lines.append(
                f"| {path.stem} | {took['ours_fit']:.2f} | {took['theirs_fit']:.2f} | "
                f"{fits[-1]:.2f} | {1e3 * took['ours_predict']:.1f} | "
                f"{1e3 * took['theirs_predict']:.1f} | {predictions[-1]:.1f} | "
                f"{1e3 * took['encoding']:.1f} | {with_encoding[-1]:.1f} | "
                f"{1e3 * took['ours_one_row']:.1f} |"
            )
            print(lines[-1], flush=True)
    lines.append(
        f"| geometric mean | | | {geometric_mean(fits):.2f} | | | "
        f"{geometric_mean(predictions):.1f} | | {geometric_mean(with_encoding):.1f} | |"
    )
    print(lines[-1])
    (RESULTS / "ensemble_time.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
