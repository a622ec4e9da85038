"""Volumes and their geometry against SimpleITK's physical points and MONAI's affine."""

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from scipy.spatial.transform import Rotation

from SlicerCNNSegLib.engine.errors import ChannelError, GeometryError
from SlicerCNNSegLib.engine.volume import SHEAR_TOLERANCE, Geometry, Volume

LPS_SIGNS = np.array([-1, -1, 1])
SIZE_IJK = (4, 3, 5)
ORIENTATIONS = [
    np.eye(3)[:, list(order)] * signs for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]
TOLERANCE_MM = 1e-4


def volume_on(matrix: np.ndarray, channels: int = 1, size_ijk=SIZE_IJK, dtype: type = np.float32) -> Volume:
    """Every voxel has a value of its own."""
    i, j, k = size_ijk
    array = np.arange(channels * i * j * k, dtype=dtype).reshape(channels, k, j, i)
    return Volume(array, matrix)


def grid(directions: np.ndarray, spacing=(0.7, 1.3, 2.9), origin=(-31.4, 15.9, 265.3)) -> np.ndarray:
    """4x4 ijk_to_ras."""
    matrix = np.eye(4)
    matrix[:3, :3] = directions * np.asarray(spacing)
    matrix[:3, 3] = origin
    return matrix


def assert_like_sitk(volume: Volume, image: sitk.Image) -> None:
    """Each voxel of the volume is the image's at the same index, and lies at the same point."""
    assert image.GetSize() == volume.geometry.size_ijk
    for index in np.ndindex(*volume.geometry.size_ijk):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(volume.geometry.ras_from_ijk(np.array(index)) * LPS_SIGNS, lps, atol=TOLERANCE_MM)
        i, j, k = index
        np.testing.assert_array_equal(np.atleast_1d(image.GetPixel(*index)), volume.array[:, k, j, i])


@pytest.mark.parametrize("directions", ORIENTATIONS)
def test_all_48_orientations_agree_with_simpleitk(directions):
    volume = volume_on(grid(directions))
    image = volume.to_sitk()
    assert_like_sitk(volume, image)
    back = Volume.from_sitk(image)
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.ijk_to_ras, volume.ijk_to_ras, atol=1e-9)


@pytest.mark.parametrize("directions", ORIENTATIONS)
def test_all_48_orientations_agree_with_monai(directions):
    volume = volume_on(grid(directions), channels=2)
    tensor = volume.to_metatensor()
    assert tensor.shape == (2, *SIZE_IJK)
    for index in [(0, 0, 0), (3, 2, 4), (1, 2, 3)]:
        ras = (tensor.affine.numpy() @ [*index, 1])[:3]
        np.testing.assert_allclose(ras, volume.geometry.ras_from_ijk(np.array(index)), atol=TOLERANCE_MM)
        np.testing.assert_array_equal(tensor[(slice(None), *index)], volume.array[(slice(None), *index[::-1])])
    back = Volume.from_metatensor(tensor)
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.ijk_to_ras, volume.ijk_to_ras, atol=1e-9)


finite = st.floats(-500, 500)
spacings = st.tuples(*[st.floats(0.05, 20)] * 3)
quaternions = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1)


@given(quaternions, st.booleans(), spacings, st.tuples(finite, finite, finite), st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_any_orthogonal_grid_agrees_with_simpleitk_and_comes_back(quaternion, left_handed, spacing, origin, channels):
    directions = Rotation.from_quat(quaternion).as_matrix() * [1, 1, -1 if left_handed else 1]
    volume = volume_on(grid(directions, spacing, origin), channels, size_ijk=(3, 2, 2))
    assert not volume.geometry.is_sheared
    image = volume.to_sitk()
    assert_like_sitk(volume, image)
    for back in (Volume.from_sitk(image), Volume.from_metatensor(volume.to_metatensor())):
        np.testing.assert_array_equal(back.array, volume.array)
        np.testing.assert_allclose(back.ijk_to_ras, volume.ijk_to_ras, atol=TOLERANCE_MM)
    assert volume.geometry.voxel_volume_mm3 == pytest.approx(np.prod(spacing))
    np.testing.assert_allclose(volume.geometry.spacing_mm, spacing)


@given(st.lists(st.floats(-3, 3), min_size=12, max_size=12), st.tuples(finite, finite, finite))
@settings(deadline=None, max_examples=100)
def test_indices_and_points_are_inverse_on_any_grid(numbers, point):
    matrix = np.vstack([np.reshape(numbers, (3, 4)), [0, 0, 0, 1]])
    if np.linalg.cond(matrix[:3, :3]) > 1e3 or abs(np.linalg.det(matrix[:3, :3])) < 1e-3:
        return
    geometry = Geometry((2, 3, 4), matrix)
    np.testing.assert_allclose(geometry.ras_from_ijk(geometry.ijk_from_ras(np.array(point))), point, atol=1e-6)
    points = np.array([[point, point], [np.negative(point), np.zeros(3)]])
    assert geometry.ijk_from_ras(points).shape == (2, 2, 3)
    np.testing.assert_allclose(geometry.ijk_from_ras(points)[0, 1], geometry.ijk_from_ras(np.array(point)))


def test_a_two_dimensional_image_is_an_axial_slice():
    image = sitk.GetImageFromArray(np.arange(6, dtype=np.int16).reshape(2, 3))
    image.SetSpacing([0.5, 0.25])
    image.SetOrigin([10, 20])
    volume = Volume.from_sitk(image, modality="CR", source="x")
    assert volume.is_2d
    assert volume.modality == "CR"
    np.testing.assert_array_equal(volume.array[0, 0], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_allclose(volume.ijk_to_ras, [[-0.5, 0, 0, -10], [0, -0.25, 0, -20], [0, 0, 1, 0], [0, 0, 0, 1]])


def test_a_two_dimensional_colour_image_has_channels():
    volume = Volume.from_sitk(sitk.GetImageFromArray(np.arange(18, dtype=np.uint8).reshape(2, 3, 3), isVector=True))
    assert volume.array.shape == (3, 1, 2, 3)
    np.testing.assert_array_equal(volume.array[:, 0, 1, 2], [15, 16, 17])


def test_four_dimensions_are_refused():
    with pytest.raises(GeometryError, match="Expected a 2-D or 3-D image, got 4 dimensions; split it into volumes"):
        Volume.from_sitk(sitk.Image([2, 2, 2, 2], sitk.sitkUInt8))


def test_a_sheared_volume_is_no_itk_image():
    matrix = np.eye(4)
    matrix[0, 2] = 0.02
    with pytest.raises(GeometryError, match="axes are not orthogonal; resample it to a regular grid first"):
        volume_on(matrix).to_sitk()


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_shear_counts_from_the_tolerance_on(share):
    matrix = np.diag([2.0, 3.0, 4.0, 1.0])
    matrix[0, 2] = 4 * SHEAR_TOLERANCE * share
    assert Geometry((2, 2, 2), matrix).is_sheared == (share > 1)


@pytest.mark.parametrize("dtype", ["u2", "u4", "u8", ">i2", ">f4"])
def test_types_that_torch_lacks_become_floats(dtype):
    volume = Volume(np.arange(24).astype(dtype).reshape(1, 2, 3, 4), np.eye(4))
    tensor = volume.to_metatensor()
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(tensor.numpy().transpose(0, 3, 2, 1), volume.array.astype(np.float32))


def test_a_metatensor_shares_memory_and_its_affine_is_its_own():
    volume = volume_on(grid(np.eye(3)))
    tensor = volume.to_metatensor()
    volume.array[0, 1, 2, 3] = -5
    assert tensor[0, 3, 2, 1] == -5
    tensor.affine[0, 0] = 9
    assert volume.ijk_to_ras[0, 0] == 0.7


def test_a_metatensor_on_a_graph_comes_back():
    tensor = MetaTensor(torch.ones(1, 2, 3, 4, requires_grad=True), affine=torch.diag(torch.tensor([2.0, 3, 4, 1])))
    volume = Volume.from_metatensor(tensor, modality="MR")
    assert volume.array.shape == (1, 4, 3, 2)
    assert volume.modality == "MR"
    np.testing.assert_allclose(volume.geometry.spacing_mm, [2, 3, 4])


@pytest.mark.parametrize("directions", ORIENTATIONS[::7])
def test_a_crop_keeps_every_voxel_in_place(directions):
    volume = volume_on(grid(directions), channels=2)
    part = volume.cropped((1, 0, 2), (4, 2, 5))
    assert part.geometry.size_ijk == (3, 2, 3)
    assert np.shares_memory(part.array, volume.array)
    for index in np.ndindex(3, 2, 3):
        whole = np.add(index, (1, 0, 2))
        np.testing.assert_allclose(part.geometry.ras_from_ijk(np.array(index)), volume.geometry.ras_from_ijk(whole))
        np.testing.assert_array_equal(
            part.array[(slice(None), *index[::-1])], volume.array[(slice(None), *whole[::-1])]
        )


@given(quaternions, spacings, st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 9)] * 3))
@settings(deadline=None, max_examples=60)
def test_resizing_keeps_the_outer_faces(quaternion, spacing, size, wanted):
    matrix = grid(Rotation.from_quat(quaternion).as_matrix(), spacing)
    before = Geometry(size[::-1], matrix)
    after = before.resized(wanted)
    assert after.size_ijk == wanted
    np.testing.assert_allclose(after.directions, before.directions, atol=1e-9)
    for corner in product((0, 1), repeat=3):
        low, high = (np.array(corner) * size - 0.5, np.array(corner) * wanted - 0.5)
        np.testing.assert_allclose(after.ras_from_ijk(high), before.ras_from_ijk(low), atol=1e-9)


def test_matching_counts_corners_in_millimetres():
    geometry = Geometry((3, 4, 101), grid(np.eye(3)))
    assert geometry.matches(Geometry((3, 4, 101), grid(np.eye(3))))
    assert not geometry.matches(Geometry((3, 4, 100), grid(np.eye(3))))
    scaled = grid(np.eye(3), spacing=(0.70001, 1.3, 2.9))  # 0.001 mm off at the far corner
    assert geometry.matches(Geometry((3, 4, 101), scaled), tolerance_mm=1.1e-3)
    assert not geometry.matches(Geometry((3, 4, 101), scaled), tolerance_mm=0.9e-3)
    moved = grid(np.eye(3), origin=(-31.4, 15.9, 265.8))
    assert not geometry.matches(Geometry((3, 4, 101), moved), tolerance_mm=0.4)


def test_stacking_makes_channels():
    first, second = volume_on(grid(np.eye(3))), volume_on(grid(np.eye(3)), channels=2)
    first = Volume(first.array, first.ijk_to_ras, source="a", notes=("one",))
    second = Volume(second.array + 100, second.ijk_to_ras, source="b", notes=("two",))
    stacked = Volume.stacked([first, second], ("T1", "T2", "PD"))
    assert stacked.channel_names == ("T1", "T2", "PD")
    assert stacked.channels == 3
    np.testing.assert_array_equal(stacked.array[1:], second.array)
    assert stacked.source == "a, b"
    assert stacked.notes == ("one", "two")


def test_stacking_one_only_names_it():
    volume = volume_on(grid(np.eye(3)))
    assert Volume.stacked([volume]) is volume
    assert Volume.stacked([volume], ("T1",)).channel_names == ("T1",)


def test_stacking_differing_grids_is_refused():
    first, second = volume_on(grid(np.eye(3))), volume_on(grid(np.eye(3), origin=(0, 0, 0)))
    with pytest.raises(GeometryError, match=r"must lie on one grid, but a channel has size \(4, 3, 5\)"):
        Volume.stacked([first, second])


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(3), r"Expected a finite 4x4 ijk_to_ras matrix, got shape \(3, 3\)"),
        (np.diag([1, 1, np.nan, 1]), "Expected a finite 4x4 ijk_to_ras matrix"),
        (np.diag([1, 1, 0, 1]), r"axes span no volume \(singular ijk_to_ras\)"),
    ],
)
def test_an_impossible_matrix_is_refused(matrix, message):
    with pytest.raises(GeometryError, match=message):
        Geometry((2, 2, 2), matrix)


@pytest.mark.parametrize("shape", [(2, 2), (2, 0, 2)])
def test_an_impossible_size_is_refused(shape):
    with pytest.raises(GeometryError, match=r"Expected three sizes of at least 1 voxel \(k, j, i\), got"):
        Geometry(shape, np.eye(4))


def test_an_empty_crop_is_refused():
    with pytest.raises(GeometryError, match="at least 1 voxel"):
        Geometry((4, 4, 4), np.eye(4)).cropped((0, 0, 3), (4, 4, 3))


def test_an_array_without_channels_is_refused():
    with pytest.raises(GeometryError, match=r"got 3 axes of shape \(2, 3, 4\); add a channel axis with array\[None\]"):
        Volume(np.zeros((2, 3, 4)), np.eye(4))


def test_wrong_channel_names_are_refused():
    with pytest.raises(ChannelError, match="Expected 1 channel names, got 2: a, b"):
        Volume(np.zeros((1, 2, 3, 4)), np.eye(4), channel_names=("a", "b"))


def test_a_volume_guards_its_matrix_and_identifiers():
    matrix, identifiers = np.eye(4), {"SeriesInstanceUID": "1.2"}
    volume = Volume(np.zeros((1, 2, 3, 4)), matrix, identifiers=identifiers)
    matrix[0, 0], identifiers["SeriesInstanceUID"] = 5, "x"
    assert volume.ijk_to_ras[0, 0] == 1
    assert volume.identifiers["SeriesInstanceUID"] == "1.2"
    with pytest.raises(ValueError, match="read-only"):
        volume.ijk_to_ras[0, 0] = 2


def test_the_extent_is_that_of_the_box_around_all_voxels():
    geometry = Geometry((4, 5, 6), np.array([[0, 0, 2.0, 7], [-1.0, 0, 0, 8], [0, 3.0, 0, 9], [0, 0, 0, 1]]))
    np.testing.assert_allclose(geometry.extent_ras_mm, [8.0, 6.0, 15.0])
