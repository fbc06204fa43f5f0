"""
=========================================================
Dead units: high learning rates kill, leaky ReLU survives
=========================================================

A ReLU unit that is 0 on every sample gets no gradient. In the first layer it stays like that for
good, since its inputs do not move; in a later one it may come back. Long steps throw units there.
A leaky ReLU has a small slope below 0, so the gradient always finds a way.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.preprocessing import scale

from skdnn import DeepBinaryClassifier
from skdnn.displays import DeadUnitsDisplay
from skdnn.inspection import dead_units

plt.style.use("seaborn-v0_8-colorblind")

X, y = make_moons(600, noise=0.2, random_state=0)
X = scale(X)

# %%
# A sweep over learning rates
# ---------------------------
# Four hidden layers of 32 units, trained by Adam for 30 epochs, five starts for each rate. When a
# whole layer is dead, the prediction is the same for all rows, and ``fit`` warns. Here that is
# what we are after, so the warning is silenced, and :func:`~skdnn.inspection.dead_units` counts.

rates = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
n_starts = 5


def train(activation, learning_rate, seed):
    model = DeepBinaryClassifier(
        (32, 32, 32, 32),
        activation,
        learning_rate_init=learning_rate,
        batch_size=32,
        max_iter=30,
        tol=None,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Hidden layer")
        return model.fit(X, y)


dead, accuracy = {}, {}  # (n_rates, n_starts) by activation
print("activation | learning rate | dead units | accuracy")
for activation in ("relu", "leaky_relu"):
    dead[activation] = np.empty((len(rates), n_starts))
    accuracy[activation] = np.empty((len(rates), n_starts))
    for i, rate in enumerate(rates):
        for seed in range(n_starts):
            model = train(activation, rate, seed)
            dead[activation][i, seed] = np.concatenate(dead_units(model, X).masks).mean()
            accuracy[activation][i, seed] = model.score(X, y)
        print(
            f"{activation:10} | {rate:13} | {dead[activation][i].mean():10.0%} | "
            f"{accuracy[activation][i].mean():.3f}"
        )

# %%
# The share of dead units grows with the rate. At 0.3 the ReLU network is gone: most units are dead,
# and it hardly does better than guessing. A leaky unit has a slope of 0.01 below 0 and is never
# without a gradient: it goes on learning and keeps most of the accuracy. At modest rates the two do
# equally well.

figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.8), layout="constrained", sharex=True)
for activation, style in (("relu", "o-"), ("leaky_relu", "s--")):
    for axes, values in ((left, dead), (right, accuracy)):
        (line,) = axes.semilogx(rates, values[activation].mean(axis=1), style, label=activation)
        axes.semilogx(rates, values[activation], ".", color=line.get_color(), alpha=0.3)
left.set(ylabel="share of dead units", ylim=(-0.03, 1.03), title="Dead units")
right.set(ylabel="accuracy on the training rows", ylim=(0.4, 1.02), title="Accuracy")
for axes in (left, right):
    axes.set_xlabel("learning rate of Adam")
    axes.grid(alpha=0.3)
left.legend(loc="upper left")
figure.suptitle(f"Lines: mean of {n_starts} starts; dots: each of them", fontsize=10)
plt.show()

# %%
# Where they die
# --------------
# :class:`~skdnn.displays.DeadUnitsDisplay` draws the share of the rows that activate each unit.
# A healthy unit answers to some rows and not to others.

model = train("relu", 0.1, seed=0)
print(dead_units(model, X))
display = DeadUnitsDisplay.from_estimator(model, X)
display.ax_.set_title(f"ReLU, learning rate {model.learning_rate_init}")
plt.show()
