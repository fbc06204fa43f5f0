"""A model file is saved again and again while another process loads it: each load gives one whole.

python -m robustness.rewriting --loads 500
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import joblib

from robustness.kill_save import make_model, start_saving
from skdnn.persistence import load_model, save_model

N_MODELS = 3


def main(arguments: list[str] | None = None) -> int:
    """Load, count which model came, and return 1 if it was none of those that are saved."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loads", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rng = random.Random(options.seed)
    models = [make_model(seed, 200, 50) for seed in range(N_MODELS)]
    numbers = {joblib.hash(model.coefs_): f"model {i}" for i, model in enumerate(models)}
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.h5")
        save_model(models[0], path)
        child = start_saving(models, path)
        try:
            for _ in range(options.loads):
                time.sleep(rng.uniform(0, 0.01))
                try:
                    counts[numbers.get(joblib.hash(load_model(path).coefs_), "none of them")] += 1
                except Exception as error:
                    counts[type(error).__name__] += 1
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    found = ", ".join(f"{name} {n} times" for name, n in sorted(counts.items()))
    print(f"{options.loads} loads (seed {options.seed}) while the file is saved: {found}")
    return int(sum(counts[name] for name in numbers.values()) < options.loads)


if __name__ == "__main__":
    sys.exit(main())
