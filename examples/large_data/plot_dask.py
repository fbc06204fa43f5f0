"""
=============================
Training on a cluster of Dask
=============================

Rows that lie on the workers of a Dask cluster stay there:
:class:`~skdnn.dask.DaskDeepBinaryClassifier` sends each step's parameters to the rows, and sums of
gradients come back. The result is that of one machine, up to rounding.

The cluster here is one of two workers in this process, so that the script runs anywhere. On a real
one, give `distributed.Client` its address; nothing else changes.
"""

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
from distributed import Client

from skdnn import DeepBinaryClassifier
from skdnn.dask import DaskDeepBinaryClassifier

plt.style.use("seaborn-v0_8-colorblind")
client = Client(
    processes=False,
    n_workers=2,
    threads_per_worker=1,
    dashboard_address=":0",
    direct_to_workers=True,
)

# %%
# Rows in chunks
# --------------
# Eight chunks, spread over the workers. The label depends on the product of two columns, which no
# linear model finds.

n_rows = 40_000
X = da.random.default_rng(0).normal(size=(n_rows, 10), chunks=(5_000, 10)).persist()
y = (X[:, 0] * X[:, 1] > 0).persist()
print(X.npartitions, "chunks on", len(client.scheduler_info()["workers"]), "workers")

# %%
# Fit and predict
# ---------------
# The parameters are those of :class:`~skdnn.DeepBinaryClassifier`. Predictions of Dask collections
# are lazy.

parameters = {
    "hidden_layer_sizes": (32, 16),
    "batch_size": 2_000,
    "learning_rate_init": 0.01,
    "max_iter": 10,
    "tol": None,
    "random_state": 0,
}
model = DaskDeepBinaryClassifier(**parameters).fit(X, y)
probabilities = model.predict_proba(X)
print(probabilities)
accuracy = model.score(X, y)
print(f"accuracy: {accuracy:.3f}")

# %%
# The same on one machine
# -----------------------
# Of rows that fit into memory, the ordinary estimator learns the same. (Batches are drawn alike,
# so that even the losses of the epochs agree.)

local = DeepBinaryClassifier(**parameters).fit(X.compute(), y.compute())
epochs = np.arange(1, local.n_iter_ + 1)
figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
axes.plot(epochs, local.loss_curve_, lw=5, alpha=0.4, label="one machine")
axes.plot(epochs, model.loss_curve_, "o--", label="two workers")
axes.set(xlabel="epoch", ylabel="training loss", title="Two ways to the same network")
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %%
# Off the cluster
# ---------------
# ``to_local`` returns a :class:`~skdnn.DeepBinaryClassifier`, which needs no Dask: for saving, for
# serving, for ONNX.

moved = model.to_local()
print(type(moved).__name__, moved.predict(np.ones((1, 10))))
client.close()
