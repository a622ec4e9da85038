"""What moves the weights, and their moving average."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ..recipe import Recipe

MOMENTUM = 0.99
"""Nesterov momentum of SGD, nnU-Net's value (Isensee et al., Nat Methods 18:203, 2021)."""

RATE_SHARE = "rate_share"
"""Key of a parameter group: its share of the schedule's learning rate."""


def build_optimizer(groups: Iterable[Mapping[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over groups of parameters, each with its ``RATE_SHARE``."""
    plain = [dict(group) for group in groups]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            plain, lr=recipe.learning_rate, momentum=MOMENTUM, nesterov=True, weight_decay=recipe.weight_decay
        )
    return torch.optim.AdamW(plain, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group[RATE_SHARE]


@torch.no_grad()
def update_average(average: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    """One step of the exponential moving average; buffers are copied."""
    # parameters(), unlike state_dict(), gives a tensor that two modules share (as in DynUNet) once
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    for kept, now in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(now)
