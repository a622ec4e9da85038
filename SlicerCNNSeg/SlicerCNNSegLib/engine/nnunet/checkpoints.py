"""nnU-Net's checkpoints: tensors and a few facts, read without running anything that they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ..bundles.checkpoints import read_tensors
from ..errors import WeightsError
from ..store.torch_files import check_torch_file

PREFIXES = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before names."""

ALIASES = (".all_modules.", "decoder.encoder.")
"""Parts of names under which nnU-Net's networks hold a tensor a second time."""

SIDE_HEADS = "decoder.seg_layers."
"""Layers that give scores, the coarsest level first; the last one is the network's own."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint says.

    Parameters
    ----------
    trainer, configuration:
        Names that nnU-Net recorded.
    mirror_axes:
        Axes of a window along which it may be mirrored.
    weights:
        By the names of ``networks/nnunet.py``.
    """

    trainer: str
    configuration: str
    mirror_axes: tuple[int, ...]
    weights: Mapping[str, torch.Tensor]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read ``checkpoint_*.pth``.

    It must hold tensors, plain containers, texts and numbers; numpy's numbers, which nnU-Net's log has, are the only
    other thing that is let through.

    Raises
    ------
    WeightsError
        It is damaged, holds something else, or is no checkpoint of nnU-Net.
    """
    check_torch_file(path, with_numbers=True)
    found = read_tensors(path, with_arrays=True)
    try:
        return Checkpoint(
            str(found["trainer_name"]),
            str(found["init_args"]["configuration"]),
            tuple(int(axis) for axis in found.get("inference_allowed_mirroring_axes") or ()),
            _renamed(found["network_weights"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"{path} is no checkpoint of nnU-Net v2 ({error!r}); copy the model again.") from error


def _renamed(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors once each, by our names."""
    found: dict[str, torch.Tensor] = {}
    heads: dict[int, dict[str, torch.Tensor]] = {}
    for given, tensor in state.items():
        name = given
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        if any(alias in name for alias in ALIASES):
            continue
        if name.startswith(SIDE_HEADS):
            level, _, part = name.removeprefix(SIDE_HEADS).partition(".")
            heads.setdefault(int(level), {})[f"head.{part}"] = tensor
        else:
            found[name] = tensor
    return {**found, **heads[max(heads)]}
