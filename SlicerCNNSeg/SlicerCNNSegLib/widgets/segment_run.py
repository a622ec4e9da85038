"""One press on Apply: from volume nodes to a segmentation node, through the worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer

from ..engine.result import SegmentationResult
from ..engine.steps import Steps
from ..scene.segmentations import clear_segmentation, copying_foreground, put_segmentation
from ..scene.tables import show_volumes
from .restricted_run import RestrictedRequest, RestrictedRun
from .worker_run import RunEnd


@dataclass(frozen=True)
class SegmentRequest(RestrictedRequest):
    """What to segment by ``SegmentationSettings``, and where the result goes.

    Parameters
    ----------
    output_node:
        Segmentation node to fill; None makes one.
    table_node:
        Table node to fill with the volumes; None makes one.
    """

    output_node: slicer.vtkMRMLSegmentationNode | None = None
    table_node: slicer.vtkMRMLTableNode | None = None


@dataclass(frozen=True)
class ShownSegmentation:
    """The nodes that show a result."""

    segmentation_node: slicer.vtkMRMLSegmentationNode
    table_node: slicer.vtkMRMLTableNode


class SegmentRun(RestrictedRun):
    """Segments volume nodes; ``RunEnd.shown`` is a ``ShownSegmentation``."""

    def start(self, request: SegmentRequest) -> None:
        """Check the request and hand it to the worker.

        The output node, if one is given, is emptied: an old mask is never shown as new.

        Raises
        ------
        CNNSegError
            A volume, the region or the model cannot be used; nothing was started and nothing changed.
        """
        self._begin_within(request)
        self._request = request
        if request.output_node is not None:
            clear_segmentation(request.output_node)

    def _prepare(self, result: SegmentationResult) -> Steps[Any]:  # type: ignore[override]
        return copying_foreground(result.labelmap)

    def _show(self, result: SegmentationResult, prepared: Any) -> RunEnd:  # type: ignore[override]
        request = self._request
        node, output = request.volume_nodes[0], self._still_there(request.output_node)
        segmentation = put_segmentation(self._scene, result, prepared, node, output)
        table = show_volumes(self._scene, result, self._still_there(request.table_node))
        return RunEnd(ShownSegmentation(segmentation, table), result.record.warnings)
