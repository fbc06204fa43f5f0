"""What the constructor's parameters may be, in scikit-learn's constraint language.

The only module that imports private names of scikit-learn: its parameter constraints, and the
decorator that checks them before fit.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from sklearn.base import _fit_context
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

from skdnn.network.activations import ACTIVATIONS
from skdnn.network.initializers import INITIALIZERS
from skdnn.solvers import SCHEDULES

__all__ = [
    "CONSTRAINTS",
    "ENCODER_CONSTRAINTS",
    "ENSEMBLE_CONSTRAINTS",
    "SOLVERS",
    "check_layers",
    "fit_context",
]

SOLVERS = ("adam", "adamw", "sgd", "gd", "lbfgs")

_POSITIVE_INTEGER = Interval(Integral, 1, None, closed="left")
_POSITIVE = Interval(Real, 0, None, closed="neither")
_NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
_SHARE = Interval(Real, 0, 1, closed="left")

CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", _POSITIVE_INTEGER],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "solver": [StrOptions(set(SOLVERS))],
    "alpha": [_NOT_NEGATIVE],
    "batch_size": [StrOptions({"auto"}), _POSITIVE_INTEGER],
    "learning_rate": [StrOptions(set(SCHEDULES))],
    "learning_rate_init": [_POSITIVE],
    "power_t": [_NOT_NEGATIVE],
    "max_iter": [_POSITIVE_INTEGER],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [_NOT_NEGATIVE, None],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [_SHARE],
    "beta_1": [_SHARE],
    "beta_2": [_SHARE],
    "epsilon": [_POSITIVE],
    "n_iter_no_change": [_POSITIVE_INTEGER, Options(Real, {np.inf})],
    "max_fun": [_POSITIVE_INTEGER],
    "init": [StrOptions(set(INITIALIZERS))],
    "init_scale": [_POSITIVE, None],
    "init_distribution": [StrOptions({"normal", "uniform"})],
    "negative_slope": [_SHARE],
    "row_space": ["boolean", StrOptions({"auto"})],
    "class_weight": [dict, StrOptions({"balanced"}), None],
    "scoring": [StrOptions({"loss", *get_scorer_names()}), callable],
    "dropout": [_SHARE, "array-like"],
    "max_grad_norm": [_POSITIVE, None],
    "warmup": [_NOT_NEGATIVE],
}

ENCODER_CONSTRAINTS: dict[str, list[Any]] = {
    "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
    "n_bins": [Interval(Integral, 0, None, closed="left")],
    "bins": [StrOptions({"quantile", "tree"})],
    "max_levels": [_POSITIVE_INTEGER],
    "min_frequency": [_POSITIVE_INTEGER],
    "target_encoding": ["boolean"],
    "missing_indicator": ["boolean", StrOptions({"auto"})],
    "random_state": ["random_state"],
}

ENSEMBLE_CONSTRAINTS: dict[str, list[Any]] = {
    "estimator": [HasMethods(["fit", "decision_function"]), None],
    "n_estimators": [_POSITIVE_INTEGER],
    "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
    "encoder": [StrOptions({"auto"}), HasMethods(["fit", "transform"]), None],
    "kinds": [list, tuple, None],
    "cv": ["cv_object"],
    "n_jobs": [Integral, None],
    "warm_start": ["boolean"],
    "verbose": ["verbose"],
    "random_state": ["random_state"],
}

_Method = TypeVar("_Method", bound=Callable[..., Any])


def fit_context(method: _Method) -> _Method:
    """Check the parameters before a method runs, and tear callbacks down after it."""
    return _fit_context(prefer_skip_nested_validation=True)(method)


def check_layers(params: Any) -> tuple[int, ...]:
    """Return the sizes of the hidden layers; ValueError unless they and dropout can be used."""
    hidden = _as_sizes(params.hidden_layer_sizes)
    _check_dropout(params.dropout, len(hidden), params.solver)
    return hidden


def _as_sizes(sizes: Any) -> tuple[int, ...]:
    listed = np.atleast_1d(np.asarray(sizes, dtype=object)).tolist()
    for size in listed:
        if isinstance(size, bool | np.bool_) or not isinstance(size, Integral) or size <= 0:
            raise ValueError(f"hidden_layer_sizes must be integers > 0, got {sizes!r}.")
    return tuple(map(int, listed))


def _check_dropout(dropout: Any, n_hidden: int, solver: str) -> None:
    """Raise ValueError unless dropout is one rate in [0, 1), or one for each hidden layer."""
    try:
        rates = np.atleast_1d(np.asarray(dropout, float))
    except (TypeError, ValueError) as error:
        raise ValueError(f"dropout rates must be numbers in [0, 1), got {dropout!r}.") from error
    if rates.ndim != 1 or not ((rates >= 0) & (rates < 1)).all():
        raise ValueError(f"dropout rates must be in [0, 1), got {dropout!r}.")
    if np.ndim(dropout) and rates.size != n_hidden:
        raise ValueError(
            f"dropout must be one rate, or one for each of the {n_hidden} hidden layers; got "
            f"{rates.size}: {dropout!r}."
        )
    if solver == "lbfgs" and rates.any():
        raise ValueError(
            "dropout makes the objective random, which solver='lbfgs' cannot minimise: use "
            "another solver, or dropout=0."
        )
