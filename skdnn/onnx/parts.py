"""What a fitted model is made of: which part decides, and what skl2onnx must be told of the others.

Of the options of a Pipeline or a search inside another estimator, skl2onnx hands on only some.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common._registration import get_converter
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline

from skdnn.classifier import DeepBinaryClassifier
from skdnn.ensemble import DeepEnsembleClassifier
from skdnn.preprocessing import TableEncoder

__all__ = ["check_thresholds", "first_step", "options_of"]

_THRESHOLDS = {
    TunedThresholdClassifierCV: "best_threshold_",
    FixedThresholdClassifier: "threshold",
}
# Where scikit-learn's estimators keep those that they fitted
_FITTED = (
    "best_estimator_",
    "estimator_",
    "estimators_",
    "final_estimator_",
)


def first_step(model: Any) -> Any:
    """Return what takes the columns first, in pipelines, searches and calibration."""
    if isinstance(model, Pipeline):
        return first_step(model[0])
    if hasattr(model, "best_estimator_"):
        return first_step(model.best_estimator_)
    if hasattr(model, "calibrated_classifiers_"):
        return first_step(model.calibrated_classifiers_[0].estimator)
    return model


def check_thresholds(model: Any) -> None:
    """Raise ValueError if labels depend on a threshold, which skl2onnx would leave out."""
    for part in _deciding(model):
        for kind, threshold in _THRESHOLDS.items():
            if isinstance(part, kind):
                raise ValueError(
                    f"skl2onnx would leave out the threshold of {kind.__name__}: save its "
                    f"estimator_, and compare the probabilities with its {threshold}."
                )


def options_of(model: Any, *, zipmap: bool | str, raw_scores: bool) -> dict[int, dict[str, Any]]:
    """Return skl2onnx's options for a model, by the id of the part that each is for.

    Raises
    ------
    ValueError
        When skl2onnx has no log-odds of a part: those that are asked for, or what a calibration
        takes.
    """
    options: dict[int, dict[str, Any]] = {}
    for part in _parts(model):
        if isinstance(part, CalibratedClassifierCV):
            for calibrated in part.calibrated_classifiers_:
                _ask_for_scores(calibrated.estimator, type(part).__name__, options)
    last = _last_step(model)
    given: dict[str, Any] = {}
    if "zipmap" in _allowed(last):
        given["zipmap"] = zipmap
    elif zipmap:
        raise ValueError(f"zipmap={zipmap!r}, but skl2onnx has none of {type(last).__name__}.")
    if raw_scores:
        if not hasattr(model, "decision_function"):
            raise ValueError(f"raw_scores=True, but {type(last).__name__} has no log-odds.")
        _check_scores(last)
        given["raw_scores"] = True
    return options | {id(last): options.get(id(last), {}) | given}


def _ask_for_scores(model: Any, owner: str, options: dict[int, dict[str, Any]]) -> None:
    """Let a model give what calibration takes: log-odds, if it has them."""
    if not hasattr(model, "decision_function"):
        return
    last = _innermost(model)
    if "raw_scores" not in _allowed(last):
        raise ValueError(
            f"{owner} calibrates the log-odds of {type(last).__name__}, which skl2onnx does not "
            "give: calibrate the classifier inside, or a Pipeline of it."
        )
    _check_scores(last)
    options[id(last)] = {"raw_scores": True}


def _check_scores(last: Any) -> None:
    """Raise ValueError if skl2onnx has no log-odds of a classifier, or wrong ones."""
    name = type(last).__name__
    if "raw_scores" not in _allowed(last):
        raise ValueError(f"raw_scores=True, but skl2onnx has no log-odds of {name}.")
    # the log-odds of these are made of those of its estimators
    if not hasattr(last, "final_estimator_"):
        for estimator in getattr(last, "estimators_", ()) if not _is_ours(last) else ():
            if _innermost(estimator) is not estimator:
                raise ValueError(
                    f"skl2onnx has no log-odds of {name} around {type(estimator).__name__}: put "
                    f"the steps before {name}, and save probabilities or another model."
                )


def _is_ours(model: Any) -> bool:
    return isinstance(model, DeepBinaryClassifier | DeepEnsembleClassifier | TableEncoder)


def _allowed(model: Any) -> Any:
    """Return the names of the options that the converter of a part takes."""
    alias = sklearn_operator_name_map.get(type(model))
    allowed = None if alias is None else get_converter(alias).get_allowed_options()
    return allowed or ()


def _last_step(model: Any) -> Any:
    """Return the classifier at the end, to which skl2onnx hands on a pipeline's options."""
    while isinstance(model, Pipeline) or hasattr(model, "best_estimator_"):
        model = model[-1] if isinstance(model, Pipeline) else model.best_estimator_
    return model


def _innermost(model: Any) -> Any:
    """Return the classifier whose log-odds a model has."""
    last = _last_step(model)
    return _innermost(last.estimator_) if type(last) in _THRESHOLDS else last


def _parts(model: Any) -> Iterator[Any]:
    """Go through the fitted estimators that a model is made of, itself included."""
    yield model
    if _is_ours(model):
        return
    inner = [step for _, step in model.steps] if isinstance(model, Pipeline) else []
    for name in _FITTED:
        found = getattr(model, name, None)
        inner += found if isinstance(found, list) else [found]
    if hasattr(model, "estimators_"):
        inner.remove(getattr(model, "estimator_", None))  # which these were copied from
    inner += [part.estimator for part in getattr(model, "calibrated_classifiers_", ())]
    for part in inner:
        if isinstance(part, BaseEstimator):
            yield from _parts(part)


def _deciding(model: Any) -> Iterator[Any]:
    """Go through the parts whose labels are the model's."""
    last = _last_step(model)
    yield last
    if hasattr(last, "final_estimator_"):
        yield from _deciding(last.final_estimator_)
    votes = isinstance(last, VotingClassifier) and last.voting == "hard"
    if votes or isinstance(last, MultiOutputClassifier):
        for estimator in last.estimators_:
            yield from _deciding(estimator)
