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
"""Width and least height of a plot view."""

VIEWS_PX = (640, 480)
"""Width and least height of the views of the scene."""

NODULE_ZOOM = 2.0


def main() -> int:
    """Write the pictures; returns the exit status."""
    sys.path[:0] = [str(PROJECT / "Testing"), str(PROJECT / "SlicerCNNSeg"), str(PROJECT / "SlicerCNNSegTrain")]
    from desktop.host import start

    desktop = start()
    desktop.show_properties_to(__name__)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    data = Path(os.environ.get("CNNSEG_DATA") or PROJECT.parent / "shared" / "data").resolve()
    problems = []
    for name in sys.argv[1:] or list(TAKES):
        with tempfile.TemporaryDirectory(prefix="cnnseg-") as folder:
            os.environ["CNNSEG_MODELS"], os.environ["CNNSEG_LOGS"] = f"{folder}/models", f"{folder}/logs"
            os.chdir(folder)  # what a panel shows of paths is then nothing of this machine
            problems += [f"{name}: {problem}" for problem in [TAKES[name](desktop, data, Path(folder))] if problem]
            os.chdir(PROJECT)
        desktop.clear_scene()
    print("\n".join(problems), file=sys.stderr)
    return bool(problems)


def save(desktop: Any, widget: Any, name: str, right: Callable[[int], Any]) -> None:
    """A picture of the widget in light colours, and one in dark ones; ``right`` gives what is beside it."""
    from desktop.panel_states import make_dark
    from PySide6 import QtGui

    light = QtGui.QPalette(desktop.application.palette())
    beside(desktop, widget, right).save(str(SCREENSHOTS / f"{name}.png"))
    make_dark(desktop.application)
    beside(desktop, widget, right).save(str(SCREENSHOTS / f"{name}-dark.png"))
    desktop.application.setPalette(light)


def beside(desktop: Any, widget: Any, right: Callable[[int], Any]) -> Any:
    """The panel's picture with another one to its right."""
    from desktop.host.desktop import picture_of
    from PySide6 import QtGui

    panel = picture_of(desktop, widget, DOCKED_PX)
    other = right(panel.height())
    whole = QtGui.QPixmap(panel.width() + other.width(), max(panel.height(), other.height()))
    whole.fill(desktop.application.palette().window().color())
    painter = QtGui.QPainter(whole)
    painter.drawPixmap(0, 0, panel)
    painter.drawPixmap(panel.width(), 0, other)
    painter.end()
    return whole


def drawn(views: Any, **options: Any) -> Callable[[int], Any]:
    """Pictures of the scene's views in a panel's height."""
    return lambda height_px: views.picture(VIEWS_PX[0], max(VIEWS_PX[1], height_px), **options)


def plotted(charts: Sequence[Any], sheet: Path) -> Callable[[int], Any]:
    """Pictures of plot views, one below the other, and of the contact sheet, as its viewer shows it."""
    from desktop.host.plot_view import picture_of_chart
    from PySide6 import QtCore, QtGui

    def picture(height_px: int) -> Any:
        seen = QtGui.QPixmap(str(sheet)).scaledToWidth(CHART_PX[0], QtCore.Qt.SmoothTransformation)
        room_px = max(CHART_PX[1], -(-(height_px - seen.height()) // len(charts)))
        pictures = [*(picture_of_chart(chart, CHART_PX[0], room_px) for chart in charts), seen]
        whole = QtGui.QPixmap(CHART_PX[0], sum(one.height() for one in pictures))
        painter, y = QtGui.QPainter(whole), 0
        for one in pictures:
            painter.drawPixmap(0, y, one)
            y += one.height()
        painter.end()
        return whole

    return picture


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
    from desktop.host.scene_views import SceneViews

    from SlicerCNNSegLib.engine.files.images import read_volume

    views = SceneViews(add(read_volume(data / CASE), "hippocampus_001"))
    panel = desktop.open("SlicerCNNSeg")
    run(desktop, panel)
    panel.ui.advancedCollapsibleButton.collapsed = False
    if not panel.ui.resultsCollapsibleButton.visible:
        return panel.ui.statusLabel.text
    save(desktop, panel.parent, "segment-panel", drawn(views))
    views.close()
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
    from desktop.host.scene_views import SceneViews

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
    views = SceneViews(parameters.inputVolume)
    ui.findingsTableView.selectRow(2)
    print(found, ui.statusLabel.text, sep="\n", flush=True)
    save(desktop, panel.parent, "detect-panel", drawn(views, zoom=NODULE_ZOOM))
    views.close()
    desktop.close(panel)
    return ""


def take_classify_panel(desktop: Any, data: Path, _folder: Path) -> str:
    """An image classified, with the heat map that explains it; and the map over the image."""
    import numpy as np
    from desktop.host.scene_views import SceneViews

    from SlicerCNNSegLib.engine.volume import Volume

    with np.load(data / "mednist" / "mednist_6x300.npz") as images:
        image = images["images"][0].astype(np.float32)
    views = SceneViews(add(Volume(image[None, None], np.diag([-1, -1, 1, 1])), "MedNIST 1"))
    panel = desktop.open("SlicerCNNSeg")
    panel.ui.taskTabs.currentIndex = 2
    panel.ui.explainComboBox.currentIndex = 1
    run(desktop, panel)
    if not panel.ui.classesCollapsibleButton.visible:
        return panel.ui.statusLabel.text
    save(desktop, panel.parent, "classify-panel", drawn(views, places=("Red",)))
    views.close()
    desktop.close(panel)
    return ""


def take_effect(desktop: Any, data: Path, _folder: Path) -> str:
    """The effect with a preview of a real case."""
    import slicer
    from desktop.host.scene_views import SceneViews
    from desktop.host.segment_editor import Editor

    import SlicerCNNSeg
    from SlicerCNNSegLib.engine.files.images import read_volume

    volume = add(read_volume(data / CASE), "hippocampus_001")
    views = SceneViews(volume)
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
    save(desktop, editor.frame, "segment-editor-effect", drawn(views, places=("Red", "Yellow")))
    views.close()
    editor.close()
    return ""


def take_training_panel(desktop: Any, data: Path, folder: Path) -> str:
    """A training planned and done, with its curves."""
    import slicer

    cases = [path.name for path in sorted((data / "hippocampus" / "imagesTr").glob("*.nii.gz"))[:TRAINING_CASES]]
    source = Path("data", "hippocampi")
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
    (sheet,) = folder.glob("runs/*/fold_*/contact_sheet.png")
    save(desktop, panel.parent, "training-panel", plotted(charts, sheet))
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
