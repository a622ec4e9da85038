"""A finding is valid or not there; its tables are read back exactly."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from SlicerCNNSegLib.engine.errors import FileReadError, InputError
from SlicerCNNSegLib.engine.findings.boxes import OrientedBox
from SlicerCNNSegLib.engine.findings.finding import ACCEPTED, Finding, Measurements
from SlicerCNNSegLib.engine.findings.tables import (
    COLUMNS,
    read_findings_csv,
    read_findings_json,
    write_findings_csv,
    write_findings_json,
)

MEASURED = Measurements("part-solid", 523.6 + 1e-13, 10.1, 9.3, -412.25, -803.0, 1 / 3, 5.2)
BOX = OrientedBox((-61.25, 1 / 7, 0.1 + 0.2), (10.5, 9.75, 8), ((0.6, 0.8, 0), (-0.8, 0.6, 0), (0, 0, -1)))
FULL = Finding(
    "n-1", BOX, 0.875, {"nodule": 0.875, 'other, "odd"': 0.1}, MEASURED, "right lung, upper third", 0.3, "3", ACCEPTED
)
BARE = Finding("n-2", OrientedBox((1, 2, 3), (4, 5, 6)), 0.0)


@pytest.mark.parametrize("findings", [[FULL, BARE], [BARE], []])
def test_tables_come_back_exactly(findings, tmp_path):
    write_findings_csv(tmp_path / "f.csv", findings)
    assert read_findings_csv(tmp_path / "f.csv") == findings
    write_findings_json(tmp_path / "f.json", findings)
    assert read_findings_json(tmp_path / "f.json") == findings


def test_the_mean_diameter_is_told(tmp_path):
    write_findings_csv(tmp_path / "f.csv", [FULL])
    header, row = (tmp_path / "f.csv").read_text().splitlines()
    assert tuple(header.split(",")) == COLUMNS
    assert float(row.split(",")[COLUMNS.index("score")]) == 0.875
    assert FULL.to_json()["measurements"]["mean_diameter_mm"] == pytest.approx(9.7)
    assert FULL.center_ras_mm == BOX.center_ras_mm


def test_a_review_changes_the_status_alone():
    assert BARE.reviewed(ACCEPTED) == replace(BARE, status="accepted")
    with pytest.raises(InputError, match="status of n-2 to be accepted, rejected, undecided, got 'maybe'"):
        BARE.reviewed("maybe")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "../n"}, "Expected an id of at most 64"),
        ({"id": ""}, "Expected an id of at most 64"),
        ({"category": "1"}, "category of n-2 to be 2, 3, 4A, 4B, got '1'"),
        ({"score": 1.5}, "score of n-2 within 0 and 1, got 1.5"),
        ({"score": float("nan")}, "score of n-2 within 0 and 1, got nan"),
        ({"malignancy": -0.1}, "malignancy of n-2 within 0 and 1"),
        ({"probabilities": {"cyst": 2.0}}, "cyst of n-2 within 0 and 1"),
    ],
)
def test_impossible_findings(change, words):
    with pytest.raises(InputError, match=words):
        replace(BARE, **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "fluffy"}, "solid, part-solid, non-solid, got 'fluffy'"),
        ({"volume_mm3": 0.0}, "Expected finite measurements"),
        ({"mean_hu": float("inf")}, "Expected finite measurements"),
        ({"perpendicular_mm": 11.0}, "longest diameter first"),
        ({"solid_mean_mm": -1.0}, "Expected finite measurements"),
    ],
)
def test_impossible_measurements(change, words):
    with pytest.raises(InputError, match=words):
        replace(MEASURED, **change)


def test_broken_tables(tmp_path):
    path = tmp_path / "f.csv"
    with pytest.raises(FileReadError, match="cannot be read as a table"):
        read_findings_csv(path)
    path.write_text("id,score\n")
    with pytest.raises(InputError, match="it lacks status, center_r_mm"):
        read_findings_csv(path)
    write_findings_csv(path, [BARE, BARE])
    with pytest.raises(InputError, match="has the finding n-2 twice"):
        read_findings_csv(path)
    write_findings_csv(path, [BARE])
    path.write_text(path.read_text().replace("undecided,0.0", "undecided,much"))
    with pytest.raises(InputError, match="line 2 is no finding: could not convert string to float: 'much'"):
        read_findings_csv(path)


def test_broken_json(tmp_path):
    path = tmp_path / "f.json"
    with pytest.raises(FileReadError, match="cannot be read as JSON"):
        read_findings_json(path)
    path.write_text("[]")
    with pytest.raises(InputError, match="Expected findings of the format cnnseg-findings-1"):
        read_findings_json(path)
    plain = {"format": "cnnseg-findings-1", "findings": [{**FULL.to_json(), "directions": [[1, 0, 0]]}]}
    path.write_text(json.dumps(plain))
    with pytest.raises(InputError, match="Expected a finding as CNNSeg writes it"):
        read_findings_json(path)
