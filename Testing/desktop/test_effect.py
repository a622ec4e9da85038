"""The Segment Editor effect in a real Qt event loop, with Slicer's real editor logic and a real worker process."""

from __future__ import annotations

import numpy as np
import pytest
from worker_control import gone

PREVIEW = "CNNSeg.Preview"


@pytest.fixture
def an_editor(desktop, a_volume, behaviour):
    """A Segment Editor with the effect chosen, an empty segmentation and the volume ``head``."""
    import slicer
    from desktop.host.segment_editor import Editor

    import SlicerCNNSeg

    SlicerCNNSeg.registerSegmentEditorEffect()
    volume = a_volume()
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    segmentation.CreateDefaultDisplayNodes()
    editor = Editor(slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects()[0])
    editor.choose(segmentation, volume)
    editor.ui = editor.python._form.ui
    editor.effect.setParameter("Model", "tiny-mr")
    editor.frame.show()
    yield editor
    editor.close()


def add_segment(editor, name):
    segmentation = editor.logic.GetSegmentationNode().GetSegmentation()
    segment_id = segmentation.AddEmptySegment(name, name)
    editor.logic.SetCurrentSegmentID(segment_id)
    return segment_id


def mask_of(editor, segment_id, node=None):
    """A segment on the grid of the volume, (k, j, i), bool."""
    import slicer

    from SlicerCNNSegLib.scene.geometry import voxels

    found, image = np.zeros((18, 20, 22), bool), slicer.vtkOrientedImageData()
    (node or editor.logic.GetSegmentationNode()).GetBinaryLabelmapRepresentation(segment_id, image)
    if image.GetNumberOfPoints():
        i0, i1, j0, j1, k0, k1 = image.GetExtent()
        found[k0 : k1 + 1, j0 : j1 + 1, i0 : i1 + 1] = voxels(image)[0] > 0
    return found


def dark(editor):
    """Where the worker of the tests finds ``Dark``."""
    from SlicerCNNSegLib.scene.volumes import volume_from_node

    return volume_from_node(editor.logic.GetSourceVolumeNode()).array[0] < 0


def previews():
    import slicer

    return [n for n in slicer.mrmlScene.GetNodesByClass("vtkMRMLSegmentationNode") if n.GetAttribute(PREVIEW)]


def names(editor):
    segmentation = editor.logic.GetSegmentationNode().GetSegmentation()
    return [segmentation.GetSegment(segment_id).GetName() for segment_id in segmentation.GetSegmentIDs()]


def run(desktop, editor, button):
    button.click()
    desktop.wait_until(lambda: not editor.ui.progressBar.visible)


def start_run(desktop, editor, behaviour, name):
    behaviour(name)
    editor.ui.applyButton.click()
    desktop.wait_until(lambda: editor.ui.statusLabel.text.startswith("Running the network"))
    return behaviour.notes


def test_apply_fills_a_new_segment_of_the_structure(desktop, an_editor):
    import vtk

    run(desktop, an_editor, an_editor.ui.applyButton)
    assert an_editor.ui.statusLabel.text.splitlines() == ["Applied.", "Mind the gap."]
    assert names(an_editor) == ["Blob"]
    segmentation = an_editor.logic.GetSegmentationNode().GetSegmentation()
    segment_id = segmentation.GetNthSegmentID(0)
    np.testing.assert_array_equal(mask_of(an_editor, segment_id), dark(an_editor))
    segment = segmentation.GetSegment(segment_id)
    assert segment.GetColor() == an_editor.python._form._models.entry.package.labels[0].color
    tag = vtk.reference("")
    assert segment.GetTag("CNNSeg.Model", tag)
    assert str(tag) == "tiny-mr 1 000000000000"


def test_a_preview_shows_and_writes_nothing_then_apply_writes_it_without_another_run(desktop, an_editor, behaviour):
    segment_id = add_segment(an_editor, "blob")
    run(desktop, an_editor, an_editor.ui.previewButton)
    assert an_editor.ui.statusLabel.text.startswith("Found: Blob. Press Apply to write it.")
    (preview,) = previews()
    np.testing.assert_array_equal(
        mask_of(an_editor, preview.GetSegmentation().GetNthSegmentID(0), preview), dark(an_editor)
    )
    assert not mask_of(an_editor, segment_id).any()
    behaviour("corrupt")
    an_editor.ui.applyButton.click()
    assert not behaviour.begun
    np.testing.assert_array_equal(mask_of(an_editor, segment_id), dark(an_editor))
    assert previews() == []
    assert names(an_editor) == ["blob"]


def test_undo_brings_back_what_was(desktop, an_editor):
    run(desktop, an_editor, an_editor.ui.applyButton)
    before = mask_of(an_editor, an_editor.logic.GetSegmentationNode().GetSegmentation().GetNthSegmentID(0))
    an_editor.logic.GetSourceVolumeNode().GetImageData().GetPointData().GetScalars().Fill(5)
    run(desktop, an_editor, an_editor.ui.applyButton)
    segment_id = an_editor.logic.GetSegmentationNode().GetSegmentation().GetNthSegmentID(0)
    assert not mask_of(an_editor, segment_id).any()
    an_editor.logic.Undo()
    np.testing.assert_array_equal(mask_of(an_editor, segment_id), before)
    an_editor.logic.Undo()
    assert names(an_editor) == []


def test_only_the_region_is_looked_at_and_changed(desktop, an_editor, behaviour):
    import slicer
    import vtk

    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    roi.SetSize(8, 6, 10)
    roi.SetCenter(vtk.vtkVector3d(10, 10, 12))
    an_editor.ui.whereComboBox.currentIndex = 1
    assert an_editor.ui.hintLabel.text == "Select a region of interest."
    assert not an_editor.ui.applyButton.enabled
    an_editor.ui.regionSelector.setCurrentNode(roi)
    run(desktop, an_editor, an_editor.ui.applyButton)
    assert behaviour.notes["settings"]["regions"] == ["ras:6,14,7,13,7,17"]
    asked = np.zeros((18, 20, 22), bool)
    asked[5:12, 7:14, 6:15] = True
    segment_id = an_editor.logic.GetSegmentationNode().GetSegmentation().GetNthSegmentID(0)
    np.testing.assert_array_equal(mask_of(an_editor, segment_id), dark(an_editor) & asked)


def test_what_the_slice_views_show(desktop, an_editor, behaviour):
    import slicer

    view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode")
    view.SetLayoutName("Red")
    view.GetSliceToRAS().SetElement(0, 3, 10)
    view.GetSliceToRAS().SetElement(1, 3, 10)
    view.UpdateMatrices()
    view.SetFieldOfView(6, 4, 1)
    view.SetMappedInLayout(1)
    an_editor.ui.whereComboBox.currentIndex = 2
    run(desktop, an_editor, an_editor.ui.applyButton)
    assert behaviour.notes["settings"]["regions"] == ["ras:7,13,8,12,-0.75,26.25"]


def test_masks_of_the_editor_hold(desktop, an_editor):
    from SlicerCNNSegLib.scene.volumes import volume_from_node

    segment_id = add_segment(an_editor, "Blob")
    parameters = an_editor.parameters
    parameters.SetSourceVolumeIntensityMask(True)
    parameters.SetSourceVolumeIntensityMaskRange(-0.5, 10)
    run(desktop, an_editor, an_editor.ui.applyButton)
    array = volume_from_node(an_editor.logic.GetSourceVolumeNode()).array[0]
    np.testing.assert_array_equal(mask_of(an_editor, segment_id), (array < 0) & (array >= -0.5))


def test_the_selected_segment_takes_the_structure_whatever_its_name(desktop, an_editor):
    an_editor.ui.fillComboBox.currentIndex = 1
    assert an_editor.ui.hintLabel.text == "Select a segment."
    segment_id = add_segment(an_editor, "anything")
    assert an_editor.ui.applyButton.enabled
    run(desktop, an_editor, an_editor.ui.applyButton)
    np.testing.assert_array_equal(mask_of(an_editor, segment_id), dark(an_editor))
    assert names(an_editor) == ["anything"]


def test_several_structures_into_segments_one_of_them_or_all_together(desktop, an_editor, two_labels, behaviour):
    an_editor.effect.setParameter("Model", "two-labels")
    run(desktop, an_editor, an_editor.ui.applyButton)
    assert names(an_editor) == ["Dark", "Bright"]
    ids = an_editor.logic.GetSegmentationNode().GetSegmentation().GetSegmentIDs()
    np.testing.assert_array_equal(mask_of(an_editor, ids[0]), dark(an_editor))
    np.testing.assert_array_equal(mask_of(an_editor, ids[1]), ~dark(an_editor))
    an_editor.ui.fillComboBox.currentIndex = 1
    box = an_editor.ui.structureComboBox
    assert [box.itemText(n) for n in range(box.count)] == ["All of them together", "Dark", "Bright"]
    assert box.visible
    an_editor.logic.GetSegmentEditorNode().SetOverwriteMode(an_editor.parameters.OverwriteNone)
    box.currentIndex = 2
    chosen = add_segment(an_editor, "mine")
    run(desktop, an_editor, an_editor.ui.applyButton)
    np.testing.assert_array_equal(mask_of(an_editor, chosen), ~dark(an_editor))
    box.currentIndex = 0
    run(desktop, an_editor, an_editor.ui.applyButton)
    assert mask_of(an_editor, chosen).all()


@pytest.fixture
def two_labels(a_models_folder, an_editor):
    """A model with the labels of the worker's answer."""
    import json
    import shutil

    from tiny_model import RANDOM_UNET, write_tiny_model
    from worker_behaviours import LABELS

    folder = write_tiny_model(a_models_folder / "two-labels", network=RANDOM_UNET)
    metadata = folder / "configs" / "metadata.json"
    described = json.loads(metadata.read_text(encoding="utf-8"))
    described["cnnseg"]["labels"] = [label.to_json() for label in LABELS]
    metadata.write_text(json.dumps(described), encoding="utf-8")
    an_editor.python.activate()
    yield
    shutil.rmtree(folder)


def test_where_it_is_not_clear_the_user_is_asked(desktop, an_editor, monkeypatch):
    """Two segments of the structure's name: the dialog lists them; giving up starts nothing."""
    from SegmentEditorCNNSegLib import segment_choice

    for segment_id in ("first", "second"):
        an_editor.logic.GetSegmentationNode().GetSegmentation().AddEmptySegment(segment_id, "Blob")
    asked = []

    def answer(index):
        def ask(choice):
            asked.append([choice.boxes[0].itemText(n) for n in range(choice.boxes[0].count)])
            assert choice.boxes[0].currentText == "Blob"
            choice.boxes[0].currentIndex = index
            return None if index is None else choice.targets()

        monkeypatch.setattr(segment_choice.SegmentChoice, "ask", ask)

    monkeypatch.setattr(segment_choice.SegmentChoice, "ask", lambda choice: None)
    an_editor.ui.applyButton.click()
    assert not an_editor.ui.progressBar.visible
    answer(2)
    run(desktop, an_editor, an_editor.ui.applyButton)
    assert asked == [["New segment", "Blob", "Blob", "Leave out"]]
    np.testing.assert_array_equal(mask_of(an_editor, "second"), dark(an_editor))
    assert not mask_of(an_editor, "first").any()
    answer(3)
    run(desktop, an_editor, an_editor.ui.applyButton)
    assert not mask_of(an_editor, "first").any(), "left out: nothing is run"


def test_the_dialog_joins_structures_of_one_segment(an_editor):
    from worker_behaviours import LABELS

    from SegmentEditorCNNSegLib.segment_choice import SegmentChoice
    from SlicerCNNSegLib.scene.segment_matching import Match

    segmentation = an_editor.logic.GetSegmentationNode().GetSegmentation()
    segmentation.AddEmptySegment("whole", "whole")
    choice = SegmentChoice([Match(label, "whole", False) for label in LABELS], segmentation, an_editor.frame)
    (target,) = choice.targets()
    assert (target.segment_id, [label.name for label in target.labels]) == ("whole", ["Dark", "Bright"])
    for box in choice.boxes:
        box.currentIndex = 0
    assert [(t.segment_id, t.labels[0].name) for t in choice.targets()] == [("", "Dark"), ("", "Bright")]


def test_a_preview_of_something_else_is_taken_away(desktop, an_editor, a_volume):
    run(desktop, an_editor, an_editor.ui.previewButton)
    assert len(previews()) == 1
    an_editor.choose(an_editor.logic.GetSegmentationNode(), a_volume("other"))
    assert previews() == []
    run(desktop, an_editor, an_editor.ui.previewButton)
    an_editor.ui.whereComboBox.currentIndex = 2
    assert previews() == []
    assert an_editor.ui.statusLabel.text == "", "there is nothing to apply"


def test_leaving_the_effect_stops_the_run_and_takes_the_preview_away(desktop, an_editor, behaviour):
    run(desktop, an_editor, an_editor.ui.previewButton)
    an_editor.python.deactivate()
    assert previews() == []
    an_editor.python.activate()
    start_run(desktop, an_editor, behaviour, "windows")
    an_editor.python.deactivate()
    desktop.wait_until(lambda: not an_editor.python._run.running, timeout_s=10)
    assert names(an_editor) == []


@pytest.mark.parametrize("name", ["killed", "memory", "corrupt"])
def test_a_fault_is_one_message_and_the_segments_stay(desktop, an_editor, behaviour, name):
    problem = {
        "killed": "The worker was killed",
        "memory": "Memory ran out",
        "corrupt": "The weights model.safetensors cannot be read",
    }[name]
    segment_id = add_segment(an_editor, "Blob")
    behaviour(name)
    run(desktop, an_editor, an_editor.ui.applyButton)
    assert an_editor.ui.statusLabel.text.startswith(problem)
    assert not mask_of(an_editor, segment_id).any()
    behaviour("done")
    run(desktop, an_editor, an_editor.ui.applyButton)
    np.testing.assert_array_equal(mask_of(an_editor, segment_id), dark(an_editor))


def test_cancel_leaves_the_segments_and_the_effect_can_be_used_again(desktop, an_editor, behaviour):
    segment_id = add_segment(an_editor, "Blob")
    start_run(desktop, an_editor, behaviour, "hang")
    an_editor.ui.cancelButton.click()
    desktop.wait_until(lambda: not an_editor.ui.progressBar.visible, timeout_s=10)
    assert an_editor.ui.statusLabel.text == "Cancelled."
    assert not mask_of(an_editor, segment_id).any()
    behaviour("done")
    run(desktop, an_editor, an_editor.ui.applyButton)
    assert mask_of(an_editor, segment_id).any()


def test_what_goes_during_the_run(desktop, an_editor, behaviour, a_volume):
    import slicer

    segment_id = add_segment(an_editor, "Blob")
    start_run(desktop, an_editor, behaviour, "windows")
    an_editor.logic.GetSegmentationNode().GetSegmentation().RemoveSegment(segment_id)
    desktop.wait_until(lambda: not an_editor.ui.progressBar.visible)
    assert an_editor.ui.statusLabel.text == "The segment for Blob was removed meanwhile; apply again."
    start_run(desktop, an_editor, behaviour, "windows")
    slicer.mrmlScene.RemoveNode(an_editor.logic.GetSourceVolumeNode())
    desktop.wait_until(lambda: not an_editor.ui.progressBar.visible, timeout_s=10)
    assert "input volume was removed from the scene" in an_editor.ui.statusLabel.text
    assert an_editor.ui.hintLabel.text == "Choose a segmentation and a source volume."


def test_closing_the_scene_ends_the_run(desktop, an_editor, behaviour):
    seen = start_run(desktop, an_editor, behaviour, "hang")
    desktop.clear_scene()
    desktop.wait_until(lambda: gone(seen["pid"], seen["child"]), timeout_s=10)
    assert not an_editor.python._run.running


def test_the_panel_and_the_effect_share_one_worker(desktop, an_editor, a_panel, behaviour):
    run(desktop, an_editor, an_editor.ui.applyButton)
    first = behaviour.notes["pid"]
    a_panel.ui.applyButton.click()
    desktop.wait_until(lambda: not a_panel.logic.running)
    assert behaviour.notes["pid"] == first
    start_run(desktop, an_editor, behaviour, "windows")
    a_panel.ui.applyButton.click()
    assert a_panel.ui.statusLabel.text == "A run is under way; wait for its end or cancel it."


def test_another_modality_and_several_channels_are_refused_in_words(desktop, an_editor, a_volume):
    an_editor.choose(an_editor.logic.GetSegmentationNode(), a_volume("ct", modality="CT"))
    an_editor.ui.applyButton.click()
    assert "tick 'Go on if the modality does not fit'." in an_editor.ui.statusLabel.text
    an_editor.effect.setParameter("Model", "two-channels")
    assert an_editor.ui.hintLabel.text == "This model needs 2 images; run it in the module CNNSeg."
