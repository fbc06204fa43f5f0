"""SIGKILL at random moments of `save_model`: the file is always the old model or the new one.

A child process saves two models in turn to one path, without end. It is killed, the file is
loaded and compared, byte by byte, with what each of the models is saved as.

    python -m robustness.kill_save --kills 100
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from skdnn import DeepBinaryClassifier
from skdnn.persistence import load_model, save_model


def make_model(seed: int, n_features: int, n_units: int) -> DeepBinaryClassifier:
    rng = np.random.RandomState(seed)
    X = rng.standard_normal((20, n_features))
    model = DeepBinaryClassifier((n_units,), solver="gd", tol=None, max_iter=1, random_state=seed)
    return model.fit(X, X[:, 0] > 0)


def saved_bytes(model: DeepBinaryClassifier, path: Path) -> bytes:
    save_model(model, path)
    return path.read_bytes()


def start_saving(models: list[DeepBinaryClassifier], path: Path) -> int:
    """Return the process id of a child that saves the models in turn until it is killed."""
    child = os.fork()
    if child == 0:
        for model in itertools.cycle(models):
            save_model(model, path)
    return child


def main(arguments: list[str] | None = None) -> int:
    """Kill, compare, print the counts, and return 1 if a file was neither the old nor the new."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--features", type=int, default=2000)
    options = parser.parse_args(arguments)
    rng = random.Random(options.seed)
    models = [make_model(seed, options.features, 200) for seed in (0, 1)]
    unlike, in_the_middle, found = 0, 0, [0, 0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.h5")
        started = time.perf_counter()
        images = [saved_bytes(model, path) for model in models]
        one_save = (time.perf_counter() - started) / 2
        for _ in range(options.kills):
            child = start_saving(models, path)
            time.sleep(rng.uniform(0, 4 * one_save))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            load_model(path)
            image = path.read_bytes()
            if image in images:
                found[images.index(image)] += 1
            else:
                unlike += 1
            leftovers = list(Path(folder).glob(".*.tmp"))
            in_the_middle += bool(leftovers)
            for leftover in leftovers:
                leftover.unlink()
    print(
        f"{options.kills} kills (seed {options.seed}) while saving {len(images[0]) / 1e6:.1f} MB: "
        f"{found[0]} files of one model, {found[1]} of the other, {unlike} of neither; "
        f"{in_the_middle} kills left a temporary file"
    )
    return int(unlike > 0)


if __name__ == "__main__":
    sys.exit(main())
