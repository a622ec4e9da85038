"""From a network's scores to probabilities (heavy)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain

import numpy as np
import torch

from ..errors import ModelError, SettingsError
from ..mirrorings import mirrorings
from ..networks import CLASSIFICATION
from .model import ClassificationModel

View = tuple[int, tuple[int, ...]]
"""Turns by 90 degrees, and then the tensor axes that are reversed."""

PLANE = (2, 3)
"""The tensor axes that a turn exchanges."""

DROPOUT = (torch.nn.Dropout, torch.nn.Dropout1d, torch.nn.Dropout2d, torch.nn.Dropout3d)


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


def views(model: ClassificationModel, mirror: bool) -> tuple[View, ...]:
    """How a batch is looked at: as it is, or in every mirroring and turn that the model is averaged over."""
    if not (mirror or model.always_averaged):
        return ((0, ()),)
    flips = mirrorings([axis + 2 for axis in model.mirror_axes])
    return tuple((turns, several) for turns in range(1 + model.quarter_turns) for several in flips)


def member_probabilities(
    networks: Sequence[Scores],
    batch: torch.Tensor,
    seen: Sequence[View],
    autocast: torch.dtype | None,
    samples: int = 1,
) -> np.ndarray:
    """Probabilities of each network, averaged over views, float64 ``(network * sample, batch, class)``."""
    device = next(networks[0].parameters()).device
    batch = batch.to(device)
    rows = []
    with torch.inference_mode(), torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
        for network in networks:
            for _ in range(samples):
                passes = [network.probabilities(network(batch.rot90(turns, PLANE).flip(dims))) for turns, dims in seen]
                rows.append(torch.stack(passes).double().mean(0).cpu().numpy())
    return np.stack(rows)


@contextmanager
def dropping_out(networks: Sequence[Scores], seed: int) -> Iterator[None]:
    """Leave dropout on, as in training (Gal and Ghahramani 2016, arXiv:1506.02142); the same seed drops the same.

    Raises
    ------
    SettingsError
        A network has no dropout: each run would give the same.
    """
    each = [
        [layer for layer in network.modules() if isinstance(layer, DROPOUT) and layer.p > 0] for network in networks
    ]
    if not all(each):
        raise SettingsError("Expected a network with dropout for runs with it, but the model has none; ask for 0 runs.")
    layers = list(chain.from_iterable(each))
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for layer in layers:
                layer.train()
            yield
    finally:
        for layer in layers:
            layer.eval()


class Watched:
    """The last features of networks in their first pass, averaged over places: within ``with`` they are kept.

    Parameters
    ----------
    networks:
        Whose.
    layer:
        The network's layer that gives them.
    """

    def __init__(self, networks: Sequence[Scores], layer: str) -> None:
        self._networks, self._layer = networks, layer
        self._seen: dict[int, torch.Tensor] = {}
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> Watched:
        for number, network in enumerate(self._networks):
            layer = network.network.get_submodule(self._layer)
            self._hooks.append(layer.register_forward_hook(self._keeper(number)))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def features(self) -> list[np.ndarray]:
        """Of each network, float64 ``(batch, feature)``."""
        return [self._seen[number].double().cpu().numpy() for number in range(len(self._networks))]

    def _keeper(self, number: int) -> Callable[[torch.nn.Module, object, torch.Tensor], None]:
        def keep(_: torch.nn.Module, __: object, output: torch.Tensor) -> None:
            self._seen.setdefault(number, output.detach().float().flatten(2).mean(2))

        return keep
