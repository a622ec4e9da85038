"""One press on Apply: from a volume node to a segmentation node, through the worker.

The scene and the worker are passed in. A run that fails or is cancelled adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import qt
import slicer

from ..engine.catalogue import find_model
from ..engine.errors import Cancelled, CNNSegError, InputError
from ..engine.inputs import check_modality
from ..engine.result import SegmentationResult
from ..engine.settings import SegmentationSettings
from ..scene.regions import region_from_roi
from ..scene.segmentations import clear_segmentation, show_segmentation
from ..scene.tables import show_volumes
from ..scene.volumes import volume_from_node
from ..worker.interface import Ended, Progressed, Worker

POLL_INTERVAL_MS = 20
"""How often the worker is asked what has happened; less than a screen needs to show it."""

LOADING = 0.98
"""Where the bar stands while the result comes into the scene."""

REMOVED = "The input volume was removed from the scene during the run; nothing was added."


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
        Why it failed: one line, and what the worker wrote besides.
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
    worker:
        Runs the model.
    on_progress:
        Called with a fraction (0..1), the stage's name, and the seconds left (None when unknown).
    on_end:
        Called once, with a ``SegmentEnd``, when the run is over.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        worker: Worker,
        on_progress: Callable[[float, str, float | None], None],
        on_end: Callable[[SegmentEnd], None],
    ) -> None:
        self._scene, self._worker = scene, worker
        self._on_progress, self._on_end = on_progress, on_end
        self._problem = ""
        self._timer = qt.QTimer()
        self._timer.interval = POLL_INTERVAL_MS
        self._timer.timeout.connect(self._poll)
        self.running = False

    def start(self, request: SegmentRequest) -> None:
        """Check the request and hand it to the worker.

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
        self._worker.start(settings, [volume])
        self._request, self._geometry, self._problem = request, volume.geometry, ""
        if request.output_node is not None:
            clear_segmentation(request.output_node)
        self.running = True
        self._timer.start()

    def cancel(self) -> None:
        """Stop; ``on_end`` follows within half a second."""
        if self.running:
            self._worker.cancel()

    def check_input(self) -> None:
        """Stop if the input is no longer in the scene: there is nothing left to put the result on."""
        if self.running and not self._scene.IsNodePresent(self._request.volume_node):
            self._problem = REMOVED
            self.cancel()

    def close(self) -> None:
        """Stop at once; the worker's process ends too."""
        running, self.running = self.running, False
        self._timer.stop()
        if running:
            self._worker.close()
            self._on_end(SegmentEnd(cancelled=True))

    def _poll(self) -> None:
        for event in self._worker.poll() if self.running else ():
            if isinstance(event, Progressed):
                self._on_progress(event.fraction * LOADING, event.stage, event.seconds_left)
            else:
                self._ended(event)

    def _ended(self, end: Ended) -> None:
        self.running = False
        self._timer.stop()
        try:
            outcome = self._outcome(end)
        except CNNSegError as error:
            outcome = SegmentEnd(problem=str(error))
        self._on_end(outcome)

    def _outcome(self, end: Ended) -> SegmentEnd:
        if self._problem:
            return SegmentEnd(problem=self._problem)
        if isinstance(end.error, Cancelled):
            return SegmentEnd(cancelled=True)
        if end.error is not None:
            return SegmentEnd(problem=str(end.error), details=end.details)
        self._on_progress(LOADING, "Adding the segmentation", None)
        return self._show(end.result)

    def _show(self, result: SegmentationResult) -> SegmentEnd:
        request = self._request
        node = request.volume_node
        if not self._scene.IsNodePresent(node):
            raise InputError(REMOVED)
        if not volume_from_node(node).geometry.matches(self._geometry):
            raise InputError(f"The volume {node.GetName()} was moved or changed during the run; apply again.")
        segmentation = show_segmentation(self._scene, result, node, self._still_there(request.output_node))
        table = show_volumes(self._scene, result, self._still_there(request.table_node))
        return SegmentEnd(segmentation, table, result.record.warnings)

    def _still_there(self, node: slicer.vtkMRMLNode | None) -> slicer.vtkMRMLNode | None:
        return node if node is not None and self._scene.IsNodePresent(node) else None
