"""Batch normalisation folded into the convolution before it: one layer less over every voxel, the same sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeGuard

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)
BATCH_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Dropout3d)
"""Layers that do nothing outside training."""

Convolution = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d
Place = tuple[nn.Module, str, nn.Module]
"""Of a layer: what holds it, its name there, and the layer."""


def fold_norms(network: nn.Module) -> None:
    """Put convolutions that do what a batch normalisation behind them did in their place; identities take its place.

    In sequences only, whose order is known, also across nested ones; in evaluation only, where the normalisation is
    the same for all images. Layers that stand in several places are left.
    """
    times = Counter(id(layer) for _, layer in network.named_modules(remove_duplicate=False))
    for sequence in [module for module in network.modules() if is_sequence(module)]:
        places = [place for place in in_order(sequence) if not isinstance(place[2], NOTHING)]
        for (holder, name, convolution), (norm_holder, norm_name, norm) in pairwise(places):
            if not isinstance(convolution, CONVOLUTIONS) or not isinstance(norm, BATCH_NORMS):
                continue
            if times[id(convolution)] == times[id(norm)] == 1 and _foldable(convolution, norm):
                setattr(holder, name, fuse_conv_bn_eval(convolution, norm, isinstance(convolution, TRANSPOSED)))
                setattr(norm_holder, norm_name, nn.Identity())


def is_sequence(layer: nn.Module) -> TypeGuard[nn.Sequential]:
    """Whether it is its parts, one after the other (MONAI's ``Convolution`` is, and its ``ADN``)."""
    return isinstance(layer, nn.Sequential) and type(layer).forward is nn.Sequential.forward


def is_residual_unit(layer: nn.Module) -> bool:
    """Whether it is MONAI's: ``conv`` plus ``residual``. Known by its name, as MONAI is not imported here."""
    return (type(layer).__module__, type(layer).__name__) == ("monai.networks.blocks.convolutions", "ResidualUnit")


def in_order(sequence: nn.Sequential) -> Iterator[Place]:
    """The layers of a sequence and of the sequences in it, as they are gone through."""
    for name, layer in sequence.named_modules(remove_duplicate=False):
        if is_sequence(layer) and layer is not sequence and "." not in name:
            yield from in_order(layer)
        elif name and "." not in name:
            yield sequence, name, layer


def _foldable(convolution: Convolution, norm: nn.BatchNorm2d | nn.BatchNorm3d) -> bool:
    return (
        norm.running_mean is not None
        and not (convolution.training or norm.training)
        and convolution.out_channels == norm.num_features
        and (convolution.groups == 1 or not isinstance(convolution, TRANSPOSED))
        and not is_parametrized(convolution)
    )
