"""SIGKILL at random moments of training with checkpoints: nothing is lost, and no bit is another.

A child process trains, writes a checkpoint after every epoch, and is killed, or interrupted by
Ctrl-C (``--signal SIGINT``). The checkpoint must be
one that loads. Children go on until one ends by itself; what it leaves is compared, bit by bit,
with the model of a run that nobody disturbed. Then the next setting's turn comes.

    python -m robustness.kill_fit --kills 100
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
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import joblib
import numpy as np
import scipy.sparse

from skdnn import Checkpoint, DeepBinaryClassifier, load_checkpoint
from skdnn.datasets import HDF5Matrix
from skdnn.persistence import ModelFileError

N_EPOCHS = 30
INTERRUPTED = 130  # exit status, as shells have it
KILLS_A_RUN = 8  # about


class Setting(NamedTuple):
    """What is trained: ``fit(path)`` begins or goes on; without a path it writes no checkpoint."""

    name: str
    fit: Callable[[Path | None], DeepBinaryClassifier]


def make_settings(folder: Path) -> list[Setting]:
    rng = np.random.RandomState(0)
    X, wide = rng.standard_normal((2000, 20)), rng.standard_normal((60, 2000))
    y, y_wide = X[:, 0] * X[:, 1] > 0, wide[:, 0] > 0
    with h5py.File(folder / "data.h5", "w") as file:
        file.create_dataset("X", data=X, chunks=(100, 20))
    stored = HDF5Matrix(folder / "data.h5", "X", memory_limit=200_000)
    sparse = scipy.sparse.csr_array(np.where(X > 1, X, 0).astype(np.float32))
    stopping = {"early_stopping": True, "scoring": "roc_auc", "dropout": 0.2}
    clipped = {"solver": "sgd", "row_space": True, "max_grad_norm": 0.5, "early_stopping": True}
    return [
        Setting("adam, dropout, validation score", fits(X, y, stopping)),
        Setting("sgd in the row space, validation loss", fits(wide, y_wide, clipped)),
        Setting("adamw, sparse float32", fits(sparse, y, {"solver": "adamw", "alpha": 0.1})),
        Setting("adam, data on disk", fits(stored, y, {"learning_rate": "one_cycle"})),
        Setting("gd", fits(X, y, {"solver": "gd", "learning_rate": "invscaling"})),
        Setting("sgd, second fit of a warm start", fits_twice(X, y, {"solver": "sgd"})),
    ]


def make_model(parameters: dict[str, Any]) -> DeepBinaryClassifier:
    return DeepBinaryClassifier(
        (20, 10), max_iter=N_EPOCHS, tol=None, random_state=0, batch_size=50, **parameters
    )


def fits(X: Any, y: Any, parameters: dict[str, Any]) -> Callable[..., DeepBinaryClassifier]:
    """Return the function that trains a new model, or goes on as a script run again does."""

    def fit(path: Path | None) -> DeepBinaryClassifier:
        callbacks = [] if path is None else [Checkpoint(path)]
        return make_model(parameters).set_callbacks(*callbacks).fit(X, y)

    return fit


def fits_twice(X: Any, y: Any, parameters: dict[str, Any]) -> Callable[..., DeepBinaryClassifier]:
    """Return the function that trains on from a fitted model, or goes on from the file."""

    def fit(path: Path | None) -> DeepBinaryClassifier:
        if path is not None and path.exists():
            return load_checkpoint(path).fit(X, y)
        model = make_model({**parameters, "warm_start": True}).fit(X, y)
        callbacks = [] if path is None else [Checkpoint(path)]
        return model.set_callbacks(*callbacks).fit(X, y)

    return fit


def learned(model: DeepBinaryClassifier) -> str:
    """Return a hash of all that fit set, to the bit."""
    parameters = model.get_params()
    return joblib.hash(
        {
            name: value
            for name, value in vars(model).items()
            if name not in parameters and not name.startswith("_skl_")
        }
    )


def start_fitting(setting: Setting, path: Path) -> int:
    """Return the process id of a child that trains; it exits with 0 when training has ended."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored behind a shell's "&"
        status = 1
        try:
            setting.fit(path)
            status = 0
        except KeyboardInterrupt:
            status = INTERRUPTED
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def is_readable(path: Path) -> bool:
    try:
        load_checkpoint(path)
    except FileNotFoundError:
        pass
    except ModelFileError as error:
        print(error)
        return False
    return True


def kill_and_compare(
    setting: Setting,
    folder: Path,
    rng: random.Random,
    deadly: signal.Signals,
    most_kills: int,
    counts: Counter[str],
) -> None:
    """Train once, with up to so many kills; count kills and what came of them."""
    path = folder / "run.ckpt"
    started = time.perf_counter()
    expected = learned(setting.fit(path))
    seconds = time.perf_counter() - started
    path.unlink()
    n_kills = 0
    while True:
        child = start_fitting(setting, path)
        if n_kills < most_kills:
            time.sleep(rng.uniform(0, 2 * seconds / KILLS_A_RUN))
            os.kill(child, deadly)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status >= 0 and status != INTERRUPTED:
            break
        n_kills += 1
        counts["unreadable files"] += not is_readable(path)
        counts["before the first file"] += not path.exists()
        leftovers = list(folder.glob(".*.tmp"))
        counts["left a temporary file"] += bool(leftovers)
        for leftover in leftovers:
            leftover.unlink()
    counts["kills"] += n_kills
    counts["runs"] += 1
    counts["restarts that failed"] += status != 0
    # training has ended: the file gives its result at once
    counts["results of other bits"] += learned(setting.fit(path)) != expected
    counts["results of other bits"] += learned(setting.fit(None)) != expected
    path.unlink()


def main(arguments: list[str] | None = None) -> int:
    """Kill, compare, print the counts, and return 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--signal", choices=["SIGKILL", "SIGINT"], default="SIGKILL")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rng, deadly = random.Random(options.seed), signal.Signals[options.signal]
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for setting in itertools.cycle(make_settings(folder)):
            before = counts["kills"]
            kill_and_compare(setting, folder, rng, deadly, options.kills - before, counts)
            print(f"{setting.name}: {counts['kills'] - before} kills", flush=True)
            if counts["kills"] >= options.kills:
                break
    lost = ("unreadable files", "restarts that failed", "results of other bits")
    noted = ("before the first file", "left a temporary file")
    print(
        f"{counts['kills']} kills ({options.signal}, seed {options.seed}) in {counts['runs']} runs "
        f"of {N_EPOCHS} epochs: {', '.join(f'{counts[name]} {name}' for name in lost)}; "
        f"{', '.join(f'{counts[name]} {name}' for name in noted)}"
    )
    return int(sum(counts[name] for name in lost) > 0)


if __name__ == "__main__":
    sys.exit(main())
