"""The batch script as a process of its own, as Slicer and plain Python start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from tiny_detector import chest, write_tiny_detector
from tiny_model import RANDOM_UNET, write_tiny_model

from SlicerCNNSegLib import batch
from SlicerCNNSegLib.engine.cohort.saved import read_detection, read_result
from SlicerCNNSegLib.engine.errors import FileReadError, OutputError, SettingsError
from SlicerCNNSegLib.engine.findings.tables import read_findings_csv
from SlicerCNNSegLib.scene.findings import FINDINGS, findings_of, rois_of, threshold_of

TIMEOUT_S = 300
RECORD = '{"case": "a", "volumes": [], "outputs": {"%s": ""}}'
"""The least that counts as a run record, with one output."""


@pytest.fixture(scope="module")
def an_image(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("images") / "head.nii.gz"
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=(12, 14, 16)).astype(np.float32))
    image.SetSpacing((1.0, 1.5, 2.0))
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture(scope="module")
def a_model(tmp_path_factory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny", network=RANDOM_UNET)


@pytest.fixture(scope="module")
def a_batch_run(slicer, an_image, a_model, tmp_path_factory):
    """One run as Slicer would start it, with a scene; the others of this file look at what it left."""
    out = tmp_path_factory.mktemp("out")
    done = start("--", "segment", an_image, "-o", out, "--model", a_model, "--json", "--save-scene", out / "head.mrb")
    return SimpleNamespace(done=done, out=out, scene=out / "head.mrb")


def start(*arguments: object) -> subprocess.CompletedProcess:
    """Run the script in a Python that knows nothing of the package."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, batch.__file__, *map(str, arguments)]
    return subprocess.run(
        command, cwd="/", env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def test_it_segments_with_the_same_options_as_the_command(a_batch_run, an_image):
    assert a_batch_run.done.returncode == 0, a_batch_run.done.stderr
    events = [json.loads(line) for line in a_batch_run.done.stdout.splitlines() if line.startswith("{")]
    assert [event["event"] for event in events][-2:] == ["case", "end"]
    result = read_result(a_batch_run.out / "head.run.json")
    image = sitk.ReadImage(str(an_image))
    assert result.geometry.size_ijk == image.GetSize()
    assert [label.name for label in result.labels] == ["Blob"]
    assert result.labels[0].type.meaning == "Mass"
    assert result.structures[0].voxels == events[-2]["volumes"][0]["voxels"]
    assert result.record.model_id == "tiny"


def test_the_scene_holds_image_segmentation_and_volumes(a_batch_run, a_scene, slicer, tmp_path):
    opened(slicer, a_scene, a_batch_run.scene, tmp_path)
    volume = a_scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    segmentation = a_scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    assert (volume.GetName(), segmentation.GetName()) == ("head", "head segmentation")
    assert volume.GetSpacing() == (1.0, 1.5, 2.0)
    assert segmentation.GetSegmentation().GetNthSegment(0).GetName() == "Blob"
    assert segmentation.GetNodeReference("referenceImageGeometryRef") is volume
    table = a_scene.GetFirstNodeByClass("vtkMRMLTableNode")
    assert (table.GetName(), table.GetCellText(0, 0)) == ("head volumes", "Blob")


def opened(slicer, scene, bundle, folder):
    """The bundle's nodes, read into the scene."""
    slicer.vtkSlicerSegmentationsModuleLogic().SetMRMLScene(scene)
    scene.SetURL(scene.UnpackSlicerDataBundle(str(bundle), str(folder)))
    assert scene.Connect()


def test_a_detection_leaves_a_page_tables_and_a_scene_with_its_findings(slicer, a_scene, tmp_path):
    sitk.WriteImage(chest().to_sitk(), str(tmp_path / "now.nrrd"))
    write_tiny_detector(tmp_path / "balls")
    out = tmp_path / "out"
    (out / "other.run.json").parent.mkdir()
    (out / "other.run.json").write_text("{}", encoding="utf-8")
    arguments = ["detect", tmp_path / "now.nrrd", "-o", out, "--model", tmp_path / "balls", "--threshold", "0.6"]
    arguments += ["--precision", "fp32", "--save-scene", out / "now.mrb"]
    assert batch.main([str(argument) for argument in arguments]) == 0  # here, where the tiny detector is known
    findings = read_findings_csv(out / "now.findings.csv")
    assert (out / "now.findings.html").is_file()
    opened(slicer, a_scene, out / "now.mrb", tmp_path)
    tables = [
        a_scene.GetNthNodeByClass(n, "vtkMRMLTableNode")
        for n in range(a_scene.GetNumberOfNodesByClass("vtkMRMLTableNode"))
    ]
    (table,) = (node for node in tables if node.GetAttribute(FINDINGS))
    assert findings_of(table) == findings
    assert threshold_of(table) == 0.6
    assert len(rois_of(table)) == len(findings) == 2
    segmentation = a_scene.GetFirstNodeByClass("vtkMRMLSegmentationNode").GetSegmentation()
    names = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
    assert names == [f"Nodule {one.id}" for one in findings]
    assert a_scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode").GetName() == "now"
    read = read_detection(out / "now.findings.run.json")
    assert (read.findings, read.label.name, read.lungs) == (tuple(findings), "Nodule", None)
    record = json.loads((out / "now.findings.run.json").read_text(encoding="utf-8"))
    del record["threshold"]
    (out / "now.findings.run.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(FileReadError, match=r"lacks 'threshold'; run the case again"):
        read_detection(out / "now.findings.run.json")


def test_usage_faults_end_with_status_2():
    done = start("segment", "/nowhere.nii.gz", "-o", "out", "--save-scene", "scene.vtk")
    assert done.returncode == 2
    assert done.stderr.startswith("cnnseg: error: Expected segment or detect ... --save-scene FILE.mrb")
    assert "Traceback" not in done.stderr


def test_help_works_without_separator():
    done = start("--help")
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["usage:", "cnnseg"])


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["batch.py", "segment", "a"], ["segment", "a"]),
        (["batch.py", "--", "segment", "a"], ["segment", "a"]),
        (["Slicer", "--python-script", "batch.py", "--", "models", "list"], ["models", "list"]),
        (["batch.py"], []),
    ],
)
def test_the_scripts_arguments(argv, expected):
    assert batch.script_arguments(argv) == expected


@pytest.mark.parametrize("option", [["--save-scene", "s.mrb"], ["--save-scene=s.mrb"]])
def test_the_scene_option_is_taken_out(option):
    assert batch.split_scene_option(["segment", *option, "a"]) == (["segment", "a"], Path("s.mrb"))
    assert batch.split_scene_option(["models", "list"]) == (["models", "list"], None)


@pytest.mark.parametrize("argv", [["segment", "--save-scene"], ["models", "list", "--save-scene", "a.mrb"]])
def test_a_wrong_scene_option(argv):
    with pytest.raises(SettingsError, match=r"Expected segment or detect ... --save-scene FILE\.mrb"):
        batch.split_scene_option(argv)


def test_no_scene_without_a_case(slicer, tmp_path):
    with pytest.raises(OutputError, match="No case is done, so there is nothing to save"):
        batch.save_scene(tmp_path / "a.mrb", [])


def test_a_failed_run_leaves_no_scene(capsys, a_model, tmp_path):
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    scene = tmp_path / "a.mrb"
    arguments = ["segment", str(tmp_path / "bad.nii.gz"), "-o", str(tmp_path / "out"), "--model", str(a_model)]
    assert batch.main([*arguments, "--save-scene", str(scene)]) == 1
    assert "No case is done" in capsys.readouterr().err
    assert not scene.exists()


def test_a_slicer_is_left_by_its_own_exit(monkeypatch):
    left = []
    slicer = SimpleNamespace(app=object(), util=SimpleNamespace(exit=left.append))
    monkeypatch.setitem(sys.modules, "slicer", slicer)
    monkeypatch.setitem(sys.modules, "slicer.util", slicer.util)
    batch._leave(3)
    assert left == [3]


def test_plain_python_is_left_with_the_status(monkeypatch):
    monkeypatch.delitem(sys.modules, "slicer", raising=False)
    with pytest.raises(SystemExit) as left:
        batch._leave(3)
    assert left.value.code == 3


class TestReadResult:
    """``engine.cohort.saved``."""

    def test_no_record(self, tmp_path):
        (tmp_path / "a.run.json").write_text("{}", encoding="utf-8")
        with pytest.raises(FileReadError, match="is no run record"):
            read_result(tmp_path / "a.run.json")

    def test_no_labelmap_with_labels(self, tmp_path):
        (tmp_path / "a.run.json").write_text(RECORD % "a.nii.gz", encoding="utf-8")
        with pytest.raises(FileReadError, match=r"names no \.seg\.nrrd file; run again with --format"):
            read_result(tmp_path / "a.run.json")

    def test_an_incomplete_record(self, tmp_path):
        (tmp_path / "a.run.json").write_text(RECORD % "a.seg.nrrd", encoding="utf-8")
        with pytest.raises(FileReadError, match="lacks 'task'; run the case again"):
            read_result(tmp_path / "a.run.json")
