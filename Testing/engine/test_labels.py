"""Labels: codes in Slicer's words, sides, and their plain form."""

import pytest

from SlicerCNNSegLib.engine.labels import ANATOMICAL_STRUCTURE, Code, Label

HIPPOCAMPUS = Code("SCT", "5366008", "Hippocampus")
ANTERIOR = Code("SCT", "255549009", "Anterior")
LABEL = Label(1, "Anterior hippocampus", (0.9, 0.3, 0.1), type=HIPPOCAMPUS, modifier=ANTERIOR)


def test_the_terminology_is_slicers():
    assert LABEL.terminology == (
        "Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure"
        "~SCT^5366008^Hippocampus~SCT^255549009^Anterior~Anatomic codes - DICOM master list~^^~^^"
    )


def test_slicer_takes_the_terminology_apart():
    slicer = pytest.importorskip("slicer", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")
    entry = slicer.vtkSlicerTerminologyEntry()
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    assert logic.DeserializeTerminologyEntry(LABEL.on_side("right", 4).terminology, entry)
    assert entry.GetTypeObject().GetCodeValue() == "5366008"
    assert entry.GetTypeModifierObject().GetCodeMeaning() == "Anterior"
    assert entry.GetRegionObject().GetCodeValue() == "5366008"
    assert entry.GetRegionModifierObject().GetCodeMeaning() == "Right"
    assert entry.GetCategoryObject().GetCodeValue() == ANATOMICAL_STRUCTURE.value


def test_a_label_without_a_type_has_no_terminology():
    assert Label(1, "Something", (0, 0, 0)).terminology == ""


def test_a_side_goes_into_name_and_code():
    left = LABEL.on_side("Left", 3)
    assert (left.value, left.name) == (3, "Left anterior hippocampus")
    assert left.region == HIPPOCAMPUS
    assert left.region_modifier == Code("SCT", "7771000", "Left")
    assert left.type == HIPPOCAMPUS
    assert LABEL.region is None


def test_a_region_that_is_coded_stays():
    brain = Code("SCT", "12738006", "Brain")
    label = Label(1, "Lesion", (1, 0, 0), type=Code("SCT", "52988006", "Lesion"), region=brain)
    assert label.on_side("right", 2).region == brain


@pytest.mark.parametrize("label", [LABEL, Label(1, "Anterior hippocampus", (0, 0, 0))])
def test_another_name_goes_into_the_name_alone(label):
    there = label.on_side("first box", 7)
    assert there.name == "First box anterior hippocampus"
    assert there.region_modifier is None
    assert there.terminology == label.terminology


def test_an_uncoded_label_gets_no_code_by_its_side():
    left = Label(1, "Thing", (0, 0, 0)).on_side("left", 2)
    assert left.name == "Left thing"
    assert left.terminology == ""


@pytest.mark.parametrize("label", [LABEL, LABEL.on_side("left", 2), Label(3, "Thing", (0.5, 0.25, 1.0))])
def test_the_plain_form_is_inverse(label):
    assert Label.from_json(label.to_json()) == label


def test_a_code_in_slicers_words_and_plain():
    assert str(HIPPOCAMPUS) == "SCT^5366008^Hippocampus"
    assert HIPPOCAMPUS.to_json() == ["SCT", "5366008", "Hippocampus"]
    assert Code.from_json(HIPPOCAMPUS.to_json()) == HIPPOCAMPUS
    with pytest.raises(ValueError, match="not enough values"):
        Code.from_json(["SCT", "5366008"])
