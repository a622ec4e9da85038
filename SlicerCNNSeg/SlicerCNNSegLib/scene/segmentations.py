"""Results to segmentation nodes, and segmentation nodes to labelmaps.

**Where a result lies.** One that was computed on the volume's own voxel grid goes under the same parent
transform as the volume, with the volume's own geometry: moving or hardening that transform later moves
both, and they cannot come apart, not even when the transform changed while the run was under way. Any
other result (the volume was resampled under a non-linear transform, or the volume is gone) lies in
world coordinates under no transform. ``scene.volumes`` says which of the two a volume gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ..engine.result import SegmentationResult, finding_foreground
from ..engine.steps import Steps, finished
from .geometry import copying_labelmap, local_ijk_to_ras, matrix_from_array
from .hierarchy import place_beside
from .records import remove_record, set_record
from .volumes import check_volume_node, lies_on_grid_of

if TYPE_CHECKING:
    import slicer


def show_segmentation(
    scene: slicer.vtkMRMLScene,
    result: SegmentationResult,
    reference_node: slicer.vtkMRMLVolumeNode | None,
    node: slicer.vtkMRMLSegmentationNode | None = None,
) -> slicer.vtkMRMLSegmentationNode:
    """Show a result as a segmentation node, with a segment for each label that was found.

    Parameters
    ----------
    scene:
        Where the segmentation goes.
    result:
        What to show. Segments come in the order of its labels, with their names, colours and terminology.
    reference_node:
        The volume it was computed from: gives transform, reference geometry and place in the subject
        hierarchy. None, or a node no longer in the scene: the result lies in world coordinates.
    node:
        The segmentation to fill; whatever it held is removed first (and can be undone where the
        scene's undo is on). None, or one no longer in the scene, makes a new one.

    Returns
    -------
    vtkMRMLSegmentationNode
        With a display node, and the run record as JSON in the attribute ``CNNSeg.RunRecord``.

    Raises
    ------
    InputError
        The reference is no volume node, or has no voxels.
    """
    image = finished(copying_foreground(result.labelmap))
    return put_segmentation(scene, result, image, reference_node, node)


def copying_foreground(labelmap: np.ndarray) -> Steps[slicer.vtkOrientedImageData | None]:
    """The part of a labelmap (k, j, i) that holds all labels, as an image without matrix; None when there are none.

    It takes nearly all the time of ``show_segmentation``, and does not touch the scene.
    """
    box = yield from finding_foreground(labelmap)
    if box is None:
        return None
    return (yield from copying_labelmap(labelmap[box], (box[2].start, box[1].start, box[0].start)))


def put_segmentation(
    scene: slicer.vtkMRMLScene,
    result: SegmentationResult,
    image: slicer.vtkOrientedImageData | None,
    reference_node: slicer.vtkMRMLVolumeNode | None,
    node: slicer.vtkMRMLSegmentationNode | None = None,
) -> slicer.vtkMRMLSegmentationNode:
    """``show_segmentation`` of a result of which ``copying_foreground`` has made the image."""
    if reference_node is not None and reference_node.GetScene() is not scene:
        reference_node = None
    if reference_node is not None:
        check_volume_node(reference_node)
    register_segmentations(scene)
    if node is None or node.GetScene() is not scene:
        name = f"{reference_node.GetName() if reference_node else result.record.model_id} segmentation"
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(name))
    elif scene.GetUndoFlag():
        scene.SaveStateForUndo(node)
    with one_modified_event(node):
        clear_segmentation(node)
        node.CreateDefaultDisplayNodes()
        ijk_to_ras = _place(node, result, reference_node)
        if image is not None:
            image.SetImageToWorldMatrix(matrix_from_array(ijk_to_ras))
            _add_segments(node.GetSegmentation(), result, image)
        set_record(node, result.record)
    if reference_node is not None:
        place_beside(node, reference_node)
    return node


def clear_segmentation(node: slicer.vtkMRMLSegmentationNode) -> None:
    """Remove all segments and the run record: nothing of an earlier run stays to be taken for a new one."""
    with one_modified_event(node):
        node.GetSegmentation().RemoveAllSegments()
        remove_record(node)


def register_segmentations(scene: slicer.vtkMRMLScene) -> None:
    """Make sure that segmentations can be copied, converted and saved.

    Slicer does this as it starts. Without Slicer's application nobody has, and copying a segment
    (undo, saving) would lose its voxels.
    """
    import slicer

    factory = slicer.vtkSegmentationConverterFactory.GetInstance()
    labelmap = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    if factory.ConstructRepresentationObjectByRepresentation(labelmap) is None:
        slicer.vtkSlicerSegmentationsModuleLogic().SetMRMLScene(scene)


def _place(
    node: slicer.vtkMRMLSegmentationNode, result: SegmentationResult, reference: slicer.vtkMRMLVolumeNode | None
) -> np.ndarray:
    """Set parent transform and reference geometry; gives the labelmap's ijk_to_ras in the node's frame."""
    import slicer

    if reference is not None and lies_on_grid_of(reference, result):
        node.SetAndObserveTransformNodeID(reference.GetTransformNodeID())
        node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
        return local_ijk_to_ras(reference)
    node.SetAndObserveTransformNodeID(None)
    i, j, k = result.geometry.size_ijk
    serialized = slicer.vtkSegmentationConverter.SerializeImageGeometry(
        matrix_from_array(result.geometry.ijk_to_ras), [0, i - 1, 0, j - 1, 0, k - 1]
    )
    parameter = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    node.GetSegmentation().SetConversionParameter(parameter, serialized)
    role = node.GetReferenceImageGeometryReferenceRole()
    node.SetNodeReferenceID(role, reference.GetID() if reference else None)
    return result.geometry.ijk_to_ras


def _add_segments(
    segmentation: slicer.vtkSegmentation, result: SegmentationResult, shared: slicer.vtkOrientedImageData
) -> None:
    """One segment per found label; all share one image, cut to what is not background."""
    import slicer

    representation = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation.SetSourceRepresentationName(representation)
    found = {structure.value for structure in result.structures if structure.voxels}
    for label in result.labels:
        if label.value not in found:
            continue
        segment = slicer.vtkSegment()
        segment.SetName(label.name)
        segment.SetNameAutoGenerated(False)
        segment.SetColor(*label.color)
        segment.SetColorAutoGenerated(False)
        if label.terminology:
            segment.SetTerminology(label.terminology)
        segment.SetLabelValue(label.value)
        segment.AddRepresentation(representation, shared)
        segmentation.AddSegment(segment, f"Segment_{label.value}")


@contextmanager
def one_modified_event(node: slicer.vtkMRMLNode) -> Iterator[None]:
    """Views and tables update once, after the last change."""
    before = node.StartModify()
    try:
        yield
    finally:
        node.EndModify(before)
