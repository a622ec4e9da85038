"""Cases of a scene as a folder to train from: voxels, grids, labels, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

import SlicerCNNSegLib
import SlicerCNNSegTrainLib
from SlicerCNNSegLib.engine.errors import Cancelled, ChannelError, InputError, OutputError
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.files.labelmaps import read_labelmap
from SlicerCNNSegLib.engine.labels import ANATOMICAL_STRUCTURE, Code
from SlicerCNNSegLib.engine.progress import RecordingProgress
from SlicerCNNSegLib.engine.volume import Geometry
from SlicerCNNSegTrainLib.engine.data.read import read_data
from SlicerCNNSegTrainLib.scene.cases import find_cases
from SlicerCNNSegTrainLib.scene.dataset import label_table, write_dataset
from SlicerCNNSegTrainLib.scene.truth import labelmap_on, segments_of

pytestmark = pytest.mark.slicer

LIVER_TEXT = "c~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^"
TURNED = np.array([[0, -1.5, 0, 10.0], [0.8, 0, 0, -20.0], [0, 0, 3.0, 5.0], [0, 0, 0, 1]])
MOVED = np.array([[0.8, -0.6, 0, 12.0], [0.6, 0.8, 0, -7.0], [0, 0, 1, 30.0], [0, 0, 0, 1]])
MIRROR = np.diag([-1.0, 1, 1, 1])
SHEAR = np.array([[1.0, 0.4, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def an_image(seed=0, shape=(6, 8, 10)):
    return np.random.default_rng(seed).integers(-1000, 1000, shape).astype(np.int16)


def box(start, stop, shape=(6, 8, 10)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return mask


LIVER, TUMOR = box((1, 1, 1), (4, 5, 6)), box((4, 2, 2), (6, 4, 5))
STICKING_OUT = box((2, 2, 2), (5, 4, 4))
"""A tumor with 8 of its 12 voxels in the liver."""


def assert_nothing_in(folder):
    assert not [path for path in folder.iterdir() if path.name != ".slicer-cache"]  # the scene's own


def write(scene, folder, channels=(), **more):
    found = find_cases(scene, channels)
    return write_dataset(found.cases, label_table(found.cases), folder, channels=channels, **more)


@pytest.mark.parametrize("parents", [[], [MOVED], [MIRROR, MOVED]], ids=["none", "linear", "nested mirror"])
def test_there_and_back_in_the_world(parents, tmp_path, a_scene, a_volume_node, a_segmentation, a_linear_transform):
    node = a_volume_node(an_image(), TURNED)
    parent, to_world = None, np.eye(4)
    for matrix in parents:
        parent, to_world = a_linear_transform(matrix, parent=parent), to_world @ matrix
    node.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
    truth = a_segmentation(node, {"Tumor": TUMOR, "Liver": LIVER})
    truth.GetSegmentation().GetNthSegment(1).SetColor(0.2, 0.4, 0.6)
    truth.GetSegmentation().GetNthSegment(1).SetTerminology(LIVER_TEXT)
    done = write(a_scene, tmp_path / "new" / "data")
    (case,) = read_data(tmp_path / "new" / "data").cases
    image, label = read_volume(case.images[0]), read_labelmap(case.label)
    np.testing.assert_array_equal(image.array[0], an_image())
    np.testing.assert_array_equal(label.labelmap, 2 * LIVER + 1 * TUMOR)
    expected = Geometry((6, 8, 10), to_world @ TURNED)
    assert image.geometry.matches(expected)
    assert label.geometry.matches(expected)
    assert done.voxels == {"Head": {"Tumor": TUMOR.sum(), "Liver": LIVER.sum()}}
    assert done.notes == ()
    structures = json.loads((done.folder / "dataset.json").read_text())["structures"]
    assert [(x["value"], x["name"]) for x in structures] == [(1, "Tumor"), (2, "Liver")]
    assert structures[1]["color"] == pytest.approx([0.2, 0.4, 0.6])
    assert structures[1]["type"] == ["SCT", "10200004", "Liver"]


def test_the_description_is_what_training_and_nnunet_read(slicer, tmp_path, a_scene, a_volume_node, a_segmentation):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_scene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "DOE^JANE")
    for name, mask in (("a", LIVER), ("b", TUMOR), ("c", LIVER)):
        node = a_volume_node(an_image(), name=name)
        node.SetAttribute("DICOM.Modality", "CT")
        a_segmentation(node, {"Liver": mask} if name != "b" else {"liver": mask, "Tumor": LIVER})
        if name != "c":
            hierarchy.CreateItem(patient, node)
    write(a_scene, tmp_path / "data")
    data = read_data(tmp_path / "data")
    assert [(case.id, case.patient) for case in data.cases] == [("a", "patient_001"), ("b", "patient_001"), ("c", "c")]
    assert data.description.channels == ("CT",)
    assert data.description.labels == {0: "background", 1: "Liver", 2: "Tumor"}
    plain = json.loads((tmp_path / "data" / "dataset.json").read_text())
    assert plain["labels"] == {"background": 0, "Liver": 1, "Tumor": 2}
    assert (plain["numTraining"], plain["file_ending"]) == (3, ".nii.gz")
    assert "DOE" not in (tmp_path / "data" / "dataset.json").read_text()
    labels = [np.unique(read_labelmap(case.label).labelmap).tolist() for case in data.cases]
    assert labels == [[0, 1], [0, 1, 2], [0, 1]]
    assert {path.name for path in tmp_path.iterdir()} - {".slicer-cache"} == {"data"}


def test_volumes_become_channels(tmp_path, a_scene, a_volume_node, a_segmentation):
    t2, _ = (a_volume_node(an_image(n), TURNED, name=f"case {name}") for n, name in ((2, "T2"), (1, "T1")))
    a_segmentation(t2, {"Liver": LIVER})
    write(a_scene, tmp_path / "data", ("T1", "T2"))
    data = read_data(tmp_path / "data")
    assert data.description.channels == ("T1", "T2")
    for path, n in zip(data.cases[0].images, (1, 2), strict=True):
        np.testing.assert_array_equal(read_volume(path).array[0], an_image(n))


def test_a_colour_image_becomes_channels(tmp_path, a_scene, a_volume_node, a_segmentation):
    colours = np.stack([an_image(n) for n in range(3)], axis=-1)
    a_segmentation(a_volume_node(colours, kind="Vector"), {"Liver": LIVER})
    write(a_scene, tmp_path / "data")
    data = read_data(tmp_path / "data")
    assert data.description.channels == ("image 1", "image 2", "image 3")
    np.testing.assert_array_equal(read_volume(data.cases[0].images[2]).array[0], an_image(2))


@pytest.mark.parametrize("kind", ["segmentation", "labelmap"])
def test_a_truth_on_another_grid_is_sampled_on_the_images(
    kind, tmp_path, a_scene, a_volume_node, a_segmentation, a_linear_transform
):
    fine = np.diag([0.5, 0.5, 0.5, 1.0])
    fine[:3, 3] = -0.25  # two voxels of the fine grid to one of the image's, along each axis
    large = LIVER.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    image = a_volume_node(an_image(), name="Head")
    if kind == "segmentation":
        truth = a_segmentation(drawn := a_volume_node(large.astype(np.uint8), fine), {"Liver": large}, "Head seg")
        truth.SetNodeReferenceID(truth.GetReferenceImageGeometryReferenceRole(), None)
        a_scene.RemoveNode(drawn)
    else:
        truth = a_volume_node((7 * large).astype(np.float32), fine, kind="LabelMap", name="Head seg")
    moved = a_linear_transform(MOVED).GetID()
    for node in (image, truth):
        node.SetAndObserveTransformNodeID(moved)
    done = write(a_scene, tmp_path / "data")
    label = read_labelmap(read_data(tmp_path / "data").cases[0].label)
    np.testing.assert_array_equal(label.labelmap, LIVER)
    assert list(done.voxels["Head"].values()) == [LIVER.sum()]


def test_surfaces_are_filled(vtk, tmp_path, a_scene, a_volume_node):
    image = a_volume_node(an_image(shape=(40, 40, 40)))
    truth = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Balls")
    truth.SetReferenceImageGeometryParameterFromVolumeNode(image)
    truth.SetSourceRepresentationToClosedSurface()
    for name, radius, centre in (("Small", 5, (8, 8, 30)), ("Large", 10, (25, 20, 14))):
        ball = vtk.vtkSphereSource()
        ball.SetRadius(radius)
        ball.SetCenter(*centre)
        ball.SetThetaResolution(60)
        ball.SetPhiResolution(60)
        ball.Update()
        truth.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), name, [1, 0, 0])
    voxels = write(a_scene, tmp_path / "data").voxels["Head"]
    assert voxels == pytest.approx({"Small": 4 / 3 * np.pi * 125, "Large": 4 / 3 * np.pi * 1000}, rel=0.1)
    label = read_labelmap(read_data(tmp_path / "data").cases[0].label).labelmap
    np.testing.assert_allclose(np.argwhere(label == 2).mean(axis=0), [14, 20, 25], atol=0.5)


def test_a_labelmap_of_the_same_size_in_another_place(a_volume_node):
    beside = np.eye(4)
    beside[0, 3] = 2.0  # two voxels along i
    truth = a_volume_node(LIVER.astype(np.uint8), beside, kind="LabelMap")
    expected = np.zeros_like(LIVER)
    expected[:, :, 2:] = LIVER[:, :, :-2]
    np.testing.assert_array_equal(labelmap_on(truth, Geometry(LIVER.shape, np.eye(4)), {"1": 1}), expected)


def test_a_labelmaps_names_colours_and_codes_are_its_colour_tables(slicer, tmp_path, a_scene, a_volume_node):
    image = a_volume_node(an_image())
    truth = a_volume_node((3 * LIVER + 5 * TUMOR).astype(np.int32), kind="LabelMap", name="Head labels")
    colours = a_scene.AddNewNodeByClass("vtkMRMLColorTableNode")
    colours.SetTypeToUser()
    colours.SetNumberOfColors(4)
    colours.SetColor(3, "Liver", 0.2, 0.4, 0.6, 1)
    colours.SetTerminologyFromString(3, LIVER_TEXT)
    display = a_scene.AddNode(slicer.vtkMRMLLabelMapVolumeDisplayNode())
    display.SetAndObserveColorNodeID(colours.GetID())
    truth.SetAndObserveDisplayNodeID(display.GetID())
    segments = segments_of(truth)
    assert {key: label.name for key, label in segments.items()} == {"3": "Liver", "5": "Label 5"}
    assert segments["3"].color == pytest.approx((0.2, 0.4, 0.6))
    assert segments["3"].type == Code("SCT", "10200004", "Liver")
    assert segments["3"].category == ANATOMICAL_STRUCTURE
    write(a_scene, tmp_path / "data")
    data = read_data(tmp_path / "data")
    assert data.description.labels == {0: "background", 1: "Liver", 2: "Label 5"}
    np.testing.assert_array_equal(read_labelmap(data.cases[0].label).labelmap, LIVER + 2 * TUMOR)
    assert image.GetName() == data.cases[0].id


@pytest.mark.parametrize("kind", ["segmentation", "labelmap"])
def test_image_and_truth_under_a_bent_transform_stay_together(
    kind, tmp_path, a_scene, a_head_with_a_blob, a_volume_node, a_segmentation, a_bent_transform
):
    matrix = np.diag([-1.5, 1.5, 1.5, 1.0])
    head = a_head_with_a_blob(matrix)
    blob = box((8, 10, 12), (12, 14, 16), (24, 28, 30))
    if kind == "segmentation":
        truth = a_segmentation(head.node, {"Blob": blob})
    else:
        from SlicerCNNSegLib.scene.geometry import local_ijk_to_ras

        truth = a_volume_node(blob.astype(np.uint8), local_ijk_to_ras(head.node), kind="LabelMap", name="Head label")
    for node in (head.node, truth):
        node.SetAndObserveTransformNodeID(a_bent_transform("grid").GetID())
    done = write(a_scene, tmp_path / "data")
    case = read_data(tmp_path / "data").cases[0]
    image, label = read_volume(case.images[0]), read_labelmap(case.label)
    assert label.geometry.matches(image.geometry)
    bright = image.array[0] > -450
    assert 2 * (bright & (label.labelmap == 1)).sum() / (bright.sum() + label.labelmap.sum()) > 0.8
    centre = image.geometry.ras_from_ijk(np.argwhere(label.labelmap)[:, ::-1].mean(axis=0))
    np.testing.assert_allclose(centre, head.blob_in_world(), atol=0.75)  # half a voxel
    assert np.linalg.norm(centre - head.blob_ras_mm) > 3
    assert done.notes == ("Head: resampled: the parent transform 'grid' is not linear",)


def test_a_sheared_image_is_put_on_a_straight_grid_with_its_label(
    tmp_path, a_scene, a_volume_node, a_segmentation, a_linear_transform
):
    shape = (10, 24, 24)
    mask = box((3, 8, 8), (7, 16, 16), shape)
    node = a_volume_node(np.where(mask, 500, -500).astype(np.int16))
    node.SetAndObserveTransformNodeID(a_linear_transform(SHEAR).GetID())
    a_segmentation(node, {"Cube": mask})
    done = write(a_scene, tmp_path / "data")
    case = read_data(tmp_path / "data").cases[0]
    image, label = read_volume(case.images[0]), read_labelmap(case.label)
    bright = image.array[0] > 0
    assert 2 * (bright & (label.labelmap == 1)).sum() / (bright.sum() + label.labelmap.sum()) > 0.95
    assert done.notes == ("Head: resampled: shear of the axes of 21.8 degrees",)


class TestOverlaps:
    @pytest.fixture
    def truth(self, a_volume_node, a_segmentation):
        masks = {"Tumor": STICKING_OUT, "Liver": LIVER, "Body": box((0, 0, 0), (6, 8, 9))}
        return a_segmentation(a_volume_node(an_image()), masks)

    def test_which_segments_overlap_is_said(self, tmp_path, a_scene, truth):
        with pytest.raises(
            InputError, match=r"Segments of 'Drawn' overlap, .* 'Tumor' and 'Liver' \(8 voxels\); subtract one from the"
        ):
            write(a_scene, tmp_path / "data")
        assert_nothing_in(tmp_path)

    def test_the_later_one_wins_when_asked(self, tmp_path, a_scene, truth):
        found = find_cases(a_scene)
        table = label_table(found.cases).only(["Tumor", "Liver"])
        write_dataset(found.cases, table, tmp_path / "data", later_wins=True)
        label = read_labelmap(read_data(tmp_path / "data").cases[0].label).labelmap
        np.testing.assert_array_equal(label, np.where(LIVER, 2, STICKING_OUT))

    def test_what_is_not_learned_overlaps_nothing(self, tmp_path, a_scene, truth):
        found = find_cases(a_scene)
        write_dataset(found.cases, label_table(found.cases).only(["Liver"]), tmp_path / "data")
        np.testing.assert_array_equal(read_labelmap(read_data(tmp_path / "data").cases[0].label).labelmap, LIVER)

    def test_two_segments_of_one_structure_may_overlap(self, a_scene, truth):
        geometry = Geometry((6, 8, 10), np.eye(4))
        ids = truth.GetSegmentation().GetSegmentIDs()
        np.testing.assert_array_equal(
            labelmap_on(truth, geometry, {ids[0]: 300, ids[1]: 300}), 300 * (LIVER | STICKING_OUT)
        )


class TestRefused:
    def test_a_structure_that_is_empty_everywhere(self, tmp_path, a_scene, a_volume_node, a_segmentation):
        for name in ("a", "b"):
            a_segmentation(a_volume_node(an_image(), name=name), {"Liver": LIVER, "Tumor": TUMOR & False})
        with pytest.raises(InputError, match="'Tumor' has no voxel in any of 2 cases; draw it, or leave it out"):
            write(a_scene, tmp_path / "data")
        assert_nothing_in(tmp_path)

    def test_a_case_without_any_label_is_told(self, tmp_path, a_scene, a_volume_node, a_segmentation):
        a_segmentation(a_volume_node(an_image(), name="a"), {"Liver": LIVER})
        a_segmentation(a_volume_node(an_image(), name="b"), {"Liver": LIVER & False})
        assert write(a_scene, tmp_path / "data").notes == ("No label at all in b: learned as background.",)

    def test_cases_with_other_numbers_of_channels(self, tmp_path, a_scene, a_volume_node, a_segmentation):
        colours = np.stack([an_image(n) for n in range(3)], axis=-1)
        a_segmentation(a_volume_node(colours, kind="Vector", name="a"), {"Liver": LIVER})
        with pytest.raises(ChannelError, match=r"Expected 2 channels \(T1, T2\) in a, got 3; name each channel"):
            write_dataset(
                (cases := find_cases(a_scene).cases), label_table(cases), tmp_path / "data", channels=("T1", "T2")
            )
        a_segmentation(a_volume_node(an_image(), name="b"), {"Liver": LIVER})
        with pytest.raises(
            ChannelError, match="Expected 3 channels in b, as in a, got 1; leave out the cases of other"
        ):
            write_dataset(more := find_cases(a_scene).cases, label_table(more), tmp_path / "data")
        assert_nothing_in(tmp_path)

    def test_different_modalities_are_told(self, tmp_path, a_scene, a_volume_node, a_segmentation):
        for name, modality in (("a", "CT"), ("b", "MR"), ("c", "CT"), ("d", "")):
            node = a_volume_node(an_image(), name=name)
            node.SetAttribute("DICOM.Modality", modality)
            a_segmentation(node, {"Liver": LIVER})
        done = write(a_scene, tmp_path / "data")
        assert done.notes == ("The images are of different modalities (2 CT, 1 MR, 1 unknown).",)
        assert read_data(tmp_path / "data").description.channels == ("image",)

    def test_a_folder_that_holds_something(self, tmp_path, a_scene, a_volume_node, a_segmentation):
        a_segmentation(a_volume_node(an_image()), {"Liver": LIVER})
        (tmp_path / "empty").mkdir()
        write(a_scene, tmp_path / "empty")
        assert len(read_data(tmp_path / "empty").cases) == 1
        with pytest.raises(
            OutputError, match=r"Expected a new or an empty folder, but .*empty holds something; choose"
        ):
            write(a_scene, tmp_path / "empty")

    def test_a_place_that_cannot_be_written_to(self, tmp_path, a_scene, a_volume_node, a_segmentation):
        a_segmentation(a_volume_node(an_image()), {"Liver": LIVER})
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match=r"Cannot write .*data \(.*\); check the disk's free space, or choose"):
            write(a_scene, tmp_path / "file" / "data")

    def test_a_disk_that_is_full(self, tmp_path, a_scene, a_volume_node, a_segmentation, monkeypatch):
        def full(*_):
            raise RuntimeError("itk::ERROR: NiftiImageIO(0x1): no space left")

        a_segmentation(a_volume_node(an_image()), {"Liver": LIVER})
        monkeypatch.setattr("SimpleITK.WriteImage", full)
        with pytest.raises(OutputError, match=r"Head_0000.nii.gz \(no space left\); check the disk's free space"):
            write(a_scene, tmp_path / "data")
        assert_nothing_in(tmp_path)

    @pytest.mark.parametrize(("array", "got"), [(np.array([0.5, 2]), "0 to 2"), (np.array([-1, 2]), "-1 to 2")])
    def test_a_labelmap_that_is_an_image(self, array, got, a_volume_node):
        node = a_volume_node(np.resize(np.append(array, 0), (2, 3, 4)), kind="LabelMap", name="CT")
        with pytest.raises(
            InputError, match=f"Expected whole numbers from 0 to 65535 in the labelmap 'CT', got {got}; is"
        ):
            segments_of(node)


def test_progress_is_told_and_cancelling_leaves_nothing(tmp_path, a_scene, a_volume_node, a_segmentation):
    for name in ("a", "b"):
        a_segmentation(a_volume_node(an_image(), name=name), {"Liver": LIVER})
    with pytest.raises(Cancelled):
        write(a_scene, tmp_path / "data", progress=RecordingProgress(cancel_at=0.5))
    assert_nothing_in(tmp_path)
    progress = RecordingProgress()
    write(a_scene, tmp_path / "data", progress=progress)
    assert progress.reports == [(0.0, "Writing a"), (0.5, "Writing b"), (1.0, "Wrote 2 cases")]


PROBE = """
import sys
from pathlib import Path
import slicer
from SlicerCNNSegTrainLib.scene import cases, curves, dataset, label_table, predictions, truth
assert "SimpleITK" not in sys.modules
scene = slicer.vtkMRMLScene()
try:
    cases.find_cases(scene)
except Exception as error:
    print(type(error).__name__)
import numpy as np
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.scene.volumes import node_from_volume
image = node_from_volume(scene, Volume(np.zeros((1, 4, 4, 4), np.int16), np.eye(4)), "Head")
label = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Head label")
label.CopyOrientation(image)
drawn = slicer.vtkOrientedImageData()
drawn.DeepCopy(image.GetImageData())
drawn.GetPointData().GetScalars().SetComponent(5, 0, 1)
label.SetAndObserveImageData(drawn)
found = cases.find_cases(scene).cases
dataset.write_dataset(found, dataset.label_table(found), Path(sys.argv[1]))
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_nothing_of_it_needs_torch(tmp_path):
    folders = [str(Path(package.__file__).parents[1]) for package in (SlicerCNNSegLib, SlicerCNNSegTrainLib)]
    code = f"import sys; sys.path[:0] = {folders!r}\n{PROBE}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "data")], capture_output=True, text=True, check=True
    )
    error, *loaded = done.stdout.split()
    assert error == "InputError"
    assert (tmp_path / "data" / "labelsTr" / "Head.nii.gz").exists()
    assert "SimpleITK" in loaded
    assert not set(loaded) & {"torch", "monai", "qt", "ctk", "PySide6", "matplotlib"}
