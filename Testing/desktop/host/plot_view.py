"""A chart node as a picture, drawn by VTK's charts, with which Slicer's plot views draw it."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from PySide6 import QtGui
from vtk.util.numpy_support import vtk_to_numpy


def picture_of_chart(chart: slicer.vtkMRMLPlotChartNode, width_px: int, height_px: int) -> QtGui.QPixmap:
    """The chart's series, in their colours, with title, axes and legend."""
    view = vtk.vtkContextView()
    window = view.GetRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetSize(width_px, height_px)
    drawn = vtk.vtkChartXY()
    view.GetScene().AddItem(drawn)
    drawn.SetTitle(chart.GetTitle() or chart.GetName())
    drawn.SetShowLegend(chart.GetNumberOfPlotSeriesNodes() > 1)
    drawn.GetAxis(vtk.vtkAxis.BOTTOM).SetTitle(chart.GetXAxisTitle())
    drawn.GetAxis(vtk.vtkAxis.LEFT).SetTitle(chart.GetYAxisTitle())
    if not chart.GetXAxisRangeAuto():
        drawn.GetAxis(vtk.vtkAxis.BOTTOM).SetBehavior(vtk.vtkAxis.FIXED)
        drawn.GetAxis(vtk.vtkAxis.BOTTOM).SetRange(*chart.GetXAxisRange())
    for number in range(chart.GetNumberOfPlotSeriesNodes()):
        _add_series(drawn, chart.GetNthPlotSeriesNode(number))
    window.Render()
    return grabbed(window)


def _add_series(drawn: vtk.vtkChartXY, series: slicer.vtkMRMLPlotSeriesNode) -> None:
    line = drawn.AddPlot(vtk.vtkChart.LINE)
    table = series.GetTableNode().GetTable()
    line.SetInputData(table, series.GetXColumnName(), series.GetYColumnName())
    line.SetLabel(series.GetName())
    line.SetColorF(*series.GetColor())
    line.SetWidth(series.GetLineWidth())


def grabbed(window: vtk.vtkRenderWindow) -> QtGui.QPixmap:
    """What a window shows."""
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.Update()
    width, height, _ = grab.GetOutput().GetDimensions()
    rows = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(height, width, 3)
    pixels = np.ascontiguousarray(rows[::-1])
    image = QtGui.QImage(pixels.data, width, height, 3 * width, QtGui.QImage.Format.Format_RGB888)
    return QtGui.QPixmap.fromImage(image.copy())
