"""DICOM series made for the purpose: the right volume, or the file and its fault."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from engine.files.made_dicom import slice_dataset
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    MediaStorageDirectoryStorage,
    generate_uid,
)

from SlicerCNNSegLib.engine.errors import Cancelled, DicomError, FileReadError
from SlicerCNNSegLib.engine.files.dicom import list_series, read_file, read_series
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.progress import RecordingProgress

COLUMNS, ROWS = 12, 16
FIELD = np.array([0.5, -0.25, 0.75])
"""Slope of a linear field in LPS: linear interpolation leaves it as it is."""


def oblique_axes(tilt_degrees: float = 25.0) -> np.ndarray:
    """Row and column directions of slices tilted about the row's axis, shape (2, 3)."""
    angle = np.radians(tilt_degrees)
    return np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)]])


def field_slices(positions, axes):
    """The field in the pixels of each slice, as stored by a rescale slope of 0.01 and intercept of -100."""
    j, i = np.mgrid[:ROWS, :COLUMNS]
    offsets = i[..., None] * axes[0] * 0.8 + j[..., None] * axes[1] * 0.5
    return [np.rint(((p + offsets) @ FIELD + 100) / 0.01).astype(np.uint16) for p in positions]


def write_field(write_series, positions, axes, **more):
    orientation = [float(f"{c:.10g}") for c in axes.ravel()]
    return write_series(
        field_slices(positions, axes),
        positions,
        ImageOrientationPatient=orientation,
        RescaleSlope="0.01",
        RescaleIntercept="-100",
        **more,
    )


def assert_field(volume, positions, axes):
    """The volume holds the field everywhere inside the stack of slices."""
    size = np.array(volume.geometry.size_ijk)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in size], indexing="ij"), axis=-1)
    lps = volume.geometry.ras_from_ijk(index) * [-1, -1, 1]
    normal = np.cross(*axes)
    depth = (lps - positions[0]) @ normal
    along = (positions[-1] - positions[0]) / ((positions[-1] - positions[0]) @ normal)
    in_plane = lps - positions[0] - depth[..., None] * along
    inside = (np.abs(depth - depth.clip(0, (positions[-1] - positions[0]) @ normal)) < 1e-6) & np.logical_and(
        (in_plane @ axes[0] >= -1e-6) & (in_plane @ axes[0] <= 0.8 * (COLUMNS - 1) + 1e-6),
        (in_plane @ axes[1] >= -1e-6) & (in_plane @ axes[1] <= 0.5 * (ROWS - 1) + 1e-6),
    )
    assert inside.sum() >= 0.8 * COLUMNS * ROWS * (len(positions) - 1)
    np.testing.assert_allclose(volume.array[0].transpose(2, 1, 0)[inside], (lps @ FIELD)[inside], atol=0.02)


def test_an_oblique_series_in_any_order_of_files(write_series, tmp_path):
    axes = oblique_axes()
    positions = np.array([5, -7, 9]) + np.outer(np.arange(6) * 2.5, np.cross(*axes))
    order = [3, 0, 5, 1, 4, 2]
    write_field(write_series, positions[order], axes, SeriesDescription="oblique", FrameOfReferenceUID="1.2.3")
    volume = read_volume(tmp_path)
    assert volume.array.shape == (1, 6, ROWS, COLUMNS)
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.geometry.spacing_mm, [0.8, 0.5, 2.5], atol=1e-6)
    assert volume.modality == "CT"
    assert volume.notes == ()
    assert volume.source == str(tmp_path)
    assert volume.identifiers["SeriesDescription"] == "oblique"
    assert volume.identifiers["FrameOfReferenceUID"] == "1.2.3"
    assert set(volume.identifiers) >= {"StudyInstanceUID", "SeriesInstanceUID"}
    assert_field(volume, positions, axes)


@pytest.mark.parametrize("tilt", [18.5, -12.0])
def test_a_gantry_tilt_is_resampled_and_said(write_series, tmp_path, tilt):
    axes = oblique_axes(tilt)
    positions = np.array([5, -7, 9]) + np.outer(np.arange(7) * 2.0, [0, 0, 1])
    write_field(write_series, positions, axes)
    volume = read_volume(tmp_path)
    assert volume.notes == (f"resampled: gantry tilt of {abs(tilt):.1f} degrees",)
    assert not volume.geometry.is_sheared
    assert_field(volume, positions, axes)


def test_missing_slices_are_interpolated_and_said(write_series, tmp_path):
    axes = oblique_axes(0)
    positions = np.outer([0, 2, 4, 10, 12], [0, 0, 1.0])
    files = write_field(write_series, positions, axes)
    volume = read_volume(tmp_path)
    assert volume.array.shape[1] == 7
    assert volume.notes == (f"resampled: 2 missing slice(s) interpolated, between {files[2].name} and {files[3].name}",)
    assert_field(volume, positions, axes)


def test_uneven_slices_under_a_tilt_are_resampled_and_said(write_series, tmp_path):
    axes = oblique_axes(10)
    depths = np.array([0, 1, 5, 9, 13, 20, 27]) / np.cos(np.radians(10))
    positions = np.outer(depths, [0, 0, 1.0])
    write_field(write_series, positions, axes)
    volume = read_volume(tmp_path)
    assert volume.notes == (
        "resampled: slice distances from 1.00 to 7.00 mm, now 3.86 mm",
        "resampled: gantry tilt of 10.0 degrees",
    )
    assert_field(volume, positions, axes)


def test_rounded_positions_are_regular(write_series, tmp_path):
    positions = np.outer(np.round(np.arange(30) * 0.7031, 2), [0, 0, 1.0])
    write_field(write_series, positions, oblique_axes(0))
    volume = read_volume(tmp_path)
    assert volume.notes == ()
    assert volume.array.shape[1] == 30
    assert volume.geometry.spacing_mm[2] == pytest.approx(0.7031, abs=1e-3)


def test_hounsfield_units_take_sixteen_bits(write_series, tmp_path):
    stored = np.arange(ROWS * COLUMNS, dtype=np.uint16).reshape(ROWS, COLUMNS)
    write_series([stored, stored + 1], [[0, 0, 0], [0, 0, 3]], RescaleSlope="2", RescaleIntercept="-1024")
    volume = read_volume(tmp_path)
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array[0, 1], stored.astype(int) * 2 - 1022)


def test_each_slice_has_its_own_slope(write_series, tmp_path):
    stored = np.arange(ROWS * COLUMNS, dtype=np.uint16).reshape(ROWS, COLUMNS)
    changes = {n: {"RescaleSlope": slope} for n, slope in enumerate(("1", "0.5", "2.25"))}
    write_series([stored] * 3, [[0, 0, z] for z in (0, 3, 6)], Modality="PT", RescaleIntercept="0", changes=changes)
    volume = read_volume(tmp_path)
    for k, slope in enumerate((1, 0.5, 2.25)):
        np.testing.assert_allclose(volume.array[0, k], stored * slope)


def test_one_slice_is_a_single_slice_volume(write_series):
    (file,) = write_series([np.ones((ROWS, COLUMNS), np.int16)], [[1, 2, 3]], SliceThickness="4")
    volume = read_volume(file)
    assert volume.is_2d
    np.testing.assert_allclose(volume.geometry.spacing_mm, [0.8, 0.5, 4])
    np.testing.assert_allclose(volume.geometry.origin_ras_mm, [-1, -2, 3])
    assert volume.source == str(file)


def test_colour_slices_have_three_channels(write_series, tmp_path):
    picture = np.arange(ROWS * COLUMNS * 3, dtype=np.uint8).reshape(ROWS, COLUMNS, 3)
    (file,) = write_series(
        [picture],
        [[0, 0, 0]],
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=0,
        Rows=ROWS,
        Columns=COLUMNS,
    )
    np.testing.assert_array_equal(read_volume(file).array[:, 0], picture.transpose(2, 0, 1))


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_compressed_slices_are_unpacked(tmp_path, compressor):
    array = np.random.default_rng(3).integers(0, 4000, (ROWS, COLUMNS)).astype(np.uint16)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    writer.SetFileName(str(tmp_path / "x.dcm"))
    writer.Execute(sitk.GetImageFromArray(array[None]))
    assert pydicom.dcmread(tmp_path / "x.dcm").file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read_volume(tmp_path / "x.dcm").array[0, 0], array)


def test_several_series_are_listed_and_never_mixed(write_series, tmp_path):
    pixels = np.ones((ROWS, COLUMNS), np.int16)
    for number, description in ((2, "lung"), (1, "soft tissue")):
        write_series(
            [pixels * number] * (number + 1),
            [[0, 0, 3 * z] for z in range(number + 1)],
            folder=tmp_path / str(number),
            SeriesDescription=description,
            SeriesNumber=number,
        )
    (tmp_path / "README.txt").write_text("no DICOM")
    series = list_series(tmp_path)
    assert [(s.modality, s.description, len(s.files), s.is_image) for s in series] == [
        ("CT", "soft tissue", 2, True),
        ("CT", "lung", 3, True),
    ]
    with pytest.raises(DicomError, match="holds 2 image series; choose one with --series UID: ") as caught:
        read_volume(tmp_path)
    for one in series:
        assert f"{one.uid} (CT, {one.description}, {len(one.files)} file(s))" in str(caught.value)
        volume = read_volume(tmp_path, series=one.uid)
        assert volume.array.shape[1] == len(one.files)
        assert volume.identifiers["SeriesInstanceUID"] == one.uid
    with pytest.raises(
        DicomError, match=r"Expected --series to be one image series of .*, got 1\.2; there are: .*lung"
    ):
        read_series(tmp_path, "1.2")


def test_derived_objects_beside_the_images_don_t_count(write_series, tmp_path):
    pixels = np.ones((ROWS, COLUMNS), np.int16)
    (first, *_) = write_series([pixels] * 2, [[0, 0, 0], [0, 0, 1]])
    uid = pydicom.dcmread(first).SeriesInstanceUID
    write_series([pixels], [[0, 0, 0]], folder=tmp_path / "mask", Modality="SEG")
    write_series([pixels], [[0, 0, 0]], folder=tmp_path / "report", Modality="SR", SeriesInstanceUID=uid)
    assert read_volume(tmp_path).array.shape[1] == 2
    assert sorted(one.modality for one in list_series(tmp_path)) == ["CT", "SEG", "SR"]


def test_only_derived_objects_is_an_error(write_series, tmp_path):
    (file,) = write_series([np.ones((ROWS, COLUMNS), np.int16)], [[0, 0, 0]], Modality="SEG")
    with pytest.raises(DicomError, match=r"Expected an image series in .*, got only .*SEG, no description, 1 file"):
        read_series(tmp_path)
    with pytest.raises(DicomError, match=r"Expected an image in .*, got modality SEG without pixels to look at"):
        read_file(file)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileReadError, match=r"No folder .*nothing; check the path"):
        list_series(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
            r"{bad} has the orientation \[0.0, 1.0.*, but .* \[1.0, 0.0",
        ),
        ({"PixelSpacing": [0.6, 0.8]}, r"{bad} has the pixel spacing in mm \[0.8, 0.6\], but .* \[0.8, 0.5\]"),
        ({"Rows": 8, "PixelData": bytes(8 * COLUMNS * 2)}, r"{bad} has the size \(columns, rows\) \[12.0, 8.0\], but"),
        ({"ImagePositionPatient": None}, r"{bad} of .* has no place in the patient.*choose a cross-sectional series"),
        ({"ImagePositionPatient": [0, 0, 3]}, r"{before} and {bad} lie at the same place"),
        ({"ImagePositionPatient": [0, 2, 6]}, r"{bad} lies 2.00 mm beside the line through the other slices"),
        (
            {"ImagePositionPatient": [0, 3]},
            r"Expected 3 number\(s\) in ImagePositionPatient of .*{bad}, got \[0.0, 3.0\]",
        ),
        ({"PixelSpacing": [0, 1]}, r"Expected a positive PixelSpacing in .*{bad}, got \[0.0, 1.0\]"),
        ({"Columns": 0}, r"Expected Columns and Rows of at least 1 in .*{bad}, got \[0, 16\]; export"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, r"Expected two unit vectors at a right angle in .*{bad}"),
    ],
)
def test_a_slice_that_does_not_fit_is_named_with_its_fault(write_series, tmp_path, change, fault):
    pixels = np.ones((ROWS, COLUMNS), np.int16)
    files = write_series([pixels] * 5, [[0, 0, 3 * z] for z in range(5)], changes={2: change})
    with pytest.raises(DicomError, match=fault.format(bad=files[2].name, before=files[1].name)) as caught:
        read_volume(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_wide_gap_is_refused(write_series, tmp_path):
    files = write_series([np.ones((ROWS, COLUMNS), np.int16)] * 5, [[0, 0, z] for z in (0, 3, 6, 20, 23)])
    fault = f"lacks slices: 14.00 mm between {files[2].name} and {files[3].name}, else 3.00 mm; export the series"
    with pytest.raises(DicomError, match=fault):
        read_volume(tmp_path)


@pytest.mark.parametrize("lost", [2, 600, 4000])  # 600: fewer than the header has
def test_truncated_pixels_are_refused(write_series, tmp_path, lost):
    files = write_series([np.ones((64, 64), np.int16)] * 3, [[0, 0, z] for z in range(3)])
    files[1].write_bytes(files[1].read_bytes()[:-lost])
    fault = f"{files[1].name} is damaged or truncated: expected at least 8192 bytes of pixels, got {8192 - lost};"
    with pytest.raises(DicomError, match=f"The file .*{fault}"):
        read_volume(tmp_path)


def test_a_damaged_header_is_refused(write_series, tmp_path):
    files = write_series([np.ones((ROWS, COLUMNS), np.int16)] * 3, [[0, 0, z] for z in range(3)])
    content = files[1].read_bytes()
    files[1].write_bytes(content[:300])  # as a copy that broke off: half a header is no missing slice
    with pytest.raises(DicomError, match=f"Expected a SeriesInstanceUID in .*{files[1].name}, found none; the file is"):
        read_volume(tmp_path)
    with pytest.raises(DicomError, match=f"Expected an image in .*{files[1].name}, got modality none"):
        read_volume(files[1])
    files[1].write_bytes(content[:136] + b"\xff\xff" + content[138:150])  # a group length of no number of bytes
    with pytest.raises(DicomError, match=f"Cannot read the header of .*{files[1].name}.*export the file again"):
        read_volume(tmp_path)


def test_a_value_that_is_no_number_is_refused(write_series):
    (file,) = write_series([np.ones((ROWS, COLUMNS), np.int16)], [[0, 0, 0]], SliceThickness="12.5")
    file.write_bytes(file.read_bytes().replace(b"12.5", b"1mm "))
    with pytest.raises(
        DicomError, match=rf"Expected 1 number\(s\) in SliceThickness of .*{file.name}, got 1mm; export"
    ):
        read_volume(file)


def test_a_dicomdir_is_passed_over(write_series, tmp_path):
    write_series([np.ones((ROWS, COLUMNS), np.int16)] * 2, [[0, 0, 0], [0, 0, 1]])
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    directory.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    assert [len(one.files) for one in list_series(tmp_path)] == [2]


def enhanced(frames: int, **shared: object) -> Dataset:
    """An enhanced CT whose frames lie 2 mm apart, stored last first; frame n holds n + 1."""
    pixels = np.stack([np.full((ROWS, COLUMNS), n + 1, np.uint16) for n in range(frames)])
    dataset = slice_dataset(pixels, NumberOfFrames=frames, SOPClassUID=EnhancedCTImageStorage, **shared)
    dataset.SeriesInstanceUID = generate_uid()
    for keyword in ("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient"):
        delattr(dataset, keyword)

    def group(keyword: str, **attributes: object) -> Dataset:
        item, holder = Dataset(), Dataset()
        for name, value in attributes.items():
            setattr(item, name, value)
        setattr(holder, keyword, Sequence([item]))
        return holder

    common = group("PixelMeasuresSequence", PixelSpacing=[0.5, 0.8], SliceThickness="2")
    common.update(group("PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0]))
    dataset.SharedFunctionalGroupsSequence = Sequence([common])
    dataset.PerFrameFunctionalGroupsSequence = Sequence()
    for n in range(frames):
        own = group("PlanePositionSequence", ImagePositionPatient=[1, 2, -2 * n])
        slope = 1 if n else 0.5
        own.update(group("PixelValueTransformationSequence", RescaleSlope=slope, RescaleIntercept=-10))
        dataset.PerFrameFunctionalGroupsSequence.append(own)
    return dataset


@pytest.mark.parametrize("frames", [1, 4])
def test_an_enhanced_multi_frame_image_is_a_volume(tmp_path, frames):
    enhanced(frames).save_as(tmp_path / "x.dcm", enforce_file_format=True)
    volume = read_volume(tmp_path)
    assert volume.array.shape == (1, frames, ROWS, COLUMNS)
    np.testing.assert_allclose(volume.geometry.spacing_mm, [0.8, 0.5, 2])
    np.testing.assert_allclose(volume.array[0, :, 0, 0], [4 - 10, 3 - 10, 2 - 10, 0.5 - 10][-frames:])
    np.testing.assert_allclose(volume.geometry.origin_ras_mm, [-1, -2, -2 * (frames - 1)])


def test_frames_without_a_place_are_refused(tmp_path):
    dataset = enhanced(4)
    del dataset.PerFrameFunctionalGroupsSequence
    dataset.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    with pytest.raises(DicomError, match=r"Expected 4 frames with a place each in .*x\.dcm, got 0 places; export"):
        read_volume(tmp_path)


def test_a_faulty_frame_is_named(tmp_path):
    dataset = enhanced(4)
    dataset.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence[0].ImagePositionPatient = [1, 2, 0]
    dataset.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    with pytest.raises(DicomError, match=r"x\.dcm \(frame 1\) and x\.dcm \(frame 3\) lie at the same place"):
        read_volume(tmp_path)


def test_frames_that_cannot_be_unpacked_are_refused(tmp_path):
    dataset = enhanced(4)
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = pydicom.encaps.encapsulate([b"no codestream"] * 4)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    with pytest.raises(DicomError, match=r"Cannot read the pixels of .*x\.dcm.*export it uncompressed or as single"):
        read_volume(tmp_path)


def test_reading_reports_and_can_be_cancelled(write_series, tmp_path):
    write_series([np.ones((ROWS, COLUMNS), np.int16)] * 4, [[0, 0, z] for z in range(4)])
    progress = RecordingProgress()
    read_volume(tmp_path, progress=progress)
    assert progress.reports == [(n / 4, "Reading DICOM") for n in range(4)]
    with pytest.raises(Cancelled):
        read_volume(tmp_path, progress=RecordingProgress(cancel_at=0.5))
