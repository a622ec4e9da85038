"""Learning to segment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from SlicerCNNSegLib.engine.device import AUTOCAST
from SlicerCNNSegLib.engine.windows import Inferer

from ..recipe import Recipe
from .losses import SegmentationLoss, balanced_weights
from .ranks import ALONE, Ranks
from .samples import Sample, Sampler
from .task import Batch
from .validation import dice_rows, mean_over_cases


class SegmentationTask:
    """Patches of labelled cases, a loss over voxels, and the mean Dice of the held-out cases.

    Parameters
    ----------
    recipe:
        What decides all of it.
    training, validation:
        The cases in network space.
    precision:
        ``bf16``, ``fp16`` or ``fp32``: of the validation.
    ranks:
        The processes that share the work.
    teacher:
        The recipe's, on the device of the training; see ``transfer/teacher.py``.
    """

    metric = "dice"

    def __init__(
        self,
        recipe: Recipe,
        training: Sequence[Sample],
        validation: Sequence[Sample],
        *,
        precision: str = "fp32",
        ranks: Ranks = ALONE,
        teacher: torch.nn.Module | None = None,
    ) -> None:
        self._teacher = teacher
        self._sampler = Sampler(training, recipe, ranks)
        self._held_out, self._ranks, self._autocast = validation[ranks.rank :: ranks.size], ranks, AUTOCAST[precision]
        self._columns = [f"{self.metric} {label['name']}" for label in recipe.model["labels"]]
        weights = torch.ones(1 + len(self._columns))
        if recipe.class_weights == "balanced":
            weights = balanced_weights(count_voxels(training, len(weights)))
        self._loss = SegmentationLoss(recipe.loss, weights, ranks.total, recipe.teacher.temperature)
        self._inferer = Inferer(
            recipe.patch_size, overlap=float(recipe.inference["overlap"]), slices=1 if recipe.flat else 0
        )

    def batch(self, step: int) -> Batch:
        """Patches of the step; see ``samples.py``."""
        return self._sampler.batch(step)

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """See ``losses.py``."""
        taught = None if self._teacher is None else self._ask(self._teacher, batch["image"])
        return self._loss.to(output.device)(output, batch["label"], batch["contoured"], taught)

    def _ask(self, teacher: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
        """A teacher's scores for what the network has just seen."""
        enabled = self._autocast is not None
        with torch.no_grad(), torch.autocast(image.device.type, self._autocast, enabled=enabled):
            scores: torch.Tensor = teacher(image)
        return scores

    def score(self, network: torch.nn.Module) -> Mapping[str, float]:
        """Mean Dice over structures and cases, and that of each structure by its name."""
        rows = self._ranks.gather(dice_rows(network, self._held_out, self._inferer, self._autocast))
        structures = mean_over_cases(rows)
        return {
            self.metric: float(np.nanmean(structures)),
            **dict(zip(self._columns, structures.tolist(), strict=True)),
        }

    def score_seconds(self, network: torch.nn.Module, clock: Callable[[], float]) -> float:
        """Judged by this process's held-out case of median size."""
        by_size = sorted(self._held_out, key=lambda sample: sample.image.numel())
        started = clock()
        dice_rows(network, by_size[len(by_size) // 2 :][:1], self._inferer, self._autocast)
        return (clock() - started) * len(by_size)


def count_voxels(samples: Sequence[Sample], classes: int) -> torch.Tensor:
    """Voxels of each class over the samples, shape (class,); those that nobody labelled don't count."""
    counts = sum(np.bincount(sample.label.numpy().ravel(), minlength=256)[:classes] for sample in samples)
    return torch.as_tensor(counts, dtype=torch.float64)
