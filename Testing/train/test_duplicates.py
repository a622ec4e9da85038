"""Signatures: copies are found, other patients are not."""

import numpy as np
import pytest
from scipy import ndimage

from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegTrainLib.engine.checking.duplicates import GRID, NEAR, equal_groups, near_groups, signature, voxel_hash
from SlicerCNNSegTrainLib.engine.data.folder import read_folder
from SlicerCNNSegTrainLib.engine.data.reading import read_cases

AS_STORED = ((0, 1, 2), (False, False, False))

COPIES = {
    "another scale": lambda a: 3.7 * a + 100,
    "noise": lambda a: a + np.random.default_rng(0).normal(0, 0.2 * a.std(), a.shape),
    "gamma": lambda a: ((a - a.min()) / np.ptp(a)) ** 0.7,
    "clipped": lambda a: np.clip(a, *np.percentile(a, [1, 99])),
    "blurred": lambda a: ndimage.gaussian_filter(a, 1),
    "half the voxels": lambda a: ndimage.zoom(a, 0.5, order=1, grid_mode=True, mode="nearest"),
    "more voxels": lambda a: ndimage.zoom(a, 1.25, order=1, grid_mode=True, mode="nearest"),
}


def test_no_two_of_the_real_cases_are_taken_for_copies(data_folder):
    cases = read_folder(data_folder / "hippocampus").cases
    reading = read_cases(cases, NoProgress())
    signatures = {case_id: facts.signature for case_id, facts in reading.facts.items()}
    assert len(signatures) == 208
    assert near_groups(signatures) == []
    table = np.stack(list(signatures.values()))
    others = (table @ table.T)[np.triu_indices(208, 1)]
    assert others.max() < 0.65  # what NEAR's description says
    assert equal_groups({case_id: facts.image_hash for case_id, facts in reading.facts.items()}) == []


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_changed_copies_of_real_cases_are_found(data_folder, change):
    for path in sorted((data_folder / "hippocampus" / "imagesTr").glob("*.nii.gz"))[:40:4]:
        image = read_volume(path).array[0].astype(np.float64)
        likeness = signature(image, *AS_STORED) @ signature(change(image), *AS_STORED)
        assert likeness >= NEAR, path.name


def test_a_signature_does_not_depend_on_how_the_axes_are_stored():
    image = np.random.default_rng(0).normal(size=(30, 26, 28)).cumsum(0)
    stored = image.transpose(0, 2, 1)[:, ::-1]  # i and j exchanged, then what is j now runs the other way
    turned = signature(stored, (1, 0, 2), (True, False, False))
    np.testing.assert_allclose(turned, signature(image, *AS_STORED), atol=1e-6)
    assert turned.shape == (GRID**3,)
    assert np.linalg.norm(turned) == pytest.approx(1, rel=1e-5)


def test_a_constant_image_is_like_no_other():
    assert not signature(np.full((20, 21, 22), 7.3), *AS_STORED).any()


def test_copies_of_copies_are_one_group():
    first, second = np.eye(2, dtype=np.float32)
    between = (first + second) / np.sqrt(2)
    close = {"a": first, "b": (first + 0.3 * between) / np.linalg.norm(first + 0.3 * between), "c": second}
    assert near_groups(close) == [("a", "b")]
    assert near_groups({}) == []
    chain = {
        str(n): np.array([np.cos(angle), np.sin(angle)], np.float32) for n, angle in enumerate(np.deg2rad([0, 20, 40]))
    }
    assert np.cos(np.deg2rad(40)) < NEAR < np.cos(np.deg2rad(20))
    assert near_groups(chain) == [("0", "1", "2")]


def test_a_checksum_knows_shape_type_and_values():
    array = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    assert voxel_hash(array) == voxel_hash(np.asfortranarray(array))
    others = [array.reshape(1, 2, 4), array.astype(np.int32), array + 1]
    assert voxel_hash(array) not in [voxel_hash(other) for other in others]
