"""Which channels of a network's layers belong together: seen by following one image through it, without numbers.

A convolution makes new channels. Where features are added, those of the same number belong together; where they are
joined, one follows the other; normalisation, activation and pooling leave them as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from SlicerCNNSegLib.engine.errors import SettingsError

from .parts import tensor_names

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
TRANSPOSED = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
JOINING = ("cat", "concat", "concatenate")

Channels = tuple[int, ...]
"""Numbers of channels, in order; the same number is the same channel."""


@dataclass(frozen=True)
class Layer:
    """A convolution: its weight's name, the axis of its output channels, and these."""

    weight: str
    axis: int
    channels: Channels


@dataclass(frozen=True)
class Followed:
    """What was found out about a network.

    Parameters
    ----------
    axes:
        By the first name of a tensor: which channels stand along which of its axes.
    layers:
        The convolutions, in the order of their run.
    image:
        The channels of the image.
    """

    axes: Mapping[str, Mapping[int, Channels]]
    layers: tuple[Layer, ...]
    image: Channels


def follow_channels(network: torch.nn.Module, in_channels: int, window: Sequence[int]) -> Followed:
    """Run a network once on the device ``meta``, which computes nothing, and see where its channels go.

    Parameters
    ----------
    network:
        Of convolutions; stays as it is.
    in_channels, window:
        Of an image that it takes.

    Raises
    ------
    SettingsError
        The network does something by which channels cannot be followed.
    """
    bare = deepcopy(network).to("meta").eval()
    image = torch.empty(1, in_channels, *window, device="meta")
    with torch.no_grad(), _Tracer(bare) as tracer:
        of_image = tracer.begin(image)
        bare(image)
    one = tracer.one
    layers = tuple(Layer(layer.weight, layer.axis, one(layer.channels)) for layer in tracer.layers)
    axes = {name: {axis: one(those) for axis, those in found.items()} for name, found in tracer.axes.items()}
    return Followed(axes, layers, one(of_image))


class _Tracer(TorchFunctionMode):
    """Sees every call of a function of torch's."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        tensors = network.state_dict(keep_vars=True)
        self._names = {id(tensors[names[0]]): names[0] for names in tensor_names(network)}
        self._channels: dict[int, Channels] = {}
        self._alive: list[torch.Tensor] = []  # or the place in memory, by which a tensor is known, is used again
        self._same: list[int] = []  # for each channel one that it is the same as
        self.axes: dict[str, dict[int, Channels]] = {}
        self.layers: list[Layer] = []

    def begin(self, image: torch.Tensor) -> Channels:
        """Give the image's channels numbers."""
        channels = self._new(image.shape[1])
        self._label(image, channels)
        return channels

    def one(self, channels: Channels) -> Channels:
        """The number that stands for each channel and all that are the same."""
        return tuple(map(self._first, channels))

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the function, and follow the channels through it."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name in CONVOLUTIONS + TRANSPOSED:
            self._convolve(args[0], args[1], args[2] if len(args) > 2 else None, result, name in TRANSPOSED)
        elif name in JOINING:
            self._join(args[0], args[1] if len(args) > 1 else kwargs.get("dim", 0), result)
        else:
            self._keep(tree_leaves((args, kwargs)), tree_leaves(result))
        return result

    def _convolve(
        self,
        image: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        result: torch.Tensor,
        transposed: bool,
    ) -> None:
        name, inputs, outputs = self._names.get(id(weight), ""), 1 - int(transposed), int(transposed)
        before = self._channels.get(id(image), ())
        if not name or len(before) != weight.shape[inputs]:
            raise SettingsError(
                f"The channels that reach the convolution {name or 'of a computed weight'} cannot be followed, so this "
                "network cannot be pruned; choose another network."
            )
        if name not in self.axes:
            self.layers.append(Layer(name, outputs, self._new(weight.shape[outputs])))
            self._stand(name, outputs, self.layers[-1].channels)
        after = self.axes[name][outputs]
        self._stand(name, inputs, before)
        if bias is not None:
            self._stand(self._names[id(bias)], 0, after)
        self._label(result, after)

    def _join(self, parts: Sequence[torch.Tensor], axis: int, result: torch.Tensor) -> None:
        known = [self._channels.get(id(part), ()) for part in parts]
        if axis == 1 and all(known):
            self._label(result, sum(known, ()))

    def _keep(self, given: Sequence[Any], results: Sequence[Any]) -> None:
        """Anything else: channels of the same count are the same, one channel is for all; parameters go with them."""
        known = [self._channels[id(one)] for one in given if id(one) in self._channels]
        if not known or len({len(channels) for channels in known} - {1}) > 1:
            return
        channels = max(known, key=len)
        for other in known:
            if len(other) == len(channels):
                self._unite(other, channels)
        for one in given:
            if id(one) in self._names and one.shape == (len(channels),):
                self._stand(self._names[id(one)], 0, channels)
        for one in results:
            if isinstance(one, torch.Tensor) and one.ndim > 2 and one.shape[1] == len(channels):
                self._label(one, channels)

    def _stand(self, name: str, axis: int, channels: Channels) -> None:
        """Channels stand along a tensor's axis; those that did so before are the same."""
        self._unite(self.axes.setdefault(name, {}).setdefault(axis, channels), channels)

    def _label(self, features: torch.Tensor, channels: Channels) -> None:
        self._alive.append(features)
        self._channels[id(features)] = channels

    def _new(self, count: int) -> Channels:
        start = len(self._same)
        self._same += range(start, start + count)
        return tuple(range(start, start + count))

    def _unite(self, these: Channels, those: Channels) -> None:
        for a, b in zip(these, those, strict=True):
            low, high = sorted((self._first(a), self._first(b)))
            self._same[high] = low

    def _first(self, channel: int) -> int:
        while self._same[channel] != channel:
            channel = self._same[channel]
        return channel
