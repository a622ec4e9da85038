"""Slicer stays smooth: nothing keeps Qt's event loop while a model runs and while its result comes into the scene.

With volumes of 512 x 512 x 100, and results as large. By this thread's processor time the limit holds as it is; by the
clock, what the machine's other work takes from an idle loop and from any thread that computes is added.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from desktop.loop_probe import LoopProbe, slowdown
from desktop.task_tabs import TASK_TABS

BLOCKED_S = 0.1
"""Longer than this nobody may wait for Slicer while a model runs."""


@pytest.fixture
def a_large_volume(desktop):
    """Makes a volume of noise."""
    import slicer

    from SlicerCNNSegLib.engine.volume import Volume
    from SlicerCNNSegLib.scene.volumes import node_from_volume

    def make(modality):
        array = np.random.default_rng(0).integers(-1000, 1000, (1, 100, 512, 512), np.int16)
        node = node_from_volume(slicer.mrmlScene, Volume(array, np.eye(4), modality=modality), "large")
        desktop.process_events()
        return node

    return make


def longest_time_without_an_event(desktop, start, running, ended_well, restart):
    """Hold a run to the limit.

    Other work on the same cores only adds, so the run may be repeated: what keeps the loop does so each time.
    """
    with LoopProbe() as idle:
        end = time.monotonic() + 3
        desktop.wait_until(lambda: time.monotonic() > end)
    for _ in range(3):
        restart()  # so that each run starts its worker
        factor = slowdown()
        with LoopProbe() as probe:
            start()
            desktop.wait_until(lambda: not running())
        ended_well()
        factor = max(factor, slowdown())
        print(
            f"longest time without an event: {1000 * probe.longest_s:.0f} ms by the clock, of it "
            f"{1000 * probe.longest_busy_s:.0f} ms of work; idle {1000 * idle.longest_s:.0f} ms; "
            f"others' work makes all {factor:.1f} times longer"
        )
        if probe.longest_busy_s < BLOCKED_S:
            break
    assert probe.longest_busy_s < BLOCKED_S
    assert probe.longest_s < BLOCKED_S * factor + idle.longest_s


@pytest.mark.parametrize("tab", TASK_TABS, ids=lambda tab: tab.task)
def test_the_event_loop_is_never_kept_during_a_run(desktop, a_panel, a_large_volume, behaviour, tab):
    """A labelmap without background, twelve findings, or a heat map as large as the volume."""
    a_large_volume(tab.modality)
    a_panel.enter()
    a_panel.ui.taskTabs.currentIndex = tab.index
    setattr(a_panel.logic.getParameterNode(), a_panel._tab.model_parameter, tab.model)
    a_panel.ui.explainComboBox.currentIndex = 1
    a_panel._status.say("")  # PySide6 reads a class's signatures at the first use, which PythonQt does not do
    behaviour("done")

    def ended_well():
        assert a_panel.ui.statusLabel.text.startswith("Done in ")
        assert tab.results_of(a_panel).visible

    longest_time_without_an_event(
        desktop, a_panel.ui.applyButton.click, lambda: a_panel.logic.running, ended_well, a_panel.logic.close
    )


def test_the_event_loop_is_never_kept_by_a_preview(desktop, a_large_volume, behaviour):
    """From Preview to what it shows, in the Segment Editor; what is written then is Slicer's own work."""
    import slicer
    from desktop.host.segment_editor import Editor

    import SlicerCNNSeg
    from SlicerCNNSegLib.widgets.shared_worker import release_worker

    SlicerCNNSeg.registerSegmentEditorEffect()
    volume = a_large_volume("MR")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    node.CreateDefaultDisplayNodes()
    editor = Editor(slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects()[0])
    try:
        editor.choose(node, volume)
        editor.effect.setParameter("Model", "tiny-mr")
        editor.frame.show()
        ui = editor.python._form.ui
        editor.python._form.status.say("")
        behaviour("done")

        def ended_well():
            assert ui.statusLabel.text.startswith("Found: ")

        longest_time_without_an_event(
            desktop, ui.previewButton.click, lambda: ui.progressBar.visible, ended_well, release_worker
        )
    finally:
        editor.close()
