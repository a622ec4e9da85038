"""The panel's settings of a training: what it starts from, for how long, on what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from SlicerCNNSegLib.engine.catalogue import list_models
from SlicerCNNSegLib.engine.settings import DEVICES

from ..command import shipped_recipes

SEGMENTATION = "segmentation"
"""The task for whose data recipes can be made, and whose models can be started from."""


class SettingsSection:
    """Offers the recipes and models of a task.

    Parameters
    ----------
    ui:
        The form's widgets.
    on_changed:
        Called when the user chose another recipe or model.
    """

    def __init__(self, ui, on_changed: Callable[[], None]) -> None:
        self.ui, self._on_changed = ui, on_changed
        self._task, self._filling = "", False
        self._recipes: list[str] = []
        self._models: list[str] = [""]
        for name in DEVICES:
            ui.deviceComboBox.addItem(name)
        ui.startComboBox.addItem(_("Scratch"))
        ui.startComboBox.currentIndexChanged.connect(self._chosen)
        ui.recipeComboBox.currentIndexChanged.connect(self._chosen)
        self.turn_to(SEGMENTATION)

    @property
    def recipe(self) -> str:
        """A shipped recipe by name; empty for one that is made for the data."""
        return self._recipes[max(0, self.ui.recipeComboBox.currentIndex)]

    @property
    def start(self) -> str:
        """The model to start from, by id; empty for none."""
        return self._models[max(0, self.ui.startComboBox.currentIndex)]

    def turn_to(self, task: str) -> None:
        """Offer what there is for this task."""
        if task == self._task:
            return
        self._task = task
        self._recipes = [""] * (task == SEGMENTATION) + shipped_recipes(task)
        self._filling = True
        self.ui.recipeComboBox.clear()
        for name in self._recipes:
            self.ui.recipeComboBox.addItem(name or _("Made for the data"))
        self._filling = False
        self.refresh_models()

    def refresh_models(self) -> None:
        """List the models to start from anew: a training may have added one."""
        chosen = self.start
        usable = [entry.package for entry in list_models() if entry.package and entry.package.task == self._task]
        packages = usable if self._task == SEGMENTATION else []
        self._filling = True
        while self.ui.startComboBox.count > 1:
            self.ui.startComboBox.removeItem(1)
        for package in packages:
            self.ui.startComboBox.addItem(package.title)
        self._models = ["", *[package.id for package in packages]]
        self.ui.startComboBox.currentIndex = self._models.index(chosen) if chosen in self._models else 0
        self._filling = False

    def enable(self, *, new: bool) -> None:
        """Let be chosen what a run that is not planned yet has open."""
        for widget in (self.ui.startComboBox, self.ui.recipeComboBox, self.ui.minutesSpinBox):
            widget.enabled = new
        for widget in (self.ui.allowEmptyCheckBox, self.ui.absentCheckBox):
            widget.enabled = new
        for widget in (self.ui.freezeCheckBox, self.ui.adapterSpinBox):
            widget.enabled = new and bool(self.start)

    def choices(self) -> dict[str, Any]:
        """Fields of a ``TrainingRequest``."""
        return {
            "recipe": self.recipe,
            "minutes": self.ui.minutesSpinBox.value,
            "start": self.start,
            "freeze_encoder": self.ui.freezeCheckBox.checked,
            "adapter_rank": self.ui.adapterSpinBox.value,
            "allow_empty": self.ui.allowEmptyCheckBox.checked,
            "absent_not_contoured": self.ui.absentCheckBox.checked,
            "device": self.ui.deviceComboBox.currentText,
        }

    def _chosen(self, _index=None) -> None:
        if not self._filling:
            self._on_changed()
