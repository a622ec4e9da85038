"""The scene as Slicer's views show it: three slice views and a 3-D one, drawn by Slicer's own displayable managers.

Volumes come through ``vtkMRMLSliceLogic``, segments and markups through the displayable managers that Slicer's views
have. What a picture shows is therefore what the nodes say: which volume lies in front, which segment is visible, where
a slice was moved to.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import slicer
import vtk
from matplotlib import colormaps
from PySide6 import QtCore, QtGui

from .plot_view import grabbed

SLICES = {
    "Red": ("Axial", "#f34a33"),
    "Green": ("Coronal", "#6eb04b"),
    "Yellow": ("Sagittal", "#edd54c"),
}
"""Orientation, and colour of the bar above the view, as in Slicer."""

PLACES = ("Red", "3D", "Green", "Yellow")
"""In Slicer's layout "Four-Up", row by row."""

BAR_PX, GAP_PX = 6, 2
THREE_D_TOP, THREE_D_BOTTOM, THREE_D_BAR = (0.7568, 0.7647, 0.9098), (0.4549, 0.4705, 0.7450), "#5a50a8"
MANAGERS = {
    "Slice": ("vtkMRMLSegmentationsDisplayableManager2D", "vtkMRMLMarkupsDisplayableManager"),
    "ThreeD": ("vtkMRMLSegmentationsDisplayableManager3D", "vtkMRMLMarkupsDisplayableManager"),
}
ZOOM_3D = 1.2
"""How much nearer than Slicer, whose views are larger, the camera goes; in a narrow view not so near."""


class SceneViews:
    """Views of Slicer's scene, there until ``close``.

    Parameters
    ----------
    volume:
        What the slice views show behind everything else; they are centred on it.
    """

    def __init__(self, volume: slicer.vtkMRMLVolumeNode) -> None:
        self._scene = volume.GetScene()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self._scene)
        self._logics = {name: self._slice_logic(name) for name in SLICES}
        self._view = self._scene.AddNewNodeByClass("vtkMRMLViewNode")
        self._view.SetMappedInLayout(1)
        self.show(volume)

    def show(self, volume: slicer.vtkMRMLVolumeNode) -> None:
        """Put a volume behind everything else, and centre the slice views on it."""
        for logic in self._logics.values():
            composite = logic.GetSliceCompositeNode(logic.GetSliceNode())
            composite.SetBackgroundVolumeID(volume.GetID())
            logic.FitSliceToAll()

    def close(self) -> None:
        """Take the views out of the scene."""
        for name in SLICES:
            self._remove(name)
        self._scene.RemoveNode(self._view)

    def picture(
        self, width_px: int, height_px: int, places: Sequence[str] = PLACES, zoom: float = 1.0
    ) -> QtGui.QPixmap:
        """Views in rows of two, or one alone, with Slicer's bars; slices ``zoom`` times as large as fit in."""
        columns = min(len(places), 2)
        rows = len(places) // columns
        width, height = (width_px - GAP_PX) // columns, (height_px - GAP_PX) // rows
        whole = QtGui.QPixmap(width_px, height_px)
        whole.fill(QtCore.Qt.GlobalColor.black)
        painter = QtGui.QPainter(whole)
        for number, name in enumerate(places):
            x, y = (number % 2) * (width + GAP_PX), (number // 2) * (height + GAP_PX)
            bar = SLICES[name][1] if name in SLICES else THREE_D_BAR
            painter.fillRect(x, y, width, BAR_PX, QtGui.QColor(bar))
            size = (width, height - BAR_PX)
            drawn = self.slice_picture(name, *size, zoom) if name in SLICES else self.three_d_picture(*size)
            painter.drawPixmap(x, y + BAR_PX, drawn)
        painter.end()
        return whole

    def slice_picture(self, name: str, width_px: int, height_px: int, zoom: float = 1.0) -> QtGui.QPixmap:
        """One of ``SLICES``, around the point where it is."""
        logic = self._logics[name]
        node = logic.GetSliceNode()
        middle = [node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
        logic.ResizeSliceNode(width_px, height_px)
        logic.FitSliceToAll(width_px, height_px)
        node.SetFieldOfView(*(mm / zoom for mm in node.GetFieldOfView()[:2]), 1.0)
        node.JumpSliceByCentering(*middle)
        renderer, window = _window(width_px, height_px)
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        mapper.SetInputConnection(logic.GetImageDataConnection())
        image = vtk.vtkActor2D()
        image.SetMapper(mapper)
        image.GetProperty().SetDisplayLocationToBackground()
        renderer.AddViewProp(image)
        return _drawn("Slice", node, renderer, window)

    def three_d_picture(self, width_px: int, height_px: int) -> QtGui.QPixmap:
        """What there is in 3-D, from the front."""
        renderer, window = _window(width_px, height_px)
        renderer.SetGradientBackground(True)
        renderer.SetBackground(*THREE_D_BOTTOM)
        renderer.SetBackground2(*THREE_D_TOP)
        camera = renderer.GetActiveCamera()
        camera.SetPosition(0, 1, 0)
        camera.SetViewUp(0, 0, 1)
        return _drawn("ThreeD", self._view, renderer, window, zoom=ZOOM_3D)

    def _remove(self, name: str) -> None:
        """Take a slice view's nodes out of the scene, whoever has made them."""
        for kind in ("vtkMRMLSliceCompositeNode", "vtkMRMLSliceNode"):
            for node in list(self._scene.GetNodesByClass(kind)):
                if node.GetLayoutName() == name:
                    self._scene.RemoveNode(node)

    def _slice_logic(self, name: str) -> slicer.vtkMRMLSliceLogic:
        self._remove(name)
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(application_logic())
        logic.SetMRMLScene(self._scene)
        node = logic.AddSliceNode(name)
        node.SetOrientation(SLICES[name][0])
        node.SetMappedInLayout(1)
        return logic


@cache
def application_logic() -> slicer.vtkMRMLApplicationLogic:
    """The application's logic, which knows those that draw markups; and Slicer's tables of colours in the scene."""
    logic = slicer.vtkMRMLApplicationLogic()
    logic.SetMRMLScene(slicer.mrmlScene)
    markups, colors = slicer.vtkSlicerMarkupsLogic(), slicer.vtkMRMLColorLogic()
    for one in (markups, colors):
        one.SetMRMLScene(slicer.mrmlScene)
        slicer.app.logics.append(one)
    slicer.mrmlScene.AddNode(_inferno())
    logic.SetModuleLogic("Markups", markups)
    markups.RegisterMarkupsNode(slicer.vtkMRMLMarkupsROINode(), slicer.vtkSlicerROIWidget(), False)
    for kind, managers in MANAGERS.items():
        factory = _factory(kind)
        factory.SetMRMLApplicationLogic(logic)
        for manager in managers:
            factory.RegisterDisplayableManager(manager)
    return logic


def _inferno() -> slicer.vtkMRMLColorTableNode:
    """Slicer reads this table from a file that slicer-core does not bring; matplotlib has the same."""
    colors = colormaps["inferno"].resampled(256)(range(256))
    node = slicer.vtkMRMLColorTableNode()
    node.SetName("Inferno")
    node.SetSingletonTag("FileInferno.txt")
    node.SetTypeToUser()
    node.SetNumberOfColors(len(colors))
    for number, color in enumerate(colors):
        node.SetColor(number, *color)
    return node


def _factory(kind: str) -> slicer.vtkMRMLDisplayableManagerFactory:
    return getattr(slicer, f"vtkMRML{kind}ViewDisplayableManagerFactory").GetInstance()


def _window(width_px: int, height_px: int) -> tuple[vtk.vtkRenderer, vtk.vtkRenderWindow]:
    renderer, window = vtk.vtkRenderer(), vtk.vtkRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetSize(width_px, height_px)
    window.AddRenderer(renderer)
    window.SetInteractor(vtk.vtkRenderWindowInteractor())
    return renderer, window


def _drawn(
    kind: str,
    node: slicer.vtkMRMLAbstractViewNode,
    renderer: vtk.vtkRenderer,
    window: vtk.vtkRenderWindow,
    zoom: float = 0.0,
) -> QtGui.QPixmap:
    """The view of a node, drawn by its displayable managers."""
    group = _factory(kind).InstantiateDisplayableManagers(renderer)
    group.SetMRMLDisplayableNode(node)
    if zoom:
        renderer.ResetCamera()
        width, height = window.GetSize()
        renderer.GetActiveCamera().Zoom(zoom * min(1.0, width / height))
    window.Render()
    return grabbed(window)
