"""Runs from the panel with real worker processes: what reaches them, what comes back, and every fault."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
from desktop.loop_probe import LoopProbe, slowdown
from worker_control import gone

BLOCKED_S = 0.1
"""Longer than this nobody may wait for Slicer while a model runs."""


def run_to_end(desktop, panel):
    panel.ui.applyButton.click()
    desktop.wait_until(lambda: not panel.logic.running)


def start_run(desktop, panel, behaviour, name):
    """Press Apply; gives the notes of the run when it shows progress."""
    behaviour(name)
    panel.ui.applyButton.click()
    desktop.wait_until(lambda: panel.ui.statusLabel.text.startswith("Running the network"))
    return behaviour.notes


def run_again(desktop, panel, behaviour):
    """After a fault the panel is usable: another Apply gives a result."""
    behaviour("done")
    assert panel.ui.applyButton.enabled
    assert not panel.ui.progressBar.visible
    run_to_end(desktop, panel)
    assert panel.ui.statusLabel.text.startswith("Done in ")
    (segmentation,) = nodes("vtkMRMLSegmentationNode")
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 2
    return behaviour.notes["pid"]


def nodes(kind):
    import slicer

    return list(slicer.mrmlScene.GetNodesByClass(kind))


def scene_ids():
    """What is in the scene, except what it keeps for itself."""
    import slicer

    return {node.GetID() for node in slicer.mrmlScene.GetNodes() if not node.GetSingletonTag()}


def test_what_is_chosen_is_what_is_asked_for(desktop, a_panel, a_volume, behaviour):
    import slicer
    import vtk

    a_volume()
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    roi.SetSize(8, 6, 10)
    roi.SetCenter(vtk.vtkVector3d(10, 10, 12))
    a_panel.ui.regionSelector.setCurrentNode(roi)
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


def test_a_second_apply_finds_the_worker_warm(desktop, a_panel, a_volume, behaviour):
    a_volume()
    run_to_end(desktop, a_panel)
    first = behaviour.notes["pid"]
    run_to_end(desktop, a_panel)
    assert behaviour.notes["pid"] == first
    assert len(nodes("vtkMRMLSegmentationNode")) == 2


def test_progress_is_shown_and_an_apply_meanwhile_is_refused(desktop, a_panel, a_volume, behaviour):
    from SlicerCNNSegLib.engine.errors import InputError

    volume = a_volume()
    start_run(desktop, a_panel, behaviour, "windows")
    assert a_panel.ui.progressBar.value >= 49
    assert a_panel.ui.progressBar.visible
    assert a_panel.ui.cancelButton.visible
    assert not a_panel.ui.applyButton.enabled
    assert not a_panel.ui.inputsCollapsibleButton.enabled
    with pytest.raises(InputError, match="A run is under way"):
        a_panel.logic.start(a_panel._tab.request((volume,)), lambda *_: None, lambda _: None)
    desktop.wait_until(lambda: a_panel.ui.statusLabel.text.endswith(" left"))
    assert a_panel.ui.statusLabel.text.startswith("Running the network, about ")


@pytest.mark.parametrize("name", ["windows", "hang"])
def test_cancel_is_done_within_half_a_second(desktop, a_panel, a_volume, behaviour, name):
    """A run that looks up from its windows keeps its process; one that does not gets another."""
    a_volume()
    before = scene_ids()
    seen = start_run(desktop, a_panel, behaviour, name)
    started = time.monotonic()
    a_panel.ui.cancelButton.click()
    assert a_panel.ui.statusLabel.text == "Cancelling"
    desktop.wait_until(lambda: not a_panel.logic.running, timeout_s=10)
    assert time.monotonic() - started < 0.5
    assert a_panel.ui.statusLabel.text == "Cancelled."
    assert scene_ids() == before
    if name == "hang":
        desktop.wait_until(lambda: gone(seen["pid"], seen["child"]), timeout_s=10)
    assert (run_again(desktop, a_panel, behaviour) == seen["pid"]) == (name == "windows")


def test_cancel_at_every_stage(desktop, a_panel, a_volume, behaviour):
    """At each stage that a run goes through, and at moments over the whole of a run."""
    a_volume()
    before = scene_ids()
    for stage in ("", "Starting the worker", "Running the network"):  # at first the volume is handed over
        a_panel.logic.close()  # so that the next run goes through all of them
        behaviour("windows")
        a_panel.ui.applyButton.click()
        desktop.wait_until(lambda stage=stage: a_panel.ui.statusLabel.text.startswith(stage))
        a_panel.ui.cancelButton.click()
        desktop.wait_until(lambda: not a_panel.logic.running, timeout_s=10)
        assert a_panel.ui.statusLabel.text == "Cancelled."
        assert scene_ids() == before
    run_again(desktop, a_panel, behaviour)
    results = 1
    for moment_s in np.linspace(0.0, 0.15, 10):
        a_panel.ui.applyButton.click()
        end = time.monotonic() + moment_s
        desktop.wait_until(lambda end=end: time.monotonic() > end)
        a_panel.ui.cancelButton.click()
        desktop.wait_until(lambda: not a_panel.logic.running, timeout_s=10)
        results += a_panel.ui.statusLabel.text != "Cancelled." and a_panel.ui.resultsCollapsibleButton.visible
        assert len(nodes("vtkMRMLSegmentationNode")) == results


FAULTS = [
    ("killed", "The worker was killed, as a system does when memory runs out."),
    ("crash", "The worker crashed (SIGSEGV)"),
    ("exit", "The worker ended unexpectedly (status 3)"),
    ("memory", "Memory ran out (Unable to allocate 3.00 TiB for an array). Restrict the run"),
    ("torch memory", "Memory ran out ("),
    ("corrupt", "The weights model.safetensors cannot be read (HeaderTooLarge); install the model again."),
    ("unexpected", "The run failed with an unexpected ZeroDivisionError: division by zero."),
]


@pytest.mark.parametrize(("name", "problem"), FAULTS, ids=[name for name, _ in FAULTS])
def test_a_fault_is_one_clear_message_with_details_and_the_next_run_works(
    desktop, a_panel, a_volume, behaviour, name, problem
):
    a_volume()
    before = scene_ids()
    behaviour(name)
    run_to_end(desktop, a_panel)
    assert a_panel.ui.statusLabel.text.startswith(problem)
    assert "\n" not in a_panel.ui.statusLabel.text
    assert not a_panel.ui.detailsText.visible
    a_panel.ui.detailsButton.click()
    assert a_panel.ui.detailsText.visible
    *written, log = a_panel.ui.detailsText.plainText.splitlines()
    assert "something of torch's" in written
    assert log.startswith("Log file: ")
    assert a_panel.ui.detailsButton.text == "Hide details"
    assert scene_ids() == before
    run_again(desktop, a_panel, behaviour)
    assert not a_panel.ui.detailsButton.visible


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


def test_an_input_removed_meanwhile_stops_the_run(desktop, a_panel, a_volume, behaviour):
    import slicer

    volume = a_volume()
    seen = start_run(desktop, a_panel, behaviour, "windows")
    slicer.mrmlScene.RemoveNode(volume)
    desktop.wait_until(lambda: not a_panel.logic.running, timeout_s=10)
    assert "input volume was removed from the scene" in a_panel.ui.statusLabel.text
    assert nodes("vtkMRMLSegmentationNode") == []
    a_volume()
    a_panel.enter()
    assert run_again(desktop, a_panel, behaviour) == seen["pid"]


def test_an_input_removed_while_it_is_handed_over(desktop, a_panel, a_volume, behaviour):
    import slicer

    volume = a_volume()
    a_panel.ui.applyButton.click()
    slicer.mrmlScene.RemoveNode(volume)
    del volume
    desktop.wait_until(lambda: not a_panel.logic.running, timeout_s=10)
    assert "input volume was removed from the scene" in a_panel.ui.statusLabel.text
    assert not behaviour.begun


def test_a_volume_that_was_moved_meanwhile_gets_no_result(desktop, a_panel, a_volume, behaviour):
    volume = a_volume()
    start_run(desktop, a_panel, behaviour, "windows")
    volume.SetOrigin(5, 5, 5)
    desktop.wait_until(lambda: not a_panel.logic.running)
    assert a_panel.ui.statusLabel.text == "The volume head was moved or changed during the run; apply again."
    assert nodes("vtkMRMLSegmentationNode") == []


def test_closing_the_scene_stops_the_run(desktop, a_panel, a_volume, behaviour):
    a_volume()
    seen = start_run(desktop, a_panel, behaviour, "hang")
    desktop.clear_scene()
    desktop.wait_until(lambda: gone(seen["pid"], seen["child"]), timeout_s=10)
    assert not a_panel.logic.running
    assert a_panel.ui.hintLabel.text == "Choose an input volume."
    assert a_panel.ui.statusLabel.text == ""
    a_volume()
    a_panel.enter()
    a_panel.logic.getParameterNode().model = "tiny-mr"
    run_again(desktop, a_panel, behaviour)


def test_reloading_the_module_during_a_run(desktop, a_volume, behaviour):
    """Slicer's Reload ends the old panel and makes a new one, with the scene as it is."""
    panel = desktop.open("SlicerCNNSeg")
    panel.logic.getParameterNode().model = "tiny-mr"
    a_volume()
    before = scene_ids()
    seen = start_run(desktop, panel, behaviour, "hang")
    desktop.close(panel)
    desktop.wait_until(lambda: gone(seen["pid"], seen["child"]), timeout_s=10)
    assert not panel.logic.running
    assert scene_ids() == before
    reloaded = desktop.open("SlicerCNNSeg")
    assert run_again(desktop, reloaded, behaviour) != seen["pid"]
    worker = behaviour.notes["pid"]
    desktop.close(reloaded)
    desktop.wait_until(lambda: gone(worker), timeout_s=10)


def test_a_run_goes_on_while_another_module_is_open(desktop, a_panel, a_volume, behaviour):
    a_volume()
    start_run(desktop, a_panel, behaviour, "windows")
    a_panel.exit()
    a_panel.enter()
    assert a_panel.logic.running
    assert a_panel.ui.cancelButton.visible
    desktop.wait_until(lambda: not a_panel.logic.running)
    assert a_panel.ui.statusLabel.text.startswith("Done in ")


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


def test_the_event_loop_is_never_kept_during_a_run(desktop, a_panel, behaviour):
    """From Apply to the end, with a volume of 512 x 512 x 100 and a labelmap without background.

    By this thread's processor time the limit holds as it is; by the clock, what the machine's other work takes from
    an idle loop and from any thread that computes is added.
    """
    import slicer

    from SlicerCNNSegLib.engine.volume import Volume
    from SlicerCNNSegLib.scene.volumes import node_from_volume

    array = np.random.default_rng(0).integers(-1000, 1000, (1, 100, 512, 512), np.int16)
    node_from_volume(slicer.mrmlScene, Volume(array, np.eye(4), modality="MR"), "large")
    desktop.process_events()
    a_panel.enter()
    a_panel._status.say("")  # PySide6 reads a class's signatures at the first use, which PythonQt does not do
    with LoopProbe() as idle:
        end = time.monotonic() + 3
        desktop.wait_until(lambda: time.monotonic() > end)
    behaviour("windows")
    for _ in range(3):  # other work on the same cores only adds: what keeps the loop does so each time
        a_panel.logic.close()  # so that each run starts its worker
        factor = slowdown()
        with LoopProbe() as running:
            a_panel.ui.applyButton.click()
            desktop.wait_until(lambda: not a_panel.logic.running)
        assert a_panel.ui.statusLabel.text.startswith("Done in ")
        factor = max(factor, slowdown())
        print(
            f"longest time without an event: {1000 * running.longest_s:.0f} ms by the clock, of it "
            f"{1000 * running.longest_busy_s:.0f} ms of work; idle {1000 * idle.longest_s:.0f} ms; "
            f"others' work makes all {factor:.1f} times longer"
        )
        if running.longest_busy_s < BLOCKED_S:
            break
    assert running.longest_busy_s < BLOCKED_S
    assert running.longest_s < BLOCKED_S * factor + idle.longest_s
