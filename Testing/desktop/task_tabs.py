"""The panel's tabs, as far as tests treat them alike; and what a test does with a panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
