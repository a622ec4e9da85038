"""Segments of many cases in one table of labels; plain data, no scene."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from SlicerCNNSegLib.engine.errors import InputError, SettingsError
from SlicerCNNSegLib.engine.labels import SIDES, Code, Label
from SlicerCNNSegTrainLib.scene.label_table import match_labels

KIDNEY = Code("SCT", "64033007", "Kidney")
MASS = Code("SCT", "4147007", "Mass")
TISSUE = Code("SCT", "85756007", "Tissue")
RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def segment(name, color=RED, **codes):
    return Label(1, name, color, **codes)


def left_kidney(name, color=RED):
    return segment(name, color, type=KIDNEY, region_modifier=SIDES["left"])


def test_names_match_but_for_case_and_spaces():
    table = match_labels({
        "a": {"x": segment("Left  Kidney", GREEN), "y": segment("tumor")},
        "b": {"z": segment(" TUMOR ", BLUE), "x": segment("left kidney", BLUE)},
    })  # fmt: skip
    assert [(x.value, x.name, x.color) for x in table.labels] == [(1, "Left Kidney", GREEN), (2, "tumor", RED)]
    assert table.values == {"a": {"x": 1, "y": 2}, "b": {"z": 2, "x": 1}}
    assert table.notes == ()


def test_codes_go_before_names_and_bring_segments_without_codes_with_them():
    right = segment("Right kidney", BLUE, type=KIDNEY, region_modifier=SIDES["right"])
    table = match_labels({
        "a": {"1": segment("Kidney L", GREEN), "2": right},
        "b": {"1": left_kidney("Left kidney"), "2": right},
        "c": {"1": left_kidney("kidney l"), "2": right},
    })  # fmt: skip
    assert [set(values.items()) for values in table.values.values()] == [{("1", 1), ("2", 2)}] * 3
    left = table.labels[0]
    assert (left.name, left.color, left.type, left.region_modifier) == ("Kidney L", GREEN, KIDNEY, SIDES["left"])
    assert table.labels[1] == replace(right, value=2)
    assert table.notes == ("'Kidney L', 'Left kidney' have the same codes and are taken for one structure.",)


def test_the_code_that_slicer_gives_everything_tells_nothing():
    names = ("Liver", "Spleen")
    table = match_labels({"a": {name: segment(name, type=TISSUE) for name in names}})
    assert [label.name for label in table.labels] == list(names)
    alone = match_labels({"a": {"1": segment("Liver", type=TISSUE)}, "b": {"1": segment("Spleen", type=TISSUE)}})
    assert len(alone.labels) == 2


def test_a_code_that_one_case_has_twice_tells_nothing():
    lesions = {"1": segment("Lesion 1", type=MASS), "2": segment("Lesion 2", type=MASS)}
    table = match_labels({"a": lesions, "b": {"1": segment("Lesion 2", type=MASS)}})
    assert table.values == {"a": {"1": 1, "2": 2}, "b": {"1": 2}}
    assert table.labels[1].type == MASS


def test_two_segments_of_one_name_in_one_case_are_one_structure():
    table = match_labels({"a": {"1": segment("Tumor"), "2": segment("tumor")}})
    assert table.values == {"a": {"1": 1, "2": 1}}


def test_one_name_with_different_codes_is_kept_apart_and_told():
    right = segment("Kidney", type=KIDNEY, region_modifier=SIDES["right"])
    table = match_labels({"a": {"1": left_kidney("Kidney")}, "b": {"1": right}})
    assert [(x.name, x.region_modifier) for x in table.labels] == [
        ("Kidney", SIDES["left"]),
        ("Kidney (2)", SIDES["right"]),
    ]
    assert "'Kidney' has different codes (in a and b) and was kept apart" in table.notes[0]
    assert len(table.notes) == 3  # and each is missing in the other case


def test_segments_that_some_cases_lack_are_told():
    table = match_labels({"a": {"1": segment("Liver")}, "b": {"1": segment("Liver"), "2": segment("Tumor")}, "c": {}})
    what = "there its place is learned as background, unless the recipe says absent_means_not_contoured."
    assert table.notes == (
        f"'Liver' is in 2 of 3 cases (not in c): {what}",
        f"'Tumor' is in 1 of 3 cases (not in a, c): {what}",
    )
    assert table.values["c"] == {}


def test_background_is_no_structure():
    table = match_labels({"a": {"0": segment("Background"), "1": segment("Liver")}})
    assert [(label.value, label.name) for label in table.labels] == [(1, "Liver")]
    with pytest.raises(InputError, match="Expected segments to learn in 1 cases, got none; draw or import some first"):
        match_labels({"a": {"0": segment(" background")}})


def test_some_structures_alone_are_numbered_anew():
    table = match_labels({"a": {"x": segment("A"), "y": segment("B"), "z": segment("C")}})
    some = table.only(["C", "B"])
    assert [(label.value, label.name) for label in some.labels] == [(1, "B"), (2, "C")]
    assert some.values == {"a": {"y": 1, "z": 2}}
    with pytest.raises(SettingsError, match="Expected structures out of A, B, C, got D"):
        table.only(["A", "D"])
    with pytest.raises(SettingsError, match="got none"):
        table.only([])


def test_a_segment_without_a_name_gets_one():
    assert match_labels({"a": {"1": segment("  ")}}).labels[0].name == "unnamed"
