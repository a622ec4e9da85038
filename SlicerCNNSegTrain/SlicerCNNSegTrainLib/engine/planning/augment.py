"""Probabilities of the augmentations of a plan, and which structures change sides in a mirrored image."""

from __future__ import annotations

from dataclasses import dataclass

from .fingerprint import Fingerprint
from .modality import CT, MR
from .sides import mirrored_pairs
from .size import alike

MOVED = 0.4
"""Probability of a rotation, a scaling and a shift, each: together as often as the shipped recipe varies place."""

INTENSITIES = {"noise": 0.15, "blur": 0.15, "brightness": 0.3, "contrast": 0.3, "gamma": 0.3, "low_resolution": 0.1}
"""The shipped recipe's; nnU-Net's differ little."""

INTENSITIES_CT = INTENSITIES | {"brightness": 0.15, "contrast": 0.15}
"""Of CT, whose numbers mean the same in every image."""

BIAS_FIELD = 0.15
"""Uneven sensitivity of coils, which only MR has."""

FLIP = 0.5


@dataclass(frozen=True)
class Augmentation:
    """What was chosen.

    Parameters
    ----------
    probabilities:
        A recipe's ``augmentation``.
    mirrored:
        Pairs of label values that change places.
    mirror_axes:
        Along which the exported model may be averaged over mirrorings.
    flip_why, turn_why:
        Why it flips or turns, or does not.
    """

    probabilities: dict[str, float]
    mirrored: tuple[tuple[int, int], ...]
    mirror_axes: tuple[int, ...]
    flip_why: str
    turn_why: str


def choose_augmentation(fingerprint: Fingerprint, axcodes: str, spacing_mm: tuple[float, ...]) -> Augmentation:
    """Probabilities for a data set.

    Parameters
    ----------
    axcodes, spacing_mm:
        Of network space, along the axes that the network sees.
    """
    flip, pairs, why = _flip(fingerprint, axcodes)
    turned = alike(spacing_mm)
    modalities = {channel.modality for channel in fingerprint.channels}
    probabilities = {"flip_rl": flip, "rotation": MOVED if turned else 0.0, "scaling": MOVED, "translation": MOVED}
    probabilities |= INTENSITIES_CT if modalities == {CT} else INTENSITIES
    probabilities["bias_field"] = BIAS_FIELD if modalities == {MR} else 0.0
    return Augmentation(
        probabilities=probabilities,
        mirrored=pairs if flip else (),
        # averaging over mirrorings does not exchange the scores of left and right
        mirror_axes=(0,) if flip and not pairs else (),
        flip_why=why,
        turn_why=(
            "spacings are alike along all axes"
            if turned
            else "voxels are turned, not mm: spacings that differ by a factor of two or more would shear shapes"
        ),
    )


def _flip(fingerprint: Fingerprint, axcodes: str) -> tuple[float, tuple[tuple[int, int], ...], str]:
    pairs, alone = mirrored_pairs(fingerprint.names)
    if axcodes[0] != "R":
        return 0.0, (), "the slices are sagittal: reversing their first axis would exchange front and back"
    if alone:
        return 0.0, (), f"{alone[0]} has a side, and the other side is no structure of its own: a mirrored one is wrong"
    if pairs:
        names = ", ".join(f"{fingerprint.names[a]} and {fingerprint.names[b]}" for a, b in pairs)
        return FLIP, pairs, f"{names} change places in a mirrored image"
    return FLIP, (), "no structure has a side in its name: a mirrored image is as good as the original"
