r"""
===================================
Why depth: parity by a tree of XORs
===================================

The parity of n bits is 1 if an odd number of them is. It is the classic case for depth: a tree of
two-input XORs needs about :math:`2n` units in :math:`\log_2 n` layers, while one layer of units
that each recognise one input needs :math:`2^{n-1}` of them.

Here both are written down as exact ReLU weights of a
:class:`~skdnn.DeepBinaryClassifier`, checked on every input, and counted. Then networks of equal
size are trained, which tells another story.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np

from skdnn import DeepBinaryClassifier

plt.style.use("seaborn-v0_8-colorblind")


def all_inputs(n_bits):
    """Return all inputs, (2**n_bits, n_bits), and their parity."""
    X = np.array(list(itertools.product([0.0, 1.0], repeat=n_bits)))
    return X, X.sum(axis=1).astype(int) % 2


# %%
# Weights by hand
# ---------------
# Two ReLU units make an XOR of two bits:
#
# .. math:: a \oplus b = \mathrm{relu}(a + b) - 2\,\mathrm{relu}(a + b - 1)
#
# The right-hand side is linear in the units, so that it can be folded into the weights of the next
# layer. A signal without a partner passes through a unit of its own, since bits are not negative.


def tree_of_xors(n_bits):
    """Return weights and biases that halve the number of signals in each layer."""
    coefs, intercepts = [], []
    signals = np.eye(n_bits)  # (n_units_below, n_signals)
    while (n_signals := signals.shape[1]) > 1:
        n_pairs, n_single = divmod(n_signals, 2)
        add = np.zeros((n_signals, 2 * n_pairs + n_single))
        bias = np.zeros(2 * n_pairs + n_single)
        combine = np.zeros((2 * n_pairs + n_single, n_pairs + n_single))
        for k in range(n_pairs):
            pair = slice(2 * k, 2 * k + 2)
            add[pair, pair] = 1
            bias[pair] = 0, -1
            combine[pair, k] = 1, -2
        if n_single:
            add[-1, -1] = combine[-1, -1] = 1
        coefs.append(signals @ add)
        intercepts.append(bias)
        signals = combine
    # the logit: -10 for even, 10 for odd
    return [*coefs, 20 * signals], [*intercepts, np.array([-10.0])]


def one_unit_per_input(n_bits):
    """Return one hidden layer in which each input of odd parity has a unit of its own."""
    X, y = all_inputs(n_bits)
    odd = X[y == 1]  # (2 ** (n_bits - 1), n_bits)
    coefs = [2 * odd.T - 1, np.full((len(odd), 1), 20.0)]
    return coefs, [1 - odd.sum(axis=1), np.array([-10.0])]


# %%
# A fitted network takes any weights of the right shapes. One epoch of training makes the shapes;
# the attributes ``coefs_`` and ``intercepts_`` are then set.


def with_weights(coefs, intercepts, X, y):
    hidden = [bias.size for bias in intercepts[:-1]]
    model = DeepBinaryClassifier(hidden, max_iter=1, tol=None, random_state=0).fit(X, y)
    model.coefs_, model.intercepts_ = coefs, intercepts
    return model


def n_hidden_units(model):
    return sum(bias.size for bias in model.intercepts_[:-1])


bits = np.arange(2, 13)
tree_units, flat_units = [], []
print("bits | tree: layers  units | one layer: units | wrong answers")
for n_bits in bits.tolist():
    X, y = all_inputs(n_bits)
    tree = with_weights(*tree_of_xors(n_bits), X, y)
    flat = with_weights(*one_unit_per_input(n_bits), X, y)
    n_wrong = sum(int((model.predict(X) != y).sum()) for model in (tree, flat))
    tree_units.append(n_hidden_units(tree))
    flat_units.append(n_hidden_units(flat))
    n_layers = tree.n_layers_ - 2
    print(f"{n_bits:4} | {n_layers:12} {tree_units[-1]:6} | {flat_units[-1]:16} | {n_wrong:13}")
print(f"Both networks are exact on all {len(X)} inputs of {n_bits} bits.")

figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
axes.semilogy(bits, flat_units, "s--", label="one layer, a unit for each odd input")
axes.semilogy(bits, tree_units, "o-", label="tree of XORs")
axes.set(xlabel="number of bits", ylabel="hidden units", title="Units for an exact parity")
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %%
# What training finds
# -------------------
# That a network *can* compute something does not mean that training finds it. Four starts each of
# a network in the shape of the tree, and of one hidden layer with as many units, learn all 256
# inputs of 8 bits.

n_bits, n_starts, n_epochs = (8, 4, 1500)
X, y = all_inputs(n_bits)
tree_shape = tuple(bias.size for bias in tree_of_xors(n_bits)[1][:-1])
shapes = {"shape of the tree": tree_shape, "one hidden layer": (sum(tree_shape),)}
accuracies = {}
for name, hidden in shapes.items():
    accuracies[name] = []
    for seed in range(n_starts):
        model = DeepBinaryClassifier(
            hidden,
            learning_rate_init=0.01,
            batch_size=32,
            alpha=0,
            max_iter=n_epochs,
            tol=None,
            random_state=seed,
        ).fit(2 * X - 1, y)
        accuracies[name].append(model.score(2 * X - 1, y))
    print(f"{name} {hidden}: accuracy {np.round(accuracies[name], 3).tolist()}")

figure, axes = plt.subplots(figsize=(6.4, 3), layout="constrained")
for row, values in enumerate(accuracies.values()):
    axes.plot(values, np.full(n_starts, row), "o", ms=9, alpha=0.6)
axes.axvline(0.5, color="0.4", ls=":", label="guessing")
axes.set(
    xlabel="accuracy on the inputs that it was trained on",
    xlim=(0.45, 1.02),
    ylim=(-0.5, 1.5),
    yticks=range(2),
    yticklabels=[f"{name}\n{hidden}" for name, hidden in shapes.items()],
    title=f"Trained on the parity of {n_bits} bits, {n_starts} starts each",
)
axes.legend()
plt.show()

# %%
# The shallow network does better. Parity has a shortcut, since it depends only on the *number* of
# ones: n ReLU units in one layer can count it up and down, and that is near enough to where
# training starts. The tree has no unit to spare, and each of its layers is useless until the
# others are right. The exponential price is one for a layer that has to recognise inputs one by
# one; what depth buys is a short description, if training can find it. In practice that takes
# more units than the description needs.
