"""Boxes keep their place through voxel indices, RAS mm and LUNA16's tables, in every orientation."""

from __future__ import annotations

import itertools

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.apps.detection.transforms.box_ops import apply_affine_to_boxes
from scipy.spatial.transform import Rotation

from SlicerCNNSegLib.engine.errors import GeometryError
from SlicerCNNSegLib.engine.evaluation.detection.tables import Points, read_marks
from SlicerCNNSegLib.engine.findings.boxes import (
    OrientedBox,
    box_from_corners,
    box_of_mask,
    box_of_voxels,
    boxes_of,
    centers_from_corners,
    corners_from_centers,
    marks_of,
    write_marks,
)
from SlicerCNNSegLib.engine.volume import Geometry

ROUND_TRIP_MM = 0.01
"""What issue 4 asks for; float64 gives 1e-9."""

ORIENTATIONS = [
    np.eye(3)[list(order)] * np.array(signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def grid(axes: np.ndarray, spacing=(0.7, 0.8, 2.5), origin=(-31.0, 12.5, -400.25)) -> Geometry:
    matrix = np.eye(4)
    matrix[:3, :3] = axes * np.asarray(spacing)
    matrix[:3, 3] = origin
    return Geometry((40, 60, 50), matrix)


numbers = st.floats(-20, 70, allow_nan=False)
spacings = st.tuples(*[st.floats(0.3, 6.0)] * 3)
turns = st.tuples(*[st.floats(-3.2, 3.2)] * 3)
corner_pairs = st.tuples(*[numbers] * 3, *[st.floats(0.5, 40)] * 3).map(
    lambda x: np.array([*x[:3], *(a + b for a, b in zip(x[:3], x[3:], strict=True))])
)


def test_there_are_48_orientations():
    codes = {nibabel.aff2axcodes(np.block([[axes, np.zeros((3, 1))], [np.zeros((1, 3)), 1]])) for axes in ORIENTATIONS}
    assert len(codes) == len(ORIENTATIONS) == 48


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_indices_to_mm_are_monais_and_come_back(axes):
    geometry = grid(axes)
    corners = np.array([3.25, 10.0, 4.5, 17.0, 21.5, 9.75])
    box = box_from_corners(corners, geometry)
    oracle = apply_affine_to_boxes(corners[np.newaxis], affine=geometry.ijk_to_ras)[0]
    world = box.corners_ras_mm()
    np.testing.assert_allclose(np.concatenate([world.min(axis=0), world.max(axis=0)]), oracle, atol=1e-5)
    np.testing.assert_allclose(box.index_corners(geometry), corners, atol=ROUND_TRIP_MM / geometry.spacing_mm.max())
    assert box.volume_mm3 == pytest.approx(np.prod((corners[3:] - corners[:3]) * geometry.spacing_mm))


@settings(max_examples=200, deadline=None)
@given(corners=corner_pairs, which=st.integers(0, 47), spacing=spacings, turn=turns)
def test_round_trip_of_oblique_anisotropic_grids(corners, which, spacing, turn):
    geometry = grid(Rotation.from_rotvec(turn).as_matrix() @ ORIENTATIONS[which], spacing)
    box = box_from_corners(corners, geometry)
    back = box.index_corners(geometry)
    assert np.abs((back - corners) * np.tile(geometry.spacing_mm, 2)).max() < ROUND_TRIP_MM


@settings(max_examples=100, deadline=None)
@given(corners=corner_pairs, first=st.integers(0, 47), second=st.integers(0, 47), spacing=spacings, turn=turns)
def test_written_along_turned_over_axes_it_is_the_same_box(corners, first, second, spacing, turn):
    """Network space has the volume's axes in another order and direction, and another spacing."""
    rotation = Rotation.from_rotvec(turn).as_matrix()
    network, volume = (
        grid(rotation @ ORIENTATIONS[first], (1.25, 1.25, 1.25)),
        grid(rotation @ ORIENTATIONS[second], spacing),
    )
    box = box_from_corners(corners, network)
    same = box.along(volume)
    assert np.abs(np.sort(same.corners_ras_mm(), axis=0) - np.sort(box.corners_ras_mm(), axis=0)).max() < ROUND_TRIP_MM
    np.testing.assert_allclose(same.axes, volume.directions, atol=1e-12)
    assert same.volume_mm3 == pytest.approx(box.volume_mm3)


def test_along_other_axes_the_box_holds_it():
    box = OrientedBox((1, 2, 3), (10, 10, 4))
    turned = box.along(grid(Rotation.from_euler("z", 45, degrees=True).as_matrix()))
    np.testing.assert_allclose(turned.size_mm, [10 * np.sqrt(2), 10 * np.sqrt(2), 4])
    np.testing.assert_allclose(turned.center_ras_mm, (1, 2, 3))


def test_voxels_reach_out_to_their_faces():
    geometry = grid(np.eye(3), (1, 2, 3), (0, 0, 0))
    box = box_of_voxels((2, 3, 4), (4, 4, 5), geometry)
    assert box.size_mm == (2, 2, 3)
    assert box.center_ras_mm == (2.5, 6, 12)
    mask = np.zeros(geometry.shape_kji, dtype=bool)
    mask[4, 3, 2:4] = True
    assert box_of_mask(mask, geometry) == box


def test_centre_and_size_are_corners_and_back():
    boxes = np.array([[5.0, 6, 7, 2, 4, 6], [0, 0, 0, 1, 1, 1]])
    corners = corners_from_centers(boxes)
    np.testing.assert_allclose(corners[0], [4, 4, 4, 6, 8, 10])
    np.testing.assert_allclose(centers_from_corners(corners), boxes)


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_luna_table_and_back(axes, tmp_path):
    geometry = grid(axes)
    boxes = [box_from_corners([1, 2, 3, 6, 8, 10.5], geometry), box_from_corners([11.3, 2, 3, 16, 9, 13], geometry)]
    marks = marks_of("1.2.3", boxes, [0.25, 0.1 + 0.2])
    np.testing.assert_allclose(marks.center_mm[0], np.array(boxes[0].center_ras_mm) * [-1, -1, 1])
    write_marks(tmp_path / "marks.csv", marks)
    read = read_marks(tmp_path / "marks.csv")
    assert read.series == ("1.2.3", "1.2.3")
    assert read.value.tolist() == [0.25, 0.1 + 0.2]
    for box, back in zip(boxes, boxes_of(read, like=geometry), strict=True):
        assert np.abs(np.array(back.center_ras_mm) - box.center_ras_mm).max() < ROUND_TRIP_MM
        assert np.abs(np.array(back.size_mm) - box.size_mm).max() < ROUND_TRIP_MM
        assert back.has_axes_of(box)


def test_findings_with_a_diameter_are_cubes():
    points = Points(("a",), np.array([[10.0, -20.0, 30.0]]), np.array([7.5]))
    (box,) = boxes_of(points)
    assert box.center_ras_mm == (-10, 20, 30)
    assert box.size_mm == (7.5, 7.5, 7.5)


def test_a_table_of_marks_without_sizes(tmp_path):
    write_marks(tmp_path / "m.csv", Points(("a",), np.zeros((1, 3)), np.array([0.5])))
    assert (tmp_path / "m.csv").read_text() == "seriesuid,coordX,coordY,coordZ,probability\na,0.0,0.0,0.0,0.5\n"


def test_refusals():
    with pytest.raises(GeometryError, match="sizes above 0 mm, got"):
        OrientedBox((0, 0, 0), (1, 0, 1))
    with pytest.raises(GeometryError, match="Expected a finite centre"):
        OrientedBox((0, np.nan, 0), (1, 1, 1))
    with pytest.raises(GeometryError, match="three unit vectors that span space"):
        OrientedBox((0, 0, 0), (1, 1, 1), ((1, 0, 0), (0, 2, 0), (0, 0, 1)))
    with pytest.raises(GeometryError, match="three unit vectors that span space"):
        OrientedBox((0, 0, 0), (1, 1, 1), ((1, 0, 0), (1, 0, 0), (0, 0, 1)))
    with pytest.raises(GeometryError, match="every low end below its high end"):
        box_from_corners([0, 0, 0, 1, 0, 1], grid(np.eye(3)))
    with pytest.raises(GeometryError, match="at least one voxel"):
        box_of_mask(np.zeros((2, 2, 2), dtype=bool), grid(np.eye(3)))
    with pytest.raises(GeometryError, match=r"got -1 in row 2 of the table"):
        boxes_of(Points(("a", "a"), np.zeros((2, 3)), np.array([5.0, -1.0])))
    with pytest.raises(ValueError, match="a score for each of 1 boxes, got 0"):
        marks_of("a", [OrientedBox((0, 0, 0), (1, 1, 1))], [])
