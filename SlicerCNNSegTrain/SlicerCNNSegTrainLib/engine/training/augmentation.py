"""What is varied on the way to the network, by MONAI's transforms.

Each has a probability in the recipe's ``augmentation`` and is left out at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from monai.transforms import (
    Compose,
    MapTransform,
    RandAdjustContrastd,
    RandAffined,
    RandBiasFieldd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSimulateLowResolutiond,
)

from SlicerCNNSegLib.engine.errors import SettingsError

BOTH = ("image", "label")
ROTATION_RAD = np.deg2rad(15.0)
SCALING = 0.15
TRANSLATION_VOXELS = 6.0
"""A region of interest drawn by hand is off centre by a few voxels."""

_BUILDERS: dict[str, Callable[[float], MapTransform]] = {
    # flips along network space's first axis only: R-L, the body's one (near) symmetry
    "flip_rl": lambda p: RandFlipd(BOTH, prob=p, spatial_axis=0),
    "affine": lambda p: RandAffined(
        BOTH,
        prob=p,
        rotate_range=(ROTATION_RAD,) * 3,
        scale_range=(SCALING,) * 3,
        translate_range=(TRANSLATION_VOXELS,) * 3,
        mode=("bilinear", "nearest"),
        padding_mode="zeros",
    ),
    "bias_field": lambda p: RandBiasFieldd("image", degree=2, coeff_range=(-0.3, 0.3), prob=p),
    "noise": lambda p: RandGaussianNoised("image", prob=p, std=0.2),
    "blur": lambda p: RandGaussianSmoothd("image", sigma_x=(0.4, 0.8), sigma_y=(0.4, 0.8), sigma_z=(0.4, 0.8), prob=p),
    "brightness": lambda p: RandShiftIntensityd("image", offsets=0.25, prob=p),
    "contrast": lambda p: RandScaleIntensityd("image", factors=0.25, prob=p),
    "gamma": lambda p: RandAdjustContrastd("image", prob=p, gamma=(0.7, 1.4), retain_stats=True),
    "low_resolution": lambda p: RandSimulateLowResolutiond("image", prob=p, zoom_range=(0.5, 1.0)),
}


def build_augmentation(probabilities: Mapping[str, float]) -> Compose:
    """The augmentations of a recipe, in this module's order, on the keys ``image`` and ``label``.

    Parameters
    ----------
    probabilities:
        Name to probability. Tensors are ``(channel, x, y, z)``; images have zero mean and unit SD.

    Raises
    ------
    SettingsError
        A name is unknown or a probability is outside 0..1.
    """
    unknown = sorted(set(probabilities) - set(_BUILDERS))
    if unknown:
        raise SettingsError(f"Unknown augmentation {', '.join(unknown)}; expected {', '.join(_BUILDERS)}.")
    wrong = {name: p for name, p in probabilities.items() if not 0 <= p <= 1}
    if wrong:
        raise SettingsError(f"Expected probabilities from 0 to 1, got {wrong}.")
    return Compose([build(probabilities[name]) for name, build in _BUILDERS.items() if probabilities.get(name, 0) > 0])
