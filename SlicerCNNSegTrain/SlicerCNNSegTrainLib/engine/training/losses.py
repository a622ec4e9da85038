"""The loss of a training step."""

from __future__ import annotations

import torch
from monai.losses import DiceCELoss


class DeepSupervisionLoss(torch.nn.Module):
    """Dice plus cross-entropy over the network's outputs at several depths.

    Weights halve with each level and sum to 1 (Isensee et al., Nat Methods 18:203, 2021). Dice
    leaves out background and is taken over the batch, so that small structures count.
    """

    def __init__(self) -> None:
        super().__init__()
        self._loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

    def forward(self, output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Scalar loss.

        Parameters
        ----------
        output:
            ``(batch, class, x, y, z)``, or with deep supervision ``(batch, level, class, x, y, z)``,
            all levels at full size (as MONAI's DynUNet gives them), finest first.
        label:
            ``(batch, 1, x, y, z)`` class indices.
        """
        levels = output.float().unbind(1) if output.ndim == label.ndim + 1 else (output.float(),)
        weights = torch.tensor([0.5**level for level in range(len(levels))])
        weights = weights / weights.sum()
        losses = [weight * self._loss(level, label) for weight, level in zip(weights, levels, strict=True)]
        return torch.stack(losses).sum()
