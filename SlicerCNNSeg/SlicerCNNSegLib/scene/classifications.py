"""Results of a classification in the scene: a table, attributes on the volume, and the heat map over it.

The heat map lies where a segmentation of the same volume would: see ``scene.segmentations``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import vtk

from ..engine.classification.result import ClassificationResult
from ..engine.errors import InputError
from ..engine.steps import finished
from ..engine.wording import probability_in_words
from .geometry import copying_voxels, local_ijk_to_ras, matrix_from_array
from .hierarchy import place_beside
from .records import remove_record, set_record
from .volumes import check_volume_node, lies_on_grid_of

if TYPE_CHECKING:
    import slicer

CLASSES = "CNNSeg.Classes"
"""Attribute of a classified volume: ``ClassificationResult.rows()`` as JSON."""

REGION, CLASS, PROBABILITY, SPREAD, DECIDED = "Region", "Class", "Probability", "Spread", "Decided"
DESCRIPTIONS = {
    REGION: "What was classified; empty for the whole image",
    CLASS: "Name of the class",
    PROBABILITY: "Probability of the class, 0 to 1, rounded; the volume's attribute CNNSeg.Classes has the number",
    SPREAD: "Standard deviation of the probability over several networks, or runs of one; empty without",
    DECIDED: "Whether the class is decided for",
}

HEAT_COLORS = "vtkMRMLColorTableNodeFileInferno.txt"
"""The node of Slicer's colour table of that name."""

COLDEST_SHOWN, OVERLAY_OPACITY = 0.05, 0.5
"""Less heat than this is left transparent; how much of the image the map covers elsewhere."""


@dataclass(frozen=True)
class ShownClasses:
    """A classification and the nodes that show it; ``heat`` is None without an explanation."""

    result: ClassificationResult
    table: slicer.vtkMRMLTableNode
    heat: slicer.vtkMRMLScalarVolumeNode | None


def show_classes(
    scene: slicer.vtkMRMLScene, result: ClassificationResult, node: slicer.vtkMRMLTableNode | None = None
) -> slicer.vtkMRMLTableNode:
    """A table for reading, with a row for each region and class, the classes in the model's order.

    Parameters
    ----------
    scene:
        Where the table is.
    result:
        What to show.
    node:
        The table to fill, emptied first; None, or one no longer in the scene, makes a new one.
    """
    if node is None or node.GetScene() is not scene:
        node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName("Classes"))
    elif scene.GetUndoFlag():
        scene.SaveStateForUndo(node)
    columns = {title: vtk.vtkStringArray() for title in DESCRIPTIONS}
    for one in result.predictions:
        for index, name in enumerate(result.names):
            cells = {
                REGION: one.name,
                CLASS: name,
                PROBABILITY: probability_in_words(one.probabilities[index]),
                SPREAD: f"{one.spread[index]:.2f}" if one.spread else "",
                DECIDED: "yes" if index in one.decided else "no",
            }
            for title, cell in cells.items():
                columns[title].InsertNextValue(cell)
    modified = node.StartModify()
    try:
        node.RemoveAllColumns()
        for title, column in columns.items():
            column.SetName(title)
            node.AddColumn(column)
            node.SetColumnDescription(title, DESCRIPTIONS[title])
        node.SetUseColumnTitleAsColumnHeader(True)
        node.SetLocked(True)
        set_record(node, result.record)
    finally:
        node.EndModify(modified)
    return node


def set_classes(node: slicer.vtkMRMLVolumeNode, result: ClassificationResult) -> None:
    """Keep the classes with the classified volume: the rows in ``CNNSeg.Classes``, the record in its own attribute."""
    node.SetAttribute(CLASSES, json.dumps(result.rows()))
    set_record(node, result.record)


def classes_of(node: slicer.vtkMRMLVolumeNode) -> list[dict[str, Any]] | None:
    """What ``set_classes`` left on a volume; None where there is nothing."""
    text = node.GetAttribute(CLASSES)
    return json.loads(text) if text else None


def remove_classes(node: slicer.vtkMRMLVolumeNode) -> None:
    """Take the classes and their record away: nothing of an earlier run stays to be taken for a new one."""
    node.RemoveAttribute(CLASSES)
    remove_record(node)


def show_heat(
    scene: slicer.vtkMRMLScene,
    result: ClassificationResult,
    reference_node: slicer.vtkMRMLVolumeNode | None,
    node: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """The heat map as a volume node, over the reference in the slice views that show it.

    Parameters
    ----------
    scene:
        Where the map goes.
    result:
        With an explanation.
    reference_node:
        The volume that was classified: gives transform and place in the subject hierarchy. None, or a node no
        longer in the scene: the map lies in world coordinates, and in no view.
    node:
        The volume to fill; None, or one no longer in the scene, makes a new one.

    Raises
    ------
    InputError
        The result has no heat map, or the reference is no volume node.
    """
    if result.explanation is None:
        raise InputError("The result has no heat map; classify with explain=, for example explain='gradcam'.")
    return put_heat(scene, result, finished(copying_voxels(result.explanation.heat[None])), reference_node, node)


def put_heat(
    scene: slicer.vtkMRMLScene,
    result: ClassificationResult,
    image: vtk.vtkImageData,
    reference_node: slicer.vtkMRMLVolumeNode | None,
    node: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """``show_heat`` of a result of whose map ``copying_voxels`` has made the image, which takes nearly all the time."""
    if reference_node is not None and reference_node.GetScene() is not scene:
        reference_node = None
    if reference_node is not None:
        check_volume_node(reference_node)
    if node is None or node.GetScene() is not scene:
        name = f"{reference_node.GetName() if reference_node else result.record.model_id} heat"
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", scene.GenerateUniqueName(name))
    elif scene.GetUndoFlag():
        scene.SaveStateForUndo(node)
    modified = node.StartModify()
    try:
        _set_display(node)  # before the voxels: a new display counts them for a window, 0.2 s of a large image
        node.SetAndObserveImageData(image)
        _place(node, result, reference_node)
        set_record(node, result.record)
    finally:
        node.EndModify(modified)
    if reference_node is not None:
        place_beside(node, reference_node)
        _lay_over(scene, node, reference_node)
    return node


def _place(
    node: slicer.vtkMRMLScalarVolumeNode, result: ClassificationResult, reference: slicer.vtkMRMLVolumeNode | None
) -> None:
    """Under the reference's transform where the map lies on its grid, else in the world."""
    if reference is not None and lies_on_grid_of(reference, result):
        node.SetIJKToRASMatrix(matrix_from_array(local_ijk_to_ras(reference)))
        node.SetAndObserveTransformNodeID(reference.GetTransformNodeID())
        return
    node.SetIJKToRASMatrix(matrix_from_array(result.geometry.ijk_to_ras))
    node.SetAndObserveTransformNodeID(None)


def _set_display(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(HEAT_COLORS)
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0.0, 1.0)
    display.SetAutoThreshold(False)
    display.SetThreshold(COLDEST_SHOWN, 1.0)
    display.SetApplyThreshold(True)


def _lay_over(
    scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLScalarVolumeNode, reference: slicer.vtkMRMLVolumeNode
) -> None:
    """Show the map in front of the reference wherever that is the background."""
    kind = "vtkMRMLSliceCompositeNode"
    for number in range(scene.GetNumberOfNodesByClass(kind)):
        view = scene.GetNthNodeByClass(number, kind)
        if view.GetBackgroundVolumeID() == reference.GetID():
            view.SetForegroundVolumeID(node.GetID())
            view.SetForegroundOpacity(OVERLAY_OPACITY)
