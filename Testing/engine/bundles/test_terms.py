"""Names of structures: their colours and codes, held against DICOM's own lists."""

import json

import pytest
from pydicom.sr._concepts_dict import concepts

from SlicerCNNSegLib.engine.bundles.terms import TERMS, label_of
from SlicerCNNSegLib.engine.labels import Code

ENTRIES = json.loads(TERMS.read_text(encoding="utf-8"))["terms"]
DICOM = {(code, meaning) for of_keyword in concepts["SCT"].values() for code, (meaning, _) in of_keyword.items()}


def test_every_code_is_in_dicoms_lists_with_that_meaning():
    assert len(ENTRIES) > 60
    for term in ENTRIES:
        scheme, code, meaning = term["type"]
        assert scheme == "SCT"
        assert (code, meaning) in DICOM, term
        assert all(0 <= part <= 1 for part in term["color"])


def test_no_name_or_code_stands_twice():
    names = [name for term in ENTRIES for name in term["names"]]
    assert len(names) == len(set(names))
    assert len({term["type"][1] for term in ENTRIES}) == len(ENTRIES)
    assert all(name == " ".join(name.lower().split()) for name in names)


@pytest.mark.parametrize(
    ("name", "code", "side"),
    [
        ("spleen", "78961009", ""),
        ("kidney_right", "64033007", "24028007"),
        ("Left Kideny", "64033007", "7771000"),
        ("adrenal_gland_left", "23451007", "7771000"),
        ("Right adrenal gland", "23451007", "24028007"),
        ("heart_ventricle_left", "87878005", ""),
        ("lung_lower_lobe_left", "90572001", "7771000"),
        ("lung_middle_lobe_right", "72481006", ""),
        ("vertebrae_T12", "23215003", ""),
        ("IVC", "64131007", ""),
        ("nothing that anybody coded", "", ""),
        ("left something", "", ""),
    ],
)
def test_names_of_bundles_are_understood(name, code, side):
    label = label_of(3, name)
    assert (label.value, label.name) == (3, name)
    assert (label.type.value if label.type else "") == code
    assert (label.modifier.value if label.modifier else "") == side


def test_a_name_without_a_code_has_a_colour_of_its_own():
    assert label_of(1, "a").color != label_of(2, "a").color
    assert label_of(1, "liver").type == Code("SCT", "10200004", "Liver")
