"""The embedded model from the command line, on real images."""

import csv
import json

import pytest
from tiny_cases import files_in

from SlicerCNNSegLib.engine.catalogue import EMBEDDED_MODELS
from SlicerCNNSegLib.engine.settings import DEFAULT_MODEL

CASES = ("hippocampus_003", "hippocampus_008", "hippocampus_015")
LEAST_DICE = 0.8
"""A floor for a few cases, some of which the model was trained on; its model card has the honest numbers."""

pytestmark = pytest.mark.skipif(
    not (EMBEDDED_MODELS / DEFAULT_MODEL / "configs").is_dir(), reason=f"the model {DEFAULT_MODEL} is not there"
)


def test_images_are_segmented_and_evaluated(cnnseg, data_folder, out, tmp_path):
    folder = data_folder / "hippocampus"
    images = [path for case in CASES for path in folder.glob(f"imagesTr/{case}*")]
    outcome = cnnseg("segment", *images, "-o", out)
    assert (outcome.status, outcome.err) == (0, "")
    with (out / "volumes.csv").open(newline="") as file:
        assert [row["case"] for row in csv.DictReader(file)] == [case for case in CASES for _ in range(2)]
    wanted = tmp_path / "reference"
    wanted.mkdir()
    for image in images:
        label = folder / "labelsTr" / image.name
        (wanted / image.name).write_bytes(label.read_bytes())
    outcome = cnnseg("evaluate", "segmentation", "--reference", wanted, "--prediction", out, "-o", tmp_path / "e.json")
    assert (outcome.status, outcome.err) == (0, "")
    summary = json.loads((tmp_path / "e.json").read_text())["summary"]
    assert summary["all_labels"]["metrics"]["dice"]["mean"] > LEAST_DICE


def test_a_ct_is_refused_and_forced(cnnseg, data_folder, out):
    image = data_folder / "totalsegmentator_samples" / "example_ct.nii.gz"
    outcome = cnnseg("segment", image, "-o", out, "--model", DEFAULT_MODEL)
    outcome.assert_refused(1, f"The model {DEFAULT_MODEL} expects MR, but")
    assert "--force" in outcome.err
    assert files_in(out) == []
    small = ["--roi", "40,52,40,56,40,52"]
    outcome = cnnseg("segment", image, "-o", out, "--model", DEFAULT_MODEL, "--force", *small)
    assert outcome.status == 0
    assert outcome.err.startswith("cnnseg: warning: example_ct: Forced: the model expects MR, but")
