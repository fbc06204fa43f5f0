"""What training tells the user when it ends otherwise than hoped, at a line of the user's code."""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

__all__ = ["warn", "warn_of_outcome", "warn_of_penalty"]

# Log loss of a constant prediction is at most log(2), and a first epoch begins near it
_FAR_ABOVE_CONSTANT = 4 * math.log(2)
_FAR_ABOVE_TRAINING = 5

# Whose frames are not the user's
_OURS = {"skdnn", "sklearn", "joblib", "contextlib"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line that is neither ours nor of what calls us for the user."""
    level, frame = 2, sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    warnings.warn(message, category, stacklevel=level)


def warn_of_penalty(alpha: float, weight_sum: float) -> str:
    """Tell the user of weights that are nothing beside the penalty; return what was told."""
    told = (
        f"The weights of the rows sum to {weight_sum:.3g} only, so that the penalty of "
        f"alpha={alpha:g} outweighs the loss: it is divided by that sum. Scale the weights "
        "(sample_weight, class_weight) to a mean of 1, or lower alpha."
    )
    warn(told)
    return told


def _warn_of_other_rows(monitor: Any) -> None:
    """Tell the user of an X_val that is worse than guessing in every epoch, as X is not."""
    training = monitor.loss_curve[-len(monitor.validation_loss_curve) :]
    losses = np.asarray(monitor.validation_loss_curve)
    limit = np.maximum(_FAR_ABOVE_CONSTANT, _FAR_ABOVE_TRAINING * np.asarray(training))
    if (losses > limit).all():
        warn(
            f"X_val does not look like X: in every epoch its loss ({losses[0]:.3g} in the first, "
            f"{losses[-1]:.3g} in the last) was far above that of a constant prediction "
            f"({math.log(2):.2g}), and above that of the training rows ({training[-1]:.3g}). Were "
            "the steps before the network applied to it? A Pipeline does so if it is named there: "
            "Pipeline(..., transform_input=['X_val'])."
        )


def warn_of_outcome(params: Any, outcome: Any) -> None:
    """Tell the user of training that ended too early, without a best epoch, or in a dead network.

    Parameters
    ----------
    params : object
        Has the constructor's parameters of `DeepBinaryClassifier` as attributes.
    outcome : Outcome
        What training gave back.
    """
    monitor = outcome.monitor
    if outcome.complaint:
        warn(outcome.complaint, ConvergenceWarning)
    stopped = outcome.converged or monitor.interrupted
    if not (stopped or params.tol is None or params.solver == "lbfgs"):
        losses = monitor.loss_curve
        advice = "raise max_iter or learning_rate_init"
        if not params.early_stopping:
            advice += ", or set early_stopping=True, which ends where rows set aside gain no more"
        if losses[-1] >= losses[0] and len(losses) > 1:
            advice = "lower learning_rate_init"
        warn(
            f"Training ran for max_iter={params.max_iter} epochs without meeting its stopping "
            f"rule (loss {losses[0]:.3g} in the first epoch, {losses[-1]:.3g} in the last): "
            f"{advice}, or set tol=None to run exactly max_iter epochs.",
            ConvergenceWarning,
        )
    is_first_call = len(params.loss_curve_) == len(monitor.loss_curve)
    if monitor.validation_scores and outcome.state.held_out is None and is_first_call:
        _warn_of_other_rows(monitor)
    if monitor.validation_scores and np.isnan(monitor.validation_scores).all():
        warn(
            "Every validation score is NaN, so that no epoch is the best: the parameters are "
            "those of the last one. Check scoring, and scale X_val as X."
        )
    for layer in outcome.dead_layers[:1]:  # behind one that is dead, others follow
        n_units = outcome.layer_sizes[layer]
        warn(
            f"Hidden layer {layer} of {len(outcome.layer_sizes) - 2} is dead: {n_units} of its "
            f"{n_units} units (100 %) are 0 on every training row, so that the prediction is the "
            "same for all rows and training cannot go on. Lower learning_rate_init, scale the "
            "features (StandardScaler), or use activation='leaky_relu'."
        )
