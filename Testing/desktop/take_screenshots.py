"""Pictures of the panels for README and extension page: ``python Testing/desktop/take_screenshots.py [NAME ...]``.

NAME is segment, detect, classify, effect or train; all of them when left out. Each is a real run: models that come
with CNNSeg on cases of the real data (``CNNSEG_DATA``), a training of a minute, and, as long as no trained detector
comes with CNNSeg, the tests' finder of balls in a made-up chest. Every picture is taken in light and in dark colours.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
SCREENSHOTS = PROJECT / "Resources" / "Screenshots"
CASE = "hippocampus/imagesTr/hippocampus_001.nii.gz"
DESCRIPTION = {"labels": {"background": 0, "anterior": 1, "posterior": 2}, "channel_names": {"0": "MR"}}
TRAINING_CASES = 10
TRAINING_MINUTES = 1.0
BALLS = ((70.0, 2.0, 40.0), (-76.0, -10.0, 62.0), (60.0, -20.0, 90.0), (-66.0, 12.0, 100.0), (82.0, -8.0, 70.0))
"""RAS mm; the first three are there at the earlier date too."""
DOCKED_PX = 380
"""Width of a docked panel."""


def main() -> int:
    """Write the pictures; returns the exit status."""
    sys.path[:0] = [str(PROJECT / "Testing"), str(PROJECT / "SlicerCNNSeg"), str(PROJECT / "SlicerCNNSegTrain")]
    from desktop.host import start

    desktop = start()
    desktop.show_properties_to(__name__)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    data = Path(os.environ.get("CNNSEG_DATA") or PROJECT.parent / "shared" / "data")
    problems = []
    for name in sys.argv[1:] or list(TAKES):
        with tempfile.TemporaryDirectory(prefix="cnnseg-") as folder:
            os.environ["CNNSEG_MODELS"] = f"{folder}/models"
            problems += [f"{name}: {problem}" for problem in [TAKES[name](desktop, data, Path(folder))] if problem]
        desktop.clear_scene()
    print("\n".join(problems), file=sys.stderr)
    return bool(problems)


def save(desktop: Any, widget: Any, name: str) -> None:
    """A picture of the widget in light colours, and one in dark ones."""
    from desktop.host.desktop import picture_of
    from desktop.panel_states import make_dark
    from PySide6 import QtGui

    light = QtGui.QPalette(desktop.application.palette())
    picture_of(desktop, widget, DOCKED_PX).save(str(SCREENSHOTS / f"{name}.png"))
    make_dark(desktop.application)
    picture_of(desktop, widget, DOCKED_PX).save(str(SCREENSHOTS / f"{name}-dark.png"))
    desktop.application.setPalette(light)


def run(desktop: Any, panel: Any, button: Any = None) -> None:
    """Press Apply, or another button that starts a run, and wait for its end."""
    (button or panel.ui.applyButton).click()
    desktop.wait_until(lambda: not panel.logic.running, timeout_s=1800)


def add(volume: Any, name: str) -> Any:
    """The image as a volume node."""
    import slicer

    from SlicerCNNSegLib.scene.volumes import node_from_volume

    return node_from_volume(slicer.mrmlScene, volume, name)


def take_segment_panel(desktop: Any, data: Path, _folder: Path) -> str:
    """A volume segmented; gives what went wrong, or an empty text."""
    from SlicerCNNSegLib.engine.files.images import read_volume

    add(read_volume(data / CASE), "hippocampus_001")
    panel = desktop.open("SlicerCNNSeg")
    run(desktop, panel)
    if not panel.ui.resultsCollapsibleButton.visible:
        return panel.ui.statusLabel.text
    save(desktop, panel.parent, "segment-panel")
    desktop.close(panel)
    return ""


def take_detect_panel(desktop: Any, _data: Path, folder: Path) -> str:
    """Findings of two dates, compared and reviewed."""
    from tiny_detector import chest, write_tiny_detector
    from worker_behaviours import LAUNCH_WITH_TINY_DETECTOR

    from SlicerCNNSegLib.worker import client

    os.environ["CNNSEG_MODELS"] = str(folder)
    metadata = write_tiny_detector(folder / "balls") / "configs" / "metadata.json"
    metadata.write_text(metadata.read_text(encoding="utf-8").replace('"Balls"', '"Balls in a made-up chest"'))
    client.LAUNCH = LAUNCH_WITH_TINY_DETECTOR
    panel = desktop.open("SlicerCNNSeg")
    ui, parameters = panel.ui, panel.logic.getParameterNode()
    ui.taskTabs.currentIndex = 1
    tables = []
    for name, balls, shift_mm in (("chest 2025-01", BALLS[:3], 0.0), ("chest 2025-07", BALLS[1:], 12.0)):
        parameters.inputVolume = add(chest(balls, shift_mm=shift_mm), name)
        run(desktop, panel)
        tables.append(parameters.findingsTable)
    if tables[1] is None:
        return ui.statusLabel.text
    ui.findingsTableView.selectRow(0)
    ui.acceptButton.click()
    ui.rejectButton.click()
    parameters.earlierFindings, parameters.earlierDate, parameters.laterDate = tables[0], "2025-01-15", "2025-07-10"
    ui.followUpCollapsibleButton.collapsed = False
    run(desktop, panel, ui.compareButton)
    ui.findingsTableView.selectRow(2)
    save(desktop, panel.parent, "detect-panel")
    desktop.close(panel)
    return ""


def take_classify_panel(desktop: Any, data: Path, _folder: Path) -> str:
    """An image classified, with the heat map that explains it; and the map over the image."""
    import numpy as np

    from SlicerCNNSegLib.engine.volume import Volume

    with np.load(data / "mednist" / "mednist_6x300.npz") as images:
        image = images["images"][0].astype(np.float32)
    add(Volume(image[None, None], np.eye(4)), "MedNIST 1")
    panel = desktop.open("SlicerCNNSeg")
    panel.ui.taskTabs.currentIndex = 2
    panel.ui.explainComboBox.currentIndex = 1
    run(desktop, panel)
    if not panel.ui.classesCollapsibleButton.visible:
        return panel.ui.statusLabel.text
    save(desktop, panel.parent, "classify-panel")
    desktop.close(panel)
    return ""


def take_effect(desktop: Any, data: Path, _folder: Path) -> str:
    """The effect with a preview of a real case."""
    import slicer
    from desktop.host.segment_editor import Editor

    import SlicerCNNSeg
    from SlicerCNNSegLib.engine.files.images import read_volume

    volume = add(read_volume(data / CASE), "hippocampus_001")
    SlicerCNNSeg.registerSegmentEditorEffect()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    node.CreateDefaultDisplayNodes()
    editor = Editor(slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects()[0])
    editor.choose(node, volume)
    editor.frame.show()
    ui = editor.python._form.ui
    ui.previewButton.click()
    desktop.wait_until(lambda: not ui.progressBar.visible, timeout_s=1800)
    if not ui.statusLabel.text.startswith("Found: "):
        return ui.statusLabel.text
    save(desktop, editor.frame, "segment-editor-effect")
    editor.close()
    return ""


def take_training_panel(desktop: Any, data: Path, folder: Path) -> str:
    """A training planned and done, with its curves."""
    cases = [path.name for path in sorted((data / "hippocampus" / "imagesTr").glob("*.nii.gz"))[:TRAINING_CASES]]
    source = folder / "hippocampi"
    for place in ("imagesTr", "labelsTr"):
        (source / place).mkdir(parents=True)
        for case in cases:
            shutil.copyfile(data / "hippocampus" / place / case, source / place / case)
    (source / "dataset.json").write_text(json.dumps(DESCRIPTION), encoding="utf-8")
    panel = desktop.open("SlicerCNNSegTrain")
    ui = panel.ui
    ui.dataPathEdit.currentPath = str(source)
    ui.minutesSpinBox.value = TRAINING_MINUTES
    run(desktop, panel, ui.startButton)
    if not ui.resultsCollapsibleButton.visible:
        return ui.statusLabel.text
    save(desktop, panel.parent, "training-panel")
    desktop.close(panel)
    return ""


TAKES: dict[str, Callable[[Any, Path, Path], str]] = {
    "segment": take_segment_panel,
    "detect": take_detect_panel,
    "classify": take_classify_panel,
    "effect": take_effect,
    "train": take_training_panel,
}


if __name__ == "__main__":
    sys.exit(main())
