"""A detector of our own form, run on an image: windows that hold lung, and their boxes in the patient (heavy)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from ..device import AUTOCAST
from ..errors import ModelError
from ..findings.boxes import OrientedBox, box_from_corners
from ..findings.lungs import Lungs
from ..heap import kept_memory
from ..ladder import Rung
from ..networks import DETECTION, check_window, facts_of
from ..package import ModelPackage
from ..parts import Stopwatch
from ..preprocess import Placement, Preprocessing
from ..progress import Progress, SubProgress, advance
from ..region import Region, regions_mask
from ..volume import Volume
from ..weights import load_networks
from ..windows.network import ready
from .anchors import Levels, as_levels
from .model import DetectionModel
from .places import boxes_from_network, spacing_of
from .search import Search, search

BATCH = 4
"""Windows per forward pass; the memory ladder makes it 1."""

BESIDE_MM = 3.0
"""So far outside of the lung mask a nodule's middle may lie: the pleura's voxels are half lung."""

AROUND_MM = 20.0
"""What is prepared around the lungs: a nodule at the pleura is seen whole."""


@dataclass(frozen=True)
class Plan:
    """A detector's configuration, read from its plain data before any weights are."""

    model: DetectionModel
    preprocessing: Preprocessing
    anchors: Levels

    @classmethod
    def of(cls, package: ModelPackage) -> Plan:
        """Read the configuration.

        Raises
        ------
        SettingsError
            The model is for another task.
        ModelError
            A part is missing, not supported or does not fit the others.
        """
        model = DetectionModel.of(package)
        try:
            transforms, definition = package.inference["preprocessing"]["transforms"], package.inference["network_def"]
        except KeyError as error:
            raise ModelError(f"The model {package.id} lacks {error} in configs/inference.json.") from error
        if DETECTION not in facts_of(definition).tasks:
            raise ModelError(f"The network of {package.id} does no detection; correct configs/inference.json.")
        check_window(definition, model.window)
        return cls(model, Preprocessing.from_transforms(transforms), as_levels(model.anchors))

    def search(self, placement: Placement, batch: int) -> Search:
        """How to go over an image that lies so in network space, with so many windows per forward pass."""
        model = self.model
        x, y, z = (float(mm) for mm in spacing_of(placement))
        return Search(
            self.anchors, model.window, model.overlap, model.candidate_score, model.merge_overlap, (x, y, z), batch
        )


@dataclass(frozen=True, eq=False)
class _Scene:
    """The part of an image that is searched, in network space.

    Parameters
    ----------
    part:
        The image around the lungs.
    tensor, where:
        It and its lungs, ``(channel, x, y, z)`` and ``(x, y, z)``.
    placement:
        How these lie on it.
    within:
        Mask ``(x, y, z)`` of the regions that are searched, a voxel larger; None for all of it.
    """

    part: Volume
    tensor: torch.Tensor
    where: np.ndarray
    placement: Placement
    within: np.ndarray | None


class OwnDetector:
    """Runs a detector of our own form; ``threshold`` and ``batch`` are what its folder says.

    Parameters
    ----------
    package, stopwatch:
        The model, and what its time is told to.
    mirror:
        Fuse the boxes of all mirrorings that the model was trained with, also where its folder does not ask for it.
    """

    batch = BATCH

    def __init__(self, package: ModelPackage, stopwatch: Stopwatch, *, mirror: bool = False) -> None:
        self._plan, self._stopwatch, self._mirror = Plan.of(package), stopwatch, mirror
        self.threshold = self._plan.model.threshold
        self.warnings: list[str] = []

    def prepare(self, image: Volume, lungs: Lungs, regions: Sequence[Region]) -> None:
        """Bring the image around the lungs into network space, also where a part alone is searched."""
        self._scene = _scene(self._plan, image, lungs, regions)

    def find(self, rung: Rung, precision: str, progress: Progress) -> list[tuple[OrientedBox, float]]:
        """Boxes in the patient and their scores, the best first."""
        scene = self._scene
        autocast = AUTOCAST[precision]
        with self._stopwatch.stage("load model"):
            advance(progress, 0.0, "Loading the model")
            networks = [ready(one, autocast) for one in load_networks(self._plan.model.package, rung.device)]
        how = self._plan.search(scene.placement, rung.batch)
        share = SubProgress(progress, 0.1, 1.0)
        with self._stopwatch.stage("network"), kept_memory():
            found = search(
                scene.tensor,
                networks,
                how,
                share,
                mirrorings=self._plan.model.mirrorings(self._mirror),
                where=scene.where,
                within=scene.within,
                autocast=autocast,
            )
        corners = boxes_from_network(found.boxes, scene.placement)
        boxes = [box_from_corners(one, scene.part.geometry) for one in corners]
        return list(zip(boxes, found.scores.tolist(), strict=True))


def _scene(plan: Plan, image: Volume, lungs: Lungs, regions: Sequence[Region]) -> _Scene:
    """The image around the lungs, in network space."""
    spacing = image.geometry.spacing_mm
    inside = np.argwhere(lungs.mask)[:, ::-1]
    reach = np.ceil(AROUND_MM / spacing).astype(int)
    low = np.maximum(inside.min(axis=0) - reach, 0)
    high = np.minimum(inside.max(axis=0) + 1 + reach, image.geometry.size_ijk)
    start, stop = (tuple(int(n) for n in end) for end in (low, high))
    part = image.cropped(start, stop)  # type: ignore[arg-type]
    k, j, i = (slice(a, b) for a, b in zip(start[::-1], stop[::-1], strict=True))
    away_mm = ndimage.distance_transform_edt(~lungs.mask[k, j, i], sampling=spacing[::-1])
    tensor, placement = plan.preprocessing.prepare(part)
    where = _in_network_space(away_mm <= BESIDE_MM, placement)
    within = None
    if regions:
        # grown, so that none of it is lost between voxels; what lies beside it is left out on the image's own grid
        grow = [2 * int(np.ceil(mm)) + 1 for mm in (spacing_of(placement).max() / spacing)[::-1]]
        within = ndimage.maximum_filter(regions_mask(regions, image.geometry)[k, j, i], size=grow)
        within = _in_network_space(within, placement)
    return _Scene(part, tensor, where, placement, within)


def _in_network_space(mask: np.ndarray, placement: Placement) -> np.ndarray:
    """A mask ``(k, j, i)`` as one ``(x, y, z)`` of the network's voxels."""
    flipped = torch.from_numpy(np.ascontiguousarray(mask.transpose(2, 1, 0)))[None]
    return np.asarray(placement.forward(flipped.to(torch.uint8), "nearest")[0].numpy() > 0)
