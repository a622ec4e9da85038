"""Metrics against SimpleITK, MONAI and closed forms."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage

from SlicerCNNSegLib.engine.errors import GeometryError, SettingsError
from SlicerCNNSegLib.engine.evaluation.metrics import ABSENT, METRICS, compare_labelmaps
from SlicerCNNSegLib.engine.volume import Geometry

SPACING_IJK = (0.5, 0.75, 3.0)


def a_grid(shape_kji, spacing_ijk=(1.0, 1.0, 1.0)):
    return Geometry(shape_kji, np.diag([*spacing_ijk, 1.0]))


def a_box(shape_kji, start_kji, stop_kji):
    labelmap = np.zeros(shape_kji, np.uint8)
    labelmap[tuple(slice(a, b) for a, b in zip(start_kji, stop_kji, strict=True))] = 1
    return labelmap


def two_blobs(seed, shape=(14, 24, 30)):
    rng = np.random.default_rng(seed)
    reference = ndimage.gaussian_filter(rng.normal(size=shape), 2) > 0.05
    prediction = ndimage.gaussian_filter(reference + 0.8 * rng.normal(size=shape), 1) > 0.5
    return reference.astype(np.uint8), prediction.astype(np.uint8)


def compare(reference, prediction, spacing_ijk=(1.0, 1.0, 1.0), **options):
    return compare_labelmaps(reference, prediction, a_grid(reference.shape, spacing_ijk), **options)[1]


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI's own call of itself
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spacing_ijk", [(1.0, 1.0, 1.0), SPACING_IJK])
def test_agrees_with_simpleitk_and_monai(seed, spacing_ijk):
    reference, prediction = two_blobs(seed)
    metrics = compare(reference, prediction, spacing_ijk, tolerance_mm=0.8)

    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*(sitk.GetImageFromArray(array) for array in (reference, prediction)))
    assert metrics.dice == pytest.approx(overlap.GetDiceCoefficient(1), abs=1e-12)
    assert metrics.iou == pytest.approx(overlap.GetJaccardCoefficient(1), abs=1e-12)

    one_hot = [torch.from_numpy(array)[None, None] for array in (prediction, reference)]
    spacing = list(spacing_ijk[::-1])
    hd95 = compute_hausdorff_distance(*one_hot, include_background=True, percentile=95, spacing=spacing)
    mean = compute_average_surface_distance(*one_hot, include_background=True, symmetric=True, spacing=spacing)
    nsd = compute_surface_dice(*one_hot, [0.8], include_background=True, spacing=spacing, use_subvoxels=True)
    assert metrics.hd95_mm == pytest.approx(float(hd95), rel=1e-5)
    assert metrics.surface_distance_mm == pytest.approx(float(mean), rel=1e-5)
    assert metrics.nsd == pytest.approx(float(nsd), rel=1e-5)


@pytest.mark.parametrize("axis", range(3))
def test_hd95_of_thin_plates_is_their_distance_as_in_simpleitk(axis):
    # a plate of one voxel is all boundary: SimpleITK's distance of all voxels is that of the boundaries
    start, stop = [2, 2, 2], [10, 10, 10]
    stop[axis] = 3
    shifted_start, shifted_stop = list(start), list(stop)
    shifted_start[axis] += 4
    shifted_stop[axis] += 4
    reference = a_box((12, 12, 12), start, stop)
    prediction = a_box((12, 12, 12), shifted_start, shifted_stop)
    images = [sitk.GetImageFromArray(array) for array in (reference, prediction)]
    for image in images:
        image.SetSpacing(SPACING_IJK)
    hausdorff = sitk.HausdorffDistanceImageFilter()
    hausdorff.Execute(*images)

    metrics = compare(reference, prediction, SPACING_IJK)

    expected_mm = 4 * SPACING_IJK[::-1][axis]
    assert hausdorff.GetHausdorffDistance() == pytest.approx(expected_mm)
    assert metrics.hd95_mm == pytest.approx(expected_mm, rel=1e-6)
    assert metrics.surface_distance_mm == pytest.approx(expected_mm, rel=1e-6)
    assert metrics.dice == 0


def test_two_shifted_cubes_have_the_closed_forms():
    # edge 10, shifted by 2 along i: 8 of 10 columns are common
    reference = a_box((14, 14, 20), (2, 2, 2), (12, 12, 12))
    prediction = a_box((14, 14, 20), (2, 2, 4), (12, 12, 14))
    metrics = compare(reference, prediction, (0.5, 1.0, 1.0))
    assert metrics.outcome == "found"
    assert metrics.dice == pytest.approx(0.8)
    assert metrics.iou == pytest.approx(8 / 12)
    assert metrics.hd95_mm == pytest.approx(1.0)  # the faces across i: 2 voxels of 0.5 mm
    assert metrics.reference_mm3 == metrics.prediction_mm3 == pytest.approx(500.0)
    assert metrics.volume_error_mm3 == metrics.volume_error_relative == 0


def test_nsd_is_the_share_of_area_within_the_tolerance():
    # one face of a box is moved by 3 mm
    shape = (40, 40, 40)
    reference, prediction = a_box(shape, (0, 0, 0), (40, 40, 20)), a_box(shape, (0, 0, 0), (40, 40, 23))
    assert compare(reference, prediction, tolerance_mm=3.0).nsd == 1.0  # exactly the tolerance is within
    side = 40.0
    area_mm2 = sum(2 * side**2 + 4 * side * depth for depth in (20, 23))
    moved_face = side**2
    left_face = (side - 2) ** 2  # its rim lies within 1 mm of the other box's sides
    longer_sides = 4 * side * (3 - 1)
    expected = 1 - (moved_face + left_face + longer_sides) / area_mm2
    # the surface elements cut the boxes' edges and corners: under 2 % of the area at this size
    assert compare(reference, prediction, tolerance_mm=1.0).nsd == pytest.approx(expected, rel=0.02)


def test_concentric_spheres_are_their_radii_apart():
    z, y, x = np.indices((48, 48, 48)) - 23.5
    radius = np.sqrt(x**2 + y**2 + z**2)
    reference, prediction = (radius < 20).astype(np.uint8), (radius < 16).astype(np.uint8)
    metrics = compare(reference, prediction)
    # to the nearest voxel of a shell that is up to a voxel thick: slightly less than between the spheres
    assert metrics.surface_distance_mm == pytest.approx(4.0, abs=0.25)
    assert metrics.hd95_mm == pytest.approx(4.0, abs=0.6)  # a voxel's diagonal at most
    assert metrics.dice == pytest.approx(2 * 16**3 / (16**3 + 20**3), abs=0.005)
    assert metrics.volume_error_relative == pytest.approx(0.8**3 - 1, abs=0.005)


@pytest.mark.parametrize("axis", range(3))
def test_spacing_belongs_to_the_right_axis(axis):
    reference = a_box((20, 20, 20), (4, 4, 4), (12, 12, 12))
    prediction = np.roll(reference, 3, axis=axis)
    metrics = compare(reference, prediction, (1.0, 2.0, 5.0))
    assert metrics.hd95_mm == pytest.approx(3 * (5.0, 2.0, 1.0)[axis])


def test_agreement_is_symmetric_and_volume_error_changes_sign():
    reference, prediction = two_blobs(7)
    there, back = compare(reference, prediction, SPACING_IJK), compare(prediction, reference, SPACING_IJK)
    for metric in ("dice", "iou", "nsd", "hd95_mm", "surface_distance_mm"):
        assert getattr(there, metric) == pytest.approx(getattr(back, metric), rel=1e-9)
    assert there.volume_error_mm3 == -back.volume_error_mm3


def test_identical_masks_are_perfect():
    reference, _ = two_blobs(0)
    metrics = compare(reference, reference)
    assert [getattr(metrics, metric) for metric in METRICS] == [1, 1, 1, 0, 0, 0, 0]


def test_empty_sets_follow_the_conventions():
    shape = (6, 6, 6)
    full, empty = a_box(shape, (1, 1, 1), (3, 3, 3)), np.zeros(shape, np.uint8)

    missed = compare(full, empty)
    assert (missed.outcome, missed.dice, missed.iou, missed.nsd) == ("missed", 0, 0, 0)
    assert (missed.hd95_mm, missed.surface_distance_mm) == (None, None)
    assert (missed.volume_error_mm3, missed.volume_error_relative) == (-8, -1)

    alarm = compare(empty, full)
    assert (alarm.outcome, alarm.dice, alarm.iou, alarm.nsd) == ("false_alarm", 0, 0, 0)
    assert (alarm.hd95_mm, alarm.surface_distance_mm) == (None, None)
    assert (alarm.volume_error_mm3, alarm.volume_error_relative) == (8, None)

    assert compare_labelmaps(empty, empty, a_grid(shape)) == {}
    assert compare_labelmaps(empty, empty, a_grid(shape), labels=[3]) == {3: ABSENT}
    assert all(getattr(ABSENT, metric) is None for metric in METRICS)


def test_labels_are_compared_one_by_one_and_only_those_asked_for():
    shape = (8, 8, 8)
    reference = a_box(shape, (1, 1, 1), (3, 3, 3)) + 5 * a_box(shape, (4, 4, 4), (6, 6, 6))
    prediction = a_box(shape, (1, 1, 1), (3, 3, 3)) + 7 * a_box(shape, (4, 4, 4), (6, 6, 6))
    outcomes = {
        value: metrics.outcome for value, metrics in compare_labelmaps(reference, prediction, a_grid(shape)).items()
    }
    assert outcomes == {1: "found", 5: "missed", 7: "false_alarm"}
    assert list(compare_labelmaps(reference, prediction, a_grid(shape), labels=[5, 1])) == [1, 5]


@pytest.mark.parametrize("flat_axis", range(3))
def test_single_slice_is_compared_in_its_plane(flat_axis):
    reference = np.expand_dims(a_box((20, 20, 1), (4, 4, 0), (14, 14, 1))[..., 0], flat_axis)
    prediction = np.roll(reference, 2, axis=1 if flat_axis == 0 else 0)
    metrics = compare(reference, prediction)
    assert metrics.hd95_mm == pytest.approx(2.0)
    # of the 4 x 10 mm contour, the two moved sides and 1 mm beside each are further off than 0.5 mm; in
    # 3-D the faces of the slice would hide most of that
    assert 0.4 < compare(reference, prediction, tolerance_mm=0.5).nsd < 0.5


def test_structure_at_the_grids_edge_has_a_closed_surface():
    inside = a_box((12, 12, 12), (2, 2, 2), (8, 8, 8))
    at_edge = inside[2:, 2:, 2:]
    moved = [np.roll(array, 1, axis=0) for array in (inside, at_edge)]
    assert compare(at_edge, moved[1]) == compare(inside, moved[0])


def test_refuses_differing_shapes():
    shape = (4, 4, 4)
    with pytest.raises(
        GeometryError, match=r"two labelmaps of shape \(k, j, i\) \(4, 4, 4\), got \(4, 4, 4\) and \(4, 4, 5\)"
    ):
        compare_labelmaps(np.zeros(shape, int), np.zeros((4, 4, 5), int), a_grid(shape))


def test_refuses_sheared_axes():
    matrix = np.eye(4)
    matrix[1, 2] = 0.3
    labelmap = a_box((4, 4, 4), (1, 1, 1), (3, 3, 3))
    with pytest.raises(GeometryError, match="axes are not orthogonal; resample both"):
        compare_labelmaps(labelmap, labelmap, Geometry((4, 4, 4), matrix))


@pytest.mark.parametrize("tolerance_mm", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_a_bad_tolerance(tolerance_mm):
    labelmap = a_box((4, 4, 4), (1, 1, 1), (3, 3, 3))
    with pytest.raises(SettingsError, match="Expected a tolerance above 0 mm, got"):
        compare(labelmap, labelmap, tolerance_mm=tolerance_mm)
