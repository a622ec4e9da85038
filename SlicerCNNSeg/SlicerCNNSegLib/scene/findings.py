"""Findings in the scene: a row, an ROI and a segment each, tied by the finding's id.

The table node keeps everything: all candidates as JSON in ``CNNSeg.Findings``, the threshold in ``CNNSeg.Threshold``,
and references to the segmentation and the ROIs. So a threshold can be changed, and findings reviewed, without a new
run, and all of it is saved with the scene. An ROI carries its finding's id in ``CNNSeg.Finding``, a segment in the tag
of that name.

A candidate is shown from the threshold on. A rejected one keeps its row, but is hidden in the views.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..engine.detection.result import DetectionResult
from ..engine.errors import InputError, SettingsError
from ..engine.findings.finding import ACCEPTED, REJECTED, UNDECIDED, Finding
from ..engine.result import SegmentationResult
from .finding_table import fill_table
from .geometry import local_ijk_to_ras, matrix_from_array
from .hierarchy import place_beside
from .records import set_record
from .segmentations import one_modified_event, show_segmentation
from .volumes import lies_on_grid_of

if TYPE_CHECKING:
    import slicer

FINDINGS, THRESHOLD, FINDING = "CNNSeg.Findings", "CNNSeg.Threshold", "CNNSeg.Finding"
ROI_ROLE, SEGMENTATION_ROLE = "CNNSeg.FindingROI", "CNNSeg.FindingSegmentation"

COLORS = {UNDECIDED: (0.98, 0.62, 0.16), ACCEPTED: (0.25, 0.75, 0.35), REJECTED: (0.6, 0.6, 0.6)}
"""Of an ROI, by what its reviewer said."""


@dataclass(frozen=True)
class ShownFindings:
    """A detection and the nodes that show it."""

    result: DetectionResult
    table: slicer.vtkMRMLTableNode
    segmentation: slicer.vtkMRMLSegmentationNode
    rois: tuple[slicer.vtkMRMLMarkupsROINode, ...]


def show_findings(
    scene: slicer.vtkMRMLScene,
    result: DetectionResult,
    reference_node: slicer.vtkMRMLVolumeNode | None,
    table: slicer.vtkMRMLTableNode | None = None,
) -> ShownFindings:
    """Show a detection as a table, a segmentation and an ROI for each candidate.

    Parameters
    ----------
    scene:
        Where they go.
    result:
        What to show.
    reference_node:
        The volume that was searched: gives transform and place in the subject hierarchy, see
        ``scene.segmentations``. None, or a node no longer in the scene: the findings lie in world coordinates.
    table:
        Of an earlier detection: filled anew, its segmentation too, its ROIs removed. None makes new nodes.

    Raises
    ------
    InputError
        The reference is no volume node, or has no voxels.
    """
    if reference_node is not None and reference_node.GetScene() is not scene:
        reference_node = None
    if table is not None and table.GetScene() is not scene:
        table = None
    earlier = table.GetNodeReference(SEGMENTATION_ROLE) if table is not None else None
    segments = SegmentationResult(result.labelmap, result.geometry, result.labels, result.record)
    segmentation = show_segmentation(scene, segments, reference_node, earlier)
    _tie_segments(segmentation, result)
    if table is None:
        table = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName("Findings"))
    for roi in rois_of(table):
        scene.RemoveNode(roi)
    with one_modified_event(table):
        table.RemoveNodeReferenceIDs(ROI_ROLE)
        table.SetNodeReferenceID(SEGMENTATION_ROLE, segmentation.GetID())
        set_record(table, result.record)
        rois = tuple(_make_roi(scene, one, reference_node, result) for one in result.candidates)
        for roi in rois:
            table.AddNodeReferenceID(ROI_ROLE, roi.GetID())
        _keep(table, result.candidates)
        set_threshold(table, result.threshold)
    return ShownFindings(result, table, segmentation, rois)


def findings_of(table: slicer.vtkMRMLTableNode) -> list[Finding]:
    """All candidates that a table keeps, the highest score first.

    Raises
    ------
    InputError
        The table shows no findings.
    """
    text = table.GetAttribute(FINDINGS) if table is not None else None
    if not text:
        name = repr(table.GetName()) if table is not None else "None"
        raise InputError(f"Expected a table of findings, got {name}; detect first, or choose the table it made.")
    return [Finding.from_json(plain) for plain in json.loads(text)]


def threshold_of(table: slicer.vtkMRMLTableNode) -> float:
    """The score from which on the table's candidates are shown."""
    return float(table.GetAttribute(THRESHOLD))


def rois_of(table: slicer.vtkMRMLTableNode) -> list[slicer.vtkMRMLMarkupsROINode]:
    """The ROIs of a table's candidates that are still in the scene."""
    found = (table.GetNthNodeReference(ROI_ROLE, n) for n in range(table.GetNumberOfNodeReferences(ROI_ROLE)))
    return [roi for roi in found if roi is not None]


def set_threshold(table: slicer.vtkMRMLTableNode, threshold: float) -> None:
    """Show the candidates whose score reaches the threshold, and hide the others.

    Raises
    ------
    SettingsError
        It is not within 0 and 1.
    InputError
        The table shows no findings.
    """
    if not 0 <= threshold <= 1:
        raise SettingsError(f"Expected a threshold from 0 to 1, got {threshold}.")
    findings = findings_of(table)
    with one_modified_event(table):
        table.SetAttribute(THRESHOLD, repr(float(threshold)))
        _refresh(table, findings)


def review(table: slicer.vtkMRMLTableNode, finding_id: str, status: str) -> Finding:
    """Keep what a reviewer says of a finding; the finding as it is now.

    Parameters
    ----------
    status:
        ``accepted``, ``rejected`` or ``undecided``.

    Raises
    ------
    InputError
        The table has no such finding, or there is no such status.
    """
    findings = findings_of(table)
    if finding_id not in [one.id for one in findings]:
        known = ", ".join(one.id for one in findings) or "none"
        raise InputError(f"Expected one of the findings {known}, got {finding_id!r}.")
    reviewed = [one.reviewed(status) if one.id == finding_id else one for one in findings]
    with one_modified_event(table):
        _keep(table, reviewed)
        _refresh(table, reviewed)
    return next(one for one in reviewed if one.id == finding_id)


def _keep(table: slicer.vtkMRMLTableNode, findings: list[Finding] | tuple[Finding, ...]) -> None:
    table.SetAttribute(FINDINGS, json.dumps([one.to_json() for one in findings]))


def _refresh(table: slicer.vtkMRMLTableNode, findings: list[Finding]) -> None:
    """Bring rows, segments and ROIs in line with threshold and review."""
    threshold = threshold_of(table)
    listed = [one for one in findings if one.score >= threshold]
    fill_table(table, listed)
    by_id = {one.id: one for one in findings}
    visible = {one.id for one in listed if one.status != REJECTED}
    for roi in rois_of(table):
        finding = by_id.get(roi.GetAttribute(FINDING))
        if finding is not None:
            roi.SetDisplayVisibility(finding.id in visible)
            roi.GetDisplayNode().SetSelectedColor(*COLORS[finding.status])
    segmentation = table.GetNodeReference(SEGMENTATION_ROLE)
    if segmentation is None:
        return
    display = segmentation.GetDisplayNode()
    for n in range(segmentation.GetSegmentation().GetNumberOfSegments()):
        segment_id = segmentation.GetSegmentation().GetNthSegmentID(n)
        finding_id = finding_of_segment(segmentation, segment_id)
        if finding_id:
            display.SetSegmentVisibility(segment_id, finding_id in visible)


def finding_of_segment(segmentation: slicer.vtkMRMLSegmentationNode, segment_id: str) -> str:
    """Id of the finding that a segment shows; "" for any other segment."""
    import vtk

    value = vtk.mutable("")
    segment = segmentation.GetSegmentation().GetSegment(segment_id)
    return str(value) if segment is not None and segment.GetTag(FINDING, value) else ""


def _tie_segments(segmentation: slicer.vtkMRMLSegmentationNode, result: DetectionResult) -> None:
    """Write each finding's id onto its segment."""
    segments = segmentation.GetSegmentation()
    by_value = dict(zip((label.value for label in result.labels), result.candidates, strict=True))
    for n in range(segments.GetNumberOfSegments()):
        segment = segments.GetNthSegment(n)
        finding = by_value.get(segment.GetLabelValue())
        if finding is not None:
            segment.SetTag(FINDING, finding.id)


def _make_roi(
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
    if reference is not None:
        place_beside(roi, reference)
    return roi


def _nearest_rotation(axes: np.ndarray) -> np.ndarray:
    """The rotation nearest to three directions; one of a left-handed set is turned round, which leaves the box."""
    u, _, vt = np.linalg.svd(axes)
    rotation = u @ vt
    if np.linalg.det(rotation) < 0:
        rotation[:, 2] *= -1
    return np.asarray(rotation)
