"""What kinds of networks there are, and what these are where the user does not say.

What each choice brings on a suite of tables stands in benchmarks/results/quality.md.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, NamedTuple

from sklearn.base import clone
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import InputTags, get_tags

from skdnn.classifier import DeepBinaryClassifier
from skdnn.preprocessing import TableEncoder
from skdnn.training.messages import warn

__all__ = [
    "Kind",
    "check_kinds",
    "count_folds",
    "input_tags",
    "is_identity",
    "kinds_to_continue",
    "resolve_estimator",
]

# Batches of an epoch, and what a batch is at least and at most
_BATCHES = 30
_SMALLEST_BATCH, _LARGEST_BATCH = 16, 256

# Epochs without a better validation loss that end training; those that end it in any case are more
# than any network of the benchmark takes
_PATIENCE = 9
_MOST_EPOCHS = 1000

# Inputs above which the learning rate goes down, as their number goes up
_MANY_INPUTS = 10_000

# Bins of the kind that is for larger tables
_FINE_BINS = 32
_ROWS_FOR_FINE_BINS, _COLUMNS_FOR_FINE_BINS = 1000, 50

# Folds where each kind has so many networks; else the second number, of which each has some
_FEWEST_FOLDS, _MOST_FOLDS = 4, 8


class Kind(NamedTuple):
    """What the networks of a kind see of a table, and what they are copies of."""

    encoder: Any
    estimator: DeepBinaryClassifier | None
    max_features: float = 1.0  # share of the columns that each network sees
    fewest_rows: int = 0  # that it takes
    most_columns: float = math.inf
    hidden_layer_sizes: tuple[int, ...] = (64, 64)  # of the default estimator
    learning_rate_init: float = 0.006

    def suits(self, n_rows: int, n_columns: int) -> bool:
        """Return whether there are networks of this kind for a table of a size."""
        return n_rows >= self.fewest_rows and n_columns <= self.most_columns


def _default_kinds(n_estimators: int, categorical_features: Any, estimator: Any) -> list[Kind]:
    """Return kinds of networks: as many of the four as there can be four networks of each.

    Numbers in bins, or as they are, one hidden layer or two: which of them suits depends on the
    table, by much. Networks that see other columns each make other mistakes. Fine bins draw
    sharp boundaries, where there are rows enough for them; of many columns they make more than
    the rows can tell apart.
    """
    bins = TableEncoder(categorical_features)
    kinds = [
        Kind(bins, estimator),
        Kind(TableEncoder(categorical_features, n_bins=0), estimator, learning_rate_init=0.008),
        Kind(bins, estimator, 0.6, hidden_layer_sizes=(64,), learning_rate_init=0.012),
        Kind(
            TableEncoder(categorical_features, n_bins=_FINE_BINS),
            estimator,
            fewest_rows=_ROWS_FOR_FINE_BINS,
            most_columns=_COLUMNS_FOR_FINE_BINS,
        ),
    ]
    if estimator is not None:  # which has layers of its own
        kinds = kinds[:2]
    return kinds[: max(1, n_estimators // _FEWEST_FOLDS)]


def check_kinds(model: Any) -> list[Kind]:
    """Return the kinds that an ensemble of some parameters has networks of."""
    _check_estimator(model.estimator)
    _check_instance(model.encoder, "encoder")
    _check_instance(model.cv, "cv")
    if model.kinds is None:
        if isinstance(model.encoder, str):  # "auto"
            return _default_kinds(model.n_estimators, model.categorical_features, model.estimator)
        if not isinstance(model.categorical_features, str | None):
            raise ValueError(
                "categorical_features is of encoder='auto', and encoder is "
                f"{model.encoder!r:.100}: give it to that, or leave it out."
            )
        return [Kind(model.encoder, model.estimator)]
    for kind in model.kinds:
        if not isinstance(kind, tuple | list) or len(kind) not in (2, 3):
            raise ValueError(
                "kinds must hold pairs of encoder and estimator, or these with max_features, got "
                f"{kind!r:.100}."
            )
        share = kind[2] if len(kind) > 2 else 1
        if not (isinstance(share, Real) and 0 < float(share) <= 1):
            raise ValueError(
                f"max_features of a kind must be more than 0 and at most 1, the share of the "
                f"columns that each network sees; got {share!r:.100}."
            )
        _check_instance(kind[0], "The encoder of a kind")
        if not (kind[0] is None or kind[0] == "auto" or hasattr(kind[0], "transform")):
            raise ValueError(
                "The encoder of a kind must be 'auto', None or a transformer, got "
                f"{kind[0]!r:.100}."
            )
        _check_estimator(kind[1])
    if not len(model.kinds):
        raise ValueError("kinds must have at least one pair of encoder and estimator.")
    if len(model.kinds) > model.n_estimators:
        raise ValueError(
            f"kinds has {len(model.kinds)} kinds of networks, and n_estimators="
            f"{model.n_estimators} networks: there must be one of each kind at least."
        )
    return [
        Kind(TableEncoder(model.categorical_features) if encoder == "auto" else encoder, *rest)
        for encoder, *rest in model.kinds
    ]


def _check_instance(given: Any, name: str) -> None:
    """Raise TypeError for a class, which has the methods that validation asks for."""
    if isinstance(given, type):
        raise TypeError(f"{name} is the class {given.__name__}: give {given.__name__}().")


def _check_estimator(estimator: Any) -> None:
    """Raise TypeError if an estimator is none that networks can be copies of."""
    if not isinstance(estimator, DeepBinaryClassifier | None):
        raise TypeError(
            f"estimator must be a DeepBinaryClassifier or None, got {estimator!r:.100}."
        )
    if estimator is not None and not estimator._takes_arrays:
        raise TypeError(
            f"estimator must take arrays, as a DeepBinaryClassifier does, and a "
            f"{type(estimator).__name__} does not: an ensemble trains on rows in memory."
        )


def kinds_to_continue(model: Any) -> list[Kind]:
    """Return the kinds that there are networks of, if more of them can join."""
    if not hasattr(model, "_judgement"):
        raise ValueError(
            "This ensemble was loaded from a file, which does not keep what warm_start=True "
            "goes on from: set warm_start=False, or save it with joblib."
        )
    n_kinds, n_before = model._judgement.n_kinds, len(model.estimators_)
    kinds = check_kinds(model)[:n_kinds]  # of the default ones, no others join
    if n_before > model.n_estimators:
        raise ValueError(
            f"n_estimators={model.n_estimators} must not be less than the {n_before} networks "
            "that warm_start=True goes on from."
        )
    if len(kinds) != n_kinds:
        raise ValueError(
            f"There are networks of {n_kinds} kinds, which warm_start=True goes on from, and "
            f"{len(kinds)} kinds now."
        )
    for kind, fitted in zip(kinds, model._kind_encoders, strict=True):
        if not _is_alike(kind.encoder, fitted):
            raise ValueError(
                f"The encoder {fitted!r:.200} of the networks that warm_start=True goes on from is "
                f"another than {kind.encoder!r:.200} now (encoder, kinds, categorical_features)."
            )
    if n_before == model.n_estimators:
        warn(f"There are n_estimators={n_before} networks already: warm_start=True adds none.")
    return kinds


def is_identity(encoder: Any) -> bool:
    """Return whether an encoder is what stands for ``encoder=None``."""
    return type(encoder) is FunctionTransformer and encoder.func is None


def _is_alike(encoder: Any, fitted: Any) -> bool:
    """Return whether an encoder is what another was before it was fitted and got a seed."""
    if encoder is None:
        return is_identity(fitted)
    if not isinstance(encoder, TableEncoder):
        return type(encoder) is type(fitted)
    drawn = () if isinstance(encoder.random_state, Integral) else ("random_state",)
    return isinstance(fitted, TableEncoder) and fitted._encodes_as(encoder, but=drawn)


def input_tags(encoder: Any) -> InputTags:
    """Return which tables an encoder, as the user gives it, takes."""
    if encoder is None:
        return InputTags(sparse=True)
    tags = get_tags(encoder).input_tags
    # others may let gaps through, which no network takes
    tags.allow_nan &= isinstance(encoder, TableEncoder)
    return tags


def count_folds(n_estimators: int, n_kinds: int) -> int:
    """Return how many folds there are by default."""
    n_networks = n_estimators // n_kinds
    return min(n_networks, _MOST_FOLDS) if n_networks >= _FEWEST_FOLDS else _MOST_FOLDS


def resolve_estimator(
    kind: Kind, n_samples: int, n_train: int, n_inputs: int = 1, mean_weight: float = 1.0
) -> DeepBinaryClassifier:
    """Return what a kind's networks are copies of.

    Parameters
    ----------
    kind : Kind
    n_samples, n_train : int
        Rows of the table, and those that each network is trained on, at least.
    n_inputs : int, default=1
        Dense inputs of a network. A step of Adam moves each weight, and so the sum over very many
        inputs by very much: too far for a unit to come back.
    mean_weight : float, default=1.0
        Of the rows. The default penalty is that of so many rows of this weight, so that only the
        weights' ratios matter.
    """
    if kind.estimator is None:
        size = min(max(round(n_samples / _BATCHES), _SMALLEST_BATCH), _LARGEST_BATCH)
        return DeepBinaryClassifier(
            kind.hidden_layer_sizes,
            alpha=mean_weight,
            batch_size=min(size, n_train),
            learning_rate_init=kind.learning_rate_init * min(1, _MANY_INPUTS / n_inputs),
            max_iter=_MOST_EPOCHS,
            early_stopping=True,
            n_iter_no_change=_PATIENCE,
        )
    return clone(kind.estimator).set_params(early_stopping=True, warm_start=False)
