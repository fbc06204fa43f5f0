"""Binary cross-entropy on logits: value and derivative together, never from probabilities.

With t = (1 - 2y) z, the loss of a sample is softplus(t) = -log expit(-t) and its derivative by
the logit is (1 - 2y) expit(t). Both are finite for every finite logit.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import expit, log_expit

__all__ = ["log_loss", "log_loss_and_gradient", "probability", "signs_of"]


def signs_of(y: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return 1 - 2y for boolean targets: -1 for the positive class, 1 for the negative one."""
    return np.where(y, np.asarray(-1, dtype), np.asarray(1, dtype))


def _weighted_mean(losses: np.ndarray, sample_weight: np.ndarray | None, divisor: float) -> float:
    if sample_weight is not None:
        mean = float(np.dot(losses, sample_weight)) / divisor
    elif losses.dtype == np.float32:
        mean = float(np.add.reduce(losses, dtype=np.float64)) / divisor
    else:
        with np.errstate(over="ignore"):
            mean = float(np.add.reduce(losses)) / divisor
    if not math.isfinite(mean):
        # The sum may overflow where the mean does not; a loss that is not finite stays so.
        largest = float(np.abs(losses).max())
        if math.isfinite(largest):
            shares = losses / largest  # at most 1 in magnitude
            weight = np.ones_like(losses) if sample_weight is None else sample_weight
            mean = largest * (float(np.dot(shares, weight)) / divisor)
    return mean


def log_loss(
    logits: np.ndarray, signs: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    """Return the weighted mean log loss of finite logits.

    Parameters
    ----------
    logits : ndarray of shape (n_samples,)
        Log-odds of the positive class.
    signs : ndarray of shape (n_samples,)
        1 - 2y, see `signs_of`.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the samples, with a positive sum.

    Returns
    -------
    float
    """
    losses = np.multiply(logits, signs)
    np.negative(losses, out=losses)
    log_expit(losses, out=losses)
    weight_sum = float(logits.size) if sample_weight is None else float(sample_weight.sum())
    return -_weighted_mean(losses, sample_weight, weight_sum)


def log_loss_and_gradient(
    logits: np.ndarray,
    signs: np.ndarray,
    sample_weight: np.ndarray | None,
    gradient_out: np.ndarray,
    divisor: float,
) -> float:
    """Compute the weighted sum of log losses over a divisor, and its gradient by the logits.

    Parameters
    ----------
    logits : ndarray of shape (n_samples,)
        Log-odds of the positive class. Overwritten.
    signs : ndarray of shape (n_samples,)
        1 - 2y, see `signs_of`.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the samples; 1 without.
    gradient_out : ndarray of shape (n_samples,)
        Receives the derivative of the result by each logit.
    divisor : float
        What the sum is divided by: for weights that are 1 in the mean over all training rows, the
        number of rows of the batch. Its own weight sum would let weights fade in small batches.

    Returns
    -------
    float
    """
    logits *= signs
    expit(logits, out=gradient_out)
    gradient_out *= signs
    np.negative(logits, out=logits)
    log_expit(logits, out=logits)
    if sample_weight is not None:
        gradient_out *= sample_weight
    gradient_out *= 1.0 / divisor
    return -_weighted_mean(logits, sample_weight, divisor)


def probability(logits: np.ndarray) -> np.ndarray:
    """Return expit of the logits, with gradual underflow and 0 for -inf alone.

    Parameters
    ----------
    logits : ndarray of any shape
        Log-odds.

    Returns
    -------
    probabilities : ndarray of the same shape and dtype
        A finite logit gives at least the smallest positive number, so that a logarithm of it
        stays finite.
    """
    with np.errstate(all="ignore"):  # whatever the caller set
        probabilities = expit(logits)
        # expit is exp there to the last bit, but flushes to 0 where exp still has a value
        if not probabilities.all():
            lost = (probabilities == 0) & (logits > -np.inf)
            smallest = np.nextafter(logits.dtype.type(0), logits.dtype.type(1))
            probabilities[lost] = np.maximum(np.exp(logits[lost]), smallest)
    return probabilities
