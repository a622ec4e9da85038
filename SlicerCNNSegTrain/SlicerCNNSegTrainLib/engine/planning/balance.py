"""How much small structures are favoured."""

from __future__ import annotations

from .fingerprint import Fingerprint

IMBALANCE = 1000.0
"""Factor between the median volumes of the largest and the smallest structure from which on voxels are weighed by
class. Below, Dice and windows centred on each structure as often are enough, and weights would blur borders."""

FOREGROUND = ((0.001, 0.67), (0.01, 0.5))
"""Below so small a share of labelled voxels, so large a share of windows is centred on one."""

FOREGROUND_ELSE = 0.33
"""nnU-Net's share."""


def imbalance(fingerprint: Fingerprint) -> float:
    """How many times larger the largest structure is than the smallest."""
    volumes = [structure.volume_mm3 for structure in fingerprint.structures]
    return max(volumes) / min(volumes)


def class_weights(fingerprint: Fingerprint) -> str:
    """A recipe's ``class_weights``."""
    return "balanced" if imbalance(fingerprint) > IMBALANCE else ""


def foreground_share(fingerprint: Fingerprint) -> float:
    """A recipe's ``foreground_share``."""
    labelled = fingerprint.foreground_share
    return next((share for below, share in FOREGROUND if labelled < below), FOREGROUND_ELSE)
