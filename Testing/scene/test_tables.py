"""The table of volumes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from SlicerCNNSegLib.scene.records import record_of
from SlicerCNNSegLib.scene.tables import show_volumes
from SlicerCNNSegLib.scene.volumes import volume_from_node

pytestmark = pytest.mark.slicer


@pytest.fixture
def results_of_a_head(a_head_with_a_blob, a_linear_transform, a_result):
    """64 voxels of 2 x 1.5 x 3 mm, doubled along one axis by a parent transform: 1152 mm3."""
    head = a_head_with_a_blob(np.diag([-2.0, 1.5, 3.0, 1.0]), a_linear_transform(np.diag([1.0, 1.0, 2.0, 1.0])))
    return [a_result(volume_from_node(head.node), value) for value in (1, 2)]


def rows_of(node):
    return [
        tuple(node.GetTable().GetValue(row, column).ToString() for column in range(node.GetNumberOfColumns()))
        for row in range(node.GetNumberOfRows())
    ]


def test_a_row_per_structure_with_typed_columns(vtk, a_scene, results_of_a_head):
    node = show_volumes(a_scene, results_of_a_head[0])
    assert rows_of(node) == [
        ("Anterior hippocampus", "64", "1152"),
        ("Left posterior hippocampus", "0", "0"),
        ("Something else", "0", "0"),
    ]
    kinds = [node.GetTable().GetColumn(n).GetDataType() for n in range(3)]
    assert kinds == [vtk.VTK_STRING, vtk.VTK_INT, vtk.VTK_DOUBLE]
    assert node.GetColumnUnitLabel("Volume (mm3)") == "mm3"
    assert "mm3" in node.GetColumnDescription("Volume (mm3)")
    assert record_of(node)["model_id"] == "hippocampus-mr"


def test_a_second_result_replaces_the_first(a_scene, results_of_a_head):
    node = show_volumes(a_scene, results_of_a_head[0])
    assert show_volumes(a_scene, results_of_a_head[1], node) is node
    assert [row[1] for row in rows_of(node)] == ["0", "64", "0"]
    assert node.GetNumberOfColumns() == 3
    a_scene.RemoveNode(node)
    assert show_volumes(a_scene, results_of_a_head[1], node) is not node


def test_a_second_result_can_be_undone(a_scene, results_of_a_head):
    node = show_volumes(a_scene, results_of_a_head[0])
    node.SetUndoEnabled(True)
    a_scene.SetUndoOn()
    show_volumes(a_scene, results_of_a_head[1], node)
    a_scene.Undo()
    assert [row[1] for row in rows_of(node)] == ["64", "0", "0"]
