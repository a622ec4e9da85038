"""The training panel's sections use their widgets as Slicer shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from desktop.paths_of_panels import ROOT
from desktop.test_contract import form_widgets, is_qt_property, qt_base, shown, uses_of_widgets

FORM = ROOT / "SlicerCNNSegTrain" / "Resources" / "UI" / "SlicerCNNSegTrain.ui"
SECTIONS = sorted((ROOT / "SlicerCNNSegTrain" / "SlicerCNNSegTrainLib" / "widgets").glob("*_section.py"))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda path: path.stem)
def test_sections_use_their_widgets_as_slicer_shows_them(section: Path):
    widgets = pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6-Essentials: pip install cnnseg[test]")
    kinds, uses = form_widgets(FORM), list(uses_of_widgets(section))
    assert uses
    wrong = []
    for name, member, called in uses:
        kind = kinds.get(name)
        if kind is None:
            wrong.append(f"self.ui.{name}: no such widget in the form")
            continue
        is_property = member in shown(kind, ("properties",)) or is_qt_property(widgets, qt_base(kind), member)
        is_method = member in shown(kind, ("slots", "invokables", "signals"))
        if called and is_property:
            wrong.append(f"self.ui.{name}.{member}(): a property cannot be called")
        elif not is_property and not is_method and not hasattr(getattr(widgets, qt_base(kind)), member):
            wrong.append(f"self.ui.{name}.{member}: {kind} does not show it")
    assert wrong == []


def test_everything_has_a_tool_tip_and_can_be_reached_by_key():
    from xml.etree import ElementTree as ET

    tree = ET.parse(FORM)
    stops = {stop.text for stop in tree.iter("tabstop")}
    silent = ("QLabel", "ctkCollapsibleButton", "qMRMLWidget", "QProgressBar", "QPlainTextEdit")
    for widget in tree.iter("widget"):
        if widget.get("class") not in silent:
            assert any(found.get("name") == "toolTip" for found in widget.findall("property")), widget.get("name")
            assert widget.get("name") in stops
