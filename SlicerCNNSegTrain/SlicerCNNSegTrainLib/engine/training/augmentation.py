"""What is varied on the way to the network, by MONAI's transforms.

Each has a probability in the recipe's ``augmentation`` and is left out at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import torch
from monai.transforms import (
    Affine,
    Compose,
    MapTransform,
    RandAdjustContrastd,
    RandBiasFieldd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandGridDistortiond,
    RandomizableTransform,
    RandRotate90d,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSimulateLowResolutiond,
)

from SlicerCNNSegLib.engine.errors import SettingsError

BOTH = ("image", "label")
MODES = ("bilinear", "nearest")
ROTATION_RAD = np.deg2rad(15.0)
SCALING = 0.15
TRANSLATION_VOXELS = 6.0
"""A region of interest drawn by hand is off centre by a few voxels."""

FLIP = "flip_rl"
AFFINE = ("rotation", "scaling", "translation")

_OTHERS: dict[str, Callable[[float, bool], MapTransform]] = {
    "flip_ap": lambda p, _: RandFlipd(BOTH, prob=p, spatial_axis=1),  # for what has no front and back, as a nodule
    "quarter_turns": lambda p, _: RandRotate90d(BOTH, prob=p, max_k=3, spatial_axes=(0, 1)),  # likewise
    "elastic": lambda p, _: RandGridDistortiond(
        BOTH,
        num_cells=4,
        prob=p,
        distort_limit=(-0.1, 0.1),
        mode=list(MODES),  # type: ignore[arg-type]
    ),
    "bias_field": lambda p, _: RandBiasFieldd("image", degree=2, coeff_range=(-0.3, 0.3), prob=p),
    "noise": lambda p, _: RandGaussianNoised("image", prob=p, std=0.2),
    "blur": lambda p, _: RandGaussianSmoothd(
        "image", sigma_x=(0.4, 0.8), sigma_y=(0.4, 0.8), sigma_z=(0.4, 0.8), prob=p
    ),
    "brightness": lambda p, _: RandShiftIntensityd("image", offsets=0.25, prob=p),
    "contrast": lambda p, _: RandScaleIntensityd("image", factors=0.25, prob=p),
    "gamma": lambda p, _: RandAdjustContrastd("image", prob=p, gamma=(0.7, 1.4), retain_stats=True),
    "low_resolution": lambda p, flat: RandSimulateLowResolutiond(
        "image", prob=p, zoom_range=(0.5, 1.0), upsample_mode="bilinear" if flat else "trilinear"
    ),
}

AUGMENTATIONS = (FLIP, *AFFINE, *_OTHERS)
"""All names, in the order in which they are applied."""


def build_augmentation(
    probabilities: Mapping[str, float], mirrored: Sequence[tuple[int, int]] = (), *, flat: bool = False
) -> Compose:
    """The augmentations of a recipe on the keys ``image`` and, where it is there, ``label``.

    Parameters
    ----------
    probabilities:
        Name to probability. Tensors are ``(channel, x, y[, z])``; images have zero mean and unit SD.
    mirrored:
        Pairs of class indices that change places in a flip right-left.
    flat:
        For slices ``(channel, x, y)``.

    Raises
    ------
    SettingsError
        A name is unknown or a probability is outside 0..1.
    """
    unknown = sorted(set(probabilities) - set(AUGMENTATIONS))
    if unknown:
        raise SettingsError(f"Unknown augmentation {', '.join(unknown)}; expected {', '.join(AUGMENTATIONS)}.")
    wrong = {name: p for name, p in probabilities.items() if not 0 <= p <= 1}
    if wrong:
        raise SettingsError(f"Expected probabilities from 0 to 1, got {wrong}.")
    chosen = {name: probabilities[name] for name in AUGMENTATIONS if probabilities.get(name, 0) > 0}
    transforms: list[MapTransform] = []
    if FLIP in chosen:
        transforms.append(FlipRightLeft(chosen[FLIP], mirrored))
    if set(AFFINE) & set(chosen):
        transforms.append(RotateScaleShift(*(chosen.get(name, 0.0) for name in AFFINE)))
    transforms += [build(chosen[name], flat) for name, build in _OTHERS.items() if name in chosen]
    for transform in transforms:
        transform.allow_missing_keys = True  # a batch without labels, as in pretraining
    return Compose(transforms)


class FlipRightLeft(RandomizableTransform, MapTransform):
    """Reverse network space's first axis: R-L, the body's one (near) symmetry.

    Parameters
    ----------
    prob:
        Probability.
    mirrored:
        Pairs of classes that change places: the left structure of a reversed image is the right one.
    """

    def __init__(self, prob: float, mirrored: Sequence[tuple[int, int]]) -> None:
        MapTransform.__init__(self, BOTH)
        RandomizableTransform.__init__(self, prob)
        self._classes = torch.arange(256, dtype=torch.uint8)
        for a, b in mirrored:
            self._classes[a], self._classes[b] = b, a

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """The image and its label, reversed or not."""
        self.randomize(None)
        varied = dict(data)
        if self._do_transform:
            varied |= {key: data[key].flip(1) for key in self.key_iterator(varied)}
            if "label" in varied:
                varied["label"] = self._classes[varied["label"].long()]
        return varied


class RotateScaleShift(RandomizableTransform, MapTransform):
    """Rotation, scaling and translation, each with its own probability, in one resampling.

    One resampling blurs less, and costs less, than one for each.
    """

    def __init__(self, rotation: float, scaling: float, translation: float) -> None:
        MapTransform.__init__(self, BOTH)
        RandomizableTransform.__init__(self, 1.0)
        self._probabilities = rotation, scaling, translation

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """The image (linear) and its label (nearest), or both untouched; zeros come in from outside."""
        varied, axes = dict(data), data["image"].ndim - 1
        amounts = self.R.uniform(-1, 1, (3, axes))
        happens = self.R.random(3) < self._probabilities
        if not happens.any():
            return varied
        rotation, scaling, shift = (
            amounts * happens[:, None] * np.array([[ROTATION_RAD], [SCALING], [TRANSLATION_VOXELS]])
        )
        for key, mode in self.key_iterator(varied, MODES):
            move = Affine(
                rotation[: 3 if axes == 3 else 1].tolist(),
                translate_params=shift.tolist(),
                scale_params=(1 + scaling).tolist(),
                padding_mode="zeros",
                image_only=True,
            )
            varied[key] = torch.as_tensor(move(data[key], mode=mode)).to(data[key].dtype)
        return varied
