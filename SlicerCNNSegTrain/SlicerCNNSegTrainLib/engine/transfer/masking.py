"""Learning from images without labels: blocks of a patch are hidden, and the network fills them in.

Masked autoencoding (He et al., CVPR 2022) with the convolutional network that is to be trained for something else
later, as in Models Genesis (Zhou et al., MICCAI 2019) and context restoration (Chen et al., Med Image Anal 58, 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from SlicerCNNSegLib.engine.device import AUTOCAST
from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.networks import SEGMENTATION, facts_of

from ..recipe import Recipe
from ..training.losses import IGNORED
from ..training.ranks import ALONE, Ranks
from ..training.samples import Sample, Sampler
from ..training.task import Batch

FILLS = ("noise", "zero")
ERRORS = ("l1", "l2")

TRAINING_STREAM, HELD_OUT_STREAM = 0x7472, 0x686F
"""Second words of the seeds of masks, so that no other random numbers of a run are the same."""

VIEWS = 4
"""Patches of each held-out case that are scored, always the same ones under the same masks."""


@dataclass(frozen=True)
class Masking:
    """How patches are hidden.

    Parameters
    ----------
    block:
        Edge of a hidden block, voxels; blocks at a patch's far ends may be cut off.
    share:
        Of the blocks that are hidden.
    fill:
        What is in their place: ``noise`` with the patch's mean and standard deviation, or ``zero``.
    error:
        What the loss is the mean of: ``l1`` absolute or ``l2`` squared differences.

    Raises
    ------
    SettingsError
        A value makes no sense.
    """

    block: int = 8
    share: float = 0.6
    fill: str = "noise"
    error: str = "l1"

    def __post_init__(self) -> None:
        if self.block < 1:
            raise SettingsError(f"Expected a block of 1 voxel or more in masking, got {self.block}.")
        if not 0 < self.share < 1:
            raise SettingsError(f"Expected a share between 0 and 1 in masking, got {self.share}.")
        for name, known in (("fill", FILLS), ("error", ERRORS)):
            if getattr(self, name) not in known:
                raise SettingsError(f"Expected {name} of {', '.join(known)} in masking, got {getattr(self, name)!r}.")


def pretext_definition(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The network that fills in images: the same one with an output for each image channel.

    Raises
    ------
    SettingsError
        It is no network for segmentation alone, or its definition does not say its numbers of channels.
    """
    facts, name = facts_of(definition), definition["_target_"]
    if facts.tasks != (SEGMENTATION,):
        raise SettingsError(
            f"Expected a network that segments, and does nothing else, to pretrain, got {name} for "
            f"{' and '.join(facts.tasks)}; take one that 'cnnseg-train' plans for a segmentation."
        )
    outputs = facts.classes[SEGMENTATION]
    if not {facts.channels, outputs} <= set(definition):
        raise SettingsError(
            f"Expected {facts.channels} and {outputs} in the definition of {name} to pretrain it, got "
            f"{', '.join(definition)}; write them into the recipe."
        )
    return {**definition, outputs: definition[facts.channels]}


def unlabelled_sample(case_id: str, image: torch.Tensor) -> Sample:
    """A case without labels from its image in network space, float32 ``(channel, x, y, z)``."""
    return Sample(case_id, image, torch.full((1, *image.shape[1:]), IGNORED, dtype=torch.uint8), (True,))


class PretrainingTask:
    """Patches of unlabelled cases, an error over hidden voxels, and how much of the held-out cases is explained.

    Parameters
    ----------
    recipe:
        Patch and batch size, augmentation, seed; its network is that of ``pretext_definition``.
    training, validation:
        The cases (``unlabelled_sample``).
    masking:
        How patches are hidden.
    precision:
        ``bf16``, ``fp16`` or ``fp32``: of the validation.
    ranks:
        The processes that share the work.

    Raises
    ------
    SettingsError
        A block is as large as the patch.
    """

    metric = "explained"

    def __init__(
        self,
        recipe: Recipe,
        training: Sequence[Sample],
        validation: Sequence[Sample],
        masking: Masking | None = None,
        *,
        precision: str = "fp32",
        ranks: Ranks = ALONE,
    ) -> None:
        self._masking = masking or Masking()
        plain = replace(recipe, augmentation={})
        self._training = _HiddenPatches(training, recipe, self._masking, TRAINING_STREAM, ranks)
        self._held_out = _HiddenPatches(validation, plain, self._masking, HELD_OUT_STREAM, ranks)
        self._scored_steps = -(-VIEWS * len(validation) // recipe.batch_size)
        self._ranks, self._autocast = ranks, AUTOCAST[precision]

    def batch(self, step: int) -> Batch:
        """``image`` with hidden blocks, ``target`` without, and ``hidden`` bool ``(batch, 1, *space)``."""
        return self._training.batch(step)

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Mean error over the hidden voxels of all processes' batches.

        With deep supervision the levels' weights halve and sum to 1, as in ``training/losses.py``.

        Raises
        ------
        SettingsError
            The network does not give images.
        """
        target, hidden = batch["target"], batch["hidden"]
        levels = output.float().unbind(1) if output.ndim == target.ndim + 1 else (output.float(),)
        if levels[0].shape != target.shape:
            raise SettingsError(
                f"Expected a network that gives images of shape {tuple(target.shape)} for pretraining, got "
                f"{tuple(levels[0].shape)}; take a segmentation network, its outputs being the image's channels."
            )
        shares = [0.5**depth for depth in range(len(levels))]
        errors = [
            share / sum(shares) * (self._error(level - target) * hidden).sum()
            for share, level in zip(shares, levels, strict=True)
        ]
        count = (hidden.sum() * target.shape[1]).float()
        total, voxels = self._ranks.total(torch.stack([torch.stack(errors).sum(), count]))
        return total / voxels.clamp(min=1)

    def score(self, network: torch.nn.Module) -> Mapping[str, float]:
        """Numbers on the hidden voxels of fixed patches of the held-out cases.

        ``explained`` is the share of the variance that is explained: 1 is a perfect copy, 0 is what the mean of the
        hidden voxels would give, below 0 is worse. ``l1`` is the mean absolute difference.
        """
        rows = self._ranks.gather(self._rows(network, self._scored_steps))
        count, sums, squares, errors, distances = np.sum(rows, axis=0)
        variance = (squares - sums**2 / np.maximum(count, 1)).sum()
        return {
            self.metric: float(1 - errors.sum() / max(variance, np.finfo(float).tiny)),
            "l1": float(distances.sum() / max(count.sum(), 1)),
        }

    def score_seconds(self, network: torch.nn.Module, clock: Callable[[], float]) -> float:
        """Judged by the first batch."""
        started = clock()
        self._rows(network, 1)
        return (clock() - started) * self._scored_steps

    def _rows(self, network: torch.nn.Module, steps: int) -> list[np.ndarray]:
        """What ``_sums`` finds in each of this process's held-out patches."""
        device = next(network.parameters()).device
        network.eval()
        rows: list[np.ndarray] = []
        with torch.inference_mode(), torch.autocast(device.type, self._autocast, enabled=self._autocast is not None):
            for step in range(steps):
                batch = self._held_out.batch(step)
                output = network(batch["image"].to(device)).float().cpu()
                rows += [_sums(*each) for each in zip(output, batch["target"], batch["hidden"], strict=True)]
        return rows

    def _error(self, difference: torch.Tensor) -> torch.Tensor:
        return difference.abs() if self._masking.error == "l1" else difference.square()


class _HiddenPatches:
    """Patches with hidden blocks; a step's batch is a pure function of the recipe's seed and the step."""

    def __init__(self, samples: Sequence[Sample], recipe: Recipe, masking: Masking, stream: int, ranks: Ranks) -> None:
        size = recipe.patch_size[:2] if recipe.flat else recipe.patch_size
        if all(n <= masking.block for n in size):
            raise SettingsError(
                f"Expected blocks smaller than the patch of {'x'.join(map(str, size))} voxels in masking, got "
                f"{masking.block}; choose smaller ones."
            )
        self._sampler = Sampler(samples, recipe, ranks)
        self._recipe, self._masking, self._stream, self._ranks, self._size = recipe, masking, stream, ranks, size

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """See ``PretrainingTask.batch``."""
        cut = self._sampler.batch(step)
        images, hidden = [], []
        size = self._recipe.batch_size
        for row, position in enumerate(self._ranks.share(range(step * size, (step + 1) * size))):
            random = np.random.default_rng([self._recipe.seed, self._stream, position])
            # what padding or rotation brought in is no image, and nothing to learn
            blocks = hidden_blocks(self._size, self._masking, random)[None] & (cut["label"][row] == IGNORED)
            images.append(torch.where(blocks, self._filling(cut["image"][row], random), cut["image"][row]))
            hidden.append(blocks)
        return {"image": torch.stack(images), "target": cut["image"], "hidden": torch.stack(hidden)}

    def _filling(self, image: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
        if self._masking.fill == "zero":
            return torch.zeros_like(image)
        noise = torch.from_numpy(random.standard_normal(tuple(image.shape), np.float32))
        space = tuple(range(1, image.ndim))
        return image.mean(space, keepdim=True) + image.std(space, keepdim=True) * noise


def hidden_blocks(size: Sequence[int], masking: Masking, random: np.random.Generator) -> torch.Tensor:
    """Which voxels of a patch are hidden, bool with shape ``size``: a share of its blocks, chosen at random."""
    grid = [-(-n // masking.block) for n in size]
    chosen = np.zeros(int(np.prod(grid)), bool)
    count = min(max(1, round(masking.share * chosen.size)), chosen.size - 1)
    chosen[random.choice(chosen.size, count, replace=False)] = True
    blocks = torch.from_numpy(chosen.reshape(grid))
    for axis in range(len(grid)):
        blocks = blocks.repeat_interleave(masking.block, axis)
    return blocks[tuple(slice(n) for n in size)]


def _sums(output: torch.Tensor, target: torch.Tensor, hidden: torch.Tensor) -> np.ndarray:
    """Over a patch's hidden voxels, per channel: how many, values, their squares, squared and absolute differences."""
    truth = target[:, hidden[0]].double()
    difference = output[:, hidden[0]].double() - truth
    count = torch.full((len(truth),), float(truth.shape[1]), dtype=torch.float64)
    return torch.stack(
        [count, truth.sum(1), truth.square().sum(1), difference.square().sum(1), difference.abs().sum(1)]
    ).numpy()
