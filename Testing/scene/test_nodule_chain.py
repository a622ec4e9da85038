"""From a real CT with inserted nodules to a page, tables and a scene, in one command and with the model that ships."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import SimpleITK as sitk
from nodule_phantoms import Nodule, insert, places

from SlicerCNNSegLib import batch
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.findings.finding import SOLID
from SlicerCNNSegLib.engine.findings.lungs import find_lungs
from SlicerCNNSegLib.scene.findings import FINDINGS, findings_of, rois_of

CT = "totalsegmentator_samples/example_ct.nii.gz"
"""The bases of the lungs, at 3 mm."""

DIAMETERS_MM = (12.0, 10.0, 10.0)
"""Of solid nodules that touch nothing; one at the pleura, where the lung ends, the demonstration does not find."""

DEMONSTRATION = "Demonstration, trained on inserted nodules"


@pytest.fixture(scope="module")
def a_ct(data_folder, tmp_path_factory):
    """The file, and the nodules in it."""
    background = read_volume(data_folder / CT)
    lung, rng, nodules = find_lungs(background).mask, np.random.default_rng(4), []
    for diameter_mm in DIAMETERS_MM:
        middles = places(background, lung, rng, 40, radius_mm=diameter_mm / 2, apart_mm=2.0)
        apart = [
            middle
            for middle in middles
            if all(np.linalg.norm(np.subtract(middle, other.center_ras_mm)) > 25 for other in nodules)
        ]
        nodules.append(Nodule(apart[0], (diameter_mm,) * 3, SOLID, hu=40.0))
    path = tmp_path_factory.mktemp("ct") / "chest.nii.gz"
    sitk.WriteImage(insert(background, nodules, rng).volume.to_sitk(), str(path))
    return path, nodules


def test_one_command_gives_page_tables_and_scene(slicer, a_scene, a_ct, tmp_path, capsys):
    path, nodules = a_ct
    out = tmp_path / "out"
    arguments = ["detect", path, "-o", out, "--model", "nodule-detection-demo", "--save-scene", out / "chest.mrb"]
    assert batch.main([str(argument) for argument in arguments]) == 0
    assert DEMONSTRATION in capsys.readouterr().err
    with (out / "chest.findings.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    page = (out / "chest.findings.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64") == len(rows)
    assert DEMONSTRATION in page

    slicer.vtkSlicerSegmentationsModuleLogic().SetMRMLScene(a_scene)
    a_scene.SetURL(a_scene.UnpackSlicerDataBundle(str(out / "chest.mrb"), str(tmp_path)))
    assert a_scene.Connect()
    tables = [
        a_scene.GetNthNodeByClass(n, "vtkMRMLTableNode")
        for n in range(a_scene.GetNumberOfNodesByClass("vtkMRMLTableNode"))
    ]
    (table,) = (node for node in tables if node.GetAttribute(FINDINGS))
    findings = findings_of(table)
    assert [one.id for one in findings] == [row["id"] for row in rows]
    assert len(rois_of(table)) == len(findings)
    for nodule in nodules:
        near = [
            one
            for one in findings
            if np.linalg.norm(np.subtract(one.center_ras_mm, nodule.center_ras_mm)) < max(nodule.diameters_mm) / 2
        ]
        assert near, f"the nodule of {nodule.diameters_mm[0]:g} mm was not found"
        volume_mm3 = np.prod(nodule.diameters_mm) * np.pi / 6
        assert near[0].measurements.volume_mm3 == pytest.approx(volume_mm3, rel=0.3)
