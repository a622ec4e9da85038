"""Volumes that lie over others in the slice views."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import slicer


def take_off(scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLVolumeNode) -> None:
    """Show the volume over no other any more; it stays in the scene."""
    kind = "vtkMRMLSliceCompositeNode"
    for number in range(scene.GetNumberOfNodesByClass(kind)):
        view = scene.GetNthNodeByClass(number, kind)
        if view.GetForegroundVolumeID() == node.GetID():
            view.SetForegroundVolumeID(None)
