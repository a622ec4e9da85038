"""Cases of a folder in the Decathlon's and in nnU-Net's form."""

import json

import pytest

from SlicerCNNSegLib.engine.errors import FileReadError
from SlicerCNNSegTrainLib.engine.data.folder import read_folder
from SlicerCNNSegTrainLib.engine.data.read import read_data


def make_files(folder, images, labels, description=None, ending=".nii.gz"):
    for kind, names in (("imagesTr", images), ("labelsTr", labels)):
        (folder / kind).mkdir(parents=True)
        for name in names:
            (folder / kind / f"{name}{ending}").touch()
    if description is not None:
        (folder / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    return folder


def test_files_of_one_name_belong_together(boxes):
    cases = read_data(boxes).cases
    assert [case.id for case in cases] == [f"box_{index:02d}" for index in range(10)]
    assert all(case.images[0].name == case.label.name and case.label.parent.name == "labelsTr" for case in cases)
    assert {case.split for case in cases} == {""}


def test_patients_come_from_the_data_sets_description(tmp_path):
    make_files(tmp_path, "ab", "ab", {"patients": {"a": "p1", "b": "p1"}})
    assert [case.patient for case in read_folder(tmp_path).cases] == ["p1", "p1"]


def test_nnunets_channels_come_together_in_order(tmp_path):
    names = [f"{case}_{channel:04d}" for case in ("p_0007", "q") for channel in (1, 0)]
    description = {
        "channel_names": {"1": "FLAIR", "0": "T1"},
        "labels": {"background": 0, "whole": [1, 2], "core": 2},
        "file_ending": ".nrrd",
    }
    data = read_folder(make_files(tmp_path, names, ["p_0007", "q"], description, ".nrrd"))
    assert [case.id for case in data.cases] == ["p_0007", "q"]
    assert [path.name for path in data.cases[0].images] == ["p_0007_0000.nrrd", "p_0007_0001.nrrd"]
    assert data.cases[0].label.name == "p_0007.nrrd"
    assert data.description.channels == ("T1", "FLAIR")
    assert data.description.labels == {0: "background", 1: "whole", 2: "whole"}


def test_a_decathlon_name_that_ends_like_a_channel_is_a_case(tmp_path):
    description = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "Anterior"}}
    data = read_folder(make_files(tmp_path, ["p_0001", "p_0002"], ["p_0001", "p_0002"], description))
    assert [(case.id, len(case.images)) for case in data.cases] == [("p_0001", 1), ("p_0002", 1)]
    assert (data.description.channels, data.description.labels[1]) == (("MRI",), "Anterior")


def test_what_is_missing_is_told(tmp_path):
    with pytest.raises(FileReadError, match=r"Expected images in .*imagesTr/NAME.nii.gz.*found none"):
        read_folder(tmp_path)
    with pytest.raises(FileReadError, match=r"1 images have no label .* \(first: a.nii.gz\)"):
        read_folder(make_files(tmp_path / "unlabelled", "ab", "b"))
    with pytest.raises(FileReadError, match=r"1 cases in .* have fewer than 2 channels \(first: b\)"):
        read_folder(make_files(tmp_path / "short", ["a_0000", "a_0001", "b_0000"], "ab"))


@pytest.mark.parametrize("text", ["{", "[]", '{"labels": {"liver": null}}', '{"channel_names": {"first": "CT"}}'])
def test_a_wrong_description_is_told(tmp_path, text):
    make_files(tmp_path, "a", "a")
    (tmp_path / "dataset.json").write_text(text, encoding="utf-8")
    with pytest.raises(FileReadError, match=r"dataset.json cannot be read .*; expected an object with channel_names"):
        read_folder(tmp_path)
