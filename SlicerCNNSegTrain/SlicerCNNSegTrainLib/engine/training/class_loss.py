"""What a classification makes small: terms by name, summed with the recipe's weights, over all processes' batches."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional

from SlicerCNNSegLib.engine.errors import SettingsError

from .losses import FOCUS, Total

TERMS = ("cross_entropy", "focal")


class ClassLoss(torch.nn.Module):
    """The weighted sum of terms.

    Classes that exclude each other have softmax cross-entropy against targets that may be shares (as mixup
    makes them), others the binary one of each class, averaged over classes.

    Parameters
    ----------
    terms:
        Name to weight; ``focal`` makes what is right already count little (Lin et al., ICCV 2017).
    class_weights:
        ``(class,)``: how much each class counts.
    multi_label:
        Whether classes don't exclude each other.
    smoothing:
        Share of each target that is spread over all classes; without multi-label, over yes and no.
    total:
        Sums a tensor over all processes.

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
        *,
        multi_label: bool = False,
        smoothing: float = 0.0,
        total: Total = lambda part: part,
    ) -> None:
        super().__init__()
        unknown = sorted(name for name, weight in terms.items() if name not in TERMS and weight)
        if unknown:
            raise SettingsError(f"Unknown loss of a classification: {', '.join(unknown)}; expected {', '.join(TERMS)}.")
        if not any(terms.values()) or min(terms.values()) < 0:
            raise SettingsError(f"Expected weights of the loss's terms above 0, got {dict(terms)}.")
        self._terms, self._multi_label = {name: weight for name, weight in terms.items() if weight}, multi_label
        self._smoothing, self._total = smoothing, total
        self.register_buffer("class_weights", class_weights)

    def forward(self, scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Scalar loss of scores and targets, ``(batch, class)`` each."""
        scores = scores.float()
        share = 0.5 if self._multi_label else 1 / target.shape[1]
        target = target * (1 - self._smoothing) + self._smoothing * share
        surprise, certainty, weight = (self._binary if self._multi_label else self._softmax)(scores, target)
        factor = sum(
            amount * ((1 - certainty) ** FOCUS if name == "focal" else torch.ones_like(certainty))
            for name, amount in self._terms.items()
        )
        sums = self._total(torch.stack([(factor * weight * surprise).sum(), weight.sum()]))
        return sums[0] / sums[1]

    def _softmax(self, scores: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of each image: cross-entropy of its weighted targets per weight, probability of its targets, weight."""
        weighted = target * self.class_weights
        weight = weighted.sum(1)
        surprise = -(weighted * scores.log_softmax(1)).sum(1) / weight
        return surprise, torch.exp(-surprise), weight

    def _binary(self, scores: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The same of each image and class."""
        surprise = functional.binary_cross_entropy_with_logits(scores, target, reduction="none")
        return surprise, torch.exp(-surprise), self.class_weights.expand_as(target)
