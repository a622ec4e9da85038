"""Lungs against a chest with known ones and against real labels; a clear word where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from thorax_phantom import LEFT, RIGHT, thorax

from SlicerCNNSegLib.engine.errors import GeometryError, InputError, ModalityError
from SlicerCNNSegLib.engine.findings.lungs import BESIDES, find_lungs
from SlicerCNNSegLib.engine.volume import Volume


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def test_both_lungs_and_their_thirds():
    chest = thorax()
    lungs = find_lungs(chest.volume)
    assert dice(lungs.sides == RIGHT, chest.lungs == RIGHT) > 0.95
    assert dice(lungs.sides == LEFT, chest.lungs == LEFT) > 0.95
    assert lungs.cut == frozenset()
    assert lungs.location(np.array([80.0, 0.0, 80.0])) == "right lung, upper third"
    assert lungs.location(np.array([80.0, 0.0, 0.0])) == "right lung, middle third"
    assert lungs.location(np.array([-90.0, 0.0, -80.0])) == "left lung, lower third"
    assert lungs.location(np.array([0.0, -80.0, 0.0])) == BESIDES
    assert lungs.location(np.array([0.0, 0.0, 9999.0])) == BESIDES
    # foam of the table, the windpipe and the air around are left out
    assert not lungs.mask[chest.volume.array[0] < -980].any()


@pytest.mark.parametrize(
    "directions",
    [np.eye(3)[[2, 0, 1]] * [1, -1, 1], np.diag([1.0, 1.0, -1.0]), np.eye(3)[[1, 2, 0]] * [-1, -1, -1]],
)
def test_any_orientation_gives_the_same(directions):
    chest = thorax((5, 5, 5), directions=directions, vessels=5)
    lungs = find_lungs(chest.volume)
    assert dice(lungs.sides == RIGHT, chest.lungs == RIGHT) > 0.93
    assert dice(lungs.sides == LEFT, chest.lungs == LEFT) > 0.93
    assert lungs.location(np.array([-80.0, 0.0, 80.0])) == "left lung, upper third"


def test_a_nodule_at_the_pleura_is_in_the_lung():
    chest = thorax((3, 3, 3), vessels=5)
    r, a, s = 75 + 54.0, 0.0, 0.0
    ijk = np.argwhere(chest.lungs >= 0)[:, ::-1]
    away = np.linalg.norm(chest.volume.geometry.ras_from_ijk(ijk) - (r, a, s), axis=1).reshape(chest.lungs.shape)
    nodule = (away < 6) & ndimage.binary_erosion(chest.lungs > 0)  # the lung's outermost voxels are half wall
    image = np.where(nodule, 40.0, chest.volume.array[0])
    lungs = find_lungs(replace(chest.volume, array=image[np.newaxis]))
    assert lungs.mask[nodule].mean() > 0.95
    assert lungs.location(np.array([r, a, s])) == "right lung, middle third"


def test_fine_voxels_are_worked_on_in_blocks():
    chest = thorax((4, 4, 1.3), vessels=5)
    lungs = find_lungs(chest.volume)
    assert lungs.sides.shape == chest.lungs.shape
    assert dice(lungs.mask, chest.lungs > 0) > 0.94


def test_thick_slices_are_told():
    lungs = find_lungs(thorax((4, 4, 5), vessels=5).volume)
    assert any("5.0 mm thick: nodules below 10 mm may be missed" in warning for warning in lungs.warnings)
    assert not any("thick" in warning for warning in find_lungs(thorax((3.5, 3.5, 3.5), vessels=0).volume).warnings)


def test_a_cropped_lung_is_told_and_has_no_thirds():
    chest = thorax(vessels=5).volume
    i, j, k = chest.geometry.size_ijk
    lungs = find_lungs(chest.cropped((0, 0, 0), (i, j, k // 2)))
    assert lungs.cut == {RIGHT, LEFT}
    assert any("The right lung is cut off by the image's edge" in warning for warning in lungs.warnings)
    assert lungs.location(np.array([80.0, 0.0, -40.0])) == "right lung"
    sideways = find_lungs(chest.cropped((i // 4, 0, 0), (i, j, k)))
    assert sideways.cut == frozenset()
    assert any("The right lung is cut off" in w and "thirds" not in w for w in sideways.warnings)
    assert sideways.location(np.array([60.0, 0.0, 80.0])) == "right lung, upper third"


def test_one_lung_alone_has_the_side_of_its_place():
    chest = thorax(vessels=5)
    image = np.where(chest.lungs == LEFT, 40.0, chest.volume.array[0])
    lungs = find_lungs(replace(chest.volume, array=image[np.newaxis]))
    assert dice(lungs.sides == RIGHT, chest.lungs == RIGHT) > 0.95
    assert any("there is no left lung" in warning for warning in lungs.warnings)


def test_lungs_that_touch_are_parted():
    chest = thorax(vessels=5)
    ijk = np.argwhere(chest.lungs >= 0)[:, ::-1]
    r, a, s = chest.volume.geometry.ras_from_ijk(ijk).T.reshape(3, *chest.lungs.shape)
    bridge = (np.abs(r) < 40) & (np.abs(a - 40) < 5) & (np.abs(s - 60) < 15)
    lungs = find_lungs(replace(chest.volume, array=np.where(bridge, -850.0, chest.volume.array[0])[np.newaxis]))
    assert dice(lungs.sides == RIGHT, chest.lungs == RIGHT) > 0.93
    assert dice(lungs.sides == LEFT, chest.lungs == LEFT) > 0.93


def test_real_lungs_agree_with_their_labels(data_folder):
    """The lung bases of an abdominal CT at 3 mm, beside bowel gas and a table."""
    folder = data_folder / "totalsegmentator_samples"
    volume = Volume.from_sitk(sitk.ReadImage(str(folder / "example_ct_sm.nii.gz")))
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "example_seg.nii.gz")))
    lungs = find_lungs(volume)
    assert dice(lungs.mask, np.isin(labels, (10, 11, 12, 13, 14))) > 0.94
    assert dice(lungs.sides == RIGHT, np.isin(labels, (12, 13, 14))) > 0.95
    assert dice(lungs.sides == LEFT, np.isin(labels, (10, 11))) > 0.92
    assert lungs.cut == {RIGHT, LEFT}


def test_a_chest_crop_has_two_lungs(data_folder):
    path = data_folder / "totalsegmentator_samples" / "pulmonary_ct_cropped.nii.gz"
    lungs = find_lungs(Volume.from_sitk(sitk.ReadImage(str(path))))
    ml = [(lungs.sides == side).sum() * lungs.geometry.voxel_volume_mm3 / 1000 for side in (RIGHT, LEFT)]
    assert ml == pytest.approx([865, 1023], rel=0.03)  # as looked at in pictures
    assert lungs.cut == {RIGHT, LEFT}


def test_what_has_no_lungs(data_folder):
    chest = thorax((6, 6, 6), vessels=0)
    without = np.where(chest.lungs > 0, 40.0, chest.volume.array[0])[np.newaxis]
    with pytest.raises(InputError, match="found no lungs in it"):
        find_lungs(replace(chest.volume, array=without))
    only_air = np.full((1, 8, 8, 8), -1000.0)
    with pytest.raises(InputError, match="found no lungs in it"):
        find_lungs(Volume(only_air, np.eye(4), modality="CT"))
    with pytest.raises(ModalityError, match="thorax is tagged MR; give a CT in HU"):
        find_lungs(replace(chest.volume, modality="MR"))
    with pytest.raises(GeometryError, match="thorax is one slice; give the whole series"):
        find_lungs(chest.volume.cropped((0, 0, 20), (60, 43, 21)))
    path = data_folder / "totalsegmentator_samples" / "example_mr_sm.nii.gz"
    with pytest.raises(ModalityError, match="has no Hounsfield values below that of lung"):
        find_lungs(Volume.from_sitk(sitk.ReadImage(str(path))))
