"""One press on Apply: from a volume node to a segmentation node, through a process of its own.

The scene is passed in; Qt's part is ``ProcessJob``. A run that fails or is cancelled adds nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import slicer

from ..engine.catalogue import find_model
from ..engine.cohort.saved import read_result
from ..engine.errors import CNNSegError, InputError
from ..engine.inputs import check_modality
from ..engine.result import SegmentationResult
from ..engine.settings import SegmentationSettings
from ..engine.volume import Volume
from ..scene.regions import region_from_roi
from ..scene.segmentations import clear_segmentation, show_segmentation
from ..scene.tables import show_volumes
from ..scene.volumes import volume_from_node
from .messages import Conversation, segment_arguments
from .process_job import JobEnd, ProcessJob

IMAGE_NAME = "volume.nrrd"
LOADING = 0.98
"""Where the bar stands while the result comes into the scene."""


@dataclass(frozen=True)
class SegmentRequest:
    """What to segment, and where the result goes.

    Parameters
    ----------
    volume_node:
        The input.
    settings:
        Their regions are replaced by ``roi_node``.
    roi_node:
        Box to which the run is restricted; None for the whole volume.
    output_node:
        Segmentation node to fill; None makes one.
    table_node:
        Table node to fill with the volumes; None makes one.
    """

    volume_node: slicer.vtkMRMLScalarVolumeNode
    settings: SegmentationSettings
    roi_node: slicer.vtkMRMLMarkupsROINode | None = None
    output_node: slicer.vtkMRMLSegmentationNode | None = None
    table_node: slicer.vtkMRMLTableNode | None = None


@dataclass(frozen=True)
class SegmentEnd:
    """What became of a run.

    Parameters
    ----------
    segmentation_node, table_node:
        The result, or None.
    warnings:
        What a reader of the result must know.
    cancelled:
        Whether the user stopped it.
    problem, details:
        Why it failed: one line, and what the process wrote besides.
    """

    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None
    table_node: slicer.vtkMRMLTableNode | None = None
    warnings: tuple[str, ...] = ()
    cancelled: bool = False
    problem: str = ""
    details: str = ""


class SegmentRun:
    """A run under way.

    Parameters
    ----------
    scene:
        Where the nodes are and the result goes.
    python, environment:
        What starts the child process.
    on_progress:
        Called with a fraction (0..1) and the stage's name.
    on_end:
        Called once, with a ``SegmentEnd``, when the run is over.
    temporary_folder:
        Where the run's own folder is made, and removed at its end.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        python: str,
        environment: Mapping[str, str],
        on_progress: Callable[[float, str], None],
        on_end: Callable[[SegmentEnd], None],
        temporary_folder: Path | None = None,
    ) -> None:
        self._scene, self._python, self._environment = scene, python, environment
        self._on_progress, self._on_end = on_progress, on_end
        self._temporary_folder = temporary_folder
        self._job = ProcessJob(self._hear, self._ended)
        self._problem = ""

    @property
    def running(self) -> bool:
        """Whether the process is still at work."""
        return self._job.running

    def start(self, request: SegmentRequest) -> None:
        """Check the request, write the volume to a file and start the process.

        The output node, if one is given, is emptied: an old mask is never shown as new.

        Raises
        ------
        CNNSegError
            The volume, region or model cannot be used; nothing was started and nothing changed.
        """
        if self.running:
            raise InputError("A segmentation is under way; wait for its end or cancel it.")
        package = find_model(request.settings.model)
        volume = volume_from_node(request.volume_node)
        check_modality(package, [volume], force=request.settings.force)
        settings = request.settings
        if request.roi_node is not None:
            settings = replace(settings, regions=(region_from_roi(request.roi_node),))
        for region in settings.regions:
            region.index_box(volume.geometry)
        self._request, self._volume, self._problem = request, volume, ""
        self._conversation = Conversation()
        self._folder = Path(tempfile.mkdtemp(prefix="cnnseg-", dir=self._temporary_folder))
        try:
            self._on_progress(0.0, "Handing over the volume")
            image = write_volume(volume, self._folder / IMAGE_NAME)
            arguments = segment_arguments(settings, [image], self._folder / "out")
            if request.output_node is not None:
                clear_segmentation(request.output_node)
            self._job.start(self._python, arguments, self._environment)
        except BaseException:
            self._remove_folder()
            raise

    def cancel(self) -> None:
        """Stop at once; ``on_end`` follows."""
        self._job.cancel()

    def close(self) -> None:
        """Stop, and wait until the process has gone."""
        self._job.close()

    def check_input(self) -> None:
        """Stop if the input is no longer in the scene: there is nothing left to put the result on."""
        if self.running and not self._scene.IsNodePresent(self._request.volume_node):
            self._problem = "The input volume was removed from the scene during the run; nothing was added."
            self.cancel()

    def _hear(self, line: str) -> None:
        message = self._conversation.hear(line)
        if message.get("event") == "progress":
            self._on_progress(self._conversation.fraction * LOADING, self._conversation.stage)

    def _ended(self, end: JobEnd) -> None:
        try:
            outcome = self._outcome(end)
        except CNNSegError as error:
            outcome = SegmentEnd(problem=str(error), details="\n".join(self._conversation.log))
        finally:
            self._remove_folder()
        self._on_end(outcome)

    def _outcome(self, end: JobEnd) -> SegmentEnd:
        heard = self._conversation
        details = "\n".join(heard.log)
        if self._problem:
            return SegmentEnd(problem=self._problem)
        if end.cancelled:
            return SegmentEnd(cancelled=True)
        if end.status != 0 or not heard.outputs:
            problem = heard.problem or end.problem or f"The process ended with status {end.status} and no result."
            return SegmentEnd(problem=problem, details=details)
        self._on_progress(LOADING, "Adding the segmentation")
        return self._show(read_result(heard.outputs[-1]))

    def _show(self, result: SegmentationResult) -> SegmentEnd:
        request = self._request
        node = request.volume_node
        if not self._scene.IsNodePresent(node):
            raise InputError("The input volume was removed from the scene during the run; nothing was added.")
        if not volume_from_node(node).geometry.matches(self._volume.geometry):
            raise InputError(f"The volume {node.GetName()} was moved or changed during the run; apply again.")
        result = replace(result, record=replace(result.record, inputs=(self._described(result),)))
        segmentation = show_segmentation(self._scene, result, node, self._still_there(request.output_node))
        table = show_volumes(self._scene, result, self._still_there(request.table_node))
        return SegmentEnd(segmentation, table, result.record.warnings)

    def _described(self, result: SegmentationResult) -> dict[str, object]:
        """The record's input as it was in the scene, not as the temporary file that stood for it."""
        volume = self._volume
        own = {"source": volume.source, "identifiers": dict(volume.identifiers), "modality": volume.modality}
        return {**result.record.inputs[0], **own}

    def _still_there(self, node: slicer.vtkMRMLNode | None) -> slicer.vtkMRMLNode | None:
        return node if node is not None and self._scene.IsNodePresent(node) else None

    def _remove_folder(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def write_volume(volume: Volume, path: Path) -> Path:
    """Write a volume for the child process; uncompressed, because that takes a tenth of the time."""
    import SimpleITK as sitk

    sitk.WriteImage(volume.to_sitk(), str(path), False)
    return path
