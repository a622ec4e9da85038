"""The training panel's sections use their widgets as Slicer shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from desktop.paths_of_panels import ROOT
from desktop.test_contract import form_widgets, uses_of_widgets, wrong_uses

FORM = ROOT / "SlicerCNNSegTrain" / "Resources" / "UI" / "SlicerCNNSegTrain.ui"
SECTIONS = sorted((ROOT / "SlicerCNNSegTrain" / "SlicerCNNSegTrainLib" / "widgets").glob("*_section.py"))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda path: path.stem)
def test_sections_use_their_widgets_as_slicer_shows_them(section: Path):
    widgets = pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6-Essentials: pip install cnnseg[test]")
    uses = list(uses_of_widgets(section))
    assert uses
    assert wrong_uses(uses, form_widgets(FORM), widgets) == []


def test_everything_has_a_tool_tip_and_can_be_reached_by_key():
    from xml.etree import ElementTree as ET

    tree = ET.parse(FORM)
    stops = {stop.text for stop in tree.iter("tabstop")}
    silent = ("QLabel", "ctkCollapsibleButton", "qMRMLWidget", "QProgressBar", "QPlainTextEdit")
    for widget in tree.iter("widget"):
        if widget.get("class") not in silent:
            assert any(found.get("name") == "toolTip" for found in widget.findall("property")), widget.get("name")
            assert widget.get("name") in stops
