"""The curves of a run as table, plot series and charts: made once, brought up to date, taken away."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("vtk", reason="needs the slicer-core wheel: pip install cnnseg[slicer]")

from vtk.util.numpy_support import vtk_to_numpy

from SlicerCNNSegTrainLib.engine.results.curves import read_curves
from SlicerCNNSegTrainLib.scene.curves import remove_curves, show_curves

pytestmark = pytest.mark.slicer

HEADER = "step,loss,learning_rate,dice,dice Liver,dice Tumor,seconds"
ROWS = ("100,0.9,1e-3,0.4,0.6,0.2,12", "200,0.5,9e-4,0.7,0.8,0.6,24", "300,0.4,8e-4,0.65,nan,0.5,36")
KINDS = ("vtkMRMLTableNode", "vtkMRMLPlotSeriesNode", "vtkMRMLPlotChartNode")


@pytest.fixture
def curves(tmp_path):
    """The curves of a run after so many validations."""

    def read(count, header=HEADER):
        path = tmp_path / "curves.csv"
        path.write_text("\n".join([header, *ROWS[:count]]) + "\n")
        return read_curves(path)

    return read


def counts(scene):
    return [scene.GetNumberOfNodesByClass(kind) for kind in KINDS]


def lines(chart):
    return [chart.GetNthPlotSeriesNode(n) for n in range(chart.GetNumberOfPlotSeriesNodes())]


def columns(table):
    numbers = range(table.GetNumberOfColumns())
    return {table.GetColumnName(n): vtk_to_numpy(table.GetTable().GetColumn(n)).tolist() for n in numbers}


def test_a_table_with_the_columns_of_the_file(a_scene, curves):
    table = show_curves(a_scene, "RUN/fold_0", curves(3), name="liver").table
    shown = columns(table)
    assert ",".join(shown) == HEADER
    assert shown["step"] == [100, 200, 300]
    assert shown["dice"] == [0.4, 0.7, 0.65]
    assert shown["dice Liver"][:2] == [0.6, 0.8]
    assert np.isnan(shown["dice Liver"][2])
    assert shown["learning_rate"] == [1e-3, 9e-4, 8e-4]
    assert shown["seconds"] == [12, 24, 36]
    assert table.GetName() == "Curves of liver"
    assert table.GetLocked()


def test_a_chart_of_the_loss_and_one_of_the_scores(a_scene, curves):
    shown = show_curves(a_scene, "RUN/fold_0", curves(3), colors={"Tumor": (0.9, 0.1, 0.2)})
    assert [line.GetName() for line in lines(shown.loss_chart)] == ["loss"]
    scores = lines(shown.score_chart)
    assert [line.GetName() for line in scores] == ["dice", "dice Liver", "dice Tumor"]
    for line in scores:
        assert line.GetTableNode() is shown.table
        assert (line.GetXColumnName(), line.GetYColumnName()) == ("step", line.GetName())
        assert line.GetPlotType() == line.PlotTypeScatter
    assert scores[2].GetColor() == pytest.approx((0.9, 0.1, 0.2))
    assert len({line.GetColor() for line in scores}) == 3
    assert shown.score_chart.GetTitle() == "Validation: best 0.700 at step 200"
    assert (shown.score_chart.GetXAxisTitle(), shown.score_chart.GetYAxisTitle()) == ("Step", "Dice")
    assert (shown.loss_chart.GetName(), shown.loss_chart.GetYAxisTitle()) == ("Loss of RUN/fold_0", "Loss")


def test_a_second_time_the_same_nodes_hold_the_new_rows(a_scene, curves):
    first = show_curves(a_scene, "RUN/fold_0", curves(1))
    line = lines(first.score_chart)[0]
    line.SetColor(0.5, 0.5, 0.5)
    first.score_chart.SetYAxisTitle("Overlap")
    before = counts(a_scene)
    assert before == [1, 4, 2]
    second = show_curves(a_scene, "RUN/fold_0", curves(3))
    assert counts(a_scene) == before
    assert (second.table, second.loss_chart, second.score_chart) == (first.table, first.loss_chart, first.score_chart)
    assert columns(second.table)["dice"] == [0.4, 0.7, 0.65]
    assert line.GetColor() == (0.5, 0.5, 0.5)
    assert second.score_chart.GetYAxisTitle() == "Overlap"
    assert [one.GetName() for one in lines(second.score_chart)] == ["dice", "dice Liver", "dice Tumor"]


def test_a_table_changes_once(a_scene, curves):
    table = show_curves(a_scene, "RUN/fold_0", curves(1)).table
    events = []
    table.AddObserver("ModifiedEvent", lambda *_: events.append(1))
    show_curves(a_scene, "RUN/fold_0", curves(2))
    assert events == [1]


def test_a_run_without_structures_any_more_loses_their_lines(a_scene, curves):
    show_curves(a_scene, "RUN/fold_0", curves(1))
    shown = show_curves(a_scene, "RUN/fold_0", curves(1, HEADER.replace("dice Tumor", "sensitivity")))
    assert [line.GetName() for line in lines(shown.score_chart)] == ["dice", "dice Liver"]
    assert counts(a_scene) == [1, 3, 2]


def test_before_the_first_score_there_is_no_best(a_scene, tmp_path):
    path = tmp_path / "curves.csv"
    path.write_text(f"{HEADER}\n100,0.9,1e-3,nan,nan,nan,12\n")
    shown = show_curves(a_scene, "RUN/fold_0", read_curves(path))
    assert shown.score_chart.GetTitle() == "Validation: no score yet"


def test_runs_stay_apart_and_go_with_all_their_nodes(a_scene, curves):
    empty = a_scene.GetNumberOfNodes()
    show_curves(a_scene, "RUN/fold_0", curves(1))
    one = a_scene.GetNumberOfNodes()
    other = show_curves(a_scene, "RUN/fold_1", curves(2))
    assert counts(a_scene) == [2, 8, 4]
    remove_curves(a_scene, "RUN/fold_0")
    assert a_scene.GetNumberOfNodes() == one
    assert columns(other.table)["step"] == [100, 200]
    remove_curves(a_scene, "RUN/fold_1")
    assert a_scene.GetNumberOfNodes() == empty


def test_a_scene_that_was_saved_and_loaded_has_its_nodes_brought_up_to_date(a_scene, a_new_scene, curves, tmp_path):
    show_curves(a_scene, "RUN/fold_0", curves(1))
    a_scene.SetURL(str(tmp_path / "scene.mrml"))
    a_scene.Commit()
    again = a_new_scene()
    again.SetURL(str(tmp_path / "scene.mrml"))
    again.Connect()
    assert counts(again) == [1, 4, 2]
    shown = show_curves(again, "RUN/fold_0", curves(2))
    assert counts(again) == [1, 4, 2]
    assert lines(shown.score_chart)[0].GetTableNode() is shown.table
    assert columns(shown.table)["step"] == [100, 200]
