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
from ..findings.finding import Finding, Measurements
from ..findings.lungs import Lungs, find_lungs
from ..findings.measure import measure
from ..findings.segmenting import SegmentedNodule
from ..inputs import check_modality, check_voxels, match_channels
from ..ladder import Rung, climb_down
from ..package import ModelPackage
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
        detector = _detector(package, settings, stopwatch)
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
    with stopwatch.stage("measure"):
        found = _Found(image, lungs, inside, len(boxes))
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


def _detector(package: ModelPackage, settings: DetectionSettings, stopwatch: Stopwatch) -> Detector:
    """What runs a model of that form."""
    if package.bundle is not None:
        return BundleDetector(package, stopwatch)
    return OwnDetector(package, stopwatch, mirror=settings.mirror)


def _has_middle_in(mask: np.ndarray, box: OrientedBox, image: Volume) -> bool:
    """Whether the voxel in a box's middle is one of the mask ``(k, j, i)``."""
    index = np.rint(image.geometry.ijk_from_ras(np.array(box.center_ras_mm))).astype(int)[::-1]
    return bool((index >= 0).all() and (index < mask.shape).all() and mask[tuple(index)])


class _Found:
    """Findings as they are made of boxes, with their segmentation on the image's grid."""

    def __init__(self, image: Volume, lungs: Lungs, inside: np.ndarray | None, most: int) -> None:
        self._image, self._lungs, self._inside = image, lungs, inside
        self.labelmap = np.zeros(image.geometry.shape_kji, dtype=np.uint8 if most < 256 else np.uint16)
        self.findings: list[Finding] = []
        self.nodules: dict[str, SegmentedNodule] = {}

    def add_all(self, boxes: Sequence[tuple[OrientedBox, float]], *, measured: bool, progress: Progress) -> None:
        """Make a finding of each box, the best first; of those with their middle in the regions, where there are some.

        Where something can be measured, a box moves to the middle of what was segmented: that lies nearer to the
        nodule's than the detector's does.
        """
        for index, (there, score) in enumerate(boxes):
            advance(progress, index / len(boxes), "Measuring")
            box = there.along(self._image.geometry)
            found = self._measure(box) if measured else None
            if found is not None:
                box = replace(box, center_ras_mm=found[1].center_ras_mm)
            if self._inside is None or _has_middle_in(self._inside, box, self._image):
                self._add(box, min(1.0, float(score)), found)

    def _measure(self, box: OrientedBox) -> tuple[Measurements, SegmentedNodule] | None:
        """None where nothing stands out from the lung, or the box reaches beyond the image."""
        try:
            return measure(self._image, box)
        except GeometryError:
            return None

    def _add(self, box: OrientedBox, score: float, found: tuple[Measurements, SegmentedNodule] | None) -> None:
        """One more, drawn into the labelmap, where earlier ones keep their voxels."""
        number = len(self.findings) + 1
        location = self._lungs.location(np.asarray(box.center_ras_mm))
        finding = Finding(f"N{number:02d}", box, score, location=location)
        if found is not None:
            measurements, nodule = found
            self.nodules[finding.id] = nodule
            self.labelmap[nodule.on(self._image.geometry) & (self.labelmap == 0)] = number
            finding = replace(finding, measurements=measurements, category=size_category(measurements))
        self.findings.append(finding)
