"""Images and where they lie in the patient.

This is the only place in the engine that knows axis order and LPS/RAS:

- arrays are ``(channel, k, j, i)``: i is the fastest axis of the file, k its slices;
- ``ijk_to_ras`` maps voxel-centre indices ``(i, j, k)`` to RAS millimetres;
- SimpleITK speaks LPS and indexes ``(i, j, k)``; MONAI speaks RAS and stores ``(channel, i, j, k)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from .errors import ChannelError, GeometryError

if TYPE_CHECKING:
    import SimpleITK as sitk
    import torch
    from monai.data import MetaTensor

RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Homogeneous matrix between LPS and RAS; it is its own inverse."""

SHEAR_TOLERANCE = 1e-3
"""Largest cosine between two axes that still counts as orthogonal (0.06 degrees; float32 NIfTI
headers are good to about 1e-6, a 1 degree gantry tilt gives 1.7e-2)."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """A voxel grid in the patient.

    Parameters
    ----------
    shape_kji:
        Number of voxels along k, j, i.
    ijk_to_ras:
        4x4, from voxel-centre index ``(i, j, k, 1)`` to RAS mm.

    Raises
    ------
    GeometryError
        The matrix is not 4x4, not finite or singular, or a size is below 1.
    """

    shape_kji: tuple[int, int, int]
    ijk_to_ras: np.ndarray

    def __post_init__(self) -> None:
        matrix = np.array(self.ijk_to_ras, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise GeometryError(
                f"Expected a finite 4x4 ijk_to_ras matrix, got shape {matrix.shape}; check the image's header."
            )
        if abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
            raise GeometryError("The image's axes span no volume (singular ijk_to_ras); check the image's header.")
        shape = tuple(int(n) for n in self.shape_kji)
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError(f"Expected three sizes of at least 1 voxel (k, j, i), got {shape}.")
        matrix.flags.writeable = False
        object.__setattr__(self, "ijk_to_ras", matrix)
        object.__setattr__(self, "shape_kji", shape)

    @cached_property
    def spacing_mm(self) -> np.ndarray:
        """Spacing along i, j, k in mm, shape (3,)."""
        return np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)

    @cached_property
    def directions(self) -> np.ndarray:
        """Unit vectors of i, j, k in RAS, as the columns of a 3x3 matrix."""
        return self.ijk_to_ras[:3, :3] / self.spacing_mm

    @property
    def origin_ras_mm(self) -> np.ndarray:
        """RAS mm of the centre of voxel (0, 0, 0), shape (3,)."""
        return self.ijk_to_ras[:3, 3]

    @property
    def size_ijk(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k."""
        k, j, i = self.shape_kji
        return i, j, k

    @cached_property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm3."""
        return float(abs(np.linalg.det(self.ijk_to_ras[:3, :3])))

    @cached_property
    def extent_ras_mm(self) -> np.ndarray:
        """Size of the box that holds all voxels, along R, A, S in mm, shape (3,)."""
        return np.abs(self.ijk_to_ras[:3, :3]) @ np.asarray(self.size_ijk, dtype=np.float64)

    @cached_property
    def is_sheared(self) -> bool:
        """Whether the axes are not orthogonal (as a gantry tilt leaves them)."""
        cosines = self.directions.T @ self.directions - np.eye(3)
        return bool(np.abs(cosines).max() > SHEAR_TOLERANCE)

    def ras_from_ijk(self, ijk: np.ndarray) -> np.ndarray:
        """RAS mm of voxel indices, shape (..., 3) to (..., 3)."""
        return np.asarray(ijk, dtype=np.float64) @ self.ijk_to_ras[:3, :3].T + self.ijk_to_ras[:3, 3]

    def ijk_from_ras(self, ras_mm: np.ndarray) -> np.ndarray:
        """Continuous voxel indices (i, j, k) of RAS mm points, shape (..., 3) to (..., 3)."""
        inverse = np.linalg.inv(self.ijk_to_ras)
        return np.asarray(ras_mm, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]

    def cropped(self, start_ijk: tuple[int, int, int], stop_ijk: tuple[int, int, int]) -> Geometry:
        """The grid of the half-open index box [start, stop)."""
        size = tuple(int(b) - int(a) for a, b in zip(start_ijk, stop_ijk, strict=True))
        matrix = self.ijk_to_ras.copy()
        matrix[:3, 3] = self.ras_from_ijk(np.asarray(start_ijk))
        return Geometry((size[2], size[1], size[0]), matrix)

    def resized(self, size_ijk: tuple[int, int, int]) -> Geometry:
        """The grid with other sizes over the same field of view (outer voxel faces stay in place)."""
        scale = np.asarray(self.size_ijk, dtype=np.float64) / np.asarray(size_ijk, dtype=np.float64)
        matrix = self.ijk_to_ras.copy()
        matrix[:3, :3] = matrix[:3, :3] * scale
        matrix[:3, 3] = self.ras_from_ijk((scale - 1) / 2)
        return Geometry((size_ijk[2], size_ijk[1], size_ijk[0]), matrix)

    def matches(self, other: Geometry, tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids have the same shape and no corner lies over ``tolerance_mm`` apart."""
        if self.shape_kji != other.shape_kji:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.size_ijk])).reshape(3, -1).T
        return bool(np.abs(self.ras_from_ijk(corners) - other.ras_from_ijk(corners)).max() <= tolerance_mm)


@dataclass(frozen=True, eq=False)
class Volume:
    """An image with one or more channels on one grid.

    Parameters
    ----------
    array:
        Shape ``(channels, k, j, i)``, any real dtype. It is used as it is, not copied.
    ijk_to_ras:
        4x4, voxel-centre index to RAS mm.
    channel_names:
        One name per channel, or empty when nobody named them.
    modality:
        DICOM modality (``CT``, ``MR``, ...), or "" when unknown.
    source:
        Where it came from (path, series, node name), for messages and the run record.
    identifiers:
        What identifies the image (DICOM UIDs, node id), for the run record.
    notes:
        What reading had to do to it, in words (``resampled: gantry tilt of 18.5 degrees``).

    Raises
    ------
    GeometryError
        The array has not four axes, or the matrix is impossible.
    ChannelError
        The number of names is not the number of channels.
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    channel_names: tuple[str, ...] = ()
    modality: str = ""
    source: str = ""
    identifiers: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.ndim != 4:
            raise GeometryError(
                f"Expected an array (channels, k, j, i), got {array.ndim} axes of shape {array.shape}; "
                "add a channel axis with array[None]."
            )
        names = tuple(self.channel_names)
        if names and len(names) != array.shape[0]:
            raise ChannelError(f"Expected {array.shape[0]} channel names, got {len(names)}: {', '.join(names)}.")
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "channel_names", names)
        object.__setattr__(self, "identifiers", MappingProxyType(dict(self.identifiers)))
        object.__setattr__(self, "ijk_to_ras", self.geometry.ijk_to_ras)

    @cached_property
    def geometry(self) -> Geometry:
        """The grid that the array lies on."""
        k, j, i = self.array.shape[1:]
        return Geometry((k, j, i), self.ijk_to_ras)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.array.shape[0])

    @property
    def is_2d(self) -> bool:
        """Whether the volume is a single slice."""
        return self.array.shape[1] == 1

    def cropped(self, start_ijk: tuple[int, int, int], stop_ijk: tuple[int, int, int]) -> Volume:
        """The half-open index box [start, stop) as a view."""
        (i0, j0, k0), (i1, j1, k1) = start_ijk, stop_ijk
        grid = self.geometry.cropped(start_ijk, stop_ijk)
        return replace(self, array=self.array[:, k0:k1, j0:j1, i0:i1], ijk_to_ras=grid.ijk_to_ras)

    @classmethod
    def stacked(cls, volumes: list[Volume], channel_names: tuple[str, ...] = ()) -> Volume:
        """Several volumes on one grid as the channels of one.

        Raises
        ------
        GeometryError
            The grids differ.
        """
        first = volumes[0]
        for other in volumes[1:]:
            if not other.geometry.matches(first.geometry):
                raise GeometryError(
                    f"The channels must lie on one grid, but {other.source or 'a channel'} has size "
                    f"{other.geometry.size_ijk} and {first.source or 'the first'} {first.geometry.size_ijk} "
                    "or another place; resample them to one grid first."
                )
        if len(volumes) == 1:
            return replace(first, channel_names=channel_names) if channel_names else first
        return replace(
            first,
            array=np.concatenate([v.array for v in volumes]),
            channel_names=channel_names,
            source=", ".join(v.source for v in volumes),
            notes=tuple(note for v in volumes for note in v.notes),
        )

    def to_sitk(self) -> sitk.Image:
        """As a SimpleITK image (LPS); several channels become a vector image.

        Raises
        ------
        GeometryError
            The axes are not orthogonal: ITK images cannot hold shear.
        """
        import SimpleITK as sitk

        if self.geometry.is_sheared:
            raise GeometryError("The image's axes are not orthogonal; resample it to a regular grid first.")
        one = self.channels == 1
        array = self.array[0] if one else np.moveaxis(self.array, 0, -1)
        image = sitk.GetImageFromArray(np.ascontiguousarray(array), isVector=not one)
        lps = RAS_FROM_LPS @ self.ijk_to_ras
        image.SetSpacing([float(s) for s in self.geometry.spacing_mm])
        image.SetDirection([float(d) for d in (lps[:3, :3] / self.geometry.spacing_mm).ravel()])
        image.SetOrigin([float(o) for o in lps[:3, 3]])
        return image

    @classmethod
    def from_sitk(cls, image: sitk.Image, **more: object) -> Volume:
        """From a SimpleITK image of two or three dimensions, scalar or vector.

        ``more`` are further fields of ``Volume``. A 2-D image becomes a single slice in the
        axial plane at S = 0, 1 mm thick.

        Raises
        ------
        GeometryError
            The image has more than three dimensions.
        """
        import SimpleITK as sitk

        dimension = image.GetDimension()
        if dimension not in (2, 3):
            raise GeometryError(
                f"Expected a 2-D or 3-D image, got {dimension} dimensions; split it into volumes first."
            )
        array = sitk.GetArrayFromImage(image)
        array = np.moveaxis(array, -1, 0) if image.GetNumberOfComponentsPerPixel() > 1 else array[None]
        if dimension == 2:
            array = array[:, None]
        lps = np.eye(4)
        spacing, origin = np.array(image.GetSpacing()), np.array(image.GetOrigin())
        lps[:dimension, :dimension] = np.array(image.GetDirection()).reshape(dimension, dimension) * spacing
        lps[:dimension, 3] = origin
        return cls(array, RAS_FROM_LPS @ lps, **more)  # type: ignore[arg-type]

    def to_tensor(self) -> torch.Tensor:
        """As a tensor ``(channels, i, j, k)``; shares memory where it can."""
        import torch

        array = self.array.transpose(0, 3, 2, 1)
        if array.dtype in (np.uint16, np.uint32, np.uint64) or array.dtype.byteorder == ">":
            array = array.astype(np.float32)  # torch has no arithmetic for these
        return torch.from_numpy(array)

    def to_metatensor(self) -> MetaTensor:
        """As a MONAI MetaTensor ``(channels, i, j, k)`` with a RAS affine; shares memory where it can."""
        import torch
        from monai.data import MetaTensor

        return MetaTensor(self.to_tensor(), affine=torch.from_numpy(self.ijk_to_ras.copy()))

    @classmethod
    def from_metatensor(cls, tensor: MetaTensor, **more: object) -> Volume:
        """From a MONAI MetaTensor ``(channels, i, j, k)`` with a RAS affine; ``more`` as in ``from_sitk``."""
        array = tensor.as_tensor().detach().cpu().numpy().transpose(0, 3, 2, 1)
        return cls(array, tensor.affine.detach().cpu().numpy().astype(np.float64), **more)  # type: ignore[arg-type]
