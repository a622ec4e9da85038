"""Runs from the tab Segment with real worker processes: what reaches them and what comes back; faults are elsewhere."""

from __future__ import annotations

import json
import os
import signal

from desktop.task_tabs import add_roi, add_segments, nodes, run_to_end

from SlicerCNNSegLib.worker.last_runs import FILE
from SlicerCNNSegLib.worker.logs import logs_folder


def test_what_is_chosen_is_what_is_asked_for(desktop, a_panel, a_volume, behaviour):
    a_volume()
    a_panel.ui.regionSelector.setCurrentNode(add_roi())
    assert not a_panel.ui.regionMarginSpinBox.visible
    a_panel.ui.deviceComboBox.currentText = "cpu"
    a_panel.ui.precisionComboBox.currentText = "fp32"
    a_panel.ui.mirrorCheckBox.checked = True
    run_to_end(desktop, a_panel)
    assert behaviour.notes["settings"] == {
        "model": "tiny-mr",
        "regions": ["ras:6,14,7,13,7,17"],
        "device": "cpu",
        "precision": "fp32",
        "mirror": True,
        "overlap": None,
        "postprocess": True,
        "force": False,
    }


def test_around_segments_is_one_box(desktop, a_panel, a_volume, behaviour):
    drawn = add_segments(a_volume(), {"Upper": (5, 5, 4), "Lower": (5, 5, 10)})
    a_panel.ui.regionSelector.setCurrentNode(drawn)
    assert a_panel.ui.regionMarginSpinBox.visible
    a_panel.ui.regionMarginSpinBox.value = 2.0
    run_to_end(desktop, a_panel)
    assert behaviour.notes["settings"]["regions"] == ["ras:3,10,3,9,4,18.5"]
    assert a_panel.ui.statusLabel.text.startswith("Done in ")


def test_what_the_next_run_takes_is_said_before_it(desktop, a_panel, a_volume, behaviour):
    """By the last one (0.3 s of the whole volume in the fake worker's record), for as much as is looked at now."""
    a_volume()
    label = a_panel.ui.estimateLabel
    a_panel.ui.advancedCollapsibleButton.collapsed = False  # brings it up to date
    first = "Time: known after the model's first run here\nMemory: at least 0.3\N{NO-BREAK SPACE}GB"
    assert label.text == first
    assert "Last run" not in a_panel.ui.modelInfoLabel.text
    run_to_end(desktop, a_panel)
    known = json.loads(last_runs_file().read_text(encoding="utf-8"))
    (name,) = known
    assert name == "tiny-mr 1"
    version = a_panel._tabs[0].package.version
    memory = {"peak": 2_100_000_000, "base": 10**9, "card": 3 * 10**9}
    changed = known.pop(name) | {"seconds": 600.0, "device": "cuda:0", "memory": memory}
    known[f"tiny-mr {version}"] = changed
    last_runs_file().write_text(json.dumps(known), encoding="utf-8")
    a_panel.enter()
    assert label.text == "Time: about 10 min on cuda:0\nMemory: about 2.1 GB, and 3.0 GB on cuda:0".replace(
        " GB", "\N{NO-BREAK SPACE}GB"
    )
    assert a_panel.ui.modelInfoLabel.text.splitlines()[-1] == "Last run here: 10 min on cuda:0"
    a_panel.ui.regionSelector.setCurrentNode(add_roi())
    share = 8 * 6 * 10 / (22 * 20 * 18 * 1.5)
    assert label.text.splitlines()[0] == f"Time: about {600 * share:.0f} s on cuda:0"


def test_more_memory_than_is_free_is_said_before_the_run(desktop, a_panel, a_volume, monkeypatch):
    monkeypatch.setattr("SlicerCNNSegLib.widgets.run_estimate._free_bytes", lambda: 200_000_000)
    a_volume()
    a_panel.enter()
    assert a_panel.ui.estimateLabel.text.splitlines()[1].replace("\N{NO-BREAK SPACE}", " ") == (
        "Memory: at least 0.3 GB. Only 0.2 GB are free: restrict the run to a region, or close other programs"
    )


def test_a_region_beside_the_volume_is_said_before_the_run(a_panel, a_volume):
    import vtk

    a_volume()
    beside = add_roi()
    beside.SetCenter(vtk.vtkVector3d(500, 0, 0))
    a_panel.ui.regionSelector.setCurrentNode(beside)
    assert a_panel.ui.estimateLabel.text == "Nothing of the volume lies in the region."


def last_runs_file():
    return logs_folder() / FILE


def test_a_segmentation_without_segments_is_refused(desktop, a_panel, a_volume, behaviour):
    a_panel.ui.regionSelector.setCurrentNode(add_segments(a_volume(), {}))
    a_panel.ui.applyButton.click()
    assert a_panel.ui.statusLabel.text == "The segmentation 'drawn' has no segments; draw or import some first."
    assert not behaviour.begun


def test_the_result_is_in_the_scene_with_names_colours_volumes_and_record(desktop, a_panel, a_volume, behaviour):
    import slicer

    from SlicerCNNSegLib.scene.records import record_of
    from SlicerCNNSegLib.scene.volumes import volume_from_node

    volume = a_volume("MRHead")
    run_to_end(desktop, a_panel)
    (segmentation,), (table,) = nodes("vtkMRMLSegmentationNode"), nodes("vtkMRMLTableNode")
    segments = [segmentation.GetSegmentation().GetNthSegment(n) for n in range(2)]
    assert [segment.GetName() for segment in segments] == ["Dark", "Bright"]
    assert segments[0].GetColor() == (0.0, 0.25, 1.0)
    assert segments[1].GetColor() == (1 / 3, 0.1, 1.0)
    assert "SCT^4147007^Mass" in segments[0].GetTerminology()
    array = volume_from_node(volume).array[0]
    counts = {"Dark": int((array < 0).sum()), "Bright": int((array >= 0).sum()), "Both": array.size}
    shown = {table.GetCellText(n, 0): int(table.GetCellText(n, 1)) for n in range(table.GetNumberOfRows())}
    assert shown == counts
    record = record_of(segmentation)
    assert record["inputs"][0]["source"] == "MRHead"
    assert record["inputs"][0]["identifiers"]["node_id"] == volume.GetID()
    assert a_panel.ui.statusLabel.text.splitlines()[1:] == ["Mind the gap."]
    assert (
        segmentation.GetNodeReference(slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()) is volume
    )


def test_small_segments_are_in_3d_at_once_and_large_ones_on_request(desktop, a_panel, a_volume, behaviour, monkeypatch):
    from SlicerCNNSegLib.scene.surfaces import is_in_3d

    a_volume()
    run_to_end(desktop, a_panel)
    (node,) = nodes("vtkMRMLSegmentationNode")
    box = a_panel.ui.show3DCheckBox
    assert is_in_3d(node)
    assert box.checked
    box.checked = False
    assert not is_in_3d(node)
    monkeypatch.setattr("SlicerCNNSegLib.scene.surfaces.QUICK_VOXELS", 10)
    run_to_end(desktop, a_panel)
    large = nodes("vtkMRMLSegmentationNode")[-1]
    assert large is not node
    assert not is_in_3d(large)
    assert not box.checked
    box.checked = True
    assert is_in_3d(large)


def test_a_saved_scene_brings_volumes_and_3d_back(desktop, a_panel, a_volume, behaviour, tmp_path):
    import slicer

    a_volume()
    run_to_end(desktop, a_panel)
    rows = a_panel.ui.volumesTableView.model().rowCount()
    scene = slicer.mrmlScene
    assert scene.SaveSceneToSlicerDataBundleDirectory(str(tmp_path), None)
    desktop.clear_scene()
    a_panel.enter()
    assert not a_panel.ui.resultsCollapsibleButton.visible
    assert a_panel.ui.volumesTableView.mrmlTableNode() is None
    scene.SetURL(str(next(tmp_path.glob("*.mrml"))))
    scene.Import()
    desktop.process_events()
    assert a_panel.ui.resultsCollapsibleButton.visible
    assert a_panel.ui.volumesTableView.model().rowCount() == rows == 3
    (segmentation,) = nodes("vtkMRMLSegmentationNode")
    assert a_panel.logic.getParameterNode().resultSegmentation is segmentation
    slicer.mrmlScene.RemoveNode(segmentation)
    a_panel.enter()
    assert not a_panel.ui.resultsCollapsibleButton.visible, "what is gone has no volumes"


def test_a_second_apply_finds_the_worker_warm(desktop, a_panel, a_volume, behaviour):
    a_volume()
    run_to_end(desktop, a_panel)
    first = behaviour.notes["pid"]
    run_to_end(desktop, a_panel)
    assert behaviour.notes["pid"] == first
    assert len(nodes("vtkMRMLSegmentationNode")) == 2


def test_a_corrupt_model_is_said_and_another_model_works(desktop, a_panel, a_volume, a_models_folder):
    """With the real engine in the worker."""
    from tiny_model import RANDOM_UNET, write_tiny_model

    broken = write_tiny_model(a_models_folder / "corrupt", network=RANDOM_UNET)
    try:
        weights = next(broken.glob("models/*.safetensors"))
        weights.write_bytes(weights.read_bytes()[:100])
        a_volume()
        a_panel.enter()
        a_panel.logic.getParameterNode().model = "corrupt"
        run_to_end(desktop, a_panel)
        assert "model_0.safetensors cannot be read" in a_panel.ui.statusLabel.text
        assert nodes("vtkMRMLSegmentationNode") == []
        a_panel.logic.getParameterNode().model = "tiny-mr"
        run_to_end(desktop, a_panel)
        assert "segmentation" in a_panel.ui.statusLabel.text
        assert len(nodes("vtkMRMLSegmentationNode")) == 1
    finally:
        for path in sorted(broken.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        broken.rmdir()


def test_a_worker_that_was_killed_between_runs_is_replaced_unnoticed(desktop, a_panel, a_volume, behaviour):
    a_volume()
    run_to_end(desktop, a_panel)
    first = behaviour.notes["pid"]
    os.kill(first, signal.SIGKILL)
    run_to_end(desktop, a_panel)
    assert a_panel.ui.statusLabel.text.startswith("Done in ")
    assert behaviour.notes["pid"] != first


def test_a_python_that_cannot_be_started(desktop, a_panel, a_volume, monkeypatch):
    a_volume()
    monkeypatch.setattr("SlicerCNNSegLib.widgets.shared_worker.child_python", lambda: "/nowhere/python")
    a_panel.ui.applyButton.click()
    assert a_panel.ui.statusLabel.text.startswith("/nowhere/python could not be started (No such file or directory)")
    assert not a_panel.logic.running
    assert a_panel.ui.applyButton.enabled


def test_an_old_result_is_gone_when_a_run_starts(desktop, a_panel, a_volume, behaviour):
    import slicer

    a_volume()
    old = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "old")
    old.GetSegmentation().AddEmptySegment("yesterday")
    a_panel.ui.outputSegmentationSelector.setCurrentNode(old)
    behaviour("corrupt")
    run_to_end(desktop, a_panel)
    assert old.GetSegmentation().GetNumberOfSegments() == 0
    assert not a_panel.ui.resultsCollapsibleButton.visible
