"""Scorers, and whether they can score the labels, which is known before training."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring

from skdnn.training.state import Weights

__all__ = ["check_scorer", "is_known"]


def is_known(scoring: Any) -> bool:
    """Return whether a scorer is one of scikit-learn's, which ask for predictions and no more."""
    return isinstance(scoring, str) or type(scoring).__module__.startswith("sklearn.")


def check_scorer(
    model: Any, classes: np.ndarray, *, has_weights: bool = False
) -> Callable[..., float]:
    """Return the scorer that a model's ``scoring`` stands for.

    Parameters
    ----------
    model : DeepBinaryClassifier
        Its ``scoring`` is the name of a scorer or a callable.
    classes : ndarray of shape (2,)
        Labels. Scorers of scikit-learn score two rows first, to show that they take them.
    has_weights : bool, default=False
        Whether rows have weights, which the scorer is then given.

    Raises
    ------
    ValueError
        When the labels are none for the scorer.
    TypeError
        When it takes no weights, and there are some.
    """
    scorer = check_scoring(model, model.scoring)
    if not is_known(scorer):
        if has_weights and not _takes_weights(scorer):
            raise TypeError(
                f"scoring={model.scoring!r:.100} takes no sample_weight, and rows have weights "
                "(sample_weight, class_weight): give it a parameter sample_weight=None."
            )
        return scorer  # of the user, who may count its calls
    stub = copy.copy(model)
    stub.__dict__.pop("feature_names_in_", None)
    stub.classes_, stub.n_features_in_ = classes, 1
    stub._set_weights(Weights([np.ones((1, 1))], [np.zeros(1)]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            scorer(stub, np.array([[-1.0], [1.0]]), classes)
        except (ValueError, TypeError) as error:
            labels, advice = classes.tolist(), ""
            if "pos_label" in str(error):
                advice = (
                    " It asks which label is the positive one: give "
                    f"make_scorer(..., pos_label={labels[1]!r}) of sklearn.metrics."
                )
            raise ValueError(
                f"scoring={model.scoring!r} cannot score the labels {labels[0]!r} and "
                f"{labels[1]!r}.{advice} {error}"
            ) from error
    return scorer


def _takes_weights(scorer: Any) -> bool:
    try:
        inspect.signature(scorer).bind(None, None, None, sample_weight=None)
    except TypeError:
        return False
    except ValueError:  # of what has no signature, nobody knows
        return True
    return True
