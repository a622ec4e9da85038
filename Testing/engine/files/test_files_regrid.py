"""Sheared and unevenly spaced grids: a linear field stays itself under linear interpolation."""

import numpy as np
import pytest

from SlicerCNNSegLib.engine.files.regrid import evenly_spaced, orthogonal_grid, shear_degrees, without_shear
from SlicerCNNSegLib.engine.volume import Geometry, Volume

FIELD = np.array([0.7, -0.4, 1.3])


def field_on(geometry: Geometry) -> np.ndarray:
    """The linear field (k, j, i) at the voxels' centres."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in geometry.size_ijk], indexing="ij"), axis=-1)
    return (geometry.ras_from_ijk(index) @ FIELD + 100).transpose(2, 1, 0)


def tilted(degrees: float) -> Geometry:
    """Slices that are shifted along j by a gantry tilt."""
    matrix = np.diag([0.8, 0.5, 3.0, 1.0])
    matrix[1, 2] = 3.0 * np.tan(np.radians(degrees))
    matrix[:3, 3] = [10, -20, 30]
    return Geometry((9, 14, 11), matrix)


@pytest.mark.parametrize("degrees", [18.5, -18.5, 4.0])
def test_a_tilted_field_is_straight_afterwards(degrees):
    geometry = tilted(degrees)
    volume = Volume(field_on(geometry)[None].astype(np.float32), geometry.ijk_to_ras, modality="CT", notes=("before",))
    straight = without_shear(volume, "gantry tilt")
    assert not straight.geometry.is_sheared
    assert straight.notes == ("before", f"resampled: gantry tilt of {abs(degrees):.1f} degrees")
    assert straight.modality == "CT"
    index = np.stack(np.meshgrid(*[np.arange(n) for n in straight.geometry.size_ijk], indexing="ij"), axis=-1)
    inside = geometry.ijk_from_ras(straight.geometry.ras_from_ijk(index))
    inside = ((inside >= 0) & (inside <= np.array(geometry.size_ijk) - 1)).all(axis=-1).transpose(2, 1, 0)
    assert inside.sum() > 0.7 * volume.array.size
    np.testing.assert_allclose(straight.array[0][inside], field_on(straight.geometry)[inside], atol=1e-3)
    assert (straight.array[0][~inside] >= volume.array.min()).all()


def test_the_grid_holds_every_voxel_and_keeps_the_slice_planes():
    geometry = tilted(20)
    grid = orthogonal_grid(geometry)
    np.testing.assert_allclose(grid.spacing_mm, [0.8, 0.5, 3.0], atol=1e-12)
    np.testing.assert_allclose(grid.directions, np.eye(3), atol=1e-12)
    corners = np.array([[i, j, k] for i in (0, 10) for j in (0, 13) for k in (0, 8)])
    index = grid.ijk_from_ras(geometry.ras_from_ijk(corners))
    assert (index >= -1e-6).all()
    assert (index <= np.array(grid.size_ijk) - 1 + 1e-6).all()
    np.testing.assert_allclose(index[0], np.rint(index[0]), atol=1e-9)


def test_left_handed_axes_stay_left_handed():
    matrix = tilted(20).ijk_to_ras @ np.diag([-1.0, 1, 1, 1])
    grid = orthogonal_grid(Geometry((4, 5, 6), matrix))
    assert np.linalg.det(grid.ijk_to_ras[:3, :3]) < 0
    np.testing.assert_allclose(grid.directions[:, 0], [-1, 0, 0], atol=1e-12)


def test_integers_are_rounded_and_keep_their_type():
    array = np.zeros((1, 2, 4, 4), np.int16)
    array[:, :, 1::2] = 3  # halfway between the rows lies 1.5: cut off it would be 1
    matrix = np.eye(4)
    matrix[1, 2] = 0.5
    straight = without_shear(Volume(array, matrix), "gantry tilt")
    assert straight.array.dtype == np.int16
    assert set(np.unique(straight.array)) == {0, 2, 3}


def test_an_orthogonal_volume_is_returned_itself():
    volume = Volume(np.zeros((1, 2, 3, 4)), np.eye(4))
    assert without_shear(volume, "gantry tilt") is volume


def test_shear_degrees_is_the_gantry_tilt():
    assert shear_degrees(tilted(18.5)) == pytest.approx(18.5)
    assert shear_degrees(tilted(0)) == pytest.approx(0)


def test_evenly_spaced_slices_of_a_linear_ramp():
    places = np.array([0.0, 1.0, 4.0, 8.0])
    array = np.broadcast_to((10 * places + 5)[None, :, None, None], (2, 4, 3, 2)).astype(np.int16)
    even = evenly_spaced(array, places, 9)
    assert even.shape == (2, 9, 3, 2)
    assert even.dtype == np.int16
    np.testing.assert_array_equal(even[1, :, 0, 0], 10 * np.arange(9) + 5)
