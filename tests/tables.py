"""What tests of encoders and of ensembles share."""

import numpy as np

from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier
from skdnn.preprocessing import TableEncoder

SMALL = DeepBinaryClassifier((8,), learning_rate_init=0.01, alpha=1, max_iter=10, tol=None)


def small(**parameters):
    return DeepEnsembleClassifier(SMALL, **({"n_estimators": 4, "random_state": 0} | parameters))


def encode(X, **parameters):
    """Return encoded columns by name."""
    encoder = TableEncoder(**parameters)
    encoded = encoder.fit_transform(X)
    return dict(zip(encoder.get_feature_names_out(), encoded.T, strict=True))


def clip_smoothly(z):
    return z / np.sqrt(1 + (z / 3) ** 2)
