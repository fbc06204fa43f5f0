"""SIGKILL of a grid search with all its workers: started again, it ends with the same results.

The search runs in a process group of its own, which is killed at random moments. Its fits write
checkpoints; what the last start leaves is compared with a search that nobody disturbed.

    python -m robustness.kill_search --kills 20
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KILLS_A_SEARCH = 5  # about
SCRIPT = """
import sys
import numpy as np
from sklearn.model_selection import GridSearchCV
from skdnn import Checkpoint, DeepBinaryClassifier

X = np.random.RandomState(0).standard_normal((2000, 20))
y = X[:, 0] * X[:, 1] > 0
model = DeepBinaryClassifier(
    (20, 10), max_iter=20, tol=None, random_state=0, batch_size=50, early_stopping=True
)
if sys.argv[1]:
    model.set_callbacks(Checkpoint(sys.argv[1]))
grid = {"alpha": [0.0, 1.0], "solver": ["adam", "sgd"], "dropout": [0.0, 0.2]}
search = GridSearchCV(model, grid, cv=2, n_jobs=2).fit(X, y)
print(search.cv_results_["mean_test_score"].tolist())
print([w.tobytes().hex()[:64] for w in search.best_estimator_.coefs_])
"""


def start(path: str) -> subprocess.Popen[str]:
    """Start the search in a process group of its own; without a path it writes no checkpoints."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, path],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill_and_finish(folder: Path, rng: random.Random, seconds: float, most: int) -> tuple[int, str]:
    """Search once, with up to so many kills; return their number and what the search prints."""
    n_kills = 0
    while True:
        process = start(str(folder / "run.ckpt"))
        if n_kills < most:
            time.sleep(rng.uniform(0, 2 * seconds / KILLS_A_SEARCH))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        found, _ = process.communicate()
        if process.returncode != -signal.SIGKILL:
            return n_kills, found
        n_kills += 1


def main(arguments: list[str] | None = None) -> int:
    """Kill, compare, print the counts, and return 1 if a search ended with other results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rng = random.Random(options.seed)
    started = time.perf_counter()
    expected, _ = start("").communicate()
    seconds = time.perf_counter() - started
    n_kills = n_searches = n_other = 0
    while n_kills < options.kills:
        with tempfile.TemporaryDirectory() as folder:
            n_new, found = kill_and_finish(Path(folder), rng, seconds, options.kills - n_kills)
        n_searches += 1
        n_kills += n_new
        n_other += found != expected or not found
        print(f"{n_new} kills of a search of {seconds:.1f} s", flush=True)
    print(
        f"{n_kills} kills (seed {options.seed}) in {n_searches} searches, {n_other} with other "
        "results"
    )
    return int(n_other > 0)


if __name__ == "__main__":
    sys.exit(main())
