"""
==================================
Training from an HDF5 file on disk
==================================

Data that do not fit into memory stay on disk. :class:`~skdnn.datasets.HDF5Matrix` looks like a
matrix and is read in pieces: by ``fit``, for validation, and for prediction. Nothing else in a
script changes.
"""

import tempfile
from pathlib import Path

import h5py
import matplotlib.pyplot as plt
import numpy as np
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier
from skdnn.datasets import HDF5Matrix, read_labels
from skdnn.displays import LossCurveDisplay

plt.style.use("seaborn-v0_8-colorblind")

# %%
# A file
# ------
# Signals of 256 readings, half of them with a bump somewhere, stored as 16-bit integers in
# compressed chunks. They are written piece by piece, so that this script never holds them all.

n_signals, n_readings, n_piece = 30_000, 256, 1000
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "signals.h5"
rng = np.random.default_rng(0)
time = np.arange(n_readings)


def make_signals(n):
    y = rng.integers(0, 2, n)
    signals = 500 + rng.normal(0, 100, (n, n_readings)) + 20 * time**0.5
    where = rng.uniform(100, 160, n)[:, np.newaxis]
    signals += 250 * y[:, np.newaxis] * np.exp(-(((time - where) / 8) ** 2))
    return signals.astype(np.int16), y


with h5py.File(path, "w") as file:
    shape, chunks = (n_signals, n_readings), (50, n_readings)
    signals = file.create_dataset("signals", shape, np.int16, chunks=chunks, compression="lzf")
    labels = file.create_dataset("labels", n_signals, np.int64)
    for start in range(0, n_signals, n_piece):
        piece = slice(start, start + n_piece)
        signals[piece], labels[piece] = make_signals(n_piece)

# %%
# A matrix that stays there
# -------------------------
# Slices and masks give views, and read nothing. One pass over the training rows fits a
# ``StandardScaler``, which then transforms every block as it is read.

memory_limit = 2**23  # 8 MiB; the default is 256 MiB
readings = HDF5Matrix(path, "signals", dtype=np.float32, memory_limit=memory_limit)
n_train = int(0.8 * n_signals)
scaler = StandardScaler()
for block in readings[:n_train].blocks():
    scaler.partial_fit(block)

X = HDF5Matrix(path, "signals", dtype=np.float32, transform=scaler, memory_limit=memory_limit)
y = read_labels(path, "labels")
X_train, X_val = X[:n_train], X[n_train:]
print(X_train)
print(f"as an array: {X_train.nbytes / 2**20:.1f} MiB; limit: {memory_limit / 2**20:.0f} MiB")

# %%
# Training
# --------
# Rows come in shuffled windows of whole chunks; while one window trains, the next one is read. Both
# keep within ``memory_limit``, whatever the size of the file. ``X_val`` may be on disk as well.

model = DeepBinaryClassifier(
    (64, 16),
    batch_size=100,
    early_stopping=True,
    max_iter=10,
    tol=None,
    random_state=0,
)
model.fit(X_train, y[:n_train], X_val=X_val, y_val=y[n_train:])
accuracy = model.score(X_val, y[n_train:])
print(f"accuracy on {len(X_val)} validation rows: {accuracy:.3f}")

display = LossCurveDisplay.from_estimator(model)
display.ax_.set_title(f"Trained from disk, {n_train} rows")
plt.show()

# %%
# The same as in memory
# ---------------------
# Where a file lies does not change what is computed. Without shuffling, the batches are the same as
# those of the array, and so are the parameters. With it, a file larger than the limit has batches
# of its own, since rows are mixed within a window of chunks, and one that fits into
# ``memory_limit`` is read once and trained on as the array is.

settings = {"shuffle": False, "batch_size": 100, "max_iter": 2, "tol": None, "random_state": 0}
on_disk = DeepBinaryClassifier((16,), **settings).fit(X_train, y[:n_train])
in_memory = DeepBinaryClassifier((16,), **settings).fit(X_train.load(), y[:n_train])
same_bits = np.array_equal(on_disk.coefs_[0], in_memory.coefs_[0])
print(f"disk and memory give the same bits: {same_bits}")

# %%
# What it learned
# ---------------
# Predictions are made block by block, too. The first signals of the validation rows, as they are
# stored, with the probability of a bump somewhere between steps 100 and 160:

probability = model.predict_proba(X_val)[:, 1]
figure, axes = plt.subplots(3, 1, figsize=(6.4, 5), sharex=True, layout="constrained")
for row, ax in enumerate(axes):
    ax.plot(time, readings[n_train + row], lw=0.8)
    has_bump = "bump" if y[n_train + row] else "no bump"
    ax.set_title(f"{has_bump}; predicted probability {probability[row]:.2f}", fontsize=10)
    ax.set_ylabel("reading")
axes[-1].set_xlabel("time step")
plt.show()

folder.cleanup()
