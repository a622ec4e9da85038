"""The tab *Classify*: a model, what is classified, and the heat map that explains it."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from ..engine.classification.result import ClassificationResult, Prediction
from ..engine.settings import EXPLANATIONS, ClassificationSettings
from ..engine.wording import probability_in_words
from ..scene.classifications import REGION, SPREAD
from ..scene.overlays import take_off
from .classify_run import ClassifyRequest
from .task_tab import StartRun, TaskTab
from .worker_run import RunEnd

VOLUME, ROI, SEGMENTS = WHERE = ("volume", "roi", "segments")


class ClassifyTab(TaskTab):
    """Volumes to probabilities."""

    task = "classification"
    model_parameter = "classifier"

    def __init__(self, ui, start_run: StartRun) -> None:
        super().__init__(ui, ui.classifierComboBox, ui.classifierInfoLabel, start_run)
        ui.whereComboBox.addItems([_("Whole volume"), _("Region of interest"), _("Around segments")])
        kinds = [_("None"), _("Grad-CAM"), _("Grad-CAM++"), _("Occlusion (slow)"), _("Features, whatever the class")]
        ui.explainComboBox.addItems(kinds)
        ui.whereComboBox.currentIndexChanged.connect(self._where_chosen)
        ui.explainComboBox.currentIndexChanged.connect(self._explanation_chosen)

    def show_parameters(self) -> None:
        """Show model, place and explanation, and what belongs to the place."""
        super().show_parameters()
        where = self._parameters.classifyWhere
        self.ui.whereComboBox.currentIndex = WHERE.index(where)
        self.ui.explainComboBox.currentIndex = EXPLANATIONS.index(self._parameters.explain)
        self.ui.classifyRegionLabel.visible = where == ROI
        self.ui.classifyRegionSelector.visible = where == ROI
        for widget in (self.ui.segmentsLabel, self.ui.segmentsSelector, self.ui.marginLabel, self.ui.marginSpinBox):
            widget.visible = where == SEGMENTS

    def missing(self) -> str:
        """What must be chosen."""
        parameters = self._parameters
        if parameters.classifyWhere == ROI and not parameters.classifyRegion:
            return super().missing() or _("Choose a region of interest.")
        if parameters.classifyWhere == SEGMENTS and not parameters.classifySegmentation:
            return super().missing() or _("Choose a segmentation.")
        return super().missing()

    def request(self, volume_nodes) -> ClassifyRequest:
        """What to classify."""
        parameters = self._parameters
        settings = self._settings(ClassificationSettings, explain=parameters.explain)
        return ClassifyRequest(
            volume_nodes,
            settings,
            parameters.classifyRegion if parameters.classifyWhere == ROI else None,
            parameters.classifySegmentation if parameters.classifyWhere == SEGMENTS else None,
            parameters.margin,
        )

    def show_result(self, end: RunEnd, seconds: int) -> str:
        """Show the probabilities; says what is most likely."""
        if self._parameters is not None:
            self._parameters.classesTable = end.shown.table
            self._parameters.heatMap = end.shown.heat
        return _("Done in {seconds} s: {what}.").format(seconds=seconds, what=in_words(end.shown.result))

    def show_results(self, *, current: bool) -> None:
        """Show the table of probabilities that the parameter node names, or hide it."""
        table = self._parameters.classesTable if self._parameters is not None else None
        self.ui.classesCollapsibleButton.visible = current and table is not None
        if table is self.ui.classesTableView.mrmlTableNode():
            return
        self.ui.classesTableView.setMRMLTableNode(table)
        for name in (REGION, SPREAD) if table is not None else ():
            self.ui.classesTableView.setColumnHidden(table.GetColumnIndex(name), _says_nothing(table, name))

    def forget_results(self) -> None:
        """Hide the table, and take the heat map off the image."""
        parameters = self._parameters
        if parameters is not None:
            if parameters.heatMap is not None:
                take_off(slicer.mrmlScene, parameters.heatMap)
            parameters.classesTable = parameters.heatMap = None

    def _where_chosen(self, _index=None) -> None:
        if self._parameters is not None:
            self._parameters.classifyWhere = WHERE[self.ui.whereComboBox.currentIndex]

    def _explanation_chosen(self, _index=None) -> None:
        if self._parameters is not None:
            self._parameters.explain = EXPLANATIONS[self.ui.explainComboBox.currentIndex]


def in_words(result: ClassificationResult) -> str:
    """The classes that are decided for, of one image or of each region."""
    return "; ".join(
        (f"{one.name}: " if one.name else "") + _decided_in_words(result.names, one) for one in result.predictions
    )


def _decided_in_words(names: tuple[str, ...], one: Prediction) -> str:
    decided = [f"{names[n]} ({probability_in_words(one.probabilities[n])})" for n in one.decided]
    return ", ".join(decided) or _("none of the classes")


def _says_nothing(table, name: str) -> bool:
    """Whether all cells of a column are empty."""
    column = table.GetColumnIndex(name)
    return not any(table.GetCellText(row, column) for row in range(table.GetNumberOfRows()))
