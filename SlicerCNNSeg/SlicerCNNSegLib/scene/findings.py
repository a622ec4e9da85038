"""Findings in the scene: a row, an ROI and a segment each, tied by the finding's id.

The table node keeps everything: all candidates as JSON in ``CNNSeg.Findings``, the threshold in ``CNNSeg.Threshold``,
and references to the volume, the segmentation and the ROIs. So a threshold can be changed, and findings reviewed,
without a new run, and all of it is saved with the scene. An ROI carries its finding's id in ``CNNSeg.Finding``, a
segment in the tag of that name.

A candidate is shown from the threshold on. A rejected one keeps its row, but is hidden in the views.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..engine.detection.result import DetectionResult
from ..engine.errors import InputError, SettingsError
from ..engine.findings.finding import ACCEPTED, REJECTED, UNDECIDED, Finding
from ..engine.findings.review import Comparison
from ..engine.result import SegmentationResult, counting
from ..engine.steps import Steps, finished
from .finding_rois import FINDING, make_roi
from .finding_table import fill_table
from .follow_ups import gone_findings, matches_of, remove_comparison, set_comparison
from .geometry import voxels
from .records import set_record
from .segmentations import copying_foreground, one_modified_event, put_segmentation

if TYPE_CHECKING:
    import slicer

FINDINGS, THRESHOLD = "CNNSeg.Findings", "CNNSeg.Threshold"
ROI_ROLE, SEGMENTATION_ROLE, VOLUME_ROLE = "CNNSeg.FindingROI", "CNNSeg.FindingSegmentation", "CNNSeg.FindingVolume"

FILL_OPACITY = 0.2
"""Of segments in slice views: a nodule must be seen through its own."""

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
    return put_findings(scene, result, finished(preparing_findings(result)), reference_node, table)


@dataclass(frozen=True, eq=False)
class PreparedFindings:
    """What takes time of showing a detection: its counted segments, and their image without matrix."""

    segments: SegmentationResult
    image: slicer.vtkOrientedImageData | None


def preparing_findings(result: DetectionResult) -> Steps[PreparedFindings]:
    """Make what ``put_findings`` needs, in small pieces; the scene is not touched."""
    image = yield from copying_foreground(result.labelmap)
    part = voxels(image)[0] if image is not None else result.labelmap[:0]
    counted = yield from counting(part, result.geometry, result.labels)
    segments = SegmentationResult(
        result.labelmap, result.geometry, result.labels, result.record, compounds=(), counted=counted
    )
    return PreparedFindings(segments, image)


def put_findings(
    scene: slicer.vtkMRMLScene,
    result: DetectionResult,
    prepared: PreparedFindings,
    reference_node: slicer.vtkMRMLVolumeNode | None,
    table: slicer.vtkMRMLTableNode | None = None,
) -> ShownFindings:
    """``show_findings`` of a detection that ``preparing_findings`` has prepared."""
    if reference_node is not None and reference_node.GetScene() is not scene:
        reference_node = None
    if table is not None and table.GetScene() is not scene:
        table = None
    earlier = table.GetNodeReference(SEGMENTATION_ROLE) if table is not None else None
    segmentation = put_segmentation(scene, prepared.segments, prepared.image, reference_node, earlier)
    if earlier is None:
        segmentation.GetDisplayNode().SetOpacity2DFill(FILL_OPACITY)
    _tie_segments(segmentation, result)
    if table is None:
        table = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName("Findings"))
    for roi in rois_of(table):
        scene.RemoveNode(roi)
    with one_modified_event(table):
        table.RemoveNodeReferenceIDs(ROI_ROLE)
        table.SetNodeReferenceID(SEGMENTATION_ROLE, segmentation.GetID())
        table.SetNodeReferenceID(VOLUME_ROLE, reference_node.GetID() if reference_node is not None else None)
        set_record(table, result.record)
        remove_comparison(table)
        rois = tuple(make_roi(scene, one, reference_node, result) for one in result.candidates)
        for roi in rois:
            table.AddNodeReferenceID(ROI_ROLE, roi.GetID())
        _keep(table, result.candidates)
        set_threshold(table, result.threshold)
    return ShownFindings(result, table, segmentation, rois)


def is_table_of_findings(node: slicer.vtkMRMLNode | None) -> bool:
    """Whether the node is a table that keeps findings."""
    return node is not None and bool(node.GetAttribute(FINDINGS))


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


def listed_findings(table: slicer.vtkMRMLTableNode) -> list[Finding]:
    """The candidates that reach the table's threshold."""
    threshold = threshold_of(table)
    return [one for one in findings_of(table) if one.score >= threshold]


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


def show_comparison(
    table: slicer.vtkMRMLTableNode, earlier: slicer.vtkMRMLTableNode, days: float, comparison: Comparison
) -> None:
    """Show in a table what became of the findings of an earlier one; it is kept with the table."""
    with one_modified_event(table):
        set_comparison(table, earlier, days, comparison)
        _refresh(table, findings_of(table))


def set_shown(table: slicer.vtkMRMLTableNode, shown: bool) -> None:
    """Show what belongs to a table in the views, as threshold and review say, or hide all of it."""
    segmentation = table.GetNodeReference(SEGMENTATION_ROLE)
    if segmentation is not None:
        segmentation.SetDisplayVisibility(shown)
    if shown:
        _refresh(table, findings_of(table))
    else:
        for roi in rois_of(table):
            roi.SetDisplayVisibility(False)


def position_of(table: slicer.vtkMRMLTableNode, finding_id: str) -> tuple[float, float, float] | None:
    """The middle of a finding in the world, RAS mm, wherever its volume has moved; None where there is none."""
    for roi in rois_of(table):
        if roi.GetAttribute(FINDING) == finding_id:
            center = [0.0, 0.0, 0.0]
            roi.GetCenterWorld(center)
            return center[0], center[1], center[2]
    everywhere = [*findings_of(table), *gone_findings(table)]
    return next((one.center_ras_mm for one in everywhere if one.id == finding_id), None)


def _keep(table: slicer.vtkMRMLTableNode, findings: list[Finding] | tuple[Finding, ...]) -> None:
    table.SetAttribute(FINDINGS, json.dumps([one.to_json() for one in findings]))


def _refresh(table: slicer.vtkMRMLTableNode, findings: list[Finding]) -> None:
    """Bring rows, segments and ROIs in line with threshold and review."""
    threshold = threshold_of(table)
    listed = [one for one in findings if one.score >= threshold]
    fill_table(table, listed, matches_of(table), gone_findings(table))
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
