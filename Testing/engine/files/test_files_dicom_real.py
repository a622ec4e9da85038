"""Real DICOM series with known faults: the right volume, or a refusal that names the fault."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from engine.files.sampling import sample
from scipy.ndimage import map_coordinates

from SlicerCNNSegLib.engine.errors import DicomError
from SlicerCNNSegLib.engine.files.dicom import list_series
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.volume import Volume


@pytest.fixture(scope="module")
def dicom_folder(data_folder) -> Path:
    return data_folder / "dicom"


def pixels_in_world(folder: Path, step: int = 7) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """For each slice its file's name, RAS points of every ``step``-th pixel (n, 3) and rescaled values (n,).

    Straight from the standard's formula (PS3.3 C.7.6.2.1.1), with nothing of the project in between.
    """
    slices = []
    for file in sorted(folder.rglob("*.dcm")):
        dataset = pydicom.dcmread(file)
        j, i = np.mgrid[0 : dataset.Rows : step, 0 : dataset.Columns : step]
        row, column = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        down, right = map(float, dataset.PixelSpacing)
        lps = np.array(dataset.ImagePositionPatient, float) + i[..., None] * right * row + j[..., None] * down * column
        values = pydicom.pixels.apply_rescale(dataset.pixel_array, dataset)[j, i]
        slices.append((file.name, (lps * [-1, -1, 1]).reshape(-1, 3), values.ravel().astype(float)))
    return slices


def assert_slices_unchanged(volume: Volume, folder: Path, tolerance: float = 0.0) -> None:
    """Every original pixel is found at its place in the patient."""
    for name, points, values in pixels_in_world(folder):
        index = volume.geometry.ijk_from_ras(points)
        np.testing.assert_allclose(index, np.rint(index), atol=0.02, err_msg=name)
        i, j, k = np.rint(index).astype(int).T
        np.testing.assert_allclose(volume.array[0, k, j, i], values, atol=tolerance, err_msg=name)


def test_ct_slices_lie_where_the_standard_says(dicom_folder):
    volume = read_volume(dicom_folder / "seg_sr" / "ct-3slice")
    assert volume.notes == ()
    assert_slices_unchanged(volume, dicom_folder / "seg_sr" / "ct-3slice")


def test_two_slices_make_the_volume_of_the_ground_truth(dicom_folder):
    folder = dicom_folder / "edge_cases" / "slicecount"
    volume, truth = read_volume(folder / "001"), read_volume(folder / "001_ground_truth.nii.gz")
    assert volume.array.shape == (1, 2, 256, 256)
    assert volume.notes == ()
    assert_slices_unchanged(volume, folder / "001")
    points = volume.geometry.ras_from_ijk(np.mgrid[0:256:5, 0:256:5, 0:2].reshape(3, -1).T)
    np.testing.assert_allclose(sample(truth, points), sample(volume, points), atol=0.01)


def test_a_tilted_series_with_a_missing_slice_agrees_with_the_ground_truth(dicom_folder):
    folder = dicom_folder / "edge_cases" / "sliceincrement"
    volume, truth = read_volume(folder / "002"), read_volume(folder / "002_ground_truth.nii.gz")
    assert volume.notes == (
        "resampled: 1 missing slice(s) interpolated, between IM-0001-0003.dcm and IM-0001-0005.dcm",
        "resampled: gantry tilt of 15.5 degrees",
    )
    assert_planes_interpolated_in_plane(volume, folder / "002")
    # The pixels are noise and the ground truth's planes lie 0.778 mm apart, not 0.75: the two agree where
    # they are at one place, and fall apart by a half millimetre's shift. Its outer planes are padding.
    index = np.mgrid[100:400:3, 100:400:3, 1:4].reshape(3, -1).T
    points = truth.geometry.ras_from_ijk(index)
    expected = sample(truth, points)
    agreement = {
        shift: np.corrcoef(sample(volume, points + np.array([0, shift, 0])), expected)[0, 1] for shift in (-0.5, 0, 0.5)
    }
    assert agreement[0] > 0.93
    assert max(agreement[-0.5], agreement[0.5]) < 0.7


def test_a_missing_ct_slice_is_interpolated(dicom_folder):
    folder = dicom_folder / "edge_cases" / "sliceincrement" / "001"
    volume = read_volume(folder)
    assert volume.array.shape == (1, 5, 512, 512)
    np.testing.assert_allclose(volume.geometry.spacing_mm, [0.429688, 0.429688, 5], atol=1e-4)
    assert volume.notes == (
        "resampled: 1 missing slice(s) interpolated, between IM-0001-0009-0001.dcm and IM-0001-0010-0001.dcm",
    )
    assert_slices_unchanged(volume, folder)
    below, above = volume.array[0, 2].astype(float), volume.array[0, 4].astype(float)
    np.testing.assert_allclose(volume.array[0, 3], (below + above) / 2, atol=0.5)


def test_a_missing_mr_slice_is_interpolated(dicom_folder):
    volume = read_volume(dicom_folder / "missing_slice_mr")
    assert volume.array.shape == (1, 19, 128, 84)
    assert volume.modality == "MR"
    assert volume.identifiers["SeriesDescription"] == "ep2d_diff_tra_DYNDISTCALC_BVAL"
    assert volume.notes == ("resampled: 1 missing slice(s) interpolated, between 1-07.dcm and 1-05.dcm",)
    assert_slices_unchanged(volume, dicom_folder / "missing_slice_mr")


def assert_planes_interpolated_in_plane(volume: Volume, folder: Path) -> None:
    """Every slice lies in a plane of the volume, moved along it: its pixels interpolated once, no more."""
    for file in sorted(folder.glob("*.dcm")):
        dataset = pydicom.dcmread(file)
        axes = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        down, right = map(float, dataset.PixelSpacing)
        first = np.array(dataset.ImagePositionPatient, float)
        plane = volume.geometry.ijk_from_ras(first * [-1, -1, 1])[2]
        assert plane == pytest.approx(round(plane), abs=0.01)
        j, i = np.mgrid[0 : volume.array.shape[2] : 5, 0 : volume.array.shape[3] : 5]
        lps = volume.geometry.ras_from_ijk(np.stack([i, j, np.full_like(i, plane)], axis=-1)) * [-1, -1, 1] - first
        index = np.stack([lps @ axes[1] / down, lps @ axes[0] / right])
        expected = map_coordinates(
            pydicom.pixels.apply_rescale(dataset.pixel_array, dataset), index, order=1, cval=np.nan
        )
        inside = np.isfinite(expected)
        assert inside.mean() > 0.9
        np.testing.assert_allclose(volume.array[0, round(plane), j, i][inside], expected[inside], atol=1)


def test_a_gantry_tilt_moves_slices_in_their_planes(dicom_folder):
    folder = dicom_folder / "edge_cases" / "gantrytilting" / "001"
    volume = read_volume(folder)
    assert volume.notes == ("resampled: gantry tilt of 14.0 degrees",)
    assert volume.array.dtype == np.int16
    np.testing.assert_allclose(volume.geometry.spacing_mm, [0.417969, 0.417969, 4.851479], atol=1e-5)
    assert_planes_interpolated_in_plane(volume, folder)


def test_a_tilted_head_ct_with_uneven_slices_is_resampled_in_place(dicom_folder):
    volume = read_volume(dicom_folder / "ct_head_gantry_tilt")
    assert volume.notes == (
        "resampled: slice distances from 1.08 to 7.00 mm, now 4.00 mm",
        "resampled: gantry tilt of 18.5 degrees",
    )
    assert not volume.geometry.is_sheared
    slices = pixels_in_world(dicom_folder / "ct_head_gantry_tilt", step=16)
    points, values = np.concatenate([s[1] for s in slices]), np.concatenate([s[2] for s in slices])
    found = sample(volume, points)
    assert np.isfinite(found).all()
    assert np.median(np.abs(found - values)) < 2  # HU
    agreement = {
        shift: np.corrcoef(np.nan_to_num(sample(volume, points + np.array([0, 0, shift])), nan=values.min()), values)[
            0, 1
        ]
        for shift in (-1.0, 0, 1.0)
    }
    assert agreement[0] > 0.998
    assert max(agreement[-1], agreement[1]) < agreement[0] - 0.004


def test_mixed_orientations_are_refused(dicom_folder):
    with pytest.raises(DicomError, match=r"IM-0001-0001-0001\.dcm has the orientation \[0\.99.*export each stack"):
        read_volume(dicom_folder / "edge_cases" / "sliceorientation" / "001")


def test_slices_at_one_place_are_refused(dicom_folder):
    with pytest.raises(DicomError, match=r"001\.dcm and 002\.dcm lie at the same place; export each time point"):
        read_volume(dicom_folder / "edge_cases" / "notavolume" / "001")


def test_images_segmentations_and_reports_are_told_apart(dicom_folder):
    series = list_series(dicom_folder / "seg_sr")
    assert sorted((one.modality, one.is_image) for one in series) == sorted(
        [("CT", True), ("CT", True), ("DX", True), ("RWV", False)] + [("SEG", False)] * 5 + [("SR", False)] * 2
    )
    with pytest.raises(DicomError, match=r"holds 3 image series; choose one with --series UID: .*\(DX, CHEST, 1 file"):
        read_volume(dicom_folder / "seg_sr")


def test_a_radiograph_is_one_slice_with_dense_bright(dicom_folder):
    file = dicom_folder / "seg_sr" / "dx_image.dcm"
    volume = read_volume(file)
    assert volume.array.shape == (1, 1, 169, 211)
    assert volume.modality == "DX"
    np.testing.assert_allclose(volume.geometry.spacing_mm[:2], [1.2012, 1.2], atol=1e-6)
    np.testing.assert_array_equal(volume.array[0, 0], 255 - pydicom.dcmread(file).pixel_array)
