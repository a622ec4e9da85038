"""The module SlicerCNNSegTrain: trains networks that SlicerCNNSeg then offers."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from SlicerCNNSegLib.engine.errors import CNNSegError
from SlicerCNNSegLib.widgets.help_text import LIBRARIES, MORE
from SlicerCNNSegLib.widgets.packages import REQUIREMENTS, ensure_packages
from SlicerCNNSegLib.widgets.process_job import JobEnd, ProcessJob
from SlicerCNNSegLib.worker.processes import MODULE_FOLDER, child_environment, child_python
from SlicerCNNSegTrainLib.command import (
    LIBRARY_FOLDER,
    RECIPES,
    VARIABLES,
    TrainingRequest,
    parse_error,
    parse_progress,
    python_arguments,
    shipped_recipes,
)
from SlicerCNNSegTrainLib.scene.cases import find_cases
from SlicerCNNSegTrainLib.scene.dataset import label_table, write_dataset
from SlicerCNNSegTrainLib.widgets.cases_section import CasesSection
from SlicerCNNSegTrainLib.widgets.end_words import CHECKING, EXPORTING, PLANNING, TRAINING, end_in_words
from SlicerCNNSegTrainLib.widgets.labels_section import LabelsSection
from SlicerCNNSegTrainLib.widgets.places_section import PlacesSection
from SlicerCNNSegTrainLib.widgets.plan_section import PlanSection
from SlicerCNNSegTrainLib.widgets.progress_section import ProgressSection
from SlicerCNNSegTrainLib.widgets.results_section import ResultsSection
from SlicerCNNSegTrainLib.widgets.run_state import RECIPE, RunState, data_of, has_weights, learned_by, state_of
from SlicerCNNSegTrainLib.widgets.run_watch import CHECK, CURVES, EVALUATION, PLAN, SHEET, RunWatch
from SlicerCNNSegTrainLib.widgets.scene_cases import scene_contents
from SlicerCNNSegTrainLib.widgets.settings_section import SettingsSection


class SlicerCNNSegTrain(ScriptedLoadableModule):
    """What Slicer shows about the module.

    Uses ScriptedLoadableModule base class, see Base/Python/slicer/ScriptedLoadableModule.py of Slicer.
    """

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("CNNSeg Training")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["SlicerCNNSeg"]
        self.parent.contributors = ["The CNNSeg contributors"]
        self.parent.helpText = (
            _(
                "Choose labelled images (a folder, a table, or cases of the scene) and press Start: the data is "
                "checked, a network planned and trained in a process of its own, and the model offered by CNNSeg."
            )
            + MORE
        )
        self.parent.acknowledgementText = LIBRARIES


class SlicerCNNSegTrainWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel. What is chosen belongs to this computer, not to a scene: there is no parameter node."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        """Make the panel, once, when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/SlicerCNNSegTrain.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = SlicerCNNSegTrainLogic(self._showLine, self._showEnd)
        self._task, self._stopping, self._problem = "", False, ""
        self._run = None
        self._settings = SettingsSection(self.ui, self._update)
        self._labels = LabelsSection(self.ui, SlicerCNNSegTrainLogic, self._labelsChosen)
        self._plan = PlanSection(self.ui)
        self._progress = ProgressSection(self.ui, slicer.mrmlScene)
        self._results = ResultsSection(self.ui, slicer.mrmlScene)
        self._watch = RunWatch(self._showNew)
        self._cases = CasesSection(self.ui, slicer.mrmlScene, self._dataChosen)
        self._places = PlacesSection(self.ui, self._runChosen, self._update)
        self.ui.checkButton.clicked.connect(self.onCheckButton)
        self.ui.planButton.clicked.connect(self.onPlanButton)
        self.ui.editButton.clicked.connect(self.onEditButton)
        self.ui.startButton.clicked.connect(self.onStartButton)
        self.ui.stopButton.clicked.connect(self.onStopButton)
        self.ui.exportButton.clicked.connect(self.onExportButton)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self._dataChosen()

    def enter(self):
        """Called each time the user opens this module."""
        self._settings.refresh_models()
        self._cases.refresh()
        self._watch.look()
        self._update()

    def exit(self):
        """Called each time the user opens another module; a training goes on."""

    def cleanup(self):
        """Called when Slicer closes or the module is reloaded: no process is left behind."""
        self._watch.close()
        self._labels.close()
        self.logic.close()
        self.removeObservers()

    def onSceneEndClose(self, _caller, _event):
        """Show no case of the scene that was closed; a training goes on."""
        self._cases.refresh()

    def onCheckButton(self):
        """Check the data."""
        self._report = Path(slicer.app.temporaryPath) / "cnnseg-check.json"
        self._report.unlink(missing_ok=True)
        self._start(CHECKING, replace(self._chosen(), data=self._cases.data).check(self._report))

    def onPlanButton(self):
        """Plan a run, or discard its plan."""
        if state_of(self._run) is RunState.NEW:
            self._start(PLANNING, self._chosen().plan())
        elif self._plan.discard(self._run):
            self._runChosen()
            self.ui.statusLabel.text = _("The plan was discarded.")

    def onEditButton(self):
        """Open the recipe in the system's editor."""
        self.ui.statusLabel.text = self._plan.edit(self._run)

    def onStartButton(self):
        """Start training, or go on."""
        request = self._chosen()
        self._start(TRAINING, request.begin() if state_of(self._run) is RunState.NEW else request.go_on())

    def onExportButton(self):
        """Export what a stopped training has learned so far."""
        self._start(EXPORTING, self._chosen().export())

    def onStopButton(self):
        """Stop after the step under way; at the second press at once."""
        if self._stopping:
            self.logic.cancel()
        else:
            self.logic.interrupt()
        self._stopping = True
        self.ui.statusLabel.text = _("Stopping")

    def _start(self, task, command):
        """Start the process, once the packages are there."""
        with slicer.util.tryWithErrorDisplay(_("The process could not be started."), waitCursor=True):
            self._task, self._problem, self._stopping = task, "", False
            self.ui.logText.plainText = ""
            try:
                ensure_packages(REQUIREMENTS, _("CNNSeg Training"))
                self.logic.start(command)
                self.ui.statusLabel.text = _("Starting")
                self.ui.progressBar.value = 0
                self.ui.logCollapsibleButton.visible = True
                if task != CHECKING:
                    self._watch.start()
            except CNNSegError as error:
                self.ui.statusLabel.text = str(error)
                self.ui.logText.plainText = "\n".join(getattr(error, "__notes__", ()))
                self.ui.logCollapsibleButton.visible = bool(self.ui.logText.plainText)
            finally:
                self._update()

    def _chosen(self):
        """What the panel says; the data of a run that was planned is its own."""
        return TrainingRequest(
            data=(data_of(self._run) if self._run else None) or self._cases.data,
            run=self._run,
            model=self._places.model,
            task=self._labels.task,
            labels=self._labels.chosen,
            **self._settings.choices(),
        )

    def _dataChosen(self):
        """Propose the data's name for model and run, and offer its labels."""
        self._places.propose(self._cases.data)
        self._labels.show(self._cases.contents, self._cases.data)
        self._labelsChosen()

    def _labelsChosen(self):
        """Offer what there is for the task."""
        self._settings.turn_to(self._labels.task)
        self._update()

    def _runChosen(self, _path=None):
        """Show all that there is of the chosen run."""
        self._run = self._places.run
        self.ui.statusLabel.text = ""
        for section in (self._plan, self._progress, self._results):
            section.clear()
        self._watch.turn_to(self._run)
        self._update()

    def _showNew(self, name, path):
        """Show a file that the run has written."""
        if name == CHECK:
            data = self._cases.data
            if data is None or data.resolve() == data_of(self._run):
                self._cases.show_report(path)
        elif name == PLAN:
            self._plan.show(path)
        elif name == SHEET:
            self._progress.show_sheet(path)
        elif name == CURVES:
            self._progress.show_curves(path, live=self.logic.running)
        elif name == EVALUATION:
            self._results.show(path)
            self._results.offer(self._places.model)

    def _update(self, _value=None):
        state = state_of(self._run) if self._run else RunState.NEW
        new = state is RunState.NEW
        self._fixLabels(new)
        running, missing = self.logic.running, self._missing()
        self.ui.startButton.text = _("Resume") if state is RunState.BEGUN else _("Start")
        self.ui.startButton.enabled = not running and not missing
        self.ui.startButton.toolTip = missing or _("Train the network, and export the model.")
        self.ui.planButton.text = _("Plan") if new else _("Discard plan")
        self.ui.planButton.enabled = not running and not missing and state is not RunState.BEGUN
        self.ui.editButton.enabled = not running and state is RunState.PLANNED
        self.ui.checkButton.enabled = not running and self._cases.data is not None
        self.ui.stopButton.enabled = running
        self.ui.exportButton.enabled = not running and not missing and not new and has_weights(self._run)
        self.ui.progressBar.visible = running
        self.ui.casesCollapsibleButton.enabled = not running
        self.ui.setupCollapsibleButton.enabled = not running
        self.ui.advancedCollapsibleButton.enabled = not running
        self.ui.taskComboBox.enabled = new
        self._settings.enable(new=new)
        hints = {
            RunState.NEW: missing,
            RunState.PLANNED: _("Planned: the recipe in the run folder decides. Edit it, or discard the plan."),
            RunState.BEGUN: _("This run has begun. For another training give another name."),
        }
        self.ui.hintLabel.text = hints[state]
        self.ui.hintLabel.visible = bool(hints[state]) and not running

    def _fixLabels(self, new):
        """Let labels be chosen as long as no recipe has done so."""
        data = self._cases.data
        if not new:
            mine = data is not None and data_of(self._run) == data.resolve()
            learned = learned_by(self._run / RECIPE).values if mine else frozenset()
            self._labels.fix(_("The run's recipe decides."), learned)
        elif self._settings.recipe:
            learned = learned_by(RECIPES / f"{self._settings.recipe}.json").values
            self._labels.fix(_("The chosen recipe decides."), learned)
        else:
            self._labels.fix("")

    def _missing(self):
        """What must be chosen before training, or an empty text."""
        planned = self._run is not None and data_of(self._run) is not None
        if not planned and self._cases.missing:
            return self._cases.missing
        if not planned and self._labels.missing:
            return self._labels.missing
        if self._places.missing:
            return _("Give a name.")
        return ""

    def _showLine(self, line):
        self.ui.logText.appendPlainText(line)
        self._problem = parse_error(line) or self._problem
        progress = parse_progress(line)
        if progress is not None and not self._stopping:
            self._progress.show_line(progress)

    def _showEnd(self, end: JobEnd):
        if self._task == CHECKING:
            if self._report.exists():
                self._cases.show_report(self._report)
        else:
            self._watch.stop()
            self._results.offer(self._places.model)
        self.ui.statusLabel.text = self._endWords(end)
        self._settings.refresh_models()
        self._update()

    def _endWords(self, end):
        if self._task == CHECKING and end.status and self._report.exists() and not self._problem and not self._stopping:
            return _("The data has errors: see the rows in red.")
        begun = self._task == TRAINING and state_of(self._run) is RunState.BEGUN
        model = self._places.model.name
        return end_in_words(self._task, end, model, stopped=self._stopping, begun=begun, problem=self._problem)


class SlicerCNNSegTrainLogic(ScriptedLoadableModuleLogic):
    """``cnnseg-train`` in a process of its own.

    Parameters
    ----------
    onLine:
        Called with each line that the process writes.
    onEnd:
        Called with a ``JobEnd`` when it has ended.
    """

    def __init__(self, onLine=lambda line: None, onEnd=lambda end: None):
        ScriptedLoadableModuleLogic.__init__(self)
        self._job = ProcessJob(onLine, onEnd)

    @property
    def running(self):
        """Whether the process is under way."""
        return self._job.running

    def start(self, command):
        """Start ``cnnseg-train`` with these arguments, and return at once."""
        environment = child_environment(slicer.util.startupEnvironment()) | VARIABLES
        self._job.start(child_python(), python_arguments(command, MODULE_FOLDER, LIBRARY_FOLDER), environment)

    def interrupt(self):
        """Ask the process to stop; a training does with a checkpoint."""
        self._job.interrupt()

    def cancel(self):
        """End the process at once."""
        self._job.cancel()

    def close(self):
        """End the process, and wait until it has gone."""
        self._job.close()


class SlicerCNNSegTrainTest(ScriptedLoadableModuleTest):
    """The module's test inside Slicer; the project's own tests cover the rest without it."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run every test; called by "Reload and Test"."""
        for test in (self.test_Recipes, self.test_NothingRunsUnasked, self.test_CasesOfTheScene):
            self.setUp()
            test()

    def test_Recipes(self):
        """There is a recipe to train with."""
        assert shipped_recipes("segmentation")

    def test_NothingRunsUnasked(self):
        """A fresh logic runs nothing, and closing it is no error."""
        logic = SlicerCNNSegTrainLogic()
        assert not logic.running
        logic.close()

    def test_CasesOfTheScene(self):
        """A volume and what was drawn on it are a case, and become files that a training takes."""
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Head")
        slicer.util.updateVolumeFromArray(volume, np.arange(6 * 7 * 8, dtype=np.int16).reshape(6, 7, 8))
        truth = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Head truth")
        slicer.util.updateVolumeFromArray(truth, (slicer.util.arrayFromVolume(volume) > 200).astype(np.uint8))
        found = find_cases(slicer.mrmlScene)
        assert [case.name for case in found.cases] == ["Head"]
        [label] = scene_contents(found).labels["segmentation"]
        assert label.cases == 1
        with tempfile.TemporaryDirectory() as temporary:
            written = write_dataset(found.cases, label_table(found.cases), Path(temporary) / "data")
            assert list(written.voxels["Head"].values()) == [6 * 7 * 8 - 201]
            assert (Path(temporary) / "data" / "labelsTr" / "Head.nii.gz").is_file()
