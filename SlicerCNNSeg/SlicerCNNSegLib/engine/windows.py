"""A network over a whole image: windows, blending, mirroring, ensembles.

Everything here is in network space, ``(channel, x, y, z)``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from monai.data.utils import dense_patch_slices
from monai.inferers import sliding_window_inference
from torch.nn.functional import pad

from .errors import ModelError
from .progress import Progress, advance

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
        if not mirror:
            return ((),)
        return tuple(c for n in range(len(self.mirror_axes) + 1) for c in combinations(self.mirror_axes, n))


def class_probabilities(
    image: torch.Tensor,
    networks: Sequence[torch.nn.Module],
    inferer: Inferer,
    progress: Progress,
    *,
    mirror: bool = False,
    stitch_device: torch.device | None = None,
    autocast: torch.dtype | None = None,
) -> torch.Tensor:
    """Softmax probabilities averaged over networks and mirrorings.

    Parameters
    ----------
    image:
        ``(channel, x, y, z)`` float32, preprocessed.
    networks:
        Ensemble members, all on the device to compute on.
    progress:
        Reported per batch of windows; a cancellation is seen at each.
    mirror:
        Average over ``inferer.mirrorings``.
    stitch_device:
        Where windows are added up; None: where they are computed.
    autocast:
        bfloat16 or float16 for autocast, None for float32.

    Returns
    -------
    torch.Tensor
        ``(class, x, y, z)`` float32 on the stitch device; class 0 is background.

    Raises
    ------
    Cancelled
        The user asked to stop.
    """
    device = next(networks[0].parameters()).device
    stacked = _with_neighbours(image, inferer.slices) if inferer.slices else image
    passes = [(network, axes) for network in networks for axes in inferer.mirrorings(mirror)]
    batches = math.ceil(_count_windows(tuple(image.shape[1:]), inferer) / inferer.batch)
    predict = _Predictor(networks[0], inferer.slices > 0, autocast, progress, batches * len(passes))
    total: torch.Tensor | None = None
    for network, axes in passes:
        predict.network = network
        dims = [axis + 1 for axis in axes]
        scores = sliding_window_inference(
            stacked.flip(dims)[None],
            inferer.window,
            inferer.batch,
            predict,
            overlap=inferer.overlap,
            mode="gaussian",
            sw_device=device,
            device=stitch_device or device,
        )
        probabilities = torch.softmax(scores[0], dim=0).flip(dims)
        total = probabilities if total is None else total.add_(probabilities)
    assert total is not None
    return total.div_(len(passes))


@dataclass
class _Predictor:
    """A network on a batch of windows, counted.

    ``flat`` windows of one slice go to a 2-D network; ``batches`` is how many there will be.
    """

    network: torch.nn.Module
    flat: bool
    autocast: torch.dtype | None
    progress: Progress
    batches: int
    done: int = 0

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        with torch.autocast(windows.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            scores = self.network(windows[..., 0])[..., None] if self.flat else self.network(windows)
        self.done += 1
        advance(self.progress, self.done / self.batches, "Running the network")
        return scores.float()


def _count_windows(size: tuple[int, ...], inferer: Inferer) -> int:
    padded = [max(n, w) for n, w in zip(size, inferer.window, strict=True)]
    intervals = [
        w if w == n else max(1, int(w * (1 - inferer.overlap))) for n, w in zip(padded, inferer.window, strict=True)
    ]
    return len(dense_patch_slices(padded, inferer.window, intervals))


def _with_neighbours(image: torch.Tensor, slices: int) -> torch.Tensor:
    """Each slice's neighbours along z as channels: ``(channel * slices, x, y, z)``, edges repeated."""
    reach = slices // 2
    if reach == 0:
        return image
    padded = pad(image[None], (reach, reach, 0, 0, 0, 0), mode="replicate")[0]
    depth = image.shape[-1]
    return torch.cat([padded[..., shift : shift + depth] for shift in range(slices)])
