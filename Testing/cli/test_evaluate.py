"""``cnnseg evaluate segmentation``: the table, the JSON file, and what is refused."""

import json

import numpy as np
import pytest
from tiny_cases import files_in, write_image

from SlicerCNNSegLib.engine.evaluation import folders as evaluation


@pytest.fixture
def folders(tmp_path):
    """References of two cases; predictions of the same, one of them shifted by a voxel."""
    mask = np.zeros((12, 12, 12), np.uint8)
    mask[3:9, 3:9, 3:9] = 1
    for case, shift in (("a", 0), ("b", 1)):
        write_image(tmp_path / "reference" / f"{case}.nii.gz", mask, (1, 1, 1))
        write_image(tmp_path / "prediction" / f"{case}.nii.gz", np.roll(mask, shift, 0), (1, 1, 1))
    return tmp_path / "reference", tmp_path / "prediction"


def line(folders, output) -> list:
    return ["evaluate", "segmentation", "--reference", folders[0], "--prediction", folders[1], "-o", output]


def test_the_numbers_are_written_and_their_means_shown(cnnseg, folders, tmp_path):
    output = tmp_path / "new" / "evaluation.json"
    outcome = cnnseg(*line(folders, output), "--tolerance-mm", "0.5", "--seed", "3")
    assert (outcome.status, outcome.err) == (0, "")
    data = json.loads(output.read_text())
    assert data["settings"]["tolerance_mm"] == 0.5
    assert data["settings"]["seed"] == 3
    dice = [case["labels"]["1"]["dice"] for case in data["cases"]]
    assert dice == pytest.approx([1.0, 5 / 6])  # five of six slices overlap
    assert f"{11 / 12:.3f}" in outcome.out
    assert outcome.out.endswith(f"\n{output}\n")
    assert files_in(output.parent) == ["evaluation.json"]


def test_chosen_labels_only(cnnseg, folders, tmp_path):
    output = tmp_path / "evaluation.json"
    outcome = cnnseg(*line(folders, output), "--labels", "1", "2", "--quiet")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    assert json.loads(output.read_text())["summary"]["labels"].keys() == {"1", "2"}


def test_a_missing_prediction_is_status_1_and_the_rest_is_compared(cnnseg, folders, tmp_path):
    (folders[1] / "b.nii.gz").unlink()
    outcome = cnnseg(*line(folders, tmp_path / "evaluation.json"))
    assert outcome.status == 1
    assert "b: There is no prediction for this reference." in outcome.out
    statuses = {
        case["case"]: case["status"] for case in json.loads((tmp_path / "evaluation.json").read_text())["cases"]
    }
    assert statuses == {"a": "compared", "b": "missing"}


def test_a_prediction_that_cannot_be_read_is_status_1(cnnseg, folders, tmp_path):
    (folders[1] / "b.nii.gz").write_bytes(b"")
    assert cnnseg(*line(folders, tmp_path / "evaluation.json")).status == 1


def test_a_prediction_without_a_reference_is_no_failure(cnnseg, folders, tmp_path):
    (folders[0] / "b.nii.gz").unlink()
    assert cnnseg(*line(folders, tmp_path / "evaluation.json")).status == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--tolerance-mm", "0"], "tolerance"),
        (["--labels", "0"], "Expected label values of 1 or more, got [0]"),
        (["--reference", "absent"], "does not exist; check the path"),
        (["-o", "evaluation.txt"], "Expected a file that ends in .json after -o, got evaluation.txt"),
        (["-o", "file/evaluation.json"], "Cannot write file/evaluation.json"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(cnnseg, folders, tmp_path, monkeypatch, more, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    before = files_in(tmp_path)
    cnnseg(*line(folders, "evaluation.json"), *more).assert_refused(2, message)
    assert files_in(tmp_path) == before


def test_nothing_is_written_when_a_run_is_stopped(cnnseg, folders, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "read_labelmap", stop)
    (tmp_path / "out").mkdir()
    cnnseg(*line(folders, tmp_path / "out" / "evaluation.json")).assert_refused(130, "stopped.")
    assert files_in(tmp_path / "out") == []
