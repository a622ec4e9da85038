"""A finding's box as a markups ROI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..engine.detection.result import DetectionResult
from ..engine.findings.finding import Finding
from .geometry import local_ijk_to_ras, matrix_from_array
from .hierarchy import place_beside
from .volumes import lies_on_grid_of

if TYPE_CHECKING:
    import slicer

FINDING = "CNNSeg.Finding"
"""Attribute of an ROI, and tag of a segment: the id of its finding."""

FILL_OPACITY = 0.05
"""Of boxes: hardly seen. Without any fill Slicer draws no box in 3-D views."""


def make_roi(
    scene: slicer.vtkMRMLScene,
    finding: Finding,
    reference: slicer.vtkMRMLVolumeNode | None,
    result: DetectionResult,
) -> slicer.vtkMRMLMarkupsROINode:
    """The finding's box as an ROI, locked, under the volume's transform where the result lies on its grid."""
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", f"{result.label.name} {finding.id}")
    roi.CreateDefaultDisplayNodes()
    roi.SetAttribute(FINDING, finding.id)
    own_grid = reference is not None and lies_on_grid_of(reference, result)
    # by the voxels, which both share: the volume may have moved since
    to_node = local_ijk_to_ras(reference) @ np.linalg.inv(result.geometry.ijk_to_ras) if own_grid else np.eye(4)
    linear = to_node[:3, :3]
    axes = linear @ finding.box.axes
    lengths = np.linalg.norm(axes, axis=0)
    matrix = np.eye(4)
    matrix[:3, :3] = _nearest_rotation(axes / lengths)
    matrix[:3, 3] = linear @ finding.box.center_ras_mm + to_node[:3, 3]
    roi.SetSize(*(np.asarray(finding.box.size_mm) * lengths))
    roi.SetAndObserveObjectToNodeMatrix(matrix_from_array(matrix))
    if own_grid:
        assert reference is not None
        roi.SetAndObserveTransformNodeID(reference.GetTransformNodeID())
    roi.SetLocked(True)
    _draw_outline(roi)
    if reference is not None:
        place_beside(roi, reference)
    return roi


def _draw_outline(roi: slicer.vtkMRMLMarkupsROINode) -> None:
    """Draw its edges and its name: what is found must be seen, and nobody is to drag it."""
    display = roi.GetDisplayNode()
    display.SetFillOpacity(FILL_OPACITY)
    display.SetHandlesInteractive(False)
    for n in range(roi.GetNumberOfControlPoints()):
        roi.SetNthControlPointVisibility(n, False)


def _nearest_rotation(axes: np.ndarray) -> np.ndarray:
    """The rotation nearest to three directions; one of a left-handed set is turned round, which leaves the box."""
    u, _, vt = np.linalg.svd(axes)
    rotation = u @ vt
    if np.linalg.det(rotation) < 0:
        rotation[:, 2] *= -1
    return np.asarray(rotation)
