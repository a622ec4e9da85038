"""Every fault of a run, in every tab: one clear message, nothing stale in panel or scene, and the next run works."""

from __future__ import annotations

import time

import numpy as np
import pytest
from desktop.task_tabs import CLASSIFY, DETECT, SEGMENT, TASK_TABS, nodes, run_to_end, scene_ids, start_run
from worker_control import gone


@pytest.fixture(params=TASK_TABS, ids=lambda tab: tab.task)
def tab(request):
    """One of the tabs after the other."""
    return request.param


@pytest.fixture
def panel(tab, a_panel, behaviour):
    """The panel with this tab shown."""
    choose(a_panel, tab)
    return a_panel


@pytest.fixture
def a_case(tab, a_volume):
    """A volume that the tab's model takes."""
    return lambda: a_volume(modality=tab.modality)


def choose(panel, tab):
    panel.ui.taskTabs.currentIndex = tab.index
    setattr(panel.logic.getParameterNode(), panel._tab.model_parameter, tab.model)


def run_again(desktop, panel, behaviour, tab):
    """After a fault the panel is usable: another Apply gives a result."""
    behaviour("done")
    before = len(nodes(tab.kind))
    assert panel.ui.applyButton.enabled
    assert not panel.ui.progressBar.visible
    assert not tab.results_of(panel).visible
    run_to_end(desktop, panel)
    assert panel.ui.statusLabel.text.startswith("Done in ")
    assert tab.results_of(panel).visible
    assert len(nodes(tab.kind)) == before + 1
    return behaviour.notes["pid"]


def test_progress_is_shown_and_an_apply_meanwhile_is_refused(desktop, panel, a_case, behaviour, tab):
    a_case()
    start_run(desktop, panel, behaviour, "windows")
    assert panel.ui.progressBar.value >= 49
    assert panel.ui.progressBar.visible
    assert panel.ui.cancelButton.visible
    assert not panel.ui.applyButton.enabled
    assert not panel.ui.inputsCollapsibleButton.enabled
    first = behaviour.notes
    panel.onApplyButton()
    assert panel.ui.statusLabel.text == "A run is under way; wait for its end or cancel it."
    desktop.wait_until(lambda: panel.ui.statusLabel.text.endswith(" left"))
    assert panel.ui.statusLabel.text.startswith("Running the network, about ")
    desktop.wait_until(lambda: not panel.logic.running)
    assert behaviour.notes == first
    assert len(nodes(tab.kind)) == 1


@pytest.mark.parametrize("name", ["windows", "hang"])
def test_cancel_is_done_within_half_a_second(desktop, panel, a_case, behaviour, tab, name):
    """A run that looks up from its windows keeps its process; one that does not gets another."""
    a_case()
    before = scene_ids()
    seen = start_run(desktop, panel, behaviour, name)
    started = time.monotonic()
    panel.ui.cancelButton.click()
    assert panel.ui.statusLabel.text == "Cancelling"
    desktop.wait_until(lambda: not panel.logic.running, timeout_s=10)
    assert time.monotonic() - started < 0.5
    assert panel.ui.statusLabel.text == "Cancelled."
    assert scene_ids() == before
    if name == "hang":
        desktop.wait_until(lambda: gone(seen["pid"], seen["child"]), timeout_s=10)
    assert (run_again(desktop, panel, behaviour, tab) == seen["pid"]) == (name == "windows")


def test_cancel_at_every_stage(desktop, panel, a_case, behaviour, tab):
    """At each stage that a run goes through, and at moments over the whole of a run."""
    a_case()
    before = scene_ids()
    for stage in ("", "Starting the worker", "Running the network"):  # at first the volume is handed over
        panel.logic.close()  # so that the next run goes through all of them
        behaviour("windows")
        panel.ui.applyButton.click()
        desktop.wait_until(lambda stage=stage: panel.ui.statusLabel.text.startswith(stage))
        panel.ui.cancelButton.click()
        desktop.wait_until(lambda: not panel.logic.running, timeout_s=10)
        assert panel.ui.statusLabel.text == "Cancelled."
        assert scene_ids() == before
    run_again(desktop, panel, behaviour, tab)
    results = 1
    for moment_s in np.linspace(0.0, 0.15, 10):
        panel.ui.applyButton.click()
        end = time.monotonic() + moment_s
        desktop.wait_until(lambda end=end: time.monotonic() > end)
        panel.ui.cancelButton.click()
        desktop.wait_until(lambda: not panel.logic.running, timeout_s=10)
        results += panel.ui.statusLabel.text != "Cancelled." and tab.results_of(panel).visible
        assert len(nodes(tab.kind)) == results


def test_cancel_while_the_result_comes_into_the_scene(desktop, panel, a_case, behaviour, tab, monkeypatch):
    """It comes in small pieces, and the last one alone touches the scene: until then nothing has happened."""
    from SlicerCNNSegLib.widgets import worker_run

    monkeypatch.setattr(worker_run, "TICK_S", 0.0)
    a_case()
    before = scene_ids()
    panel.ui.applyButton.click()
    monkeypatch.setattr(worker_run.WorkerRun, "_go_on", lambda *_: None)  # no piece is done
    desktop.wait_until(lambda: panel.logic._run._ending is not None)
    panel.ui.cancelButton.click()
    desktop.wait_until(lambda: not panel.logic.running, timeout_s=10)
    assert panel.ui.statusLabel.text == "Cancelled."
    assert scene_ids() == before
    monkeypatch.undo()


FAULTS = {
    "killed": "The worker was killed, as a system does when memory runs out.",
    "crash": "The worker crashed (SIGSEGV)",
    "exit": "The worker ended unexpectedly (status 3)",
    "memory": "Memory ran out (Unable to allocate 3.00 TiB for an array). Restrict the run",
    "torch memory": "Memory ran out (",
    "corrupt": "The weights model.safetensors cannot be read (HeaderTooLarge); install the model again.",
    "unexpected": "The run failed with an unexpected ZeroDivisionError: division by zero.",
}
CASES = [(SEGMENT, name) for name in FAULTS]
CASES += [(tab, name) for tab in (DETECT, CLASSIFY) for name in ("killed", "memory", "corrupt")]


@pytest.mark.parametrize(("tab", "name"), CASES, ids=[f"{tab.task}-{name}" for tab, name in CASES])
def test_a_fault_is_one_clear_message_with_details_and_the_next_run_works(desktop, panel, a_case, behaviour, tab, name):
    a_case()
    run_to_end(desktop, panel)
    before = scene_ids()
    behaviour(name)
    run_to_end(desktop, panel)
    assert panel.ui.statusLabel.text.startswith(FAULTS[name])
    assert "\n" not in panel.ui.statusLabel.text
    assert not tab.results_of(panel).visible, "an old result is never shown as new"
    assert not panel.ui.detailsText.visible
    panel.ui.detailsButton.click()
    assert panel.ui.detailsText.visible
    *written, log = panel.ui.detailsText.plainText.splitlines()
    assert "something of torch's" in written
    assert log.startswith("Log file: ")
    assert panel.ui.detailsButton.text == "Hide details"
    assert scene_ids() == before
    run_again(desktop, panel, behaviour, tab)
    assert not panel.ui.detailsButton.visible


def test_an_input_removed_meanwhile_stops_the_run(desktop, panel, a_case, behaviour, tab):
    import slicer

    volume = a_case()
    seen = start_run(desktop, panel, behaviour, "windows")
    slicer.mrmlScene.RemoveNode(volume)
    desktop.wait_until(lambda: not panel.logic.running, timeout_s=10)
    assert "input volume was removed from the scene" in panel.ui.statusLabel.text
    assert nodes(tab.kind) == []
    a_case()
    panel.enter()
    assert run_again(desktop, panel, behaviour, tab) == seen["pid"]


def test_an_input_removed_while_it_is_handed_over(desktop, panel, a_case, behaviour):
    import slicer

    volume = a_case()
    panel.ui.applyButton.click()
    slicer.mrmlScene.RemoveNode(volume)
    del volume
    desktop.wait_until(lambda: not panel.logic.running, timeout_s=10)
    assert "input volume was removed from the scene" in panel.ui.statusLabel.text
    assert not behaviour.begun


def test_a_volume_that_was_moved_meanwhile_gets_no_result(desktop, panel, a_case, behaviour, tab):
    volume = a_case()
    start_run(desktop, panel, behaviour, "windows")
    volume.SetOrigin(5, 5, 5)
    desktop.wait_until(lambda: not panel.logic.running)
    assert panel.ui.statusLabel.text == "The volume head was moved or changed during the run; apply again."
    assert nodes(tab.kind) == []


def test_closing_the_scene_stops_the_run(desktop, panel, a_case, behaviour, tab):
    a_case()
    seen = start_run(desktop, panel, behaviour, "hang")
    desktop.clear_scene()
    desktop.wait_until(lambda: gone(seen["pid"], seen["child"]), timeout_s=10)
    assert not panel.logic.running
    assert panel.ui.hintLabel.text == "Choose an input volume."
    assert panel.ui.statusLabel.text == ""
    assert not tab.results_of(panel).visible
    a_case()
    panel.enter()
    choose(panel, tab)
    run_again(desktop, panel, behaviour, tab)


def test_reloading_the_module_during_a_run(desktop, a_case, behaviour, tab):
    """Slicer's Reload ends the old panel and makes a new one, with the scene as it is."""
    panel = desktop.open("SlicerCNNSeg")
    choose(panel, tab)
    a_case()
    before = scene_ids()
    seen = start_run(desktop, panel, behaviour, "hang")
    desktop.close(panel)
    desktop.wait_until(lambda: gone(seen["pid"], seen["child"]), timeout_s=10)
    assert not panel.logic.running
    assert scene_ids() == before
    reloaded = desktop.open("SlicerCNNSeg")
    assert reloaded.ui.taskTabs.currentIndex == tab.index
    assert run_again(desktop, reloaded, behaviour, tab) != seen["pid"]
    worker = behaviour.notes["pid"]
    desktop.close(reloaded)
    desktop.wait_until(lambda: gone(worker), timeout_s=10)


def test_a_run_goes_on_while_another_module_is_open(desktop, panel, a_case, behaviour):
    a_case()
    start_run(desktop, panel, behaviour, "windows")
    panel.exit()
    panel.enter()
    assert panel.logic.running
    assert panel.ui.cancelButton.visible
    desktop.wait_until(lambda: not panel.logic.running)
    assert panel.ui.statusLabel.text.startswith("Done in ")
