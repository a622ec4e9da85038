"""``cnnseg classify`` from end to end, with a network whose answer is known."""

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.special import softmax
from tiny_cases import files_in, write_image
from tiny_classifier import SCALE, write_tiny_classifier

from SlicerCNNSegLib.engine.evaluation.classification.tables import read_classification_table
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.findings.boxes import OrientedBox
from SlicerCNNSegLib.engine.findings.finding import REJECTED, Finding
from SlicerCNNSegLib.engine.findings.tables import write_findings_csv, write_findings_json

SHAPE = (8, 8, 8)
PADDED = {"_target_": "ResizeWithPadOrCropd", "spatial_size": [8, 8, 8]}


def probability(array):
    scores = SCALE * np.array([np.maximum(array, 0).mean(), np.maximum(-array, 0).mean()])
    return softmax(scores)


@pytest.fixture
def volumes(tmp_path, models):
    """Two images, a and b, and the model ``light`` of the classes bright and dark."""
    write_tiny_classifier(models / "light", transforms=[PADDED])
    arrays = [np.random.default_rng(seed).normal(0.2 - 0.4 * seed, 1, SHAPE).astype(np.float32) for seed in (0, 1)]
    return [
        (write_image(tmp_path / "in" / f"{name}.nii.gz", array), array)
        for name, array in zip("ab", arrays, strict=True)
    ]


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_image_gives_probabilities_and_a_record(cnnseg, volumes, out):
    path, array = volumes[0]
    outcome = cnnseg("classify", path, "-o", out, "--model", "light", "--device", "cpu", "--precision", "fp32")
    assert (outcome.status, outcome.err) == (0, "")
    assert files_in(out) == ["a.classes.json", "a.classes.run.json", "classes.csv"]
    wanted = probability(array)
    plain = json.loads((out / "a.classes.json").read_text())
    assert plain["predictions"][0]["probabilities"]["bright"] == pytest.approx(wanted[0], abs=1e-5)
    assert plain["predictions"][0]["decided"] == ["bright"]
    (row,) = rows_of(out / "classes.csv")
    assert (row["case"], row["region"], row["class"]) == ("a", "", "bright")
    assert float(row["probability_dark"]) == pytest.approx(wanted[1], abs=1e-5)
    assert ["image", "bright", f"{wanted[0]:.3f}"] in map(str.split, outcome.out.splitlines())
    record = json.loads((out / "a.classes.run.json").read_text())
    assert (record["task"], record["model_id"]) == ("classification", "light")
    assert record["outputs"].keys() == {"a.classes.json"}


def test_the_table_of_a_cohort_is_what_evaluation_reads(cnnseg, volumes, out):
    outcome = cnnseg("classify", *(path for path, _ in volumes), "-o", out, "--model", "light", "--precision", "fp32")
    assert outcome.status == 0
    assert outcome.out.splitlines()[-1] == f"2 cases: 2 done; classes in {out / 'classes.csv'}"
    lines = (out / "classes.csv").read_text().splitlines()
    with_truth = [f"{lines[0]},truth", f"{lines[1]},bright", f"{lines[2]},dark"]
    (out / "with_truth.csv").write_text("\n".join(with_truth))
    table = read_classification_table(out / "with_truth.csv", positive="bright")
    wanted = [[probability(array)[0]] for _, array in volumes]
    np.testing.assert_allclose(table.probabilities, wanted, atol=1e-5)


def test_a_heat_map_lies_on_the_images_grid(cnnseg, volumes, out):
    path, array = volumes[0]
    more = ("--explain", "gradcam", "--explain-class", "bright", "--heat-format", "nrrd", "--sanity")
    outcome = cnnseg("classify", path, "-o", out, "--model", "light", *more)
    assert outcome.status == 0
    assert "don't rely on it" in outcome.err
    names = ["a.classes.json", "a.classes.run.json", "a.heat.nrrd", "a.heat.png", "classes.csv"]
    assert files_in(out) == names
    heat, image = sitk.ReadImage(str(out / "a.heat.nrrd")), sitk.ReadImage(str(path))
    assert heat.GetSpacing() == pytest.approx(image.GetSpacing())
    assert heat.GetOrigin() == pytest.approx(image.GetOrigin())
    part = np.maximum(array, 0)
    np.testing.assert_allclose(sitk.GetArrayFromImage(heat), part / part.max(), atol=1e-5)
    assert json.loads((out / "a.classes.json").read_text())["explanation"]["classes"] == ["bright"]


def test_around_segments_each_by_its_name(cnnseg, volumes, out, tmp_path):
    path, _ = volumes[0]
    labelmap = np.zeros(SHAPE, np.uint8)
    labelmap[2:4, 2:4, 2:4], labelmap[6, 6, 6] = 1, 2
    segments = write_image(tmp_path / "nodules.nii.gz", labelmap)
    outcome = cnnseg("classify", path, "-o", out, "--model", "light", "--segments", segments, "--margin-mm", "0.25")
    assert outcome.status == 0, outcome.err
    regions = [row["region"] for row in rows_of(out / "classes.csv")]
    assert len(set(regions)) == 2


@pytest.mark.parametrize(("suffix", "write"), [("csv", write_findings_csv), ("json", write_findings_json)])
def test_each_finding_of_a_table_by_its_id(suffix, write, cnnseg, volumes, out, tmp_path):
    path, array = volumes[0]
    geometry = read_volume(path).geometry
    boxes = {name: geometry.ras_from_ijk(np.array(ijk)) for name, ijk in {"n1": (2, 3, 4), "n2": (5, 4, 3)}.items()}
    findings = [Finding(name, OrientedBox(tuple(center), (2.0, 2.0, 2.0)), 0.9) for name, center in boxes.items()]
    table = tmp_path / f"findings.{suffix}"
    write(table, [*findings, Finding("n3", findings[0].box, 0.9, status=REJECTED)])
    outcome = cnnseg("classify", path, "-o", out, "--model", "light", "--findings", table, "--margin-mm", "50")
    assert outcome.status == 0, outcome.err
    rows = rows_of(out / "classes.csv")
    assert [row["region"] for row in rows] == ["n1", "n2"]
    wanted = probability(array)[0]  # with that margin each region is the whole image
    np.testing.assert_allclose([float(row["probability_bright"]) for row in rows], wanted, atol=0.01)


def test_runs_with_dropout_are_passed_on(cnnseg, volumes, out):
    path, _ = volumes[0]
    cnnseg("classify", path, "-o", out, "--model", "light", "--dropout-samples", "1").assert_refused(
        2, "Expected 0, or 2 and more runs with dropout"
    )
    cnnseg("classify", path, "-o", out, "--model", "light", "--dropout-samples", "4").assert_refused(
        2, "Expected a network with dropout"
    )


def test_what_is_done_is_skipped_and_what_fails_does_not_stop_the_rest(cnnseg, volumes, out, tmp_path):
    (a, _), (b, _) = volumes
    assert cnnseg("classify", a, "-o", out, "--model", "light").status == 0
    (tmp_path / "in" / "c.nii.gz").write_bytes(b"no image")
    outcome = cnnseg(
        "classify", a, tmp_path / "in" / "c.nii.gz", b, "-o", out, "--model", "light", "--resume", "--json"
    )
    events = [json.loads(line) for line in outcome.out.splitlines()]
    cases = [event for event in events if event["event"] == "case"]
    assert [case["status"] for case in cases] == ["skipped", "failed", "done"]
    assert cases[2]["classes"][0]["probabilities"].keys() == {"bright", "dark"}
    assert outcome.status == 1
    assert [row["case"] for row in rows_of(out / "classes.csv")] == ["a", "b"]


def test_a_segmentation_may_share_the_folder(cnnseg, images, models, out):
    write_tiny_classifier(models / "light", transforms=[{**PADDED, "spatial_size": [20, 20, 20]}])
    assert cnnseg("segment", images[0], "-o", out, "--model", "blob").status == 0
    assert cnnseg("classify", images[0], "-o", out, "--model", "light").status == 0
    wanted = ["a.classes.json", "a.classes.run.json", "a.run.json", "a.seg.nrrd", "classes.csv", "volumes.csv"]
    assert files_in(out) == wanted
    assert cnnseg("segment", images[0], "-o", out, "--model", "blob").status == 0
    assert files_in(out) == wanted


def test_a_classifier_is_listed_with_its_classes(cnnseg, volumes):
    (row,) = [line for line in cnnseg("models", "list").out.splitlines() if line.startswith("light ")]
    assert "classification" in row
    assert "bright, dark" in row
    assert ["bright"] in map(str.split, cnnseg("models", "show", "light").out.splitlines())
    shown = json.loads(cnnseg("models", "show", "light", "--json").out)
    assert shown["classes"] == [{"name": "bright"}, {"name": "dark"}]


def test_wrong_usage_is_told(cnnseg, volumes, out, tmp_path):
    path, other = (path for path, _ in volumes)
    segments = write_image(tmp_path / "empty.nii.gz", np.zeros(SHAPE, np.uint8))
    common = ("-o", out, "--model", "light")
    cnnseg("classify", path, "-o", out).assert_refused(2, "required: --model")
    cnnseg("classify", path, "-o", out, "--model", "blob").assert_refused(
        2, "blob is for segmentation; choose one for classification"
    )
    cnnseg("classify", path, other, *common, "--segments", segments).assert_refused(
        2, "--segments belongs to one case, got 2"
    )
    cnnseg("classify", path, *common, "--segments", segments).assert_refused(2, "The segmentation is empty")
    cnnseg("classify", path, *common, "--segments", segments, "--roi", "0,1,0,1,0,1").assert_refused(
        2, "Expected --segments, --findings or regions of interest, got several"
    )
    cnnseg("classify", path, *common, "--findings", tmp_path / "none.csv").assert_refused(
        2, "cannot be read as a table"
    )
    cnnseg("classify", path, *common, "--segments", segments, "--findings", tmp_path / "f.csv").assert_refused(
        2, "Expected --segments, --findings or regions of interest, got several"
    )
    cnnseg("classify", path, *common, "--sanity").assert_refused(2, "Expected a kind of explanation")
    assert not out.exists()
