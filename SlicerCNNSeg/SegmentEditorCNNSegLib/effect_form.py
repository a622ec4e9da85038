"""The effect's options: what is chosen, kept as the effect's parameters in the scene."""

from __future__ import annotations

from collections.abc import Callable

from slicer.i18n import tr as _

from SegmentEditorCNNSegLib.effect_run import Target
from SlicerCNNSegLib.engine.catalogue import list_models
from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.settings import DEFAULT_MODEL, SegmentationSettings
from SlicerCNNSegLib.scene.regions import region_from_roi
from SlicerCNNSegLib.scene.segment_matching import Match, match_segments
from SlicerCNNSegLib.scene.view_regions import region_in_views
from SlicerCNNSegLib.scene.volumes import volume_from_node
from SlicerCNNSegLib.widgets.model_choice import ModelChoice
from SlicerCNNSegLib.widgets.run_status import RunStatus

MODEL, FILL, STRUCTURE, WHERE, FORCE, REGION = "Model", "Fill", "Structure", "Where", "Force", "Region"
STRUCTURES, SELECTED = FILLS = ("structures", "selected")
VOLUME, ROI, VIEWS = PLACES = ("volume", "roi", "views")
EVERYTHING = ""
"""Structure: all of the model's together."""


class EffectForm:
    """The widgets of SegmentEditorCNNSeg.ui and the effect's parameters.

    Parameters
    ----------
    ui:
        The widgets.
    effect:
        Slicer's side of the effect: keeps the parameters.
    on_cancel:
        Called when the user wants the run to stop.
    """

    def __init__(self, ui, effect, on_cancel: Callable[[], None]) -> None:
        self.ui, self._effect = ui, effect
        self.status = RunStatus(ui, on_cancel)
        self._updating = True
        self._models = ModelChoice(ui.modelComboBox, ui.modelInfoLabel, "segmentation", self._model_chosen)
        ui.fillComboBox.addItems([_("A segment for each structure"), _("The selected segment")])
        ui.whereComboBox.addItems([_("Whole volume"), _("Region of interest"), _("What the slice views show")])
        self._signals = [
            ui.fillComboBox.currentIndexChanged,
            ui.structureComboBox.currentIndexChanged,
            ui.whereComboBox.currentIndexChanged,
            ui.forceCheckBox.stateChanged,
            ui.regionSelector.currentNodeChanged,
        ]
        for signal in self._signals:
            signal.connect(self.keep_parameters)
        self.fill_models()
        self._updating = False

    @staticmethod
    def set_defaults(effect) -> None:
        """Parameters that the scene does not have yet."""
        defaults = {MODEL: DEFAULT_MODEL, FILL: STRUCTURES, STRUCTURE: EVERYTHING, WHERE: VOLUME, FORCE: "0"}
        for name, value in defaults.items():
            effect.setParameterDefault(name, value)

    def disconnect(self) -> None:
        """Let go of the widgets."""
        for signal in self._signals:
            signal.disconnect(self.keep_parameters)
        self._models.disconnect()
        self.status.disconnect()

    def fill_models(self) -> None:
        """List the models anew."""
        self._models.fill(list_models())

    def show_parameters(self) -> None:
        """Show the parameters."""
        self._updating = True
        if self._models.id != self._parameter(MODEL):
            self._models.select(self._parameter(MODEL))
        self.ui.fillComboBox.currentIndex = FILLS.index(self._parameter(FILL) or STRUCTURES)
        self.ui.whereComboBox.currentIndex = PLACES.index(self._parameter(WHERE) or VOLUME)
        self.ui.forceCheckBox.checked = self._parameter(FORCE) == "1"
        self.ui.regionSelector.setCurrentNode(self._effect.nodeReference(REGION))
        self._fill_structures()
        self._updating = False

    def keep_parameters(self, _value=None) -> None:
        """Keep what is chosen."""
        if self._updating or self._effect.parameterSetNode() is None:
            return
        structure = self.ui.structureComboBox.currentIndex
        values = {
            FILL: FILLS[self.ui.fillComboBox.currentIndex],
            STRUCTURE: self._structure_names()[structure] if structure >= 0 else EVERYTHING,
            WHERE: PLACES[self.ui.whereComboBox.currentIndex],
            FORCE: str(int(self.ui.forceCheckBox.checked)),
        }
        region = self.ui.regionSelector.currentNode()
        for name, value in values.items():
            if value != self._parameter(name):
                self._effect.setParameter(name, value)
        if region is not self._effect.nodeReference(REGION):
            self._effect.setNodeReference(REGION, region)

    def show_state(self, *, running: bool) -> None:
        """Enable what can be done now; say what is missing."""
        missing = self._missing()
        ui = self.ui
        for button in (ui.previewButton, ui.applyButton):
            button.enabled = not running and not missing
        ui.hintLabel.text = missing
        ui.hintLabel.visible = bool(missing) and not running
        for box in (ui.modelComboBox, ui.fillComboBox, ui.structureComboBox, ui.whereComboBox, ui.regionSelector):
            box.enabled = not running
        ui.forceCheckBox.enabled = not running
        several = len(self._structure_names()) > 1
        for widget in (ui.structureLabel, ui.structureComboBox):
            widget.visible = self.fills_selected() and several
        for widget in (ui.regionLabel, ui.regionSelector):
            widget.visible = self._parameter(WHERE) == ROI
        self.status.show_running(running)

    def asked(self) -> tuple[object, ...]:
        """What a result is of; when it changes, the result is no longer what is asked for."""
        names = (MODEL, FILL, STRUCTURE, WHERE) if self.fills_selected() else (MODEL, FILL, WHERE)
        node = self._effect.parameterSetNode()
        nodes = (self.source_volume(), self.segmentation(), self._effect.nodeReference(REGION))
        selected = node.GetSelectedSegmentID() if self.fills_selected() else None
        return (*(self._parameter(name) for name in names), *(n.GetID() if n else None for n in nodes), selected)

    def source_volume(self):
        """The Segment Editor's source volume."""
        node = self._effect.parameterSetNode()
        return node.GetSourceVolumeNode() if node else None

    def segmentation(self):
        """The segmentation that is edited."""
        node = self._effect.parameterSetNode()
        return node.GetSegmentationNode() if node else None

    def fills_selected(self) -> bool:
        """Whether the result goes into the selected segment."""
        return self._parameter(FILL) == SELECTED

    def settings(self) -> SegmentationSettings:
        """How to run.

        Raises
        ------
        CNNSegError
            The region cannot be used.
        """
        where, regions = self._parameter(WHERE), ()
        if where == ROI:
            regions = (region_from_roi(self._effect.nodeReference(REGION)),)
        elif where == VIEWS:
            volume = self.source_volume()
            regions = (region_in_views(volume.GetScene(), volume_from_node(volume).geometry),)
        return SegmentationSettings(model=self._parameter(MODEL), regions=regions, force=self.ui.forceCheckBox.checked)

    def targets(self) -> tuple[tuple[Target, ...] | None, tuple[Match, ...]]:
        """The segments that are filled, None where the user has to be asked; and what is known of each structure."""
        labels = self._models.entry.package.labels
        if self.fills_selected():
            wanted = self._parameter(STRUCTURE)
            named = tuple(label for label in labels if label.name == wanted)
            return (Target(named or labels, self._selected_segment()),), ()
        matches = match_segments(labels, self.segmentation().GetSegmentation())
        if not all(match.is_sure for match in matches):
            return None, matches
        return tuple(Target((match.label,), match.segment_id) for match in matches), matches

    def _selected_segment(self) -> str:
        segment_id = self._effect.parameterSetNode().GetSelectedSegmentID()
        if not segment_id:
            raise InputError("Select a segment first, or fill a segment for each structure.")
        return str(segment_id)

    def _missing(self) -> str:
        entry = self._models.entry
        if self.segmentation() is None or self.source_volume() is None:
            return _("Choose a segmentation and a source volume.")
        if entry is None or entry.package is None:
            return _("Choose a model.")
        if len(entry.package.channels) > 1:
            return _("This model needs {count} images; run it in the module CNNSeg.").format(
                count=len(entry.package.channels)
            )
        if self.fills_selected() and not self._effect.parameterSetNode().GetSelectedSegmentID():
            return _("Select a segment.")
        if self._parameter(WHERE) == ROI and self._effect.nodeReference(REGION) is None:
            return _("Select a region of interest.")
        return ""

    def _structure_names(self) -> list[str]:
        entry = self._models.entry
        names = [label.name for label in entry.package.labels] if entry and entry.package else []
        return [EVERYTHING, *names] if len(names) > 1 else names

    def _fill_structures(self) -> None:
        names = self._structure_names()
        texts = [name or _("All of them together") for name in names]
        box = self.ui.structureComboBox
        if texts != [box.itemText(n) for n in range(box.count)]:
            box.clear()
            box.addItems(texts)
        chosen = self._parameter(STRUCTURE)
        box.currentIndex = names.index(chosen) if chosen in names else 0 if names else -1

    def _model_chosen(self, model_id: str) -> None:
        if not self._updating and self._effect.parameterSetNode() is not None:
            self._effect.setParameter(MODEL, model_id)

    def _parameter(self, name: str) -> str:
        return str(self._effect.parameter(name)) if self._effect.parameterSetNode() else ""
