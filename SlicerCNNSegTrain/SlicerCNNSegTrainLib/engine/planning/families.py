"""Networks that a plan can size: definitions by name, width and window.

Each family makes a definition as bundles hold it (``engine/networks.py``). ``dynunet`` follows the
window's shape and spacing; the others halve all axes alike and say what a window must be a multiple of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from SlicerCNNSegLib.engine.errors import SettingsError

from .topology import Axes, topology_of

Definition = dict[str, Any]

DEFAULT = "dynunet"

GROWTH = 8
"""Filters grow up to this multiple of the finest level's: 256 for nnU-Net's 32 (whose own limit is 320)."""

FEWEST_LEVELS = 3
"""What DynUNet asks for."""

SUPERVISED = ((9, 2), (21, 1))
"""Up to so many classes, so many levels below the finest are learned, too. DynUNet brings them all to full size:
with many classes they would take more time and memory than the network."""

CNN_RATE, TRANSFORMER_RATE = 1e-3, 2e-4
"""Learning rates of AdamW: the shipped recipe's, and that of MONAI's Swin UNETR, twice, for short runs."""


@dataclass(frozen=True)
class Case:
    """What a network is asked for.

    Parameters
    ----------
    window, spacing_mm:
        Along two or three axes.
    channels, classes:
        Of input and output; background is a class.
    """

    window: Axes
    spacing_mm: tuple[float, ...]
    channels: int
    classes: int

    @property
    def ends(self) -> Definition:
        """Arguments that all of MONAI's networks have."""
        return {"spatial_dims": len(self.window), "in_channels": self.channels, "out_channels": self.classes}


@dataclass(frozen=True)
class Family:
    """One kind of network.

    Parameters
    ----------
    widths:
        Filters of the finest level that may be chosen, the widest first.
    divisor:
        What a window must be a multiple of; 0 follows the window (``topology.py``).
    define:
        Makes the definition of a width.
    learning_rate:
        That suits it.
    """

    widths: tuple[int, ...]
    divisor: int
    define: Callable[[Case, int], Definition]
    learning_rate: float = CNN_RATE


def family_of(name: str) -> Family:
    """The family of that name, in any case (``SegResNet``).

    Raises
    ------
    SettingsError
        No such network can be planned; the message lists those that can.
    """
    try:
        return FAMILIES[name.lower()]
    except KeyError:
        raise SettingsError(
            f"No plan is known for the network {name!r}; expected one of {', '.join(FAMILIES)}."
        ) from None


def _dynunet(case: Case, width: int) -> Definition:
    topology = topology_of(case.window, case.spacing_mm)
    strides, kernels = list(topology.strides), list(topology.kernels)
    while len(strides) < FEWEST_LEVELS:  # a window of a few voxels
        strides.append((1,) * len(case.window))
        kernels.append((3,) * len(case.window))
    wanted = next((levels for classes, levels in SUPERVISED if case.classes <= classes), 0)
    supervised = min(wanted, len(strides) - 2)
    return {
        "_target_": "monai.networks.nets.DynUNet",
        **case.ends,
        "kernel_size": _plain(kernels),
        "strides": _plain(strides),
        "upsample_kernel_size": _plain(strides[1:]),
        "filters": _filters(width, len(strides)),
        "norm_name": "instance",
        "deep_supervision": supervised > 0,
        "deep_supr_num": max(1, supervised),
    }


def _segresnet(case: Case, width: int) -> Definition:
    return {"_target_": "monai.networks.nets.SegResNet", **case.ends, "init_filters": width}


def _unet(case: Case, width: int) -> Definition:
    own = {"channels": _filters(width, 5), "strides": [2] * 4, "num_res_units": 2}
    return {"_target_": "monai.networks.nets.UNet", **case.ends, **own}


def _attention_unet(case: Case, width: int) -> Definition:
    own = {"channels": _filters(width, 5), "strides": [2] * 4}
    return {"_target_": "monai.networks.nets.AttentionUnet", **case.ends, **own}


def _basic_unet(case: Case, width: int) -> Definition:
    return {"_target_": "monai.networks.nets.BasicUNet", **case.ends, "features": [*_filters(width, 5), width]}


def _swin_unetr(case: Case, width: int) -> Definition:
    return {"_target_": "monai.networks.nets.SwinUNETR", **case.ends, "feature_size": width}


def _filters(width: int, levels: int) -> list[int]:
    return [min(width * 2**level, width * GROWTH) for level in range(levels)]


def _plain(levels: Sequence[Axes]) -> list[Any]:
    """Levels with one number where all axes are alike, as people write them."""
    return [axes[0] if len(set(axes)) == 1 else list(axes) for axes in levels]


FAMILIES: Mapping[str, Family] = {
    DEFAULT: Family((32, 24, 16, 12, 8), 0, _dynunet),
    "segresnet": Family((32, 24, 16, 8), 8, _segresnet),
    "unet": Family((48, 32, 24, 16, 8), 16, _unet),
    "attentionunet": Family((32, 24, 16, 8), 16, _attention_unet),
    "basicunet": Family((32, 24, 16, 8), 16, _basic_unet),
    "swinunetr": Family((48, 36, 24, 12), 32, _swin_unetr, TRANSFORMER_RATE),
}
