"""What is made small: terms by name, summed with the recipe's weights.

Every term leaves out voxels that nobody labelled (``IGNORED``) and structures that were not contoured,
and is taken over the batch of all processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch.nn import functional

from SlicerCNNSegLib.engine.errors import SettingsError

IGNORED = 255
"""Class index of a voxel that nobody labelled."""

SMOOTH = 1e-5
"""Keeps a structure that is nowhere in a batch from dividing by zero; MONAI's value."""

FOCUS = 2.0
"""Focal loss's gamma (Lin et al., ICCV 2017)."""

TVERSKY_FALSE_POSITIVE, TVERSKY_FALSE_NEGATIVE = 0.3, 0.7
"""Missed voxels count more than false ones (Salehi et al., MLMI 2017)."""

BORDER_WEIGHT = 4.0
"""How much more a voxel beside a border counts, as in U-Net's weight map (Ronneberger et al., MICCAI 2015)."""

BARRED = -1e4
"""Logit of a class that a voxel cannot have; finite, so that gradients stay so."""

Total = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Scored:
    """One output beside its truth.

    Parameters
    ----------
    logits:
        ``(batch, class, *space)`` float32.
    truth:
        ``(batch, *space)`` class indices, ``IGNORED`` where nobody labelled.
    weights:
        ``(class,)``: how much a voxel of each class counts in the terms that sum over voxels.
    total:
        Sums a tensor over all processes.
    taught:
        What a teacher gave for the same, like ``logits``; None without one.
    temperature:
        See ``distillation``.
    """

    logits: torch.Tensor
    truth: torch.Tensor
    weights: torch.Tensor
    total: Total
    taught: torch.Tensor | None = None
    temperature: float = 1.0

    def overlaps(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Per structure, over the batch: true positive, false positive and false negative volume, softly."""
        known = (self.truth != IGNORED)[:, None]
        truth = functional.one_hot(self.truth.where(known[:, 0], 0), self.logits.shape[1]).movedim(-1, 1) * known
        found = self.logits.softmax(1) * known
        space = [axis for axis in range(found.ndim) if axis != 1]
        both = (found * truth).sum(space)
        sums = torch.stack([both, found.sum(space) - both, truth.sum(space) - both])[:, 1:]
        hit, false, missed = self.total(sums)
        return hit, false, missed

    def voxel_mean(self, factor: torch.Tensor | float, term: torch.Tensor) -> torch.Tensor:
        """Mean of a term over labelled voxels, weighed by class and by ``factor``."""
        known = self.truth != IGNORED
        weight = self.weights[self.truth.where(known, 0)] * known
        sums = self.total(torch.stack([(weight * factor * term).sum(), weight.sum()]))
        return sums[0] / sums[1].clamp(min=SMOOTH)

    def surprise(self) -> torch.Tensor:
        """Cross-entropy of each voxel, 0 where nobody labelled."""
        return functional.cross_entropy(self.logits, self.truth, ignore_index=IGNORED, reduction="none")


def dice(scored: Scored) -> torch.Tensor:
    """Soft Dice, averaged over structures and taken over the batch, so that small structures count."""
    hit, false, missed = scored.overlaps()
    return 1 - ((2 * hit + SMOOTH) / (2 * hit + false + missed + SMOOTH)).mean()


def tversky(scored: Scored) -> torch.Tensor:
    """Dice's relative in which missed voxels count more than false ones."""
    hit, false, missed = scored.overlaps()
    wrong = TVERSKY_FALSE_POSITIVE * false + TVERSKY_FALSE_NEGATIVE * missed
    return 1 - ((hit + SMOOTH) / (hit + wrong + SMOOTH)).mean()


def cross_entropy(scored: Scored) -> torch.Tensor:
    """Cross-entropy."""
    return scored.voxel_mean(1.0, scored.surprise())


def focal(scored: Scored) -> torch.Tensor:
    """Cross-entropy in which voxels that are right already count little."""
    surprise = scored.surprise()
    return scored.voxel_mean((1 - torch.exp(-surprise)) ** FOCUS, surprise)


def boundary(scored: Scored) -> torch.Tensor:
    """Cross-entropy in which voxels beside a border between classes count more."""
    return scored.voxel_mean(1 + BORDER_WEIGHT * beside_border(scored.truth), scored.surprise())


def distillation(scored: Scored) -> torch.Tensor:
    """T^2 KL(p || q), p and q being the softmax of the teacher's and of the network's scores by the temperature T.

    After Hinton et al., Distilling the knowledge in a neural network, arXiv:1503.02531 (2015); T^2 keeps the gradients
    as large as those of the other terms.

    Raises
    ------
    SettingsError
        There is no teacher.
    """
    if scored.taught is None:
        raise SettingsError("Expected a teacher for the loss distillation; name one in the recipe's teacher.model.")
    temperature = scored.temperature
    network, teacher = ((one / temperature).log_softmax(1) for one in (scored.logits, scored.taught))
    divergence = functional.kl_div(network, teacher, reduction="none", log_target=True).sum(1)
    return scored.voxel_mean(temperature**2, divergence)


TERMS: Mapping[str, Callable[[Scored], torch.Tensor]] = {
    term.__name__: term for term in (dice, tversky, cross_entropy, focal, boundary, distillation)
}


class SegmentationLoss(torch.nn.Module):
    """The weighted sum of terms over the network's outputs at several depths.

    Depths' weights halve with each level and sum to 1 (Isensee et al., Nat Methods 18:203, 2021).

    Parameters
    ----------
    terms:
        Name to weight.
    class_weights:
        ``(class,)``; see ``balanced_weights``.
    total:
        Sums a tensor over all processes.
    temperature:
        Of ``distillation``.

    Raises
    ------
    SettingsError
        A term is unknown, or all weights are zero.
    """

    class_weights: torch.Tensor

    def __init__(
        self,
        terms: Mapping[str, float],
        class_weights: torch.Tensor,
        total: Total = lambda part: part,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        unknown = sorted(set(terms) - set(TERMS))
        if unknown:
            raise SettingsError(f"Unknown loss {', '.join(unknown)}; expected {', '.join(TERMS)}.")
        if not any(terms.values()) or min(terms.values()) < 0:
            raise SettingsError(f"Expected weights of the loss's terms above 0, got {dict(terms)}.")
        self._terms = [(TERMS[name], weight) for name, weight in terms.items() if weight]
        self._total, self._temperature = total, temperature
        self.register_buffer("class_weights", class_weights)

    def forward(
        self,
        output: torch.Tensor,
        label: torch.Tensor,
        contoured: torch.Tensor,
        taught: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Scalar loss.

        Parameters
        ----------
        output:
            ``(batch, class, *space)``, or with deep supervision ``(batch, level, class, *space)``, all
            levels at full size (as MONAI's DynUNet gives them), finest first.
        label:
            ``(batch, 1, *space)`` class indices.
        contoured:
            ``(batch, class)``: False for structures that were not contoured.
        taught:
            A teacher's scores, ``(batch, class, *space)``: those of all levels are held against them.
        """
        taught = None if taught is None else merge_uncontoured(taught.float(), contoured)
        levels = output.float().unbind(1) if output.ndim == label.ndim + 1 else (output.float(),)
        shares = [0.5**depth for depth in range(len(levels))]
        losses = []
        for share, level in zip(shares, levels, strict=True):
            logits = merge_uncontoured(level, contoured)
            scored = Scored(logits, label[:, 0], self.class_weights, self._total, taught, self._temperature)
            total = torch.stack([weight * term(scored) for term, weight in self._terms]).sum()
            losses.append(share / sum(shares) * total)
        return torch.stack(losses).sum()


def merge_uncontoured(logits: torch.Tensor, contoured: torch.Tensor) -> torch.Tensor:
    """Logits in which background stands for itself and for what was not contoured (Shi et al., Med Image Anal 2021).

    Where a structure may be but nobody drew it, finding it and finding background are equally right.

    Parameters
    ----------
    logits:
        ``(batch, class, *space)``.
    contoured:
        ``(batch, class)``; class 0 is background.
    """
    if bool(contoured.all()):
        return logits
    drawn = contoured.reshape(*contoured.shape, *[1] * (logits.ndim - 2)).clone()
    drawn[:, 0] = False
    background = logits.masked_fill(drawn, BARRED).logsumexp(1, keepdim=True)
    return torch.cat([background, logits.masked_fill(~drawn, BARRED)[:, 1:]], dim=1)


def beside_border(truth: torch.Tensor) -> torch.Tensor:
    """Which voxels ``(batch, *space)`` touch one of another class; float 0 or 1."""
    values = truth[:, None].float()
    pool = functional.max_pool3d if truth.ndim == 4 else functional.max_pool2d
    return (pool(values, 3, 1, 1) != -pool(-values, 3, 1, 1))[:, 0].float()


def balanced_weights(voxels: torch.Tensor) -> torch.Tensor:
    """Weights for classes that have so many ``voxels`` (class,): the inverse root of their share, 1 on average.

    The plain inverse would let a few voxels of a small structure outweigh all background.
    """
    weights = (voxels.clamp(min=1).sum() / voxels.clamp(min=1)).sqrt()
    return (weights / weights.mean()).float()
