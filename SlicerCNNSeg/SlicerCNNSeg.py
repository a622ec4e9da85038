"""The module SlicerCNNSeg: segments, searches and classifies volumes with convolutional networks."""

import time
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from SlicerCNNSegLib.engine.catalogue import list_models
from SlicerCNNSegLib.engine.errors import CNNSegError, InputError
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.settings import DEFAULT_MODEL, SegmentationSettings
from SlicerCNNSegLib.widgets.channel_inputs import ChannelInputs
from SlicerCNNSegLib.widgets.classify_run import ClassifyRequest, ClassifyRun
from SlicerCNNSegLib.widgets.classify_tab import ClassifyTab
from SlicerCNNSegLib.widgets.compare_run import CompareRequest, CompareRun
from SlicerCNNSegLib.widgets.detect_run import DetectRequest, DetectRun
from SlicerCNNSegLib.widgets.detect_tab import DetectTab
from SlicerCNNSegLib.widgets.export_run import ExportRequest, ExportRun
from SlicerCNNSegLib.widgets.help_text import LIBRARIES, MORE
from SlicerCNNSegLib.widgets.model_menu import ModelMenu
from SlicerCNNSegLib.widgets.packages import REQUIREMENTS, ensure_packages
from SlicerCNNSegLib.widgets.panel_parameters import SlicerCNNSegParameterNode
from SlicerCNNSegLib.widgets.run_status import ERROR_STYLE, RunStatus
from SlicerCNNSegLib.widgets.sample_data import register_sample_data
from SlicerCNNSegLib.widgets.segment_run import SegmentRequest, SegmentRun
from SlicerCNNSegLib.widgets.segment_tab import SegmentTab
from SlicerCNNSegLib.widgets.shared_worker import release_worker, shared_worker
from SlicerCNNSegLib.widgets.worker_run import UNDER_WAY, RunEnd

TABS = (SegmentTab, DetectTab, ClassifyTab)
"""In the order in which the form has their pages."""

RUNS = {
    SegmentRequest: SegmentRun,
    DetectRequest: DetectRun,
    CompareRequest: CompareRun,
    ExportRequest: ExportRun,
    ClassifyRequest: ClassifyRun,
}
"""What each request is run by."""


class SlicerCNNSeg(ScriptedLoadableModule):
    """What Slicer shows about the module.

    Uses ScriptedLoadableModule base class, see Base/Python/slicer/ScriptedLoadableModule.py of Slicer.
    """

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("CNNSeg")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "Markups", "Tables"]
        self.parent.contributors = ["The CNNSeg contributors"]
        self.parent.helpText = (
            _(
                "Choose a volume, the task and a model, restrict the run to a region of interest if the model needs "
                "one, and press Apply. The network runs in a process of its own, so Slicer stays usable and the run "
                "can be cancelled. Results are for research; they are no diagnosis."
            )
            + MORE
        )
        self.parent.acknowledgementText = LIBRARIES
        slicer.app.connect("startupCompleted()", registerSegmentEditorEffect)
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Make images to try the module on known to the module Sample Data."""
    register_sample_data()


def registerSegmentEditorEffect():
    """Make the effect *CNN* known to the Segment Editor."""
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    import SegmentEditorCNNSegLib  # Slicer looks for the class in the module that is loaded already

    effect = effects.qSlicerSegmentEditorScriptedEffect(None)
    effect.setPythonSource((Path(SegmentEditorCNNSegLib.__file__).parent / "SegmentEditorEffect.py").as_posix())
    effect.self().register()


class SlicerCNNSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: shows the parameter node, starts runs and shows how they go; each task has a tab."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None

    def setup(self):
        """Make the panel, once, when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/SlicerCNNSeg.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = SlicerCNNSegLogic()
        self._status = RunStatus(self.ui, self.logic.cancel, _("under Advanced"))
        self._inputs = ChannelInputs(self.ui)
        self._tabs = [self._makeTab(tab) for tab in TABS]
        buttons = (self.ui.modelMenuButton, self.ui.detectorMenuButton, self.ui.classifierMenuButton)
        self._modelMenu = ModelMenu(buttons, self._modelAdded, self._modelRemoved, self._sayOfModels)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.ui.applyButton.clicked.connect(self.onApplyButton)
        self.ui.taskTabs.currentChanged.connect(self.onTaskChanged)
        self.ui.advancedCollapsibleButton.contentsCollapsed.connect(self._updateFromParameterNode)
        self.initializeParameterNode()

    def cleanup(self):
        """Called when Slicer closes or the module is reloaded: no process is left behind."""
        self.logic.close()
        self._modelMenu.close()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        """Called each time the user opens this module."""
        self.initializeParameterNode()

    def exit(self):
        """Called each time the user opens another module; a run goes on."""
        self.setParameterNode(None)

    def onSceneStartClose(self, _caller, _event):
        """The nodes that are shown go; a run ends by itself."""
        self.setParameterNode(None)

    def onSceneEndClose(self, _caller, _event):
        """Show the fresh scene's parameters if the module is in view."""
        self._status.say("")
        for tab in self._tabs:
            tab.forget_results()
            tab.show_results(current=False)
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, _caller, _event):
        """A scene was loaded: show what it keeps."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        """Take the scene's parameter node, and the first volume as long as none was chosen."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            self._parameterNode.inputVolume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")

    def setParameterNode(self, parameterNode):
        """Connect the panel to a parameter node, or to none."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._updateFromParameterNode)
        self._parameterNode = None  # nothing is kept while the tabs are filled
        for tab in self._tabs:
            tab.connect_parameters(parameterNode)
        self._parameterNode = parameterNode
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._updateFromParameterNode)
            self._updateFromParameterNode()

    def onApplyButton(self):
        """Start a run of the current tab's task."""
        tab = self._tab
        tab.forget_results()
        self._startRun(tab, lambda: tab.request(self._inputs.nodes(self._parameterNode, self._channels)))

    def _makeTab(self, kind):
        """A tab whose own buttons start runs as Apply does."""
        tab = kind(self.ui, lambda makeRequest: self._startRun(tab, makeRequest))
        return tab

    def _startRun(self, tab, makeRequest):
        """Start a run of what a tab asks for."""
        with slicer.util.tryWithErrorDisplay(_("The run could not be started."), waitCursor=True):
            self._status.say("")
            try:
                ensure_packages(REQUIREMENTS, _("CNNSeg"))
                started = time.monotonic()
                self.logic.start(
                    makeRequest(),
                    self._status.show_progress,
                    lambda end: self._showEnd(tab, end, round(time.monotonic() - started)),
                )
            except CNNSegError as error:
                self._status.show_problem(error)
            finally:
                self._updateFromParameterNode()

    def _modelAdded(self, modelId):
        """Choose a new model in the tab of its task."""
        tabs = [tab for tab in self._tabs if tab.model_added(modelId)]
        if tabs and not self.logic.running:
            place = self.ui.taskTabs.tabText([tab.task for tab in TABS].index(tabs[0].task)).replace("&&", "&")
            self._status.say(_("{id} is there; it is the chosen model of the tab {tab}.").format(id=modelId, tab=place))
        self._updateFromParameterNode()

    def _modelRemoved(self, modelId):
        """Choose another model where this one was chosen."""
        for tab in self._tabs:
            tab.model_removed(modelId)
        self._updateFromParameterNode()

    def _sayOfModels(self, text, isProblem):
        if not self.logic.running:
            self._status.say(text, ERROR_STYLE if isProblem else "")

    def onTaskChanged(self, index):
        """Keep which tab is shown; what was said is of the other one."""
        if self._parameterNode and self._parameterNode.task != TABS[index].task:
            self._status.say("")
            self._parameterNode.task = TABS[index].task

    @property
    def _tab(self):
        """The tab of the task that is chosen."""
        return self._tabs[[tab.task for tab in TABS].index(self._parameterNode.task)]

    @property
    def _channels(self):
        """What the chosen model takes."""
        package = self._tab.package
        return package.channels if package is not None else ()

    def _updateFromParameterNode(self, _caller=None, _event=None):
        if not self._parameterNode:
            return
        running = self.logic.running
        self._showTabs()
        self._tab.show_running(running)
        self._inputs.show(self._channels)
        missing = self._inputs.missing(self._parameterNode, self._channels) or self._tab.missing()
        self.ui.applyButton.enabled = not running and not missing
        self.ui.applyButton.toolTip = missing or _("Run the model on the volume.")
        self.ui.hintLabel.text = missing
        self.ui.hintLabel.visible = bool(missing) and not running
        self.ui.estimateLabel.text = self._tab.estimate(self._parameterNode.inputVolume)
        self._status.show_running(running)
        self.ui.inputsCollapsibleButton.enabled = not running
        self.ui.taskTabs.enabled = not running
        self.ui.advancedCollapsibleButton.enabled = not running

    def _showTabs(self):
        """Show the chosen task's tab and results; the panel is as high as this tab needs, not the highest one."""
        for number, tab in enumerate(self._tabs):
            current = tab is self._tab
            tab.show_parameters()
            tab.show_results(current=current)
            tab.models.keep_room(current)
            vertical = qt.QSizePolicy.Preferred if current else qt.QSizePolicy.Ignored
            self.ui.taskTabs.widget(number).sizePolicy = qt.QSizePolicy(qt.QSizePolicy.Preferred, vertical)
            if current:
                self.ui.taskTabs.currentIndex = number

    def _showEnd(self, tab, end: RunEnd, seconds):
        with slicer.util.tryWithErrorDisplay(_("The result could not be shown.")):
            if end.cancelled:
                self._status.say(_("Cancelled."))
            elif end.problem:
                self._status.show_problem(end.problem, end.details)
            else:
                told = tab.package.demonstration if tab.package is not None else ""  # it stands below the model
                warnings = [warning for warning in end.warnings if warning != told]
                self._status.show_result(tab.show_result(end, seconds), warnings)
                tab.models.describe()
            self._updateFromParameterNode()


class SlicerCNNSegLogic(ScriptedLoadableModuleLogic):
    """What the module does without its panel."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self._run = None

    def getParameterNode(self):
        """The scene's parameter node."""
        return SlicerCNNSegParameterNode(super().getParameterNode())

    @property
    def running(self):
        """Whether a run is under way."""
        return self._run is not None and self._run.running

    def start(self, request, onProgress, onEnd):
        """Start a run in the worker's process, and return at once.

        Parameters
        ----------
        request:
            An instance of one of ``RUNS``.
        onProgress:
            Called with a fraction (0..1), the stage's name, and the seconds left (None when unknown).
        onEnd:
            Called once, with a ``RunEnd``.

        Raises
        ------
        CNNSegError
            The input cannot be used, or a run is under way; nothing was started.
        """
        if self.running:
            raise InputError(UNDER_WAY)
        self._run = RUNS[type(request)](slicer.mrmlScene, shared_worker(), onProgress, onEnd)
        self._run.start(request)

    def cancel(self):
        """Stop a run; its end is told as usual."""
        if self._run is not None:
            self._run.cancel()

    def close(self):
        """Stop a run at once, and end the worker's process."""
        if self._run is not None:
            self._run.close()
        release_worker()


class SlicerCNNSegTest(ScriptedLoadableModuleTest):
    """The module's test inside Slicer; the project's own tests cover the rest without it."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run every test; called by "Reload and Test"."""
        for test in (self.test_Models, self.test_ParametersAreKeptInTheScene, self.test_UnusableInputIsRefused):
            self.setUp()
            test()

    def test_Models(self):
        """Every embedded model can be read."""
        entries = list_models()
        assert DEFAULT_MODEL in [entry.id for entry in entries]
        for entry in entries:
            assert isinstance(entry.package, ModelPackage), entry.problem

    def test_UnusableInputIsRefused(self):
        """A volume without voxels is an error in words, and nothing is started."""
        logic = SlicerCNNSegLogic()
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
        request = SegmentRequest((volume,), SegmentationSettings())
        with self.assertRaisesRegex(CNNSegError, "empty"):  # noqa: PT027 - Slicer has no pytest
            logic.start(request, lambda fraction, stage, secondsLeft: None, lambda end: None)
        assert not logic.running

    def test_ParametersAreKeptInTheScene(self):
        """What is chosen is found again by whoever asks for the parameter node."""
        parameterNode = SlicerCNNSegLogic().getParameterNode()
        parameterNode.inputVolume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "volume")
        parameterNode.mirror = True
        again = SlicerCNNSegLogic().getParameterNode()
        assert (again.inputVolume.GetName(), again.mirror) == ("volume", True)
