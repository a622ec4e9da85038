"""A result's volumes as a table node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import vtk

from ..engine.result import SegmentationResult
from .records import set_record

if TYPE_CHECKING:
    import slicer

STRUCTURE, VOXELS, VOLUME = "Structure", "Voxels", "Volume (mm3)"
DESCRIPTIONS = {
    STRUCTURE: "Name of the structure; one that was not found has volume 0",
    VOXELS: "Number of voxels",
    VOLUME: "Volume in mm3: the number of voxels times the volume of one voxel in world coordinates",
}


def show_volumes(
    scene: slicer.vtkMRMLScene, result: SegmentationResult, node: slicer.vtkMRMLTableNode | None = None
) -> slicer.vtkMRMLTableNode:
    """A table with a row per structure: name, voxels, volume in mm3.

    Parameters
    ----------
    scene:
        Where the table is.
    result:
        What to show; structures that were not found have rows too.
    node:
        The table to fill, emptied first; None, or one no longer in the scene, makes a new one.
    """
    if node is None or node.GetScene() is not scene:
        node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName("Volumes"))
    elif scene.GetUndoFlag():
        scene.SaveStateForUndo(node)
    columns = {STRUCTURE: vtk.vtkStringArray(), VOXELS: vtk.vtkIntArray(), VOLUME: vtk.vtkDoubleArray()}
    for row in result.structures:
        for column, value in zip(columns.values(), (row.name, row.voxels, row.volume_mm3), strict=True):
            column.InsertNextValue(value)
    modified = node.StartModify()
    try:
        node.RemoveAllColumns()
        for name, column in columns.items():
            column.SetName(name)
            node.AddColumn(column)
            node.SetColumnDescription(name, DESCRIPTIONS[name])
        node.SetColumnUnitLabel(VOLUME, "mm3")
        node.SetUseColumnTitleAsColumnHeader(True)
        node.SetLocked(True)
        set_record(node, result.record)
    finally:
        node.EndModify(modified)
    return node
