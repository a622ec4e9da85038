"""Network space of a plan: orientation, spacing, intensities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from SlicerCNNSegLib.engine.preprocess import Preprocessing

from .fingerprint import Fingerprint
from .modality import CT

FLAT = {0: ("ASR", (1, 2)), 1: ("RSA", (0, 2)), 2: ("RAS", (0, 1))}
"""Orientation, and axes of R, A, S that the network sees, of single slices whose thin axis is R, A or S: a slice lies
across network space's last axis."""

VOLUME = ("RAS", (0, 1, 2))

CROPPED = 0.75
"""Share of the image in the box of what is not 0, below which nnU-Net normalises what is not 0 alone."""


def orientation(fingerprint: Fingerprint) -> tuple[str, tuple[int, ...]]:
    """``axcodes`` of network space, and which of R, A, S the network sees: two where every image is one slice."""
    for thin, flat in FLAT.items():
        if all(size[thin] == 1 for size in fingerprint.sizes):
            return flat
    return VOLUME


def intensity(fingerprint: Fingerprint) -> tuple[str, Mapping[str, Any], str]:
    """MONAI's transform, its arguments, and why.

    CT: clipped to the 0.5th and 99.5th percentile of labelled voxels of all cases, then to zero mean and
    unit SD by their mean and SD. Else: each channel of each image to zero mean and unit SD (Isensee et
    al., Nat Methods 18:203, 2021).
    """
    channels = fingerprint.channels
    if all(channel.modality == CT for channel in channels):
        if len(channels) == 1:
            (ct,) = channels
            ends = {"a_min": ct.low, "a_max": ct.high}
            goal = {"b_min": _short((ct.low - ct.mean) / ct.sd), "b_max": _short((ct.high - ct.mean) / ct.sd)}
            why = (
                f"CT numbers mean the same in every image: clipped to {ct.low:g} to {ct.high:g}, the 0.5th and 99.5th "
                f"percentile of labelled voxels, then zero mean and unit SD by theirs ({ct.mean:g}, {ct.sd:g})"
            )
            return "ScaleIntensityRanged", {**ends, **goal, "clip": True}, why
        numbers = {"subtrahend": [c.mean for c in channels], "divisor": [c.sd for c in channels]}
        why = "CT numbers mean the same in every image: mean and SD of labelled voxels of all cases, for each channel"
        return "NormalizeIntensityd", {**numbers, "channel_wise": True}, why
    why = "intensities mean something else in each image: each channel to zero mean and unit SD"
    if fingerprint.filled < CROPPED:
        share = f"{100 * (1 - fingerprint.filled):.0f} %"
        why += f", over what is not 0, because zeros around the body fill {share} of the median image"
        return "NormalizeIntensityd", {"nonzero": True, "channel_wise": True}, why
    return "NormalizeIntensityd", {"channel_wise": True}, why


def transforms(axcodes: str, spacing_mm: Sequence[float], name: str, arguments: Mapping[str, Any]) -> list[Any]:
    """A recipe's ``preprocessing``; the spacing is along the axes of ``axcodes``, 0 keeps the image's own."""
    x, y, z = (*spacing_mm, 0.0)[:3]
    return Preprocessing(axcodes, (x, y, z), ((name, arguments),)).to_transforms()


def _short(number: float) -> float:
    return float(f"{number:.6g}")
