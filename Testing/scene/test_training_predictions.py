"""A fold's predictions beside the truth: where they lie, how they look, and which are the worst."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from SlicerCNNSegLib.engine.errors import FileReadError, InputError
from SlicerCNNSegLib.engine.evaluation.folders import evaluate_folders
from SlicerCNNSegLib.engine.files.labelmaps import write_labelmap
from SlicerCNNSegLib.engine.labels import Code, Label
from SlicerCNNSegLib.engine.volume import Geometry
from SlicerCNNSegLib.scene.labelmaps import labelmap_from_segmentation
from SlicerCNNSegLib.scene.records import record_of
from SlicerCNNSegLib.scene.volumes import volume_from_node
from SlicerCNNSegTrainLib.engine.run_folder import FoldFolder
from SlicerCNNSegTrainLib.engine.workflow import PLAIN
from SlicerCNNSegTrainLib.scene.cases import find_cases
from SlicerCNNSegTrainLib.scene.predictions import VALIDATION, read_evaluation, remove_case, show_case, worst_cases

pytestmark = pytest.mark.slicer

LABELS = (
    Label(1, "Liver", (0.8, 0.2, 0.0), type=Code("SCT", "10200004", "Liver")),
    Label(2, "Tumor", (0.0, 0.4, 0.6)),
)
GRID = Geometry((6, 8, 10), np.array([[0, -1.5, 0, 10.0], [0.8, 0, 0, -20.0], [0, 0, 3.0, 5.0], [0, 0, 0, 1]]))


def a_labelmap(liver, tumor=0):
    """So many rows of liver, and so many voxels of tumor."""
    labelmap = np.zeros(GRID.shape_kji, np.uint8)
    labelmap[:, :liver] = 1
    labelmap.reshape(-1)[labelmap.size - tumor :] = 2
    return labelmap


TRUTHS = {"good": a_labelmap(4, 10), "bad": a_labelmap(4, 10), "fair": a_labelmap(4)}
FOUND = {"good": a_labelmap(4, 8), "bad": a_labelmap(1, 0), "fair": a_labelmap(3)}
DICE = {"good": (1 + 16 / 18) / 2, "bad": (2 / 5 + 0) / 2, "fair": 6 / 7}


@pytest.fixture(scope="module")
def a_finished_fold(tmp_path_factory):
    """A fold of two-channel images as training leaves it."""
    folder = tmp_path_factory.mktemp("run")
    data, fold = folder / "data", folder / "fold_0"
    validation = FoldFolder(fold).validation / PLAIN
    for name, truth in TRUTHS.items():
        label = data / "labelsTr" / f"{name}.nii.gz"
        for channel in (0, 1):
            write_labelmap(data / "imagesTr" / f"{name}_{channel:04d}.nii.gz", truth * 10 + channel, GRID, ())
        write_labelmap(label, truth, GRID, LABELS)
        (validation / "reference").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(label, validation / "reference" / label.name)
        write_labelmap(validation / "prediction" / f"{name}.seg.nrrd", FOUND[name], GRID, LABELS)
    report = evaluate_folders(validation / "reference", validation / "prediction")
    (validation / "evaluation.json").write_text(json.dumps(report))
    model = {"labels": [label.to_json() for label in LABELS], "channels": [{"name": "T1"}, {"name": "T2"}]}
    (fold / "recipe.json").write_text(json.dumps({"model": model}))
    (fold / "split.json").write_text(json.dumps({"data": str(data), "held_out": list(TRUTHS)}))
    return fold


@pytest.fixture
def fold(a_finished_fold, tmp_path):
    """One of its own, for what changes its files."""
    return shutil.copytree(a_finished_fold, tmp_path / "fold_0")


def items(scene):
    """Names of the hierarchy's folders, and of what lies in each."""
    import vtk

    hierarchy = scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")

    def below(item):
        ids = vtk.vtkIdList()
        hierarchy.GetItemChildren(item, ids, False)
        return [ids.GetId(n) for n in range(ids.GetNumberOfIds())]

    tops = below(hierarchy.GetSceneItemID())
    return {hierarchy.GetItemName(top): [hierarchy.GetItemName(item) for item in below(top)] for top in tops}


def test_the_worst_cases_come_first(a_finished_fold):
    evaluation = read_evaluation(a_finished_fold)
    worst = worst_cases(evaluation)
    assert [case for case, _ in worst] == ["bad", "fair", "good"]
    assert [value for _, value in worst] == pytest.approx([DICE["bad"], DICE["fair"], DICE["good"]])
    told = {entry["case"]: entry["value"] for entry in evaluation["summary"]["all_labels"]["metrics"]["dice"]["worst"]}
    assert told == pytest.approx(dict(worst))
    assert worst_cases(evaluation, "iou")[0] == ("bad", pytest.approx((1 / 4 + 0) / 2))


def test_cases_that_were_not_compared_or_hold_nothing_are_no_worst_cases():
    labels = {"1": {"dice": None}, "2": {"dice": 0.5}}
    cases = [
        {"case": "a", "labels": {"1": {"dice": None}}},
        {"case": "b", "labels": {}},
        {"case": "c", "labels": labels},
    ]
    assert worst_cases({"cases": cases}) == [("c", 0.5)]


def test_image_truth_and_prediction_lie_where_the_files_do(a_scene, a_finished_fold):
    shown = show_case(a_scene, a_finished_fold, "bad")
    for channel, node in enumerate(shown.volumes):
        volume = volume_from_node(node)
        np.testing.assert_array_equal(volume.array[0], TRUTHS["bad"] * 10 + channel)
        assert volume.geometry.matches(GRID)
    for node, labelmap in ((shown.truth, TRUTHS["bad"]), (shown.prediction, FOUND["bad"])):
        drawn, geometry, _ = labelmap_from_segmentation(node, GRID)
        np.testing.assert_array_equal(drawn, labelmap)
        assert labelmap_from_segmentation(node)[1].matches(geometry)
        assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is shown.volumes[0]
        assert record_of(node) is None


def test_truth_and_prediction_are_told_apart(a_scene, a_finished_fold):
    shown = show_case(a_scene, a_finished_fold, "good")
    truth, prediction = (
        [node.GetSegmentation().GetNthSegment(n) for n in (0, 1)] for node in (shown.truth, shown.prediction)
    )
    assert [segment.GetName() for segment in truth] == ["Liver (truth)", "Tumor (truth)"]
    assert [segment.GetName() for segment in prediction] == ["Liver (prediction)", "Tumor (prediction)"]
    assert prediction[0].GetColor() == pytest.approx((0.8, 0.2, 0.0))
    assert truth[0].GetColor() == pytest.approx((0.9, 0.6, 0.5))  # halfway to white
    assert all("10200004" in segments[0].GetTerminology() for segments in (truth, prediction))
    assert not shown.truth.GetDisplayNode().GetVisibility2DFill()
    assert shown.prediction.GetDisplayNode().GetVisibility2DFill()


def test_a_case_has_a_folder_with_its_dice(a_scene, a_finished_fold):
    show_case(a_scene, a_finished_fold, "bad")
    show_case(a_scene, a_finished_fold, "fair")
    assert items(a_scene) == {
        "bad (Dice 0.200)": ["bad T1", "bad T2", "bad truth", "bad prediction"],
        "fair (Dice 0.857)": ["fair T1", "fair T2", "fair truth", "fair prediction"],
    }


def test_a_second_time_the_case_takes_its_own_place(a_scene, a_finished_fold):
    first = show_case(a_scene, a_finished_fold, "bad")
    nodes, names = a_scene.GetNumberOfNodes(), items(a_scene)
    second = show_case(a_scene, a_finished_fold, "bad")
    assert (a_scene.GetNumberOfNodes(), items(a_scene)) == (nodes, names)
    assert first.truth.GetScene() is None
    assert second.truth.GetName() == "bad truth"


def test_nothing_of_a_removed_case_stays(slicer, a_scene, a_finished_fold, a_volume_node):
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_scene)
    before = a_scene.GetNumberOfNodes()
    show_case(a_scene, a_finished_fold, "bad")
    show_case(a_scene, a_finished_fold, "good")
    remove_case(a_scene, a_finished_fold, "bad")
    assert list(items(a_scene)) == [f"good (Dice {DICE['good']:.3f})"]
    remove_case(a_scene, a_finished_fold, "good")
    assert items(a_scene) == {}
    assert a_scene.GetNumberOfNodes() == before
    remove_case(a_scene, a_finished_fold, "never shown")


def test_what_is_shown_is_no_new_case_to_train_on(a_scene, a_finished_fold):
    show_case(a_scene, a_finished_fold, "bad")
    with pytest.raises(InputError, match=r"found no pair \(0 volumes, 0 segmentations\)"):
        find_cases(a_scene)


def test_a_case_without_dice_is_shown_all_the_same(a_scene, fold):
    (fold / VALIDATION / "evaluation.json").write_text('{"cases": []}')
    show_case(a_scene, fold, "bad")
    assert list(items(a_scene)) == ["bad (no Dice)"]


def test_a_case_that_is_not_there_is_refused(a_scene, fold):
    with pytest.raises(InputError, match="Expected a case with truth and prediction out of bad, fair, good, got 'odd'"):
        show_case(a_scene, fold, "odd")
    (fold / VALIDATION / "prediction" / "bad.seg.nrrd").unlink()
    with pytest.raises(InputError, match="out of fair, good, got 'bad'"):
        show_case(a_scene, fold, "bad")
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 0


def test_an_image_that_is_gone_is_told(a_scene, fold, tmp_path):
    data = shutil.copytree(json.loads((fold / "split.json").read_text())["data"], tmp_path / "moved")
    (fold / "split.json").write_text(json.dumps({"data": str(data)}))
    for path in data.glob("*/bad*"):
        path.unlink()
    with pytest.raises(FileReadError, match=r"The case 'bad' is no longer in .*moved; put it back to see its image"):
        show_case(a_scene, fold, "bad")


def test_a_folder_that_is_no_finished_training_is_told(a_scene, fold):
    (fold / VALIDATION / "evaluation.json").unlink()
    with pytest.raises(FileReadError, match=r"Expected a readable .*evaluation.json \(.*\); finish the training, or"):
        read_evaluation(fold)
    (fold / "recipe.json").write_text("{")
    with pytest.raises(
        FileReadError, match=r"Expected a readable .*recipe.json \(.*\); choose the folder of a training"
    ):
        show_case(a_scene, fold, "bad")
