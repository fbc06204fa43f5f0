"""
==================================
Where the networks of one disagree
==================================

A probability of 0.5 can mean two things: that rows like this are of either class, or that there
were no rows like this. The mean of an ensemble does not tell which. The spread of its networks
does.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from skdnn import DeepEnsembleClassifier

plt.style.use("seaborn-v0_8-colorblind")

# %%
# Two moons, and a region without rows
# ------------------------------------
# Where the moons overlap, both classes occur. Right of 1.2 no row was ever seen.

X, y = make_moons(1500, noise=0.25, random_state=0)
seen = X[:, 0] < 1.2
X_train, y_train = X[seen], y[seen]
model = DeepEnsembleClassifier(random_state=0)
model.fit(X_train, y_train)

# %%
# Mean and spread
# ---------------
# ``member_proba`` gives the probability of each network. ``estimator_weights_`` says how much each
# counts in the mean.

horizontal, vertical = np.meshgrid(np.linspace(-2, 3, 150), np.linspace(-1.5, 2, 100))
grid = np.column_stack([horizontal.ravel(), vertical.ravel()])
each = model.member_proba(grid)
mean = each @ model.estimator_weights_
spread = np.sqrt((each - mean[:, np.newaxis]) ** 2 @ model.estimator_weights_)

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, values, title, colors in (
    (axes[0], mean, "Mean: how likely the upper moon's class is", "RdBu_r"),
    (axes[1], spread, "Spread: how far the networks are apart", "viridis"),
):
    filled = ax.contourf(horizontal, vertical, values.reshape(horizontal.shape), 20, cmap=colors)
    fig.colorbar(filled, ax=ax)
    ax.scatter(*X_train.T, c=y_train, cmap="gray", s=6, edgecolors="k", linewidths=0.3)
    ax.axvline(1.2, color="k", ls=":")
    ax.set_title(title)

# %%
# In numbers
# ----------
# The networks agree on rows like those of training, and part where there were none.

left = model.member_proba(X_train).std(axis=1).mean()
right = model.member_proba(X[~seen]).std(axis=1).mean()
print(f"spread where there were rows {left:.3f}, where there were none {right:.3f}")
print(f"the networks part where no rows were: {right > left}")

# %%
# Leave the doubtful to a human
# -----------------------------
# Of the rows that are surest by mean and spread, hardly any is wrong.

everything = model.member_proba(X)
probability = everything @ model.estimator_weights_
wrong = (probability > 0.5) != (y == 1)
doubt = np.minimum(probability, 1 - probability) + everything.std(axis=1)
order = np.argsort(doubt)
kept = np.arange(1, y.size + 1)

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(kept / y.size, np.cumsum(wrong[order]) / kept)
ax.set(
    xlabel="share of the rows that are answered",
    ylabel="share of the answers that are wrong",
    title="The surest first",
)
plt.show()
