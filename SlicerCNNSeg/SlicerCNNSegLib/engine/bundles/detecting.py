"""A detector that others made, run on an image: its own transforms and detector, and its boxes in the patient."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector

from ..device import AUTOCAST
from ..errors import ModelError
from ..findings.boxes import OrientedBox, box_from_corners
from ..findings.lungs import Lungs
from ..ladder import Rung
from ..package import ModelPackage
from ..parts import Stopwatch
from ..progress import Progress, advance
from ..region import Region
from ..volume import Geometry, Volume
from .running import Told, count_batches, prepared, source_of
from .workflow import load_detector, notes_on_trust, read_transforms

FINDING_SCORE = 0.5
"""From which score on a candidate is a finding: a bundle says only below which nothing is kept."""

NOTE = (
    f"The bundle does not say from which score on a candidate is a finding: {FINDING_SCORE:g}, unless --threshold says "
    "otherwise."
)


class BundleDetector:
    """Runs a bundle's preprocessing and detector; ``warnings`` say what its user must know."""

    batch = 1
    threshold = FINDING_SCORE

    def __init__(self, package: ModelPackage, stopwatch: Stopwatch) -> None:
        self._package, self._stopwatch = package, stopwatch
        self._preprocessing, self._postprocessing = read_transforms(package)
        self.warnings = [NOTE, *notes_on_trust(package)]

    def prepare(self, image: Volume, lungs: Lungs, regions: Sequence[Region]) -> None:
        """Bring the whole image into the network's space: the bundle asks neither for lungs nor for a region."""
        _, self._image = prepared(self._preprocessing, source_of(image), self._package)

    def find(self, rung: Rung, precision: str, progress: Progress) -> list[tuple[OrientedBox, float]]:
        """Boxes in the patient and their scores, the best first.

        Raises
        ------
        ModelError
            The weights don't fit, or the bundle's parts fail.
        """
        with self._stopwatch.stage("load model"):
            advance(progress, 0.0, "Loading the model")
            detector, notes = load_detector(self._package, rung.device)
            self.warnings += [note for note in notes if note not in self.warnings]
        image = self._image
        shape = tuple(image.shape)
        autocast = torch.autocast(rung.device.type, AUTOCAST[precision], enabled=AUTOCAST[precision] is not None)
        with (
            self._stopwatch.stage("network"),
            torch.inference_mode(),
            autocast,
            Told(self._package.id, "network", shape),
        ):
            in_windows = self._windows(detector, rung, shape[1:])
            with _reporting(detector, progress, in_windows):
                (found,) = detector(image.as_tensor().to(rung.device)[None], use_inferer=in_windows > 0)
        with self._stopwatch.stage("postprocess"), Told(self._package.id, "postprocessing", shape):
            plain = {key: value.cpu() for key, value in found.items()}
            kept = self._postprocessing({**plain, "image": image})
            boxes, scores = (kept[key].float().numpy() for key in (detector.target_box_key, detector.pred_score_key))
        return self._in_the_patient(boxes, scores)

    def _windows(self, detector: RetinaNetDetector, rung: Rung, size: tuple[int, ...]) -> int:
        """How many windows there are; 0 where the image has fewer voxels than one, and is looked at as a whole."""
        assert self._package.bundle is not None  # nothing else comes here
        inferer = detector.inferer
        if inferer is None:
            return 0
        window = inferer.roi_size if isinstance(inferer.roi_size, list | tuple) else [inferer.roi_size] * len(size)
        if math.prod(size) < math.prod(window) and not self._package.bundle.force_windows:
            return 0
        inferer.sw_batch_size, inferer.sw_device, inferer.device = rung.batch, rung.device, rung.stitch_device
        return count_batches(inferer, size)

    def _in_the_patient(self, boxes: np.ndarray, scores: np.ndarray) -> list[tuple[OrientedBox, float]]:
        """Boxes ``xyzxyz`` in voxel indices of the network's space, as MONAI's affine takes them, in mm."""
        if len(boxes) != len(scores):
            raise ModelError(
                f"The bundle {self._package.id} gives {len(boxes)} boxes and {len(scores)} scores; ask its author."
            )
        i, j, k = self._image.shape[1:]
        grid = Geometry((k, j, i), self._image.affine.numpy())
        order = np.argsort(-scores, kind="stable")
        sound = [n for n in order if np.isfinite(boxes[n]).all() and (boxes[n, :3] < boxes[n, 3:]).all()]
        return [(box_from_corners(boxes[n], grid), float(scores[n])) for n in sound]


@contextmanager
def _reporting(detector: RetinaNetDetector, progress: Progress, windows: int) -> Iterator[None]:
    """Tell how far the detector is before each window, of which there are about so many."""
    done = 0

    def report(*_: object) -> None:
        nonlocal done
        advance(progress, min(0.99, 0.1 + 0.9 * done / max(1, windows)), "Searching")
        done += 1

    hook = detector.network.register_forward_pre_hook(report)
    try:
        yield
    finally:
        hook.remove()
