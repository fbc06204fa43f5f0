r"""
===============================================
What sums of ReLUs can do: squash, square, wave
===============================================

A network with one hidden layer of ReLU units is a sum of kinks, and enough of them come near any
shape. Here the weights are set by hand, for a function that squashes like a sigmoid and for
:math:`x^2`, and then found by training, for a wave.
"""

import matplotlib.pyplot as plt
import numpy as np

from skdnn import DeepBinaryClassifier

plt.style.use("seaborn-v0_8-colorblind")

x = np.linspace(-2, 2, 801)  # (n_points,)
X = x[:, np.newaxis]


def sum_of_relus(slopes, offsets, heights):
    """Return a network whose logit is ``sum(heights * relu(slopes * x + offsets))``."""
    model = DeepBinaryClassifier((len(slopes),), max_iter=1, tol=None, random_state=0)
    model.fit(X, x > 0)
    model.coefs_ = [np.array([slopes], float), np.array(heights, float)[:, np.newaxis]]
    model.intercepts_ = [np.array(offsets, float), np.zeros(1)]
    return model


# %%
# Squashing
# ---------
# :math:`\Psi(x) = \mathrm{relu}(x) - \mathrm{relu}(x - 1)` is 0 on the left, 1 on the right, and a
# straight line in between: two units clip. With it, ReLU layers can do whatever layers of sigmoid
# units can.

clip = sum_of_relus([1, 1], [0, -1], [1, -1])
psi = clip.decision_function(X)

figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
axes.plot(x, psi, lw=2.5, label="relu(x) - relu(x - 1)")
axes.plot(x, 1 / (1 + np.exp(-4 * (x - 0.5))), "--", label="sigmoid of the same slope")
axes.set(xlabel="x", ylabel="output", title="Two ReLU units squash")
axes.legend()
axes.grid(alpha=0.3)
plt.show()

# %%
# Squaring
# --------
# :math:`\mathrm{relu}(x) + \mathrm{relu}(-x) = |x|` agrees with :math:`x^2` at -1, 0 and 1. Adding
# :math:`2\,\mathrm{relu}(x - 1) + 2\,\mathrm{relu}(-x - 1)` makes it agree at -2 and 2 as well, and
# on [-2, 2] no point is off by more than 1/4. With kinks at a distance h instead of 1 it is
# :math:`h^2/4`: twice the units, a quarter of the error.


def square(n_knots):
    """Return a network that equals x**2 at multiples of 2 / n_knots, with 2 n_knots units."""
    distance = 2 / n_knots
    knots = distance * np.arange(n_knots)  # where a kink begins, on each side
    heights = np.full(n_knots, 2 * distance)
    heights[0] = distance
    sides = np.repeat([1.0, -1.0], n_knots)
    return sum_of_relus(sides, np.tile(-knots, 2), np.tile(heights, 2))


n_units, errors = [], []
print("units | largest error of x**2 on [-2, 2]")
for n_knots in (1, 2, 4, 8, 16, 32):
    error = np.abs(square(n_knots).decision_function(X) - x**2).max()
    n_units.append(2 * n_knots)
    errors.append(error)
    print(f"{2 * n_knots:5} | {error:.5f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.6), layout="constrained")
left.plot(x, x**2, color="0.6", lw=4, label="x²")
for n_knots, style in ((1, ":"), (2, "--"), (4, "-")):
    left.plot(x, square(n_knots).decision_function(X), style, label=f"{2 * n_knots} units")
left.set(xlabel="x", ylabel="output", title="Sums of ReLUs")
left.legend()
right.loglog(n_units, errors, "o-", base=2)
right.set(xlabel="ReLU units", ylabel="largest error on [-2, 2]", title="Error against units")
right.grid(alpha=0.3)
plt.show()

# %%
# Any shape, by training
# ----------------------
# A classifier's logit is such a sum. To give it a shape to follow, every x gets both labels: class
# 1 with weight p(x), class 0 with weight 1 - p(x). The log loss is then smallest where the logit
# is the log-odds, ``log(p / (1 - p))``, here a wave.

wave = 3 * np.sin(3 * x)  # log-odds
p = 1 / (1 + np.exp(-wave))
X_both, y_both = np.concatenate([X, X]), np.repeat([1, 0], len(x))
weight = np.concatenate([p, 1 - p])

figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
axes.plot(x, wave, color="0.6", lw=4, label="log-odds of the labels")
print("units | root mean square error of the logit")
wave_errors = {}
for n_hidden, style in ((2, ":"), (4, "--"), (32, "-")):
    starts = [
        DeepBinaryClassifier(
            (n_hidden,),
            solver="lbfgs",
            alpha=0,
            max_iter=500,
            tol=None,
            random_state=seed,
        ).fit(X_both, y_both, sample_weight=weight)
        for seed in range(3)
    ]
    best = min(starts, key=lambda model: model.loss_)
    logit = best.decision_function(X)
    wave_errors[n_hidden] = np.sqrt(np.mean((logit - wave) ** 2))
    print(f"{n_hidden:5} | {wave_errors[n_hidden]:.4f}")
    axes.plot(x, logit, style, label=f"{n_hidden} units, trained")
axes.set(xlabel="x", ylabel="logit", title="A wave out of kinks", ylim=(-4, 5.5))
axes.legend(ncols=2, loc="upper left")
plt.show()
