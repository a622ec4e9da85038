"""Bundles that others made give through the front door what MONAI itself saves for the same file."""

import json

import numpy as np
import pytest
from zoo_bundles import ENDOSCOPIC_STYLE, STYLES, monai_result, volume_of, write_bundle, write_image

from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume

AGREEMENT = 0.9999
PROSTATE_INVERT = '"nearest_interp": true'


def settings(folder, **more):
    return SegmentationSettings(str(folder), device="cpu", precision="fp32", **more)


@pytest.mark.parametrize("name", STYLES)
def test_a_bundle_gives_what_monai_saves(tmp_path, name):
    style = STYLES[name]
    folder, path = write_bundle(tmp_path / name, style), write_image(tmp_path / "case.nii.gz", style)
    expected = monai_result(folder, style, path, tmp_path / "saved")
    volume = volume_of(path, flat=len(style.shape) == 2)
    progress = RecordingProgress()
    result = run(settings(folder), [volume], progress)
    assert result.geometry.matches(volume.geometry)
    found = result.labelmap.transpose(2, 1, 0)
    if name == "brats":  # three masks, as the last axis
        expected = sum(expected[..., bit].astype(int) << bit for bit in range(3))
    assert len(np.unique(expected)) > 1, "weights that tell nothing apart prove nothing"
    assert (found == expected.reshape(found.shape)).mean() >= AGREEMENT
    assert progress.reports[-1] == (1.0, "Done")
    assert result.record.model_id == name


def test_structures_that_overlap_are_kept_whole(tmp_path):
    style = STYLES["brats"]
    folder, path = write_bundle(tmp_path / "brats", style), write_image(tmp_path / "case.nii.gz", style)
    masks = monai_result(folder, style, path, tmp_path / "saved").transpose(2, 1, 0, 3) > 0
    result = run(settings(folder), [volume_of(path)])
    voxels = {row.name: row.voxels for row in result.structures}
    for index, name in enumerate(style.outputs):
        np.testing.assert_array_equal(result.mask(name), masks[..., index])
        assert voxels[name] == masks[..., index].sum()
    assert voxels["Whole tumor only"] == (masks[..., 1] & ~masks[..., 0] & ~masks[..., 2]).sum()
    assert voxels["Tumor core + Whole tumor"] == (masks[..., 1] & masks[..., 0] & ~masks[..., 2]).sum()
    assert {label.value for label in result.labels} == set(np.unique(result.labelmap)) - {0}
    warning, overlapping = result.record.warnings
    assert overlapping.startswith("The structures of this model may overlap")
    assert "Lambdad with the function '$lambda x: torch.where" in warning
    assert "was left out" in warning


def test_labels_are_not_interpolated_on_the_way_back(tmp_path):
    """Where MONAI would blend labels 0 and 2 into 1, the nearest label is taken, and that is told."""
    style = STYLES["prostate"]
    folder, path = write_bundle(tmp_path / "prostate", style), write_image(tmp_path / "case.nii.gz", style)
    nearest = run(settings(folder), [volume_of(path)])
    config = folder / "configs" / "inference.json"
    text = config.read_text()
    assert PROSTATE_INVERT in text
    config.write_text(text.replace(PROSTATE_INVERT, '"nearest_interp": false'))
    result = run(settings(folder), [volume_of(path)])
    np.testing.assert_array_equal(result.labelmap, nearest.labelmap)
    assert any("nearest neighbour; the bundle interpolates" in note for note in result.record.warnings)
    assert not nearest.record.warnings


def test_an_output_left_on_another_grid_is_brought_to_the_images(tmp_path):
    """Without ``Invertd`` MONAI saves a file that covers a part of the image; the labels are the same ones."""
    style = STYLES["prostate"]
    folder, path = write_bundle(tmp_path / "prostate", style), write_image(tmp_path / "case.nii.gz", style)
    inverted = run(settings(folder), [volume_of(path)]).labelmap
    config = json.loads((folder / "configs" / "inference.json").read_text())
    steps = config["postprocessing"]["transforms"]
    config["postprocessing"]["transforms"] = [step for step in steps if step["_target_"] != "Invertd"]
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    result = run(settings(folder), [volume_of(path)])
    assert result.geometry.matches(volume_of(path).geometry)
    assert (result.labelmap == inverted).mean() >= AGREEMENT


def test_channels_under_keys_of_their_own(tmp_path):
    style = STYLES["brats"]
    folder, path = write_bundle(tmp_path / "brats", style), write_image(tmp_path / "case.nii.gz", style)
    together = run(settings(folder), [volume_of(path)])
    config = json.loads((folder / "configs" / "inference.json").read_text())
    loading = config["preprocessing"]["transforms"]
    for step in loading[:2]:
        step["keys"] = ["a", "b", "c", "d"]
    loading.insert(2, {"_target_": "ConcatItemsd", "keys": ["a", "b", "c", "d"], "name": "image"})
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    apart = run(settings(folder), [volume_of(path)])
    np.testing.assert_array_equal(apart.labelmap, together.labelmap)


def test_a_bundle_of_slices_goes_through_a_stack(tmp_path):
    folder = write_bundle(tmp_path / "endoscopic", ENDOSCOPIC_STYLE)
    paths = [write_image(tmp_path / f"{seed}.nii.gz", ENDOSCOPIC_STYLE, seed) for seed in (0, 1)]
    planes = [volume_of(path, flat=True) for path in paths]
    stack = Volume(np.concatenate([plane.array for plane in planes], axis=1), planes[0].ijk_to_ras)
    found = run(settings(folder), [stack]).labelmap
    for plane, labels in zip(planes, found, strict=True):
        np.testing.assert_array_equal(run(settings(folder), [plane]).labelmap[0], labels)
    assert not np.array_equal(found[0], found[1])
