"""Markups ROI nodes, and what surrounds segments, to ``Region``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..engine.classification.around import MARGIN_MM, regions_around_segments
from ..engine.errors import InputError, RegionError
from ..engine.region import Region
from .labelmaps import labelmap_from_segmentation

if TYPE_CHECKING:
    import slicer


def region_from_roi(roi_node: slicer.vtkMRMLMarkupsROINode, name: str = "") -> Region:
    """The box of an ROI node in world RAS mm.

    Of a rotated ROI it is the bounding box, which holds more than the ROI itself. Parent transforms
    are applied as Slicer draws the ROI: under a non-linear one it stays a box, with its axes bent to
    the transform's direction at its centre.

    Parameters
    ----------
    roi_node:
        A box or bounding-box ROI.
    name:
        The region's name: with one (``left``) its labels are kept apart from those of other regions.

    Raises
    ------
    InputError
        That is no ROI node.
    RegionError
        The ROI has not been placed, or has no extent along one of its axes.
    """
    if roi_node is None or not roi_node.IsA("vtkMRMLMarkupsROINode"):
        got = roi_node.GetClassName() if roi_node else None
        raise InputError(f"Expected a markups ROI node, got {got}; create one in the Markups module.")
    size_mm = roi_node.GetSize()
    if roi_node.GetNumberOfDefinedControlPoints() == 0 or min(size_mm) <= 0:
        raise RegionError(
            f"The ROI {roi_node.GetName()!r} is empty (size {' x '.join(f'{mm:g}' for mm in size_mm)} mm); "
            "place it on the image."
        )
    bounds = [0.0] * 6
    roi_node.GetRASBounds(bounds)
    return Region("ras", tuple(bounds), name)  # type: ignore[arg-type]


def region_around(
    node: slicer.vtkMRMLMarkupsROINode | slicer.vtkMRMLSegmentationNode, margin_mm: float = MARGIN_MM
) -> Region:
    """The box of an ROI node; of a segmentation node the box around all of its segments, in world RAS mm.

    Parameters
    ----------
    margin_mm:
        Added on each side of the segments, along the axes of their grid; not to an ROI.

    Raises
    ------
    InputError
        The node is neither, or has no segments.
    RegionError
        The ROI or all segments are empty.
    """
    if node is None or not node.IsA("vtkMRMLSegmentationNode"):
        return region_from_roi(node)
    labelmap, geometry, labels = labelmap_from_segmentation(node)
    whole = (labelmap > 0).astype(labelmap.dtype)
    (region,) = regions_around_segments(whole, geometry, (replace(labels[0], value=1),), margin_mm)
    return replace(region, name="")


def covered_mm(
    volume_node: slicer.vtkMRMLVolumeNode, around: slicer.vtkMRMLDisplayableNode | None = None, margin_mm: float = 0.0
) -> np.ndarray:
    """About how much of a volume node is looked at, along R, A, S in mm, shape (3,): all, or its part in a node's box.

    Boxes are those along R, A and S that hold volume and node; around segments there is a margin.
    """
    low, high = _ras_box(volume_node)
    if around is not None:
        part, margin = _ras_box(around), margin_mm if around.IsA("vtkMRMLSegmentationNode") else 0.0
        low, high = np.maximum(low, part[0] - margin), np.minimum(high, part[1] + margin)
    return np.maximum(high - low, 0.0)


def _ras_box(node: slicer.vtkMRMLDisplayableNode) -> np.ndarray:
    """Lower and upper ends along R, A, S in the world, mm, shape (2, 3)."""
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    return np.array(bounds).reshape(3, 2).T
