"""How well one labelmap agrees with another on the same grid (heavy: scipy, torch, MONAI).

Definitions, with R the reference and P the prediction of one label:

==========================  ==================================================================
``dice``                    twice the voxels in both, divided by the sum of the voxels in each
``iou``                     the voxels in both, divided by the voxels in either (Jaccard index)
``hd95_mm``                 the larger of the two directed 95th percentiles (linear interpolation)
                            of the distances from each boundary voxel's centre to the nearest
                            boundary voxel's centre of the other mask
``surface_distance_mm``     mean over all those distances of both directions together (average
                            symmetric surface distance)
``nsd``                     normalised surface Dice of Nikolov et al. 2018 (arXiv:1809.04430): the
                            share of both surfaces' area that lies within the tolerance of the
                            other surface; area-weighted surface elements as in DeepMind's
                            ``surface-distance``
``volume_error_mm3``        volume of P minus volume of R
``volume_error_relative``   the same, divided by the volume of R
==========================  ==================================================================

A boundary voxel has a face neighbour outside its mask; what lies outside the grid is outside. The
same definitions are in MONAI, whose code computes the surfaces here. On a grid of a single slice
the surfaces are contours: distances and lengths within the plane.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from monai.metrics.utils import get_mask_edges, get_surface_distance
from scipy import ndimage

from ..errors import GeometryError, SettingsError
from ..volume import Geometry

DEFAULT_TOLERANCE_MM = 1.0
"""Tolerance of the NSD: that of the Medical Segmentation Decathlon for the hippocampus."""

METRICS = ("dice", "iou", "nsd", "hd95_mm", "surface_distance_mm", "volume_error_mm3", "volume_error_relative")
"""The fields of ``LabelMetrics`` that summaries are made of."""

ROUNDING_MM = 1e-5
"""Surface distances come as float32: one that is the tolerance but for rounding counts as within it."""


@dataclass(frozen=True)
class LabelMetrics:
    """The agreement on one label; the definitions are at the top of this file.

    Parameters
    ----------
    outcome:
        ``found`` (in both masks), ``missed`` (in the reference only), ``false_alarm`` (in the
        prediction only) or ``absent`` (in neither: a true negative).
    dice, iou, nsd:
        0..1; 0 when missed or a false alarm, None when absent.
    hd95_mm, surface_distance_mm:
        None unless found: no distance leads to an empty set.
    reference_mm3, prediction_mm3:
        Volumes.
    volume_error_mm3, volume_error_relative:
        Signed; None when absent. The relative one is None without a reference, and -1 when missed.
    """

    outcome: str
    dice: float | None
    iou: float | None
    nsd: float | None
    hd95_mm: float | None
    surface_distance_mm: float | None
    reference_mm3: float
    prediction_mm3: float
    volume_error_mm3: float | None
    volume_error_relative: float | None

    def to_json(self) -> dict[str, object]:
        """The plain form."""
        return asdict(self)


ABSENT = LabelMetrics("absent", None, None, None, None, None, 0.0, 0.0, None, None)


def compare_labelmaps(
    reference: np.ndarray,
    prediction: np.ndarray,
    geometry: Geometry,
    *,
    labels: Iterable[int] | None = None,
    tolerance_mm: float = DEFAULT_TOLERANCE_MM,
) -> dict[int, LabelMetrics]:
    """Compare two labelmaps label by label.

    Parameters
    ----------
    reference, prediction:
        Shape ``(k, j, i)``, integers of 0 or more; 0 is background.
    geometry:
        The grid of both.
    labels:
        Values to compare; None takes those that are in either labelmap.
    tolerance_mm:
        Tolerance of the NSD.

    Returns
    -------
    dict
        From label value, ascending, to its metrics.

    Raises
    ------
    GeometryError
        The shapes differ from the geometry's, or its axes are not orthogonal.
    SettingsError
        The tolerance is not a positive number.
    """
    check_tolerance(tolerance_mm)
    if not reference.shape == prediction.shape == geometry.shape_kji:
        raise GeometryError(
            f"Expected two labelmaps of shape (k, j, i) {geometry.shape_kji}, got {reference.shape} and "
            f"{prediction.shape}; bring them to one grid first."
        )
    if geometry.is_sheared:
        raise GeometryError("The labelmaps' axes are not orthogonal; resample both to a regular grid first.")
    boxes = _label_boxes(reference), _label_boxes(prediction)
    values = sorted({*boxes[0], *boxes[1]} if labels is None else set(labels))
    compared = {}
    for value in values:
        box = _union_box([found[value] for found in boxes if value in found])
        # the box alone decides the cost: a small structure in a large image is compared at once
        compared[value] = (
            _compare_masks(reference[box] == value, prediction[box] == value, geometry, tolerance_mm)
            if box is not None
            else ABSENT
        )
    return compared


def check_tolerance(tolerance_mm: float) -> None:
    """Raise SettingsError unless the tolerance is a positive, finite number of millimetres."""
    if not (np.isfinite(tolerance_mm) and tolerance_mm > 0):
        raise SettingsError(f"Expected a tolerance above 0 mm, got {tolerance_mm}; 1 is usual for a 1 mm grid.")


def _label_boxes(labelmap: np.ndarray) -> dict[int, tuple[slice, ...]]:
    """The bounding box of each label value, found in one pass over the labelmap."""
    boxes = ndimage.find_objects(np.asarray(labelmap, dtype=np.int32))
    return {value: box for value, box in enumerate(boxes, start=1) if box is not None}


def _union_box(boxes: list[tuple[slice, ...]]) -> tuple[slice, ...] | None:
    """The smallest box that holds all boxes, or None without any."""
    if not boxes:
        return None
    return tuple(
        slice(min(part.start for part in axis), max(part.stop for part in axis)) for axis in zip(*boxes, strict=True)
    )


def _compare_masks(
    reference: np.ndarray, prediction: np.ndarray, geometry: Geometry, tolerance_mm: float
) -> LabelMetrics:
    """Compare two boolean masks (k, j, i), at least one of which is not empty."""
    counts = int(reference.sum()), int(prediction.sum())
    overlap = int((reference & prediction).sum())
    reference_mm3, prediction_mm3 = (count * geometry.voxel_volume_mm3 for count in counts)
    nsd, hd95_mm, surface_distance_mm = 0.0, None, None
    if all(counts):
        outcome = "found"
        nsd, hd95_mm, surface_distance_mm = _compare_surfaces(reference, prediction, geometry, tolerance_mm)
    else:
        outcome = "missed" if counts[0] else "false_alarm"
    return LabelMetrics(
        outcome=outcome,
        dice=2 * overlap / sum(counts),
        iou=overlap / (sum(counts) - overlap),
        nsd=nsd,
        hd95_mm=hd95_mm,
        surface_distance_mm=surface_distance_mm,
        reference_mm3=reference_mm3,
        prediction_mm3=prediction_mm3,
        volume_error_mm3=prediction_mm3 - reference_mm3,
        volume_error_relative=(counts[1] - counts[0]) / counts[0] if counts[0] else None,
    )


def _compare_surfaces(
    reference: np.ndarray, prediction: np.ndarray, geometry: Geometry, tolerance_mm: float
) -> tuple[float, float, float]:
    """NSD, HD95 and mean surface distance of two masks (k, j, i), neither of them empty."""
    spacing_mm = geometry.spacing_mm[::-1]  # along k, j, i like the arrays
    if 1 in geometry.shape_kji:
        # in 3-D every voxel of a single slice is boundary and the slice's two faces would outweigh its contour
        flat = geometry.shape_kji.index(1)
        reference, prediction = reference.squeeze(flat), prediction.squeeze(flat)
        spacing_mm = np.delete(spacing_mm, flat)
    # one free voxel around closes the surfaces; MONAI's own cropping to the same takes longer than all the rest
    masks = [torch.from_numpy(np.pad(mask, 1)) for mask in (prediction, reference)]
    spacing = [float(s) for s in spacing_mm]
    directed = _directed_distances(get_mask_edges(*masks, crop=False), spacing)
    hd95_mm = max(float(np.percentile(distances, 95)) for distances in directed)
    surface_distance_mm = float(np.concatenate(directed).mean(dtype=np.float64))
    *edges, prediction_mm2, reference_mm2 = get_mask_edges(*masks, crop=False, spacing=spacing)
    within = np.concatenate(_directed_distances(edges, spacing)) <= tolerance_mm + ROUNDING_MM
    area_mm2 = torch.cat([prediction_mm2[edges[0]], reference_mm2[edges[1]]]).numpy()
    nsd = float(area_mm2[within].sum(dtype=np.float64) / area_mm2.sum(dtype=np.float64))
    return nsd, hd95_mm, surface_distance_mm


def _directed_distances(edges: Sequence[torch.Tensor], spacing: list[float]) -> list[np.ndarray]:
    """The distances in mm from each element of one boundary to the other boundary, in both directions."""
    first, second = edges
    return [np.asarray(get_surface_distance(a, b, spacing=spacing)) for a, b in ((first, second), (second, first))]
