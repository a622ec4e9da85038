"""Pictures of the panels for README and extension page: ``python Testing/desktop/take_screenshots.py [NAME ...]``.

NAME is segment, detect, classify, effect or train; all of them when left out. Each is a real run: models that come
with CNNSeg on cases of the real data (``CNNSEG_DATA``), for the detection with nodules inserted into a real chest CT,
and a training of some minutes. Every picture is taken in light and in dark colours.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
SCREENSHOTS = PROJECT / "Resources" / "Screenshots"
CASE = "hippocampus/imagesTr/hippocampus_001.nii.gz"
DESCRIPTION = {"labels": {"background": 0, "anterior": 1, "posterior": 2}, "channel_names": {"0": "MR"}}
TRAINING_CASES = 10
TRAINING_MINUTES = 3.0
CHEST = "totalsegmentator_samples/pulmonary_ct_cropped.nii.gz"
NODULES_MM = ((9.0, 9.0), (8.0, 11.0), (14.0, 0.0), (0.0, 10.0), (12.0, 12.0))
"""Diameters of the inserted nodules at the earlier and the later date; 0 where one is not there."""

CHEST_NOISE_HU, CHEST_BLUR_MM = 20.0, 0.5
"""About what the lung of that CT has."""
DOCKED_PX = 380
"""Width of a docked panel."""

CHART_PX = (520, 380)
"""Width and height of a plot view."""


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
            os.environ["CNNSEG_MODELS"], os.environ["CNNSEG_LOGS"] = f"{folder}/models", f"{folder}/logs"
            problems += [f"{name}: {problem}" for problem in [TAKES[name](desktop, data, Path(folder))] if problem]
        desktop.clear_scene()
    print("\n".join(problems), file=sys.stderr)
    return bool(problems)


def save(desktop: Any, widget: Any, name: str, charts: Sequence[Any] = ()) -> None:
    """A picture of the widget in light colours, and one in dark ones; charts are beside it."""
    from desktop.host.desktop import picture_of
    from desktop.panel_states import make_dark
    from PySide6 import QtGui

    light = QtGui.QPalette(desktop.application.palette())
    beside(picture_of(desktop, widget, DOCKED_PX), charts).save(str(SCREENSHOTS / f"{name}.png"))
    make_dark(desktop.application)
    beside(picture_of(desktop, widget, DOCKED_PX), charts).save(str(SCREENSHOTS / f"{name}-dark.png"))
    desktop.application.setPalette(light)


def beside(panel: Any, charts: Sequence[Any]) -> Any:
    """The panel's picture with plot views to its right, one below the other."""
    from desktop.host.plot_view import picture_of_chart
    from PySide6 import QtCore, QtGui

    if not charts:
        return panel
    whole = QtGui.QPixmap(panel.width() + CHART_PX[0], panel.height())
    whole.fill(QtCore.Qt.GlobalColor.black)  # as Slicer's views are where nothing is shown
    painter = QtGui.QPainter(whole)
    painter.drawPixmap(0, 0, panel)
    for number, chart in enumerate(charts):
        painter.drawPixmap(panel.width(), number * (CHART_PX[1] + 2), picture_of_chart(chart, *CHART_PX))
    painter.end()
    return whole


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


def chests(data: Path) -> list[Any]:
    """A real chest CT at two dates, with inserted nodules."""
    import numpy as np
    from nodule_phantoms import Nodule, insert, places, wall_mask

    from SlicerCNNSegLib.engine.files.images import read_volume
    from SlicerCNNSegLib.engine.findings.lungs import find_lungs

    random = np.random.default_rng(1)
    background = read_volume(data / CHEST)
    wall = wall_mask(background.array[0], background.geometry)
    lung = find_lungs(background).mask
    centers = places(background, lung, random, len(NODULES_MM), radius_mm=8.0, apart_mm=30.0, wall=wall)
    made = []
    for date in range(2):
        there = zip(centers, [sizes[date] for sizes in NODULES_MM], strict=True)
        nodules = [Nodule(center, (mm, mm, mm), lobes=0.1, seed=n) for n, (center, mm) in enumerate(there) if mm]
        phantom = insert(background, nodules, random, noise_hu=CHEST_NOISE_HU, blur_mm=CHEST_BLUR_MM, wall=wall)
        made.append(phantom.volume)
    return made


def take_detect_panel(desktop: Any, data: Path, _folder: Path) -> str:
    """Findings of two dates, compared and reviewed."""
    panel = desktop.open("SlicerCNNSeg")
    ui, parameters = panel.ui, panel.logic.getParameterNode()
    ui.taskTabs.currentIndex = 1
    tables = []
    for name, volume in zip(("chest 2025-01", "chest 2025-07"), chests(data), strict=True):
        parameters.inputVolume = add(volume, name)
        run(desktop, panel)
        tables.append(parameters.findingsTable)
    if tables[1] is None:
        return ui.statusLabel.text
    found = ui.statusLabel.text
    ui.findingsTableView.selectRow(0)
    ui.acceptButton.click()
    ui.rejectButton.click()
    parameters.earlierFindings, parameters.earlierDate, parameters.laterDate = tables[0], "2025-01-15", "2025-07-10"
    ui.followUpCollapsibleButton.collapsed = False
    run(desktop, panel, ui.compareButton)
    ui.findingsTableView.selectRow(2)
    print(found, ui.statusLabel.text, sep="\n", flush=True)
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
    import slicer

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
    charts = list(slicer.mrmlScene.GetNodesByClass("vtkMRMLPlotChartNode"))
    save(desktop, panel.parent, "training-panel", charts)
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
