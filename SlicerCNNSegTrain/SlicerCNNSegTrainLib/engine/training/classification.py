"""Learning to classify, and, with a network of two tasks, to outline at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from SlicerCNNSegLib.engine.device import AUTOCAST
from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.evaluation.classification.metrics import OVERALL, Metrics
from SlicerCNNSegLib.engine.evaluation.classification.tables import (
    BINARY,
    MULTI_CLASS,
    MULTI_LABEL,
    ClassificationTable,
)
from SlicerCNNSegLib.engine.networks import CLASSIFICATION, SEGMENTATION

from ..data.classes import MASK
from ..data.images import NEXT_SLICE, ImageSample
from ..recipe import Recipe
from .augmentation import build_augmentation
from .class_loss import ClassLoss
from .losses import SegmentationLoss, balanced_weights
from .ranks import ALONE, Ranks
from .task import Batch

SCORED_AT_ONCE = 32
"""Images per forward pass of a validation."""

THRESHOLD, BINS = 0.5, 10
"""Of the evaluation's decisions and calibration error, its defaults."""

OUTLINE = {"dice": 1.0, "cross_entropy": 1.0}
"""The loss of the outlines, whose weight is the recipe's ``mask``."""

FLIP_SLICES = "flip_is"
"""The augmentation that reverses the slices which a 2-D network sees as channels."""

ORDER, IMAGE, MIX = 0x6F72, 0x696D, 0x6D78
"""Second words of the seeds of an epoch's order, of an image's augmentation and of a batch's mixing."""


class ClassificationTask:
    """Whole images, a loss over classes, and the AUC of the held-out images (one against the rest, mean over classes).

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
        A term of the loss is unknown, or outlines are to be learned by what cannot: with mixup.
    """

    metric = "auc"

    def __init__(
        self,
        recipe: Recipe,
        training: Sequence[ImageSample],
        validation: Sequence[ImageSample],
        *,
        precision: str = "fp32",
        ranks: Ranks = ALONE,
    ) -> None:
        self._recipe, self._training, self._validation, self._ranks = recipe, training, validation, ranks
        self._held_out = validation[ranks.rank :: ranks.size]
        self._autocast = AUTOCAST[precision]
        across = {name: recipe.augmentation[name] for name in (NEXT_SLICE, FLIP_SLICES) if name in recipe.augmentation}
        if across and recipe.framing.slices < 2:
            raise SettingsError(f"{' and '.join(across)} are for 2-D networks with inference.slices of 3 and more.")
        self._slices, self._across = recipe.framing.slices, across
        others = {name: p for name, p in recipe.augmentation.items() if name not in across}
        self._augmentation = build_augmentation(others, flat=recipe.flat)
        self._groups = _groups(_classes_of(training, multi_label=recipe.multi_label))
        counts = torch.stack([sample.target for sample in training]).sum(0)
        weights = torch.ones(len(counts))
        if recipe.class_weights == "balanced":
            weights = balanced_weights(counts.double())
        self._outline_weight = recipe.loss.get(MASK, 0.0)
        if self._outline_weight and recipe.classes.mixup:
            raise SettingsError(f"The loss {MASK!r} and classes.mixup exclude each other; set one of them to 0.")
        self._outline_loss = SegmentationLoss(OUTLINE, torch.ones(2), ranks.total)
        self._loss = ClassLoss(
            {name: weight for name, weight in recipe.loss.items() if name != MASK},
            weights,
            multi_label=recipe.multi_label,
            smoothing=recipe.classes.label_smoothing,
            total=ranks.total,
        )

    def batch(self, step: int) -> Batch:
        """``image`` ``(batch, channel, x, y[, z])`` and ``target`` ``(batch, class)`` of this process's share.

        And ``label`` ``(batch, 1, x, y[, z])`` where outlines are learned.
        """
        size = self._recipe.batch_size
        varied = [self._varied(position) for position in self._ranks.share(range(step * size, (step + 1) * size))]
        batch = {key: torch.stack([one[key] for one in varied]) for key in varied[0]}
        amount = self._recipe.classes.mixup
        if not amount:
            return batch
        image, target = batch["image"], batch["target"]
        random = np.random.default_rng([self._recipe.seed, MIX, step, self._ranks.rank])
        share, other = float(random.beta(amount, amount)), torch.as_tensor(random.permutation(len(image)))
        return {
            "image": share * image + (1 - share) * image[other],
            "target": share * target + (1 - share) * target[other],
        }

    def loss(self, output: torch.Tensor | Mapping[str, torch.Tensor], batch: Batch) -> torch.Tensor:
        """See ``class_loss.py``; where outlines are learned, their loss is added."""
        device = batch["target"].device
        loss: torch.Tensor = self._loss.to(device)(scores_of(output), batch["target"])
        if not self._outline_weight:
            return loss
        if not isinstance(output, Mapping) or SEGMENTATION not in output:
            raise SettingsError(f"The loss {MASK!r} needs a network of two tasks, such as VGGMultiTask.")
        label = batch["label"].long()
        known = torch.ones(len(label), 2, dtype=torch.bool, device=device)
        return loss + self._outline_weight * self._outline_loss.to(device)(output[SEGMENTATION], label, known)

    def score(self, network: torch.nn.Module) -> Mapping[str, float]:
        """AUC, accuracy and calibration error of the held-out images, and the AUC of each class by its name."""
        rows = self._ranks.gather(self._probabilities(network, self._held_out).tolist())
        truth = _classes_of(self._validation, multi_label=self._recipe.multi_label).numpy()
        names = self._recipe.class_names
        cases = [sample.id for sample in self._validation]
        table = table_of(cases, names, truth, np.array(rows), multi_label=self._recipe.multi_label)
        metrics = Metrics(table, threshold=THRESHOLD, bins=BINS)
        found = dict(zip(metrics.keys, metrics.values(np.ones((1, len(cases))))[0].tolist(), strict=True))
        each = {f"auc {name}": found[name, "auc"] for name in table.targets} if len(table.targets) > 1 else {}
        return {name: found[OVERALL, name] for name in ("auc", "accuracy", "ece")} | each

    def score_seconds(self, network: torch.nn.Module, clock: Callable[[], float]) -> float:
        """Judged by one forward pass of this process's held-out images."""
        some, started = self._held_out[:SCORED_AT_ONCE], clock()
        self._probabilities(network, some)
        return (clock() - started) * len(self._held_out) / max(1, len(some))

    def _varied(self, position: int) -> Batch:
        """One image, augmented, with its target and mask; a function of the seed and the position."""
        seed, count = self._recipe.seed, len(self._training)
        epoch, index = divmod(position, count)
        random = np.random.default_rng([seed, IMAGE, epoch, index])
        if self._recipe.classes.balanced_sampling:
            group = self._groups[random.integers(len(self._groups))]
            sample = self._training[group[random.integers(len(group))]]
        else:
            sample = self._training[np.random.default_rng([seed, ORDER, epoch]).permutation(count)[index]]
        self._augmentation.set_random_state(seed=int(random.integers(2**31)))
        image, mask = sample.image, sample.mask
        if sample.beside and random.random() < self._across.get(NEXT_SLICE, 0.0):
            image, mask = sample.beside[random.integers(len(sample.beside))]
        if random.random() < self._across.get(FLIP_SLICES, 0.0):
            image = image.unflatten(0, (self._slices, -1)).flip(0).flatten(0, 1)
        masks = {"label": mask} if self._outline_weight else {}
        varied = self._augmentation({"image": image, **masks})
        return {key: torch.as_tensor(value).clone() for key, value in varied.items()} | {"target": sample.target}

    def _probabilities(self, network: torch.nn.Module, samples: Sequence[ImageSample]) -> np.ndarray:
        """``(image, class)``."""
        network.eval()
        device = next(network.parameters()).device
        found = [np.empty((0, len(self._recipe.class_names)))]
        with torch.inference_mode(), torch.autocast(device.type, self._autocast, enabled=self._autocast is not None):
            for first in range(0, len(samples), SCORED_AT_ONCE):
                images = torch.stack([sample.image for sample in samples[first : first + SCORED_AT_ONCE]])
                scores = scores_of(network(images.to(device))).float()
                probabilities = scores.sigmoid() if self._recipe.multi_label else scores.softmax(1)
                found.append(probabilities.double().cpu().numpy())
        return np.concatenate(found)


def scores_of(output: torch.Tensor | Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The scores ``(batch, class)`` of a network that classifies, alone or beside another task."""
    return output[CLASSIFICATION] if isinstance(output, Mapping) else output


def table_of(
    cases: Sequence[str], names: Sequence[str], truth: np.ndarray, probabilities: np.ndarray, *, multi_label: bool
) -> ClassificationTable:
    """Truth and probabilities, ``(case, class)`` each, for the evaluation; of two classes the last is positive."""
    kind = MULTI_LABEL if multi_label else BINARY if len(names) == 2 else MULTI_CLASS
    first = 1 if kind == BINARY else 0
    return ClassificationTable(
        path=Path("validation"),
        kind=kind,
        classes=tuple(names),
        targets=tuple(names[first:]),
        cases=tuple(cases),
        truth=truth[:, first:],
        probabilities=probabilities[:, first:],
        reader=None,
        read=np.zeros(len(cases), dtype=bool),
        patients=None,
        unused=(),
    )


def _classes_of(samples: Sequence[ImageSample], *, multi_label: bool) -> torch.Tensor:
    """Booleans ``(image, class)``: what each image is of; where classes exclude each other, what most speaks for."""
    targets = torch.stack([sample.target for sample in samples])
    return targets > 0 if multi_label else targets >= targets.amax(1, keepdim=True)


def _groups(targets: torch.Tensor) -> list[list[int]]:
    """The indices of the images of each class, and of those of none; an image of several is in several."""
    groups = [torch.nonzero(column)[:, 0].tolist() for column in (*targets.T, ~targets.any(1))]
    return [group for group in groups if group]
