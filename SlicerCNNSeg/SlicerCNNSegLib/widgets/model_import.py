"""The dialog that makes a model of bare weights: what ``cnnseg models import`` asks, as a form."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..engine.described.description import MATCHES, Description
from ..engine.errors import CNNSegError, SettingsError
from .model_dialog import ModelDialog
from .packages import REQUIREMENTS, ensure_packages
from .process_job import JobEnd
from .run_status import ERROR_STYLE


class ModelImport(ModelDialog):
    """The dialog; the import itself runs in a process of its own.

    Parameters
    ----------
    on_imported:
        Called with the model's id when it is installed.
    """

    def __init__(self, on_imported: Callable[[str], None]) -> None:
        super().__init__("SlicerCNNSegImport", "importStatusLabel")
        self._on_imported = on_imported
        self._folder: TemporaryDirectory[str] | None = None
        self._id = ""
        self.ui.startImportButton.clicked.connect(self._start)
        self.ui.closeButton.clicked.connect(self._close)

    def open(self) -> None:
        """Show the dialog; what was filled in before is still there."""
        self._say("")
        self.dialog.open()

    def answers(self) -> dict[str, Any]:
        """What was filled in, as a description has it.

        Raises
        ------
        SettingsError
            The network is no JSON object.
        """
        ui = self.ui
        texts = {
            "id": ui.idEdit.text,
            "channels": ui.channelsEdit.text,
            "labels": ui.labelsEdit.text,
            "spacing_mm": ui.spacingEdit.text,
            "orientation": ui.orientationEdit.text,
            "normalisation": ui.normalisationComboBox.currentText,
            "window": ui.windowEdit.text,
            "licence": ui.licenceEdit.text,
        }
        answers: dict[str, Any] = {key: text.strip() for key, text in texts.items() if text.strip()}
        if ui.networkEdit.plainText.strip():
            try:
                answers["network"] = json.loads(ui.networkEdit.plainText)
            except ValueError as error:
                raise SettingsError(f"Expected the network as JSON, got something else ({error}).") from error
        return answers | ({"match": MATCHES[1]} if ui.orderCheckBox.checked else {})

    def _start(self, _checked: object = None) -> None:
        with slicer.util.tryWithErrorDisplay(_("The import could not be started.")):
            try:
                self._begin()
            except CNNSegError as error:
                self._say(str(error), ERROR_STYLE)

    def _begin(self) -> None:
        answers = self.answers()
        self._id = Description.from_json(answers).id
        weights = Path(self.ui.weightsPathEdit.currentPath)
        if not weights.is_file():
            raise SettingsError(f"Expected a file with weights, got {str(weights)!r}; choose one.")
        ensure_packages(REQUIREMENTS, _("CNNSeg"))
        self._folder = TemporaryDirectory(prefix="cnnseg-import-")
        description = Path(self._folder.name) / "description.json"
        description.write_text(json.dumps(answers), encoding="utf-8")
        trust = ["--trust-torchscript"] * bool(self.ui.trustCheckBox.checked)
        self._command.start("import", str(weights), "--description", str(description), "--accept-licence", *trust)
        self.ui.startImportButton.enabled = False
        self._say(_("Importing"))

    def _end(self, end: JobEnd) -> None:
        self.ui.startImportButton.enabled = True
        if self._folder is not None:
            self._folder.cleanup()
        if end.status == 0:
            self._say("")
            self.dialog.accept()
            self._on_imported(self._id)
        elif end.cancelled:
            self._say(_("Cancelled."))
        else:
            self._say(end.problem or _("The import failed."), ERROR_STYLE)
