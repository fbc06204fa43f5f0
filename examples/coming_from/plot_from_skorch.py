"""
==================
Coming from skorch
==================

skorch puts scikit-learn's interface around torch modules. If the module is a stack of dense layers
with one logit, :class:`~skdnn.DeepBinaryClassifier` does the same without torch, and a page of code
becomes a constructor. What needs a GPU, convolutions or a module of your own stays with skorch.

A typical script:

.. code-block:: python

    class Module(nn.Module):
        def __init__(self, n_units=64, dropout=0.2):
            super().__init__()
            self.layers = nn.Sequential(
                nn.Linear(64, n_units), nn.ReLU(), nn.Dropout(dropout),
                nn.Linear(n_units, 16), nn.ReLU(), nn.Dropout(dropout),
                nn.Linear(16, 1),
            )

        def forward(self, X):
            return self.layers(X).squeeze(-1)

    torch.manual_seed(0)
    net = NeuralNetBinaryClassifier(
        Module,
        criterion__pos_weight=torch.tensor(9.0),
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=0.01,
        lr=0.003,
        max_epochs=60,
        batch_size=64,
        iterator_train__shuffle=True,
        train_split=ValidSplit(5, stratified=True),
        callbacks=[
            EarlyStopping(patience=20, load_best=True),
            LRScheduler(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=60),
            GradientNormClipping(1.0),
        ],
    )
    net.fit(X.astype(np.float32), y.astype(np.float32))
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.callback import ScoringMonitor
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split

from skdnn import DeepBinaryClassifier
from skdnn.displays import LossCurveDisplay

# %%
# The same in skdnn
# -----------------
# The task is to find the eights among handwritten digits. float32 is kept, as in torch.

digits = load_digits()
X = (digits.data / 16).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(
    X, digits.target == 8, stratify=digits.target, random_state=0
)
net = DeepBinaryClassifier(
    (64, 16),
    dropout=0.2,
    class_weight={False: 1, True: 9},
    solver="adamw",
    alpha=0.01,
    learning_rate="cosine",
    learning_rate_init=0.003,
    max_iter=60,
    batch_size=64,
    early_stopping=True,
    validation_fraction=0.2,
    n_iter_no_change=20,
    max_grad_norm=1.0,
    random_state=0,
)
monitor = ScoringMonitor(scoring="average_precision")
net.set_callbacks(monitor).fit(X_train, y_train)
precision = average_precision_score(y_test, net.decision_function(X_test))
print(f"{net.n_iter_} epochs, the best one is {net.best_iter_}")
print(f"average precision on test rows: {precision:.3f}")
print(f"parameters are {net.coefs_[0].dtype}")

# %%
# ``net.history`` becomes attributes of the fitted network, and a display draws them.

display = LossCurveDisplay.from_estimator(net)
display.ax_.set_title("What net.history holds in skorch")
plt.show()

# %%
# Parameter by parameter
# ----------------------
#
# ======================================== =====================================================
# skorch                                   skdnn
# ======================================== =====================================================
# ``module``, ``module__*``                ``hidden_layer_sizes``, ``activation``, ``dropout``
# ``criterion=BCEWithLogitsLoss``          always, from the logits
# ``criterion__pos_weight=9``              ``class_weight={0: 1, 1: 9}``
# ``optimizer=SGD`` (default)              ``solver="sgd", momentum=0`` (default: adam)
# ``optimizer=AdamW``, its weight decay    ``solver="adamw"``, ``alpha`` (biases do not decay)
# ``optimizer=Adam``, its weight decay     ``solver="adam"``, ``alpha = weight_decay * n_samples``
# ``lr=0.01`` (default)                    ``learning_rate_init=0.001`` (default)
# ``max_epochs=10`` (default)              ``max_iter`` with ``tol=None``
# ``batch_size=128`` (default)             ``batch_size`` (default: 200)
# ``iterator_train__shuffle=False``        ``shuffle=True`` (both are the defaults)
# ``train_split=ValidSplit(5)`` (default)  ``early_stopping=True, validation_fraction=0.2``
# ``train_split=predefined_split(valid)``  ``fit(X, y, X_val=..., y_val=...)``
# ``train_split=None``                     ``early_stopping=False`` (default)
# ``EarlyStopping(patience=10)``           ``early_stopping=True, n_iter_no_change=10``
# ``EarlyStopping(monitor=...)``           ``scoring="roc_auc"``, or any scorer
# ``EpochScoring``                         ``sklearn.callback.ScoringMonitor``
# ``LRScheduler``                          ``learning_rate``, ``warmup``
# ``GradientNormClipping``                 ``max_grad_norm``
# ``Checkpoint``, ``load_params``          ``skdnn.Checkpoint``, ``skdnn.load_checkpoint``
# ``ProgressBar``                          ``sklearn.callback.ProgressBar``
# ``warm_start``, ``partial_fit``          the same, moments and schedule included
# ``threshold=0.5``                        ``sklearn.model_selection.FixedThresholdClassifier``
# ``torch.manual_seed(0)``                 ``random_state=0``
# ``device="cuda"``                        none: CPU only
# ``net.history``                          ``loss_curve_``, ``validation_loss_curve_``, …
# ``net.module_``                          ``coefs_``, ``intercepts_``, transposed
# ======================================== =====================================================
#
# Weights from torch
# ------------------
# ``nn.Linear`` keeps (n_out, n_in), ``coefs_`` (n_in, n_out). A trained torch module moves over in
# two lines; here the layers are made up.

layers = [(weights.T, bias) for weights, bias in zip(net.coefs_, net.intercepts_, strict=True)]
moved = DeepBinaryClassifier((64, 16), max_iter=1, tol=None, random_state=1).fit(X_train, y_train)
moved.coefs_ = [weight.T for weight, bias in layers]
moved.intercepts_ = [bias for weight, bias in layers]

# %%
# What a callback sees
# --------------------
# ``ScoringMonitor`` took the place of ``EpochScoring``: a score of the training rows for each
# epoch. (Scores of the validation rows are in ``validation_scores_``.)

epochs = [entry for entry in monitor.get_logs().data if entry["task_name"] == "epoch"]
for entry in (epochs[0], epochs[-1]):
    print(f"epoch {entry['task_id'] + 1}: average precision {entry['average_precision']:.3f}")
