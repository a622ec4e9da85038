"""Segmentation: a volume in, a labelmap on its own grid out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from .catalogue import find_model
from .device import AUTOCAST, choose_device, choose_precision
from .errors import ModelError, SettingsError
from .heap import kept_memory
from .inputs import check_extent, check_modality, check_voxels, match_channels
from .labels import Label
from .ladder import Rung, climb_down
from .nnunet.plan import NnunetPlan
from .overlaps import Compound, compounds, region_labels
from .package import NNUNET, OWN, ModelPackage
from .parts import Part, Stopwatch
from .postprocess import Postprocessing
from .preprocess import Placement, Preprocessing
from .progress import Progress, SubProgress, advance
from .recording import record_of
from .remembered import trials_file
from .result import SegmentationResult
from .settings import SegmentationSettings
from .volume import Volume
from .weights import load_networks
from .windows import Inferer, most_probable, predict_planes
from .windows.network import ready
from .windows.trial import Choice, Way

LARGEST_VALUE = 65535
"""The largest value of a labelmap's voxels, which are uint16 at most."""


@dataclass(frozen=True)
class Plan:
    """A model's configuration, read from its plain data before any weights are."""

    package: ModelPackage
    preprocessing: Preprocessing
    inferer: Inferer
    postprocessing: Postprocessing

    @classmethod
    def of(cls, package: ModelPackage) -> Plan:
        """Read the configuration.

        Raises
        ------
        ModelError
            A part is missing or not supported.
        """
        try:
            return cls(
                package,
                Preprocessing.from_transforms(package.inference["preprocessing"]["transforms"]),
                Inferer.from_config(package.inference),
                Postprocessing.from_config(package.inference),
            )
        except KeyError as error:
            raise ModelError(f"The model {package.id} lacks {error} in configs/inference.json.") from error


class Runner(Protocol):
    """Runs a model on parts of one image; the attributes say what was really used."""

    device: torch.device
    precision: str
    warnings: list[str]
    choice: Mapping[str, object]

    def run(self, part: Part, progress: Progress) -> np.ndarray:
        """Values of the part's labels, shape (k, j, i) of its box."""


def segment(settings: SegmentationSettings, volumes: Sequence[Volume], progress: Progress) -> SegmentationResult:
    """Segment one case; see ``engine/run.py`` for the contract."""
    stopwatch = Stopwatch()
    with stopwatch.stage("check"):
        advance(progress, 0.0, "Checking the input")
        package = find_model(settings.model)
        if package.task != "segmentation":
            raise SettingsError(f"The model {package.id} is for {package.task}; choose one for segmentation.")
        plan = Plan.of(package) if package.form == OWN else None
        warnings = [note for volume in volumes for note in volume.notes]
        warnings += check_modality(package, volumes, force=settings.force)
        image = match_channels(package, volumes)
        parts = divide(image, package, settings)
        for part in parts:
            warnings += check_extent(package, image.geometry.cropped(part.start_ijk, part.stop_ijk))
            check_voxels(package, image.cropped(part.start_ijk, part.stop_ijk), dimensions_of(package, plan))
    with stopwatch.stage("device"):
        advance(progress, 0.02, "Testing the device")
        device, device_warnings = choose_device(settings.device)
        warnings += device_warnings
        precision = choose_precision(settings.precision, device)
    runner: Runner
    if plan is not None:
        runner = PartRunner(plan, settings, image, device, precision, stopwatch)
    else:
        runner = _runner_of(package.form)(package, settings, image, device, precision, stopwatch)
    highest = package.highest_value + max(part.offset for part in parts)
    labelmap = np.zeros(image.geometry.shape_kji, np.uint8 if highest < 256 else np.uint16)
    for index, part in enumerate(parts):
        share = SubProgress(progress, 0.05 + 0.9 * index / len(parts), 0.05 + 0.9 * (index + 1) / len(parts))
        (i0, j0, k0), (i1, j1, k1) = part.start_ijk, part.stop_ijk
        found = runner.run(part, share)
        box = labelmap[k0:k1, j0:j1, i0:i1]
        np.copyto(box, found, where=found > 0, casting="same_kind")
    advance(progress, 1.0, "Done")
    record = record_of(
        package,
        settings,
        volumes,
        stopwatch,
        device=runner.device,
        precision=runner.precision,
        warnings=[*warnings, *runner.warnings],
        choice=runner.choice,
    )
    labels, whole = meaning(package, parts, labelmap)
    return SegmentationResult(labelmap, image.geometry, labels, record, whole)


def divide(image: Volume, package: ModelPackage, settings: SegmentationSettings) -> list[Part]:
    """The boxes to run on: the settings' regions, or the whole image.

    Each named region's labels get values of their own, offset by the model's highest value.
    """
    if not settings.regions:
        return [Part((0, 0, 0), image.geometry.size_ijk, package.labels)]
    parts = []
    for index, region in enumerate(settings.regions):
        labels, offset = package.labels, 0
        if region.name:
            offset = index * package.highest_value
            labels = tuple(label.on_side(region.name, label.value + offset) for label in labels)
        parts.append(Part(*region.index_box(image.geometry), labels, offset))
    if package.highest_value + parts[-1].offset > LARGEST_VALUE:
        raise SettingsError(
            f"{len(parts)} named regions of {package.id} need more than {LARGEST_VALUE} label values; give fewer."
        )
    return parts


def meaning(
    package: ModelPackage, parts: Sequence[Part], labelmap: np.ndarray
) -> tuple[tuple[Label, ...], tuple[Compound, ...]]:
    """What the labelmap's values mean, and the structures that several values make up."""
    if package.bundle is None or not package.bundle.layered:
        every = (label for part in parts for label in part.labels)
        return tuple({label.value: label for label in every}.values()), ()
    highest, found = package.highest_value, np.unique(labelmap)
    labels: list[Label] = []
    whole: list[Compound] = []
    first_value = highest + max(part.offset for part in parts) + 1
    for part in {part.offset: part for part in parts}.values():
        codes = [int(value) - part.offset for value in found if part.offset < value <= part.offset + highest]
        labels += region_labels(part.labels, codes, part.offset)
        whole += compounds(part.labels, part.offset, first_value + len(whole))
    return tuple(labels), tuple(whole)


def dimensions_of(package: ModelPackage, plan: Plan | None) -> int:
    """2 where the model takes single slices, else 3."""
    if plan is not None:
        return 2 if plan.inferer.slices else 3
    if package.form == NNUNET:
        return 2 if NnunetPlan.from_config(package.inference).flat else 3
    return 2 if package.bundle is not None and package.bundle.flat else 3


def _runner_of(form: str) -> Callable[..., Runner]:
    """Runs models that others made; loaded for these alone, which need MONAI."""
    if form == NNUNET:
        from .nnunet.runner import NnunetRunner

        return NnunetRunner
    from .bundles.runner import BundleRunner

    return BundleRunner


class PartRunner:
    """Runs the network on parts of one image, going down the memory ladder when it must.

    ``device``, ``precision``, ``choice`` and ``warnings`` say what was really used; the first part decides on the
    precision of all.
    """

    def __init__(
        self,
        plan: Plan,
        settings: SegmentationSettings,
        image: Volume,
        device: torch.device,
        precision: str,
        stopwatch: Stopwatch,
    ) -> None:
        self._plan, self._settings, self._image, self._stopwatch = plan, settings, image, stopwatch
        self._batch = plan.inferer.batch
        self.device, self.precision = device, precision
        self.warnings: list[str] = []
        self._ways: dict[torch.device, Way] = {}
        self.choice: Mapping[str, object] = {}

    def run(self, part: Part, progress: Progress) -> np.ndarray:
        """Labels of the part, shape (k, j, i) of its box."""
        cropped = self._image.cropped(part.start_ijk, part.stop_ijk)
        with self._stopwatch.stage("preprocess"):
            advance(progress, 0.0, "Preparing the image")
            tensor, placement = self._plan.preprocessing.prepare(cropped)

        def work(rung: Rung) -> np.ndarray:
            return self._classes(tensor, placement, rung, progress)

        classes, rung, warnings = climb_down(work, self.device, self._batch)
        self.device, self._batch = rung.device, rung.batch
        self.warnings += warnings
        with self._stopwatch.stage("postprocess"):
            advance(progress, 0.98, "Cleaning up")
            labelmap = with_values(classes, np.array([0, *(label.value for label in part.labels)]))
            if not self._settings.postprocess:
                return labelmap
            return self._plan.postprocessing.apply(labelmap, cropped.geometry.voxel_volume_mm3)

    def _classes(self, tensor: torch.Tensor, placement: Placement, rung: Rung, progress: Progress) -> np.ndarray:
        """The most probable class of each voxel of the part, shape (k, j, i)."""
        settings, inferer = self._settings, replace(self._plan.inferer, batch=rung.batch)
        if settings.overlap is not None:
            inferer = replace(inferer, overlap=settings.overlap)
        with self._stopwatch.stage("load model"):
            advance(progress, 0.02, "Loading the model")
            networks = load_networks(self._plan.package, rung.device)
        way = self._way(tensor, networks, inferer, rung.device, progress)
        self.precision, self.choice = way.precision, way.to_json()
        autocast = AUTOCAST[way.precision]
        with self._stopwatch.stage("network"), torch.inference_mode(), kept_memory():
            planes = predict_planes(
                tensor,
                [ready(network, autocast, way.layout) for network in networks],
                inferer,
                SubProgress(progress, 0.05, 0.97),
                mirror=settings.mirror,
                stitch_device=rung.stitch_device,
                autocast=autocast,
                probabilities=placement.size != placement.oriented_size,
            )
            checked = replace(planes, each=of_classes(planes.each, self._plan.package))
            return placement.labels_backward(most_probable(checked, placement.oriented_size))

    def _way(
        self,
        tensor: torch.Tensor,
        networks: Sequence[torch.nn.Module],
        inferer: Inferer,
        device: torch.device,
        progress: Progress,
    ) -> Way:
        """How the networks compute on that device."""
        if device not in self._ways:
            passes = len(networks) * len(inferer.mirrorings(self._settings.mirror))
            package = self._plan.package
            model = (package.sha256, package.half_precision)
            choice = Choice(self._settings.precision, tensor, networks, inferer, *model, passes, trials_file())
            way = choice.settled()
            if way is None:
                with self._stopwatch.stage("trial"), torch.inference_mode(), kept_memory():
                    way = choice.tried(SubProgress(progress, 0.02, 0.05))
            self._ways[device] = way
        return self._ways[device]


def of_classes(planes: Iterator[torch.Tensor], package: ModelPackage) -> Iterator[torch.Tensor]:
    """The planes, shape (class, a, b), of a network that gives as many classes as the model has labels and background.

    Raises
    ------
    ModelError
        It gives others.
    """
    for plane in planes:
        if plane.shape[0] != len(package.labels) + 1:
            raise ModelError(
                f"The network of {package.id} gives {plane.shape[0]} classes, but its "
                f"metadata lists {len(package.labels)} labels and background; correct configs/metadata.json."
            )
        yield plane


def with_values(classes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The labelmap whose voxels have the value of their class, shape (k, j, i); uint8 or uint16."""
    values = values.astype(np.uint8 if values.max() < 256 else np.uint16)
    labelmap = np.empty(classes.shape, values.dtype)
    for plane, found in zip(labelmap, classes, strict=True):  # numpy looks up by a copy of eight bytes a voxel
        plane[:] = values[found]
    return labelmap
