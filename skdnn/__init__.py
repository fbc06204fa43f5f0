"""A deep network for binary classification that behaves like scikit-learn's own estimators."""

from skdnn.classifier import DeepBinaryClassifier
from skdnn.persistence import ModelFileError, load_model, save_model
from skdnn.solvers import DivergenceError

__all__ = [
    "DeepBinaryClassifier",
    "DivergenceError",
    "ModelFileError",
    "__version__",
    "load_model",
    "save_model",
]

__version__ = "0.1.0"
