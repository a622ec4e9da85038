"""A case's files: all of them or none, verified by checksum, cleared without touching anything else."""

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk
from tiny_cases import BLOB_VOXELS, VOXEL_MM3, FakeRunner, blob_array
from tiny_model import write_tiny_model

from SlicerCNNSegLib.engine.cohort.outputs import (
    OutputPlan,
    clear_case,
    fingerprint,
    is_intact,
    read_record,
    sha256,
    write_case,
    write_table,
)
from SlicerCNNSegLib.engine.errors import OutputError
from SlicerCNNSegLib.engine.picture import report
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def plan(tmp_path):
    return OutputPlan(tmp_path / "out", ("seg.nrrd", "nii.gz"), report=True)


@pytest.fixture
def volume():
    return Volume(blob_array()[None], np.diag([-1.0, -1.0, 2.0, 1.0]), source="blob")


@pytest.fixture
def result(tmp_path, volume):
    model = write_tiny_model(tmp_path / "models" / "blob")
    return FakeRunner()(SegmentationSettings(str(model)), [volume], NoProgress())


def written(plan) -> list[str]:
    return sorted(path.name for path in plan.folder.iterdir()) if plan.folder.exists() else []


def test_all_files_of_a_case_are_there_and_the_record_has_their_checksums(plan, volume, result):
    record = write_case(plan, "a", volume, result, {"case": "a"})
    assert written(plan) == ["a.nii.gz", "a.png", "a.run.json", "a.seg.nrrd"]
    assert record == read_record(plan.path("a", ".run.json"))
    assert record["outputs"] == {name: sha256(plan.folder / name) for name in ("a.nii.gz", "a.png", "a.seg.nrrd")}
    volume_mm3 = BLOB_VOXELS * VOXEL_MM3
    assert record["volumes"] == [{"label": 1, "name": "Blob", "voxels": BLOB_VOXELS, "volume_mm3": volume_mm3}]
    labelmap = sitk.GetArrayFromImage(sitk.ReadImage(str(plan.folder / "a.nii.gz")))
    np.testing.assert_array_equal(labelmap, result.labelmap)
    assert is_intact(plan, "a", record)


@pytest.mark.parametrize("error", [RuntimeError("disk on fire"), KeyboardInterrupt()])
def test_a_writer_that_fails_leaves_nothing(monkeypatch, plan, volume, result, error):
    def fail(path, *_):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(report, "write_overlay", fail)
    with pytest.raises(type(error)):
        write_case(plan, "a", volume, result, {"case": "a"})
    assert written(plan) == []


def test_a_rename_that_fails_takes_back_what_was_in_place_but_not_what_was_there_before(
    monkeypatch, plan, volume, result
):
    plan.folder.mkdir()
    (plan.folder / "a.png").write_bytes(b"the user's own")
    (plan.folder / "a.run.json").mkdir()  # a file cannot take the place of a folder
    with pytest.raises(OutputError, match=r"a\.run\.json is a folder"):
        write_case(plan, "a", volume, result, {"case": "a"})
    assert written(plan) == ["a.png", "a.run.json"]
    assert (plan.folder / "a.png").read_bytes() == b"the user's own"


def test_a_changed_a_missing_and_an_unwritten_file_are_noticed(plan, volume, result):
    record = write_case(plan, "a", volume, result, {"case": "a"})
    wider = OutputPlan(plan.folder, ("seg.nrrd", "mha"))
    assert not is_intact(wider, "a", record)
    narrower = OutputPlan(plan.folder, ("seg.nrrd",))
    assert is_intact(narrower, "a", record)
    with (plan.folder / "a.nii.gz").open("ab") as file:
        file.write(b"!")
    assert not is_intact(narrower, "a", record)
    (plan.folder / "a.nii.gz").unlink()
    assert not is_intact(narrower, "a", record)


def test_clearing_removes_what_the_record_names_inside_the_folder_only(plan, volume, result):
    record = write_case(plan, "a", volume, result, {"case": "a"})
    (plan.folder / "a.txt").write_text("notes")
    outside = plan.folder.parent / "precious.txt"
    outside.write_text("keep")
    record["outputs"]["../precious.txt"] = ""
    plan.path("a", ".run.json").write_text(json.dumps(record))
    clear_case(plan, "a")
    assert written(plan) == ["a.txt"]
    assert outside.read_text() == "keep"


def test_an_output_that_cannot_be_removed_is_told(plan, volume, result):
    write_case(plan, "a", volume, result, {"case": "a"})
    (plan.folder / "a.png").unlink()
    (plan.folder / "a.png").mkdir()
    with pytest.raises(OutputError, match=r"Cannot remove the earlier outputs of a .* remove them by hand"):
        clear_case(plan, "a")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"case": "a", "volumes": []}', '{"outputs": [], "case": "a", "volumes": []}', '{"outputs": {}}'],
)
def test_a_record_that_is_none_counts_as_absent(tmp_path, text):
    path = tmp_path / "a.run.json"
    path.write_text(text)
    assert read_record(path) is None
    assert read_record(tmp_path / "b.run.json") is None


def test_the_table_lists_every_case_of_the_folder(plan, volume, result):
    for case in ("b", "a"):
        write_case(plan, case, volume, result, {"case": case})
    assert write_table(plan) == plan.folder / "volumes.csv"
    with (plan.folder / "volumes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["name"], int(row["voxels"])) for row in rows] == [
        ("a", "Blob", BLOB_VOXELS),
        ("b", "Blob", BLOB_VOXELS),
    ]
    assert float(rows[0]["volume_mm3"]) == BLOB_VOXELS * VOXEL_MM3


def test_an_empty_folder_has_no_table_and_an_old_one_goes(plan):
    plan.prepare()
    plan.table.write_text("yesterday's")
    assert write_table(plan) is None
    assert written(plan) == []


def test_a_named_case_has_a_table_of_its_own(tmp_path, volume, result):
    write_case(OutputPlan(tmp_path / "out"), "other", volume, result, {"case": "other"})
    named = OutputPlan(tmp_path / "out", ("nii.gz",), name="mine")
    write_case(named, "a", volume, result, {"case": "a"})
    assert write_table(named) == tmp_path / "out" / "mine.volumes.csv"
    assert (tmp_path / "out" / "mine.nii.gz").is_file()
    assert "other" not in named.table.read_text()


def test_a_place_that_is_no_folder_is_told_before_any_work(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"Cannot write to the folder .*file.* choose another with -o"):
        OutputPlan(tmp_path / "file" / "out").prepare()


def test_checksums_are_sha256(tmp_path):
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty") == EMPTY_SHA256


def test_a_fingerprint_changes_with_any_file_of_a_folder_but_not_with_its_place(tmp_path):
    inside = tmp_path / "series" / "deep" / "1.dcm"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(b"1")
    before = fingerprint(tmp_path / "series")
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "series").rename(tmp_path / "elsewhere" / "series")
    assert fingerprint(moved) == before
    (moved / "deep" / "2.dcm").write_bytes(b"2")
    assert fingerprint(moved) != before
    alone = fingerprint(moved / "deep" / "1.dcm")
    (moved / "deep" / "1.dcm").write_bytes(b"longer")
    assert fingerprint(moved / "deep" / "1.dcm") != alone
