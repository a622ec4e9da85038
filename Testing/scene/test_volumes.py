"""Volume nodes to ``Volume`` and back, under every kind of geometry and parent transform."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from SlicerCNNSegLib.engine.errors import ChannelError, GeometryError, InputError
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.scene.volumes import node_from_volume, volume_from_node

pytestmark = pytest.mark.slicer

RNG = np.random.default_rng(7)
VOXELS = RNG.integers(-1000, 1000, (5, 6, 7)).astype(np.int16)
ALL_48 = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]
SCALING = np.diag([1.5, 0.5, 2.0, 1.0])
MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


def rotation(degrees: float, shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """About the S axis, then a shift in mm."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0, shift[0]], [s, c, 0, shift[1]], [0, 0, 1, shift[2]], [0, 0, 0, 1]])


@pytest.mark.parametrize(("order", "signs"), ALL_48)
def test_all_axis_orders_under_a_rotation_lie_where_mrml_says(order, signs, a_volume_node, a_linear_transform):
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3)[:, order] * np.array(signs) * [0.7, 1.3, 3.1]
    matrix[:3, 3] = [-30, 20, 10]
    node = a_volume_node(VOXELS, matrix)
    node.SetAndObserveTransformNodeID(a_linear_transform(rotation(25, (5, -8, 12))).GetID())
    volume = volume_from_node(node)
    for ijk in ((0, 0, 0), (6, 5, 4), (2, 3, 1)):
        expected = [0.0] * 3
        node.TransformPointToWorld((matrix @ [*ijk, 1])[:3], expected)
        np.testing.assert_allclose(volume.geometry.ras_from_ijk(np.array(ijk)), expected, atol=1e-4)
    np.testing.assert_array_equal(volume.array, VOXELS[None])


@pytest.mark.parametrize(
    "parent", [rotation(40, (1, 2, 3)), SCALING, MIRROR, rotation(30) @ SCALING @ rotation(10)],
    ids=["rotation", "scaling", "mirror", "shear"],
)  # fmt: skip
def test_nested_linear_parents_are_composed(parent, a_volume_node, a_linear_transform, oblique):
    inner = a_linear_transform(parent, parent=a_linear_transform(rotation(-70, (9, 9, 9))))
    node = a_volume_node(VOXELS, oblique)
    node.SetAndObserveTransformNodeID(inner.GetID())
    volume = volume_from_node(node)
    np.testing.assert_allclose(volume.ijk_to_ras, rotation(-70, (9, 9, 9)) @ parent @ oblique, atol=1e-9)
    assert volume.notes == ()
    assert volume.identifiers["grid"] == "node"


@pytest.mark.parametrize("kind", ["linear", "grid", "bspline", "thinplate"])
def test_a_hardened_volume_is_the_same_volume(kind, a_volume_node, a_linear_transform, a_bent_transform):
    parent = a_linear_transform(rotation(25, (5, -8, 12)) @ MIRROR) if kind == "linear" else a_bent_transform(kind)
    node = a_volume_node(VOXELS, rotation(15) @ np.diag([2.0, 2.0, 3.0, 1.0]))
    node.SetAndObserveTransformNodeID(parent.GetID())
    before = volume_from_node(node)
    assert node.HardenTransform()
    after = volume_from_node(node)
    assert after.geometry.matches(before.geometry, tolerance_mm=1e-4)
    np.testing.assert_array_equal(after.array, before.array)


@pytest.mark.parametrize("kind", ["grid", "bspline", "thinplate"])
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "under a rotation"])
def test_a_bent_volume_is_resampled_and_says_so(kind, nested, a_head_with_a_blob, a_bent_transform, a_linear_transform):
    above = a_linear_transform(rotation(35, (4, 0, 2))) if nested else None
    head = a_head_with_a_blob(np.diag([-2.0, 1.5, 3.0, 1.0]), a_bent_transform(kind, parent=above))
    volume = volume_from_node(head.node)
    brightness = volume.array[0] + 1000.0
    centre_ijk = np.indices(brightness.shape)[::-1].reshape(3, -1) @ brightness.ravel() / brightness.sum()
    off_by_voxels = np.abs(centre_ijk - volume.geometry.ijk_from_ras(head.blob_in_world()))
    assert off_by_voxels.max() < 0.1  # measured: at most 0.05
    assert np.linalg.norm(head.blob_in_world() - head.blob_ras_mm) > 5  # the transform did something
    assert volume.notes == (f"resampled: the parent transform {kind!r} is not linear",)
    assert volume.identifiers["grid"] == "world"
    assert volume.array.min() == -1000  # air, not 0, where the bent volume does not reach


def test_a_bent_labelmap_keeps_its_values(a_volume_node, a_bent_transform):
    array = np.zeros((12, 12, 12), np.uint8)
    array[3:9, 3:9, 3:6] = 40
    array[3:9, 3:9, 6:9] = 200
    node = a_volume_node(array, np.diag([2.0, 2.0, 2.0, 1.0]), kind="LabelMap")
    node.SetAndObserveTransformNodeID(a_bent_transform("grid").GetID())
    assert set(np.unique(volume_from_node(node).array)) == {0, 40, 200}


def test_the_array_is_a_view_of_the_node(slicer, a_volume_node):
    node = a_volume_node(VOXELS)
    volume = volume_from_node(node)
    slicer.util.arrayFromVolume(node)[1, 2, 3] = 77
    assert volume.array[0, 1, 2, 3] == 77


def test_colours_become_channels(a_volume_node):
    rgb = RNG.integers(0, 255, (3, 4, 5, 3)).astype(np.uint8)
    volume = volume_from_node(a_volume_node(rgb, kind="Vector"))
    np.testing.assert_array_equal(volume.array, np.moveaxis(rgb, -1, 0))


def test_a_channel_name_needs_one_component(a_volume_node):
    assert volume_from_node(a_volume_node(VOXELS), channel_name="T1").channel_names == ("T1",)
    node = a_volume_node(np.zeros((3, 4, 5, 3), np.uint8), kind="Vector")
    with pytest.raises(ChannelError, match="one component for the channel 'T1', got 3 in 'Head'"):
        volume_from_node(node, channel_name="T1")


def test_indices_count_from_the_first_voxel_of_a_cut_image(vtk, a_volume_node):
    node = a_volume_node(VOXELS, np.diag([2.0, 3.0, 4.0, 1.0]))
    cut = vtk.vtkExtractVOI()
    cut.SetInputData(node.GetImageData())
    cut.SetVOI(2, 6, 1, 5, 3, 4)
    cut.Update()
    image = vtk.vtkImageData()
    image.DeepCopy(cut.GetOutput())
    assert image.GetExtent() == (2, 6, 1, 5, 3, 4)
    node.SetAndObserveImageData(image)
    volume = volume_from_node(node)
    np.testing.assert_array_equal(volume.array[0], VOXELS[3:5, 1:6, 2:7])
    np.testing.assert_allclose(volume.geometry.origin_ras_mm, [4, 3, 12])


def test_dicom_facts_come_from_the_subject_hierarchy(slicer, a_scene, a_volume_node):
    node = a_volume_node(VOXELS)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_scene)
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.SetItemUID(study, constants.GetDICOMUIDName(), "1.2.3")
    item = hierarchy.CreateItem(study, node)
    hierarchy.SetItemUID(item, constants.GetDICOMUIDName(), "1.2.3.4")
    hierarchy.SetItemAttribute(item, constants.GetDICOMSeriesModalityAttributeName(), "MR")
    volume = volume_from_node(node)
    assert volume.modality == "MR"
    assert volume.identifiers == {
        "node_id": node.GetID(),
        "node_name": "Head",
        "SeriesInstanceUID": "1.2.3.4",
        "StudyInstanceUID": "1.2.3",
        "grid": "node",
    }


def test_a_volume_outside_of_any_scene_can_be_read(slicer, vtk):
    node = slicer.vtkMRMLScalarVolumeNode()
    image = vtk.vtkImageData()
    image.SetDimensions(2, 2, 2)
    image.AllocateScalars(vtk.VTK_SHORT, 1)
    node.SetAndObserveImageData(image)
    assert volume_from_node(node).geometry.size_ijk == (2, 2, 2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32", ">i2", "float64"])
def test_there_and_back(channels, dtype, a_scene, oblique):
    array = RNG.integers(0, 100, (channels, 4, 5, 6)).astype(dtype)
    volume = Volume(array, oblique, modality="MR")
    node = node_from_volume(a_scene, volume, "Copy")
    back = volume_from_node(node)
    assert node.GetClassName() == ("vtkMRMLScalarVolumeNode" if channels == 1 else "vtkMRMLVectorVolumeNode")
    assert back.geometry.matches(volume.geometry, 1e-6)
    assert (back.modality, back.source) == ("MR", "Copy")
    np.testing.assert_array_equal(back.array, array)
    assert back.array.dtype == np.dtype(dtype).newbyteorder("=")
    assert node.GetDisplayNode() is not None


@pytest.mark.parametrize(("dtype", "kept_as"), [("bool", "uint8"), ("float16", "float32")])
def test_types_that_vtk_lacks_are_widened(dtype, kept_as, a_scene):
    array = np.array([0, 1, 1, 0, 1, 0, 0, 1]).reshape(1, 2, 2, 2).astype(dtype)
    back = volume_from_node(node_from_volume(a_scene, Volume(array, np.eye(4)), "Copy"))
    assert back.array.dtype == kept_as
    np.testing.assert_array_equal(back.array, array)


def test_what_is_no_volume_is_refused(a_scene):
    with pytest.raises(InputError, match="Expected a volume node, got None; select a volume"):
        volume_from_node(None)
    with pytest.raises(InputError, match="Expected a volume node, got vtkMRMLTableNode"):
        volume_from_node(a_scene.AddNewNodeByClass("vtkMRMLTableNode"))
    with pytest.raises(InputError, match="The volume node 'Empty' has no voxels"):
        volume_from_node(a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty"))


def test_a_transform_that_flattens_is_refused(a_volume_node, a_linear_transform):
    node = a_volume_node(VOXELS)
    node.SetAndObserveTransformNodeID(a_linear_transform(np.diag([1.0, 1.0, 0.0, 1.0])).GetID())
    with pytest.raises(GeometryError, match="singular ijk_to_ras"):
        volume_from_node(node)


def test_a_bent_transform_under_one_that_flattens_is_refused(a_volume_node, a_linear_transform, a_bent_transform):
    node = a_volume_node(VOXELS)
    flat = a_linear_transform(np.diag([1.0, 1.0, 0.0, 1.0]))
    node.SetAndObserveTransformNodeID(a_bent_transform("grid", parent=flat).GetID())
    with pytest.raises(GeometryError, match="The transform 'grid' leaves nothing of 'Head'"):
        volume_from_node(node)
