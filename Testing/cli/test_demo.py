"""``cnnseg demo``: finds its image without importing nilearn, and says what is missing."""

import sys

import pytest
from tiny_cases import files_in

from SlicerCNNSegLib.cli import demo
from SlicerCNNSegLib.cli.demo import REGIONS, demo_image
from SlicerCNNSegLib.engine.catalogue import EMBEDDED_MODELS
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.settings import DEFAULT_MODEL

needs_model = pytest.mark.skipif(
    not (EMBEDDED_MODELS / DEFAULT_MODEL / "configs").is_dir(), reason=f"the model {DEFAULT_MODEL} is not there"
)


def test_the_image_is_found_without_importing_nilearn():
    pytest.importorskip("nilearn", reason="the demo's image comes with nilearn")
    for name in [name for name in sys.modules if name.partition(".")[0] == "nilearn"]:
        del sys.modules[name]
    assert demo_image().is_file()
    assert "nilearn" not in sys.modules


def test_the_regions_mirror_each_other_and_lie_inside_the_image():
    pytest.importorskip("nilearn", reason="the demo's image comes with nilearn")
    geometry = read_volume(demo_image()).geometry
    right, left = ([b - a for a, b in zip(*region.index_box(geometry), strict=True)] for region in REGIONS)
    assert right == left
    r0, r1, *rest = REGIONS[0].bounds
    assert REGIONS[1].bounds == (-r1, -r0, *rest)


def test_without_nilearn_the_message_says_what_to_install(cnnseg, out, monkeypatch):
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(demo, "find_model", lambda name: None)
    cnnseg("demo", "-o", out).assert_refused(2, "pip install nilearn")
    assert files_in(out) == []


@needs_model
def test_both_hippocampi_have_a_plausible_volume(cnnseg, out):
    pytest.importorskip("nilearn", reason="the demo's image comes with nilearn")
    outcome = cnnseg("demo", "-o", out)
    assert (outcome.status, outcome.err) == (0, "")
    names = ["mni_icbm152.nii.gz", "mni_icbm152.png", "mni_icbm152.run.json", "mni_icbm152.seg.nrrd", "volumes.csv"]
    assert files_in(out) == names
    assert "Montreal Neurological Institute" in outcome.out
    rows = [line.rsplit(",", 2) for line in (out / "volumes.csv").read_text().splitlines()[1:]]
    sides = {side: sum(float(row[-1]) for row in rows if side in row[0]) for side in ("Left", "Right")}
    # manual protocols give about 2.5 to 4.5 ml for a hippocampus; the average head is at the large end
    assert all(2000 < volume_mm3 < 5500 for volume_mm3 in sides.values()), sides
    assert sides["Left"] / sides["Right"] == pytest.approx(1, abs=0.2)
