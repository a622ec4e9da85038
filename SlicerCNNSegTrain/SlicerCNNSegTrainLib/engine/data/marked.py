"""Reading images with nodules once: looked at for the data check, and brought into network space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy import ndimage

from SlicerCNNSegLib.engine.detection.places import boxes_to_network, spacing_of
from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.inputs import guess_modality
from SlicerCNNSegLib.engine.progress import Progress, advance
from SlicerCNNSegLib.engine.volume import Geometry, Volume

from ..checking.duplicates import voxel_hash
from ..recipe import Recipe
from .cases import TEST, Mark, MarkedImage

AERATED_HU = (-960.0, -600.0)
"""Between air and tissue: where windows without a nodule are cut. A rule of thumb that needs no lung mask."""

SMOOTHED_VOXELS = 5
MOST_PLACES = 4000
"""Remembered of each image, drawn at random: enough for all windows, and little memory."""


@dataclass(frozen=True, eq=False)
class MarkedSample:
    """An image in network space.

    Parameters
    ----------
    id:
        The case.
    image:
        float32 ``(channel, x, y, z)``.
    boxes:
        float32 ``(n, 6)``, ``xyzxyz`` in voxels whose integers are voxel centres: cubes of the nodules' diameters.
    places:
        int16 ``(n, 3)``: voxels in aerated lung.
    spacing_mm:
        Of network space.
    """

    id: str
    image: torch.Tensor
    boxes: torch.Tensor
    places: np.ndarray
    spacing_mm: tuple[float, float, float]


@dataclass
class MarkedReading:
    """What came of reading the images.

    Parameters
    ----------
    hashes:
        Case id to a checksum of the voxels.
    faults:
        Case id to what is wrong with the image or its nodules, or why it could not be read.
    samples:
        Case id to the image in network space, of those that can be trained or validated on.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    samples: dict[str, MarkedSample] = field(default_factory=dict)


def read_marked_images(images: Sequence[MarkedImage], recipe: Recipe, progress: Progress) -> MarkedReading:
    """Read every image once; one that cannot be used does not stop the others.

    Of the split ``test`` no samples are kept.
    """
    reading = MarkedReading()
    for index, one in enumerate(images):
        advance(progress, index / len(images), f"Reading {one.id}")
        try:
            volume = read_volume(one.images[0])
            reading.hashes[one.id] = voxel_hash(volume.array)
            fault = _fault(volume, one, recipe)
            if fault:
                reading.faults[one.id] = fault
            elif one.split != TEST:
                reading.samples[one.id] = make_marked_sample(one, volume, recipe)
        except InputError as error:
            reading.faults[one.id] = str(error)
    return reading


def make_marked_sample(one: MarkedImage, volume: Volume, recipe: Recipe) -> MarkedSample:
    """Bring an image and its nodules into network space."""
    tensor, placement = recipe.prepared.prepare(volume)
    boxes = boxes_to_network(index_boxes(one.marks, volume.geometry), placement)
    places = _aerated(volume, tensor.shape[1:])
    x, y, z = (float(mm) for mm in spacing_of(placement))
    # the voxels of a case's places are its own, whatever else is read before it
    random = np.random.default_rng([recipe.seed, int(voxel_hash(places)[:8], 16)])
    if len(places) > MOST_PLACES:
        places = places[random.choice(len(places), MOST_PLACES, replace=False)]
    order = list(placement.order)
    network = places[:, order].astype(np.float64)
    oriented = np.array(placement.oriented_size)
    network = np.where(placement.flips, oriented - 1 - network, network)
    network = np.floor((network + 0.5) * np.array(placement.size) / oriented).astype(np.int16)
    return MarkedSample(one.id, tensor, torch.as_tensor(boxes, dtype=torch.float32), network, (x, y, z))


def index_boxes(marks: Sequence[Mark], geometry: Geometry) -> np.ndarray:
    """Cubes of the marks' diameters along a grid's axes, ``xyzxyz`` in its i, j, k, shape (n, 6)."""
    centers = geometry.ijk_from_ras(np.array([mark.center_ras_mm for mark in marks]).reshape(-1, 3))
    half = np.array([mark.diameter_mm for mark in marks]).reshape(-1, 1) / 2 / geometry.spacing_mm
    return np.concatenate([centers - half, centers + half], axis=1)


def _aerated(volume: Volume, size: Sequence[int]) -> np.ndarray:
    """Voxels i, j, k in aerated lung, shape (n, 3); all voxels where there is none."""
    smooth = ndimage.uniform_filter(volume.array[0].astype(np.float32), SMOOTHED_VOXELS)
    low, high = AERATED_HU
    found = np.argwhere((smooth > low) & (smooth < high))
    return (found if len(found) else np.argwhere(np.ones(smooth.shape, dtype=bool)))[:, ::-1]


def _fault(volume: Volume, one: MarkedImage, recipe: Recipe) -> str:
    """In words, why the network cannot learn from an image; "" when it can."""
    modality = recipe.model["channels"][0]["modality"]
    found = guess_modality(volume)
    if volume.channels != 1 or volume.is_2d:
        return f"expected a volume of one channel, got {volume.channels} of {volume.geometry.size_ijk} voxels."
    if modality and found and found != modality:
        return f"expected {modality}, got {found}."
    if not np.isfinite(volume.array).all():
        return "voxels are NaN or infinite; replace them by a number."
    if volume.array.min() == volume.array.max():
        return "all voxels are alike; export the image again."
    outside = [mark for mark in one.marks if not _inside(mark, volume.geometry)]
    if outside:
        place = ", ".join(f"{mm:g}" for mm in outside[0].center_ras_mm)
        return (
            f"{len(outside)} of {len(one.marks)} nodules lie outside of the image, the first at {place} (RAS mm); "
            "say in the column 'frame' whether x, y, z are LPS or RAS."
        )
    return ""


def _inside(mark: Mark, geometry: Geometry) -> bool:
    ijk = geometry.ijk_from_ras(np.asarray(mark.center_ras_mm))
    return bool(((ijk > -0.5) & (ijk < np.array(geometry.size_ijk) - 0.5)).all())
