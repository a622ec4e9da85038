"""What a run would write, shown before it is written: a segmentation of its own that nobody edits or saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..engine.labels import Label
from .segmentations import one_modified_event, register_segmentations

if TYPE_CHECKING:
    import slicer

PREVIEW = "CNNSeg.Preview"
"""Attribute of a preview: id of the segmentation that it is of."""

FILL_OPACITY, OUTLINE_OPACITY = 0.35, 1.0
"""Lighter inside than a segmentation, so that what is there already shines through."""


def show_preview(
    node: slicer.vtkMRMLSegmentationNode, parts: Sequence[tuple[Label, slicer.vtkOrientedImageData]]
) -> slicer.vtkMRMLSegmentationNode:
    """A hidden segmentation over ``node``, with a segment for each part, in the place of any earlier preview.

    Parameters
    ----------
    node:
        The segmentation that will be written into.
    parts:
        Name and colour, and the voxels, in the node's own frame.
    """
    import slicer

    scene = node.GetScene()
    register_segmentations(scene)
    remove_previews(scene)
    preview = scene.CreateNodeByClass("vtkMRMLSegmentationNode")
    preview.UnRegister(None)  # CreateNodeByClass gives a reference that Python would never let go
    preview.SetName(f"{node.GetName()} preview")
    preview.SetHideFromEditors(True)
    preview.SetSaveWithScene(False)
    preview.SetUndoEnabled(False)
    preview.SetAttribute(PREVIEW, node.GetID())
    preview = scene.AddNode(preview)
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    with one_modified_event(preview):
        preview.SetAndObserveTransformNodeID(node.GetTransformNodeID())
        preview.CreateDefaultDisplayNodes()
        preview.GetSegmentation().SetSourceRepresentationName(kind)
        for label, image in parts:
            segment = slicer.vtkSegment()
            segment.SetName(label.name)
            segment.SetColor(*label.color)
            segment.AddRepresentation(kind, image)
            preview.GetSegmentation().AddSegment(segment)
    display = preview.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetOpacity2DFill(FILL_OPACITY)
    display.SetOpacity2DOutline(OUTLINE_OPACITY)
    return preview


def remove_previews(scene: slicer.vtkMRMLScene) -> None:
    """Take away every preview that the scene holds."""
    kind = "vtkMRMLSegmentationNode"
    nodes = [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
    for node in nodes:
        if node.GetAttribute(PREVIEW):
            scene.RemoveNode(node.GetDisplayNode())
            scene.RemoveNode(node)
