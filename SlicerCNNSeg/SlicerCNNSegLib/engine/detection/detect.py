"""Detection: a CT in, findings out (heavy).

Lungs are found first: what lies outside is not searched, and an image without any is refused. Then the network looks at
windows that hold lung; its boxes are brought back to the patient, and each is segmented, measured and told where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage

from ..catalogue import find_model
from ..device import AUTOCAST, choose_device, choose_precision
from ..errors import GeometryError, ModelError
from ..findings.boxes import box_from_corners
from ..findings.category import size_category
from ..findings.finding import Finding
from ..findings.lungs import Lungs, find_lungs
from ..findings.measure import measure
from ..findings.segmenting import SegmentedNodule
from ..inputs import check_modality, check_voxels, match_channels
from ..ladder import Rung, climb_down
from ..networks import DETECTION, check_window, facts_of
from ..package import ModelPackage
from ..parts import Stopwatch
from ..preprocess import Placement, Preprocessing
from ..progress import Progress, SubProgress, advance
from ..result import RunRecord
from ..segment import RECORDED_PACKAGES, describe
from ..settings import DetectionSettings
from ..version import versions
from ..volume import Volume
from ..weights import load_networks
from .anchors import Levels, as_levels
from .model import DetectionModel
from .places import boxes_from_network, spacing_of
from .result import DetectionResult
from .search import Boxes, Search, search

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
    """

    part: Volume
    tensor: torch.Tensor
    where: np.ndarray
    placement: Placement


def detect(settings: DetectionSettings, volumes: Sequence[Volume], progress: Progress) -> DetectionResult:
    """Find nodules in one case; see ``engine/run.py`` for the contract."""
    stopwatch = Stopwatch()
    with stopwatch.stage("check"):
        advance(progress, 0.0, "Checking the input")
        plan = Plan.of(find_model(settings.model))
        package = plan.model.package
        warnings = [note for volume in volumes for note in volume.notes]
        warnings += check_modality(package, volumes, force=settings.force)
        image = match_channels(package, volumes)
        check_voxels(package, image, 3)
        device, device_warnings = choose_device(settings.device)
        warnings += device_warnings
    with stopwatch.stage("lungs"):
        advance(progress, 0.02, "Finding the lungs")
        lungs = find_lungs(image)
        warnings += lungs.warnings
    with stopwatch.stage("preprocess"):
        advance(progress, 0.15, "Preparing the image")
        scene = _scene(plan, image, lungs)
    share = SubProgress(progress, 0.2, 0.7)
    work = _Work(plan, settings, scene, stopwatch, share)
    boxes, rung, ladder_warnings = climb_down(work.boxes, device, BATCH)
    with stopwatch.stage("measure"):
        found = _Found(image, lungs)
        found.add_all(boxes, scene, measured=settings.measure, progress=SubProgress(progress, 0.7, 1.0))
    advance(progress, 1.0, "Done")
    record = RunRecord(
        task="detection",
        model_id=package.id,
        model_version=package.version,
        model_sha256=package.sha256,
        settings=settings.to_json(),
        device=str(rung.device),
        precision=choose_precision(settings.precision, rung.device),
        versions=versions(*RECORDED_PACKAGES),
        inputs=tuple(describe(volume) for volume in volumes),
        seconds=dict(stopwatch.seconds),
        warnings=tuple(dict.fromkeys([*warnings, *ladder_warnings])),
        started=stopwatch.started,
    )
    threshold = plan.model.threshold if settings.threshold is None else settings.threshold
    return DetectionResult(
        tuple(found.findings),
        threshold,
        found.labelmap,
        image.geometry,
        package.labels[0],
        record,
        lungs,
        found.nodules,
    )


def _scene(plan: Plan, image: Volume, lungs: Lungs) -> _Scene:
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
    near = torch.from_numpy(np.ascontiguousarray((away_mm <= BESIDE_MM).transpose(2, 1, 0)))[None]
    where = placement.forward(near.to(torch.uint8), "nearest")[0].numpy() > 0
    return _Scene(part, tensor, where, placement)


@dataclass(frozen=True)
class _Work:
    """What the network's stages share."""

    plan: Plan
    settings: DetectionSettings
    scene: _Scene
    stopwatch: Stopwatch
    progress: Progress

    def boxes(self, rung: Rung) -> Boxes:
        """What the networks find, in network space."""
        model = self.plan.model
        with self.stopwatch.stage("load model"):
            advance(self.progress, 0.0, "Loading the model")
            networks = load_networks(model.package, rung.device)
        x, y, z = (float(mm) for mm in spacing_of(self.scene.placement))
        how = Search(
            self.plan.anchors,
            model.window,
            model.overlap,
            model.candidate_score,
            model.merge_overlap,
            (x, y, z),
            rung.batch,
        )
        autocast = AUTOCAST[choose_precision(self.settings.precision, rung.device)]
        with self.stopwatch.stage("network"):
            return search(
                self.scene.tensor,
                networks,
                how,
                SubProgress(self.progress, 0.1, 1.0),
                where=self.scene.where,
                autocast=autocast,
            )


class _Found:
    """Findings as they are made of boxes, with their segmentation on the image's grid."""

    def __init__(self, image: Volume, lungs: Lungs) -> None:
        self._image, self._lungs = image, lungs
        self.labelmap = np.zeros(image.geometry.shape_kji, dtype=np.uint8)
        self.findings: list[Finding] = []
        self.nodules: dict[str, SegmentedNodule] = {}

    def add_all(self, found: Boxes, scene: _Scene, *, measured: bool, progress: Progress) -> None:
        """Make a finding of each box of network space, the best first."""
        corners = boxes_from_network(found.boxes, scene.placement)
        for index, (box_corners, score) in enumerate(zip(corners, found.scores, strict=True)):
            advance(progress, index / len(corners), "Measuring")
            box = box_from_corners(box_corners, scene.part.geometry).along(self._image.geometry)
            location = self._lungs.location(np.asarray(box.center_ras_mm))
            finding = Finding(f"N{index + 1:02d}", box, min(1.0, float(score)), location=location)
            self.findings.append(self._measured(finding, index + 1) if measured else finding)

    def _measured(self, finding: Finding, value: int) -> Finding:
        """The finding with what was measured, drawn into the labelmap, where earlier ones keep their voxels.

        As it was where nothing stands out from the lung, or the box reaches beyond the image.
        """
        try:
            found = measure(self._image, finding.box)
        except GeometryError:
            return finding
        if found is None:
            return finding
        measurements, nodule = found
        self.nodules[finding.id] = nodule
        self.labelmap[nodule.on(self._image.geometry) & (self.labelmap == 0)] = value
        return replace(finding, measurements=measurements, category=size_category(measurements))
