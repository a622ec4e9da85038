"""Classification: a volume in, probabilities of its classes and a heat map out (heavy)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..bundles.classifying import BundleClassifier
from ..catalogue import find_model
from ..device import AUTOCAST, choose_device, choose_precision
from ..errors import ChannelError, GeometryError, ModelError, SettingsError
from ..inputs import check_extent, check_modality, check_voxels, match_channels
from ..ladder import Rung, climb_down
from ..networks import CLASSIFICATION, check_window, facts_of
from ..package import ModelPackage
from ..parts import Stopwatch
from ..progress import Progress, SubProgress, advance
from ..recording import record_of
from ..settings import ClassificationSettings
from ..volume import Volume
from ..weights import load_networks
from ..wording import listed
from .explain import SIMILAR, Explainer, shares_of
from .familiarity import QUANTILE
from .framing import Framed, Framing, Index
from .model import ClassificationModel
from .result import ClassificationResult, Explanation, Prediction
from .scores import Scores, Watched, dropping_out, member_probabilities, views

BATCH = 16
"""Windows per forward pass; the memory ladder makes it 1."""

COLOUR_CHANNELS = (3, 4)

DROPOUT_SEED = 0

MOST_NAMED = 60
"""Characters of the regions' names in a warning: a detection has a hundred."""
"""The same image gives the same probabilities, also with dropout."""


@dataclass(frozen=True)
class Plan:
    """A classifier's configuration, read from its plain data before any weights are."""

    model: ClassificationModel
    framing: Framing
    last_features: str = ""

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
        model = ClassificationModel.of(package)
        try:
            transforms, definition = package.inference["preprocessing"]["transforms"], package.inference["network_def"]
        except KeyError as error:
            raise ModelError(f"The model {package.id} lacks {error} in configs/inference.json.") from error
        framing = Framing.from_transforms(transforms, model.slices)
        facts = facts_of(definition)
        if CLASSIFICATION not in facts.tasks:
            raise ModelError(f"The network of {package.id} does no classification; correct configs/inference.json.")
        if model.familiarity and not facts.last_features:
            raise ModelError(f"The last features of {package.id}'s network are not known; take familiarity out.")
        check_window(definition, framing.size)
        return cls(model, framing, facts.last_features)


@dataclass(frozen=True)
class Window:
    """What the network sees of one region; its name is "" for the whole image."""

    name: str
    framed: Framed


@dataclass(frozen=True)
class _Work:
    """What the stages of a run share."""

    plan: Plan
    settings: ClassificationSettings
    windows: Sequence[Window]
    stopwatch: Stopwatch


def classify(settings: ClassificationSettings, volumes: Sequence[Volume], progress: Progress) -> ClassificationResult:
    """Classify one case; see ``engine/run.py`` for the contract."""
    stopwatch = Stopwatch()
    with stopwatch.stage("check"):
        advance(progress, 0.0, "Checking the input")
        model = ClassificationModel.of(find_model(settings.model))
        package = model.package
        run_one = _run_bundle if package.bundle is not None else _run_own
        warnings = [note for volume in volumes for note in volume.notes]
        warnings += check_modality(package, volumes, force=settings.force)
        image, match_warnings = _matched(package, volumes)
        warnings += match_warnings
        _check_class(model, settings.explain_class)
        device, device_warnings = choose_device(settings.device)
        warnings += device_warnings
    outcome = run_one(_Case(model, settings, image, device, stopwatch, progress))
    advance(progress, 1.0, "Done")
    record = record_of(
        package,
        settings,
        volumes,
        stopwatch,
        device=outcome.device,
        precision=choose_precision(settings.precision, outcome.device),
        warnings=[*warnings, *outcome.warnings],
    )
    return ClassificationResult(model.classes, outcome.predictions, image.geometry, record, outcome.explanation)


@dataclass(frozen=True)
class _Case:
    """One case, checked."""

    model: ClassificationModel
    settings: ClassificationSettings
    image: Volume
    device: torch.device
    stopwatch: Stopwatch
    progress: Progress


@dataclass(frozen=True)
class _Outcome:
    """What came out, and the device that was really used."""

    predictions: tuple[Prediction, ...]
    device: torch.device
    warnings: list[str]
    explanation: Explanation | None = None


def _run_own(case: _Case) -> _Outcome:
    """Run a model of our own form."""
    settings, stopwatch, progress = case.settings, case.stopwatch, case.progress
    with stopwatch.stage("check"):
        plan = Plan.of(case.model.package)
        explainer = Explainer.of(plan.model, settings.explain, settings.layer) if settings.explain else None
    with stopwatch.stage("preprocess"):
        advance(progress, 0.05, "Preparing the image")
        windows, warnings = _windows(plan, settings, case.image)
    work = _Work(plan, settings, windows, stopwatch)
    share = SubProgress(progress, 0.1, 0.5 if explainer else 1.0)
    (members, novelty), rung, ladder_warnings = climb_down(
        lambda rung: _probabilities(work, rung, share), case.device, BATCH
    )
    predictions = _predictions(work, members, novelty)
    warnings += [*_strangers(plan.model, predictions), *ladder_warnings]
    explanation = None
    if explainer is not None:
        with stopwatch.stage("explain"):
            last = SubProgress(progress, 0.5, 1.0)
            explanation = _explain(work, explainer, predictions, case.image, rung.device, last)
            warnings += [explanation.verdict] if explanation.passed is False else []
    return _Outcome(predictions, rung.device, warnings, explanation)


def _run_bundle(case: _Case) -> _Outcome:
    """Run a bundle that others made."""
    settings, model = case.settings, case.model
    classifier = BundleClassifier(model.package, settings, case.stopwatch)
    boxes = _boxes(settings, case.image)
    with case.stopwatch.stage("preprocess"):
        advance(case.progress, 0.05, "Preparing the image")
        classifier.prepare(case.image, [(start, stop) for _, start, stop in boxes])
    share = SubProgress(case.progress, 0.1, 1.0)
    rows, rung, warnings = climb_down(lambda rung: classifier.probabilities(rung, share), case.device, 1)
    predictions = [
        Prediction(name, start, stop, tuple(row.tolist()), multi_label=model.multi_label)
        for (name, start, stop), row in zip(boxes, rows, strict=True)
    ]
    return _Outcome(tuple(predictions), rung.device, [*classifier.warnings, *warnings])


def _matched(package: ModelPackage, volumes: Sequence[Volume]) -> tuple[Volume, list[str]]:
    """The volumes as one, its channels in the model's order, and warnings.

    Bundles of others take grey images as pictures with three channels, as they were trained on them.

    Raises
    ------
    ChannelError
        A colour image for a grey model, or as ``match_channels``.
    """
    if len(volumes) == 1 and len(package.channels) == 1 and volumes[0].channels in COLOUR_CHANNELS:
        raise ChannelError(
            f"The model {package.id} expects a grey image, but {volumes[0].source or 'the image'} is a colour image "
            f"with {volumes[0].channels} channels; convert it to grey first, or choose a model of colour images."
        )
    colours = package.bundle is not None and len(package.channels) == COLOUR_CHANNELS[0]
    if colours and len(volumes) == 1 and volumes[0].channels == 1:
        repeated = [replace(volumes[0], channel_names=()) for _ in package.channels]
        return match_channels(package, repeated), [f"The grey image was given to {package.id} as red, green and blue."]
    return match_channels(package, volumes), []


def _check_class(model: ClassificationModel, wanted: str) -> None:
    if wanted and wanted not in model.names:
        raise SettingsError(
            f"The model {model.package.id} has no class {wanted!r} to explain; its classes are "
            f"{', '.join(model.names)}."
        )


def _windows(plan: Plan, settings: ClassificationSettings, image: Volume) -> tuple[list[Window], list[str]]:
    """What the network sees of each region, or of the whole image, and warnings.

    Raises
    ------
    GeometryError
        A whole volume for a 2-D model, or a single slice for a 3-D one.
    RegionError
        A region holds nothing of the image.
    InputError
        A region's voxels are all alike or not finite.
    """
    model, geometry = plan.model, image.geometry
    if not settings.regions:
        _check_slices(plan, image)
    windows, warnings, unlike = [], [], []
    for name, *box in _boxes(settings, image):
        start, stop = plan.framing.box(geometry, *box)
        part = image.cropped(start, stop)
        check_voxels(model.package, part, 2 if model.slices else 3)
        if not model.slices:
            warnings += check_extent(model.package, part.geometry)
        windows.append(Window(name, plan.framing.frame(image, start, stop)))
        if found := _differences(plan, part):
            unlike.append((name or "the image", "; ".join(found)))
    return windows, [*warnings, *_unlike(model, unlike)]


def _boxes(settings: ClassificationSettings, image: Volume) -> list[tuple[str, Index, Index]]:
    """Name, and half-open index box, of each region, or of the whole image."""
    if not settings.regions:
        return [("", (0, 0, 0), image.geometry.size_ijk)]
    several = len(settings.regions) > 1
    return [
        (region.name or (f"region {n}" if several else "region"), *region.index_box(image.geometry))
        for n, region in enumerate(settings.regions, start=1)
    ]


def _check_slices(plan: Plan, image: Volume) -> None:
    """Refuse a volume of which a 2-D model would see a part only."""
    slices = plan.model.slices
    across = plan.framing.placed(image.geometry).order[2]
    depth = image.geometry.size_ijk[across]
    if slices and depth not in (1, slices):
        kind = "single slices" if slices == 1 else f"{slices} neighbouring slices"
        raise GeometryError(
            f"The model {plan.model.package.id} classifies {kind}, but {image.source or 'the image'} has {depth}; "
            "name a region (--roi, --roi-ras): its middle slice is classified."
        )


def _differences(plan: Plan, part: Volume) -> list[str]:
    """How a region is unlike the training images, before anything is run."""
    fingerprint, framing = plan.model.fingerprint, plan.framing
    return [] if fingerprint is None else fingerprint.differences(framing.look(part))


def _unlike(model: ClassificationModel, regions: Sequence[tuple[str, str]]) -> list[str]:
    """A warning of regions, by name, that are unlike the training images; what the first one has stands for all."""
    if not regions:
        return []
    (first, what), *others = regions
    also = f", and so are {listed([name for name, _ in others], MOST_NAMED)}" if others else ""
    return [f"Unlike the training images of {model.package.id}: {first} has {what}{also}."]


def _strangers(model: ClassificationModel, predictions: Sequence[Prediction]) -> list[str]:
    """A warning of the regions that are unlike the training images to the network itself."""
    novelties = {one.name or "the image": one.novelty for one in predictions if one.novelty and one.novelty > 1}
    if not novelties:
        return []
    are, up_to = ("are", "up to ") if len(novelties) > 1 else ("is", "")
    text = (
        f"To {model.package.id} {listed(list(novelties), MOST_NAMED)} {are} unlike the images that it was trained on "
        f"(novelty {up_to}{max(novelties.values()):.1f}; {QUANTILE:.0%} of the held-out images were below 1): don't "
        "rely on the result."
    )
    return [text]


def _probabilities(work: _Work, rung: Rung, progress: Progress) -> tuple[np.ndarray, np.ndarray | None]:
    """Of each network and sample, ``(network * sample, window, class)``; and novelty ``(window,)``, or None."""
    model, samples = work.plan.model, work.settings.dropout_samples
    with work.stopwatch.stage("load model"):
        advance(progress, 0.0, "Loading the model")
        networks = [Scores(network, model) for network in load_networks(model.package, rung.device)]
    autocast = AUTOCAST[choose_precision(work.settings.precision, rung.device)]
    seen = views(model, work.settings.mirror)
    dropout = dropping_out(networks, DROPOUT_SEED) if samples else nullcontext()
    found, novelty = [], []
    with work.stopwatch.stage("network"), dropout:
        for first in range(0, len(work.windows), rung.batch):
            advance(progress, 0.1 + 0.9 * first / len(work.windows), "Running the network")
            batch = torch.stack([window.framed.tensor for window in work.windows[first : first + rung.batch]])
            with Watched(networks if model.familiarity else (), work.plan.last_features) as watched:
                found.append(member_probabilities(networks, batch, seen, autocast, max(1, samples)))
            if model.familiarity:
                pairs = zip(model.familiarity, watched.features(), strict=True)
                novelty.append(np.mean([one.novelty(features) for one, features in pairs], axis=0))
    return np.concatenate(found, axis=1), np.concatenate(novelty) if novelty else None


def _predictions(work: _Work, members: np.ndarray, novelty: np.ndarray | None) -> tuple[Prediction, ...]:
    """The mean over networks and samples, and how far they differ."""
    means, spreads = members.mean(axis=0), members.std(axis=0)
    return tuple(
        Prediction(
            window.name,
            window.framed.start_ijk,
            window.framed.stop_ijk,
            tuple(means[number].tolist()),
            tuple(spreads[number].tolist()) if len(members) > 1 else None,
            work.plan.model.multi_label,
            None if novelty is None else float(novelty[number]),
        )
        for number, window in enumerate(work.windows)
    )


def _explain(
    work: _Work,
    explainer: Explainer,
    predictions: Sequence[Prediction],
    image: Volume,
    device: torch.device,
    progress: Progress,
) -> Explanation:
    """The heat maps of all windows on the image's grid; where windows overlap, the larger value."""
    model, settings = work.plan.model, work.settings
    networks = [Scores(network, model) for network in load_networks(model.package, device)]
    heat = np.zeros(image.geometry.shape_kji, np.float32)
    classes, similarities = [], []
    for window, prediction, share in zip(work.windows, predictions, shares_of(progress, len(predictions)), strict=True):
        index = model.names.index(settings.explain_class) if settings.explain_class else prediction.top
        framed = window.framed
        found = explainer.heat(networks, framed.tensor, index, SubProgress(share, 0.0, 0.5))
        (i0, j0, k0), (i1, j1, k1) = framed.start_ijk, framed.stop_ijk
        box = heat[k0:k1, j0:j1, i0:i1]
        np.maximum(box, framed.on_image(found), out=box)
        classes.append(model.names[index])
        if settings.sanity:
            rest = SubProgress(share, 0.5, 1.0)
            similarities.append(explainer.similarity(found, framed.tensor, index, device, rest))
    similarity = max(similarities) if similarities else None
    passed = None if similarity is None else similarity < SIMILAR
    return Explanation(explainer.method, explainer.layer, tuple(classes), heat, similarity, passed)
