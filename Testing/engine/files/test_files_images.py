"""Image files: the right volume, or one line that says what to do."""

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from engine.files.sampling import sample

from SlicerCNNSegLib.engine.errors import DicomError, FileReadError, GeometryError
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.files.itk import itk_cause

AFFINE = np.array([[0, -2.0, 0, 30], [1.5, 0, 0, -20], [0, 0, 3, 10], [0, 0, 0, 1]])
"""RAS; an axial image with i forward and j to the left."""


def noise(*size_ijk: int, dtype: type = np.int16) -> np.ndarray:
    """Values without a zero, so that zero-filling shows."""
    return np.random.default_rng(7).integers(1, 250, size_ijk).astype(dtype)


def write_nifti(path, array, sform=None, sform_code=1, qform=None, qform_code=0, zooms=None):
    image = nibabel.Nifti1Image(array, None)
    image.header.set_zooms(zooms or (1,) * array.ndim)
    image.set_qform(qform, qform_code)
    image.set_sform(sform, sform_code)
    image.to_filename(path)
    return path


@pytest.mark.parametrize("name", ["x.nii.gz", "x.nii", "x.nrrd", "x.mha", "x.mhd", "x.nhdr"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_formats_keep_values_type_and_place(tmp_path, name, dtype):
    array = noise(7, 6, 5, dtype=dtype)
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    image.SetDirection([0, -1, 0, -1, 0, 0, 0, 0, 1])
    image.SetSpacing([1.5, 2, 3])
    image.SetOrigin([-30, 20, 10])
    sitk.WriteImage(image, str(tmp_path / name))
    volume = read_volume(tmp_path / name)
    assert volume.array.dtype == dtype
    np.testing.assert_array_equal(volume.array[0], array.transpose(2, 1, 0))
    for index in [(0, 0, 0), (6, 5, 4), (1, 2, 3)]:
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(volume.geometry.ras_from_ijk(index) * [-1, -1, 1], lps, atol=1e-4)
    assert volume.source == str(tmp_path / name)
    assert volume.notes == ()


@pytest.mark.parametrize(("name", "channels"), [("x.png", 1), ("x.png", 3), ("x.jpg", 1), ("x.jpeg", 3)])
def test_pictures_are_single_slices(tmp_path, name, channels):
    array = np.full((20, 30) if channels == 1 else (20, 30, 3), 128, np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=channels > 1), str(tmp_path / name))
    volume = read_volume(tmp_path / name)
    assert volume.array.shape == (channels, 1, 20, 30)
    assert volume.is_2d
    np.testing.assert_allclose(volume.array, 128, atol=2)


def test_scaled_values_stay_right(tmp_path):
    image = nibabel.Nifti1Image(noise(4, 5, 6), np.eye(4))
    image.header.set_slope_inter(0.25, -3.5)
    stored = np.asarray(image.dataobj)
    with (tmp_path / "x.nii").open("wb") as file:
        header = image.header.copy()
        header["scl_slope"], header["scl_inter"], header["vox_offset"] = 0.25, -3.5, 352
        header["magic"] = b"n+1"
        file.write(header.binaryblock + bytes(4) + stored.tobytes(order="F"))
    volume = read_volume(tmp_path / "x.nii")
    assert np.issubdtype(volume.array.dtype, np.floating)
    np.testing.assert_allclose(volume.array[0].transpose(2, 1, 0), stored * 0.25 - 3.5)


def test_a_fourth_dimension_of_one_is_dropped(tmp_path):
    array = noise(4, 5, 6, 1)
    write_nifti(tmp_path / "x.nii.gz", array, AFFINE)
    volume = read_volume(tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(volume.array[0].transpose(2, 1, 0), array[..., 0])


def test_a_time_series_is_refused(tmp_path):
    write_nifti(tmp_path / "x.nii.gz", noise(4, 5, 6, 3), AFFINE)
    with pytest.raises(GeometryError, match=r"got 4 dimensions of sizes \(4, 5, 6, 3\).*split it into volumes"):
        read_volume(tmp_path / "x.nii.gz")


def test_complex_numbers_are_refused(tmp_path):
    write_nifti(tmp_path / "x.nii", noise(4, 5, 6).astype(np.complex64), AFFINE)
    with pytest.raises(FileReadError, match="got complex ones; export its magnitude"):
        read_volume(tmp_path / "x.nii")


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
def test_voxels_that_are_no_numbers_stay_so(tmp_path, name, dtype):
    array = noise(7, 6, 5).astype(dtype)
    array[1, 2, 3], array[6, 5, 4], array[0, 0, 0] = np.nan, np.inf, -np.inf
    image = nibabel.Nifti1Image(array, AFFINE, nibabel.Nifti1Header(endianness=dtype[0]))
    image.set_data_dtype(dtype)
    image.to_filename(tmp_path / name)
    assert np.isfinite(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name)))).all()  # what ITK makes of it
    found = read_volume(tmp_path / name).array[0].transpose(2, 1, 0)
    np.testing.assert_array_equal(found, np.where(np.isfinite(array), array, np.nan))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.999])
def test_a_truncated_nii_gz_is_an_error_never_zeros(tmp_path, keep):
    path = write_nifti(tmp_path / "x.nii.gz", noise(40, 50, 20), AFFINE)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(FileReadError, match=r"x\.nii\.gz is damaged or truncated.*export or copy it again"):
        read_volume(path)


def test_a_truncated_nii_is_an_error(tmp_path):
    path = write_nifti(tmp_path / "x.nii", noise(10, 10, 10), AFFINE)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(FileReadError, match="truncated: expected 2352 bytes, got 2350"):
        read_volume(path)


def test_a_short_nii_packed_whole_is_an_error(tmp_path):
    path = write_nifti(tmp_path / "x.nii", noise(10, 10, 10), AFFINE)
    (tmp_path / "y.nii.gz").write_bytes(gzip.compress(path.read_bytes()[:-100]))
    with pytest.raises(FileReadError, match="truncated: expected 2352 bytes, got 2252"):
        read_volume(tmp_path / "y.nii.gz")


def test_an_unpacked_file_named_nii_gz_is_read(tmp_path):
    path = write_nifti(tmp_path / "x.nii", noise(4, 5, 6), AFFINE)
    path.rename(tmp_path / "x.nii.gz")
    assert read_volume(tmp_path / "x.nii.gz").array.shape == (1, 6, 5, 4)


@pytest.mark.parametrize("name", ["x.nrrd", "x.mha", "x.png", "x.mhd", "x.nhdr"])
@pytest.mark.parametrize("packed", [True, False])
def test_other_truncated_files_are_errors(tmp_path, name, packed):
    array = noise(60, 50, 40, dtype=np.uint8)
    image = sitk.GetImageFromArray(array[0] if name == "x.png" else array)
    sitk.WriteImage(image, str(tmp_path / name), useCompression=packed)
    cut = max(tmp_path.iterdir(), key=lambda path: path.stat().st_size)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    with pytest.raises(FileReadError, match=r"(Cannot read|The file) .* damaged(,| or) truncated") as caught:
        read_volume(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_truncated_jpeg_is_an_error(tmp_path):
    path = tmp_path / "x.jpg"
    sitk.WriteImage(sitk.GetImageFromArray(noise(60, 50, dtype=np.uint8)), str(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FileReadError, match=r"truncated \(no end marker\); export or copy it again"):
        read_volume(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileReadError, match=r"No file or folder .*x\.nii\.gz; check the path"):
        read_volume(tmp_path / "x.nii.gz")


def test_an_empty_file_is_an_error(tmp_path):
    (tmp_path / "x.nii.gz").touch()
    with pytest.raises(FileReadError, match=r"x\.nii\.gz is empty; export or copy it again"):
        read_volume(tmp_path / "x.nii.gz")


def test_an_unknown_suffix_is_an_error(tmp_path):
    (tmp_path / "x.doc").write_text("hello")
    with pytest.raises(FileReadError, match=r"Expected a DICOM file or a suffix out of \.nii\.gz, .*convert it"):
        read_volume(tmp_path / "x.doc")


def test_a_text_named_nifti_is_an_error(tmp_path):
    (tmp_path / "x.nii").write_text("hello")
    with pytest.raises(FileReadError, match=r"its content is of no known format.*not what its suffix says"):
        read_volume(tmp_path / "x.nii")


def test_an_unreadable_file_is_an_error(tmp_path, monkeypatch):
    def refuse(path: object) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "x.nii").touch()
    monkeypatch.setattr("SlicerCNNSegLib.engine.files.dicom.is_dicom", refuse)
    with pytest.raises(FileReadError, match="Permission denied; check its permissions"):
        read_volume(tmp_path / "x.nii")


def test_a_series_cannot_be_chosen_from_a_file(tmp_path):
    with pytest.raises(FileReadError, match=r"Expected a DICOM folder to choose series 1\.2 from"):
        read_volume(tmp_path / "x.nii", series="1.2")


def test_a_folder_without_dicom_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DicomError, match="found none among its 1 files; choose the folder"):
        read_volume(tmp_path)


def test_reading_is_silent(tmp_path, capfd):
    sheared = AFFINE.copy()
    sheared[0, 2] = 1.0
    read_volume(write_nifti(tmp_path / "x.nii.gz", noise(4, 5, 6), sheared))
    assert capfd.readouterr() == ("", "")


def test_itk_warnings_are_on_again_afterwards(tmp_path):
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    (tmp_path / "x.nii").write_text("hello")
    with pytest.raises(FileReadError):
        read_volume(tmp_path / "x.nii")
    assert sitk.ProcessObject.GetGlobalWarningDisplay() == before


def test_a_sheared_sform_gives_a_straight_volume(tmp_path):
    sheared = np.diag([1.0, 2.0, 3.0, 1.0])
    sheared[1, 2], sheared[:3, 3] = 1.2, [5, 6, 7]
    index = np.stack(np.meshgrid(np.arange(12), np.arange(15), np.arange(10), indexing="ij"), axis=-1)
    field = ((index @ sheared[:3, :3].T + sheared[:3, 3]) @ [0.5, -0.3, 0.8]).astype(np.float32)
    volume = read_volume(write_nifti(tmp_path / "x.nii.gz", field, sheared))
    assert not volume.geometry.is_sheared
    assert volume.notes == ("resampled: shear of the axes of 21.8 degrees",)
    points = (index[3:9, 3:12, 3:7] @ sheared[:3, :3].T + sheared[:3, 3]).reshape(-1, 3)
    found = sample(volume, points)
    np.testing.assert_allclose(found, points @ [0.5, -0.3, 0.8], atol=1e-3)


def test_a_barely_sheared_sform_is_kept_exactly(tmp_path):
    matrix = np.diag([1.0, 2.0, 3.0, 1.0])
    matrix[1, 2] = 2e-3  # a cosine of 0.0007, at which ITK refuses to read
    volume = read_volume(write_nifti(tmp_path / "x.nii.gz", noise(4, 5, 6), matrix))
    np.testing.assert_allclose(volume.ijk_to_ras, matrix, atol=1e-6)
    assert volume.array.shape == (1, 6, 5, 4)
    assert volume.notes == ()


def test_an_sform_alone_rules_over_pixdim(tmp_path):
    volume = read_volume(write_nifti(tmp_path / "x.nii.gz", noise(4, 5, 6), AFFINE, zooms=(1, 1, 1)))
    np.testing.assert_allclose(volume.ijk_to_ras, AFFINE, atol=1e-6)


def test_a_sform_and_qform_that_disagree_are_told(tmp_path):
    moved = AFFINE.copy()
    moved[:3, 3] += 5
    path = write_nifti(tmp_path / "x.nii.gz", noise(4, 5, 6), AFFINE, 2, moved, 1)
    volume = read_volume(path)
    np.testing.assert_allclose(volume.ijk_to_ras, moved, atol=1e-5)
    assert volume.notes == ("the header's sform and qform disagree: placed as ITK and 3D Slicer place it",)
    np.testing.assert_allclose(volume.geometry.origin_ras_mm * [-1, -1, 1], sitk.ReadImage(str(path)).GetOrigin())


def test_units_of_the_header_count(tmp_path):
    image = nibabel.Nifti1Image(noise(4, 5, 6), AFFINE / [[1000], [1000], [1000], [1]])
    image.header.set_xyzt_units("meter")
    image.to_filename(tmp_path / "x.nii.gz")
    np.testing.assert_allclose(read_volume(tmp_path / "x.nii.gz").ijk_to_ras, AFFINE, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.cxx:91:\nsitk::ERROR: The file does not exist.", "The file does not exist"),
        ("a.cxx:1:\nITK ERROR: PNGImageIO(0x55ab): Error while reading.\n", "Error while reading"),
        ("ITK ERROR: N(0x1): Read:\n[nrrd] nrrdLoad: trouble\n[nrrd] _x_read: expected 9 bytes\n", "expected 9 bytes"),
        ("ITK ERROR: M(0x1): File cannot be read.\nReason: No such file or directory", "File cannot be read"),
        ("", "no reason given"),
    ],
)
def test_an_itk_error_is_reduced_to_its_cause(text, expected):
    assert itk_cause(RuntimeError(text)) == expected


@pytest.mark.parametrize("name", ["example_ct_sm.nii.gz", "example_mr_sm.nii.gz", "pulmonary_ct_cropped.nii.gz"])
def test_real_files_agree_with_nibabel(data_folder, name):
    path = data_folder / "totalsegmentator_samples" / name
    volume, reference = read_volume(path), nibabel.load(path)
    np.testing.assert_allclose(volume.ijk_to_ras, reference.affine, atol=1e-4)
    np.testing.assert_array_equal(volume.array[0].transpose(2, 1, 0), np.asarray(reference.dataobj))
