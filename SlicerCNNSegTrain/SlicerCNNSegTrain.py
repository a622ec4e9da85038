"""The module SlicerCNNSegTrain: trains networks that SlicerCNNSeg then offers."""

from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

from SlicerCNNSegLib.engine.catalogue import user_models_folder
from SlicerCNNSegLib.engine.errors import CNNSegError
from SlicerCNNSegLib.widgets.packages import ensure_packages
from SlicerCNNSegLib.widgets.process_job import JobEnd, ProcessJob
from SlicerCNNSegLib.worker.processes import MODULE_FOLDER, child_environment, child_python
from SlicerCNNSegTrainLib.command import (
    LIBRARY_FOLDER,
    STOPPED,
    TrainingRequest,
    last_validation,
    parse_error,
    parse_progress,
    shipped_recipes,
)

REQUIREMENTS = MODULE_FOLDER / "Resources" / "SlicerCNNSeg-requirements.txt"


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
        self.parent.helpText = _(
            "Choose a folder of labelled images, a recipe and where the results go, and press Start. The network is "
            "trained in a process of its own; the finished model is offered by the module CNNSeg."
        )
        self.parent.acknowledgementText = _("The networks are trained with PyTorch and MONAI.")


class SlicerCNNSegTrainWidget(ScriptedLoadableModuleWidget):
    """The panel. What is chosen belongs to this computer, not to a scene: there is no parameter node."""

    def setup(self):
        """Make the panel, once, when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/SlicerCNNSegTrain.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = SlicerCNNSegTrainLogic(self._showLine, self._showEnd)
        self._stopping = False
        self._recipes = shipped_recipes()
        for name in self._recipes:
            self.ui.recipeComboBox.addItem(name)
        self.ui.recipeComboBox.currentIndexChanged.connect(self._recipeChosen)
        for edit in (self.ui.dataPathEdit, self.ui.runPathEdit, self.ui.modelPathEdit):
            edit.currentPathChanged.connect(self._update)
        self.ui.startButton.clicked.connect(self.onStartButton)
        self.ui.stopButton.clicked.connect(self.onStopButton)
        self._recipeChosen()

    def enter(self):
        """Called each time the user opens this module."""
        self._update()

    def exit(self):
        """Called each time the user opens another module; a training goes on."""

    def cleanup(self):
        """Called when Slicer closes or the module is reloaded: no process is left behind."""
        self.logic.close()

    def onStartButton(self):
        """Start training."""
        with slicer.util.tryWithErrorDisplay(_("The training could not be started."), waitCursor=True):
            self._problem, self._stopping = "", False
            self.ui.logText.plainText = ""
            self.ui.statusLabel.text = ""
            try:
                ensure_packages(REQUIREMENTS, _("CNNSeg Training"))
                self._request = self._chosen()
                self.logic.start(self._request)
                self.ui.statusLabel.text = _("Starting")
                self.ui.progressBar.value = 0
                self.ui.logCollapsibleButton.visible = True
            except CNNSegError as error:
                self.ui.statusLabel.text = str(error)
            finally:
                self._update()

    def onStopButton(self):
        """Stop after the step under way; at the second press at once."""
        if self._stopping:
            self.logic.cancel()
        else:
            self.logic.interrupt()
        self._stopping = True
        self.ui.statusLabel.text = _("Stopping")

    def _chosen(self):
        return TrainingRequest(
            Path(self.ui.dataPathEdit.currentPath),
            Path(self.ui.runPathEdit.currentPath),
            Path(self.ui.modelPathEdit.currentPath),
            self.ui.recipeComboBox.currentText,
            self.ui.stepsSpinBox.value,
            self.ui.resumeCheckBox.checked,
        )

    def _recipeChosen(self, _index=None):
        name = self.ui.recipeComboBox.currentText
        self.ui.stepsSpinBox.value = self._recipes[name]
        self.ui.modelPathEdit.currentPath = str(user_models_folder() / name)
        self._update()

    def _update(self, _path=None):
        running = self.logic.running
        missing = self._missing()
        self.ui.startButton.enabled = not running and not missing
        self.ui.startButton.toolTip = missing or _("Train the network.")
        self.ui.stopButton.enabled = running
        self.ui.inputsCollapsibleButton.enabled = not running
        self.ui.progressBar.visible = running

    def _missing(self):
        """What must be chosen before training, or an empty text."""
        if not self.ui.dataPathEdit.currentPath:
            return _("Choose a dataset.")
        if not self.ui.runPathEdit.currentPath:
            return _("Choose a run folder.")
        if not self.ui.modelPathEdit.currentPath:
            return _("Choose a model folder.")
        return ""

    def _showLine(self, line):
        self.ui.logText.appendPlainText(line)
        self._problem = parse_error(line) or self._problem
        progress = parse_progress(line)
        if progress is not None and not self._stopping:
            self.ui.progressBar.value = round(100 * progress.fraction)
            parts = [f"{progress.title}: {progress.stage}", last_validation(self._request.run)]
            self.ui.statusLabel.text = "\n".join(part for part in parts if part)

    def _showEnd(self, end: JobEnd):
        if end.status == 0:
            text = _("Done. The model is in {folder}.").format(folder=self._request.model)
        elif end.cancelled or end.status == STOPPED:
            text = _("Stopped. Tick 'Go on from the last checkpoint' to continue.")
        else:
            text = self._problem or end.problem or _("The training ended with status {n}.").format(n=end.status)
        self.ui.statusLabel.text = text
        self._update()


class SlicerCNNSegTrainLogic(ScriptedLoadableModuleLogic):
    """Training in a process of its own.

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
        """Whether a training is under way."""
        return self._job.running

    def start(self, request: TrainingRequest):
        """Start training, and return at once."""
        environment = child_environment(slicer.util.startupEnvironment())
        self._job.start(child_python(), request.arguments(MODULE_FOLDER, LIBRARY_FOLDER), environment)

    def interrupt(self):
        """Ask the training to stop with a checkpoint."""
        self._job.interrupt()

    def cancel(self):
        """End the training at once."""
        self._job.cancel()

    def close(self):
        """End the training, and wait until its process has gone."""
        self._job.close()


class SlicerCNNSegTrainTest(ScriptedLoadableModuleTest):
    """The module's test inside Slicer; the project's own tests cover the rest without it."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run every test; called by "Reload and Test"."""
        for test in (self.test_Recipes, self.test_NothingRunsUnasked):
            self.setUp()
            test()

    def test_Recipes(self):
        """There is a recipe to train with."""
        recipes = shipped_recipes()
        assert recipes
        assert all(steps > 0 for steps in recipes.values())

    def test_NothingRunsUnasked(self):
        """A fresh logic runs nothing, and closing it is no error."""
        logic = SlicerCNNSegTrainLogic()
        assert not logic.running
        logic.close()
