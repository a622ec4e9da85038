"""Cases and their division."""

import json

import pytest

from SlicerCNNSegLib.engine.errors import FileReadError, SettingsError
from SlicerCNNSegTrainLib.engine.cases import TrainingCase, read_msd_folder, split_fold


def test_files_of_one_name_belong_together(boxes):
    cases = read_msd_folder(boxes)
    assert [case.id for case in cases] == [f"box_{index:02d}" for index in range(10)]
    assert all(case.images[0].name == case.label.name and case.label.parent.name == "labelsTr" for case in cases)


def test_patients_come_from_the_data_sets_description(tmp_path):
    for kind in ("imagesTr", "labelsTr"):
        (tmp_path / kind).mkdir()
        for name in ("a", "b"):
            (tmp_path / kind / f"{name}.nii.gz").touch()
    (tmp_path / "dataset.json").write_text(json.dumps({"patients": {"a": "p1", "b": "p1"}}), encoding="utf-8")
    assert [case.patient for case in read_msd_folder(tmp_path)] == ["p1", "p1"]


def test_an_empty_folder_and_a_missing_label_are_told(tmp_path):
    with pytest.raises(FileReadError, match=r"Expected images in"):
        read_msd_folder(tmp_path)
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "imagesTr" / "a.nii.gz").touch()
    with pytest.raises(FileReadError, match=r"1 images have no label .* \(first: a.nii.gz\)"):
        read_msd_folder(tmp_path)


def test_folds_cover_all_patients_once_and_never_mix_them():
    cases = [TrainingCase(f"c{n}", (), None, f"p{n // 2}") for n in range(46)]
    held_ids = []
    for fold in range(5):
        training, held = split_fold(cases, fold)
        assert not {case.patient for case in training} & {case.patient for case in held}
        assert len(training) + len(held) == 46
        held_ids += [case.id for case in held]
    assert sorted(held_ids) == sorted(case.id for case in cases)
    assert split_fold(cases, 0, seed=1) != split_fold(cases, 0, seed=0)
    assert split_fold(cases, 0) == split_fold(cases, 0)


def test_impossible_folds_are_refused():
    cases = [TrainingCase(f"c{n}", (), None, f"p{n}") for n in range(4)]
    with pytest.raises(SettingsError, match=r"Expected a fold from 0 to 4, got 5"):
        split_fold(cases, 5)
    with pytest.raises(SettingsError, match=r"Expected at least 5 patients for 5 folds, got 4"):
        split_fold(cases, 0)
