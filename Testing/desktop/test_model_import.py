"""The dialog that makes a model of bare weights, with the real command in a process of its own."""

from __future__ import annotations

import pytest
from desktop.task_tabs import SMALL, choose

FIELDS = {
    "idEdit": "my-unet",
    "channelsEdit": "T1:MR",
    "labelsEdit": "Left, Right",
    "spacingEdit": "1, 1, 1",
    "orientationEdit": "RAS",
    "windowEdit": "16, 16, 16",
    "licenceEdit": "MIT",
}
NETWORK = '{"_target_": "UNet", "channels": [4, 8], "strides": [2]}'


@pytest.fixture
def a_dialog(desktop, a_panel, monkeypatch, tmp_path):
    """The dialog as the menu of models opens it; the user has no models yet."""
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "models"))
    desktop.show_properties_to("SlicerCNNSegLib.widgets.model_import")
    a_panel.enter()
    choose(a_panel._modelMenu.menu, "Import weights...")
    yield a_panel._modelMenu.importing
    a_panel._modelMenu.importing.close()


def fill_in(dialog, weights, network=NETWORK):
    for name, text in FIELDS.items():
        getattr(dialog.ui, name).text = text
    dialog.ui.networkEdit.plainText = network
    dialog.ui.weightsPathEdit.currentPath = str(weights)


def weights_of(path, channels):
    """A state_dict of MONAI's UNet."""
    import torch
    from monai.networks.nets import UNet

    network = UNet(3, 1, 3, channels=channels, strides=(2,) * (len(channels) - 1))
    torch.save(network.state_dict(), path)
    return path


def test_what_is_missing_is_said_and_nothing_is_started(a_dialog, tmp_path):
    ui = a_dialog.ui
    ui.startImportButton.click()
    assert ui.importStatusLabel.text.startswith("The description of the model lacks id, network, channels, labels,")
    fill_in(a_dialog, tmp_path / "nowhere.pt", network="UNet")
    ui.startImportButton.click()
    assert ui.importStatusLabel.text.startswith("Expected the network as JSON, got something else")
    fill_in(a_dialog, tmp_path / "nowhere.pt")
    ui.startImportButton.click()
    assert ui.importStatusLabel.text == f"Expected a file with weights, got '{tmp_path / 'nowhere.pt'}'; choose one."
    ui.spacingEdit.text = "one"
    ui.startImportButton.click()
    assert "has a value that makes no sense" in ui.importStatusLabel.text
    assert not a_dialog.running
    assert not (tmp_path / "models").exists()


def test_weights_that_do_not_fit_are_told_in_words_and_those_that_fit_are_the_chosen_model(
    desktop, a_panel, a_dialog, tmp_path
):
    fill_in(a_dialog, weights_of(tmp_path / "other.pt", (4, 8, 16)))
    a_dialog.ui.startImportButton.click()
    assert a_dialog.running
    assert not a_dialog.ui.startImportButton.enabled
    desktop.wait_until(lambda: not a_dialog.running)
    assert "don't fit the network" in a_dialog.ui.importStatusLabel.text
    assert a_dialog.dialog.visible
    assert list((tmp_path / "models").glob("*")) == []
    a_dialog.ui.weightsPathEdit.currentPath = str(weights_of(tmp_path / "mine.pt", (4, 8)))
    a_dialog.ui.startImportButton.click()
    desktop.wait_until(lambda: not a_dialog.running)
    assert a_dialog.ui.importStatusLabel.text == ""
    assert not a_dialog.dialog.visible
    assert a_panel.logic.getParameterNode().model == "my-unet"
    box = a_panel.ui.modelComboBox
    assert box.currentText == "my-unet"
    assert box.model().item(box.currentIndex).isEnabled()
    assert a_panel.ui.statusLabel.text == "my-unet is there; it is the chosen model of the tab Segment."
    assert a_panel.ui.modelInfoLabel.text == f"Finds: Left, Right\nImages: MR. Licence: MIT. {SMALL}"


def test_an_import_may_be_given_up(desktop, a_dialog, tmp_path):
    fill_in(a_dialog, tmp_path / "mine.pt")
    (tmp_path / "mine.pt").write_bytes(b"0" * 1000)
    a_dialog.ui.startImportButton.click()
    a_dialog.ui.closeButton.click()
    desktop.wait_until(lambda: not a_dialog.running)
    assert a_dialog.ui.importStatusLabel.text == "Cancelled."
    assert not (tmp_path / "models").exists()
