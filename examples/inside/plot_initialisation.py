"""
============================================
Initialisation: what becomes of the variance
============================================

A signal that shrinks or grows a little in every layer is gone, or out of bounds, after thirty of
them. The variance of the initial weights decides which. Here an input goes through 30 ReLU layers
of 256 units, drawn by each of the rules of :class:`~skdnn.DeepBinaryClassifier` and by some that
nobody should use; then the same starts are trained.
"""

import copy
import itertools
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from skdnn import DeepBinaryClassifier, DivergenceError
from skdnn.displays import LayerStatisticsDisplay
from skdnn.network.initializers import INITIALIZERS, initialize

N_LAYERS, WIDTH = 30, 256
plt.style.use("seaborn-v0_8-colorblind")

# %%
# The starts
# ----------
# The rules give the weights a mean of 0 and a variance that depends on the fan-in, the number of
# units below: ``he`` 2 / fan_in, ``lecun`` 1 / fan_in, ``xavier`` 2 / (fan_in + fan_out), and
# ``normal`` 1. Between layers of one width ``xavier`` and ``lecun`` are the same.


def draw(start, sizes, random_state):
    """Return the weights of all layers, (fan_in, fan_out) each."""
    weights = [np.empty(shape) for shape in itertools.pairwise(sizes)]
    initialize(weights, random_state, rule=start if start in INITIALIZERS else "he")
    change = {"zeros": 0.0, "tiny": 0.01}.get(start, 1.0)
    return [np.abs(w) if start == "all positive" else change * w for w in weights]


def variances(start, n_networks):
    """Return the variance before the activation, (n_networks, N_LAYERS)."""
    random_state = np.random.RandomState(0)
    inputs = np.random.RandomState(1).standard_normal((32, WIDTH))
    result = np.empty((n_networks, N_LAYERS))
    for network in range(n_networks):
        signal = inputs
        for layer, weight in enumerate(draw(start, [WIDTH] * (N_LAYERS + 1), random_state)):
            z = signal @ weight
            result[network, layer] = z.var()
            signal = np.maximum(z, 0)
    return result


starts = [*INITIALIZERS, "all positive", "tiny", "zeros"]
# one network wanders, the mean of many is what the rule promises
n_networks = dict.fromkeys(starts, 5) | {"he": 48}
curves = {start: variances(start, n_networks[start]) for start in starts}

print("start        | variance in layer 1 | in layer 30 | 30 / 1")
for start, curve in curves.items():
    first, last = curve.mean(axis=0)[[0, -1]]
    ratio = last / first if first else np.nan
    print(f"{start:12} | {first:19.3g} | {last:11.3g} | {ratio:6.2g}")

he = curves["he"].mean(axis=0)
print(f"He's variance is constant within {100 * np.abs(he / he[0] - 1).max():.0f} %")

# %%
# He's rule doubles the variance of the weights, since ReLU lets half of the signal through, and
# the variance stays. ``xavier`` and ``lecun`` are made for tanh: under ReLU each layer halves it.
# N(0, 1) multiplies it by 128. All-positive weights let everything pass, so that ReLU is a
# straight line, and the common sign adds up. Zeros stay zeros.

layers = np.arange(1, N_LAYERS + 1)
figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
styles = {
    "he": "C0-",
    "xavier": "C1--",
    "lecun": "C2:",
    "normal": "C3-",
    "all positive": "C5-.",
    "tiny": "k-",
    "zeros": "C2--",
}
for start in starts[:-1]:
    width = 5 if start == "lecun" else 2
    axes.semilogy(layers, curves[start].mean(axis=0), styles[start], lw=width, label=start)
axes.set(
    xlabel="layer",
    ylabel="variance before the activation",
    title=f"{N_LAYERS} ReLU layers of {WIDTH} units (zeros: no variance at all)",
)
axes.grid(alpha=0.3)
axes.legend(ncols=2)
plt.show()

# %%
# He's promise is about the mean. A single network multiplies the variance by a random factor near
# 1 in every layer, and after 30 of them it may well be off by a factor of 3 or more. Wider layers
# wander less.

figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
axes.semilogy(layers, curves["he"][:16].T, color="0.7", lw=0.8)
axes.plot([], [], color="0.7", lw=0.8, label="single networks")
axes.semilogy(layers, he, lw=2.5, label=f"mean of {len(curves['he'])} networks")
axes.axhspan(0.8 * he[0], 1.2 * he[0], alpha=0.2, label="20 % around layer 1")
axes.set(xlabel="layer", ylabel="variance before the activation", title="He's rule, seen closer")
axes.set_yticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
axes.minorticks_off()
axes.legend(loc="lower left")
plt.show()

# %%
# What it means for training
# --------------------------
# Ten hidden layers of 32 units, plain gradient descent on batches. With ``warm_start`` training
# begins from the ``coefs_`` that it finds, so any start can be tried.

X, y = make_moons(1000, noise=0.2, random_state=0)
n_epochs = 60
figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
start_models = {}
for start in starts:
    model = DeepBinaryClassifier(
        (32,) * 10,
        solver="sgd",
        momentum=0,
        learning_rate_init=0.02,
        batch_size=20,
        alpha=0,
        max_iter=1,
        tol=None,
        warm_start=True,
        random_state=0,
    ).fit(X, y)
    sizes = [X.shape[1], *model.hidden_layer_sizes, 1]
    model.coefs_ = draw(start, sizes, np.random.RandomState(0))
    model.intercepts_ = [np.zeros(size) for size in sizes[1:]]
    if start in ("he", "xavier", "normal"):
        start_models[start] = copy.deepcopy(model)
    model.set_params(max_iter=n_epochs)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Hidden layer")  # dead ones are told of
            model.fit(X, y)
    except DivergenceError as error:
        print(f"{start:12} | {str(error).split(':')[0]}")
        continue
    print(f"{start:12} | loss {model.loss_:.3f}, accuracy {model.score(X, y):.3f}")
    axes.plot(range(1, n_epochs + 1), model.loss_curve_[1:], styles[start], lw=2, label=start)
axes.set(xlabel="epoch", ylabel="training loss", title="Ten hidden layers, from different starts")
axes.set(ylim=(0, 1))
axes.grid(alpha=0.3)
axes.legend(loc="center right", bbox_to_anchor=(1, 0.42))
plt.show()

# %%
# The same on a network of your own
# ---------------------------------
# :class:`~skdnn.displays.LayerStatisticsDisplay` shows activations and gradients of any fitted
# network, layer by layer. These are the starts of above: He's lines are the flattest.

display = LayerStatisticsDisplay.from_estimators(start_models, X, y)
display.ax_.set_title("Ten hidden layers before training")
plt.show()
