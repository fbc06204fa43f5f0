"""
======================================
More features than samples, in seconds
======================================

Gene expression, spectra, small images: a hundred rows with tens of thousands of features. Plain
gradient descent, momentum and L-BFGS never leave the span of the rows, so the network trains in
the coordinates of that *row space*: the same iterates, up to rounding, in steps whose cost does not
grow with the number of features. They are prepared by one QR decomposition of the data.
"""

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from skdnn import DeepBinaryClassifier

plt.style.use("seaborn-v0_8-colorblind")


def make_rows(n_features, n_rows=150, seed=0):
    """Return rows in which 100 of the features differ between the classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n_rows)
    X = rng.standard_normal((n_rows, n_features))
    X[:, :100] += 0.8 * (2 * y[:, np.newaxis] - 1)
    return X, y


# %%
# Seconds against features
# ------------------------
# Sixty steps of gradient descent over all rows with momentum, hidden layers of 20 and 10 units. The
# rival is scikit-learn's ``MLPClassifier`` with the same solver, in the same run. ``row_space`` is
# "auto" by default: it is used where it pays.

common = {
    "hidden_layer_sizes": (20, 10),
    "solver": "sgd",
    "learning_rate_init": 0.02,
    "batch_size": 150,
    "alpha": 0.01,
    "max_iter": 60,
    "random_state": 0,
}
rivals = {
    "MLPClassifier": MLPClassifier(tol=0, n_iter_no_change=1000, **common),
    "skdnn, row_space=False": DeepBinaryClassifier(tol=None, row_space=False, **common),
    "skdnn, default": DeepBinaryClassifier(tol=None, **common),
}


def seconds_of_fit(model, X, y):
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as many steps for all
        model.fit(X, y)
    return time.perf_counter() - start


widths = [500, 2000, 8000, 16000]
seconds = {name: [] for name in rivals}
for width in widths:
    X, y = make_rows(width)
    for name, model in rivals.items():
        seconds[name].append(min(seconds_of_fit(model, X, y) for _ in range(2)))
    ours = seconds["skdnn, default"][-1]
    ratio = seconds["MLPClassifier"][-1] / ours
    print(f"{width:6} features: {ours:.2f} s, MLPClassifier {ratio:.1f} x as long")

figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
for (name, values), style in zip(seconds.items(), ("o--", "s:", "^-"), strict=True):
    axes.loglog(widths, values, style, label=name)
axes.set(
    xlabel="features", ylabel="seconds of fit", title=f"{common['max_iter']} steps over 150 rows"
)
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %%
# The same network
# ----------------
# Row space is another way to the same place, not an approximation: trained with and without, the
# networks agree to rounding, and they predict rows that they have not seen.

X, y = make_rows(widths[-1])
X_new, y_new = make_rows(widths[-1], n_rows=500, seed=1)
there, here = (
    DeepBinaryClassifier(tol=None, row_space=row_space, **common).fit(X, y)
    for row_space in (True, False)
)
difference = np.abs(there.coefs_[0] - here.coefs_[0]).max()
print(f"largest difference of the first layer's {here.coefs_[0].size} weights: {difference:.0e}")
print(f"accuracy on {len(y_new)} new rows: {there.score(X_new, y_new):.3f}")

# %%
# L-BFGS profits as well, and needs no learning rate. Adam does not: its steps are not linear in the
# gradients, and ``row_space=True`` is an error there.

start = time.perf_counter()
lbfgs = DeepBinaryClassifier((20, 10), solver="lbfgs", max_iter=50, tol=None, random_state=0)
lbfgs.fit(X, y)
print(f"lbfgs: {lbfgs.n_iter_} iterations in {time.perf_counter() - start:.2f} s")
print(f"accuracy on new rows: {lbfgs.score(X_new, y_new):.3f}")
