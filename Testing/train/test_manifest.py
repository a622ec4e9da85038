"""Cases of a CSV table."""

import json

import pytest

from SlicerCNNSegLib.engine.errors import FileReadError, InputError
from SlicerCNNSegTrainLib.engine.data.read import read_data


@pytest.fixture
def table(tmp_path):
    """Writes a table beside the files a..d and their labels."""
    for name in "abcd":
        (tmp_path / f"{name}.nii.gz").touch()
        (tmp_path / f"{name}_seg.nii.gz").touch()

    def write(*lines):
        (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path / "cases.csv"

    return write


def test_a_table_tells_files_patients_and_splits(table, tmp_path):
    path = table(
        "case;patient;image;label;split", "one;P;a.nii.gz;a_seg.nii.gz;Train", ";;b.nii.gz;b_seg.nii.gz;validation"
    )
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "Box": 3}}), encoding="utf-8")
    data = read_data(path)
    first, second = data.cases
    assert (first.id, first.patient, first.split) == ("one", "P", "train")
    assert first.images == (tmp_path / "a.nii.gz",)
    assert (second.id, second.patient, second.split) == ("b_seg", "b_seg", "validation")
    assert data.description.labels[3] == "Box"


def test_channels_come_in_the_recipes_order(table):
    path = table("FLAIR,label,T1", "a.nii.gz,a_seg.nii.gz,b.nii.gz")
    names = [[image.name for image in read_data(path, channels).cases[0].images] for channels in (("T1", "FLAIR"), ())]
    assert names == [["b.nii.gz", "a.nii.gz"], ["a.nii.gz", "b.nii.gz"]]


@pytest.mark.parametrize(
    ("lines", "error", "match"),
    [
        (["image,split", "a.nii.gz,train"], InputError, r"lacks the column 'label'; expected 'image' or one column"),
        (["label", "a_seg.nii.gz"], InputError, r"lacks the column 'image'"),
        (["image,label,age", "a.nii.gz,a_seg.nii.gz,7"], InputError, r"unknown column 'age'; expected image, label"),
        (["image,label", ",a_seg.nii.gz"], InputError, r"row 2 has no file in the column 'image'"),
        (["image,label", "x.nii.gz,a_seg.nii.gz"], FileReadError, r"row 2: there is no file .*x.nii.gz"),
        (["image,label,split", "a.nii.gz,a_seg.nii.gz,dev"], InputError, r"expected a split out of train.*got 'dev'"),
        (
            ["image,label,split", "a.nii.gz,a_seg.nii.gz,train", "b.nii.gz,b_seg.nii.gz,"],
            InputError,
            r"row 3 has no split, other rows have",
        ),
        (
            ["image,label,case", "a.nii.gz,a_seg.nii.gz,X", "b.nii.gz,b_seg.nii.gz,x"],
            InputError,
            r"row 3: two rows are the case 'x'",
        ),
    ],
)
def test_faults_of_a_table_are_told(table, lines, error, match):
    with pytest.raises(error, match=match):
        read_data(table(*lines))


def test_a_table_without_the_recipes_channels_is_told(table):
    with pytest.raises(InputError, match=r"lacks the column 'FLAIR'; expected 'image' or the channels T1, FLAIR"):
        read_data(table("T1,label", "a.nii.gz,a_seg.nii.gz"), ("T1", "FLAIR"))
