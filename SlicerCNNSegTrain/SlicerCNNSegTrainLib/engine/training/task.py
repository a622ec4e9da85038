"""What a run learns, behind one interface: segmentation, classification, detection and pretraining train alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

Batch = Mapping[str, torch.Tensor]
"""``image`` ``(batch, channel, x, y[, z])`` float32, and what the task's loss wants beside it."""


class Task(Protocol):
    """Where batches come from, what is to become small, and what is to become large.

    ``metric`` names the number, in what ``score`` gives, that chooses the best weights.
    """

    metric: str

    def batch(self, step: int) -> Batch:
        """The share of a step's batch that this process makes, on the CPU; a function of seed and step."""

    def loss(self, output: Any, batch: Batch) -> torch.Tensor:
        """Scalar loss over the batches of all processes; ``output`` is what the network gave for ``image``."""

    def score(self, network: torch.nn.Module) -> Mapping[str, float]:
        """Numbers on the held-out cases, the same on all processes; higher is better for ``metric``."""

    def score_seconds(self, network: torch.nn.Module, clock: Callable[[], float]) -> float:
        """Seconds of ``clock`` that ``score`` will take, judged by a small part of it."""
