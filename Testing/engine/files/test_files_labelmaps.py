"""Labelmaps through files: voxels, place, names, colours and codes, also as Slicer and slicerio see them."""

import re

import numpy as np
import pytest
import SimpleITK as sitk

from SlicerCNNSegLib.engine.errors import FileReadError, GeometryError, OutputError
from SlicerCNNSegLib.engine.files.labelmaps import read_labelmap, write_labelmap
from SlicerCNNSegLib.engine.files.paths import LABELMAP_FORMATS
from SlicerCNNSegLib.engine.files.segments import generic_label
from SlicerCNNSegLib.engine.labels import ANATOMICAL_STRUCTURE, Code, Label
from SlicerCNNSegLib.engine.volume import Geometry, Volume

HIPPOCAMPUS = Code("SCT", "5366008", "Hippocampus")
HEAD = Label(
    1, "Anterior hippocampus", (0.9, 0.25, 0.1), type=HIPPOCAMPUS, modifier=Code("SCT", "255549009", "Anterior")
)
LEFT = Label(2, "Hippocampus", (0.1, 0.6, 0.8), type=HIPPOCAMPUS).on_side("left", 2)
PLAIN = Label(5, "Größe µ 海馬 | ~ ^", (0.2, 0.4, 1.0))
ABSENT = Label(7, "Not here", (0, 0, 0))
LABELS = (HEAD, LEFT, PLAIN, ABSENT)


def oblique() -> Geometry:
    """Turned about two axes, left-handed, anisotropic."""
    c, s = np.cos(0.3), np.sin(0.3)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag([-0.7, 1.1, 2.5])
    matrix[:3, 3] = [12.5, -40.25, 101.125]
    return Geometry((6, 7, 8), matrix)


def labelmap() -> np.ndarray:
    array = np.zeros((6, 7, 8), np.uint8)
    array[1:3, 2:4, 3:6], array[3:5, 1:5, 0:4], array[5, 6, 7] = 1, 2, 5
    return array


@pytest.fixture
def seg_nrrd(tmp_path):
    path = tmp_path / "case.seg.nrrd"
    write_labelmap(path, labelmap(), oblique(), LABELS)
    return path


def seg_nrrd_header(path) -> dict[str, str]:
    """The key-value pairs as they stand in the file."""
    text = path.read_bytes().split(b"\n\n")[0].decode()
    return dict(re.findall(r"^([^:\n]+):=(.*)$", text, re.MULTILINE))


def test_a_seg_nrrd_keeps_everything(seg_nrrd):
    found = read_labelmap(seg_nrrd)
    np.testing.assert_array_equal(found.labelmap, labelmap())
    assert found.labelmap.dtype == np.uint8
    assert found.geometry.matches(oblique(), tolerance_mm=1e-9)
    assert found.labels == (HEAD, LEFT, PLAIN)
    assert [path.name for path in seg_nrrd.parent.iterdir()] == [seg_nrrd.name]


def test_a_seg_nrrd_has_the_keys_that_slicer_writes(seg_nrrd):
    header = seg_nrrd_header(seg_nrrd)
    assert header["Segment0_ID"] == "Segment_1"
    assert header["Segment0_Name"] == "Anterior hippocampus"
    assert header["Segment0_Color"] == "0.9 0.25 0.1"
    assert header["Segment0_LabelValue"] == "1"
    assert header["Segment0_Layer"] == "0"
    assert header["Segment0_Extent"] == "0 7 0 6 0 5"
    assert header["Segment0_Tags"] == (
        "TerminologyEntry:Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure"
        "~SCT^5366008^Hippocampus~SCT^255549009^Anterior~Anatomic codes - DICOM master list~^^~^^|"
    )
    assert "Segment2_Tags" not in header
    assert header["Segmentation_ContainedRepresentationNames"] == "Binary labelmap|"
    assert header["Segmentation_MasterRepresentation"] == "Binary labelmap"
    assert header["Segmentation_ReferenceImageExtentOffset"] == "0 0 0"
    assert b"encoding: gzip" in seg_nrrd.read_bytes()


def test_slicerio_reads_a_seg_nrrd(seg_nrrd):
    slicerio = pytest.importorskip("slicerio", reason="needs slicerio: pip install cnnseg[test]")
    found = slicerio.read_segmentation(str(seg_nrrd))
    np.testing.assert_array_equal(found["voxels"], labelmap().transpose(2, 1, 0))
    np.testing.assert_allclose(np.diag([-1, -1, 1, 1]) @ found["ijkToLPS"], oblique().ijk_to_ras, atol=1e-9)
    segments = found["segments"]
    # slicerio's reader of the header (pynrrd 1.1) leaves out what is not ASCII
    assert [s["name"] for s in segments] == [HEAD.name, LEFT.name, PLAIN.name.encode("ascii", "ignore").decode()]
    assert [s["labelValue"] for s in segments] == [1, 2, 5]
    np.testing.assert_allclose([s["color"] for s in segments], [HEAD.color, LEFT.color, PLAIN.color])
    terminology = segments[1]["terminology"]
    assert terminology["category"] == ANATOMICAL_STRUCTURE.to_json()
    assert terminology["type"] == HIPPOCAMPUS.to_json()
    assert terminology["anatomicRegion"] == HIPPOCAMPUS.to_json()
    assert terminology["anatomicRegionModifier"] == ["SCT", "7771000", "Left"]


@pytest.fixture
def slicer_reads():
    """A function that reads a ``.seg.nrrd`` into a segmentation node of a real MRML scene."""
    slicer = pytest.importorskip("slicer", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")
    scene, logic = slicer.vtkMRMLScene(), slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(scene)  # makes the segments' representations known

    def read(path):
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
        storage.SetFileName(str(path))
        assert storage.ReadData(node) == 1
        return node

    yield read
    scene.Clear(1)


def test_slicer_reads_a_seg_nrrd(seg_nrrd, slicer_reads):
    vtk = pytest.importorskip("vtk")
    from vtk.util.numpy_support import vtk_to_numpy

    node = slicer_reads(seg_nrrd)
    segmentation = node.GetSegmentation()
    assert list(segmentation.GetSegmentIDs()) == ["Segment_1", "Segment_2", "Segment_5"]
    for label in (HEAD, LEFT, PLAIN):
        segment = segmentation.GetSegment(f"Segment_{label.value}")
        assert segment.GetName() == label.name
        np.testing.assert_allclose(segment.GetColor(), label.color, atol=1e-6)
        assert segment.GetLabelValue() == label.value
        image = segment.GetRepresentation("Binary labelmap")
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        to_ras = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
        voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
        found = np.argwhere(voxels == label.value)[:, ::-1] + image.GetExtent()[::2]
        expected = np.argwhere(labelmap() == label.value)[:, ::-1]
        np.testing.assert_allclose(
            found @ to_ras[:3, :3].T + to_ras[:3, 3], oblique().ras_from_ijk(expected), atol=1e-6
        )
    assert segmentation.GetSegment("Segment_2").GetTerminology() == LEFT.terminology
    geometry = segmentation.GetConversionParameter("Reference image geometry")
    np.testing.assert_allclose(
        [float(number) for number in geometry.rstrip(";").split(";")[:12]], oblique().ijk_to_ras[:3].ravel()
    )


def test_slicer_reads_an_empty_seg_nrrd(tmp_path, slicer_reads):
    path = tmp_path / "empty.seg.nrrd"
    write_labelmap(path, np.zeros((6, 7, 8), np.uint8), oblique(), LABELS)
    assert slicer_reads(path).GetSegmentation().GetNumberOfSegments() == 0
    found = read_labelmap(path)
    assert found.labels == ()
    assert found.labelmap.max() == 0


@pytest.mark.parametrize("kind", [kind for kind in LABELMAP_FORMATS if kind != "seg.nrrd"])
def test_plain_formats_keep_voxels_and_place(tmp_path, kind):
    path = tmp_path / f"case.{kind}"
    write_labelmap(path, labelmap().astype(np.int64), oblique(), LABELS)
    found = read_labelmap(path)
    np.testing.assert_array_equal(found.labelmap, labelmap())
    assert found.labelmap.dtype == np.uint8
    assert found.geometry.matches(oblique(), tolerance_mm=1e-4)  # NIfTI has single precision
    assert found.labels == tuple(generic_label(value) for value in (1, 2, 5))
    assert sitk.ReadImage(str(path)).GetPixelID() == sitk.sitkUInt8


def test_many_labels_take_sixteen_bits_and_compress(tmp_path):
    array = np.zeros((60, 70, 80), np.int32)
    array[0, 0, :3] = (1, 300, 65535)
    for kind in LABELMAP_FORMATS:
        path = tmp_path / f"case.{kind}"
        write_labelmap(path, array, Geometry(array.shape, np.eye(4)), ())
        assert read_labelmap(path).labelmap.dtype == np.uint16
        np.testing.assert_array_equal(read_labelmap(path).labelmap, array)
        if kind != "nii":
            assert path.stat().st_size < array.size / 20


def test_generic_labels_are_named_and_differ():
    labels = [generic_label(value) for value in range(1, 30)]
    assert labels[2].name == "Label 3"
    assert len({tuple(np.round(label.color, 2)) for label in labels}) == len(labels)
    assert all(0 <= part <= 1 for label in labels for part in label.color)


def test_values_without_a_label_become_generic_segments(tmp_path):
    write_labelmap(tmp_path / "x.seg.nrrd", labelmap(), oblique(), [HEAD])
    assert read_labelmap(tmp_path / "x.seg.nrrd").labels == (HEAD, generic_label_as_read(2), generic_label_as_read(5))


def generic_label_as_read(value: int) -> Label:
    """With the six digits that a colour has in a file."""
    label = generic_label(value)
    red, green, blue = (float(f"{part:.6g}") for part in label.color)
    return Label(value, label.name, (red, green, blue))


def test_a_single_slice_stays_one(tmp_path):
    array = np.array([[[0, 1], [1, 0]]], np.uint8)
    for kind in LABELMAP_FORMATS:
        write_labelmap(tmp_path / f"x.{kind}", array, Geometry((1, 2, 2), np.eye(4)), ())
        np.testing.assert_array_equal(read_labelmap(tmp_path / f"x.{kind}").labelmap, array)


def test_whole_numbers_stored_as_floats_are_labels(tmp_path):
    sitk.WriteImage(Volume(labelmap()[None].astype(np.float32), np.eye(4)).to_sitk(), str(tmp_path / "x.nii.gz"))
    found = read_labelmap(tmp_path / "x.nii.gz")
    assert found.labelmap.dtype == np.uint8
    np.testing.assert_array_equal(found.labelmap, labelmap())


def test_real_labels_are_read(data_folder):
    found = read_labelmap(data_folder / "hippocampus" / "labelsTr" / "hippocampus_001.nii.gz")
    assert found.labelmap.shape == (35, 51, 35)
    assert [label.name for label in found.labels] == ["Label 1", "Label 2"]


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_fractions_are_refused(tmp_path, value):
    sitk.WriteImage(sitk.GetImageFromArray(np.full((2, 3, 4), value, np.float32)), str(tmp_path / "x.nii.gz"))
    with pytest.raises(
        FileReadError, match=r"Expected a labelmap of whole numbers in .*x\.nii\.gz, got fractions or NaN"
    ):
        read_labelmap(tmp_path / "x.nii.gz")


@pytest.mark.parametrize(("value", "shown"), [(-1, "-1 to -1"), (70000, "70000 to 70000"), (np.inf, "inf to inf")])
def test_values_beyond_sixteen_bits_are_refused(tmp_path, value, shown):
    sitk.WriteImage(sitk.GetImageFromArray(np.full((2, 3, 4), value, np.float64)), str(tmp_path / "x.nrrd"))
    with pytest.raises(FileReadError, match=f"Expected label values from 0 to 65535 in .*, got {shown}"):
        read_labelmap(tmp_path / "x.nrrd")
    with pytest.raises(OutputError, match=f"Expected label values from 0 to 65535 in .*, got {shown}"):
        write_labelmap(tmp_path / "y.nrrd", np.full((2, 3, 4), value, np.float64), Geometry((2, 3, 4), np.eye(4)), ())


def test_a_colour_picture_is_no_labelmap(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((3, 4, 3), np.uint8), isVector=True), str(tmp_path / "x.png"))
    with pytest.raises(FileReadError, match=r"Expected a labelmap with one channel in .*, got 3; is it an image"):
        read_labelmap(tmp_path / "x.png")


def test_a_missing_labelmap_is_an_error(tmp_path):
    with pytest.raises(FileReadError, match=r"No file or folder .*x\.nii\.gz; check the path"):
        read_labelmap(tmp_path / "x.nii.gz")


def test_a_truncated_labelmap_is_an_error_never_zeros(tmp_path):
    path = tmp_path / "x.nii.gz"
    write_labelmap(path, labelmap(), oblique(), ())
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(FileReadError, match="damaged or truncated"):
        read_labelmap(path)


@pytest.mark.parametrize("name", ["x.png", "x", "x.seg"])
def test_an_unknown_suffix_is_refused(tmp_path, name):
    with pytest.raises(OutputError, match=r"Expected a labelmap's suffix out of seg\.nrrd, nii\.gz, .*, got x"):
        write_labelmap(tmp_path / name, labelmap(), oblique(), LABELS)


def test_another_shape_is_refused(tmp_path):
    with pytest.raises(GeometryError, match=r"Expected a labelmap of shape \(k, j, i\) \(6, 7, 8\), got \(5, 7, 8\)"):
        write_labelmap(tmp_path / "x.nrrd", labelmap()[1:], oblique(), LABELS)


def test_a_sheared_grid_is_refused(tmp_path):
    matrix = np.eye(4)
    matrix[0, 2] = 0.3
    with pytest.raises(GeometryError, match="not orthogonal; resample it to a regular grid first"):
        write_labelmap(tmp_path / "x.nrrd", labelmap(), Geometry((6, 7, 8), matrix), LABELS)


@pytest.mark.parametrize("character", ["^", "~", "|", "\n"])
def test_codes_that_would_break_the_format_are_refused(tmp_path, character):
    label = Label(1, "x", (1, 0, 0), type=Code("SCT", "1", f"a{character}b"))
    with pytest.raises(OutputError, match=r"The codes of 'x' hold one of \^ ~ \| or a line break; leave these out"):
        write_labelmap(tmp_path / "x.seg.nrrd", labelmap(), oblique(), [label])
    assert list(tmp_path.iterdir()) == []


def test_a_line_break_in_a_name_becomes_a_space(tmp_path):
    write_labelmap(tmp_path / "x.seg.nrrd", labelmap(), oblique(), [Label(1, " two\nlines ", (1, 0, 0))])
    assert read_labelmap(tmp_path / "x.seg.nrrd").labels[0].name == "two lines"


def test_a_writer_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(image: object, path: str, **_: object) -> None:
        (tmp_path / path).write_bytes(b"half")
        raise RuntimeError("ITK ERROR: NrrdImageIO(0x1): Write: Error writing x:\n[nrrd] nrrdSave: disk full\n")

    monkeypatch.setattr(sitk, "WriteImage", fail)
    with pytest.raises(OutputError, match=r"Cannot write .*x\.nrrd \(disk full\); check the disk's free space"):
        write_labelmap(tmp_path / "x.nrrd", labelmap(), oblique(), ())
    assert list(tmp_path.iterdir()) == []


def layered(path, layers, segments):
    """A ``.seg.nrrd`` as Slicer writes it: ``segments`` are (value, layer)."""
    array = np.stack(layers, axis=-1) if len(layers) > 1 else layers[0]
    image = sitk.GetImageFromArray(array, isVector=len(layers) > 1)
    for number, (value, layer) in enumerate(segments):
        for key, text in (("ID", f"S{number}"), ("Name", f"n{number}"), ("LabelValue", value), ("Layer", layer)):
            image.SetMetaData(f"Segment{number}_{key}", str(text))
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def test_layers_that_don_t_overlap_become_one_labelmap(tmp_path):
    first, second = labelmap(), np.zeros_like(labelmap())
    second[0, 0, 0:3] = 1
    path = layered(tmp_path / "x.seg.nrrd", [first, second], [(1, 0), (2, 0), (1, 1)])
    found = read_labelmap(path)
    assert [(label.value, label.name) for label in found.labels] == [(1, "n0"), (2, "n1"), (3, "n2")]
    expected = np.where(first == 5, 0, first) + 3 * second  # the value 5 belongs to no segment
    np.testing.assert_array_equal(found.labelmap, expected)


def test_layers_with_values_of_their_own_keep_them(tmp_path):
    first, second = labelmap() * (labelmap() == 1), labelmap() * (labelmap() == 5)
    found = read_labelmap(layered(tmp_path / "x.seg.nrrd", [first, second], [(1, 0), (5, 1)]))
    assert [label.value for label in found.labels] == [1, 5]
    np.testing.assert_array_equal(found.labelmap, first + second)


def test_overlapping_segments_are_refused(tmp_path):
    second = np.zeros_like(labelmap())
    second[1, 2, 3] = 1
    path = layered(tmp_path / "x.seg.nrrd", [labelmap(), second], [(1, 0), (1, 1)])
    with pytest.raises(
        FileReadError, match=r"The segment 'n1' of .* overlaps another one, which a labelmap cannot hold"
    ):
        read_labelmap(path)


def test_a_segment_on_a_layer_that_is_not_there_is_refused(tmp_path):
    path = layered(tmp_path / "x.seg.nrrd", [labelmap()], [(1, 0), (2, 3)])
    with pytest.raises(FileReadError, match=r"The segment 'n1' of .* is on layer 3 of only 1; save it again in Slicer"):
        read_labelmap(path)


def test_a_segment_with_a_wrong_value_is_refused(tmp_path):
    path = layered(tmp_path / "x.seg.nrrd", [labelmap()], [("one", 0)])
    with pytest.raises(
        FileReadError, match=r"Segment 0 of .* has a wrong colour, value or layer .*'one'.*save it again"
    ):
        read_labelmap(path)


def test_segments_overlapping_in_a_file_of_slicer_are_refused(tmp_path, slicer_reads, seg_nrrd):
    """Slicer itself writes two layers; the reader finds them."""
    node = slicer_reads(seg_nrrd)
    segmentation = node.GetSegmentation()
    import slicer

    copy = slicer.vtkSegment()
    copy.DeepCopy(segmentation.GetSegment("Segment_1"))
    copy.SetName("Copy")
    segmentation.AddSegment(copy, "Copy")
    storage = node.GetScene().AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "two.seg.nrrd"))
    assert storage.WriteData(node) == 1
    with pytest.raises(FileReadError, match=r"The segment 'Copy' of .* overlaps another one"):
        read_labelmap(tmp_path / "two.seg.nrrd")
    segmentation.RemoveSegment("Copy")
    assert storage.WriteData(node) == 1
    found = read_labelmap(tmp_path / "two.seg.nrrd")
    assert [(label.value, label.name) for label in found.labels] == [(1, HEAD.name), (2, LEFT.name), (5, PLAIN.name)]
    assert found.labels[1].region_modifier == Code("SCT", "7771000", "Left")
    assert found.geometry.matches(oblique(), tolerance_mm=1e-6)
    np.testing.assert_array_equal(found.labelmap, labelmap())
