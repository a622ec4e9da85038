"""Cases of the scene, trained for some seconds by the real command: curves, stop, resume, the model in use."""

from __future__ import annotations

from pathlib import Path

import pytest

MINUTES = 0.3


def nodes_named(scene, kind, part):
    nodes = [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
    return [node for node in nodes if part in node.GetName()]


@pytest.mark.slow
def test_from_the_scene_to_a_model_in_use(desktop, monkeypatch, tmp_path):
    import slicer
    from desktop.boxes_in_scene import BOX_VOXELS, add_box

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
    assert ui.casesLabel.text.startswith("6 cases: 0 errors"), ui.logText.plainText

    ui.minutesSpinBox.value = MINUTES
    ui.planButton.click()
    desktop.wait_until(lambda: not panel.logic.running)
    assert ui.statusLabel.text == "Planned. Press Start to train.", ui.logText.plainText
    assert ui.planTable.item(0, 1).text() == "6 cases, MR"
    assert not ui.minutesSpinBox.enabled

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
    assert ui.startButton.text == "Resume"
    before = table.GetTable().GetNumberOfRows()

    ui.startButton.click()
    desktop.wait_until(lambda: not panel.logic.running)
    assert ui.statusLabel.text.startswith("Done."), ui.logText.plainText
    assert table.GetTable().GetNumberOfRows() > before
    assert ui.resultsTable.rowCount == len(panel._results._cases) > 0
    scores = [float(ui.resultsTable.item(row, 1).text()) for row in range(ui.resultsTable.rowCount)]
    assert scores == sorted(scores)
    assert scores[0] > 0.5

    ui.resultsTable.cellDoubleClicked.emit(0, 0)
    case = panel._results._cases[0]
    [truth] = nodes_named(slicer.mrmlScene, "vtkMRMLSegmentationNode", f"{case} truth")
    assert truth is not None
    ui.useButton.click()
    assert segment.logic.getParameterNode().model == "scene"
    assert segment.ui.applyButton.enabled
    assert BOX_VOXELS == 720
    desktop.picture(panel, 380).save("/tmp/tw/after.png")
    desktop.close(panel)
    desktop.close(segment)
