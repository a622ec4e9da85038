"""The Segment Editor effect *CNN*: a model applied to the segments, after a preview if wanted."""

from pathlib import Path

import qt
import slicer
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect
from slicer.i18n import tr as _

from SegmentEditorCNNSegLib.effect_form import EffectForm
from SegmentEditorCNNSegLib.effect_run import EffectRequest, EffectRun, Proposal
from SegmentEditorCNNSegLib.segment_choice import SegmentChoice
from SlicerCNNSegLib.engine.errors import CNNSegError, InputError
from SlicerCNNSegLib.scene.previews import remove_previews, show_preview
from SlicerCNNSegLib.scene.records import tag_segment
from SlicerCNNSegLib.scene.segment_writing import new_segment_image
from SlicerCNNSegLib.widgets.packages import REQUIREMENTS, ensure_packages
from SlicerCNNSegLib.widgets.shared_worker import release_worker, shared_worker

MODULE_FOLDER = Path(__file__).resolve().parents[1]
EFFECT_NAME = "CNN"  # no tr: modules find effects by name


class SegmentEditorEffect(AbstractScriptedSegmentEditorEffect):
    """Runs a model on the source volume, shows what it found, and writes it into the segments."""

    def __init__(self, scriptedEffect):
        scriptedEffect.name = EFFECT_NAME
        scriptedEffect.title = _("CNN")
        scriptedEffect.perSegment = False  # a model may fill several
        scriptedEffect.requireSegments = False
        AbstractScriptedSegmentEditorEffect.__init__(self, scriptedEffect)
        self._form = None
        self._run = None
        self._proposal = None
        self._asked_for = None
        self._apply_at_once = False

    def clone(self):
        """Another one for another Segment Editor, as Slicer wants it."""
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        clonedEffect = effects.qSlicerSegmentEditorScriptedEffect(None)
        clonedEffect.setPythonSource(Path(__file__).as_posix())
        return clonedEffect

    def icon(self):
        """The button's picture."""
        return qt.QIcon(str(MODULE_FOLDER / "Resources" / "Icons" / "SlicerCNNSeg.png"))

    def helpText(self):
        """What the Segment Editor shows about the effect."""
        return "<html>" + _(
            "Segment with a convolutional network. Choose a model and press <b>Preview</b> to see what it finds, "
            "<b>Apply</b> to write it into the segments. Masks and the editable area are kept to. The network runs in "
            "a process of its own; leaving the effect stops it. Results are for research; they are no diagnosis."
        )

    def setupOptionsFrame(self):
        """Make the options, once."""
        uiWidget = slicer.util.loadUI(str(MODULE_FOLDER / "Resources" / "UI" / "SegmentEditorCNNSeg.ui"))
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.scriptedEffect.addOptionsWidget(uiWidget)
        self._form = EffectForm(slicer.util.childWidgetVariables(uiWidget), self.scriptedEffect, self.on_cancel)
        self._form.ui.previewButton.clicked.connect(self.on_preview)
        self._form.ui.applyButton.clicked.connect(self.on_apply)

    def setMRMLDefaults(self):
        """Parameters that the scene does not have yet."""
        EffectForm.set_defaults(self.scriptedEffect)

    def updateGUIFromMRML(self):
        """Show the parameters; a preview of anything else is taken away."""
        if self._form is None or self.scriptedEffect.parameterSetNode() is None:
            return
        self._form.show_parameters()
        if self._asked_for is not None and self._asked_for != self._form.asked():
            self._forget()
            self._form.status.say("")
        self._show_state()

    def updateMRMLFromGUI(self):
        """Keep what is chosen."""
        self._form.keep_parameters()

    def activate(self):
        """The effect was chosen."""
        self._form.fill_models()
        self._form.status.say("")
        self.updateGUIFromMRML()

    def deactivate(self):
        """Another effect was chosen, or the editor was left: nothing is left half done."""
        self._forget()

    def sourceVolumeNodeChanged(self):
        """What was found belongs to another volume."""
        self.updateGUIFromMRML()

    def cleanup(self):
        """The effect ends: no process, preview or signal is left behind."""
        if self._form is not None:
            self._form.ui.previewButton.clicked.disconnect(self.on_preview)
            self._form.ui.applyButton.clicked.disconnect(self.on_apply)
            self._form.disconnect()
        if self._run is not None:
            self._run.close()
        self._form = None
        remove_previews(slicer.mrmlScene)
        release_worker()

    def on_preview(self, _checked=None):
        """Run the model and show what it finds."""
        self._start(apply_at_once=False)

    def on_apply(self, _checked=None):
        """Write what is shown; without a preview, run the model first."""
        if self._proposal is None:
            self._start(apply_at_once=True)
            return
        with slicer.util.tryWithErrorDisplay(_("The segments could not be changed."), waitCursor=True):
            self._finish(self._proposal)

    def on_cancel(self):
        """Stop the run; its end is shown when it has stopped."""
        self._run.cancel()

    def _start(self, apply_at_once):
        with slicer.util.tryWithErrorDisplay(_("The model could not be started."), waitCursor=True):
            self._forget()
            self._form.status.say("")
            try:
                ensure_packages(REQUIREMENTS, _("CNNSeg"))
                request = self._request()
                if request is not None:
                    self._run = EffectRun(slicer.mrmlScene, shared_worker(), self._form.status.show_progress, self._end)
                    self._run.start(request)
                    self._asked_for, self._apply_at_once = self._form.asked(), apply_at_once
            except CNNSegError as error:
                self._form.status.show_problem(error)
            self._show_state()

    def _request(self):
        """What to run; None when the user gave up on the way."""
        node = self._form.segmentation()
        targets, matches = self._form.targets()
        if targets is None:
            targets = SegmentChoice(matches, node.GetSegmentation(), self.scriptedEffect.optionsFrame()).ask()
        if not targets or (self._form.fills_selected() and not self.scriptedEffect.confirmCurrentSegmentVisible()):
            return None
        reference = slicer.vtkOrientedImageData()
        reference.DeepCopy(self.scriptedEffect.referenceGeometryImage())
        return EffectRequest(self._form.source_volume(), self._form.settings(), node, reference, targets)

    def _end(self, end):
        if self._form is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The result could not be shown.")):
            if end.cancelled:
                self._asked_for = None
                self._form.status.say(_("Cancelled."))
            elif end.problem:
                self._asked_for = None
                self._form.status.show_problem(end.problem, end.details)
            elif self._apply_at_once:
                self._finish(end.shown)
            else:
                self._preview(end.shown)
            self._show_state()

    def _preview(self, proposal: Proposal):
        node = proposal.request.segmentation_node
        images = [
            (target.labels[0], new_segment_image(proposal.found, values, node)) for target, values in proposal.parts
        ]
        found = [(label, image) for label, image in images if image is not None]
        self._proposal = proposal
        show_preview(node, found)
        names = ", ".join(label.name for label, _image in found)
        text = _("Found: {names}. Press Apply to write it.").format(names=names) if found else _("Nothing was found.")
        self._form.status.show_result(text, proposal.record.warnings)

    def _finish(self, proposal: Proposal):
        try:
            self._write(proposal)
            self._form.status.show_result(_("Applied."), proposal.record.warnings)
        except CNNSegError as error:
            self._form.status.show_problem(error)
        self._forget()
        self._show_state()

    def _write(self, proposal: Proposal):
        request = proposal.request
        node, segmentation = request.segmentation_node, request.segmentation_node.GetSegmentation()
        self._check(request, segmentation)
        self.scriptedEffect.saveStateForUndo()
        for target, values in proposal.parts:
            image = new_segment_image(proposal.found, values, node, target.segment_id)
            if image is None:
                continue
            segment_id = target.segment_id or self._add_segment(segmentation, target.labels[0])
            mode = slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeSet
            self.scriptedEffect.modifySegmentByLabelmap(node, segment_id, image, mode)
            tag_segment(segmentation.GetSegment(segment_id), proposal.record)

    def _check(self, request, segmentation):
        """Raise ``InputError`` unless everything is where it was when the model was asked."""
        if self._form.segmentation() is not request.segmentation_node:
            raise InputError("Another segmentation was chosen meanwhile; apply again.")
        for target in request.targets:
            if target.segment_id and segmentation.GetSegment(target.segment_id) is None:
                raise InputError(f"The segment for {target.labels[0].name} was removed meanwhile; apply again.")
        reference = self.scriptedEffect.referenceGeometryImage()
        if not slicer.vtkOrientedImageDataResample.DoGeometriesMatch(reference, request.reference):
            raise InputError("The segmentation's geometry was changed meanwhile; apply again.")

    def _add_segment(self, segmentation, label):
        segment_id = segmentation.AddEmptySegment("", label.name, label.color)
        if label.terminology:
            segmentation.GetSegment(segment_id).SetTerminology(label.terminology)
        return segment_id

    def _forget(self):
        """Nothing is asked for and nothing is shown any more."""
        self._proposal = self._asked_for = None
        if self._run is not None:
            self._run.cancel()
        remove_previews(slicer.mrmlScene)

    def _show_state(self):
        self._form.show_state(running=self._run is not None and self._run.running)
