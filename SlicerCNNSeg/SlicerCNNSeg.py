"""The module SlicerCNNSeg: segments volumes with convolutional networks."""

import time
from pathlib import Path
from typing import Annotated

import slicer
import vtk
from slicer import (
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTableNode,
)
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from SlicerCNNSegLib.engine.catalogue import list_models
from SlicerCNNSegLib.engine.errors import CNNSegError
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.settings import DEFAULT_MODEL, DEVICES, PRECISIONS, SegmentationSettings
from SlicerCNNSegLib.widgets.model_choice import ModelChoice
from SlicerCNNSegLib.widgets.packages import ensure_packages
from SlicerCNNSegLib.widgets.run_status import RunStatus
from SlicerCNNSegLib.widgets.segment_run import SegmentRequest, SegmentRun
from SlicerCNNSegLib.widgets.shared_worker import release_worker, shared_worker
from SlicerCNNSegLib.widgets.worker_run import RunEnd


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
        self.parent.helpText = _(
            "Choose a volume and a model, restrict the run to a region of interest if the model needs one, and press "
            "Apply. The network runs in a process of its own, so Slicer stays usable and the run can be cancelled. "
            "Results are for research; they are no diagnosis."
        )
        self.parent.acknowledgementText = _(
            "The networks run on PyTorch and MONAI. Each model names the data it was trained on and its licence in "
            "its own model card."
        )
        slicer.app.connect("startupCompleted()", registerSegmentEditorEffect)


def registerSegmentEditorEffect():
    """Make the effect *CNN* known to the Segment Editor."""
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    import SegmentEditorCNNSegLib  # Slicer looks for the class in the module that is loaded already

    effect = effects.qSlicerSegmentEditorScriptedEffect(None)
    effect.setPythonSource((Path(SegmentEditorCNNSegLib.__file__).parent / "SegmentEditorEffect.py").as_posix())
    effect.self().register()


@parameterNodeWrapper
class SlicerCNNSegParameterNode:
    """What the panel keeps in the scene: the fields of ``SegmentationSettings`` and the nodes."""

    inputVolume: vtkMRMLScalarVolumeNode
    model: str = DEFAULT_MODEL
    region: vtkMRMLMarkupsROINode
    outputSegmentation: vtkMRMLSegmentationNode
    volumesTable: vtkMRMLTableNode
    device: Annotated[str, Choice(list(DEVICES))] = "auto"
    precision: Annotated[str, Choice(list(PRECISIONS))] = "auto"
    mirror: bool = False
    force: bool = False


class SlicerCNNSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: shows the parameter node, starts a run and shows how it goes."""

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
        self._models = ModelChoice(
            self.ui.modelComboBox, self.ui.modelInfoLabel, "segmentation", on_chosen=self._modelChosen
        )
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.applyButton.clicked.connect(self.onApplyButton)
        self.initializeParameterNode()

    def cleanup(self):
        """Called when Slicer closes or the module is reloaded: no process is left behind."""
        self.logic.close()
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
        self.ui.resultsCollapsibleButton.visible = False
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        """Take the scene's parameter node, and the first volume as long as none was chosen."""
        self._models.fill(list_models())
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            self._parameterNode.inputVolume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")

    def setParameterNode(self, parameterNode):
        """Connect the panel to a parameter node, or to none."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._updateFromParameterNode)
        self._parameterNode = parameterNode
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._updateFromParameterNode)
            self._updateFromParameterNode()

    def onApplyButton(self):
        """Start a run."""
        with slicer.util.tryWithErrorDisplay(_("The segmentation could not be started."), waitCursor=True):
            self.ui.resultsCollapsibleButton.visible = False
            self._status.say("")
            try:
                ensure_packages(self.resourcePath("SlicerCNNSeg-requirements.txt"), _("CNNSeg"))
                self._started = time.monotonic()
                self.logic.start(self._parameterNode, self._status.show_progress, self._showEnd)
            except CNNSegError as error:
                self._status.show_problem(error)
            finally:
                self._updateFromParameterNode()

    def _modelChosen(self, modelId):
        if self._parameterNode:
            self._parameterNode.model = modelId

    def _updateFromParameterNode(self, _caller=None, _event=None):
        if not self._parameterNode:
            return
        if self._models.id != self._parameterNode.model:
            self._models.select(self._parameterNode.model)
        running = self.logic.running
        missing = self._missing()
        self.ui.applyButton.enabled = not running and not missing
        self.ui.applyButton.toolTip = missing or _("Segment the volume with the model.")
        self.ui.hintLabel.text = missing
        self.ui.hintLabel.visible = bool(missing) and not running
        self._status.show_running(running)
        self.ui.inputsCollapsibleButton.enabled = not running
        self.ui.outputsCollapsibleButton.enabled = not running
        self.ui.advancedCollapsibleButton.enabled = not running

    def _missing(self):
        """What must be chosen before a run, or an empty text."""
        entry = self._models.entry
        if not self._parameterNode.inputVolume:
            return _("Choose an input volume.")
        if entry is None or entry.package is None:
            return _("Choose a model.")
        if len(entry.package.channels) > 1:
            return _("This model needs {count} images; use segment_volume_node in the Python console.").format(
                count=len(entry.package.channels)
            )
        return ""

    def _showEnd(self, end: RunEnd):
        with slicer.util.tryWithErrorDisplay(_("The result could not be shown.")):
            if end.cancelled:
                self._status.say(_("Cancelled."))
            elif end.problem:
                self._status.show_problem(end.problem, end.details)
            else:
                self._showResult(end)
            self._updateFromParameterNode()

    def _showResult(self, end: RunEnd):
        node = end.shown.segmentation_node
        found = node.GetSegmentation().GetNumberOfSegments()
        text = _("Done in {seconds} s: {name}.") if found else _("Nothing was found in {seconds} s: {name} is empty.")
        text = text.format(seconds=round(time.monotonic() - self._started), name=node.GetName())
        self._status.say("\n".join([text, *end.warnings]))
        if self._parameterNode:
            self._parameterNode.volumesTable = end.shown.table_node
        self.ui.volumesTableView.setMRMLTableNode(end.shown.table_node)
        self.ui.resultsCollapsibleButton.visible = True


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

    def start(self, parameterNode, onProgress, onEnd):
        """Start a run in the worker's process, and return at once.

        Parameters
        ----------
        parameterNode:
            What to segment and how.
        onProgress:
            Called with a fraction (0..1), the stage's name, and the seconds left (None when unknown).
        onEnd:
            Called once, with a ``RunEnd``.

        Raises
        ------
        CNNSegError
            The input cannot be used, or a run is under way; nothing was started.
        """
        if not self.running:
            self._run = SegmentRun(slicer.mrmlScene, shared_worker(), onProgress, onEnd)
        self._run.start(requestOf(parameterNode))

    def cancel(self):
        """Stop a run; its end is told as usual."""
        if self._run is not None:
            self._run.cancel()

    def close(self):
        """Stop a run at once, and end the worker's process."""
        if self._run is not None:
            self._run.close()
        release_worker()


def requestOf(parameterNode):
    """The parameter node's values as a request.

    Raises
    ------
    SettingsError
        A value makes no sense.
    """
    output = parameterNode.outputSegmentation
    return SegmentRequest(
        (parameterNode.inputVolume,),
        SegmentationSettings(
            model=parameterNode.model,
            device=parameterNode.device,
            precision=parameterNode.precision,
            mirror=parameterNode.mirror,
            force=parameterNode.force,
        ),
        parameterNode.region,
        output,
        # a segmentation that is replaced takes its table along; a new one gets a new table
        parameterNode.volumesTable if output else None,
    )


class SlicerCNNSegTest(ScriptedLoadableModuleTest):
    """The module's test inside Slicer; the project's own tests cover the rest without it."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run every test; called by "Reload and Test"."""
        for test in (self.test_Models, self.test_RequestOfParameterNode, self.test_UnusableInputIsRefused):
            self.setUp()
            test()

    def test_Models(self):
        """Every embedded model can be read."""
        entries = list_models()
        assert DEFAULT_MODEL in [entry.id for entry in entries]
        for entry in entries:
            assert isinstance(entry.package, ModelPackage), entry.problem

    def test_RequestOfParameterNode(self):
        """What is chosen in the panel is what is run."""
        parameterNode = SlicerCNNSegLogic().getParameterNode()
        parameterNode.inputVolume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "volume")
        parameterNode.mirror = True
        request = requestOf(parameterNode)
        assert [node.GetName() for node in request.volume_nodes] == ["volume"]
        assert request.settings == SegmentationSettings(mirror=True)

    def test_UnusableInputIsRefused(self):
        """A volume without voxels is an error in words, and nothing is started."""
        logic = SlicerCNNSegLogic()
        parameterNode = logic.getParameterNode()
        parameterNode.inputVolume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
        with self.assertRaisesRegex(CNNSegError, "empty"):  # noqa: PT027 - Slicer has no pytest
            logic.start(parameterNode, lambda fraction, stage, secondsLeft: None, lambda end: None)
        assert not logic.running
