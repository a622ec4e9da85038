"""The panel's results: held-out cases, the worst first, and the model for use in SlicerCNNSeg."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from SlicerCNNSegLib.engine.catalogue import user_models_folder
from SlicerCNNSegLib.engine.errors import CNNSegError, ModelError
from SlicerCNNSegLib.engine.evaluation.classification.text import OVERALL_ROWS
from SlicerCNNSegLib.engine.package import ModelPackage

from ..scene.predictions import read_evaluation, show_case, worst_cases
from .tables import WARNING, Row, fill_table

PARAMETERS = {"segmentation": "model", "detection": "detector", "classification": "classifier"}
"""Task to the parameter of SlicerCNNSeg that holds the model chosen for it."""

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
        self._model: ModelPackage | None = None
        self._update()

    def show(self, path: Path) -> None:
        """Show a fold's ``evaluation.json``."""
        self._fold = path.parents[2]
        evaluation = read_evaluation(self._fold)
        if isinstance(evaluation.get("cases"), list):
            worst = worst_cases(evaluation)
            self._cases = [case for case, _score in worst]
            fill_table(self.ui.resultsTable, (_("Held-out case"), _("Dice")), result_rows(evaluation, worst))
        else:
            self._cases = []
            fill_table(self.ui.resultsTable, (_("Held-out images"), _("Value")), number_rows(evaluation))
        self._update()

    def offer(self, folder: Path) -> None:
        """Offer the model in this folder for use, if there is one where SlicerCNNSeg looks."""
        try:
            self._model = ModelPackage.read(folder) if folder.parent == user_models_folder() else None
            reason = _("The model is not in {folder}.").format(folder=user_models_folder())
        except ModelError as error:
            self._model, reason = None, str(error)
        use = _("Choose the model in the module CNNSeg. It lies in {folder}.").format(folder=folder)
        self.ui.useButton.toolTip = use if self._model else reason
        self._update()

    def _update(self) -> None:
        self.ui.resultsCollapsibleButton.visible = self._fold is not None
        self.ui.useButton.enabled = self._model is not None

    def _show_case(self, row: int, _column: int) -> None:
        if row >= len(self._cases):  # numbers over all images
            return
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
            parameters = slicer.util.getModuleLogic("SlicerCNNSeg").getParameterNode()
            parameters.task = self._model.task
            setattr(parameters, PARAMETERS[self._model.task], self._model.id)


def result_rows(evaluation: Mapping[str, Any], worst: list[tuple[str, float]]) -> list[Row]:
    """A row per case in this order, its structures in the tool tip."""
    labels = {str(case["case"]): case["labels"] for case in evaluation["cases"]}
    names = {value: label["name"] for value, label in evaluation["summary"]["labels"].items()}
    rows = []
    for case, score in worst:
        structures = [f"{names[value]}: {_number(numbers['dice'])}" for value, numbers in labels[case].items()]
        rows.append(Row((case, f"{score:.3f}"), tuple(structures), WARNING if score < POOR_DICE else ""))
    return rows


def number_rows(evaluation: Mapping[str, Any]) -> list[Row]:
    """A row per number of a detection's or a classification's evaluation."""
    if "froc" in evaluation:
        froc = evaluation["froc"]
        at = _("Sensitivity at {n} false positives per image")
        numbers = {_("CPM"): froc["cpm"]["value"]} | {
            at.format(n=f"{one['false_positives_per_scan']:g}"): one["sensitivity"] for one in froc["operating_points"]
        }
    else:
        (model,) = evaluation["models"]
        numbers = {name: model["overall"][key]["value"] for name, key in OVERALL_ROWS if key in model["overall"]}
        each = _("AUC of {name}")
        numbers |= {each.format(name=name): values["auc"]["value"] for name, values in model["classes"].items()}
    return [Row((name, f"{value:.3f}"), (name,)) for name, value in numbers.items() if value is not None]


def _number(value: float | None) -> str:
    return _("in neither") if value is None else f"{value:.3f}"
