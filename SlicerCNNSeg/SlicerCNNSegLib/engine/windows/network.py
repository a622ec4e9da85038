"""A network made ready for many windows: the same answer in less time."""

from __future__ import annotations

from copy import deepcopy
from itertools import chain
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrize import is_parametrized

from .eighths import in_eighths
from .folding import CONVOLUTIONS, fold_norms
from .packing import can_pack, pack

CHANNELS_LAST, CONTIGUOUS = "channels last", "contiguous"
"""How tensors lie in memory."""

INSTANCE_NORMS = (nn.InstanceNorm2d, nn.InstanceNorm3d)
FEWEST_CHANNELS, FEWEST_VOXELS = 16, 1000
"""Below either, PyTorch's group normalisation of channels-last tensors takes longer than the plain layout and back:
3.6 ms against 0.8 for 8 channels of 48x48x48 voxels, 1.7 against 0.2 for 256 of 6x6x6, but 1.1 against 1.7 for 16 of
48x48x48 and 1.8 against 4.9 for 32 of them (bf16, one core)."""
EVEN_CHANNELS = 16
"""With another number of channels than multiples of this it is slow, too, and so is the plain layout. Batch
normalisation is the same for one image by itself, and faster: 2.0 ms against 3.1 for 24 channels of 40x56x40 voxels,
and 0.05 for 256 of 6x6x6."""


_READY: WeakKeyDictionary[nn.Module, dict[tuple[torch.dtype | None, str], nn.Module]] = WeakKeyDictionary()
"""What ``ready`` has made, for as long as the networks are kept."""


def layouts_of(network: torch.nn.Module) -> tuple[str, ...]:
    """The layouts that a network can be made ready for, the one that is mostly faster first.

    One only on other devices than CPUs, whose libraries choose their layouts, for a transformer, whose attention takes
    other layouts than its convolutions, and for TorchScript, which is what it is.
    """
    elsewhere = any(tensor.device.type != "cpu" for tensor in chain(network.parameters(), network.buffers()))
    as_it_is = any(isinstance(module, nn.LayerNorm | torch.jit.ScriptModule) for module in network.modules())
    return (CONTIGUOUS,) if elsewhere or as_it_is else (CHANNELS_LAST, CONTIGUOUS)


def prepared(network: torch.nn.Module, autocast: torch.dtype | None, layout: str = CHANNELS_LAST) -> torch.nn.Module:
    """The network for CPUs: normalisation folded, weights cast and packed; channels last, with layers made for it.

    PyTorch's instance normalisation takes a channels-last tensor to the plain layout, and the next convolution takes
    it back; group normalisation with one channel a group is the same sum and stays.

    Parameters
    ----------
    network:
        Is left as it is, also where it is still being trained; weights are shared, but those of convolutions that
        are not packed.
    autocast:
        What the convolutions are going to compute in.
    layout:
        How tensors are to lie in memory.

    Returns
    -------
    torch.nn.Module
        To be called without gradients. The network itself where ``layouts_of`` gives one layout only.
    """
    if CHANNELS_LAST not in layouts_of(network):
        return network
    ready = deepcopy(network, {id(tensor): tensor for tensor in chain(network.parameters(), network.buffers())})
    fold_norms(ready)
    if layout == CHANNELS_LAST:
        _lay_channels_last(ready)
    if layout == CHANNELS_LAST and can_pack(autocast):
        pack(ready, autocast)
    for module in ready.modules():
        if isinstance(module, CONVOLUTIONS) and not is_parametrized(module):  # low-rank adapters, in training
            _cast(module, autocast, layout)
    return ready


def ready(network: torch.nn.Module, autocast: torch.dtype | None, layout: str = CHANNELS_LAST) -> torch.nn.Module:
    """The network ``prepared`` once, for all runs: of a network whose weights stay what they are."""
    known = _READY.setdefault(network, {})
    found = known.get((autocast, layout))
    if found is None:
        found = prepared(network, autocast, layout)
        if found is not network:  # which would keep itself alive
            known[autocast, layout] = found
    return found


def _lay_channels_last(ready: torch.nn.Module) -> None:
    """Put layers in the place of those that leave this layout."""
    for module in list(ready.modules()):
        for name, child in module.named_children():
            if (faster := in_eighths(child)) is not None:
                setattr(module, name, faster)
            if isinstance(child, INSTANCE_NORMS) and not child.track_running_stats:
                setattr(module, name, _ChannelsLastNorm(child))


def _cast(module: torch.nn.Module, dtype: torch.dtype | None, layout: str) -> None:
    """Give a convolution parameters of its own, in the layout and type that it computes in."""
    weight = module.weight
    assert isinstance(weight, torch.Tensor)
    last = torch.channels_last_3d if weight.dim() == 5 else torch.channels_last
    memory = last if layout == CHANNELS_LAST else torch.contiguous_format
    module.weight = nn.Parameter(weight.detach().to(dtype or weight.dtype, memory_format=memory), requires_grad=False)
    if isinstance(module.bias, torch.Tensor):
        module.bias = nn.Parameter(module.bias.detach().to(dtype or weight.dtype), requires_grad=False)


class _ChannelsLastNorm(nn.Module):
    """Instance normalisation that leaves tensors in their layout."""

    def __init__(self, norm: nn.InstanceNorm2d | nn.InstanceNorm3d) -> None:
        super().__init__()
        self.num_features, self.eps = norm.num_features, norm.eps
        self.weight, self.bias = norm.weight, norm.bias

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Each channel of each image with mean 0 and standard deviation 1, scaled and shifted."""
        few = image[0, 0].numel() < FEWEST_VOXELS
        if len(image) == 1 and (few or (self.num_features > FEWEST_CHANNELS and self.num_features % EVEN_CHANNELS)):
            return functional.batch_norm(image, None, None, self.weight, self.bias, training=True, eps=self.eps)
        if few or self.num_features < FEWEST_CHANNELS:
            return functional.instance_norm(image, weight=self.weight, bias=self.bias, eps=self.eps)
        return functional.group_norm(image, self.num_features, self.weight, self.bias, self.eps)
