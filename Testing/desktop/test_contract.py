"""The panels' code, their forms and the stand-ins use only what PythonQt shows in Slicer.

``qt_api.json`` is the part of Slicer's and ctk's API that is needed here: per class its base, its
properties (and whether they can be written), signals, slots and invokable methods.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from desktop.paths_of_panels import FORMS, MODULE_FILES, PANEL_CODE

API = json.loads(Path(__file__).with_name("qt_api.json").read_text(encoding="utf-8"))
QT_BASES = {"QAbstractButton": "QAbstractButton", "QTableView": "QTableView", "QWidget": "QWidget"}
DYNAMIC = {"SlicerParameterName"}


@pytest.fixture(scope="module")
def widgets():
    return pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6-Essentials: pip install cnnseg[test]")


def api_classes(name: str) -> Iterator[dict]:
    """The class and its bases, as far as they are Slicer's or ctk's."""
    while name in API:
        yield API[name]
        name = API[name]["base"]


def qt_base(name: str) -> str:
    while name in API:
        name = API[name]["base"]
    return name


def shown(name: str, kinds: tuple[str, ...]) -> set[str]:
    return {member for described in api_classes(name) for kind in kinds for member in described[kind]}


def is_qt_property(widgets, class_name: str, member: str) -> bool:
    return getattr(widgets, class_name).staticMetaObject.indexOfProperty(member) >= 0


def form_widgets(form: Path) -> dict[str, str]:
    """Names and classes of a form's widgets."""
    return {w.get("name"): w.get("class") for w in ET.parse(form).iter("widget")}


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_every_property_in_a_form_exists(form, widgets):
    wrong = []
    for widget in ET.parse(form).iter("widget"):
        kind = widget.get("class")
        own = {
            name for described in api_classes(kind) for name, writable in described["properties"].items() if writable
        }
        for found in widget.findall("property"):
            name = found.get("name")
            if name not in own | DYNAMIC and not is_qt_property(widgets, qt_base(kind), name) and name != "buddy":
                wrong.append(f"{widget.get('name')} ({kind}): {name}")
    assert wrong == []


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_every_node_widget_gets_the_scene(form):
    tree = ET.parse(form)
    connected = {connection.findtext("receiver") for connection in tree.iter("connection")}
    need = {name for name, kind in form_widgets(form).items() if kind.startswith("qMRML") and kind != "qMRMLWidget"}
    assert connected == need
    for connection in tree.iter("connection"):
        assert connection.findtext("sender") == tree.findtext("class")
        assert "mrmlSceneChanged" in shown("qMRMLWidget", ("signals",))
        kind = form_widgets(form)[connection.findtext("receiver")]
        assert "setMRMLScene" in shown(kind, ("slots",))


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_every_class_of_a_form_is_declared(form):
    tree = ET.parse(form)
    declared = {custom.findtext("class") for custom in tree.iter("customwidget")}
    assert declared == {kind for kind in form_widgets(form).values() if not kind.startswith("Q")}


REACHED_BY_KEYS = {
    *("QPushButton", "QToolButton", "QComboBox", "QLineEdit", "QPlainTextEdit", "QCheckBox", "QSpinBox", "QDateEdit"),
    *("QDoubleSpinBox", "QTableWidget", "QTabWidget", "qMRMLNodeComboBox", "qMRMLTableView", "ctkPathLineEdit"),
    "ctkSliderWidget",
}
"""Classes of widgets that a user works with."""


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_every_widget_to_work_with_has_a_tool_tip_and_its_place_for_the_tab_key(form):
    """Dialogs without a list of tab stops have the order in which their widgets stand."""
    tree = ET.parse(form)
    used = [widget for widget in tree.iter("widget") if widget.get("class") in REACHED_BY_KEYS]
    assert used
    without = [w.get("name") for w in used if not any(p.get("name") == "toolTip" for p in w.findall("property"))]
    assert without == []
    stops = [stop.text for stop in tree.iter("tabstop")]
    assert not stops or sorted(stops) == sorted(widget.get("name") for widget in used)


@pytest.mark.parametrize("module_file", MODULE_FILES, ids=lambda path: path.stem)
def test_module_files_use_their_widgets_as_slicer_shows_them(module_file, widgets):
    kinds = form_widgets(module_file.parent / "Resources" / "UI" / f"{module_file.stem}.ui")
    assert wrong_uses(uses_of_widgets(module_file), kinds, widgets) == []


@pytest.mark.parametrize("form", FORMS[:2], ids=lambda path: path.stem)
def test_the_status_of_a_run_uses_its_widgets_as_slicer_shows_them(form, widgets):
    uses = list(uses_of_widgets(FORMS[0].parents[2] / "SlicerCNNSegLib" / "widgets" / "run_status.py"))
    assert uses
    assert wrong_uses(uses, form_widgets(form), widgets) == []


WIDGETS = FORMS[0].parents[2] / "SlicerCNNSegLib" / "widgets"
PARTS = {
    "SlicerCNNSeg": ("segment_tab", "detect_tab", "classify_tab", "findings_review", "follow_up_form"),
    "SlicerCNNSegImport": ("model_import",),
    "SlicerCNNSegInstall": ("model_install",),
}
"""Files that use the widgets of a form."""


@pytest.mark.parametrize(
    ("form", "part"), [(form, part) for form, parts in PARTS.items() for part in parts], ids=lambda name: name
)
def test_parts_of_a_panel_use_its_widgets_as_slicer_shows_them(form, part, widgets):
    uses = list(uses_of_widgets(WIDGETS / f"{part}.py"))
    assert uses
    assert wrong_uses(uses, form_widgets(next(path for path in FORMS if path.stem == form)), widgets) == []


def wrong_uses(uses: Iterable[tuple[str, str, bool]], kinds: dict[str, str], widgets) -> list[str]:
    """What a form's widgets, by name and class, are asked for and Slicer does not show."""
    wrong = []
    for name, member, called in uses:
        if name not in kinds:
            wrong.append(f"{name}: no such widget in the form")
            continue
        kind, base = kinds[name], qt_base(kinds[name])
        is_property = member in shown(kind, ("properties",)) or is_qt_property(widgets, base, member)
        is_method = member in shown(kind, ("slots", "invokables", "signals")) or hasattr(getattr(widgets, base), member)
        if called and is_property:
            wrong.append(f"{name}.{member}(): a property cannot be called")
        elif not is_property and not is_method:
            wrong.append(f"{name}.{member}: {kind} does not show it")
    return wrong


def uses_of_widgets(path: Path) -> Iterator[tuple[str, str, bool]]:
    """Each ``self.ui.NAME.MEMBER`` and ``ui.NAME.MEMBER``, and whether it is called."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(
                value=ast.Attribute(
                    value=ast.Attribute(value=ast.Name(id="self"), attr="ui") | ast.Name(id="ui"), attr=name
                ),
                attr=member,
            ):
                yield name, member, id(node) in called


def test_the_application_has_what_is_asked_of_it():
    found = {
        node.attr
        for path in PANEL_CODE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "slicer.app"
    }
    known = shown("qSlicerApplication", ("properties", "slots", "invokables", "signals"))
    assert "temporaryPath" in known
    assert found <= known | {"connect"}, "every QObject has it in PythonQt"


def test_no_keyword_goes_to_qt():
    """PythonQt's constructors and slots take none."""
    wrong = [
        f"{path.name}: {ast.unparse(node)}"
        for path in PANEL_CODE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("qt.") and node.keywords
    ]
    assert wrong == []


def test_stand_ins_have_nothing_that_the_real_class_lacks(widgets):
    from desktop.host.stand_ins import CLASSES

    wrong = []
    for name, made in CLASSES.items():
        known = shown(name, ("properties", "signals", "slots", "invokables"))
        for member in vars(made):
            public = member[0] != "_" and member[0].islower() and member not in ("staticMetaObject", "receivers")
            if public and member not in known and not hasattr(getattr(widgets, qt_base(name)), member):
                wrong.append(f"{name}.{member}")
    assert wrong == []
