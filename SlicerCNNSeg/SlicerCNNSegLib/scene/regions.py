"""Markups ROI nodes to ``Region``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..engine.errors import InputError, RegionError
from ..engine.region import Region

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
