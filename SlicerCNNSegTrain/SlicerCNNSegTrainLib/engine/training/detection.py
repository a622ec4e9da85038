"""Learning to detect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from monai.apps.detection.utils.ATSS_matcher import ATSSMatcher
from torch.nn import functional

from SlicerCNNSegLib.engine.detection.anchors import anchors_in, as_levels, flat
from SlicerCNNSegLib.engine.detection.search import Boxes, Search, cut_window, search
from SlicerCNNSegLib.engine.device import AUTOCAST
from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.evaluation.detection.curves import RATES, FrocEvents
from SlicerCNNSegLib.engine.evaluation.detection.luna import judge
from SlicerCNNSegLib.engine.evaluation.detection.tables import NO_POINTS, Points
from SlicerCNNSegLib.engine.progress import NoProgress

from ..data.marked import MarkedSample
from ..recipe import Recipe
from .anchor_losses import BOX, Anchors, anchor_losses
from .augmentation import FLIP, build_augmentation
from .ranks import ALONE, Ranks
from .task import Batch

FLIPS = (FLIP, "flip_pa", "flip_is")
"""Names in the recipe's ``augmentation`` of a mirroring along each axis of network space."""

MOVES = ("flip_ap", "quarter_turns", "rotation", "scaling", "translation", "elastic")
"""Augmentations that a box does not follow."""

AROUND = 0.3
"""A window around an object is off its middle by up to this share of its sides."""

ORDER, WINDOW = 0x6F72, 0x7769
"""Second words of the seeds of an epoch's order and of a window."""


class DetectionTask:
    """Windows with boxes, RetinaNet's losses, and the CPM of the held-out images.

    Parameters
    ----------
    recipe:
        What decides all of it.
    training, validation:
        The images in network space.
    precision:
        ``bf16``, ``fp16`` or ``fp32``: of the validation.
    ranks:
        The processes that share the work.

    Raises
    ------
    SettingsError
        The recipe has an augmentation that boxes cannot follow, other terms of the loss than ``anchor_losses.py``
        has, or no anchors.
    """

    metric = "cpm"

    def __init__(
        self,
        recipe: Recipe,
        training: Sequence[MarkedSample],
        validation: Sequence[MarkedSample],
        *,
        precision: str = "fp32",
        ranks: Ranks = ALONE,
    ) -> None:
        moving = [name for name in MOVES if recipe.augmentation.get(name)]
        if moving:
            raise SettingsError(f"A detection has no augmentation {', '.join(moving)}; take {', '.join(FLIPS)}.")
        terms = anchor_losses(recipe.detection.positive_share)
        scores = [name for name in terms if name != BOX]
        if set(recipe.loss) - {BOX} not in [{name} for name in scores] or BOX not in recipe.loss:
            raise SettingsError(
                f"Expected the loss's terms {BOX} and one of {', '.join(scores)}, got {dict(recipe.loss)}; correct the "
                "recipe's loss."
            )
        if not recipe.detection.anchors:
            raise SettingsError("The recipe has no detection.anchors; plan the run with 'cnnseg-train plan'.")
        self._terms = [terms[name] for name in recipe.loss]
        self._weights = torch.tensor(list(recipe.loss.values()))
        self._recipe, self._training, self._validation, self._ranks = recipe, training, validation, ranks
        self._held_out, self._autocast = validation[ranks.rank :: ranks.size], AUTOCAST[precision]
        others = {name: p for name, p in recipe.augmentation.items() if name not in FLIPS}
        self._augmentation = build_augmentation(others)
        self._levels = as_levels(recipe.detection.anchors)
        self._matcher = ATSSMatcher(recipe.detection.candidates, center_in_gt=False)

    def batch(self, step: int) -> Batch:
        """``image`` ``(batch, channel, x, y, z)`` and ``boxes`` ``(batch, most, 6)``, NaN where there are fewer."""
        size = self._recipe.batch_size
        pairs = [self._window(position) for position in self._ranks.share(range(step * size, (step + 1) * size))]
        most = max(1, *(len(boxes) for _, boxes in pairs))
        padded = [functional.pad(boxes, (0, 0, 0, most - len(boxes)), value=np.nan) for _, boxes in pairs]
        return {"image": torch.stack([image for image, _ in pairs]), "boxes": torch.stack(padded)}

    def loss(self, output: Mapping[str, Sequence[torch.Tensor]], batch: Batch) -> torch.Tensor:
        """The recipe's terms of ``anchor_losses.py``, each over all windows, by their weights."""
        scores, offsets = flat(output, len(self._levels[0]))
        x, y, z = self._recipe.patch_size
        anchors, cells = anchors_in(self._levels, (x, y, z))
        anchors = anchors.to(scores.device)
        sums = torch.zeros(len(self._terms), 2, device=scores.device)
        for logits, offset, padded in zip(scores[..., 0], offsets, batch["boxes"], strict=True):
            boxes = padded[~padded[:, 0].isnan()]
            window = Anchors(logits, offset, self._matches(boxes, anchors, cells), boxes, anchors)
            sums = sums + torch.stack([term(window) for term in self._terms])
        totals, counts = self._ranks.total(sums).unbind(1)
        return (self._weights.to(totals) * totals / counts.clamp(min=1)).sum()

    def _matches(self, boxes: torch.Tensor, anchors: torch.Tensor, cells: tuple[int, ...]) -> torch.Tensor:
        """The row of the box that each anchor learns, -1 for the background."""
        if not len(boxes):
            return torch.full((len(anchors),), -1, device=anchors.device)
        matches: torch.Tensor = self._matcher(boxes, anchors, cells, len(self._levels[0]))[1]
        return matches

    def score(self, network: torch.nn.Module) -> Mapping[str, float]:
        """CPM, and the sensitivity at one false positive per image, of the held-out images."""
        network.eval()
        found = self._ranks.gather([self._found(network, sample) for sample in self._held_out])
        truths = [_points(sample, sample.boxes.numpy().astype(float)) for sample in self._validation]
        marks = [
            _points(sample, boxes.boxes, boxes.scores) for sample, boxes in zip(self._validation, found, strict=True)
        ]
        judgement = judge([sample.id for sample in self._validation], _joined(truths), NO_POINTS, _joined(marks))
        curve = FrocEvents(judgement).curve()
        return {"cpm": float(curve.at(RATES).mean()), "sensitivity at 1": float(curve.at((1.0,))[0])}

    def score_seconds(self, network: torch.nn.Module, clock: Callable[[], float]) -> float:
        """Judged by this process's held-out image of median size."""
        by_size = sorted(self._held_out, key=lambda sample: sample.image.numel())
        network.eval()
        started = clock()
        for sample in by_size[len(by_size) // 2 :][:1]:
            self._found(network, sample)
        return (clock() - started) * len(by_size)

    def _found(self, network: torch.nn.Module, sample: MarkedSample) -> Boxes:
        settings = self._recipe.inference
        x, y, z = settings.get("window", self._recipe.patch_size)
        how = Search(
            self._levels,
            (x, y, z),
            float(settings["overlap"]),
            float(settings["candidate_score"]),
            float(settings["merge_overlap"]),
            sample.spacing_mm,
        )
        return search(sample.image, [network], how, NoProgress(), autocast=self._autocast)

    def _window(self, position: int) -> tuple[torch.Tensor, torch.Tensor]:
        """One window, augmented, and its boxes; a function of the seed and the position."""
        seed, count, size = self._recipe.seed, len(self._training), np.array(self._recipe.patch_size)
        epoch, index = divmod(position, count)
        random = np.random.default_rng([seed, WINDOW, epoch, index])
        sample = self._training[np.random.default_rng([seed, ORDER, epoch]).permutation(count)[index]]
        if len(sample.boxes) and random.random() < self._recipe.foreground_share:
            box = sample.boxes[random.integers(len(sample.boxes))].numpy()
            middle = (box[:3] + box[3:]) / 2 + random.uniform(-AROUND, AROUND, 3) * size
        else:
            middle = sample.places[random.integers(len(sample.places))].astype(float)
        start = np.rint(middle - size / 2).astype(int)
        image = cut_window(sample.image, start.tolist(), size.tolist())
        boxes = sample.boxes - torch.as_tensor(np.tile(start, 2), dtype=torch.float32)
        centers = (boxes[:, :3] + boxes[:, 3:]) / 2
        inside = ((centers >= 0) & (centers <= torch.as_tensor(size - 1))).all(dim=1)
        boxes = boxes[inside]
        for axis, name in enumerate(FLIPS):
            if random.random() < self._recipe.augmentation.get(name, 0.0):
                image, boxes = image.flip(axis + 1), _mirrored(boxes, axis, int(size[axis]))
        self._augmentation.set_random_state(seed=int(random.integers(2**31)))
        varied = self._augmentation({"image": image})["image"]
        return torch.as_tensor(varied).clone(), boxes


def _mirrored(boxes: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    """Boxes in a window that was reversed along an axis."""
    mirrored = boxes.clone()
    mirrored[:, axis], mirrored[:, axis + 3] = size - 1 - boxes[:, axis + 3], size - 1 - boxes[:, axis]
    return mirrored


def _points(sample: MarkedSample, boxes: np.ndarray, scores: np.ndarray | None = None) -> Points:
    """Boxes of an image as marks with scores, or, without, as findings with diameters; mm along network space."""
    centers = (boxes[:, :3] + boxes[:, 3:]) / 2 * sample.spacing_mm
    diameters = ((boxes[:, 3:] - boxes[:, :3]) * sample.spacing_mm).mean(axis=1)
    return Points((sample.id,) * len(boxes), centers, diameters if scores is None else scores)


def _joined(parts: Sequence[Points]) -> Points:
    return Points(
        tuple(name for part in parts for name in part.series),
        np.concatenate([part.center_mm for part in parts]),
        np.concatenate([part.value for part in parts]),
    )
