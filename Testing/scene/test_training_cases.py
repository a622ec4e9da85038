"""Which volume belongs to which segmentation: by reference, by the subject hierarchy, by name, or told."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.scene.records import set_record
from SlicerCNNSegTrainLib.scene.cases import HIERARCHY, NAME, REFERENCE, find_cases

pytestmark = pytest.mark.slicer

IMAGE = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
MASK = IMAGE > 12


@pytest.fixture
def hierarchy(slicer, a_scene):
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_scene)


@pytest.fixture
def a_study(hierarchy):
    """A study of a new patient, or of one that is given, with nodes in it."""

    def make(*nodes, patient="P", patient_item=None):
        item = patient_item or hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), patient)
        study = hierarchy.CreateStudyItem(item, "Study")
        for node in nodes:
            hierarchy.CreateItem(study, node)
        return item

    return make


@pytest.fixture
def detached(a_segmentation):
    """A segmentation that does not know its volume."""
    return lambda name, masks=None: a_segmentation(None, masks or {"Liver": MASK}, name)


def pairs(found):
    return [([node.GetName() for node in case.volumes], case.truth.GetName(), case.found_by) for case in found.cases]


def test_the_volume_that_was_drawn_on_goes_before_folder_and_name(
    a_scene, a_volume_node, a_segmentation, detached, a_study
):
    head, chest = a_volume_node(IMAGE, name="Head"), a_volume_node(IMAGE, name="Chest")
    truth = a_segmentation(chest, {"Liver": MASK}, "Head segmentation")
    a_study(head, truth)
    found = find_cases(a_scene)
    assert pairs(found) == [(["Chest"], "Head segmentation", REFERENCE)]
    assert found.notes == ()


def test_the_volume_in_the_same_study(a_scene, a_volume_node, detached, a_study):
    a_volume_node(IMAGE, name="Anything")
    a_study(a_volume_node(IMAGE, name="First"), detached("x"), patient="A")
    a_study(a_volume_node(IMAGE, name="Second"), detached("y"), patient="B")
    found = find_cases(a_scene)
    assert pairs(found) == [(["First"], "x", HIERARCHY), (["Second"], "y", HIERARCHY)]
    assert [case.patient for case in found.cases] == ["A", "B"]


def test_folders_within_a_folder(a_scene, a_volume_node, detached, hierarchy):
    case = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Case 1")
    for folder, node in (("images", a_volume_node(IMAGE, name="CT")), ("masks", detached("Mask"))):
        hierarchy.CreateItem(hierarchy.CreateFolderItem(case, folder), node)
    found = find_cases(a_scene)
    assert pairs(found) == [(["CT"], "Mask", HIERARCHY)]
    assert found.cases[0].patient == ""


def test_of_several_volumes_in_a_study_the_one_of_the_same_name(a_scene, a_volume_node, detached, a_study):
    a_study(a_volume_node(IMAGE, name="4: CT"), a_volume_node(IMAGE, name="5: CT"), detached("5: CT segmentation"))
    a_study(a_volume_node(IMAGE, name="T1"), a_volume_node(IMAGE, name="T2"), detached("Tumor"))
    found = find_cases(a_scene)
    assert pairs(found) == [(["5: CT"], "5: CT segmentation", HIERARCHY)]
    (note,) = found.notes
    assert note.startswith(
        "'Tumor' was left out: expected one volume, it could be any of 'T1', 'T2'; choose its source"
    )


@pytest.mark.parametrize(
    "name",
    ["Head", "head segmentation", "Head-label", "HEAD_seg_1", "Head.seg", "Head ground truth", "Head label mask"],
)
def test_the_volume_of_the_same_name(name, a_scene, a_volume_node, detached):
    a_volume_node(IMAGE, name="Head")
    a_volume_node(IMAGE, name="Header")
    detached(name)
    assert pairs(find_cases(a_scene)) == [(["Head"], name, NAME)]


def test_a_labelmap_volume_is_a_truth(a_scene, a_volume_node):
    a_volume_node(IMAGE, name="Head")
    a_volume_node(MASK.astype(np.uint8), kind="LabelMap", name="Head-label")
    assert pairs(find_cases(a_scene)) == [(["Head"], "Head-label", NAME)]


def test_a_patient_id_makes_one_patient_of_two_items_and_a_name_does_not(
    a_scene, a_volume_node, a_segmentation, a_study, hierarchy
):
    items = []
    for number in range(4):
        volume = a_volume_node(IMAGE, name=f"CT {number}")
        a_segmentation(volume, {"Liver": MASK})
        items.append(a_study(volume, patient="Anonymous"))
    hierarchy.SetItemUID(items[1], "DICOM", "id-7")
    hierarchy.SetItemAttribute(items[3], "DICOM.PatientID", "id-7")
    assert [case.patient for case in find_cases(a_scene).cases] == [
        "Anonymous",
        "Anonymous_2",
        "Anonymous_3",
        "Anonymous_2",
    ]


def test_several_studies_of_a_patient(a_scene, a_volume_node, a_segmentation, a_study):
    first, second = (a_volume_node(IMAGE, name="CT") for _ in range(2))
    for volume in (first, second):
        a_segmentation(volume, {"Liver": MASK})
    a_study(second, patient_item=a_study(first, patient="A"))
    found = find_cases(a_scene)
    assert [case.patient for case in found.cases] == ["A", "A"]
    assert [case.name for case in found.cases] == ["CT", "CT_2"]


def test_names_are_harmless_and_never_end_like_a_channel(a_scene, a_volume_node, a_segmentation):
    for name in ("../301: CT chest", "case_0001"):
        a_segmentation(a_volume_node(IMAGE, name=name), {"Liver": MASK})
    assert [case.name for case in find_cases(a_scene).cases] == ["301_CT_chest", "case-0001"]


class TestChannels:
    def test_by_folder(self, a_scene, a_volume_node, a_segmentation, detached, a_study):
        t1, t2 = a_volume_node(IMAGE, name="AX T1 post"), a_volume_node(IMAGE, name="t2_ax")
        a_study(t2, t1, a_volume_node(IMAGE, name="T1T2 other"), detached("Tumor"))
        flair, other = a_volume_node(IMAGE, name="T2"), a_volume_node(IMAGE, name="T1")
        a_study(flair, other, a_segmentation(flair, {"Tumor": MASK}, "drawn"))
        found = find_cases(a_scene, ("T1", "T2"))
        assert pairs(found) == [(["AX T1 post", "t2_ax"], "Tumor", HIERARCHY), (["T1", "T2"], "drawn", REFERENCE)]
        assert [case.name for case in found.cases] == ["AX_post", "drawn"]

    def test_by_name(self, a_scene, a_volume_node, a_segmentation, detached):
        for case in ("case1", "case2"):
            for channel in ("T1", "T2"):
                volume = a_volume_node(IMAGE, name=f"{case}_{channel}")
        detached("case1 segmentation")
        a_segmentation(volume, {"Tumor": MASK}, "drawn on the second's T2")
        found = find_cases(a_scene, ("T1", "T2"))
        assert pairs(found) == [
            (["case1_T1", "case1_T2"], "case1 segmentation", NAME),
            (["case2_T1", "case2_T2"], "drawn on the second's T2", REFERENCE),
        ]
        assert [case.name for case in found.cases] == ["case1", "case2"]

    def test_a_missing_channel_is_told(self, a_scene, a_volume_node, a_segmentation):
        a_segmentation(a_volume_node(IMAGE, name="case1 T1"), {"Tumor": MASK})
        with pytest.raises(
            InputError, match="'Drawn' was left out: expected one volume for the channel 'T2', none was"
        ):
            find_cases(a_scene, ("T1", "T2"))


class TestLeftOut:
    def test_a_segmentation_without_a_volume(self, a_scene, a_volume_node, a_segmentation, detached):
        a_segmentation(a_volume_node(IMAGE, name="Head"), {"Liver": MASK})
        detached("Stray")
        (note,) = find_cases(a_scene).notes
        assert note.startswith("'Stray' was left out: expected one volume, none was found; choose its source volume")

    def test_nodes_at_the_top_of_the_hierarchy_are_in_no_folder_together(
        self, a_scene, a_volume_node, detached, hierarchy
    ):
        for node in (a_volume_node(IMAGE, name="Head"), detached("Stray")):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
        with pytest.raises(InputError, match="'Stray' was left out: expected one volume, none was found"):
            find_cases(a_scene)

    def test_a_segmentation_without_segments(self, a_scene, a_volume_node, a_segmentation):
        a_segmentation(a_volume_node(IMAGE), {})
        with pytest.raises(InputError, match="found no pair: 'Drawn' was left out: it has no segments; draw or import"):
            find_cases(a_scene)

    def test_an_empty_scene(self, a_scene, a_volume_node):
        with pytest.raises(InputError, match=r"found no pair \(0 volumes, 0 segmentations\)"):
            find_cases(a_scene)
        a_volume_node(IMAGE)
        with pytest.raises(InputError, match=r"found no pair \(1 volumes, 0 segmentations\)"):
            find_cases(a_scene)

    def test_two_truths_of_one_volume(self, a_scene, a_volume_node, a_segmentation):
        volume = a_volume_node(IMAGE)
        for reader in ("Reader 1", "Reader 2"):
            a_segmentation(volume, {"Liver": MASK}, reader)
        with pytest.raises(
            InputError, match="'Reader 1', 'Reader 2' are of one volume and were left out: keep the one"
        ):
            find_cases(a_scene)

    def test_hidden_nodes(self, a_scene, a_volume_node, a_segmentation):
        a_segmentation(a_volume_node(IMAGE), {"Liver": MASK}).SetHideFromEditors(True)
        with pytest.raises(InputError, match="1 volumes, 0 segmentations"):
            find_cases(a_scene)

    def test_what_was_drawn_goes_before_what_a_model_gave(self, a_scene, a_volume_node, a_segmentation, a_record):
        volume = a_volume_node(IMAGE)
        set_record(a_segmentation(volume, {"Liver": MASK}, "Result"), a_record())
        (note,) = find_cases(a_scene).notes
        assert note == "'Result' is a result of the model hippocampus-mr: learn from it only once it was corrected."
        a_segmentation(volume, {"Liver": MASK}, "Drawn")
        found = find_cases(a_scene)
        assert pairs(found) == [(["Head"], "Drawn", REFERENCE)]
        assert found.notes == ("'Result' was left out: it is a model's result, 'Drawn' is not.",)
