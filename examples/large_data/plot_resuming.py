"""
==================================
Going on after a crash, bit by bit
==================================

A long training run should survive a power cut. :class:`~skdnn.Checkpoint` is a callback that writes
where training stands: parameters, moments of the solver, the random generator, schedule, curves.
Start the same script again, and it goes on to the same bits (not with ``lbfgs``, which starts again
without its history).
"""

import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale

from skdnn import Checkpoint, DeepBinaryClassifier, load_checkpoint

plt.style.use("seaborn-v0_8-colorblind")
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "run.ckpt"

# %%
# A run that is cut off
# ---------------------
# This script runs in a process of its own. A second callback plays the power cut: the process ends
# at once in epoch 20, without a chance to clean up.

SCRIPT = """
import os, sys
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale
from skdnn import Checkpoint, DeepBinaryClassifier

class PowerCut:
    def setup(self, estimator, context): pass
    def teardown(self, estimator, context): pass
    def on_fit_task_begin(self, estimator, context): pass
    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == 19:
            os._exit(1)

X, y = load_breast_cancer(return_X_y=True)
model = DeepBinaryClassifier(
    (32, 16), learning_rate="cosine", max_iter=60, batch_size=32, dropout=0.2, tol=None,
    random_state=0,
)
model.set_callbacks(Checkpoint(sys.argv[1], every=6), PowerCut()).fit(scale(X), y)
"""
process = subprocess.run([sys.executable, "-c", SCRIPT, str(path)], check=False)
print(f"exit code {process.returncode}; left behind: {[p.name for p in path.parent.iterdir()]}")

# %%
# The checkpoint is an HDF5 file without pickle, and a command tells what it holds:
#
# .. code-block:: console
#
#     python -m skdnn info run.ckpt
#
# Going on
# --------
# With ``Checkpoint`` set on the same path, the same ``fit`` goes on by itself. Or from the file
# alone: ``load_checkpoint`` brings the estimator with its parameters. The data must be the same; if
# they differ, an error says so.

X, y = load_breast_cancer(return_X_y=True)
X = scale(X)
resumed = load_checkpoint(path).fit(X, y)

undisturbed = DeepBinaryClassifier(
    (32, 16),
    learning_rate="cosine",
    max_iter=60,
    batch_size=32,
    dropout=0.2,
    tol=None,
    random_state=0,
).fit(X, y)
same_bits = all(map(np.array_equal, resumed.coefs_, undisturbed.coefs_))
print(f"epochs: {len(resumed.loss_curve_)}; the same bits as without a crash: {same_bits}")

try:
    load_checkpoint(path).fit(X[:-1], y[:-1])
except ValueError as error:
    message = str(error).replace(str(path), path.name)
    print(textwrap.fill(f"with other data: {message}", 80))

figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
epochs = np.arange(1, 61)
axes.plot(epochs, undisturbed.loss_curve_, color="0.7", lw=6, label="never cut off")
axes.plot(epochs[:18], resumed.loss_curve_[:18], label="before the last checkpoint, epoch 18")
axes.plot(epochs[18:], resumed.loss_curve_[18:], "--", label="after going on")
axes.axvline(20, color="k", ls=":", label="power cut, epoch 20")
axes.set(xlabel="epoch", ylabel="training loss", title="Two epochs are done again, none is lost")
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %%
# A search that survives
# ----------------------
# Under ``GridSearchCV`` every fit has a file of its own, named after the task that it is. Started
# again, the search finds them: fits that had ended give their result at once, the one that was cut
# off goes on. Remove the files to search anew.

search_path = Path(folder.name) / "search.ckpt"
network = DeepBinaryClassifier(max_iter=10, tol=None, random_state=0)
network.set_callbacks(Checkpoint(search_path, every=10))
grid = {"hidden_layer_sizes": [(16,), (32,)]}
GridSearchCV(network, grid, cv=2).fit(X, y)
for file in sorted(search_path.parent.glob("search.*")):
    print(file.name)

folder.cleanup()
