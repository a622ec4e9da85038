"""The panel's results: held-out cases, the worst first, and the model for use in SlicerCNNSeg."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from SlicerCNNSegLib.engine.catalogue import user_models_folder
from SlicerCNNSegLib.engine.errors import CNNSegError, ModelError
from SlicerCNNSegLib.engine.package import ModelPackage

from ..scene.predictions import read_evaluation, show_case, worst_cases
from .tables import WARNING, Row, fill_table

POOR_DICE = 0.5
"""Cases below are coloured: less than half of what prediction and truth cover together is common to both."""


class ResultsSection:
    """Shows an evaluation, loads its cases, and hands the model over.

    Parameters
    ----------
    ui:
        The form's widgets.
    scene:
        Where cases are shown.
    """

    def __init__(self, ui, scene) -> None:
        self.ui, self._scene = ui, scene
        ui.resultsTable.cellActivated.connect(self._show_case)  # by double click, or by Enter
        ui.useButton.clicked.connect(self._use)
        self.clear()

    def clear(self) -> None:
        """Show no results."""
        self._fold: Path | None = None
        self._cases: list[str] = []
        self._model = ""
        self._update()

    def show(self, path: Path) -> None:
        """Show a fold's ``evaluation.json``."""
        self._fold = path.parents[2]
        evaluation = read_evaluation(self._fold)
        worst = worst_cases(evaluation)
        self._cases = [case for case, _score in worst]
        fill_table(self.ui.resultsTable, (_("Held-out case"), _("Dice")), result_rows(evaluation, worst))
        self._update()

    def offer(self, folder: Path) -> None:
        """Offer the model in this folder for use, if there is one where SlicerCNNSeg looks."""
        try:
            self._model = ModelPackage.read(folder).id if folder.parent == user_models_folder() else ""
            reason = _("The model is not in {folder}.").format(folder=user_models_folder())
        except ModelError as error:
            self._model, reason = "", str(error)
        use = _("Choose the model in the module CNNSeg. It lies in {folder}.").format(folder=folder)
        self.ui.useButton.toolTip = use if self._model else reason
        self._update()

    def _update(self) -> None:
        self.ui.resultsCollapsibleButton.visible = self._fold is not None
        self.ui.useButton.enabled = bool(self._model)

    def _show_case(self, row: int, _column: int) -> None:
        with slicer.util.tryWithErrorDisplay(_("The case could not be shown."), waitCursor=True):
            try:
                shown = show_case(self._scene, self._fold, self._cases[row])
            except CNNSegError as error:
                self.ui.statusLabel.text = str(error)
                return
            slicer.util.setSliceViewerLayers(background=shown.volumes[0], fit=True)

    def _use(self, _checked=False) -> None:
        with slicer.util.tryWithErrorDisplay(_("The module CNNSeg could not be opened.")):
            slicer.util.selectModule("SlicerCNNSeg")
            slicer.util.getModuleLogic("SlicerCNNSeg").getParameterNode().model = self._model


def result_rows(evaluation: Mapping[str, Any], worst: list[tuple[str, float]]) -> list[Row]:
    """A row per case in this order, its structures in the tool tip."""
    labels = {str(case["case"]): case["labels"] for case in evaluation["cases"]}
    names = {value: label["name"] for value, label in evaluation["summary"]["labels"].items()}
    rows = []
    for case, score in worst:
        structures = [f"{names[value]}: {_number(numbers['dice'])}" for value, numbers in labels[case].items()]
        rows.append(Row((case, f"{score:.3f}"), tuple(structures), WARNING if score < POOR_DICE else ""))
    return rows


def _number(value: float | None) -> str:
    return _("in neither") if value is None else f"{value:.3f}"
