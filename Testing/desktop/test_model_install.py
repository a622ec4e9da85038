"""The dialog that installs a model, with the real command in a process of its own."""

from __future__ import annotations

import json
import shutil

import pytest
from desktop.loop_probe import LoopProbe, slowdown
from desktop.task_tabs import choose, run_to_end, start_run
from loopback import Site, serve

from SlicerCNNSegLib.engine.errors import PackagesError
from SlicerCNNSegLib.engine.store.store import pack_model

ZOO, FILE, FOLDER, ADDRESS = range(4)
BLOCKED_S = 0.1


@pytest.fixture
def models(a_models_folder, monkeypatch, tmp_path):
    """The user's folder of models: ``tiny-mr`` alone."""
    folder = tmp_path / "models"
    shutil.copytree(a_models_folder / "tiny-mr", folder / "tiny-mr")
    monkeypatch.setenv("CNNSEG_MODELS", str(folder))
    return folder


@pytest.fixture
def a_dialog(desktop, a_panel, models):
    """The dialog as the menu of models opens it."""
    desktop.show_properties_to("SlicerCNNSegLib.widgets.model_install")
    a_panel.enter()
    choose(a_panel._modelMenu.menu, "Install...")
    yield a_panel._modelMenu.installing
    a_panel._modelMenu.installing.close()


@pytest.fixture
def a_zip(a_models_folder, models, monkeypatch, tmp_path):
    """Packs a model of another machine."""

    def pack(model, licence=""):
        with monkeypatch.context() as there:
            there.setenv("CNNSEG_MODELS", str(tmp_path / "there"))
            shutil.copytree(a_models_folder / model, tmp_path / "there" / model)
            if licence:
                metadata = tmp_path / "there" / model / "configs" / "metadata.json"
                data = json.loads(metadata.read_text(encoding="utf-8"))
                data["cnnseg"]["licence"] = licence
                metadata.write_text(json.dumps(data), encoding="utf-8")
                (tmp_path / "there" / model / "LICENSE").write_text("Not for sale.", encoding="utf-8")
            pack_model(model, tmp_path / f"{model}.zip")
        return tmp_path / f"{model}.zip"

    return pack


def install(desktop, dialog, path):
    """Install a file, and wait for the end."""
    dialog.ui.sourceComboBox.currentIndex = FILE
    dialog.ui.filePathEdit.currentPath = str(path)
    press(desktop, dialog)


def press(desktop, dialog):
    dialog.ui.startInstallButton.click()
    desktop.wait_until(lambda: not dialog.running)


def test_the_catalogue_shows_what_runs_and_greys_the_rest_with_the_reason(a_dialog):
    from PySide6.QtCore import Qt

    box = a_dialog.ui.zooComboBox
    items = {box.itemText(n): box.model().item(n) for n in range(box.count)}
    enabled = {title for title, item in items.items() if item.flags() & Qt.ItemFlag.ItemIsEnabled}
    assert "CT lung nodule detection" in enabled
    assert "Image synthesis" not in " ".join(enabled)
    assert "scripts.networks.unest.UNesT" in items["Renal segmentation"].toolTip()
    assert items["BraTS MRI image synthesis"].toolTip() == "It cannot be run here: it makes images."
    box.currentText = "Multimodal Brain Tumor segmentation"
    lines = a_dialog.ui.zooInfoLabel.text.splitlines()
    assert lines[0].startswith("Task: segmentation. Finds: ")
    assert lines[1] == "Images: MR. Version 0.5.2"
    assert a_dialog.arguments() == ["brats_mri_segmentation"]


def test_fields_belong_to_a_source_and_what_is_missing_is_said(a_dialog, tmp_path):
    ui = a_dialog.ui
    problems = {
        ZOO: "Choose a model that runs.",
        FILE: "Choose a zip or tar file.",
        FOLDER: "Choose a folder.",
        ADDRESS: "Give the file's address.",
    }
    ui.zooComboBox.currentIndex = -1
    for source, problem in problems.items():
        ui.sourceComboBox.currentIndex = source
        ui.startInstallButton.click()
        assert ui.installStatusLabel.text == problem
    assert [ui.addressEdit.isHidden(), ui.checksumEdit.isHidden(), ui.nameEdit.isHidden()] == [False, False, True]
    ui.addressEdit.text = "https://127.0.0.1:9/a.zip"
    ui.startInstallButton.click()
    assert ui.installStatusLabel.text == "Give the checksum that the file's publisher names."
    ui.checksumEdit.text = "sha256:12"
    ui.startInstallButton.click()
    assert ui.installStatusLabel.text.startswith("Expected a checksum as sha256:HEX")
    assert not a_dialog.running
    ui.sourceComboBox.currentIndex = FOLDER
    ui.folderPathEdit.currentPath, ui.nameEdit.text, ui.configurationEdit.text = str(tmp_path), "mine", "2d"
    assert a_dialog.arguments() == [str(tmp_path), "--id", "mine", "--configuration", "2d"]


def test_an_installed_model_is_the_chosen_one_of_its_tab_and_the_gui_never_waits(
    desktop, a_panel, a_dialog, a_zip, models
):
    desktop.process_events()
    with LoopProbe() as probe:
        install(desktop, a_dialog, a_zip("balls"))
    assert probe.longest_busy_s < BLOCKED_S
    assert probe.longest_s < BLOCKED_S * slowdown() + BLOCKED_S
    assert not a_dialog.dialog.visible
    assert (models / "balls" / "configs" / "metadata.json").is_file()
    assert a_panel.logic.getParameterNode().detector == "balls"
    assert a_panel.logic.getParameterNode().model == "tiny-mr", "that of the other tab stays"
    assert a_panel.ui.statusLabel.text == "balls is there; it is the chosen model of the tab Detect & follow up."
    a_panel.ui.taskTabs.currentIndex = 1
    assert a_panel.ui.detectorComboBox.currentText == "Balls"
    assert list(models.glob(".*")) == [], "nothing is left of the installation"


def test_a_licence_that_restricts_is_shown_and_nothing_is_installed_before_it_is_accepted(
    desktop, a_panel, a_dialog, a_zip, models
):
    path = a_zip("two-classes", licence="CC BY-NC 4.0")
    install(desktop, a_dialog, path)
    ui = a_dialog.ui
    assert ui.licenceLabel.text == "two-classes has the licence CC BY-NC 4.0. Its use may be restricted."
    assert (ui.licenceText.visible, ui.licenceText.plainText) == (True, "Not for sale.")
    assert ui.installStatusLabel.text == "Read the licence; nothing is installed before it is accepted."
    assert ui.startInstallButton.text == "Accept and install"
    assert not (models / "two-classes").exists()
    ui.sourceComboBox.currentIndex = FOLDER
    assert (ui.licenceText.visible, ui.startInstallButton.text) == (False, "Install"), "it was that of another source"
    ui.closeInstallButton.click()
    assert not a_dialog.dialog.visible
    assert not (models / "two-classes").exists(), "closing declines"
    a_dialog.open()
    install(desktop, a_dialog, path)
    assert not (models / "two-classes").exists(), "it is asked again"
    press(desktop, a_dialog)
    assert (models / "two-classes").is_dir()
    assert a_panel.logic.getParameterNode().classifier == "two-classes"


def test_what_fails_is_said_and_leaves_nothing(desktop, a_dialog, a_zip, models, tmp_path):
    (tmp_path / "broken.zip").write_bytes(b"PK nothing")
    install(desktop, a_dialog, tmp_path / "broken.zip")
    assert "broken.zip" in a_dialog.ui.installStatusLabel.text
    assert "d9534f" in a_dialog.ui.installStatusLabel.styleSheet
    assert a_dialog.ui.startInstallButton.enabled
    assert sorted(path.name for path in models.iterdir()) == ["tiny-mr"]
    install(desktop, a_dialog, a_zip("tiny-mr"))
    assert a_dialog.ui.installStatusLabel.text.endswith("; tick 'Replace an installed one'.")
    a_dialog.ui.replaceCheckBox.checked = True
    press(desktop, a_dialog)
    assert a_dialog.ui.installStatusLabel.text == ""
    assert not a_dialog.dialog.visible


def test_a_download_is_verified_and_can_be_cancelled(desktop, a_dialog, a_zip, models):
    content = a_zip("two-channels").read_bytes()
    with serve(Site(content)) as site:
        a_dialog.ui.sourceComboBox.currentIndex = ADDRESS
        a_dialog.ui.addressEdit.text = site.address
        a_dialog.ui.checksumEdit.text = "sha256:" + "0" * 64
        press(desktop, a_dialog)
    assert "it was not opened" in a_dialog.ui.installStatusLabel.text
    a_dialog.ui.startInstallButton.click()
    assert a_dialog.ui.installProgressBar.visible
    assert not a_dialog.ui.addressEdit.enabled
    assert a_dialog.ui.closeInstallButton.text == "Cancel"
    a_dialog.ui.closeInstallButton.click()
    desktop.wait_until(lambda: not a_dialog.running)
    assert a_dialog.ui.installStatusLabel.text == "Cancelled; nothing was installed."
    assert a_dialog.ui.addressEdit.enabled
    assert sorted(path.name for path in models.glob("[!.]*")) == ["tiny-mr"]


def test_declined_packages_are_said(a_dialog, monkeypatch, a_zip):
    def decline(requirements, requester):
        raise PackagesError("The Python packages of CNNSeg were not installed: declined")

    monkeypatch.setattr("SlicerCNNSegLib.widgets.model_install.ensure_packages", decline)
    a_dialog.ui.sourceComboBox.currentIndex = FILE
    a_dialog.ui.filePathEdit.currentPath = str(a_zip("balls"))
    a_dialog.ui.startInstallButton.click()
    assert a_dialog.ui.installStatusLabel.text.endswith("not installed: declined")
    assert not a_dialog.running


def test_an_installation_that_ends_during_a_run_leaves_the_run_alone(
    desktop, a_panel, a_dialog, a_zip, a_volume, behaviour
):
    a_volume()
    a_panel.enter()
    path = a_zip("two-channels")
    start_run(desktop, a_panel, behaviour, "hang")
    assert not a_panel.ui.modelMenuButton.enabled
    install(desktop, a_dialog, path)
    assert a_panel.logic.running
    assert a_panel.ui.statusLabel.text.startswith("Running the network")
    a_panel.ui.cancelButton.click()
    desktop.wait_until(lambda: not a_panel.logic.running)
    box = a_panel.ui.modelComboBox
    assert "Test model (two-channels)" in [box.itemText(n) for n in range(box.count)]
    a_panel.logic.getParameterNode().model = "tiny-mr"
    behaviour("done")
    run_to_end(desktop, a_panel)
    assert a_panel.ui.statusLabel.text.startswith("Done in ")


def test_closing_the_panel_ends_an_installation(desktop, a_models_folder, models, a_zip):
    panel = desktop.open("SlicerCNNSeg")
    dialog = panel._modelMenu.installing
    dialog.ui.sourceComboBox.currentIndex = FILE
    dialog.ui.filePathEdit.currentPath = str(a_zip("balls"))
    dialog.ui.startInstallButton.click()
    assert dialog.running
    desktop.close(panel)
    assert not dialog.running
    assert not (models / "balls").exists()
