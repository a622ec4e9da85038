"""A run over all of the volumes, or over what a node says: an ROI, or segments and what surrounds them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import slicer

from ..engine.catalogue import find_model
from ..engine.classification.around import MARGIN_MM
from ..engine.inputs import check_modality, match_channels
from ..scene.regions import region_around
from ..scene.volumes import volume_from_node
from .worker_run import WorkerRun


@dataclass(frozen=True)
class RestrictedRequest:
    """What is run on.

    Parameters
    ----------
    volume_nodes:
        The input: a volume for each channel of the model, in its order.
    settings:
        Their regions are replaced by ``region_node``.
    region_node, margin_mm:
        ROI, or segmentation around which is run, so far around; None for the whole volume, or all of the lungs.
    """

    volume_nodes: tuple[slicer.vtkMRMLScalarVolumeNode, ...]
    settings: Any
    region_node: slicer.vtkMRMLDisplayableNode | None = None
    margin_mm: float = MARGIN_MM


class RestrictedRun(WorkerRun):
    """Runs a model on volume nodes, or on a part of them."""

    def _begin_within(self, request: RestrictedRequest) -> None:
        """Check the request and hand it to the worker.

        Raises
        ------
        CNNSegError
            A volume, the region or the model cannot be used; nothing was started and nothing changed.
        """
        self._check_idle()
        package, settings = find_model(request.settings.model), request.settings
        volumes = [volume_from_node(node) for node in request.volume_nodes]
        check_modality(package, volumes, force=settings.force)
        match_channels(package, volumes)
        if request.region_node is not None:
            settings = replace(settings, regions=(region_around(request.region_node, request.margin_mm),))
        for region in settings.regions:
            region.index_box(volumes[0].geometry)
        self._begin(settings, request.volume_nodes, volumes)
