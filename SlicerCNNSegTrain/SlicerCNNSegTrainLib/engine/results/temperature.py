"""The temperature that makes a classifier's probabilities honest (Guo et al. 2017, arXiv:1706.04599)."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit, xlogy

RANGE = 0.05, 20.0
"""Where the temperature is looked for; beyond, probabilities are all alike, or all 0 and 1."""

SMALLEST = 1e-12
"""Probabilities are kept this far from 0 and 1, where scores would be infinite."""


def scaled(probabilities: np.ndarray, temperature: float, *, multi_label: bool) -> np.ndarray:
    """Probabilities ``(case, class)`` of temperature 1 as they would be with another."""
    kept = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    if multi_label:
        return np.asarray(expit(logit(kept) / temperature))
    return np.exp(log_softmax(np.log(kept) / temperature, axis=1))


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray, *, multi_label: bool) -> float:
    """The temperature of least negative log-likelihood; 1 where there is none, as when every case is right.

    Without a wrong case the likelihood grows for ever as the temperature falls: that says nothing about others.

    Parameters
    ----------
    probabilities, truth:
        ``(case, class)`` each: with temperature 1, and booleans.
    """

    def loss(log_temperature: float) -> float:
        found = scaled(probabilities, float(np.exp(log_temperature)), multi_label=multi_label)
        found = np.clip(found, SMALLEST, 1 - SMALLEST)
        right = xlogy(truth, found).sum()
        return -float(right + (xlogy(~truth, 1 - found).sum() if multi_label else 0.0)) / len(truth)

    right = (probabilities > 0.5) == truth if multi_label else probabilities.argmax(1) == truth.argmax(1)
    if right.all():
        return 1.0
    return float(np.exp(minimize_scalar(loss, bounds=np.log(RANGE), method="bounded").x))
