"""Reading classified images once: looked at for the data check, and brought to the network's window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.progress import Progress, advance
from SlicerCNNSegLib.engine.volume import Volume

from ..checking.duplicates import voxel_hash
from ..recipe import Recipe
from .cases import TEST, ClassifiedImage
from .classes import MASK

NEXT_SLICE = "next_slice"
"""The augmentation of a 2-D network that now and then sees the slice beside the middle one, and its neighbours."""


@dataclass(frozen=True, eq=False)
class ImageSample:
    """An image in network space.

    Parameters
    ----------
    id:
        The case.
    image:
        float32 ``(channel, x, y[, z])`` of the network's size.
    target:
        float32 ``(class,)``, 1 for the classes that the image is of, or the shares of what speaks for them.
    mask:
        uint8 ``(1, x, y[, z])``: what a network of two tasks learns to outline; None where the recipe has no such loss.
    beside:
        Images and masks of the slices beside, where the recipe's augmentation uses them.
    """

    id: str
    image: torch.Tensor
    target: torch.Tensor
    mask: torch.Tensor | None = None
    beside: tuple[tuple[torch.Tensor, torch.Tensor | None], ...] = ()


@dataclass
class ImageReading:
    """What came of reading the images.

    Parameters
    ----------
    hashes:
        Case id to a checksum of the voxels.
    faults:
        Case id to what is wrong with the image, or why it could not be read.
    samples:
        Case id to the image in network space, of those that can be trained or validated on.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    samples: dict[str, ImageSample] = field(default_factory=dict)


def read_images(images: Sequence[ClassifiedImage], recipe: Recipe, progress: Progress) -> ImageReading:
    """Read every image once; one that cannot be used does not stop the others.

    Of the split ``test`` no samples are kept.
    """
    reading = ImageReading()
    for index, one in enumerate(images):
        advance(progress, index / len(images), f"Reading {one.id}")
        try:
            volume = Volume.stacked([read_volume(path) for path in one.images])
            reading.hashes[one.id] = voxel_hash(volume.array)
            fault = _fault(volume, recipe)
            if fault:
                reading.faults[one.id] = fault
            elif one.split != TEST:
                reading.samples[one.id] = _sample(one, volume, recipe)
        except InputError as error:
            reading.faults[one.id] = str(error)
    return reading


def _sample(one: ClassifiedImage, volume: Volume, recipe: Recipe) -> ImageSample:
    framing = recipe.framing
    outlined = _mask(one, volume) if recipe.loss.get(MASK) else None
    frames = [framing.whole(volume)]
    if recipe.augmentation.get(NEXT_SLICE):
        frames += framing.beside(volume)
    (image, mask), *beside = (
        (framed.tensor, None if outlined is None else framing.mask(outlined, framed)) for framed in frames
    )
    return ImageSample(one.id, image, target_of(one, recipe.class_names), mask, tuple(beside))


def target_of(image: ClassifiedImage, classes: Sequence[str]) -> torch.Tensor:
    """1 for each class that the image is of, ``(class,)``, or what speaks for each."""
    if image.shares:
        return torch.tensor(image.shares)
    return torch.tensor([float(name in image.classes) for name in classes])


def presence_of(images: Sequence[ClassifiedImage], classes: Sequence[str]) -> Mapping[str, frozenset[int]]:
    """Case id to the indices of its classes, by which folds are made alike."""
    return {one.id: frozenset(n for n, name in enumerate(classes) if name in one.classes) for one in images}


def _mask(one: ClassifiedImage, image: Volume) -> Volume:
    if one.mask is None:
        raise InputError(f"the recipe's loss {MASK!r} needs a file in the column {MASK!r} for each image.")
    mask = read_volume(one.mask)
    if not mask.geometry.matches(image.geometry):
        raise InputError(f"expected the mask {one.mask.name} on the image's grid; resample it to the image.")
    return mask


def _fault(volume: Volume, recipe: Recipe) -> str:
    """In words, why the network cannot learn from an image; "" when it can."""
    wanted = len(recipe.channel_names)
    if volume.channels != wanted:
        return f"expected {wanted} channel(s) ({', '.join(recipe.channel_names)}), got {volume.channels}."
    if recipe.flat != volume.is_2d and not recipe.framing.slices > 1:
        return f"expected a {'single slice' if recipe.flat else 'volume'}, got {volume.geometry.size_ijk} voxels."
    if not np.isfinite(volume.array).all():
        return "voxels are NaN or infinite; replace them by a number."
    if volume.array.min() == volume.array.max():
        return "all voxels are alike; export the image again."
    return ""
