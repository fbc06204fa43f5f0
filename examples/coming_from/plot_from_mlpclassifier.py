"""
=========================
Coming from MLPClassifier
=========================

Change the import, and a script for two classes runs: parameters, their order and defaults, fitted
attributes and their shapes are those of scikit-learn's
:class:`~sklearn.neural_network.MLPClassifier`. This page tells what differs on purpose, and shows
the two differences that change results.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler, scale

from skdnn import DeepBinaryClassifier

plt.style.use("seaborn-v0_8-colorblind")
# MLPClassifier warns when it may not train on; here that is meant
warnings.filterwarnings("ignore", category=ConvergenceWarning)

# %%
# The same script
# ---------------

X, y = load_breast_cancer(return_X_y=True)
X = scale(X)
n_samples = len(X)
for estimator in (MLPClassifier, DeepBinaryClassifier):
    model = estimator((20, 10), batch_size=50, max_iter=30, random_state=0).fit(X, y)
    shapes = [weights.shape for weights in model.coefs_]
    print(f"{estimator.__name__}: {shapes}, {model.n_iter_} epochs, loss {model.loss_:.3f}")

# %%
# Parameter by parameter
# ----------------------
#
# ======================== ============================== ========================================
# parameter                MLPClassifier                  DeepBinaryClassifier
# ======================== ============================== ========================================
# ``activation``           4                              and leaky_relu, elu, silu, gelu
# ``solver``               lbfgs, sgd, adam               and adamw, gd
# ``alpha``                divided by the *batch's* rows  divided by *all* rows
# ``learning_rate``        for sgd alone                  for all but lbfgs; cosine, one_cycle
# ``tol``                  of each epoch                  of ``n_iter_no_change`` epochs together;
#                                                         None: exactly ``max_iter`` epochs
# ``early_stopping``       by accuracy; not for lbfgs     by log loss or ``scoring``; for all
# ``verbose``              prints every epoch             an int k prints every k-th
# ``warm_start``           new moments                    goes on where it stopped
# initial weights          Glorot, uniform                ``init="he"``, normal
# weights of classes       none                           ``class_weight``
# validation rows          none                           ``fit(X, y, X_val=..., y_val=...)``
# divergence               a warning, or nothing          ``DivergenceError``
# logits                   none                           ``decision_function``
# ======================== ============================== ========================================
#
# ``alpha``, carried over
# -----------------------
# MLPClassifier divides the penalty by the rows of a batch, so that it acts
# ``n_samples / batch_size`` times as strongly as on all rows. Multiply a tuned ``alpha`` by that,
# and the penalty is the same, whatever the batch size is later.

alphas = np.logspace(-2, 1, 7)
batch_size = 50
common = {"batch_size": batch_size, "max_iter": 60, "learning_rate_init": 0.01, "random_state": 0}


def size_of_weights(model):
    model.fit(X, y)
    return np.sqrt(sum(np.sum(weights**2) for weights in model.coefs_))


sizes = {
    "MLPClassifier": [size_of_weights(MLPClassifier((20,), alpha=a, **common)) for a in alphas],
    "skdnn, the same alpha": [
        size_of_weights(DeepBinaryClassifier((20,), alpha=a, **common)) for a in alphas
    ],
    "skdnn, alpha · n_samples / batch_size": [
        size_of_weights(DeepBinaryClassifier((20,), alpha=a * n_samples / batch_size, **common))
        for a in alphas
    ],
}
figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
for (name, values), style in zip(sizes.items(), ("o-", "s:", "^--"), strict=True):
    axes.semilogx(alphas, values, style, label=name)
axes.set(
    xlabel="alpha as given to MLPClassifier",
    ylabel="norm of all weights",
    title=f"The same penalty in another unit: batches of {batch_size} of {n_samples} rows",
    ylim=(0, None),
)
axes.grid(alpha=0.3)
axes.legend()
plt.show()

theirs, same, converted = (np.array(values) for values in sizes.values())

# %%
# Early stopping
# --------------
# MLPClassifier watches the accuracy of a tenth of the rows, which moves in steps of one row. Here
# the log loss is watched, or any scorer. Is it an odd digit?

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.data, digits.target % 2, stratify=digits.target, random_state=0
)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
stopping = {"early_stopping": True, "learning_rate_init": 0.003, "random_state": 0}
for model in (
    MLPClassifier((64,), **stopping),
    DeepBinaryClassifier((64,), **stopping),
    DeepBinaryClassifier((64,), scoring="roc_auc", **stopping),
):
    probability = model.fit(X_train, y_train).predict_proba(X_test)[:, 1]
    watched = "accuracy" if isinstance(model, MLPClassifier) else model.scoring
    print(
        f"{type(model).__name__:20} by {watched:8}: {model.n_iter_:3} epochs, "
        f"test log loss {log_loss(y_test, probability):.3f}, "
        f"ROC AUC {roc_auc_score(y_test, probability):.4f}"
    )

# %%
# And back again
# --------------
# ``to_mlp_classifier`` returns the fitted network as scikit-learn's own class, for converters and
# explainers that know no other. The activation must be one of MLPClassifier's four.

mlp = model.to_mlp_classifier()
print(type(mlp))
