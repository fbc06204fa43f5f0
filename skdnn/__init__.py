"""A deep network for binary classification that behaves like scikit-learn's own estimators."""

from skdnn.classifier import DeepBinaryClassifier
from skdnn.solvers import DivergenceError

__all__ = ["DeepBinaryClassifier", "DivergenceError", "__version__"]

__version__ = "0.1.0"
