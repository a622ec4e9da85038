"""Boxes in the patient: along a grid's own axes, in RAS mm; to and from voxel indices and LUNA16's tables.

The only place in the engine that turns a detector's boxes into mm. Index boxes are continuous voxel indices
(``i, j, k``) in which integers are voxel *centres*, as an affine and as MONAI's detection transforms take them.
MONAI writes them by their corners (``xyzxyz``: low i, j, k, then high i, j, k) or by centre and size (``cccwhd``).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import GeometryError
from ..evaluation.detection.tables import CENTER_COLUMNS, PROBABILITY_COLUMN, SERIES_COLUMN, SIZE_COLUMNS, Points
from ..files.atomic import replacing
from ..volume import RAS_FROM_LPS, Geometry

Triple = tuple[float, float, float]

SAME_AXES_TOLERANCE = 1e-6
"""Largest difference between the unit vectors of two boxes that still lie along the same axes (0.1 micrometre on
100 mm; a matrix that went through a text file with 9 digits is good to 1e-8)."""


@dataclass(frozen=True)
class OrientedBox:
    """A box along three given directions.

    Parameters
    ----------
    center_ras_mm:
        Its middle.
    size_mm:
        Its full edges along the three directions.
    directions:
        The three unit vectors in RAS, one after the other. They need not be orthogonal (a sheared grid).

    Raises
    ------
    GeometryError
        A number is not finite, a size is not above 0, or the directions are no unit vectors that span space.
    """

    center_ras_mm: Triple
    size_mm: Triple
    directions: tuple[Triple, Triple, Triple] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

    def __post_init__(self) -> None:
        directions = np.asarray(self.directions, dtype=np.float64)
        numbers = np.concatenate([np.ravel(self.center_ras_mm), np.ravel(self.size_mm), directions.ravel()])
        if numbers.shape != (15,) or not np.isfinite(numbers).all():
            raise GeometryError(
                f"Expected a finite centre, size and three directions of a box, got {self.center_ras_mm}, "
                f"{self.size_mm} and {self.directions}; check where the box comes from."
            )
        if min(self.size_mm) <= 0:
            raise GeometryError(f"Expected a box with sizes above 0 mm, got {self.size_mm}; leave it out.")
        lengths = np.linalg.norm(directions, axis=1)
        if np.abs(lengths - 1).max() > SAME_AXES_TOLERANCE or abs(np.linalg.det(directions)) < 1e-6:
            raise GeometryError(
                f"Expected three unit vectors that span space as a box's directions, got {self.directions}."
            )
        object.__setattr__(self, "center_ras_mm", _triple(self.center_ras_mm))
        object.__setattr__(self, "size_mm", _triple(self.size_mm))
        object.__setattr__(self, "directions", tuple(_triple(row) for row in directions))

    @property
    def axes(self) -> np.ndarray:
        """The directions as the columns of a 3x3 matrix, as ``Geometry.directions`` has them."""
        return np.array(self.directions).T

    @property
    def volume_mm3(self) -> float:
        """What it holds."""
        return float(np.prod(self.size_mm) * abs(np.linalg.det(self.axes)))

    def corners_ras_mm(self) -> np.ndarray:
        """Its eight corners, shape (8, 3)."""
        signs = np.array(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij")).reshape(3, -1).T
        return np.asarray(self.center_ras_mm) + (signs * self.size_mm) @ self.axes.T

    def index_corners(self, geometry: Geometry) -> np.ndarray:
        """Low i, j, k, then high i, j, k in a grid (``xyzxyz``), shape (6,).

        Exact where the grid's axes are the box's, in any order and direction; otherwise the smallest box along
        the grid's axes that holds it.
        """
        index = geometry.ijk_from_ras(self.corners_ras_mm())
        return np.concatenate([index.min(axis=0), index.max(axis=0)])

    def along(self, geometry: Geometry) -> OrientedBox:
        """The same box written along a grid's axes; the smallest that holds it where the axes differ."""
        return box_from_corners(self.index_corners(geometry), geometry)

    def extent_ras_mm(self) -> np.ndarray:
        """Edges of the smallest box along R, A and S that holds it, shape (3,)."""
        corners = self.corners_ras_mm()
        return corners.max(axis=0) - corners.min(axis=0)

    def has_axes_of(self, other: OrientedBox) -> bool:
        """Whether both boxes are written along the same directions."""
        return bool(np.abs(self.axes - other.axes).max() <= SAME_AXES_TOLERANCE)


def box_from_corners(corners: Sequence[float] | np.ndarray, geometry: Geometry) -> OrientedBox:
    """The box of continuous voxel indices, low i, j, k, then high i, j, k (MONAI's ``xyzxyz``), in that grid.

    Raises
    ------
    GeometryError
        A low end is not below its high end, or a number is not finite.
    """
    low, high = np.asarray(corners, dtype=np.float64).reshape(2, 3)
    if not (low < high).all():
        raise GeometryError(
            f"Expected a box of six voxel indices with every low end below its high end, got {np.ravel(corners)}."
        )
    center = geometry.ras_from_ijk((low + high) / 2)
    directions = geometry.directions.T
    return OrientedBox(_triple(center), _triple((high - low) * geometry.spacing_mm), tuple(map(_triple, directions)))  # type: ignore[arg-type]


def box_of_voxels(start_ijk: Sequence[int], stop_ijk: Sequence[int], geometry: Geometry) -> OrientedBox:
    """The box around the voxels [start, stop), out to their faces."""
    return box_from_corners(np.concatenate([start_ijk, stop_ijk]) - 0.5, geometry)


def box_of_mask(mask: np.ndarray, geometry: Geometry) -> OrientedBox:
    """The box around the true voxels of a mask ``(k, j, i)``, out to their faces.

    Raises
    ------
    GeometryError
        No voxel is true.
    """
    kji = np.argwhere(mask)
    if not len(kji):
        raise GeometryError("Expected a mask with at least one voxel to put a box around, got an empty one.")
    return box_of_voxels(kji.min(axis=0)[::-1], kji.max(axis=0)[::-1] + 1, geometry)


def corners_from_centers(boxes: np.ndarray) -> np.ndarray:
    """MONAI's ``cccwhd`` (centre, then size) as ``xyzxyz``, shape (n, 6)."""
    center, size = np.asarray(boxes, dtype=np.float64).reshape(-1, 2, 3).transpose(1, 0, 2)
    return np.concatenate([center - size / 2, center + size / 2], axis=1)


def centers_from_corners(boxes: np.ndarray) -> np.ndarray:
    """MONAI's ``xyzxyz`` as ``cccwhd`` (centre, then size), shape (n, 6)."""
    low, high = np.asarray(boxes, dtype=np.float64).reshape(-1, 2, 3).transpose(1, 0, 2)
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def marks_of(series: str, boxes: Sequence[OrientedBox], scores: Sequence[float]) -> Points:
    """Boxes of one scan as LUNA16's marks: centres in LPS mm, edges of the box along the world's axes.

    Raises
    ------
    ValueError
        There are not as many scores as boxes.
    """
    if len(boxes) != len(scores):
        raise ValueError(f"Expected a score for each of {len(boxes)} boxes, got {len(scores)}.")
    centers = np.array([box.center_ras_mm for box in boxes]).reshape(-1, 3) @ RAS_FROM_LPS[:3, :3]
    sizes = np.array([box.extent_ras_mm() for box in boxes]).reshape(-1, 3)
    return Points((series,) * len(boxes), centers, np.asarray(scores, dtype=np.float64), sizes)


def boxes_of(points: Points, *, like: Geometry | None = None) -> list[OrientedBox]:
    """The boxes of LUNA16's findings or marks (LPS mm): of their sizes, or cubes of their diameter.

    Parameters
    ----------
    points:
        Rows with sizes, or findings (whose value is a diameter).
    like:
        Along whose axes the boxes are written, with the sizes that the table tells; along the world's otherwise.

    Raises
    ------
    GeometryError
        A row has neither a size nor a diameter above 0.
    """
    sizes = np.repeat(points.value[:, np.newaxis], 3, axis=1) if points.size_mm is None else points.size_mm
    if len(points) and not sizes.min() > 0:
        row = int(np.argmin(sizes.min(axis=1)))
        raise GeometryError(
            f"Expected a size above 0 mm for each box, got {sizes[row].min():g} in row {row + 1} of the table; "
            "give the finding's diameter or leave it out."
        )
    centers = points.center_mm @ RAS_FROM_LPS[:3, :3]
    if like is None:
        return [OrientedBox(_triple(c), _triple(s)) for c, s in zip(centers, sizes, strict=True)]
    nearest = np.abs(like.directions).argmax(axis=0)  # the world's axis that each of the grid's is closest to
    rows = tuple(_triple(direction) for direction in like.directions.T)
    return [OrientedBox(_triple(c), _triple(s[nearest]), rows) for c, s in zip(centers, sizes, strict=True)]  # type: ignore[arg-type]


def write_marks(path: str | Path, marks: Points) -> None:
    """Write LUNA16's table of marks, which ``evaluation.detection.tables.read_marks`` reads back exactly.

    Raises
    ------
    OutputError
        The place cannot be written to.
    """
    sizes = SIZE_COLUMNS if marks.size_mm is not None else ()
    numbers = [marks.center_mm, marks.value[:, np.newaxis], *([] if marks.size_mm is None else [marks.size_mm])]
    rows = np.concatenate(numbers, axis=1).tolist()
    with replacing(Path(path)) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([SERIES_COLUMN, *CENTER_COLUMNS, PROBABILITY_COLUMN, *sizes])
        writer.writerows([series, *map(repr, row)] for series, row in zip(marks.series, rows, strict=True))


def _triple(values: Sequence[float] | np.ndarray) -> Triple:
    """Three plain floats."""
    x, y, z = (float(value) for value in values)
    return x, y, z
