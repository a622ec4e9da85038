"""A model of nnU-Net, run on parts of an image as nnU-Net runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from ..device import AUTOCAST
from ..errors import ModelError
from ..heap import kept_memory
from ..ladder import Rung, climb_down
from ..package import ModelPackage
from ..parts import Part, Stopwatch
from ..preprocess import Preprocessing
from ..progress import Progress, SubProgress, advance
from ..settings import SegmentationSettings
from ..volume import Volume
from ..weights import load_networks
from .plan import NnunetPlan
from .preparing import FLAT_SPACING, Prepared, labels_on_image, prepare
from .windows import OVERLAP, Windows, scores_of

BATCH, FLAT_BATCH = 1, 8
"""Windows per forward pass; nnU-Net takes one, which is slow for slices."""

FIRST_SHARE = 0.3
"""Of a cascade's run, about what its coarse first stage takes."""

SPACING_DIGITS = 10
"""Digits of mm that are kept: a spacing of 3 mm that an oblique matrix gives as 3.0000000000000004 would be taken
for anisotropic beside 1 mm."""


class NnunetRunner:
    """Runs one model; ``device``, ``precision`` and ``warnings`` say what was really used."""

    def __init__(
        self,
        package: ModelPackage,
        settings: SegmentationSettings,
        image: Volume,
        device: torch.device,
        precision: str,
        stopwatch: Stopwatch,
    ) -> None:
        self.package, self._settings, self._image, self._stopwatch = package, settings, image, stopwatch
        self._plan = NnunetPlan.from_config(package.inference)
        self._first = self._first_stage(device, precision) if self._plan.first_labels else None
        self._batch = FLAT_BATCH if self._plan.flat else BATCH
        self.device, self.precision = device, precision
        self.choice: Mapping[str, object] = {}
        self.warnings: list[str] = []

    def run(self, part: Part, progress: Progress) -> np.ndarray:
        """Values of the part's labels, shape (k, j, i) of its box."""
        if self._first is None:
            return self._labels(part, None, progress)
        whole = Part(part.start_ijk, part.stop_ijk, self._first.package.labels)
        before = self._first.run(whole, SubProgress(progress, 0.0, FIRST_SHARE))
        self.warnings += [warning for warning in self._first.warnings if warning not in self.warnings]
        return self._labels(part, before, SubProgress(progress, FIRST_SHARE, 1.0))

    def _first_stage(self, device: torch.device, precision: str) -> NnunetRunner:
        first = self.package.first_stage
        if first is None:
            raise ModelError(f"The model {self.package.id} lacks the first stage of its cascade; install it again.")
        return NnunetRunner(first, self._settings, self._image, device, precision, self._stopwatch)

    def _labels(self, part: Part, first: np.ndarray | None, progress: Progress) -> np.ndarray:
        """Values of the part's labels; of a cascade's second stage behind the labels of its first one."""
        plan, cropped = self._plan, self._image.cropped(part.start_ijk, part.stop_ijk)
        turn = Preprocessing(plan.orientation).placement(cropped.geometry) if plan.orientation else None
        with self._stopwatch.stage("preprocess"):
            advance(progress, 0.0, "Preparing the image")
            array, spacing = cropped.array, cropped.geometry.spacing_mm
            if turn:
                tensor = turn.forward(cropped.to_metatensor().as_tensor(), "nearest")
                array, spacing = tensor.numpy().transpose(0, 3, 2, 1), spacing[list(turn.order)]
                first = None if first is None else _turned(turn.forward, first)
            k, j, i = (round(float(mm), SPACING_DIGITS) for mm in reversed(spacing))
            spacing_kji = (FLAT_SPACING * max(j, i) if cropped.is_2d else k, j, i)
            prepared = prepare(plan, array, spacing_kji, SubProgress(progress, 0.0, 0.1), first)
        scores, rung, warnings = climb_down(
            lambda rung: self._scores(prepared, rung, SubProgress(progress, 0.1, 0.9)), self.device, self._batch
        )
        self.device, self._batch = rung.device, rung.batch
        self.warnings += warnings
        with self._stopwatch.stage("postprocess"):
            named = [label.value for label in part.labels]
            values = np.array(named if plan.region_values else [0, *named], np.uint16)
            if len(scores) != len(values):
                raise ModelError(
                    f"The network of {self.package.id} gives {len(scores)} classes, but its metadata's labels ask for "
                    f"{len(values)}; install the model again."
                )
            share = SubProgress(progress, 0.9, 1.0)
            labelmap = labels_on_image(plan, scores.numpy(), prepared, values, share)
            return _turned(turn.backward, labelmap) if turn else labelmap

    def _scores(self, prepared: Prepared, rung: Rung, progress: Progress) -> torch.Tensor:
        settings = self._settings
        with self._stopwatch.stage("load model"):
            advance(progress, 0.0, "Loading the model")
            networks = load_networks(self.package, rung.device)
            self.precision = _precision(settings.precision, rung.device)
        windows = Windows(
            self._plan.patch_size,
            OVERLAP if settings.overlap is None else settings.overlap,
            rung.batch,
            self._plan.mirror_axes if settings.mirror else (),
        )
        with self._stopwatch.stage("network"), torch.inference_mode(), kept_memory():
            return scores_of(
                torch.from_numpy(prepared.array),
                networks,
                windows,
                progress,
                stitch_device=rung.stitch_device,
                autocast=AUTOCAST[self.precision],
            )


def _turned(way: Callable[[torch.Tensor, str], torch.Tensor], labelmap: np.ndarray) -> np.ndarray:
    """A labelmap (k, j, i) along other axes."""
    found = torch.from_numpy(np.ascontiguousarray(labelmap.transpose(2, 1, 0)).astype(np.int32))[None]
    return np.asarray(way(found, "nearest")[0].numpy().transpose(2, 1, 0).astype(np.uint16))


def _precision(requested: str, device: torch.device) -> str:
    """What nnU-Net computes in, unless something else is asked for: float16 on CUDA, float32 elsewhere."""
    if requested == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    return requested
