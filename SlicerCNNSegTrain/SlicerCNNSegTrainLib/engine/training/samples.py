"""Training samples: step ``n``'s batch is a pure function of the recipe's seed and ``n``.

So a run that was interrupted goes on with exactly the batches it would have seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from monai.transforms import SpatialPadd

from SlicerCNNSegLib.engine.volume import Volume

from ..recipe import Recipe
from .augmentation import build_augmentation
from .losses import IGNORED
from .ranks import ALONE, Ranks

MARGIN = 4
"""Voxels around the patch that are cut with it, so that rotation brings in image, not padding."""


ORDER, PATCH = 0x6F72, 0x7061
"""Second words of the seeds of an epoch's order and of a patch: without, numpy gives an epoch's order and its first
patch the same random numbers."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A whole case in network space.

    Parameters
    ----------
    id:
        The case.
    image:
        float32 ``(channel, x, y, z)``.
    label:
        uint8 ``(1, x, y, z)``: class indices in the recipe's order, ``IGNORED`` where nobody labelled.
    contoured:
        Per class, background first: False for a structure that may be there but was not contoured.
    """

    id: str
    image: torch.Tensor
    label: torch.Tensor
    contoured: tuple[bool, ...]
    places: Mapping[int, np.ndarray] = field(init=False, repr=False)
    """Class to the indices (n, 3) of its voxels, of the structures that occur."""

    def __post_init__(self) -> None:
        classes = self.label[0].numpy()
        occurring = [int(value) for value in np.unique(classes) if value not in (0, IGNORED)]
        places = {value: np.argwhere(classes == value).astype(np.int16) for value in occurring}
        object.__setattr__(self, "places", places)


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
    if 0 < recipe.ignore_value < len(classes):
        classes[recipe.ignore_value] = IGNORED
    label = torch.from_numpy(classes[labelmap].transpose(2, 1, 0)[None].copy())
    label = placement.forward(label, "nearest").contiguous()
    drawn = set(np.unique(labelmap).tolist()) if recipe.absent_means_not_contoured else set(recipe.label_values)
    return Sample(case_id, tensor, label, (True, *(value in drawn for value in recipe.label_values)))


class Sampler:
    """Cuts and augments batches of patches.

    Parameters
    ----------
    samples:
        The training cases; each epoch goes through all of them in a new order.
    recipe:
        Patch and batch size, augmentation, foreground share, seed.
    ranks:
        Whose share of each batch is made here.
    """

    def __init__(self, samples: Sequence[Sample], recipe: Recipe, ranks: Ranks = ALONE) -> None:
        self._margin = np.array([MARGIN, MARGIN, 0 if recipe.flat else MARGIN])
        self._size = np.array(recipe.patch_size) + 2 * self._margin
        self._samples = [_padded(sample, self._size.tolist()) for sample in samples]
        self._recipe, self._ranks = recipe, ranks
        index_of = {value: index for index, value in enumerate(recipe.label_values, start=1)}
        mirrored = [(index_of[a], index_of[b]) for a, b in recipe.mirrored]
        self._augmentation = build_augmentation(recipe.augmentation, mirrored, flat=recipe.flat)

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """The part of step ``step``'s batch that this rank makes.

        Returns
        -------
        dict
            ``image`` float32 ``(batch, channel, x, y[, z])``, ``label`` class indices ``(batch, 1, x, y[, z])``
            and ``contoured`` bool ``(batch, class)``.
        """
        size = self._recipe.batch_size
        patches = [self._patch(position) for position in self._ranks.share(range(step * size, (step + 1) * size))]
        return {key: torch.stack([patch[key] for patch in patches]) for key in patches[0]}

    def _patch(self, position: int) -> dict[str, torch.Tensor]:
        epoch, index = divmod(position, len(self._samples))
        order = np.random.default_rng([self._recipe.seed, ORDER, epoch]).permutation(len(self._samples))
        sample = self._samples[order[index]]
        random = np.random.default_rng([self._recipe.seed, PATCH, epoch, index])
        start = self._start(sample, random)
        box = (slice(None), *(slice(a, a + n) for a, n in zip(start, self._size, strict=True)))
        cut = {"image": sample.image[box], "label": sample.label[box]}
        if self._recipe.flat:
            cut = {key: value[..., 0] for key, value in cut.items()}
        self._augmentation.set_random_state(seed=int(random.integers(2**31)))
        varied = self._augmentation(cut)
        sizes = zip(self._margin, self._recipe.patch_size, strict=True)
        inner = (slice(None), *(slice(half, half + n) for half, n in sizes))[: varied["image"].ndim]
        return {
            "image": torch.as_tensor(varied["image"])[inner].clone(),
            "label": torch.as_tensor(varied["label"])[inner].long(),
            "contoured": torch.tensor(sample.contoured),
        }

    def _start(self, sample: Sample, random: np.random.Generator) -> np.ndarray:
        """First voxel of what is cut."""
        room = np.array(sample.image.shape[1:]) - self._size
        start: np.ndarray = random.integers(0, room + 1)
        if sample.places and random.random() < self._recipe.foreground_share:
            places = sample.places[list(sample.places)[random.integers(len(sample.places))]]
            start = np.clip(places[random.integers(len(places))] - self._size // 2, 0, room)
        return start


def _padded(sample: Sample, size: list[int]) -> Sample:
    """The sample with zeros (the mean intensity, background) on both sides, to at least ``size``."""
    pad = SpatialPadd(("image", "label"), size)
    image, label = (torch.as_tensor(value) for value in pad({"image": sample.image, "label": sample.label}).values())
    return Sample(sample.id, image, label, sample.contoured)
