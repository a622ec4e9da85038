"""From an array as the network gets it to the small pictures of it (heavy: nibabel through the engine's views)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from nibabel.orientations import axcodes2ornt

from SlicerCNNSegLib.engine.picture.views import View, percentile_window, planes_through
from SlicerCNNSegLib.engine.volume import Volume

from ..training.losses import IGNORED


@dataclass(frozen=True, eq=False)
class Crop:
    """One image as the network gets it.

    Parameters
    ----------
    image:
        ``(channel, x, y[, z])``.
    label:
        Class indices ``(x, y[, z])``, ``IGNORED`` where nobody labelled; None for a task without label maps.
    title:
        For people: the case, or its class.
    """

    image: np.ndarray
    label: np.ndarray | None = None
    title: str = ""

    @property
    def in_color(self) -> bool:
        """Whether the channels are red, green and blue: three of a single slice."""
        return self.image.shape[0] == 3 and self.image[0].size == self.image.shape[1] * self.image.shape[2]


@dataclass(frozen=True)
class Grid:
    """How the arrays' axes lie in the patient.

    Parameters
    ----------
    axcodes:
        Where the axes run to, for example ``RAS``.
    spacing_mm:
        Between voxels along the axes; 0 where it is the image's own, which is drawn as 1.
    """

    axcodes: str = "RAS"
    spacing_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def to_ras(self) -> np.ndarray:
        """4x4, from indices along the arrays' axes to RAS mm from the first voxel."""
        matrix = np.eye(4)
        matrix[:3, :3] = 0
        for axis, (direction, sign) in enumerate(axcodes2ornt(self.axcodes).astype(int)):
            matrix[direction, axis] = sign * (self.spacing_mm[axis] or 1.0)
        return matrix


@dataclass(frozen=True, eq=False)
class Tile:
    """One plane of a crop.

    Parameters
    ----------
    view:
        The plane, with its labels.
    picture:
        Its pixels from 0 (black) to 1 (white), ``(rows, columns)``, or ``(rows, columns, 3)`` in colour.
    """

    view: View
    picture: np.ndarray

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height."""
        return self.view.size_mm


def grey_window_of(crops: Sequence[Crop]) -> tuple[float, float]:
    """One pair of grey values for black and white for all of the crops' shown channels."""
    return percentile_window(np.concatenate([_shown(crop).ravel() for crop in crops]))


def tiles_of(crop: Crop, grid: Grid, window: tuple[float, float], shown: np.ndarray | None = None) -> list[Tile]:
    """The axial, coronal and sagittal plane that show most; of a single slice its own plane alone.

    Parameters
    ----------
    crop:
        Its first channel is shown, or three of a single slice as red, green and blue.
    grid, window:
        How it lies, and its black and white.
    shown:
        Labels that decide on the planes, instead of the crop's own.
    """
    label = _label_of(crop.label, crop)
    deciding = _label_of(crop.label if shown is None else shown, crop)
    deciding = np.where(deciding == IGNORED, 0, deciding)
    channels = [
        planes_through(Volume(channel.T[None], grid.to_ras), label.T, deciding.T)
        for channel in _three_axes(_shown(crop))
    ]
    low, high = window
    tiles = []
    for views in zip(*channels, strict=True):
        picture = np.stack([(view.image - low) / (high - low) for view in views], axis=-1).clip(0, 1)
        tiles.append(Tile(views[0], picture if crop.in_color else picture[..., 0]))
    return tiles


def _shown(crop: Crop) -> np.ndarray:
    return crop.image if crop.in_color else crop.image[:1]


def _three_axes(array: np.ndarray) -> np.ndarray:
    """``(channel, x, y, z)``, of a slice with a z of 1."""
    return array if array.ndim == 4 else array[..., None]


def _label_of(label: np.ndarray | None, crop: Crop) -> np.ndarray:
    """The labels with three axes; all background where there are none."""
    shape = _three_axes(crop.image).shape[1:]
    return np.zeros(shape, np.uint8) if label is None else label.reshape(shape)
