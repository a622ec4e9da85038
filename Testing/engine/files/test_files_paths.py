"""Names of cases, and DICOM values as parts of paths."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SlicerCNNSegLib.engine.files.paths import LONGEST_NAME, safe_name, stem, suffix


@pytest.mark.parametrize(
    ("name", "expected_stem", "expected_suffix"),
    [
        ("case.nii.gz", "case", ".nii.gz"),
        ("Case.1.NII.GZ", "Case.1", ".nii.gz"),
        ("head.seg.nrrd", "head", ".seg.nrrd"),
        ("head.v2.nrrd", "head.v2", ".nrrd"),
        ("plain", "plain", ""),
        ("a/b/scan.mha", "scan", ".mha"),
    ],
)
def test_stem_and_suffix_take_both_parts_of_double_suffixes(name, expected_stem, expected_suffix):
    assert stem(name) == expected_stem
    assert suffix(name) == expected_suffix


def test_a_folder_keeps_its_whole_name(tmp_path):
    folder = tmp_path / "series.v1"
    folder.mkdir()
    assert stem(folder) == "series.v1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("../../etc/passwd", "etc_passwd"),
        ("..\\..\\windows", "windows"),
        ("T1 MPRAGE (sag)", "T1_MPRAGE_sag"),
        (".hidden", "hidden"),
        ("", "unnamed"),
        ("///", "unnamed"),
        ("con", "_con"),
        ("LPT1.txt", "_LPT1.txt"),
        ("a\x00b\nc", "a_b_c"),
        ("頭部 CT", "頭部_CT"),
    ],
)
def test_safe_name_of_known_traps(text, expected):
    assert safe_name(text) == expected


@given(st.text(max_size=200))
def test_safe_name_is_always_one_part_of_a_path(text):
    name = safe_name(text)
    assert 1 <= len(name) <= LONGEST_NAME + 1
    assert Path(name).name == name
    assert not set(name) & set('/\\:*?"<>|\0\n\r\t ')
    assert not name.startswith(".")
    assert not name.endswith(".")
    assert safe_name(name) == name
