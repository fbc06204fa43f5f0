"""Training state as attributes and arrays: moments, counters, generator; no pickle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from skdnn.container.exact_json import decode, encode
from skdnn.solvers import LBFGS, Adam, FirstOrderSolver, GradientDescent, Momentum
from skdnn.training.monitor import Plateau
from skdnn.training.state import TrainingState, Weights

__all__ = ["pack_state", "pack_weights", "unpack_state", "unpack_weights"]

Array = np.ndarray

_RULES: dict[str, Any] = {rule.__name__: rule for rule in (Adam, GradientDescent, LBFGS, Momentum)}
_MERSENNE_WORDS = 624


def pack_weights(weights: tuple[Sequence[Array], Sequence[Array]], prefix: str) -> dict[str, Array]:
    """Return weights and biases by path, "prefix/1/weights" and so on."""
    arrays = {}
    for i, (coefs, intercepts) in enumerate(zip(*weights, strict=True), 1):
        arrays[f"{prefix}/{i}/weights"] = coefs  # (n_in, n_out)
        arrays[f"{prefix}/{i}/biases"] = intercepts  # (n_out,)
    return arrays


def unpack_weights(arrays: Mapping[str, Array], prefix: str, layer_sizes: Sequence[int]) -> Weights:
    """Undo `pack_weights` for a network of some layer sizes; ValueError for any other array."""
    weights = Weights([], [])
    dtype = arrays[f"{prefix}/1/weights"].dtype
    for i, (n_in, n_out) in enumerate(pairwise(layer_sizes), 1):
        parts = (
            ("weights", (n_in, n_out), weights.coefs),
            ("biases", (n_out,), weights.intercepts),
        )
        for name, shape, collected in parts:
            path = f"{prefix}/{i}/{name}"
            array = arrays[path]
            if array.shape != shape or array.dtype != dtype or dtype not in ("f4", "f8"):
                raise ValueError(
                    f"{path!r} is {array.dtype} of shape {array.shape}, and must be of shape "
                    f"{shape}, float32 or float64 like all of them."
                )
            if not np.isfinite(array).all():
                raise ValueError(f"{path!r} has entries that are not finite.")
            collected.append(array)
    return weights


def pack_state(state: TrainingState, prefix: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return a training state as attributes and arrays below a path.

    Raises
    ------
    ValueError
        When its generator is not the Mersenne Twister, or its scoring has no name.
    """
    generator = state.random_state.get_state(legacy=False)
    if generator["bit_generator"] != "MT19937":
        raise ValueError(
            f"random_state drew from {generator['bit_generator']}, which cannot be stored: only "
            "MT19937 can."
        )
    if type(state.scoring) is not str:
        raise ValueError(
            f"the scoring that training went by, {str(state.scoring)[:100]}, cannot be stored: set "
            "scoring to a name before fit, or save the model with joblib."
        )
    attributes: dict[str, Any] = {
        "rule": state.rule,
        "counters": state.counters,
        "plateau": {name: encode(value) for name, value in state.plateau.items()},
        "watched": state.watched,
        "scoring": state.scoring,
        "generator/name": "MT19937",
        "generator/position": int(generator["state"]["pos"]),
        "generator/has_gauss": int(generator["has_gauss"]),
        "generator/gauss": float(generator["gauss"]),
    }
    if state.n_seen:
        attributes["seen"] = [state.n_seen, state.mean_weight]
    arrays = {"generator": generator["state"]["key"].astype(np.uint32)}
    for name, moment in state.moments.items():
        arrays |= pack_weights(moment, f"moments/{name}")
    if state.latest is not None:
        arrays |= pack_weights(state.latest, "latest")
    if state.held_out is not None:
        arrays["held_out"] = state.held_out
    return (
        {f"{prefix}/{name}": value for name, value in attributes.items()},
        {f"{prefix}/{name}": array for name, array in arrays.items()},
    )


def unpack_state(
    attributes: Mapping[str, Any],
    arrays: Mapping[str, Array],
    prefix: str,
    layer_sizes: Sequence[int] | None,
) -> TrainingState:
    """Undo `pack_state` for a network of some layer sizes; None: of a state without weights.

    Raises
    ------
    ValueError or KeyError
        For anything that `pack_state` would not have returned.
    """
    rule = attributes[f"{prefix}/rule"]
    if rule not in _RULES:
        raise ValueError(f"attribute '{prefix}/rule' is {rule!r}; allowed are {sorted(_RULES)}.")
    steps = issubclass(_RULES[rule], FirstOrderSolver)
    counters = attributes[f"{prefix}/counters"]
    _check_counts(counters, ("n_steps", "n_plateaus") if steps else (), f"{prefix}/counters")
    watched, scoring = attributes[f"{prefix}/watched"], attributes[f"{prefix}/scoring"]
    if not isinstance(watched, str | None) or not isinstance(scoring, str):
        raise ValueError(f"attributes '{prefix}/watched', '{prefix}/scoring' must be texts.")
    held_out = arrays.get(f"{prefix}/held_out")
    if held_out is not None and (held_out.dtype != np.bool_ or held_out.ndim != 1):
        raise ValueError(f"'{prefix}/held_out' must be one row of booleans.")
    latest = None
    moments = {}
    if layer_sizes is not None:
        if f"{prefix}/latest/1/weights" in arrays:
            latest = unpack_weights(arrays, f"{prefix}/latest", layer_sizes)
        moments = {
            name: unpack_weights(arrays, f"{prefix}/moments/{name}", layer_sizes)
            for name in (_RULES[rule].moment_names if steps else ())
        }
    return TrainingState(
        _unpack_generator(attributes, arrays, f"{prefix}/generator"),
        rule,
        counters,
        moments,
        _unpack_plateau(attributes[f"{prefix}/plateau"], f"{prefix}/plateau"),
        latest,
        watched,
        held_out,
        scoring,
        *_unpack_seen(attributes.get(f"{prefix}/seen"), f"{prefix}/seen"),
    )


def _unpack_seen(seen: Any, path: str) -> tuple[int, float]:
    """Return number and mean weight of the rows that partial_fit saw."""
    if seen is None:
        return 0, 1.0
    if not (
        isinstance(seen, list)
        and len(seen) == 2
        and type(seen[0]) is int
        and 0 < seen[0] < 2**53
        and type(seen[1]) is float
        and 0 < seen[1] < math.inf
    ):
        raise ValueError(f"attribute {path!r} must be a number of rows and their mean weight.")
    return seen[0], seen[1]


def _check_counts(counts: Any, names: Sequence[str], path: str) -> None:
    if not (
        isinstance(counts, dict)
        and set(counts) == set(names)
        and all(type(count) is int and 0 <= count < 2**53 for count in counts.values())
    ):
        raise ValueError(f"attribute {path!r} must be numbers from 0 on for each of {names}.")


def _unpack_plateau(packed: Any, path: str) -> dict[str, Any]:
    """Return the state of the stopping rule; empty where there is none yet."""
    plateau = {name: decode(value) for name, value in packed.items()}
    allowed = {name: type(value) for name, value in Plateau(None, 1).get_state().items()}
    if plateau and {name: type(value) for name, value in plateau.items()} != allowed:
        raise ValueError(f"attribute {path!r} must have one number for each of {list(allowed)}.")
    return plateau


def _unpack_generator(
    attributes: Mapping[str, Any], arrays: Mapping[str, Array], path: str
) -> np.random.RandomState:
    key = arrays[path]
    position, has_gauss, gauss = (
        attributes[f"{path}/{name}"] for name in ("position", "has_gauss", "gauss")
    )
    if key.dtype != np.uint32 or key.shape != (_MERSENNE_WORDS,) or not key.any():
        raise ValueError(f"{path!r} must be {_MERSENNE_WORDS} integers of 32 bits, not all 0.")
    # NumPy checks none of it, and would read beyond its own memory
    if type(position) is not int or not 0 <= position <= _MERSENNE_WORDS:
        raise ValueError(f"attribute '{path}/position' must be from 0 to {_MERSENNE_WORDS}.")
    if type(has_gauss) is not int or has_gauss not in (0, 1) or type(gauss) is not float:
        raise ValueError(f"attributes '{path}/has_gauss', '{path}/gauss' must be 0 or 1, a float.")
    random_state = np.random.RandomState(0)
    random_state.set_state(("MT19937", key, position, has_gauss, gauss))
    return random_state
