"""``cnnseg segment`` from end to end, with a network whose answer is known: every voxel over the mean."""

import csv
import json

import numpy as np
import SimpleITK as sitk
from tiny_cases import BLOB_VOXELS, VOXEL_MM3, blob_array, files_in

from SlicerCNNSegLib.cli.main import parse
from SlicerCNNSegLib.cli.segment import settings_from
from SlicerCNNSegLib.engine.region import Region
from SlicerCNNSegLib.engine.settings import SegmentationSettings


def test_options_become_settings():
    line = "segment a -o out --model m --roi left=0,5,0,5,0,5 --roi-ras right=-5,5,-5,5,-5,5 --device cuda:1"
    line += " --precision bf16 --tta --overlap 0.25 --no-postprocess --force"
    regions = (Region("ijk", (0, 5, 0, 5, 0, 5), "left"), Region("ras", (-5, 5, -5, 5, -5, 5), "right"))
    wanted = SegmentationSettings(
        "m", regions, "cuda:1", "bf16", mirror=True, overlap=0.25, postprocess=False, force=True
    )
    assert settings_from(parse(line.split())) == wanted


def test_without_options_the_settings_are_the_defaults():
    assert settings_from(parse(["segment", "a", "-o", "out"])) == SegmentationSettings()


def test_one_image_gives_a_segmentation_its_volume_and_a_record(cnnseg, images, out):
    outcome = cnnseg("segment", images[0], "-o", out, "--model", "blob")
    assert (outcome.status, outcome.err) == (0, "")
    assert files_in(out) == ["a.run.json", "a.seg.nrrd", "volumes.csv"]
    image = sitk.ReadImage(str(out / "a.seg.nrrd"))
    assert image.GetMetaData("Segment0_Name") == "Blob"
    mask = sitk.GetArrayFromImage(image) > 0
    np.testing.assert_array_equal(mask, blob_array(0) > 50)
    assert ["Blob", str(BLOB_VOXELS), str(round(BLOB_VOXELS * VOXEL_MM3))] in map(str.split, outcome.out.splitlines())
    assert str(out / "a.seg.nrrd") in outcome.out
    record = json.loads((out / "a.run.json").read_text())
    assert record["model_id"] == "blob"
    assert record["input_files"][0]["path"] == str(images[0])
    assert record["outputs"].keys() == {"a.seg.nrrd"}


def test_many_cases_in_several_formats_with_a_report(cnnseg, images, out):
    outcome = cnnseg(
        "segment", *images, "-o", out, "--model", "blob", "--format", "nii.gz", "--format", "mha", "--report"
    )
    assert (outcome.status, outcome.err) == (0, "")
    names = [f"{case}.{suffix}" for case in "abc" for suffix in ("nii.gz", "mha", "png", "run.json")]
    assert files_in(out) == sorted([*names, "volumes.csv"])
    lines = outcome.out.splitlines()
    assert [line.split(",")[0] for line in lines[:3]] == ["[1/3] a: done", "[2/3] b: done", "[3/3] c: done"]
    assert lines[3] == f"3 cases: 3 done; volumes in {out / 'volumes.csv'}"
    with (out / "volumes.csv").open(newline="") as file:
        assert [(row["case"], int(row["voxels"])) for row in csv.DictReader(file)] == [(c, BLOB_VOXELS) for c in "abc"]


def test_a_file_may_be_named_for_one_case(cnnseg, images, out):
    outcome = cnnseg("segment", images[0], "-o", out / "blob.nii.gz", "--model", "blob")
    assert (outcome.status, outcome.err) == (0, "")
    assert files_in(out) == ["blob.nii.gz", "blob.run.json", "blob.volumes.csv"]


def test_quiet_prints_nothing_when_all_is_well(cnnseg, images, out):
    outcome = cnnseg("segment", *images, "-o", out, "--model", "blob", "--quiet")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")


def test_regions_in_voxels_and_in_ras_mm_restrict_the_run(cnnseg, images, out):
    # image columns run to L and rows to P, so the box i 4:22, j 2:20, k 0:20 is RAS -21..-4, -19..-2, 0..38 mm
    for region in (["--roi", "left=4,22,2,20,0,20"], ["--roi-ras", "left=-21,-4,-19,-2,0,38"]):
        line = ["segment", images[0], "-o", out, "--model", "blob", "--format", "nii.gz"]
        outcome = cnnseg(*line, *region)
        assert (outcome.status, outcome.err) == (0, "")
        (row,) = csv.DictReader((out / "volumes.csv").read_text().splitlines())
        assert (row["name"], int(row["voxels"])) == ("Left blob", BLOB_VOXELS)


def test_channels_by_name_from_options_and_from_a_table(cnnseg, images, out, tmp_path):
    given = ["--channel", f"FLAIR={images[0]}", "--channel", f"T1={images[1]}"]
    outcome = cnnseg("segment", *given, "-o", out, "--model", "pair")
    assert (outcome.status, outcome.err) == (0, "")
    table = tmp_path / "in" / "cases.csv"
    table.write_text("case,FLAIR,T1\nfirst,a.nii.gz,b.nii.gz\nsecond,b.nii.gz,c.nii.gz\n")
    outcome = cnnseg("segment", table, "-o", out, "--model", "pair")
    assert (outcome.status, outcome.err) == (0, "")
    names = [f"{case}.{suffix}" for case in ("b", "first", "second") for suffix in ("seg.nrrd", "run.json")]
    assert files_in(out) == sorted([*names, "volumes.csv"])
    record = json.loads((out / "first.run.json").read_text())
    assert [entry["channel_names"] for entry in record["inputs"]] == [["T1"], ["FLAIR"]]


def test_resuming_runs_what_is_missing_only(cnnseg, images, out):
    line = ["segment", *images, "-o", out, "--model", "blob", "--resume"]
    assert cnnseg(*line).status == 0
    before = (out / "a.seg.nrrd").stat().st_mtime_ns
    (out / "b.seg.nrrd").unlink()
    outcome = cnnseg(*line)
    assert outcome.status == 0
    assert outcome.out.splitlines()[-1].startswith("3 cases: 1 done, 2 done before; ")
    assert (out / "a.seg.nrrd").stat().st_mtime_ns == before
    assert (out / "volumes.csv").read_text().count("Blob") == 3


def test_a_run_is_the_same_every_time(cnnseg, images, out, tmp_path):
    for folder in (out, tmp_path / "again"):
        assert cnnseg("segment", images[0], "-o", folder, "--model", "blob").status == 0
    assert (out / "a.seg.nrrd").read_bytes() == (tmp_path / "again" / "a.seg.nrrd").read_bytes()
