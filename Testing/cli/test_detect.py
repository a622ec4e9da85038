"""``cnnseg detect`` from end to end, on a made chest with balls at known places."""

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk
from tiny_cases import files_in
from tiny_detector import BALLS_RAS_MM, chest, write_tiny_detector

from SlicerCNNSegLib.engine.evaluation.detection.tables import read_marks
from SlicerCNNSegLib.engine.files.labelmaps import read_labelmap
from SlicerCNNSegLib.engine.findings.tables import read_findings_csv, read_findings_json

OF_A_CASE = [".candidates.csv", ".findings.csv", ".findings.html", ".findings.json", ".findings.run.json"]
OF_A_CASE += [".findings.seg.nrrd"]
PLAIN = ("--model", "balls", "--device", "cpu", "--precision", "fp32")


@pytest.fixture
def chests(tmp_path, models):
    """A chest with two balls, ``now``, and the same a while ago with one of them, ``then``; the model ``balls``."""
    write_tiny_detector(models / "balls")
    (tmp_path / "in").mkdir()
    paths = []
    for name, volume in (("now", chest()), ("then", chest(BALLS_RAS_MM[:1], shift_mm=8.0))):
        paths.append(tmp_path / "in" / f"{name}.nrrd")
        sitk.WriteImage(volume.to_sitk(), paths[-1])
    return paths


def test_a_chest_gives_tables_pictures_segments_and_a_record(cnnseg, chests, out):
    outcome = cnnseg("detect", chests[0], "-o", out, *PLAIN)
    assert outcome.status == 0, outcome.err
    assert files_in(out) == sorted(["findings.csv", *(f"now{suffix}" for suffix in OF_A_CASE)])
    findings = read_findings_csv(out / "now.findings.csv")
    assert findings == read_findings_json(out / "now.findings.json")
    assert len(findings) == 2
    for place in BALLS_RAS_MM:
        assert min(np.linalg.norm(np.subtract(one.center_ras_mm, place)) for one in findings) < 8
    segments = read_labelmap(out / "now.findings.seg.nrrd")
    assert [label.name for label in segments.labels] == [f"Nodule {one.id}" for one in findings]
    assert all((segments.labelmap == label.value).any() for label in segments.labels)
    marks = read_marks(out / "now.candidates.csv")  # LPS mm
    np.testing.assert_allclose(marks.center_mm[0] * (-1, -1, 1), findings[0].center_ras_mm)
    page = (out / "now.findings.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64") == 2
    assert "Balls (balls), version 1.0.0" in page
    record = json.loads((out / "now.findings.run.json").read_text())
    assert record["task"] == "detection"
    assert len(record["outputs"]) == 5
    assert [row["id"] for row in record["findings"]] == [one.id for one in findings]
    with (out / "findings.csv").open(newline="") as file:
        assert [(row["case"], row["id"]) for row in csv.DictReader(file)] == [("now", one.id) for one in findings]
    assert "right lung" in outcome.out
    assert "findings.html" in outcome.out
    assert "4.0 mm thick" in outcome.err  # thick slices are told


def test_cases_are_resumed_told_as_json_and_fail_one_by_one(cnnseg, chests, out, tmp_path):
    empty = tmp_path / "in" / "empty.nrrd"
    block = sitk.GetImageFromArray(np.full((20, 20, 20), 40, np.int16))
    block[0, 0, 0] = -1000
    block.SetSpacing((4.0, 4.0, 4.0))
    sitk.WriteImage(block, empty)
    assert cnnseg("detect", chests[1], "-o", out, *PLAIN, "--quiet").status == 0
    outcome = cnnseg("detect", chests[1], empty, "-o", out, *PLAIN, "--resume", "--json")
    events = [json.loads(line) for line in outcome.out.splitlines()]
    cases = {event["case"]: event for event in events if event["event"] == "case"}
    assert outcome.status == 1
    assert cases["then"]["status"] == "skipped"
    assert len(cases["then"]["findings"]) == 1
    assert cases["empty"]["status"] == "failed"
    assert "chest CT" in cases["empty"]["message"]
    assert events[-1] | {"table": ""} == {
        "event": "end", "total": 2, "done": 0, "skipped": 1, "failed": 1, "stopped": False, "table": "",
    }  # fmt: skip
    assert not [name for name in files_in(out) if name.startswith("empty")]


def test_an_earlier_date_is_compared_with(cnnseg, chests, out, tmp_path):
    earlier = tmp_path / "earlier"
    assert cnnseg("detect", chests[1], "-o", earlier, *PLAIN, "--quiet").status == 0
    outcome = cnnseg("detect", chests[0], "-o", out, *PLAIN, "--prior", earlier, "--days", 100)
    assert outcome.status == 0, outcome.err
    follow_up = json.loads((out / "now.followup.json").read_text())
    findings = {one.id: one for one in read_findings_json(out / "now.findings.json")}
    verdicts = {match["later"]: match for match in follow_up["matches"]}
    assert verdicts.keys() == findings.keys()
    for name, match in verdicts.items():
        old = np.linalg.norm(np.subtract(findings[name].center_ras_mm, BALLS_RAS_MM[0])) < 8
        assert match["verdict"] == ("stable" if old else "new")
        if old:  # the patient lay 8 mm higher; the alignment takes that away
            assert match["distance_mm"] < 5
    run = ("detect", chests[0], "-o", out, *PLAIN, "--prior", earlier, "--resume", "--json")
    assert '"status": "skipped"' in cnnseg(*run, "--days", 100).out
    assert '"status": "done"' in cnnseg(*run, "--days", 200).out  # other days, other doubling times
    assert "Against the earlier date" in (out / "now.findings.html").read_text(encoding="utf-8")


def test_a_region_by_option_and_by_table(cnnseg, chests, out, tmp_path):
    """The right half of the patient: one of two balls; what was done elsewhere is no reason to skip it."""
    right = "0,200,-200,200,-200,200"
    outcome = cnnseg("detect", chests[0], "-o", out, *PLAIN, "--roi-ras", right)
    assert outcome.status == 0, outcome.err
    (found,) = read_findings_csv(out / "now.findings.csv")
    assert found.center_ras_mm[0] > 0
    record = json.loads((out / "now.findings.run.json").read_text())
    assert record["settings"]["regions"] == [f"ras:{right}"]
    run = "detect", chests[0], "-o", out, *PLAIN, f"--roi-ras={right}", "--resume", "--json"
    assert '"status": "skipped"' in cnnseg(*run).out
    assert '"status": "done"' in cnnseg(*run, "--tta").out
    assert json.loads((out / "now.findings.run.json").read_text())["settings"]["mirror"] is True
    table = tmp_path / "cases.csv"
    table.write_text(f'image,roi_ras\n{chests[0]},"-200,0,-200,200,-200,200"\n')
    assert cnnseg("detect", table, "-o", out, *PLAIN, "--resume").status == 0
    (found,) = read_findings_csv(out / "now.findings.csv")
    assert found.center_ras_mm[0] < 0


def test_wrong_usage_is_told_before_anything_runs(cnnseg, chests, out, tmp_path):
    run = ("detect", chests[0], "-o", out)
    cnnseg(*run, "--model", "blob").assert_refused(2, "is for segmentation; choose one for detection")
    cnnseg(*run, *PLAIN, "--threshold", 3).assert_refused(2, "threshold from 0 to 1, got 3")
    cnnseg(*run, *PLAIN, "--prior", tmp_path).assert_refused(2, "both --prior FOLDER and --days N")
    cnnseg(*run, *PLAIN, "--prior", tmp_path, "--days", 5).assert_refused(2, "holds no detection")
    cnnseg(*run, *PLAIN, "--prior", out, "--days", 5).assert_refused(2, "is the earlier run's folder")
    cnnseg(*run, *PLAIN, "--roi", "9,0,0,9,0,9").assert_refused(2, "is empty: each lower bound")
    assert not out.exists()
