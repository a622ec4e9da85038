"""From an image, or a box of it, to the one window that a classifier takes, and heat maps back (heavy).

A bundle's ``preprocessing`` orients and resamples as in ``preprocess.py``; its further steps are MONAI's,
in their order: intensities, and ``Resized`` or ``ResizeWithPadOrCropd``, which give the network's size.
Without ``Orientationd`` an image keeps its own axes: that suits pictures, which have no patient axes.

A 2-D network sees the middle slice of a box, across the third axis, and as further channels its
neighbours, where the model takes some: the slices from the lowest to the highest, the last ones repeated
at the image's ends, each with all channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.transforms import Resize, ResizeWithPadOrCrop, ScaleIntensity, Transform
from monai.utils import convert_to_tensor
from nibabel.orientations import aff2axcodes
from torch.nn.functional import interpolate

from ..errors import ModelError
from ..intensity import Intensity
from ..preprocess import INTENSITY_TRANSFORMS, LOADING_TRANSFORMS, Placement, Preprocessing
from ..volume import Geometry, Volume
from .fingerprint import Look

INTENSITIES: Mapping[str, Callable[..., Intensity]] = {**INTENSITY_TRANSFORMS, "ScaleIntensityd": ScaleIntensity}
RESIZED, PADDED = "Resized", "ResizeWithPadOrCropd"
ABSOLUTE = "ScaleIntensityRanged"
SIZING: Mapping[str, Callable[..., Transform]] = {RESIZED: Resize, PADDED: ResizeWithPadOrCrop}
GEOMETRIC = ("Orientationd", "Spacingd")

Index = tuple[int, int, int]


@dataclass(frozen=True)
class Framed:
    """What the network sees, and where it lies on the image.

    Parameters
    ----------
    tensor:
        float32 ``(channel, x, y[, z])`` of the network's size.
    start_ijk, stop_ijk:
        The half-open box of the image that it shows.
    placement:
        How network space before sizing lies on that box.
    sizes:
        Of the sizing steps, in order: name, and size before it.
    """

    tensor: torch.Tensor
    start_ijk: Index
    stop_ijk: Index
    placement: Placement
    sizes: tuple[tuple[str, tuple[int, ...]], ...]

    def on_image(self, heat: torch.Tensor) -> np.ndarray:
        """A map ``(x, y[, z])`` of the network's size on the box, float32 ``(k, j, i)``.

        Linear where the image was resized; 0 where the network did not look.
        """
        moved = heat.detach().float().cpu()[None]
        for name, size in reversed(self.sizes):
            if name == PADDED:
                moved = _plain(ResizeWithPadOrCrop(size)(moved))
            else:
                mode = "bilinear" if moved.ndim == 3 else "trilinear"
                moved = interpolate(moved[None], size, mode=mode, align_corners=False)[0]
        flat = moved.ndim == 3
        back = self.placement.backward(moved[..., None] if flat else moved, "trilinear")
        return np.ascontiguousarray(back[0].numpy().transpose(2, 1, 0))


@dataclass(frozen=True)
class Framing:
    """A classifier's preprocessing, as data.

    Parameters
    ----------
    placing:
        Orientation and spacing, without intensities.
    oriented:
        Whether the orientation counts; without, an image keeps its own axes.
    steps:
        Names and arguments of intensity and sizing transforms, in order.
    size:
        Of the window that comes out.
    slices:
        As in ``ClassificationModel``.
    """

    placing: Preprocessing
    oriented: bool
    steps: tuple[tuple[str, Mapping[str, Any]], ...]
    size: tuple[int, ...]
    slices: int

    @classmethod
    def from_transforms(cls, transforms: Sequence[Mapping[str, Any]], slices: int) -> Framing:
        """From the ``transforms`` of a bundle's ``preprocessing``.

        Raises
        ------
        ModelError
            A step is not supported or makes no sense, or none gives the network's size.
        """
        axes = 2 if slices else 3
        geometric, steps = [], []
        for transform in transforms:
            name = str(transform.get("_target_", "")).rpartition(".")[2]
            if name in GEOMETRIC:
                geometric.append(_in_three(transform))
            elif name in INTENSITIES or name in SIZING:
                arguments = {key: value for key, value in transform.items() if key not in ("_target_", "keys")}
                _build(name, arguments)
                steps.append((name, arguments))
            elif name not in LOADING_TRANSFORMS:
                known = ", ".join((*LOADING_TRANSFORMS, *GEOMETRIC, *INTENSITIES, *SIZING))
                raise ModelError(f"The preprocessing step {name!r} is not supported: expected one of {known}.")
        sizes = [arguments["spatial_size"] for name, arguments in steps if name in SIZING]
        size = tuple(int(n) for n in np.atleast_1d(sizes[-1])) if sizes else ()
        if len(size) != axes or min(size) < 1:
            raise ModelError(
                f"Expected {RESIZED} or {PADDED} with a spatial_size of {axes} sides in the preprocessing, got {size}."
            )
        placing = Preprocessing.from_transforms(geometric)
        if slices and placing.spacing_mm[2] > 0:
            raise ModelError(
                f"Expected a Spacingd that leaves slices as they are, got {placing.spacing_mm[2]:g} mm across them: "
                "the network is a 2-D one, so give two pixdim, or 0 as the third."
            )
        oriented = any(str(transform["_target_"]).endswith(GEOMETRIC[0]) for transform in geometric)
        return cls(placing, oriented, tuple(steps), size, slices)

    def placed(self, geometry: Geometry) -> Placement:
        """How network space before sizing lies on a grid."""
        if self.oriented:
            return self.placing.placement(geometry)
        own = "".join(aff2axcodes(geometry.ijk_to_ras))
        return Preprocessing(own, self.placing.spacing_mm).placement(geometry)

    def box(self, geometry: Geometry, start_ijk: Index, stop_ijk: Index) -> tuple[Index, Index]:
        """The half-open box of the image to look at for a region: itself, or more, where padding would come in.

        A 2-D network's is one slice; a model that cuts its window out of the image gets the image around the
        region's middle, as far as there is some.
        """
        placement = self.placed(geometry)
        start, stop = np.array(start_ijk), np.array(stop_ijk)
        first = next(name for name, _ in self.steps if name in SIZING)
        if first == PADDED:
            order = list(placement.order[: len(self.size)])
            before = np.array(placement.size)[: len(self.size)]
            voxels = np.ceil(np.array(self.size) * np.array(geometry.size_ijk)[order] / before).astype(int)
            low = np.floor((start[order] + stop[order] - voxels) / 2).astype(int)
            start[order] = np.maximum(0, np.minimum(start[order], low))
            stop[order] = np.minimum(np.array(geometry.size_ijk)[order], np.maximum(stop[order], low + voxels))
        if self.slices:
            across = placement.order[2]
            start[across] = (start[across] + stop[across] - 1) // 2
            stop[across] = start[across] + 1
        return _index(start), _index(stop)

    def frame(self, image: Volume, start_ijk: Index, stop_ijk: Index) -> Framed:
        """Bring a box of an image, as ``box`` gives it, to the network's window."""
        part = image.cropped(start_ijk, stop_ijk)
        placement = self.placed(part.geometry)
        if self.slices:
            tensor = self._stack(image, start_ijk, stop_ijk, placement)
        else:
            tensor = placement.forward(_tensor(part), "trilinear")
        sizes = []
        for name, arguments in self.steps:
            if name in SIZING:
                sizes.append((name, tuple(tensor.shape[1:])))
            tensor = _plain(_build(name, arguments)(tensor))
        return Framed(tensor.float().contiguous(), start_ijk, stop_ijk, placement, tuple(sizes))

    def look(self, part: Volume) -> Look:
        """What a box of an image is like, as ``box`` gives it, along the network's axes."""
        order = self.placed(part.geometry).order[: 2 if self.slices == 1 else 3]
        return Look.at(part, order, len(self.size), in_mm=self.oriented)

    @property
    def absolute(self) -> bool:
        """Whether intensities count as they are, as Hounsfield units do, and not only among themselves."""
        return any(name == ABSOLUTE for name, _ in self.steps)

    def whole(self, image: Volume) -> Framed:
        """Bring a whole image to the network's window."""
        return self.frame(image, *self.box(image.geometry, (0, 0, 0), image.geometry.size_ijk))

    def beside(self, image: Volume) -> list[Framed]:
        """The windows that ``whole`` would give of the slices before and after, where the image has these."""
        start, stop = self.box(image.geometry, (0, 0, 0), image.geometry.size_ijk)
        across, moved = self.placed(image.geometry).order[2], []
        for step in (-1, 1):
            if 0 <= start[across] + step < image.geometry.size_ijk[across]:
                low, high = list(start), list(stop)
                low[across], high[across] = low[across] + step, high[across] + step
                moved.append(self.frame(image, _index(low), _index(high)))
        return moved

    def mask(self, mask: Volume, framed: Framed) -> torch.Tensor:
        """A mask on the image's grid as the network's window shows it: uint8 ``(1, x, y[, z])``, 0 or 1.

        Of a 2-D network the middle slice alone.
        """
        part = mask.cropped(framed.start_ijk, framed.stop_ijk)
        tensor = framed.placement.forward((_tensor(part) > 0).to(torch.uint8), "nearest")
        tensor = tensor[..., 0] if self.slices else tensor
        for name, arguments in self.steps:
            if name == RESIZED:
                tensor = _plain(Resize(arguments["spatial_size"], mode="nearest")(tensor))
            elif name == PADDED:
                tensor = _plain(ResizeWithPadOrCrop(arguments["spatial_size"])(tensor))
        return tensor.to(torch.uint8).contiguous()

    def _stack(self, image: Volume, start_ijk: Index, stop_ijk: Index, placement: Placement) -> torch.Tensor:
        """The box's one slice between its neighbours, ``(slices * channel, x, y)``."""
        across = placement.order[2]
        last = image.geometry.size_ijk[across] - 1
        slices = []
        for step in range(-(self.slices // 2), self.slices // 2 + 1):
            step = -step if placement.flips[2] else step
            at = min(max(start_ijk[across] + step, 0), last)
            start, stop = list(start_ijk), list(stop_ijk)
            start[across], stop[across] = at, at + 1
            part = image.cropped(_index(start), _index(stop))
            slices.append(placement.forward(_tensor(part), "trilinear")[..., 0])
        return torch.cat(slices)


def _tensor(volume: Volume) -> torch.Tensor:
    return volume.to_metatensor().as_tensor().float()


def _plain(tensor: Any) -> torch.Tensor:
    return convert_to_tensor(tensor, track_meta=False)


def _index(numbers: Sequence[int] | np.ndarray) -> Index:
    i, j, k = (int(n) for n in numbers)
    return i, j, k


def _in_three(transform: Mapping[str, Any]) -> Mapping[str, Any]:
    """A geometric transform of two or three dimensions as one of three."""
    if "pixdim" not in transform:
        return transform
    return {**transform, "pixdim": [*np.atleast_1d(transform["pixdim"]).tolist(), 0.0, 0.0][:3]}


def _build(name: str, arguments: Mapping[str, Any]) -> Intensity:
    try:
        return (INTENSITIES.get(name) or SIZING[name])(**arguments)
    except (TypeError, ValueError) as error:
        raise ModelError(f"The preprocessing step {name} has wrong arguments: {error}.") from error
