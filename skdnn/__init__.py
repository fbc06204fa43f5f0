"""A deep network for binary classification that behaves like scikit-learn's own estimators."""

from skdnn._version import __version__
from skdnn.callbacks import Checkpoint, load_checkpoint
from skdnn.classifier import DeepBinaryClassifier
from skdnn.ensemble import DeepEnsembleClassifier
from skdnn.kernels.versions import show_versions
from skdnn.persistence import ModelFileError, load_model, save_model
from skdnn.solvers import DivergenceError

__all__ = [
    "Checkpoint",
    "DeepBinaryClassifier",
    "DeepEnsembleClassifier",
    "DivergenceError",
    "ModelFileError",
    "__version__",
    "load_checkpoint",
    "load_model",
    "save_model",
    "show_versions",
]
