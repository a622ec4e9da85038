"""Detection: a CT in, findings out (heavy).

Lungs are found first: an image without any is refused, and a detector of our own form searches nothing else. Then the
network looks at windows; its boxes are brought back to the patient, and each is segmented, measured and told where it
is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from ..bundles.detecting import BundleDetector
from ..catalogue import find_model
from ..device import choose_device, choose_precision
from ..errors import GeometryError, SettingsError
from ..findings.boxes import OrientedBox
from ..findings.category import size_category
from ..findings.finding import Finding
from ..findings.lungs import Lungs, find_lungs
from ..findings.measure import measure
from ..findings.segmenting import SegmentedNodule
from ..inputs import check_modality, check_voxels, match_channels
from ..ladder import Rung, climb_down
from ..parts import Stopwatch
from ..progress import Progress, SubProgress, advance
from ..recording import record_of
from ..region import Region, regions_mask
from ..settings import DetectionSettings
from ..volume import Volume
from .malignancy import classifier_for, rated
from .model import TASK
from .own import OwnDetector
from .result import DetectionResult

NO_LUNG = "The region that was searched holds no lung; nothing can be found in it."


class Detector(Protocol):
    """Finds boxes in an image."""

    batch: int
    threshold: float
    warnings: list[str]

    def prepare(self, image: Volume, lungs: Lungs, regions: Sequence[Region]) -> None:
        """Bring an image, or what of it is searched, into network space; of the regions if there are any."""

    def find(self, rung: Rung, precision: str, progress: Progress) -> list[tuple[OrientedBox, float]]:
        """Boxes in the patient and their scores, the best first."""


def detect(settings: DetectionSettings, volumes: Sequence[Volume], progress: Progress) -> DetectionResult:
    """Find nodules in one case; see ``engine/run.py`` for the contract."""
    stopwatch = Stopwatch()
    with stopwatch.stage("check"):
        advance(progress, 0.0, "Checking the input")
        package = find_model(settings.model)
        if package.task != TASK:
            raise SettingsError(f"The model {package.id} is for {package.task}; choose one for detection.")
        detector: Detector = (BundleDetector if package.bundle is not None else OwnDetector)(package, stopwatch)
        warnings = [note for volume in volumes for note in volume.notes]
        warnings += check_modality(package, volumes, force=settings.force)
        image = match_channels(package, volumes)
        check_voxels(package, image, 3)
        device, device_warnings = choose_device(settings.device)
        warnings += device_warnings
        classifier = classifier_for(settings)
    with stopwatch.stage("lungs"):
        advance(progress, 0.02, "Finding the lungs")
        lungs = find_lungs(image)
        warnings += lungs.warnings
        inside = regions_mask(settings.regions, image.geometry) if settings.regions else None
        warnings += [NO_LUNG] * (inside is not None and not (lungs.mask & inside).any())
    with stopwatch.stage("preprocess"):
        advance(progress, 0.15, "Preparing the image")
        detector.prepare(image, lungs, settings.regions)
    share = SubProgress(progress, 0.2, 0.7)
    boxes, rung, ladder_warnings = climb_down(
        lambda rung: detector.find(rung, choose_precision(settings.precision, rung.device), share),
        device,
        detector.batch,
    )
    if inside is not None:
        boxes = [(box, score) for box, score in boxes if _has_middle_in(inside, box, image)]
    with stopwatch.stage("measure"):
        found = _Found(image, lungs, len(boxes))
        found.add_all(boxes, measured=settings.measure, progress=SubProgress(progress, 0.7, 0.95))
    with stopwatch.stage("malignancy"):
        candidates, class_warnings = rated(
            found.findings, image, classifier, settings, SubProgress(progress, 0.95, 1.0)
        )
    advance(progress, 1.0, "Done")
    record = record_of(
        package,
        settings,
        volumes,
        stopwatch,
        device=rung.device,
        precision=choose_precision(settings.precision, rung.device),
        warnings=[*warnings, *detector.warnings, *ladder_warnings, *class_warnings],
    )
    return DetectionResult(
        tuple(candidates),
        detector.threshold if settings.threshold is None else settings.threshold,
        found.labelmap,
        image.geometry,
        package.labels[0],
        record,
        lungs,
        found.nodules,
    )


def _has_middle_in(mask: np.ndarray, box: OrientedBox, image: Volume) -> bool:
    """Whether the voxel in a box's middle is one of the mask ``(k, j, i)``."""
    index = np.rint(image.geometry.ijk_from_ras(np.array(box.center_ras_mm))).astype(int)[::-1]
    return bool((index >= 0).all() and (index < mask.shape).all() and mask[tuple(index)])


class _Found:
    """Findings as they are made of boxes, with their segmentation on the image's grid."""

    def __init__(self, image: Volume, lungs: Lungs, most: int) -> None:
        self._image, self._lungs = image, lungs
        self.labelmap = np.zeros(image.geometry.shape_kji, dtype=np.uint8 if most < 256 else np.uint16)
        self.findings: list[Finding] = []
        self.nodules: dict[str, SegmentedNodule] = {}

    def add_all(self, boxes: Sequence[tuple[OrientedBox, float]], *, measured: bool, progress: Progress) -> None:
        """Make a finding of each box, the best first."""
        for index, (there, score) in enumerate(boxes):
            advance(progress, index / len(boxes), "Measuring")
            box = there.along(self._image.geometry)
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
