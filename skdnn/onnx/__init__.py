"""ONNX: fitted models for any runtime, without Python (extra ``onnx``).

Importing this package registers the converters, after which ``skl2onnx.to_onnx`` knows skdnn's
estimators, alone and inside scikit-learn's pipelines and meta-estimators. `save` does it all for
those who know no skl2onnx.

The converters have the options of skl2onnx's own: ``zipmap``, ``nocl``, ``output_class_labels``
and ``raw_scores`` (the log-odds of each class instead of its probability). They give opsets from
13 to the latest that the installed skl2onnx supports.

``skl2onnx.to_onnx`` gets two things wrong by itself: a ``CalibratedClassifierCV`` around a Pipeline
or a search, whose network it does not ask for the ``raw_scores`` that calibration takes, and the
labels of a ``TunedThresholdClassifierCV``. `save` asks for the former and refuses the latter.
"""

try:
    import onnx  # noqa: F401
    import skl2onnx  # noqa: F401
except ImportError as error:
    raise ImportError(
        "skdnn.onnx needs skl2onnx, which the extra 'onnx' of skdnn brings: pip install skl2onnx"
    ) from error

from skdnn.onnx.registration import register
from skdnn.onnx.saving import input_types, save

__all__ = ["input_types", "save"]

register()
