"""Cases of the scene, trained for some seconds by the real command: curves, stop, resume, the model in use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from SlicerCNNSegLib.engine.package import ModelPackage

MINUTES = 0.5
"""Long enough to be stopped after the first validation, however slow the machine is."""


def nodes_named(scene, kind, part):
    nodes = [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
    return [node for node in nodes if part in node.GetName()]


@pytest.mark.slow
def test_from_the_scene_to_a_model_in_use(desktop, monkeypatch, tmp_path):
    import slicer
    from desktop.boxes_in_scene import add_box

    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for number in range(6):
        add_box(f"head{number}", number)
    segment = desktop.open("SlicerCNNSeg")
    panel = desktop.open("SlicerCNNSegTrain")
    ui = panel.ui
    ui.sourceComboBox.currentIndex = 2
    assert ui.casesTable.rowCount == 6
    ui.sceneButton.click()
    assert ui.casesLabel.text.startswith("6 cases.")
    assert Path(ui.dataPathEdit.currentPath) == tmp_path / "datasets" / "scene"

    ui.checkButton.click()
    desktop.wait_until(lambda: not panel.logic.running)
    assert ui.casesLabel.text.startswith("6 cases checked; errors: 0"), ui.logText.plainText

    ui.minutesSpinBox.value = MINUTES
    ui.planButton.click()
    desktop.wait_until(lambda: not panel.logic.running)
    assert ui.statusLabel.text == "Planned. Press Start to train.", ui.logText.plainText
    assert ui.planTable.item(0, 1).text().startswith("6 cases, MR: ")
    assert not ui.minutesSpinBox.enabled

    recipe = tmp_path / "runs" / "scene" / "recipe.json"
    edited = json.loads(recipe.read_text(encoding="utf-8")) | {"validate_every": 1, "batch_size": 1}
    recipe.write_text(json.dumps(edited), encoding="utf-8")

    ui.startButton.click()
    fold = tmp_path / "runs" / "scene" / "fold_0"
    desktop.wait_until(lambda: ui.curvesLabel.text or not panel.logic.running)
    assert panel.logic.running, ui.logText.plainText
    [table] = nodes_named(slicer.mrmlScene, "vtkMRMLTableNode", "Curves of scene fold_0")
    assert table.GetTable().GetNumberOfRows() >= 1
    assert ui.sheetButton.visible
    ui.stopButton.click()
    desktop.wait_until(lambda: not panel.logic.running)
    assert ui.statusLabel.text == "Stopped. Press Resume to go on.", ui.logText.plainText
    assert (fold / "last.pt").exists()
    assert json.loads((fold / "recipe.json").read_text(encoding="utf-8"))["validate_every"] == 1
    assert ui.startButton.text == "Resume"
    ui.exportButton.click()
    desktop.wait_until(lambda: not panel.logic.running)
    assert ui.statusLabel.text == "Exported. The new model is scene.", ui.logText.plainText
    early = ModelPackage.read(tmp_path / "models" / "scene").sha256
    before = table.GetTable().GetNumberOfRows()

    ui.startButton.click()
    desktop.wait_until(lambda: not panel.logic.running)
    assert ui.statusLabel.text.startswith("Done."), ui.logText.plainText
    assert ModelPackage.read(tmp_path / "models" / "scene").sha256 != early
    assert table.GetTable().GetNumberOfRows() > before
    assert ui.resultsTable.rowCount == len(panel._results._cases) > 0
    scores = [float(ui.resultsTable.item(row, 1).text()) for row in range(ui.resultsTable.rowCount)]
    assert scores == sorted(scores)
    assert 0 <= scores[0] <= scores[-1] <= 1

    ui.resultsTable.cellActivated.emit(0, 0)
    case = panel._results._cases[0]
    [found] = nodes_named(slicer.mrmlScene, "vtkMRMLSegmentationNode", f"{case} prediction")
    image = found.GetNodeReference(found.GetReferenceImageGeometryReferenceRole())
    assert image.GetName() == case
    ui.useButton.click()
    assert segment.logic.getParameterNode().model == ModelPackage.read(tmp_path / "models" / "scene").id
    assert segment.ui.applyButton.enabled
    desktop.close(panel)
    desktop.close(segment)
