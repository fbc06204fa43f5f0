"""Making skdnn's estimators known to skl2onnx."""

from __future__ import annotations

import skl2onnx
from sklearn.utils.fixes import parse_version

from skdnn.classifier import DeepBinaryClassifier
from skdnn.onnx.classifier import (
    OPTIONS,
    convert_network,
    infer_network_outputs,
    parse_classifier,
)

__all__ = ["register"]

# The first that knows scikit-learn 1.9
OLDEST = "1.20.0"


def register() -> None:
    """Register the converters; doing so again changes nothing.

    Raises
    ------
    ImportError
        When the installed skl2onnx is too old.
    """
    if parse_version(skl2onnx.__version__) < parse_version(OLDEST):
        raise ImportError(
            f"skdnn.onnx needs skl2onnx {OLDEST} or newer, and {skl2onnx.__version__} is "
            "installed: pip install --upgrade 'skdnn[onnx]'."
        )
    skl2onnx.update_registered_converter(
        DeepBinaryClassifier,
        "SkdnnDeepBinaryClassifier",
        infer_network_outputs,
        convert_network,
        parser=parse_classifier,
        options=OPTIONS,
    )
