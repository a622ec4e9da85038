"""From an image to what a network sees, and exactly back.

The network's space is MONAI's: ``(channel, i, j, k)`` in the orientation and spacing that the model
was trained in, so that an exported bundle also runs under plain MONAI.

Resampling keeps the field of view: the outer voxel faces stay where they are and the number of
voxels is rounded, so the spacing reached differs from the one asked for by at most half a voxel in
the whole extent, and the way back lands on the original grid without any shift (as nnU-Net does;
Isensee et al., Nat Methods 18:203, 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from torch.nn.functional import interpolate

from .errors import ModelError
from .intensity import NormalizeIntensity, ScaleIntensityRange, intensity
from .volume import Geometry, Volume

INTENSITY_TRANSFORMS = {
    "NormalizeIntensityd": partial(intensity, NormalizeIntensity),
    "ScaleIntensityRanged": partial(intensity, ScaleIntensityRange),
}
LOADING_TRANSFORMS = ("LoadImaged", "EnsureChannelFirstd", "EnsureTyped")
"""Transforms of a bundle that bring a file to a channel-first tensor; here a Volume is that already."""


@dataclass(frozen=True)
class Placement:
    """How network space lies on the grid it came from.

    Parameters
    ----------
    source:
        The grid of the image.
    order, flips:
        Network axis n is the source's ijk axis ``order[n]``, reversed where ``flips[n]``.
    size:
        Network space's size along its axes.
    """

    source: Geometry
    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    size: tuple[int, int, int]

    @property
    def oriented_size(self) -> tuple[int, int, int]:
        """Size after reordering, before resampling."""
        return tuple(self.source.size_ijk[axis] for axis in self.order)  # type: ignore[return-value]

    @property
    def flipped_axes(self) -> tuple[int, ...]:
        """Tensor axes (of ``(channel, x, y, z)``) that are reversed."""
        return tuple(axis + 1 for axis in range(3) if self.flips[axis])

    def forward(self, tensor: torch.Tensor, mode: str) -> torch.Tensor:
        """``(channel, i, j, k)`` on the source grid to network space; mode ``trilinear`` or ``nearest``."""
        tensor = tensor.permute(0, *(axis + 1 for axis in self.order)).flip(self.flipped_axes)
        return _resize(tensor, self.size, mode)

    def backward(self, tensor: torch.Tensor, mode: str) -> torch.Tensor:
        """``(channel, x, y, z)`` of network space to ``(channel, i, j, k)`` on the source grid."""
        tensor = _resize(tensor, self.oriented_size, mode).flip(self.flipped_axes)
        return tensor.permute(0, *(self.order.index(axis) + 1 for axis in range(3)))

    def labels_backward(self, labels: np.ndarray) -> np.ndarray:
        """Labels of ``oriented_size`` (x, y, z) as a labelmap (k, j, i) of the source grid."""
        turned = np.flip(labels, tuple(axis for axis in range(3) if self.flips[axis]))
        return np.ascontiguousarray(turned.transpose([self.order.index(axis) for axis in (2, 1, 0)]))


@dataclass(frozen=True)
class Preprocessing:
    """A model's preprocessing, as data.

    Parameters
    ----------
    axcodes:
        Orientation of network space, for example ``RAS``: its axes run towards R, A, S.
    spacing_mm:
        Voxel size along network space's axes; 0 keeps the image's own along that axis.
    intensity:
        Names and arguments of MONAI's intensity transforms, in order.
    """

    axcodes: str = "RAS"
    spacing_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    intensity: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    @classmethod
    def from_transforms(cls, transforms: Sequence[Mapping[str, Any]]) -> Preprocessing:
        """From the ``transforms`` of a bundle's ``preprocessing``.

        Raises
        ------
        ModelError
            One of them is not supported; the message names it and those that are.
        """
        axcodes, spacing, intensity = "RAS", (0.0, 0.0, 0.0), []
        for transform in transforms:
            name = str(transform.get("_target_", "")).rpartition(".")[2]
            if name == "Orientationd":
                axcodes = str(transform["axcodes"])
            elif name == "Spacingd":
                x, y, z = (max(float(s), 0.0) for s in transform["pixdim"])
                spacing = (x, y, z)
            elif name in INTENSITY_TRANSFORMS:
                arguments = {k: v for k, v in transform.items() if k not in ("_target_", "keys")}
                intensity.append((name, arguments))
            elif name not in LOADING_TRANSFORMS:
                known = ", ".join(("Orientationd", "Spacingd", *INTENSITY_TRANSFORMS, *LOADING_TRANSFORMS))
                raise ModelError(f"The preprocessing step {name!r} is not supported: expected one of {known}.")
        return cls(axcodes, spacing, tuple(intensity))

    def to_transforms(self) -> list[dict[str, Any]]:
        """The same as MONAI transforms on the key ``image``, for a bundle."""
        return [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": self.axcodes},
            {"_target_": "Spacingd", "keys": "image", "pixdim": list(self.spacing_mm), "mode": "bilinear"},
            *({"_target_": name, "keys": "image", **arguments} for name, arguments in self.intensity),
        ]

    def placement(self, geometry: Geometry) -> Placement:
        """How network space lies on ``geometry`` (oblique axes go to the closest anatomical ones)."""
        change = ornt_transform(io_orientation(geometry.ijk_to_ras), axcodes2ornt(self.axcodes)).astype(int)
        order = np.argsort(change[:, 0])
        oriented = np.asarray(geometry.size_ijk)[order]
        spacing = geometry.spacing_mm[order]
        wanted = np.where(np.asarray(self.spacing_mm) > 0, self.spacing_mm, spacing)
        size = np.maximum(1, np.round(oriented * spacing / wanted)).astype(int)
        return Placement(
            geometry,
            tuple(int(axis) for axis in order),  # type: ignore[arg-type]
            tuple(bool(change[axis, 1] < 0) for axis in order),  # type: ignore[arg-type]
            tuple(int(n) for n in size),  # type: ignore[arg-type]
        )

    def prepare(self, volume: Volume) -> tuple[torch.Tensor, Placement]:
        """The float32 tensor ``(channel, x, y, z)`` that the network sees, and where it lies."""
        placement = self.placement(volume.geometry)
        image = placement.forward(volume.to_tensor().float(), "trilinear").contiguous()
        for name, arguments in self.intensity:
            image = INTENSITY_TRANSFORMS[name](**arguments)(image)
        return torch.as_tensor(image).contiguous(), placement


def _resize(tensor: torch.Tensor, size: tuple[int, int, int], mode: str) -> torch.Tensor:
    if tuple(tensor.shape[1:]) == size:
        return tensor
    if mode == "nearest":
        return interpolate(tensor[None].float(), size, mode="nearest-exact")[0].to(tensor.dtype)
    return interpolate(tensor[None], size, mode="trilinear", align_corners=False)[0]
