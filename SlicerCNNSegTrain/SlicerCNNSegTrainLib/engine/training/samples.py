"""Training samples: step ``n``'s batch is a pure function of the recipe's seed and ``n``.

So a run that was interrupted goes on with exactly the batches it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.transforms import SpatialPadd

from SlicerCNNSegLib.engine.volume import Volume

from ..recipe import Recipe
from .augmentation import build_augmentation

MARGIN = 4
"""Voxels around the patch that are cut with it, so that rotation brings in image, not padding."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A whole case in network space: image float32 and label uint8, both ``(channel, x, y, z)``.

    ``foreground`` holds the indices (n, 3) of labelled voxels.
    """

    id: str
    image: torch.Tensor
    label: torch.Tensor
    foreground: np.ndarray


def make_sample(case_id: str, image: Volume, labelmap: np.ndarray, recipe: Recipe) -> Sample:
    """Bring a case into network space.

    Parameters
    ----------
    case_id, image:
        The case and its channels.
    labelmap:
        Shape ``(k, j, i)``, on the image's grid; values that are no structure of the recipe become background.
    recipe:
        Preprocessing and structures.
    """
    tensor, placement = recipe.prepared.prepare(image)
    classes = np.zeros(int(labelmap.max()) + 1, np.uint8)
    for index, value in enumerate(recipe.label_values, start=1):
        if value < len(classes):
            classes[value] = index
    label = torch.from_numpy(classes[labelmap].transpose(2, 1, 0)[None].copy())
    label = placement.forward(label, "nearest").contiguous()
    return Sample(case_id, tensor, label, np.argwhere(label[0].numpy() > 0))


class Sampler:
    """Cuts and augments batches of patches.

    Parameters
    ----------
    samples:
        The training cases; each epoch goes through all of them in a new order.
    recipe:
        Patch and batch size, augmentation, foreground share, seed.
    """

    def __init__(self, samples: Sequence[Sample], recipe: Recipe) -> None:
        self._samples = [_padded(sample, [n + 2 * MARGIN for n in recipe.patch_size]) for sample in samples]
        self._recipe = recipe
        self._augmentation = build_augmentation(recipe.augmentation)

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Images ``(batch, channel, x, y, z)`` float32 and class indices ``(batch, 1, x, y, z)`` of step ``step``."""
        size = self._recipe.batch_size
        patches = [self._patch(position) for position in range(step * size, (step + 1) * size)]
        return torch.stack([image for image, _ in patches]), torch.stack([label for _, label in patches])

    def _patch(self, position: int) -> tuple[torch.Tensor, torch.Tensor]:
        epoch, index = divmod(position, len(self._samples))
        order = np.random.default_rng([self._recipe.seed, epoch]).permutation(len(self._samples))
        sample = self._samples[order[index]]
        random = np.random.default_rng([self._recipe.seed, epoch, index])
        patch, half = np.array(self._recipe.patch_size), MARGIN
        room = np.array(sample.image.shape[1:]) - patch - 2 * half
        start = random.integers(0, room + 1)
        if len(sample.foreground) and random.random() < self._recipe.foreground_share:
            centre = sample.foreground[random.integers(len(sample.foreground))]
            start = np.clip(centre - patch // 2 - half, 0, room)
        box = (slice(None), *(slice(a, a + n + 2 * half) for a, n in zip(start, patch, strict=True)))
        self._augmentation.set_random_state(seed=int(random.integers(2**31)))
        varied = self._augmentation({"image": sample.image[box], "label": sample.label[box]})
        inner = (slice(None), *(slice(half, half + n) for n in patch))
        return torch.as_tensor(varied["image"])[inner].clone(), torch.as_tensor(varied["label"])[inner].long()


def _padded(sample: Sample, size: list[int]) -> Sample:
    """The sample with zeros (the mean intensity, background) on both sides, to at least ``size``."""
    pad = SpatialPadd(("image", "label"), size)
    image, label = (torch.as_tensor(value) for value in pad({"image": sample.image, "label": sample.label}).values())
    return Sample(sample.id, image, label, np.argwhere(label[0].numpy() > 0))
