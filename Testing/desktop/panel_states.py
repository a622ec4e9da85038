"""Every state of panel and effect as a picture, to look at: ``python Testing/desktop/panel_states.py FOLDER [MODE]``.

The results are made up, by a worker without a process; ``take_screenshots.py`` makes those of real runs.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
DOCKED_PX = 380
LONG = "CT thorax abdomen pelvis portal venous phase 1.5 mm Br40 axial reconstruction 3"
DETAILS = (
    "Traceback (most recent call last)\n  torch.OutOfMemoryError\nLog file: /home/me/.cache/cnnseg/logs/worker.log"
)
DARK = {"Window": "#353535", "Base": "#2a2a2a", "AlternateBase": "#353535", "Button": "#353535", "Highlight": "#2a82da"}
DISABLED_TEXT, DISABLED = ("WindowText", "Text", "ButtonText"), "#7f7f7f"
LIGHT_TEXT = ("WindowText", "Text", "ButtonText", "ToolTipText", "HighlightedText")


def main() -> int:
    """Write the pictures into the folder that the first argument names; MODE is light, dark, or both when left out."""
    folder, modes = Path(sys.argv[1]), sys.argv[2:] or ["light", "dark"]
    folder.mkdir(parents=True, exist_ok=True)
    sys.path[:0] = [str(PROJECT / name) for name in ("Testing", "SlicerCNNSeg", "SlicerCNNSegTrain")]
    from desktop.host import start

    desktop = start()
    desktop.show_properties_to(__name__)
    with tempfile.TemporaryDirectory() as models:
        os.environ["CNNSEG_MODELS"], os.environ["CNNSEG_LOGS"] = f"{models}/models", f"{models}/logs"
        write_classifier(Path(models, "models", "chest-xray"))
        write_detector(Path(models, "models", "nodules"))
        for mode in modes:
            if mode == "dark":
                make_dark(desktop.application)
            States(desktop, folder, mode).take()
    return 0


def write_classifier(folder: Path) -> None:
    """A classifier as far as a list of models looks at it; and a folder that is no model."""
    from SlicerCNNSegLib.engine.catalogue import EMBEDDED_MODELS

    shutil.copytree(EMBEDDED_MODELS / "hippocampus-mr", folder)
    path = folder / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    classes = [{"name": "Pneumonia"}, {"name": "No finding"}]
    title = "Pneumonia on chest X-rays"
    metadata["cnnseg"] |= {"id": folder.name, "task": "classification", "title": title, "classes": classes}
    path.write_text(json.dumps(metadata), encoding="utf-8")
    (folder.parent / "broken").mkdir()


def write_detector(folder: Path) -> None:
    """A detector as far as a list of models looks at it: a demonstration, with a long title."""
    from tiny_detector import write_tiny_detector

    path = write_tiny_detector(folder) / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["intended_use"] = "Demonstration only. Not a medical device; not for diagnosis, treatment or screening."
    metadata["cnnseg"]["title"] = "Lung nodules (CT), demonstration on made-up chests"
    path.write_text(json.dumps(metadata), encoding="utf-8")


def make_dark(application: Any) -> None:
    """Colours like those of Slicer's dark style."""
    from PySide6 import QtGui

    palette = QtGui.QPalette()
    for role, colour in (*DARK.items(), *((text, "#ffffff") for text in LIGHT_TEXT)):
        palette.setColor(getattr(QtGui.QPalette.ColorRole, role), QtGui.QColor(colour))
    for text in DISABLED_TEXT:
        palette.setColor(QtGui.QPalette.ColorGroup.Disabled, getattr(QtGui.QPalette.ColorRole, text), DISABLED)
    application.setPalette(palette)


class States:
    """Takes the pictures of one colour scheme."""

    def __init__(self, desktop: Any, folder: Path, mode: str) -> None:
        from SlicerCNNSegLib.widgets import shared_worker
        from SlicerCNNSegLib.worker.fake import FakeWorker

        self.desktop, self.folder, self.mode = desktop, folder, mode
        self.worker = FakeWorker()
        shared_worker._workers[:] = [self.worker]

    def take(self) -> None:
        """Panel and effect, one state after the other."""
        panel = self.desktop.open("SlicerCNNSeg")
        self.save(panel.parent, "empty")
        volume = self.add_volume("MRHead")
        panel.enter()
        self.save(panel.parent, "ready")
        self.segment(panel, volume)
        self.manage_models(panel)
        self.detect(panel)
        self.classify(panel, volume)
        self.effect(volume)
        self.desktop.close(panel)
        self.desktop.clear_scene()

    def segment(self, panel: Any, volume: Any) -> None:
        """The tab Segment while a run goes, after it, after a fault, and with long names."""
        from SlicerCNNSegLib.engine.errors import OutOfMemoryError
        from SlicerCNNSegLib.worker.interface import Ended, Progressed

        ui = panel.ui
        running = Progressed(0.42, "Running the network", 75.0)
        self.run(panel, [running], lambda: ui.statusLabel.text.startswith("Running"))
        self.save(panel.parent, "running")
        ui.cancelButton.click()
        self.wait(panel)
        self.run(panel, [Ended(self.segmentation(volume))])
        self.save(panel.parent, "done")
        problem = OutOfMemoryError(
            "Memory ran out (24.0 GiB on cuda:0). Restrict the run to a region of interest, or choose the device cpu."
        )
        self.run(panel, [Ended(error=problem, details=DETAILS)])
        self.save(panel.parent, "error")
        ui.detailsButton.click()
        ui.advancedCollapsibleButton.collapsed = False
        self.save(panel.parent, "error-details")
        ui.detailsButton.click()
        ui.advancedCollapsibleButton.collapsed = True
        volume.SetName(LONG)
        ui.inputVolumeSelector.setMRMLScene(volume.GetScene())
        self.run(panel, [Ended(self.segmentation(volume))])
        self.save(panel.parent, "long-names")
        volume.SetName("MRHead")
        ui.inputVolumeSelector.setMRMLScene(volume.GetScene())

    def manage_models(self, panel: Any) -> None:
        """The dialogs that install a model and import bare weights: empty, with what is missing, and a licence."""
        menu = panel._modelMenu
        menu.installing.open()
        self.save(menu.installing.dialog, "install-zoo")
        ui = menu.installing.ui
        ui.sourceComboBox.currentIndex = 3
        ui.startInstallButton.click()
        self.save(menu.installing.dialog, "install-address")
        ui.sourceComboBox.currentIndex = 1
        text = "Creative Commons Attribution-NonCommercial 4.0\n\nYou may not use the material for commercial purposes."
        menu.installing._show_licence({"title": LONG, "licence": "CC BY-NC 4.0", "text": text})
        menu.installing._say("Read the licence; nothing is installed before it is accepted.")
        self.save(menu.installing.dialog, "install-licence")
        menu.installing.close()
        menu.importing.open()
        self.save(menu.importing.dialog, "import-empty")
        menu.importing.ui.idEdit.text = "brain-unet"
        menu.importing.ui.startImportButton.click()
        self.save(menu.importing.dialog, "import-missing")
        menu.importing.close()

    def detect(self, panel: Any) -> None:
        """The tab Detect & follow up before and after a run, under review, and against an earlier date."""
        from worker_behaviours import compared, detected

        from SlicerCNNSegLib.engine.findings.review import ComparisonSettings
        from SlicerCNNSegLib.engine.settings import DetectionSettings
        from SlicerCNNSegLib.scene.findings import listed_findings
        from SlicerCNNSegLib.scene.volumes import volume_from_node
        from SlicerCNNSegLib.worker.interface import Ended

        ui, parameters = panel.ui, panel.logic.getParameterNode()
        ui.taskTabs.currentIndex = 1
        tables = []
        for name in ("CT 2025-01", "CT 2025-07"):
            parameters.inputVolume = volume = self.add_volume(name, "CT")
            if not tables:
                self.save(panel.parent, "detect-ready")
            result = detected(DetectionSettings("nodules"), [volume_from_node(volume)])
            self.run(panel, [Ended(result)])
            tables.append(parameters.findingsTable)
        self.save(panel.parent, "detect-done")
        ui.findingsTableView.selectRow(0)
        ui.acceptButton.click()
        ui.rejectButton.click()
        ui.thresholdSlider.value = 0.3
        self.save(panel.parent, "detect-review")
        ui.followUpCollapsibleButton.collapsed = False
        self.save(panel.parent, "detect-follow-up-empty")
        parameters.earlierFindings, parameters.earlierDate, parameters.laterDate = tables[0], "2025-01-15", "2025-07-10"
        both = [tuple(listed_findings(table)) for table in tables]
        self.worker.events = [Ended(compared(ComparisonSettings(*both, 176.0), ()))]
        ui.compareButton.click()
        self.wait(panel)
        self.save(panel.parent, "detect-follow-up")

    def classify(self, panel: Any, volume: Any) -> None:
        """The tab Classify before and after a run."""
        from SlicerCNNSegLib.worker.interface import Ended

        panel.logic.getParameterNode().inputVolume = volume

        panel.ui.taskTabs.currentIndex = 2
        self.save(panel.parent, "classify-ready")
        panel.ui.whereComboBox.currentIndex = 2
        self.save(panel.parent, "classify-around-segments")
        panel.ui.whereComboBox.currentIndex = 0
        panel.ui.explainComboBox.currentIndex = 1
        self.run(panel, [Ended(self.classification(volume))])
        self.save(panel.parent, "classify-done")

    def effect(self, volume: Any) -> None:
        """The Segment Editor effect: ready, with a preview, for the selected segment, and its dialog."""
        import slicer
        from desktop.host.segment_editor import Editor

        import SlicerCNNSeg
        from SegmentEditorCNNSegLib.segment_choice import SegmentChoice
        from SlicerCNNSegLib.engine.catalogue import find_model
        from SlicerCNNSegLib.scene.segment_matching import Match
        from SlicerCNNSegLib.worker.interface import Ended

        SlicerCNNSeg.registerSegmentEditorEffect()
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
        node.CreateDefaultDisplayNodes()
        editor = Editor(slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects()[0])
        editor.choose(node, volume)
        editor.frame.show()
        self.save(editor.frame, "effect-ready")
        ui = editor.python._form.ui
        self.worker.events = [Ended(self.segmentation(volume))]
        ui.previewButton.click()
        self.desktop.wait_until(lambda: not ui.progressBar.visible)
        self.save(editor.frame, "effect-preview")
        ui.fillComboBox.currentIndex = 1
        ui.whereComboBox.currentIndex = 1
        self.save(editor.frame, "effect-selected-segment")
        segmentation = node.GetSegmentation()
        segmentation.AddEmptySegment("a", "Hippocampus")
        matches = [Match(label, "a", is_sure=False) for label in find_model("hippocampus-mr").labels]
        choice = SegmentChoice(matches, segmentation, editor.frame)
        self.save(choice.dialog, "effect-dialog")
        editor.close()

    def run(self, panel: Any, events: list[Any], until: Any = None) -> None:
        """Press Apply; the worker tells these events."""
        self.worker.events = events
        panel.ui.applyButton.click()
        self.desktop.wait_until(until or (lambda: not panel.logic.running))

    def wait(self, panel: Any) -> None:
        self.desktop.wait_until(lambda: not panel.logic.running)

    def save(self, widget: Any, name: str) -> None:
        """A picture of the widget in a docked width, as high as it needs."""
        from desktop.host.desktop import picture_of

        self.desktop.process_events()
        picture_of(self.desktop, widget, DOCKED_PX).save(str(self.folder / f"{name}-{self.mode}.png"))

    def add_volume(self, name: str, modality: str = "MR") -> Any:
        import slicer

        from SlicerCNNSegLib.engine.volume import Volume
        from SlicerCNNSegLib.scene.volumes import node_from_volume

        array = np.random.default_rng(0).normal(size=(1, 18, 20, 22)).astype(np.float32)
        return node_from_volume(slicer.mrmlScene, Volume(array, np.eye(4), modality=modality), name)

    def segmentation(self, volume: Any) -> Any:
        """A made-up result of hippocampus-mr."""
        from worker_behaviours import record_of

        from SlicerCNNSegLib.engine.catalogue import find_model
        from SlicerCNNSegLib.engine.result import SegmentationResult
        from SlicerCNNSegLib.engine.settings import SegmentationSettings
        from SlicerCNNSegLib.scene.volumes import volume_from_node

        seen = volume_from_node(volume)
        labelmap = np.zeros(seen.geometry.shape_kji, np.uint8)
        labelmap[4:9, 5:12, 6:12], labelmap[9:14, 5:12, 6:14] = 1, 2
        record = record_of("segmentation", SegmentationSettings(), seen)
        warning = (
            "The model hippocampus-mr was trained on images of 28-43 mm, but ran on 22 mm: choose a larger region."
        )
        record = replace(record, warnings=(warning,))
        return SegmentationResult(labelmap, seen.geometry, find_model("hippocampus-mr").labels, record)

    def classification(self, volume: Any) -> Any:
        """A made-up result of a classifier, with a heat map."""
        from worker_behaviours import record_of

        from SlicerCNNSegLib.engine.classification.result import ClassificationResult, Explanation, Prediction
        from SlicerCNNSegLib.engine.labels import ClassLabel
        from SlicerCNNSegLib.engine.settings import ClassificationSettings
        from SlicerCNNSegLib.scene.volumes import volume_from_node

        seen = volume_from_node(volume)
        record = replace(record_of("classification", ClassificationSettings("chest-xray"), seen), warnings=())
        return ClassificationResult(
            (ClassLabel("Pneumonia"), ClassLabel("No finding")),
            (Prediction("", (0, 0, 0), seen.geometry.size_ijk, (0.934, 0.066)),),
            seen.geometry,
            record,
            Explanation("gradcam", "", ("Pneumonia",), np.ones(seen.geometry.shape_kji, np.float32)),
        )


if __name__ == "__main__":
    sys.exit(main())
