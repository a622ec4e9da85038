"""Losses of one window's anchors: how sure they are of an object, and where it lies.

Each gives a sum and what it is divided by, so that windows, and processes, can be added up before the division.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from monai.apps.detection.utils.hard_negative_sampler import HardNegativeSampler
from monai.losses.focal_loss import sigmoid_focal_loss
from torch.nn import functional

from SlicerCNNSegLib.engine.detection.anchors import CODER

ALPHA, GAMMA = 0.75, 2.0
"""Of the focal loss. Lin et al. 2017 (arXiv:1708.02002) take an alpha of .25; objects of a few voxels need more."""

LEAST_NEGATIVES, POOL = 32, 4
"""Anchors of the background that are looked at in each window; drawn from so many times as many, the worst."""

SMOOTH = 1 / 9
"""Offsets below this (in units of the anchor) count squared, others as they are: MONAI's value for this task."""

BOX = "box"


@dataclass(frozen=True)
class Anchors:
    """What a network says of a window's anchors, and what is right.

    Parameters
    ----------
    logits, offsets:
        Shapes ``(anchor,)`` and ``(anchor, 6)``.
    matches:
        ``(anchor,)``: row of the object that an anchor learns, below 0 for the background.
    boxes:
        ``(object, 6)``, ``xyzxyz``.
    anchors:
        ``(anchor, 6)``.
    """

    logits: torch.Tensor
    offsets: torch.Tensor
    matches: torch.Tensor
    boxes: torch.Tensor
    anchors: torch.Tensor

    @property
    def target(self) -> torch.Tensor:
        """1 where an anchor learns an object, ``(anchor,)``."""
        return (self.matches >= 0).to(self.logits.dtype)


Term = Callable[[Anchors], torch.Tensor]
"""Gives the sum and its divisor, shape ``(2,)``."""


def anchor_losses(positive_share: float) -> dict[str, Term]:
    """The terms by the name that a recipe gives them.

    ``focal``
        Focal loss of all anchors (Lin et al. 2017), by the number of those that learn an object.
    ``hard_negatives``
        Cross-entropy of the anchors that learn an object and of some of the worst of the background.
    ``box``
        Smooth L1 loss of the offsets of the anchors that learn an object.

    Parameters
    ----------
    positive_share:
        Of the anchors that ``hard_negatives`` looks at.
    """
    sampler = HardNegativeSampler(
        batch_size_per_image=256, positive_fraction=positive_share, min_neg=LEAST_NEGATIVES, pool_size=POOL
    )
    return {"focal": focal, "hard_negatives": partial(hard_negatives, sampler), BOX: box}


def focal(window: Anchors) -> torch.Tensor:
    """See ``anchor_losses``."""
    target = window.target
    return torch.stack([sigmoid_focal_loss(window.logits, target, GAMMA, ALPHA).sum(), target.sum()])


def hard_negatives(sampler: HardNegativeSampler, window: Anchors) -> torch.Tensor:
    """See ``anchor_losses``."""
    positive, negative = sampler([window.matches + 1], window.logits.detach().float())
    chosen = torch.where(positive[0].bool() | negative[0].bool())[0]
    loss = functional.binary_cross_entropy_with_logits(window.logits[chosen], window.target[chosen], reduction="sum")
    return torch.stack([loss, loss.new_tensor(len(chosen))])


def box(window: Anchors) -> torch.Tensor:
    """See ``anchor_losses``; by the number of offsets."""
    rows = torch.where(window.matches >= 0)[0]
    if not len(rows):
        return torch.stack([window.offsets.sum() * 0, window.offsets.new_tensor(0)])
    wanted = CODER.encode_single(window.boxes[window.matches[rows]], window.anchors[rows])
    loss = functional.smooth_l1_loss(window.offsets[rows], wanted, beta=SMOOTH, reduction="sum")
    return torch.stack([loss, loss.new_tensor(wanted.numel())])
