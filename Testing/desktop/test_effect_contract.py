"""The effect uses only what PythonQt shows of Slicer's side of it, and of its widgets; so does its stand-in."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from desktop.paths_of_panels import EFFECT_CODE, ROOT
from desktop.test_contract import form_widgets, shown, uses_of_widgets, wrong_uses

FORM = ROOT / "SlicerCNNSeg" / "Resources" / "UI" / "SegmentEditorCNNSeg.ui"
EFFECT = "qSlicerSegmentEditorScriptedEffect"
KINDS = ("properties", "signals", "slots", "invokables")


def uses_of_effect() -> Iterator[tuple[str, bool]]:
    """Each member of Slicer's side of the effect that is asked for, and whether it is called."""
    for path in EFFECT_CODE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in (
                "self.scriptedEffect",
                "self._effect",
                "scriptedEffect",
                "effect",
                "clonedEffect",
            ):
                yield node.attr, id(node) in called


def test_slicers_side_has_what_is_asked_of_it():
    uses = list(uses_of_effect())
    assert ("modifySegmentByLabelmap", True) in uses
    assert {member for member, _called in uses} <= shown(EFFECT, KINDS)
    assert not {member for member, called in uses if called} & shown(EFFECT, ("properties",))


def test_the_effects_widgets_are_used_as_slicer_shows_them():
    widgets = pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6-Essentials: pip install cnnseg[test]")
    uses = [use for path in EFFECT_CODE for use in uses_of_widgets(path)]
    assert len(uses) > 10
    assert wrong_uses(uses, form_widgets(FORM), widgets) == []


def test_the_stand_ins_have_nothing_that_the_real_classes_lack(desktop):
    from desktop.host import segment_editor

    for made, name in (
        (segment_editor.qSlicerSegmentEditorScriptedEffect, EFFECT),
        (segment_editor.EffectFactory, "qSlicerSegmentEditorEffectFactory"),
    ):
        public = {member for member in vars(made) if not member.startswith("_")}
        assert public
        assert public <= shown(name, KINDS)


def test_an_effect_of_a_name_is_registered_once(desktop):
    import slicer

    import SlicerCNNSeg

    SlicerCNNSeg.registerSegmentEditorEffect()
    SlicerCNNSeg.registerSegmentEditorEffect()
    effects = slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects()
    assert [effect.name for effect in effects] == ["CNN"]


def test_the_effect_has_what_slicer_calls():
    (tree,) = (
        ast.parse(path.read_text(encoding="utf-8")) for path in EFFECT_CODE if path.stem == "SegmentEditorEffect"
    )
    methods = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert methods >= {
        *("clone", "icon", "helpText", "setupOptionsFrame", "setMRMLDefaults", "updateGUIFromMRML"),
        *("updateMRMLFromGUI", "activate", "deactivate", "cleanup", "sourceVolumeNodeChanged"),
    }
