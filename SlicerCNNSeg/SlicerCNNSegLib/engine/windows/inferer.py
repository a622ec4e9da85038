"""How a model goes over an image, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ModelError
from ..mirrorings import mirrorings

BATCH = 4
"""Windows per forward pass, where the bundle does not say; the memory ladder halves it when needed."""


@dataclass(frozen=True)
class Inferer:
    """How a model goes over an image, as data.

    Parameters
    ----------
    window:
        Size along network space's axes. A 2-D network has a third size of 1.
    overlap:
        Share of a window that its neighbour covers.
    batch:
        Windows per forward pass.
    mirror_axes:
        Axes (0, 1, 2) along which the model was trained with mirroring.
    slices:
        0 for a 3-D network; for a 2-D network the number of neighbouring slices (odd) that are
        stacked as its channels: 1 for plain 2-D, 3 or more for 2.5-D.
    """

    window: tuple[int, int, int]
    overlap: float = 0.5
    batch: int = BATCH
    mirror_axes: tuple[int, ...] = ()
    slices: int = 0

    @classmethod
    def from_config(cls, inference: Mapping[str, Any]) -> Inferer:
        """From ``configs/inference.json``: MONAI's ``inferer``, and ``cnnseg`` for what MONAI has no key for.

        Raises
        ------
        ModelError
            The inferer is not MONAI's SlidingWindowInferer, or a value is impossible.
        """
        config, own = inference.get("inferer", {}), inference.get("cnnseg", {})
        if str(config.get("_target_", "")).rpartition(".")[2] != "SlidingWindowInferer":
            raise ModelError(
                f"Expected a SlidingWindowInferer in configs/inference.json, got {config.get('_target_')!r}."
            )
        slices = int(own.get("slices", 0))
        window = tuple(int(n) for n in config["roi_size"])
        window = (*window, 1) if slices and len(window) == 2 else window
        if len(window) != 3 or min(window) < 1 or (slices and (slices % 2 == 0 or window[2] != 1)):
            raise ModelError(
                f"Expected a window of three sizes (two for 2-D) and odd slices, got {window} and {slices}."
            )
        return cls(
            window,
            float(config.get("overlap", 0.25)),
            int(config.get("sw_batch_size", BATCH)),
            tuple(int(axis) for axis in own.get("mirror_axes", ())),
            slices,
        )

    def mirrorings(self, mirror: bool) -> tuple[tuple[int, ...], ...]:
        """The sets of axes to reverse: none only, or every combination of ``mirror_axes``."""
        return mirrorings(self.mirror_axes if mirror else ())
