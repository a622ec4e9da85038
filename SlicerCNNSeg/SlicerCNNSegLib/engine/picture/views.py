"""The three planes in which a segmentation is shown (heavy: nibabel, scipy).

Any orientation is brought to RAS by flips and permutations alone: an oblique image is shown along
its own axes, each named after the anatomical direction that it is closest to. The convention is the
radiological one: the patient's right is on the picture's left, anterior is left in sagittal planes.
"""

from __future__ import annotations

from dataclasses import dataclass

import nibabel
import numpy as np
from scipy import ndimage

from ..errors import GeometryError
from ..inputs import guess_modality
from ..result import SegmentationResult
from ..volume import Geometry, Volume

PLANES = (("Axial", 2, "RLAP"), ("Coronal", 1, "RLSI"), ("Sagittal", 0, "APSI"))
"""Name, the RAS axis across the plane, and what is left, right, top and bottom in the picture."""

DIRECTIONS = (("R", "L"), ("A", "P"), ("S", "I"))
"""Letters of the positive and negative end of each RAS axis."""

OBLIQUE_COSINE = np.cos(np.radians(1.0))
"""An axis further than 1 degree off its anatomical direction counts as oblique."""

SOFT_TISSUE_HU = (-160.0, 240.0)
LUNG_HU = (-1350.0, 150.0)
"""The usual windows of CT: level 40, width 400, and level -600, width 1500."""

LUNG_BELOW_HU = -500.0
"""Structures of a lower median than this lie in the lung."""

WINDOW_PERCENTILES = (1.0, 99.7)
"""Range of grey values shown of anything but CT: the brightest few vessels and noise are cut off."""

HEADROOM = 1.15
"""The range is widened upwards by this factor, so that white matter leaves room for the colours over it."""

SAMPLED_VOXELS = 1_000_000
"""Percentiles are taken of about this many voxels: more change nothing that one could see."""


Box = tuple[float, float, float, float]
"""Left, right, top and bottom edge in a picture, in mm from its top left corner."""


@dataclass(frozen=True, eq=False)
class View:
    """One plane of the image, as it is to be drawn.

    Parameters
    ----------
    name:
        ``Axial``, ``Coronal`` or ``Sagittal``.
    position:
        Where the plane lies (``I 14 mm``), "" in an oblique image.
    image, labelmap:
        Shape ``(rows, columns)``, the first row at the top.
    spacing_mm:
        Between rows and between columns.
    letters:
        What is left, right, top and bottom.
    box_mm:
        What is segmented here; None when nothing is.
    """

    name: str
    position: str
    image: np.ndarray
    labelmap: np.ndarray
    spacing_mm: tuple[float, float]
    letters: str
    box_mm: Box | None

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height."""
        rows, columns = self.image.shape
        return columns * self.spacing_mm[1], rows * self.spacing_mm[0]


def planes_of(volume: Volume, result: SegmentationResult) -> list[View]:
    """The axial, coronal and sagittal plane that show most, of the first channel.

    Of a single slice (2-D) only its own plane.

    Raises
    ------
    GeometryError
        The result lies on another grid than the volume.
    """
    if not result.geometry.matches(volume.geometry):
        raise GeometryError(
            f"Expected a segmentation on the image's own grid of {volume.geometry.size_ijk} voxels, got one on another "
            f"of {result.geometry.size_ijk}; pass the volume that was segmented."
        )
    return planes_through(volume, result.labelmap)


def planes_through(volume: Volume, labelmap_kji: np.ndarray, shown_kji: np.ndarray | None = None) -> list[View]:
    """The same for a labelmap ``(k, j, i)`` on the volume's grid, or where ``shown_kji`` shows most."""
    geometry = volume.geometry
    to_ras = nibabel.orientations.io_orientation(geometry.ijk_to_ras)
    image = nibabel.orientations.apply_orientation(volume.array[0].transpose(2, 1, 0), to_ras)
    labelmap = nibabel.orientations.apply_orientation(labelmap_kji.transpose(2, 1, 0), to_ras)
    matrix = geometry.ijk_to_ras @ nibabel.orientations.inv_ornt_aff(to_ras, geometry.size_ijk)
    upright = Geometry(labelmap.shape[::-1], matrix)  # the same grid with its axes in R, A, S order
    shown = labelmap_kji if shown_kji is None else shown_kji
    weights = _plane_weights(nibabel.orientations.apply_orientation(shown.transpose(2, 1, 0), to_ras))
    flat = [plane for plane in PLANES if labelmap.shape[plane[1]] == 1]
    return [_view(plane, int(np.argmax(weights[plane[1]])), image, labelmap, upright) for plane in (flat[:1] or PLANES)]


def is_oblique(geometry: Geometry) -> bool:
    """Whether an axis lies off its anatomical direction, so that planes and letters are approximate."""
    return bool(np.abs(geometry.directions).max(axis=0).min() < OBLIQUE_COSINE)


def grey_window(volume: Volume, labelmap_kji: np.ndarray) -> tuple[float, float]:
    """The grey values to be drawn black and white, of the first channel.

    CT has its usual windows (lung or soft tissue, by where the labelmap is not 0), all else percentiles.
    """
    image = volume.array[0]
    if guess_modality(volume) == "CT":
        segmented = image[labelmap_kji > 0]
        in_lung = segmented.size > 0 and float(np.median(segmented)) < LUNG_BELOW_HU
        return LUNG_HU if in_lung else SOFT_TISSUE_HU
    return percentile_window(image)


def percentile_window(image: np.ndarray) -> tuple[float, float]:
    """The grey values to be drawn black and white where they mean nothing by themselves."""
    sample = image.ravel()[:: max(1, image.size // SAMPLED_VOXELS)]
    low, high = (float(x) for x in np.percentile(sample[np.isfinite(sample)], WINDOW_PERCENTILES))
    return low, low + max(HEADROOM * (high - low), 1e-6)  # an image of one value is all black


def _plane_weights(labelmap: np.ndarray) -> list[np.ndarray]:
    """How much each plane shows, along R, A and S; the middle plane leads when nothing is segmented.

    Every structure counts the same, by the share of its largest cross-section: otherwise a large
    one would push small ones out of the picture.
    """
    weights = [np.zeros(size) for size in labelmap.shape]
    for axis_weights in weights:
        axis_weights[len(axis_weights) // 2] = 1e-9
    for value, box in enumerate(ndimage.find_objects(labelmap.astype(np.int32, copy=False)), start=1):
        if box is None:
            continue
        mask = labelmap[box] == value
        for axis, axis_weights in enumerate(weights):
            areas = mask.sum(axis=tuple({0, 1, 2} - {axis}))
            axis_weights[box[axis]] += areas / areas.max()
    return weights


def _view(plane: tuple[str, int, str], index: int, image: np.ndarray, labelmap: np.ndarray, geometry: Geometry) -> View:
    """The plane at an index of arrays whose axes are R, A, S."""
    name, across, letters = plane
    shown = [axis for axis in range(3) if axis != across]
    # every axis runs to R, A or S, and pictures run from R, A and S to the other end: reverse both
    picture, labels = (array.take(index, axis=across)[::-1, ::-1].T for array in (image, labelmap))
    spacing_mm = float(geometry.spacing_mm[shown[1]]), float(geometry.spacing_mm[shown[0]])
    position = ""
    if not is_oblique(geometry):
        at_mm = geometry.origin_ras_mm[across] + index * geometry.spacing_mm[across]
        position = f"{DIRECTIONS[across][int(at_mm < 0)]} {abs(at_mm):.0f} mm"
    return View(name, position, picture, labels, spacing_mm, letters, _box_mm(labels > 0, spacing_mm))


def _box_mm(mask: np.ndarray, spacing_mm: tuple[float, float]) -> Box | None:
    """The outer edges of the true pixels of a picture: left, right, top, bottom."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return (
        float(columns[0] * spacing_mm[1]),
        float((columns[-1] + 1) * spacing_mm[1]),
        float(rows[0] * spacing_mm[0]),
        float((rows[-1] + 1) * spacing_mm[0]),
    )
