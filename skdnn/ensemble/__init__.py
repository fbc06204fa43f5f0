"""K networks, a fold each, one prediction."""

from skdnn.ensemble.classifier import DeepEnsembleClassifier

__all__ = ["DeepEnsembleClassifier"]
