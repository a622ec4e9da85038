"""What Slicer's application adds to ``slicer``, as far as the panels use it, on top of slicer-core."""

# ruff: noqa: N802 - names are those of the classes stood for

from __future__ import annotations

import os
import sys
import tempfile
import unittest
from pathlib import Path
from types import ModuleType, SimpleNamespace

import slicer
import slicer.util
from PySide6 import QtCore, QtWidgets

from . import parameter_nodes

MODULE_NODE = "vtkMRMLScriptedModuleNode"


class Application:
    """``slicer.app``."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cnnseg-desktop-")
        self.temporaryPath = self._folder.name

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def userSettings(self) -> QtCore.QSettings:
        return QtCore.QSettings(str(Path(self.temporaryPath, "Slicer.ini")), QtCore.QSettings.Format.IniFormat)

    def testingEnabled(self) -> bool:
        return True

    def topLevelWidgets(self) -> list[QtWidgets.QWidget]:
        return QtWidgets.QApplication.topLevelWidgets()

    def layoutManager(self) -> None:
        """There are no views."""

    def setOverrideCursor(self, cursor: QtCore.Qt.CursorShape) -> None:
        QtWidgets.QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        QtWidgets.QApplication.restoreOverrideCursor()


class ScriptedLoadableModule:
    """Base of a module file's first class."""

    def __init__(self, parent: SimpleNamespace) -> None:
        self.parent = parent


class ScriptedLoadableModuleWidget:
    """Base of a module's panel; ``parent`` is the widget that Slicer gives it."""

    def __init__(self, parent: QtWidgets.QWidget) -> None:
        self.parent = parent
        self.layout = parent.layout()
        self.moduleName = type(self).__name__.removesuffix("Widget")

    def setup(self) -> None:
        """Nothing to add: the reload section is Slicer's."""

    def resourcePath(self, name: str) -> str:
        return str(Path(self.parent.moduleFolder, "Resources", name))


class ScriptedLoadableModuleLogic:
    """Base of a module's logic: finds its parameter node in the scene."""

    def __init__(self, parent: object = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        scene = slicer.mrmlScene
        found = [node for node in scene.GetNodesByClass(MODULE_NODE) if node.GetModuleName() == self.moduleName]
        if found:
            return found[0]
        node = scene.CreateNodeByClass(MODULE_NODE)
        node.SetModuleName(self.moduleName)
        node.SetSingletonTag(self.moduleName)
        return scene.AddNode(node)


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base of a module's test."""

    def delayDisplay(self, message: str, msec: int = 0) -> None:
        """Nobody is watching."""


def child_widget_variables(widget: QtWidgets.QWidget) -> SimpleNamespace:
    """The named widgets of a form as attributes."""
    children = widget.findChildren(QtWidgets.QWidget)
    names = {child.objectName(): child for child in children}
    return SimpleNamespace(**{name: child for name, child in names.items() if name and not name.startswith("qt_")})


def modules() -> dict[str, ModuleType]:
    """The missing sub-modules of ``slicer``, by name."""
    scripted = ModuleType("slicer.ScriptedLoadableModule")
    for base in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(scripted, base.__name__, base)
    wrapper = ModuleType("slicer.parameterNodeWrapper")
    wrapper.Choice = parameter_nodes.Choice
    wrapper.WithinRange = parameter_nodes.WithinRange
    wrapper.parameterNodeWrapper = parameter_nodes.parameter_node_wrapper
    i18n = ModuleType("slicer.i18n")
    i18n.tr = lambda text: text
    i18n.translate = lambda _context, text: text
    packaging = ModuleType("slicer.packaging")
    packaging.load_requirements = lambda path: Path(path).read_text(encoding="utf-8").splitlines()
    packaging.pip_ensure = lambda requirements, requester=None: None
    return {module.__name__: module for module in (scripted, wrapper, i18n, packaging)}


def plots_logic() -> slicer.vtkSlicerPlotsLogic:
    """The real logic of Slicer's module Plots."""
    return slicer.app.logics[-1]


def complete() -> None:
    """Add to ``slicer`` what the application has: its scene, ``app``, and forms."""
    slicer.app = Application()
    slicer.mrmlScene = slicer.vtkMRMLScene()
    slicer.mrmlScene.SetURL(os.devnull)
    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(slicer.mrmlScene)
    plots = slicer.vtkSlicerPlotsLogic()
    plots.SetMRMLScene(slicer.mrmlScene)
    slicer.app.logics = [logic, plots]
    slicer.modules = SimpleNamespace(plots=SimpleNamespace(logic=plots_logic))
    for name, module in modules().items():
        sys.modules[name] = module
        setattr(slicer, name.removeprefix("slicer."), module)
    slicer.util.childWidgetVariables = child_widget_variables
