"""The table of volumes."""

import csv

import pytest

from SlicerCNNSegLib.engine.cohort.tables import VOLUME_COLUMNS, write_volumes_csv
from SlicerCNNSegLib.engine.errors import OutputError

ROW = {"case": "a", "label": 1, "name": 'Left "lobe", upper', "voxels": 12, "volume_mm3": 13.5}


def test_comes_back_as_it_went(tmp_path):
    path = tmp_path / "volumes.csv"
    write_volumes_csv(path, [ROW, {**ROW, "case": "b", "name": "Ösophagus"}])
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == VOLUME_COLUMNS
    assert rows[0] == {key: str(value) for key, value in ROW.items()}
    assert [row["name"] for row in rows] == ['Left "lobe", upper', "Ösophagus"]
    assert b"\r" not in path.read_bytes()


def test_failed_row_leaves_the_old_table(tmp_path):
    path = tmp_path / "volumes.csv"
    write_volumes_csv(path, [ROW])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="fields not in fieldnames: 'colour'"):
        write_volumes_csv(path, [{**ROW, "case": "b"}, {**ROW, "colour": "red"}])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_refuses_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="Cannot write"):
        write_volumes_csv(tmp_path / "file" / "volumes.csv", [ROW])
