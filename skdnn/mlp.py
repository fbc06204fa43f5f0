"""The fitted network in the clothes of scikit-learn's MLPClassifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import LabelBinarizer

__all__ = ["as_mlp_classifier"]

_ACTIVATIONS = ("identity", "logistic", "relu", "tanh")


def as_mlp_classifier(model: Any) -> MLPClassifier:
    """Return an MLPClassifier with the state of a fitted DeepBinaryClassifier."""
    activation = model._hidden_activation.name
    if activation not in _ACTIVATIONS:
        raise ValueError(
            f"MLPClassifier has no activation {activation!r}; it has {', '.join(_ACTIVATIONS)}."
        )
    mlp = MLPClassifier()
    shared = {k: v for k, v in model.get_params().items() if k in mlp.get_params()}
    # what was fitted, whatever the parameters say by now
    widths = tuple(bias.size for bias in model.intercepts_[:-1])
    shared.update(activation=activation, hidden_layer_sizes=widths)
    # what theirs cannot name becomes the nearest that it can
    if model.solver == "adamw":
        shared.update(solver="adam")
    if model.learning_rate in ("cosine", "one_cycle"):
        shared.update(learning_rate="constant")
    if model.solver == "gd":
        shared.update(
            solver="sgd", momentum=0.0, batch_size=max(1, model.t_ // len(model.loss_curve_))
        )
    if model.tol is None:
        # theirs cannot switch the stopping rule off; patience without end comes to the same
        shared.update(tol=0.0, n_iter_no_change=np.inf)
    mlp.set_params(**shared)

    mlp.coefs_ = [weights.copy() for weights in model.coefs_]
    mlp.intercepts_ = [bias.copy() for bias in model.intercepts_]
    names = (
        "classes_",
        "n_features_in_",
        "feature_names_in_",
        "n_layers_",
        "n_outputs_",
        "out_activation_",
        "n_iter_",
        "t_",
        "loss_",
        "best_loss_",
        "validation_scores_",
        "best_validation_score_",
    )
    for name in names:
        if hasattr(model, name):
            setattr(mlp, name, getattr(model, name))
    mlp.loss_curve_ = list(model.loss_curve_)
    # what its predict and its partial_fit read besides
    mlp._label_binarizer = LabelBinarizer().fit(model.classes_)
    mlp._no_improvement_count = 0
    return mlp
