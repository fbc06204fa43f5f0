"""Making skdnn's estimators known to skl2onnx."""

from __future__ import annotations

import skl2onnx
from sklearn.utils.fixes import parse_version

from skdnn.classifier import DeepBinaryClassifier
from skdnn.ensemble import DeepEnsembleClassifier
from skdnn.onnx.classifier import (
    OPTIONS,
    convert_network,
    infer_network_outputs,
    parse_classifier,
)
from skdnn.onnx.ensemble import convert_ensemble, infer_ensemble_outputs
from skdnn.onnx.table import convert_table_encoder, infer_encoded, parse_table_encoder
from skdnn.preprocessing import TableEncoder

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
            "installed: pip install --upgrade skl2onnx"
        )
    for classifier, infer, convert in (
        (DeepBinaryClassifier, infer_network_outputs, convert_network),
        (DeepEnsembleClassifier, infer_ensemble_outputs, convert_ensemble),
    ):
        skl2onnx.update_registered_converter(
            classifier,
            f"Skdnn{classifier.__name__}",
            infer,
            convert,
            parser=parse_classifier,
            options=OPTIONS,
        )
    skl2onnx.update_registered_converter(
        TableEncoder,
        "SkdnnTableEncoder",
        infer_encoded,
        convert_table_encoder,
        parser=parse_table_encoder,
    )
