"""The module ``qt`` as PythonQt shows it, out of PySide6."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from xml.etree import ElementTree as ET

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from . import stand_ins


class Process(QtCore.QProcess):
    """QProcess whose signals are connected by their signature, as overloaded ones must be in PythonQt."""

    def connect(self, signature: str, slot: Callable[..., None]) -> bool:
        """Connect; a wrong signature raises, where PythonQt only prints a line."""
        if self.metaObject().indexOfSignal(signature) < 0:
            raise AttributeError(f"QProcess has no signal {signature}.")
        getattr(self, signature.partition("(")[0]).connect(slot)
        return True


class UiLoader(QtUiTools.QUiLoader):
    """Makes stand-ins for Slicer's widgets, and the form's connections between them."""

    def createWidget(  # noqa: N802
        self, class_name: str, parent: QtWidgets.QWidget | None = None, name: str = ""
    ) -> QtWidgets.QWidget:
        """A stand-in where there is one; a class that nobody knows raises, where PythonQt drops it."""
        made = stand_ins.CLASSES.get(class_name)
        if made is None:
            if class_name not in self.availableWidgets():
                raise LookupError(f"The form has a widget of class {class_name}, for which there is no stand-in.")
            return super().createWidget(class_name, parent, name)
        widget = made(parent)
        widget.setObjectName(name)
        return widget

    def load(self, file: QtCore.QFile) -> QtWidgets.QWidget:
        """Load a form; Qt does not know vtkMRMLScene, so ``setMRMLScene`` is handed on by the stand-in."""
        tree = ET.fromstring(bytes(file.readAll().data()))
        connections = tree.find("connections")
        receivers = [connection.findtext("receiver") for connection in connections]
        connections.clear()
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(tree))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        form = super().load(buffer)
        form.receivers = [form.findChild(QtWidgets.QWidget, name) for name in receivers]
        return form


def make_module() -> ModuleType:
    """``qt``: all classes of QtCore, QtGui and QtWidgets in one module."""

    def find(name: str) -> type:
        for part in (QtCore, QtGui, QtWidgets):
            if name.startswith("Q") and hasattr(part, name):
                return getattr(part, name)
        raise AttributeError(f"module 'qt' has no attribute {name!r}")

    module = ModuleType("qt")
    module.__getattr__ = find
    module.QUiLoader = UiLoader
    module.QProcess = Process
    return module
