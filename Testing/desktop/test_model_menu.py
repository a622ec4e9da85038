"""The menu of models beside each list: what can be removed, and what happens then."""

from __future__ import annotations

import shutil

import pytest
from desktop.task_tabs import choose

from SlicerCNNSegLib.engine import catalogue

TWO = "Test model (two-channels)"


@pytest.fixture
def models(a_models_folder, monkeypatch, tmp_path):
    """The user's folder of models; ``tiny-mr`` came with CNNSeg."""
    folder, embedded = tmp_path / "models", tmp_path / "embedded"
    shutil.copytree(a_models_folder, folder)
    embedded.mkdir()
    (folder / "tiny-mr").rename(embedded / "tiny-mr")
    monkeypatch.setenv("CNNSEG_MODELS", str(folder))
    monkeypatch.setattr(catalogue, "EMBEDDED_MODELS", embedded)
    return folder


@pytest.fixture
def a_panel_with(a_panel, models):
    """The panel with these models listed."""
    a_panel.enter()
    return a_panel


@pytest.fixture
def asked(monkeypatch):
    """What the user was asked, and the answers that are given, the last one again and again."""
    import slicer

    questions, answers = [], [True]

    def answer(text, _title, **options):
        from PySide6.QtCore import Qt

        assert options["textFormat"] == Qt.TextFormat.PlainText, "what a model calls itself is shown as text"
        questions.append(text)
        return answers.pop(0) if len(answers) > 1 else answers[0]

    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", answer)
    return questions, answers


def remove(desktop, panel, title):
    choose(panel._modelMenu.menu, "Remove", title)
    desktop.wait_until(lambda: not panel._modelMenu.removing)


def listed(box):
    return [box.itemText(n) for n in range(box.count)]


def test_every_tab_has_the_menu(a_panel_with):
    ui = a_panel_with.ui
    for button in (ui.modelMenuButton, ui.detectorMenuButton, ui.classifierMenuButton):
        assert button.menu() is a_panel_with._modelMenu.menu
    texts = [action.text for action in a_panel_with._modelMenu.menu.actions()]
    assert texts == ["Install...", "Import weights...", "Remove"]


def test_what_came_with_cnnseg_is_grey_with_the_reason(a_panel_with, asked, models):
    menu = a_panel_with._modelMenu
    menu.menu.aboutToShow.emit()
    actions = {action.text: action for action in menu.remove_menu.actions()}
    assert list(actions) == ["Balls", "broken", "Test model (tiny-mr) (came with CNNSeg)", TWO, "two-classes"]
    shipped = actions["Test model (tiny-mr) (came with CNNSeg)"]
    assert (shipped.enabled, shipped.toolTip) == (False, "It came with CNNSeg and stays.")
    assert menu.remove_menu.toolTipsVisible
    choose(menu.menu, "Remove", "Test model (tiny-mr) (came with CNNSeg)")
    assert asked[0] == []


def test_a_removed_model_is_gone_and_another_one_is_chosen(desktop, a_panel_with, asked, models):
    questions, answers = asked
    ui, parameters = a_panel_with.ui, a_panel_with.logic.getParameterNode()
    parameters.model = "two-channels"
    assert ui.inputVolume2Selector.visible
    answers[:] = [False, True]
    remove(desktop, a_panel_with, TWO)
    assert (models / "two-channels").is_dir(), "declined"
    assert parameters.model == "two-channels"
    remove(desktop, a_panel_with, TWO)
    assert questions[1] == (f"Remove {TWO} from this computer? What it has found stays.")
    assert not (models / "two-channels").exists()
    assert ui.statusLabel.text == f"{TWO} was removed."
    assert parameters.model == "tiny-mr"
    assert listed(ui.modelComboBox) == ["broken (cannot be used)", "Test model"]
    assert not ui.inputVolume2Selector.visible
    remove(desktop, a_panel_with, "Balls")
    assert parameters.detector == ""
    ui.taskTabs.currentIndex = 1
    assert ui.hintLabel.text in ("Choose an input volume.", "Choose a model.")
    assert not ui.applyButton.enabled


def test_a_broken_model_can_be_removed(desktop, a_panel_with, asked, models):
    remove(desktop, a_panel_with, "broken")
    assert not (models / "broken").exists()
    assert listed(a_panel_with.ui.modelComboBox) == ["Test model (tiny-mr)", TWO]
    assert a_panel_with.logic.getParameterNode().model == "tiny-mr"


def test_the_users_own_in_the_place_of_a_shipped_one(desktop, a_panel_with, asked, models):
    """The shipped one of the same id is there again, and stays the chosen one."""
    shutil.copytree(catalogue.EMBEDDED_MODELS / "tiny-mr", models / "tiny-mr")
    a_panel_with.enter()
    assert catalogue.find_model("tiny-mr").folder == models / "tiny-mr"
    remove(desktop, a_panel_with, "Test model (tiny-mr)")
    assert not (models / "tiny-mr").exists()
    assert a_panel_with.logic.getParameterNode().model == "tiny-mr"
    assert "Test model (tiny-mr)" in listed(a_panel_with.ui.modelComboBox)


def test_what_cannot_be_removed_is_said(desktop, a_panel_with, asked, models):
    menu = a_panel_with._modelMenu
    menu.menu.aboutToShow.emit()
    action = next(action for action in menu.remove_menu.actions() if action.text == "two-classes")
    shutil.rmtree(models / "two-classes")
    action.trigger()
    desktop.wait_until(lambda: not menu.removing)
    assert a_panel_with.ui.statusLabel.text.startswith("No model 'two-classes': expected one of ")
    assert "d9534f" in a_panel_with.ui.statusLabel.styleSheet


def test_nothing_is_removed_while_a_model_is_being_removed(desktop, a_panel_with, asked, models):
    menu = a_panel_with._modelMenu
    choose(menu.menu, "Remove", "broken")
    assert a_panel_with.ui.statusLabel.text == "Removing broken"
    menu.menu.aboutToShow.emit()
    assert not menu.remove_menu.enabled
    desktop.wait_until(lambda: not menu.removing)
    menu.menu.aboutToShow.emit()
    assert menu.remove_menu.enabled
