"""
==============================
A nightly job, safe to restart
==============================

A script for cron or a queue: it trains on the day's HDF5 file, which stays on disk, with a
checkpoint every few epochs. Killed at any moment, by a time limit or a power cut, it is simply
started again and goes on. When training is over, the model is written and the checkpoint removed.

.. code-block:: console

    python nightly_job.py --data today.h5 --model model.h5

The checkpoint lies beside the data and bears their name, so that tomorrow's data begin a run of
their own. If there is no data file, the job makes one, so that it can be tried.
"""

import argparse
from pathlib import Path

import h5py
import numpy as np

from skdnn import Checkpoint, DeepBinaryClassifier, load_model, save_model
from skdnn.datasets import HDF5Matrix, read_labels

# %%
# The data: 64 readings of one byte each, and whether the machine failed the day after.


def make_data(path):
    """Write a file of readings under another name, and move it to its place when it is whole."""
    rng = np.random.default_rng(0)
    unfinished = path.with_suffix(".part")
    n_rows = 100_000
    with h5py.File(unfinished, "w") as file:
        readings = rng.integers(0, 256, (n_rows, 64), np.uint8)
        file.create_dataset("readings", data=readings, chunks=(100, 64))
        wear = readings[:, 0] + np.abs(readings[:, 1] - 127.0)  # from 0 to 383
        file["failed"] = (wear + rng.normal(0, 10, n_rows) > 250).astype(np.int64)
    unfinished.replace(path)


# %%
# The job. A file of more than ``memory_limit`` bytes, 256 MiB by default, is read in windows. The
# last tenth of the rows judges which epoch is the best. ``save_model`` replaces an older file only
# when the new one is whole.


def run(data_path, model_path, max_iter):
    """Train, or go on training, and save."""
    checkpoint_path = data_path.with_suffix(".ckpt")
    if not data_path.exists():
        make_data(data_path)
        print(f"made {data_path}")
    X = HDF5Matrix(data_path, "readings", scale=255, dtype=np.float32)
    y = read_labels(data_path, "failed")
    n_train = int(0.9 * len(X))

    model = DeepBinaryClassifier(
        (64, 32),
        batch_size=256,
        learning_rate="one_cycle",
        learning_rate_init=0.005,
        early_stopping=True,
        class_weight="balanced",
        max_iter=max_iter,
        tol=None,
        random_state=0,
    ).set_callbacks(Checkpoint(checkpoint_path, every=2))
    if checkpoint_path.exists():
        print(f"going on from {checkpoint_path}", flush=True)
    else:
        print(f"training on {n_train} rows of {data_path}", flush=True)
    model.fit(X[:n_train], y[:n_train], X_val=X[n_train:], y_val=y[n_train:])

    save_model(model, model_path)
    checkpoint_path.unlink()
    print(f"{len(model.loss_curve_)} epochs, the best is {model.best_iter_}")
    accuracy = load_model(model_path).score(X[n_train:], y[n_train:])
    print(f"saved {model_path}: accuracy {accuracy:.3f} on {len(X) - n_train} rows")


def main():
    """Read the arguments and run the job."""
    parser = argparse.ArgumentParser(description="Train on a file, or go on with it; save.")
    parser.add_argument("--data", type=Path, default=Path("today.h5"))
    parser.add_argument("--model", type=Path, default=Path("model.h5"))
    parser.add_argument("--max-iter", type=int, default=20)
    options = parser.parse_args()
    run(options.data, options.model, options.max_iter)


if __name__ == "__main__":
    main()
