"""A bundle that others made, run on parts of an image."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import SpatialResample

from ..device import AUTOCAST, choose_precision
from ..errors import ModelError
from ..heap import kept_memory
from ..ladder import Rung, climb_down
from ..overlaps import encoded
from ..package import ModelPackage
from ..parts import Part, Stopwatch
from ..progress import Progress, SubProgress, advance
from ..settings import SegmentationSettings
from ..volume import Volume
from ..windows.network import ready
from .running import Told, applied, count_batches, prepared, source_of
from .workflow import load_network, read_workflow

SAME_PLACE_MM = 1e-3
"""How far a result's grid may lie from the image's, and still be the image's."""

OVERLAPPING = (
    "The structures of this model may overlap: a value of the labelmap stands for a combination of them. The volumes "
    "of whole structures come first, those of the combinations after them."
)


class BundleRunner:
    """Runs a bundle's own workflow; loading and saving are done by the run.

    ``device``, ``precision`` and ``warnings`` say what was really used.
    """

    def __init__(
        self,
        package: ModelPackage,
        settings: SegmentationSettings,
        image: Volume,
        device: torch.device,
        precision: str,
        stopwatch: Stopwatch,
    ) -> None:
        assert package.bundle is not None  # nothing else comes here
        self._package, self._bundle = package, package.bundle
        self._settings, self._image, self._stopwatch = settings, image, stopwatch
        self._workflow = read_workflow(package)
        windows = self._workflow.windows
        self._batch = int(windows.sw_batch_size) if windows else 1
        self.device, self.precision = device, precision
        self.choice: Mapping[str, object] = {}
        overlapping = [OVERLAPPING] if self._bundle.layered and len(package.labels) > 1 else []
        self.warnings = [*self._workflow.notes, *overlapping, *_not_followed(settings)]

    def run(self, part: Part, progress: Progress) -> np.ndarray:
        """Values of the part's labels, shape (k, j, i) of its box."""
        cropped = self._image.cropped(part.start_ijk, part.stop_ijk)
        if not self._bundle.flat:
            return self._labelmap(self._output(source_of(cropped), progress), part)
        planes = []
        depth = cropped.geometry.size_ijk[2]
        for k in range(depth):
            share = SubProgress(progress, k / depth, (k + 1) / depth)
            planes.append(self._labelmap(self._output(source_of(cropped, k), share)[..., None], part))
        return np.concatenate(planes)

    def _output(self, source: MetaTensor, progress: Progress) -> torch.Tensor:
        """What the postprocessing gives, on the source's grid."""
        with self._stopwatch.stage("preprocess"):
            advance(progress, 0.0, "Preparing the image")
            data, image = prepared(self._workflow.preprocessing, source, self._package)
        predicted, rung, warnings = climb_down(
            lambda rung: self._predicted(image, rung, progress), self.device, self._batch
        )
        self.device, self._batch = rung.device, rung.batch
        self.warnings += warnings
        with self._stopwatch.stage("postprocess"), self._told("postprocessing", tuple(source.shape[1:])):
            advance(progress, 0.97, "Cleaning up")
            data["pred"] = MetaTensor(torch.as_tensor(predicted).cpu(), meta=dict(image.meta))
            del predicted
            return _on_grid(applied(self._workflow.postprocessing, data)["pred"], source)

    def _predicted(self, image: torch.Tensor, rung: Rung, progress: Progress) -> torch.Tensor:
        with self._stopwatch.stage("load model"):
            advance(progress, 0.02, "Loading the model")
            network, notes = load_network(self._package, rung.device)
            self.warnings += [note for note in notes if note not in self.warnings]
            self.precision = choose_precision(self._settings.precision, rung.device)
        autocast = AUTOCAST[self.precision]
        predictor = _Predictor(ready(network, autocast), autocast, SubProgress(progress, 0.05, 0.95))
        inferer, windows = self._workflow.inferer, copy(self._workflow.windows)
        if windows is not None:
            inferer = windows
            windows.sw_batch_size, windows.sw_device, windows.device = rung.batch, rung.device, rung.stitch_device
            if self._settings.overlap is not None:
                windows.overlap = self._settings.overlap
            predictor.batches = count_batches(windows, tuple(image.shape[1:]))
        batch = image.to(rung.device)[None]
        told = self._told("network", tuple(image.shape))
        with self._stopwatch.stage("network"), torch.no_grad(), told, kept_memory():
            output = inferer(batch, predictor)[0].float()
        if output.shape[1:] != image.shape[1:]:
            came, expected = (" x ".join(map(str, tensor.shape[1:])) for tensor in (output, image))
            raise ModelError(
                f"The network of {self._package.id} gives an output of {came} for an image of {expected}, expected one "
                "of the image's size; run it on an image as those that it was made for."
            )
        return output

    def _labelmap(self, output: torch.Tensor, part: Part) -> np.ndarray:
        """Label values (k, j, i) out of what the postprocessing gives, (channel, i, j, k)."""
        found = np.ascontiguousarray(np.asarray(output).transpose(0, 3, 2, 1))
        if self._bundle.layered:
            return self._layers(found, part)
        count = max(label.value for label in self._package.labels) + 1
        if found.shape[0] not in (1, count):
            raise self._misfit(f"{found.shape[0]} channels", f"1 or {count}")
        classes = np.rint(found[0]) if found.shape[0] == 1 else found.argmax(0)
        if classes.min() < 0 or classes.max() >= count:
            raise self._misfit(f"the value {classes.flat[np.abs(classes).argmax()]:g}", f"classes 0 to {count - 1}")
        values = np.zeros(count, np.uint16)
        for label, named in zip(self._package.labels, part.labels, strict=True):
            values[label.value] = named.value
        return values[classes.astype(np.intp)]

    def _layers(self, found: np.ndarray, part: Part) -> np.ndarray:
        count = len(self._package.labels)
        background = found.shape[0] - count
        if background not in (0, 1):
            raise self._misfit(f"{found.shape[0]} channels", f"{count}, or one more for background")
        codes = encoded(found[background:] > 0.5).astype(np.uint16)
        return np.where(codes > 0, codes + part.offset, 0).astype(np.uint16)

    def _misfit(self, came: str, expected: str) -> ModelError:
        return ModelError(
            f"The bundle {self._package.id} gives {came}, but its metadata's channel_def asks for {expected}; "
            "correct configs/metadata.json."
        )

    def _told(self, what: str, shape: tuple[int, ...]) -> Told:
        return Told(self._package.id, what, shape)


@dataclass
class _Predictor:
    """A network on a batch of windows, counted; ``batches`` is how many there will be."""

    network: torch.nn.Module
    autocast: torch.dtype | None
    progress: Progress
    batches: int = 1
    done: int = 0

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        with torch.autocast(windows.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            scores = self.network(torch.as_tensor(windows))
        self.done += 1
        advance(self.progress, min(1.0, self.done / self.batches), "Running the network")
        scores = scores[0] if isinstance(scores, list | tuple) else scores
        return scores.float()


def _not_followed(settings: SegmentationSettings) -> list[str]:
    """What is asked for and not done, in words."""
    told = []
    if settings.mirror:
        told.append("The bundle does not say along which axes it was trained with mirroring, so none was done.")
    if not settings.postprocess:
        told.append("The bundle's postprocessing was done, although it was switched off: its output needs it.")
    return told


def _on_grid(output: torch.Tensor, source: MetaTensor) -> torch.Tensor:
    """The output on the source's grid, by nearest neighbour where the bundle leaves it on another.

    MONAI does the same as it saves a file.
    """
    if not isinstance(output, MetaTensor):
        output = MetaTensor(output, affine=source.affine)
    same = output.shape[1:] == source.shape[1:]
    if same and torch.allclose(output.affine, source.affine.to(output.affine), atol=SAME_PLACE_MM):
        return output.as_tensor()
    back = SpatialResample(mode="nearest", padding_mode="border", align_corners=False, dtype="float64")
    return torch.as_tensor(back(output, dst_affine=source.affine, spatial_size=source.shape[1:]))
