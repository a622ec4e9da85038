"""The Segment Editor around a scripted effect: its parameters, masks, undo and writing are Slicer's real logic.

``vtkSlicerSegmentEditorLogic`` of slicer-core is what the application's editor calls; only its Qt side is stood for.
"""

# ruff: noqa: N801, N802, N803 - names are those of the classes stood for

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import slicer
from PySide6 import QtWidgets

UNDO_STATES = 10


class AbstractScriptedSegmentEditorEffect:
    """Base of an effect's Python class."""

    def __init__(self, scriptedEffect: qSlicerSegmentEditorScriptedEffect) -> None:
        self.scriptedEffect = scriptedEffect

    def register(self) -> None:
        """Make it known to Segment Editors."""
        slicer.qSlicerSegmentEditorEffectFactory.instance().registerEffect(self.scriptedEffect)


class qSlicerSegmentEditorAbstractEffect:
    """The modes in which segments are changed."""

    ModificationModeSet = slicer.vtkSlicerSegmentEditorLogic.ModificationModeSet


class qSlicerSegmentEditorScriptedEffect:
    """Slicer's side of an effect."""

    def __init__(self, parent: object = None) -> None:
        self.name = self.title = ""
        self.perSegment = self.requireSegments = True
        self._python = self._editor = None
        self._frame = QtWidgets.QFrame()
        self._layout = QtWidgets.QFormLayout(self._frame)
        self._layout.setContentsMargins(4, 4, 4, 4)

    def setPythonSource(self, path: str) -> bool:
        """The class has the name of the file and lies in the module that has the name of the file's folder."""
        module = sys.modules[Path(path).parent.name]
        self._python = getattr(module, Path(path).stem)(self)
        return True

    def self(self) -> object:
        return self._python

    def parameterSetNode(self):
        return self._editor.parameters if self._editor else None

    def optionsFrame(self) -> QtWidgets.QFrame:
        return self._frame

    def addOptionsWidget(self, widget: QtWidgets.QWidget) -> None:
        self._layout.addRow(widget)

    def parameter(self, name: str) -> str:
        value = self.parameterSetNode().GetAttribute(f"{self.name}.{name}")
        if value is None:
            raise LookupError(f"The effect's parameter {name} was never set: Slicer would print an error.")
        return value

    def setParameter(self, name: str, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"Expected a text for {name}, got {value!r}.")
        node = self.parameterSetNode()
        if node.GetAttribute(f"{self.name}.{name}") != value:
            node.SetAttribute(f"{self.name}.{name}", value)
            node.InvokeCustomModifiedEvent(node.EffectParameterModified)

    def setParameterDefault(self, name: str, value: str) -> None:
        if self.parameterSetNode().GetAttribute(f"{self.name}.{name}") is None:
            self.setParameter(name, value)

    def nodeReference(self, name: str):
        return self.parameterSetNode().GetNodeReference(f"{self.name}.{name}")

    def setNodeReference(self, name: str, node) -> None:
        self.parameterSetNode().SetNodeReferenceID(f"{self.name}.{name}", node.GetID() if node else None)
        self.parameterSetNode().InvokeCustomModifiedEvent(self.parameterSetNode().EffectParameterModified)

    def confirmCurrentSegmentVisible(self) -> int:
        return int(self._editor.logic.IsSelectedSegmentVisible())

    def referenceGeometryImage(self):
        self._editor.logic.UpdateReferenceGeometryImage()
        return self._editor.logic.GetReferenceGeometryImage()

    def saveStateForUndo(self) -> None:
        self._editor.logic.SaveStateForUndo()

    def modifySegmentByLabelmap(self, node, segmentID: str, image, mode: int) -> None:
        logic = self._editor.logic
        logic.ResetModifierLabelmapToDefault()
        logic.UpdateAlignedSourceVolume()
        logic.UpdateMaskLabelmap()
        logic.ModifySegmentByLabelmap(node, segmentID, image, mode, self.perSegment, False)


class Editor:
    """A Segment Editor with one effect in it, chosen."""

    def __init__(self, effect: qSlicerSegmentEditorScriptedEffect) -> None:
        self.parameters = slicer.mrmlScene.AddNode(slicer.vtkMRMLSegmentEditorNode())
        self.logic = slicer.vtkSlicerSegmentEditorLogic()
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self.logic.SetSegmentEditorNode(self.parameters)
        self.logic.SetMaximumNumberOfUndoStates(UNDO_STATES)
        self.effect = effect.self().clone()
        self.effect._editor = self
        self.python = self.effect.self()
        self.python.setupOptionsFrame()
        self.python.setMRMLDefaults()
        self._tags = [
            self.parameters.AddObserver(event, self._changed)
            for event in ("ModifiedEvent", self.parameters.EffectParameterModified)
        ]
        self.python.activate()

    @property
    def frame(self) -> QtWidgets.QFrame:
        """The effect's options."""
        return self.effect.optionsFrame()

    def choose(self, segmentation, volume) -> None:
        """Choose what is edited, as the editor's selectors do."""
        if segmentation is not None and not segmentation.GetSegmentation().GetConversionParameter(
            slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
        ):
            segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        self.logic.SetSegmentationNode(segmentation)
        self.logic.SetSourceVolumeNode(volume)

    def close(self) -> None:
        """The editor goes, as at Slicer's end."""
        self.python.deactivate()
        for tag in self._tags:
            self.parameters.RemoveObserver(tag)
        self.python.cleanup()
        self.frame.deleteLater()
        self.effect._editor = None

    def _changed(self, _node: object, _event: object) -> None:
        self.python.updateGUIFromMRML()


class EffectFactory:
    """``slicer.qSlicerSegmentEditorEffectFactory``: the effects that are known."""

    _one: EffectFactory | None = None

    def __init__(self) -> None:
        self._effects: list[qSlicerSegmentEditorScriptedEffect] = []

    @classmethod
    def instance(cls) -> EffectFactory:
        cls._one = cls._one or cls()
        return cls._one

    def registerEffect(self, effect: qSlicerSegmentEditorScriptedEffect) -> bool:
        """A second one of the same name is refused, as in Slicer."""
        if effect.name in [known.name for known in self._effects]:
            return False
        self._effects.append(effect)
        return True

    def registeredEffects(self) -> list[qSlicerSegmentEditorScriptedEffect]:
        return self._effects


def complete() -> None:
    """Put the modules that Slicer's Segment Editor brings into place."""
    effects = ModuleType("SegmentEditorEffects")
    effects.AbstractScriptedSegmentEditorEffect = AbstractScriptedSegmentEditorEffect
    qt_side = ModuleType("qSlicerSegmentationsEditorEffectsPythonQt")
    qt_side.qSlicerSegmentEditorScriptedEffect = qSlicerSegmentEditorScriptedEffect
    for module in (effects, qt_side):
        sys.modules[module.__name__] = module
    slicer.qSlicerSegmentEditorAbstractEffect = qSlicerSegmentEditorAbstractEffect
    slicer.qSlicerSegmentEditorEffectFactory = EffectFactory
