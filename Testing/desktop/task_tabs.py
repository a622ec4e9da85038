"""The panel's tabs, as far as tests treat them alike; and what a test does with a panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SMALL = "<\N{NO-BREAK SPACE}0.1\N{NO-BREAK SPACE}MB"
"""What is said of a tests' model's size."""


@dataclass(frozen=True)
class TaskTab:
    """A tab: its place, its section of results, what images it takes, and the kind of node that a result makes."""

    task: str
    index: int
    model: str
    results: str
    modality: str
    kind: str

    def results_of(self, panel: Any) -> Any:
        """The section of the panel that shows results."""
        return getattr(panel.ui, self.results)


SEGMENT = TaskTab("segment", 0, "tiny-mr", "resultsCollapsibleButton", "MR", "vtkMRMLSegmentationNode")
DETECT = TaskTab("detect", 1, "balls", "findingsCollapsibleButton", "CT", "vtkMRMLTableNode")
CLASSIFY = TaskTab("classify", 2, "two-classes", "classesCollapsibleButton", "MR", "vtkMRMLTableNode")
TASK_TABS = (SEGMENT, DETECT, CLASSIFY)


def run_to_end(desktop: Any, panel: Any, button: Any = None) -> None:
    """Press Apply, or another button that starts a run, and wait for the end."""
    (button or panel.ui.applyButton).click()
    desktop.wait_until(lambda: not panel.logic.running)


def start_run(desktop: Any, panel: Any, behaviour: Any, name: str) -> dict[str, Any]:
    """Press Apply; gives the notes of the run when it shows progress."""
    behaviour(name)
    panel.ui.applyButton.click()
    desktop.wait_until(lambda: panel.ui.statusLabel.text.startswith("Running the network"))
    return behaviour.notes


def nodes(kind: str) -> list[Any]:
    """The scene's nodes of that class."""
    import slicer

    return list(slicer.mrmlScene.GetNodesByClass(kind))


def scene_ids() -> set[str]:
    """What is in the scene, except what it keeps for itself."""
    import slicer

    return {node.GetID() for node in slicer.mrmlScene.GetNodes() if not node.GetSingletonTag()}


def choose(menu: Any, *texts: str) -> None:
    """Choose an entry of a menu, or of one of its sub-menus, as its user does; a greyed one does nothing."""
    menu.aboutToShow.emit()
    action = next(action for action in menu.actions() if action.text == texts[0])
    if texts[1:]:
        choose(action.menu(), *texts[1:])
    elif action.enabled:
        action.trigger()


def add_roi(name: str = "box") -> Any:
    """An ROI of 8 x 6 x 10 mm around (10, 10, 12)."""
    import slicer
    import vtk

    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    roi.SetSize(8, 6, 10)
    roi.SetCenter(vtk.vtkVector3d(10, 10, 12))
    return roi


def add_segments(volume: Any, first_voxels_ijk: dict[str, tuple[int, int, int]]) -> Any:
    """A segmentation of the volume, with a box of 4 x 3 x 2 voxels (i, j, k) from there on as each segment."""
    import slicer

    from SlicerCNNSegLib.scene.geometry import local_ijk_to_ras, oriented_labelmap

    drawn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    drawn.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    drawn.GetSegmentation().SetSourceRepresentationName(kind)
    for name, first_ijk in first_voxels_ijk.items():
        segment = slicer.vtkSegment()
        segment.SetName(name)
        image = oriented_labelmap(np.ones((2, 3, 4), np.uint8), local_ijk_to_ras(volume), first_ijk)
        segment.AddRepresentation(kind, image)
        drawn.GetSegmentation().AddSegment(segment)
    return drawn
