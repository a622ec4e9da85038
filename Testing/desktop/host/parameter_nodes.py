"""``slicer.parameterNodeWrapper`` for the types that the panels use: str, bool, int, float and nodes.

Values live in a real ``vtkMRMLScriptedModuleNode``, under the names that Slicer uses, so a change there
reaches the form and one in the form reaches it, through the node's modified event as in Slicer.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass

import slicer
import vtk
from PySide6 import QtWidgets

from .stand_ins import ctkPathLineEdit, qMRMLNodeComboBox

PROPERTY = "SlicerParameterName"


@dataclass(frozen=True)
class Choice:
    """Annotation: one of these values."""

    choices: list


@dataclass(frozen=True)
class WithinRange:
    """Annotation: a number between these."""

    minimum: float
    maximum: float


@dataclass(frozen=True)
class Field:
    """One parameter: its type, annotations and default."""

    name: str
    kind: type
    annotations: tuple[object, ...]
    default: object

    @property
    def is_node(self) -> bool:
        return issubclass(self.kind, slicer.vtkMRMLNode)

    def read(self, node: slicer.vtkMRMLScriptedModuleNode) -> object:
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.kind is bool else self.kind(text)

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, value: object) -> None:
        for annotation in self.annotations:
            if isinstance(annotation, Choice) and value not in annotation.choices:
                raise ValueError(f"{self.name} must be one of {annotation.choices}, got {value!r}")
            if isinstance(annotation, WithinRange) and not annotation.minimum <= value <= annotation.maximum:
                raise ValueError(f"{self.name} must be within {annotation}, got {value}")
        if self.is_node:
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(self.name, str(self.kind(value)))


class Binding:
    """A widget and the parameter that it shows."""

    def __init__(self, wrapper: object, field: Field, widget: QtWidgets.QWidget) -> None:
        self.wrapper, self.field, self.widget = wrapper, field, widget
        choices = [c for annotation in field.annotations if isinstance(annotation, Choice) for c in annotation.choices]
        if isinstance(widget, QtWidgets.QComboBox):
            widget.clear()
            widget.addItems(choices)
        for annotation in field.annotations:
            if isinstance(annotation, WithinRange):
                widget.setRange(annotation.minimum, annotation.maximum)
        self.show()
        self.signal.connect(self.take)

    @property
    def signal(self) -> object:
        names = {
            QtWidgets.QCheckBox: "stateChanged",
            QtWidgets.QComboBox: "currentIndexChanged",
            QtWidgets.QSpinBox: "valueChanged",
            QtWidgets.QDoubleSpinBox: "valueChanged",
            QtWidgets.QLineEdit: "textChanged",
            qMRMLNodeComboBox: "currentNodeChanged",
            ctkPathLineEdit: "currentPathChanged",
        }
        return getattr(self.widget, names[type(self.widget)])

    def show(self) -> None:
        value = self.field.read(self.wrapper.parameterNode)
        match self.widget:
            case QtWidgets.QCheckBox():
                self.widget.setChecked(value)
            case QtWidgets.QComboBox():
                self.widget.setCurrentText(value)
            case QtWidgets.QSpinBox() | QtWidgets.QDoubleSpinBox():
                self.widget.setValue(value)
            case QtWidgets.QLineEdit():
                self.widget.setText(value)
            case qMRMLNodeComboBox():
                self.widget.setCurrentNode(value)
            case ctkPathLineEdit():
                self.widget.currentPath = value

    def take(self, *_: object) -> None:
        match self.widget:
            case QtWidgets.QCheckBox():
                value = self.widget.isChecked()
            case QtWidgets.QComboBox():
                value = self.widget.currentText()
            case QtWidgets.QSpinBox() | QtWidgets.QDoubleSpinBox():
                value = self.widget.value()
            case QtWidgets.QLineEdit():
                value = self.widget.text()
            case qMRMLNodeComboBox():
                value = self.widget.currentNode()
            case ctkPathLineEdit():
                value = self.widget.currentPath
        if value != self.field.read(self.wrapper.parameterNode):
            self.field.write(self.wrapper.parameterNode, value)


def parameter_node_wrapper(described: type) -> type:
    """Class decorator: the class's annotations become properties that live in a parameter node."""
    fields = {}
    for name, hint in typing.get_type_hints(described, include_extras=True).items():
        annotated = typing.get_origin(hint) is typing.Annotated
        kind, *annotations = typing.get_args(hint) if annotated else (hint,)
        default = getattr(described, name, None if issubclass(kind, slicer.vtkMRMLNode) else kind())
        fields[name] = Field(name, kind, tuple(annotations), default)

    def __init__(self, parameterNode) -> None:  # noqa: N803, N807
        self.parameterNode, self.bindings = parameterNode, {}
        for field in fields.values():
            if not field.is_node and not parameterNode.GetParameter(field.name):
                field.write(parameterNode, field.default)

    def connect_gui(self, ui) -> int:
        widgets = [widget for widget in vars(ui).values() if widget.property(PROPERTY)]
        bindings = [Binding(self, fields[widget.property(PROPERTY)], widget) for widget in widgets]
        tag = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: [binding.show() for binding in bindings])
        self.bindings[tag] = bindings
        return tag

    def disconnect_gui(self, tag: int) -> None:
        self.RemoveObserver(tag)
        for binding in self.bindings.pop(tag):
            binding.signal.disconnect(binding.take)

    members = {
        "__init__": __init__,
        "connectGui": connect_gui,
        "disconnectGui": disconnect_gui,
        "AddObserver": lambda self, event, call, priority=0.0: self.parameterNode.AddObserver(event, call, priority),
        "RemoveObserver": lambda self, tag: self.parameterNode.RemoveObserver(tag),
    }
    for field in fields.values():
        members[field.name] = property(
            lambda self, field=field: field.read(self.parameterNode),
            lambda self, value, field=field: field.write(self.parameterNode, value),
        )
    for name, member in members.items():
        setattr(described, name, member)
    return described
