"""The panel's places: the name of a training, and the folders of its run and its model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from SlicerCNNSegLib.engine.catalogue import user_models_folder
from SlicerCNNSegLib.engine.files.paths import safe_name

from .run_state import own_folder


class PlacesSection:
    """Names run and model by the data until the user does.

    Parameters
    ----------
    ui:
        The form's widgets.
    on_run, on_model:
        Called when there is another folder of the run, or of the model.
    """

    def __init__(self, ui, on_run: Callable[[], None], on_model: Callable[[], None]) -> None:
        self.ui, self._proposed = ui, ""
        ui.nameLineEdit.textChanged.connect(self._named)
        ui.runPathEdit.currentPathChanged.connect(on_run)
        ui.modelPathEdit.currentPathChanged.connect(on_model)

    @property
    def run(self) -> Path | None:
        """The folder of the run; None as long as there is none."""
        return Path(self.ui.runPathEdit.currentPath) if self.ui.runPathEdit.currentPath else None

    @property
    def model(self) -> Path:
        """The folder of the model, once it is named."""
        return Path(self.ui.modelPathEdit.currentPath)

    @property
    def missing(self) -> bool:
        """Whether a folder has no name yet."""
        return not (self.ui.runPathEdit.currentPath and self.ui.modelPathEdit.currentPath)

    def propose(self, data: Path | None) -> None:
        """Propose the data's name, unless the user gave one."""
        if data is not None and self.ui.nameLineEdit.text in ("", self._proposed):
            self._proposed = safe_name(data.stem if data.suffix == ".csv" else data.name)
            self.ui.nameLineEdit.text = self._proposed

    def _named(self, _text=None) -> None:
        name = self.ui.nameLineEdit.text
        self.ui.modelPathEdit.currentPath = str(user_models_folder() / safe_name(name)) if name else ""
        self.ui.runPathEdit.currentPath = str(own_folder("runs") / safe_name(name)) if name else ""
