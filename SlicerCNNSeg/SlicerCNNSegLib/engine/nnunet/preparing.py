"""An image as a network of nnU-Net sees it, and labels back on the image's grid.

In nnU-Net's order: axes, cropping to what is not zero, normalisation, resampling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..progress import Progress
from .plan import Intensity, NnunetPlan
from .resampling import labels_resampled, new_size, resampled

SMALLEST_STD = 1e-8
"""nnU-Net's: what a constant channel is divided by."""

OUTSIDE = -1
"""The label of what is zero in the image; nnU-Net resamples it as one of its own."""

FLAT_SPACING = 999
"""How many times the spacing within a single slice nnU-Net takes for that across it."""


@dataclass(frozen=True)
class Prepared:
    """An image in network space, and how it lies on the grid that it came from.

    Parameters
    ----------
    array:
        ``(channel, x, y, z)`` float32.
    full_size, box:
        Size along the transposed axes before cropping, and the slices that were kept.
    spacing_mm, wanted_mm:
        Along the transposed axes, before and after.
    """

    array: np.ndarray
    full_size: tuple[int, ...]
    box: tuple[slice, ...]
    spacing_mm: tuple[float, ...]
    wanted_mm: tuple[float, ...]

    @property
    def cropped_size(self) -> tuple[int, ...]:
        """Size after cropping, before resampling."""
        return tuple(part.stop - part.start for part in self.box)


def prepare(
    plan: NnunetPlan,
    image: np.ndarray,
    spacing_mm: tuple[float, ...],
    progress: Progress,
    first: np.ndarray | None = None,
) -> Prepared:
    """Bring an image into network space.

    Parameters
    ----------
    image:
        ``(channel, k, j, i)``.
    spacing_mm:
        Along k, j, i.
    first:
        The labelmap ``(k, j, i)`` of a cascade's first stage, which the second one goes on from.

    Raises
    ------
    InputError
        Values are outside of what the normalisation is for.
    Cancelled
        The user asked to stop.
    """
    spacing = tuple(spacing_mm[axis] for axis in plan.transpose)
    array = image.astype(np.float32).transpose(0, *(axis + 1 for axis in plan.transpose))
    full_size = array.shape[1:]
    inside = (array != 0).any(0)
    box = ndimage.find_objects(inside.astype(np.uint8))[0] if inside.any() else tuple(slice(0, n) for n in full_size)
    cropped = np.ascontiguousarray(array[(slice(None), *box)])
    masked = any(intensity.masked for intensity in plan.intensities)
    labels = None if first is None else first.astype(np.int16).transpose(plan.transpose)[box]
    mask = ndimage.binary_fill_holes(inside)[box] if masked or labels is not None else None
    if labels is not None and mask is not None:
        mask = mask | (labels > 0)
        labels = np.where(mask, labels, OUTSIDE)
    for channel, intensity in zip(cropped, plan.intensities, strict=True):
        normalise(channel, intensity, mask)
    wanted = (spacing[0], *plan.spacing_mm) if plan.flat else plan.spacing_mm
    size = new_size(cropped.shape[1:], spacing, wanted)
    found = resampled(cropped, size, spacing, wanted, plan.images, progress)
    if labels is not None:
        labels = labels_resampled(labels, size, spacing, wanted, plan.labels)
        found = np.concatenate([found, *((labels == value)[None].astype(found.dtype) for value in plan.first_labels)])
    return Prepared(found, full_size, box, spacing, wanted)


def labels_on_image(
    plan: NnunetPlan, scores: np.ndarray, prepared: Prepared, values: np.ndarray, progress: Progress
) -> np.ndarray:
    """Values of labels on the image's grid, shape (k, j, i).

    Parameters
    ----------
    scores:
        ``(class, x, y, z)`` in network space.
    values:
        What to write for each class: background first, or of regions one per region.

    Raises
    ------
    Cancelled
        The user asked to stop.
    """
    back = resampled(scores, prepared.cropped_size, prepared.wanted_mm, prepared.spacing_mm, plan.scores, progress)
    if plan.region_values:
        cropped = np.zeros(back.shape[1:], values.dtype)
        for region, value in zip(back, values, strict=True):
            cropped[region > 0] = value  # a probability above one half
    else:
        cropped = values[back.argmax(0)]
    full = np.zeros(prepared.full_size, values.dtype)
    full[prepared.box] = cropped
    return full.transpose(np.argsort(plan.transpose))


def normalise(channel: np.ndarray, intensity: Intensity, mask: np.ndarray | None) -> None:
    """Normalise a channel (x, y, z) in place.

    Raises
    ------
    InputError
        RGB values outside of 0 to 255.
    """
    _NORMALISATIONS[intensity.scheme](channel, intensity, mask if intensity.masked else None)


def _z_score(channel: np.ndarray, intensity: Intensity, mask: np.ndarray | None) -> None:
    inside = channel if mask is None else channel[mask]
    scaled = (inside - inside.mean()) / max(inside.std(), SMALLEST_STD)
    channel[... if mask is None else mask] = scaled


def _ct(channel: np.ndarray, intensity: Intensity, mask: np.ndarray | None) -> None:
    np.clip(channel, intensity.low, intensity.high, out=channel)
    channel -= intensity.mean
    channel /= max(intensity.std, SMALLEST_STD)


def _from_0_to_1(channel: np.ndarray, intensity: Intensity, mask: np.ndarray | None) -> None:
    channel -= channel.min()
    channel /= max(channel.max(), SMALLEST_STD)


def _rgb(channel: np.ndarray, intensity: Intensity, mask: np.ndarray | None) -> None:
    low, high = channel.min(), channel.max()
    if low < 0 or high > 255:
        raise InputError(
            f"The model takes colours from 0 to 255, got values from {low:g} to {high:g}; give it a colour image."
        )
    channel /= 255.0


def _nothing(channel: np.ndarray, intensity: Intensity, mask: np.ndarray | None) -> None:
    """Leave the values as they are."""


_NORMALISATIONS: dict[str, Callable[[np.ndarray, Intensity, np.ndarray | None], None]] = {
    "ZScoreNormalization": _z_score,
    "CTNormalization": _ct,
    "NoNormalization": _nothing,
    "RescaleTo01Normalization": _from_0_to_1,
    "RGBTo01Normalization": _rgb,
}
