"""Evaluation of folders: pairing, statuses, summary, table."""

import json

import numpy as np
import pytest

from SlicerCNNSegLib.engine.errors import Cancelled, FileReadError, InputError, SettingsError
from SlicerCNNSegLib.engine.evaluation.folders import evaluate_folders
from SlicerCNNSegLib.engine.evaluation.table import summary_table
from SlicerCNNSegLib.engine.files.labelmaps import write_labelmap
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.engine.volume import Geometry

SHAPE = (12, 12, 12)
GRID = Geometry(SHAPE, np.diag([1.0, 1.0, 2.0, 1.0]))
HEAD, TAIL = Label(1, "Head", (1.0, 0.5, 0.0)), Label(2, "Tail", (0.0, 0.5, 1.0))


def a_labelmap(shift=0, *, head=True, tail=True):
    """A head of 4 x 4 x 4 voxels, moved along i, and a tail of 2 x 2 x 2 that stays."""
    labelmap = np.zeros(SHAPE, np.uint8)
    if head:
        labelmap[2:6, 2:6, 2 + shift : 6 + shift] = 1
    if tail:
        labelmap[8:10, 8:10, 8:10] = 2
    return labelmap


@pytest.fixture
def folders(tmp_path):
    """Write labelmaps by name into the folders ``reference`` and ``prediction``."""

    def write(references, predictions, labels=(HEAD, TAIL)):
        for name, files in (("reference", references), ("prediction", predictions)):
            (tmp_path / name).mkdir()
            for file, labelmap in files.items():
                write_labelmap(tmp_path / name / file, labelmap, GRID, labels)
        return tmp_path / "reference", tmp_path / "prediction"

    return write


def test_pairs_by_stem_and_summarises_with_numbers(folders):
    evaluation = evaluate_folders(
        *folders(
            {f"{case}.nii.gz": a_labelmap() for case in "abc"},
            {f"{case}.seg.nrrd": a_labelmap(shift) for shift, case in enumerate("abc")},
        )
    )
    assert [case["status"] for case in evaluation["cases"]] == ["compared"] * 3
    # a cube of 4 moved by 0, 1, 2 voxels: 4, 3, 2 of its 4 columns are common
    assert [case["labels"]["1"]["dice"] for case in evaluation["cases"]] == [1.0, 0.75, 0.5]
    head = evaluation["summary"]["labels"]["1"]
    assert head["name"] == "Head"
    assert head["outcomes"] == {"found": 3, "missed": 0, "false_alarm": 0, "absent": 0}
    dice = head["metrics"]["dice"]
    assert (dice["n"], dice["mean"], dice["median"], dice["sd"]) == (3, 0.75, 0.75, 0.25)
    assert 0.5 <= dice["ci95"][0] < 0.75 < dice["ci95"][1] <= 1.0
    assert dice["worst"] == [
        {"case": "c", "value": 0.5},
        {"case": "b", "value": 0.75},
        {"case": "a", "value": 1.0},
    ]
    assert head["metrics"]["hd95_mm"]["worst"][0] == {"case": "c", "value": 2.0}
    assert evaluation["summary"]["labels"]["2"]["metrics"]["dice"]["ci95"] == [1.0, 1.0]
    # per case the mean of head and tail: 1, .875, .75
    assert evaluation["summary"]["all_labels"]["metrics"]["dice"]["mean"] == pytest.approx(0.875)
    assert evaluation["warnings"] == []


def test_what_cannot_be_compared_is_told_and_stops_nothing(folders):
    reference, prediction = folders(
        {f"{case}.nii.gz": a_labelmap() for case in ("good", "gone", "moved", "torn")},
        {f"{case}.nii.gz": a_labelmap() for case in ("good", "extra", "torn")},
    )
    shifted = GRID.ijk_to_ras.copy()
    shifted[0, 3] = 5.0
    write_labelmap(prediction / "moved.nii.gz", a_labelmap(), Geometry(SHAPE, shifted), ())
    torn = prediction / "torn.nii.gz"
    torn.write_bytes(torn.read_bytes()[:60])

    evaluation = evaluate_folders(reference, prediction)

    found = {case["case"]: (case["status"], case["problem"]) for case in evaluation["cases"]}
    assert found["good"] == ("compared", "")
    assert found["gone"] == ("missing", "There is no prediction for this reference.")
    assert found["extra"] == ("unmatched", "There is no reference for this prediction.")
    assert found["moved"][0] == found["torn"][0] == "failed"
    assert found["moved"][1].startswith("The prediction lies on another grid (12 x 12 x 12 voxels; axes")
    assert "[5 0 0]) than the reference" in found["moved"][1]
    assert "torn.nii.gz" in found["torn"][1]
    assert evaluation["summary"]["cases"] == {"compared": 1, "missing": 1, "failed": 2, "unmatched": 1}
    assert evaluation["summary"]["labels"]["1"]["metrics"]["dice"]["n"] == 1


def test_undefined_values_are_null_and_counted_apart(folders):
    evaluation = evaluate_folders(
        *folders(
            {"a.nii.gz": a_labelmap(), "b.nii.gz": a_labelmap(tail=False), "c.nii.gz": a_labelmap(tail=False)},
            {"a.nii.gz": a_labelmap(tail=False), "b.nii.gz": a_labelmap(), "c.nii.gz": a_labelmap(tail=False)},
        )
    )
    assert json.loads(json.dumps(evaluation, allow_nan=False)) == evaluation
    tail = evaluation["summary"]["labels"]["2"]
    assert tail["outcomes"] == {"found": 0, "missed": 1, "false_alarm": 1, "absent": 1}
    assert (tail["metrics"]["dice"]["n"], tail["metrics"]["dice"]["mean"]) == (2, 0.0)
    assert tail["metrics"]["hd95_mm"] == {"n": 0, "mean": None, "median": None, "sd": None, "ci95": None, "worst": []}
    assert tail["metrics"]["volume_error_mm3"]["mean"] == 0.0  # one missed, one invented
    assert tail["metrics"]["volume_error_relative"]["n"] == 1


def test_two_files_are_a_pair_whatever_their_names(folders):
    reference, prediction = folders({"truth.nii.gz": a_labelmap()}, {"guess.nrrd": a_labelmap(1)})
    evaluation = evaluate_folders(reference / "truth.nii.gz", prediction / "guess.nrrd")
    assert [(case["case"], case["labels"]["1"]["dice"]) for case in evaluation["cases"]] == [("truth", 0.75)]


def test_one_case_in_several_formats_is_read_once_and_dot_files_not_at_all(folders):
    reference, prediction = folders({"a.nii.gz": a_labelmap()}, {"a.nii.gz": a_labelmap(2), "a.seg.nrrd": a_labelmap()})
    (reference / "._a.nii.gz").write_bytes(b"left by macOS")
    (reference / "readme.txt").write_text("no labelmap")
    (case,) = evaluate_folders(reference, prediction)["cases"]
    assert case["prediction"].endswith("a.seg.nrrd")
    assert case["labels"]["1"]["dice"] == 1.0


def test_only_the_labels_asked_for(folders):
    pair = folders({"a.nii.gz": a_labelmap()}, {"a.nii.gz": a_labelmap()})
    evaluation = evaluate_folders(*pair, labels=[2, 3])
    assert list(evaluation["summary"]["labels"]) == ["2", "3"]
    assert evaluation["summary"]["labels"]["3"]["outcomes"]["absent"] == 1
    assert evaluation["summary"]["labels"]["3"]["name"] == "Label 3"


def test_warns_when_one_value_has_two_names(folders):
    reference, prediction = folders({"a.seg.nrrd": a_labelmap()}, {})
    write_labelmap(prediction / "a.seg.nrrd", a_labelmap(), GRID, (Label(1, "Tail", (1, 0, 0)), TAIL))
    assert evaluate_folders(reference, prediction)["warnings"] == [
        "Label 1 is 'Tail' in some files, but 'Head' in others (first in case a); values were compared, not names."
    ]


def test_tolerance_and_seed_reach_the_numbers(folders):
    pair = folders(
        {f"{case}.nii.gz": a_labelmap() for case in "abc"},
        {f"{case}.nii.gz": a_labelmap(shift) for shift, case in enumerate("abc")},
    )
    strict, lax = evaluate_folders(*pair, tolerance_mm=0.5), evaluate_folders(*pair, tolerance_mm=2.0, seed=1)
    nsd = [evaluation["summary"]["labels"]["1"]["metrics"]["nsd"]["mean"] for evaluation in (strict, lax)]
    assert nsd[0] < 0.8
    assert nsd[1] == 1.0
    assert (lax["settings"]["tolerance_mm"], lax["settings"]["seed"]) == (2.0, 1)
    assert evaluate_folders(*pair, tolerance_mm=0.5) == strict


def test_tells_its_progress_and_can_be_stopped(folders):
    pair = folders({"a.nii.gz": a_labelmap(), "b.nii.gz": a_labelmap()}, {"a.nii.gz": a_labelmap()})
    progress = RecordingProgress()
    evaluate_folders(*pair, progress=progress)
    assert progress.reports == [(0.0, "Comparing a"), (0.5, "Comparing b"), (1.0, "Summarising")]
    with pytest.raises(Cancelled, match="Cancelled on request"):
        evaluate_folders(*pair, progress=RecordingProgress(cancel_at=0.5))


def test_table_has_means_intervals_and_problems(folders):
    references = {f"{case}.nii.gz": a_labelmap() for case in ("a", "b", "c", *(f"gone{n}" for n in range(7)))}
    predictions = {f"{case}.nii.gz": a_labelmap(shift) for shift, case in enumerate("ab")}
    predictions["c.nii.gz"] = a_labelmap(tail=False)
    labels = (Label(1, "A head with a name that is too long for a table", (1, 0, 0)), TAIL)
    reference, prediction = folders(references, {}, labels)
    for file, labelmap in predictions.items():
        write_labelmap(prediction / file.replace("nii.gz", "seg.nrrd"), labelmap, GRID, labels)

    lines = summary_table(evaluate_folders(reference, prediction)).splitlines()

    headings = ["n", "Dice", "IoU", "NSD", "HD95 mm", "surface mm", "vol. error mm3", "vol. error"]
    assert lines[0].split() == " ".join(headings).split()
    assert lines[2].startswith("A head with a nam... a table  3 ")
    assert "0.917 [" in lines[2]
    assert lines[3].split()[:3] == ["Tail", "3", "0.667"]
    assert lines[4].startswith("All labels")
    assert "Cases: 3 compared, 7 missing, 0 failed, 0 unmatched." in lines
    assert "Tail: missed in 1, false alarm in 0 cases (no distances there)." in lines
    assert "gone0: There is no prediction for this reference." in lines
    assert lines[-1] == "... and 2 more; all are in the JSON file."
    assert max(map(len, lines[:5])) <= 140


def test_refuses_a_path_that_is_not_there(tmp_path, folders):
    reference, prediction = folders({"a.nii.gz": a_labelmap()}, {"a.nii.gz": a_labelmap()})
    with pytest.raises(FileReadError, match=r"folder or file of prediction labelmaps, but .*nowhere does not exist"):
        evaluate_folders(reference, tmp_path / "nowhere")
    with pytest.raises(FileReadError, match=r"folder or file of reference labelmaps, but .*nowhere does not exist"):
        evaluate_folders(tmp_path / "nowhere", prediction)


def test_refuses_a_folder_without_labelmaps(tmp_path, folders):
    reference, _ = folders({"a.nii.gz": a_labelmap()}, {})
    with pytest.raises(FileReadError, match=r"Expected prediction labelmaps in .* \(seg.nrrd, nii.gz.*\), found none"):
        evaluate_folders(reference, tmp_path / "prediction")


def test_refuses_folders_without_a_common_name(folders):
    pair = folders({f"a{n}.nii.gz": a_labelmap() for n in range(3)}, {"b.nii.gz": a_labelmap()})
    with pytest.raises(InputError, match=r"No prediction has the name of a reference: a0, a1, a2 in .*, b in"):
        evaluate_folders(*pair)


def test_refuses_settings_that_make_no_sense(tmp_path):
    with pytest.raises(SettingsError, match="Expected a tolerance above 0 mm, got 0"):
        evaluate_folders(tmp_path, tmp_path, tolerance_mm=0)
    for labels in ([], [0, 1]):
        with pytest.raises(SettingsError, match="Expected label values of 1 or more, got"):
            evaluate_folders(tmp_path, tmp_path, labels=labels)
