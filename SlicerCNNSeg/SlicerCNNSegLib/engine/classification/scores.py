"""From a network's scores to probabilities (heavy)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch

from ..errors import ModelError
from ..networks import CLASSIFICATION
from .model import ClassificationModel


class Scores(torch.nn.Module):
    """A network whose output is the scores of the classification alone, ``(batch, class)``.

    Parameters
    ----------
    network:
        Gives them, or a mapping from task to scores.
    model:
        How many classes there are.
    """

    def __init__(self, network: torch.nn.Module, model: ClassificationModel) -> None:
        super().__init__()
        self.network = network
        self._model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores of images ``(batch, channel, x, y[, z])``.

        Raises
        ------
        ModelError
            There are more or fewer than classes.
        """
        output = self.network(image)
        scores: torch.Tensor = (output[CLASSIFICATION] if isinstance(output, Mapping) else output).float()
        classes = len(self._model.classes)
        if scores.shape[1:] != (classes,):
            raise ModelError(
                f"The network of {self._model.package.id} gives scores of shape {tuple(scores.shape[1:])}, but its "
                f"metadata lists {classes} classes; correct configs/metadata.json."
            )
        return scores

    def probabilities(self, scores: torch.Tensor) -> torch.Tensor:
        """Scores as probabilities: divided by the temperature, then softmax, or sigmoid of each label."""
        scaled = scores / self._model.temperature
        return scaled.sigmoid() if self._model.multi_label else scaled.softmax(1)


def mirrorings(axes: Sequence[int], mirror: bool) -> tuple[tuple[int, ...], ...]:
    """The sets of tensor axes to reverse in a batch: none only, or every combination of network axes."""
    dims = [axis + 2 for axis in axes]
    return tuple(c for n in range(len(dims) + 1) for c in combinations(dims, n)) if mirror else ((),)


def member_probabilities(
    networks: Sequence[Scores], batch: torch.Tensor, flips: Sequence[tuple[int, ...]], autocast: torch.dtype | None
) -> np.ndarray:
    """Probabilities of each network, averaged over mirrorings, float64 ``(network, batch, class)``."""
    device = next(networks[0].parameters()).device
    batch = batch.to(device)
    rows = []
    with torch.inference_mode(), torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
        for network in networks:
            passes = [network.probabilities(network(batch.flip(dims))) for dims in flips]
            rows.append(torch.stack(passes).double().mean(0).cpu().numpy())
    return np.stack(rows)
