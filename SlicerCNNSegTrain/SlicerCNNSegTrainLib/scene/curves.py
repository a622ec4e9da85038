"""The curves of a run as nodes: a table, its columns as plot series, and two charts.

Nodes are known by attributes (``CNNSeg.TrainingRun`` says of which run, ``CNNSeg.Curve`` which part),
so that showing a run again changes its nodes, also in a scene that was saved and loaded meanwhile.
What a user changed about a line's look stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from vtk.util.numpy_support import numpy_to_vtk

from SlicerCNNSegLib.scene.segmentations import one_modified_event

if TYPE_CHECKING:
    import slicer

    from ..engine.results.curves import Curves

RUN, PART = "CNNSeg.TrainingRun", "CNNSeg.Curve"
TABLE, LOSS, SCORE = "table", "loss", "score"
STEP = "step"
LINE_WIDTH = 2.0
LEGEND_ROOM = 1.4
"""How much longer than the lines the steps' axis of the scores is: the legend stands at its end, over no line."""

MAIN_COLOR = (0.15, 0.35, 0.65)
"""Of the loss and of the score over all structures; structures have colours of their own."""

_Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class CurveNodes:
    """What shows a run."""

    table: slicer.vtkMRMLTableNode
    loss_chart: slicer.vtkMRMLPlotChartNode
    score_chart: slicer.vtkMRMLPlotChartNode


def show_curves(
    scene: slicer.vtkMRMLScene,
    run: str,
    curves: Curves,
    *,
    name: str = "",
    colors: Mapping[str, tuple[float, float, float]] | None = None,
) -> CurveNodes:
    """Show the curves of a run, or bring those that are shown up to date.

    Parameters
    ----------
    scene:
        Where the nodes are.
    run:
        What tells runs apart: the fold's folder.
    curves:
        As ``read_curves`` gives them.
    name:
        What a user calls the run, for the nodes' names; empty takes ``run``.
    colors:
        Structure to red, green, blue in 0..1, for lines that are new; others get colours that differ.
    """
    name = name or run
    metric = curves.metric
    scores = {metric: curves.scores, **{f"{metric} {part}": values for part, values in curves.parts.items()}}
    columns = {
        STEP: curves.steps,
        LOSS: curves.loss,
        "learning_rate": curves.learning_rate,
        **scores,
        "seconds": curves.seconds,
    }
    table = _table(scene, run, f"Curves of {name}", columns)
    known = colors or {}
    wanted = {column: known.get(column.removeprefix(f"{metric} ")) for column in scores}
    _remove_stale(scene, run, {TABLE, f"{LOSS} chart", f"{SCORE} chart", LOSS, *scores})
    loss = [_series(scene, run, table, LOSS, MAIN_COLOR)]
    score = [
        _series(scene, run, table, column, wanted[column] or (_color(number) if number else MAIN_COLOR))
        for number, column in enumerate(scores)
    ]
    best = curves.best
    title = f"best {curves.scores[best]:.3f} at step {curves.steps[best]}" if best is not None else "no score yet"
    loss_chart = _chart(scene, run, LOSS, f"Loss of {name}", "Loss", "Training loss", loss)
    named = curves.title
    score_chart = _chart(scene, run, SCORE, f"{named} of {name}", named, f"Validation: {title}", score)
    score_chart.SetXAxisRangeAuto(False)
    score_chart.SetXAxisRange(0, LEGEND_ROOM * curves.steps[-1])
    return CurveNodes(table, loss_chart, score_chart)


def remove_curves(scene: slicer.vtkMRMLScene, run: str) -> None:
    """Take all nodes that show the run out of the scene."""
    _remove_stale(scene, run, set())


def _nodes(scene: slicer.vtkMRMLScene, run: str) -> dict[str, slicer.vtkMRMLNode]:
    """The nodes that show a run, by what they show of it."""
    nodes = (scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes()))
    return {node.GetAttribute(PART): node for node in nodes if node.GetAttribute(RUN) == run}


def _node(scene: slicer.vtkMRMLScene, run: str, part: str, kind: str, name: str) -> tuple[slicer.vtkMRMLNode, bool]:
    """The node that shows a part of a run, and whether it is new."""
    node = _nodes(scene, run).get(part)
    if node is not None:
        return node, False
    node = scene.AddNewNodeByClass(kind, name)
    node.SetAttribute(RUN, run)
    node.SetAttribute(PART, part)
    return node, True


def _remove_stale(scene: slicer.vtkMRMLScene, run: str, kept: set[str]) -> None:
    for part, node in _nodes(scene, run).items():
        if part not in kept:
            scene.RemoveNode(node)


def _table(scene: slicer.vtkMRMLScene, run: str, name: str, columns: _Columns) -> slicer.vtkMRMLTableNode:
    """The table with these columns and no others."""
    node, _ = _node(scene, run, TABLE, "vtkMRMLTableNode", name)
    with one_modified_event(node):
        node.RemoveAllColumns()
        for column, values in columns.items():
            array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
            array.SetName(column)
            node.AddColumn(array)
        node.SetUseColumnTitleAsColumnHeader(True)
        node.SetLocked(True)
    return node


def _series(
    scene: slicer.vtkMRMLScene, run: str, table: slicer.vtkMRMLTableNode, column: str, color: tuple[float, float, float]
) -> slicer.vtkMRMLPlotSeriesNode:
    """A line of one column over the steps."""
    node, new = _node(scene, run, column, "vtkMRMLPlotSeriesNode", column)
    if new:
        node.SetAndObserveTableNodeID(table.GetID())
        node.SetXColumnName(STEP)
        node.SetYColumnName(column)
        node.SetPlotType(node.PlotTypeScatter)
        node.SetLineStyle(node.LineStyleSolid)
        node.SetMarkerStyle(node.MarkerStyleNone)
        node.SetLineWidth(LINE_WIDTH)
        node.SetColor(*color)
    return node


def _chart(
    scene: slicer.vtkMRMLScene,
    run: str,
    part: str,
    name: str,
    axis: str,
    title: str,
    series: list[slicer.vtkMRMLPlotSeriesNode],
) -> slicer.vtkMRMLPlotChartNode:
    """The chart with these lines and no others."""
    node, new = _node(scene, run, f"{part} chart", "vtkMRMLPlotChartNode", name)
    with one_modified_event(node):
        if new:
            node.SetXAxisTitle("Step")
            node.SetYAxisTitle(axis)
        node.SetTitle(title)
        ids = [line.GetID() for line in series]
        if [node.GetNthPlotSeriesNodeID(n) for n in range(node.GetNumberOfPlotSeriesNodes())] != ids:
            node.RemoveAllPlotSeriesNodeIDs()
            for line_id in ids:
                node.AddAndObservePlotSeriesNodeID(line_id)
    return node


def _color(number: int) -> tuple[float, float, float]:
    from SlicerCNNSegLib.engine.files.segments import generic_label

    return generic_label(number).color
