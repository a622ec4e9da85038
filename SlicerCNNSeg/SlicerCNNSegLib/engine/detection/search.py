"""A detector over a whole image: windows where there is something to search, and their boxes made one list (heavy).

Everything is in network space; boxes are voxel indices ``xyzxyz``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from ..findings.merging import best_of_windows, fused
from ..lanes import UnderWay
from ..progress import Progress, SubProgress, advance
from .anchors import CODER, Levels, anchors_in, flat

MOST_CANDIDATES = 100
"""Of one image; LUNA16 judges no more either."""

MOST_IN_WINDOW = 300
"""Boxes of a window that are looked at, the best ones: before merging, each object has several."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """What was found: ``boxes`` of shape (n, 6) and ``scores`` of shape (n,), 0..1, the best first."""

    boxes: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Search:
    """How a detector goes over an image.

    Parameters
    ----------
    anchors:
        By level, in voxels.
    window:
        Voxels along network space's axes.
    overlap:
        Share of a window that its neighbour covers.
    candidate_score:
        Lower ones are left out.
    merge_overlap:
        Intersection over union from which on two boxes are one.
    spacing_mm:
        Of network space.
    batch:
        Windows per forward pass.
    """

    anchors: Levels
    window: tuple[int, int, int]
    overlap: float = 0.25
    candidate_score: float = 0.05
    merge_overlap: float = 0.1
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    batch: int = 4

    def windows(
        self, size: Sequence[int], where: np.ndarray | None, within: np.ndarray | None = None
    ) -> list[tuple[int, int, int]]:
        """First voxels of the windows that hold something of ``where``, a mask ``(x, y, z)``; of all without one.

        With the mask ``within``, those of them that hold something of it; they lie as without it.
        """
        low, high = np.zeros(3, dtype=int), np.array(size)
        if where is not None:
            inside = np.argwhere(where)
            if not len(inside):
                return []
            low, high = inside.min(axis=0) - self.margin, inside.max(axis=0) + 1 + self.margin
        first, second, third = (self._starts(a, b, w) for a, b, w in zip(low, high, self.window, strict=True))
        starts = product(first, second, third)
        masks = [mask for mask in (where, within) if mask is not None]
        return [one for one in starts if all(mask[tuple(_part(one, self.window))].any() for mask in masks)]

    @property
    def margin(self) -> np.ndarray:
        """Voxels along a window's sides whose objects are left to the neighbour."""
        return np.asarray(np.floor(self.overlap / 2 * np.array(self.window)), dtype=int)

    def _starts(self, low: int, high: int, width: int) -> list[int]:
        """Evenly spread from one end to the other, overlapping by at least ``overlap``."""
        room = int(high - low) - width
        if room <= 0:
            return [int(low) + room // 2]
        count = int(np.ceil(room / max(1, int(width * (1 - self.overlap))))) + 1
        return [int(low) + round(room * n / (count - 1)) for n in range(count)]


def search(
    image: torch.Tensor,
    networks: Sequence[torch.nn.Module],
    how: Search,
    progress: Progress,
    *,
    mirrorings: Sequence[tuple[int, ...]] = ((),),
    where: np.ndarray | None = None,
    within: np.ndarray | None = None,
    autocast: torch.dtype | None = None,
) -> Boxes:
    """Find objects in an image.

    Parameters
    ----------
    image:
        ``(channel, x, y, z)`` float32, preprocessed.
    networks:
        Members of an ensemble, all on the device to compute on; their boxes are fused.
    mirrorings:
        Sets of spatial axes (0, 1, 2); each network looks at the image reversed along each, and boxes are fused.
    where:
        Mask ``(x, y, z)``: only windows that hold something of it are looked at, and only boxes with their middle in
        it are kept. None looks everywhere.
    within:
        Mask ``(x, y, z)`` of a region: of all that is found, what has its middle there. Windows lie as without it,
        those that hold nothing of it are left out, so that a search of a part gives what one of the whole gives there.
    autocast:
        bfloat16 or float16 for autocast, None for float32.

    Raises
    ------
    Cancelled
        The user asked to stop.
    """
    pairs = list(product(networks, mirrorings))
    passes = []
    for number, (network, axes) in enumerate(pairs):
        share = SubProgress(progress, number / len(pairs), (number + 1) / len(pairs))
        passes.append(_mirrored_pass(image, network, how, axes, where, within, autocast, share))
    if len(passes) == 1:
        return passes[0]
    none = [np.zeros(len(one.scores), dtype=int) for one in passes]
    boxes, scores, _ = fused(
        [(one.boxes, one.scores, classes) for one, classes in zip(passes, none, strict=True)],
        threshold=how.merge_overlap,
        spacing_mm=how.spacing_mm,
    )
    kept = np.flatnonzero(scores >= how.candidate_score)[:MOST_CANDIDATES]
    return Boxes(boxes[kept], scores[kept])


def _mirrored_pass(
    image: torch.Tensor,
    network: torch.nn.Module,
    how: Search,
    axes: tuple[int, ...],
    where: np.ndarray | None,
    within: np.ndarray | None,
    autocast: torch.dtype | None,
    progress: Progress,
) -> Boxes:
    """What a network finds in the image reversed along these axes, in the image's own indices."""
    where, within = (mask if mask is None else np.flip(mask, axes) for mask in (where, within))
    image = image.flip([axis + 1 for axis in axes])
    starts = how.windows(tuple(image.shape[1:]), where, within)
    found = [(np.empty((0, 6)), np.empty(0))]
    for first in range(0, len(starts), how.batch):
        advance(progress, first / len(starts), "Searching")
        found += _in_windows(image, network, how, starts[first : first + how.batch], autocast)
    boxes = _merged(found, how, where, within)
    for axis in axes:
        last = image.shape[axis + 1] - 1
        boxes.boxes[:, [axis, axis + 3]] = last - boxes.boxes[:, [axis + 3, axis]]
    return boxes


def _in_windows(
    image: torch.Tensor,
    network: torch.nn.Module,
    how: Search,
    starts: Sequence[tuple[int, int, int]],
    autocast: torch.dtype | None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Boxes, in the image's indices, and scores of each window."""
    device = next(network.parameters()).device
    batch = torch.stack([cut_window(image, start, how.window) for start in starts]).to(device)

    def maps(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast(device.type, autocast, enabled=autocast is not None):
            return flat(network(part), len(how.anchors[0]))

    scores, offsets = (torch.cat(parts) for parts in zip(*UnderWay(maps, batch).results(), strict=True))
    anchors = anchors_in(how.anchors, how.window)[0].to(device)
    found = []
    for start, logits, offset in zip(starts, scores, offsets, strict=True):
        probabilities = logits[:, 0].sigmoid()
        best, rows = probabilities.topk(min(MOST_IN_WINDOW, len(probabilities)))
        rows = rows[best >= how.candidate_score]
        boxes = CODER.decode_single(offset[rows], anchors[rows]).double().cpu().numpy()
        inner = _well_inside(boxes, start, tuple(image.shape[1:]), how)
        moved = boxes[inner] + np.tile(np.array(start, dtype=np.float64), 2)
        found.append((moved, probabilities[rows].double().cpu().numpy()[inner]))
    return found


def _well_inside(boxes: np.ndarray, start: Sequence[int], size: Sequence[int], how: Search) -> np.ndarray:
    """Which boxes of a window have their middle in the image and away from the window's sides.

    Beside those a neighbour sees more of them, but not beside the image's own sides.
    """
    middles = (boxes[:, :3] + boxes[:, 3:]) / 2
    window, first, end = np.array(how.window), np.array(start), np.array(size) - start
    low = np.where(first <= 0, -first - 0.5, how.margin - 1)
    high = np.where(window >= end, end - 0.5, window - how.margin)
    return np.asarray(((middles >= low) & (middles <= high)).all(axis=1))


def _merged(
    found: Sequence[tuple[np.ndarray, np.ndarray]], how: Search, where: np.ndarray | None, within: np.ndarray | None
) -> Boxes:
    """The boxes of all windows as one list: each object once, the best first."""
    boxes, scores = (np.concatenate([pair[n] for pair in found]) for n in (0, 1))
    sound = np.isfinite(boxes).all(axis=1) & (boxes[:, :3] < boxes[:, 3:]).all(axis=1)
    if where is not None:
        sound &= _have_middle_in(boxes, where)
    boxes, scores = boxes[sound], scores[sound]
    kept = best_of_windows(boxes, scores, np.zeros(len(scores)), threshold=how.merge_overlap, spacing_mm=how.spacing_mm)
    if within is not None:
        kept = kept[_have_middle_in(boxes[kept], within)]
    return Boxes(boxes[kept[:MOST_CANDIDATES]], scores[kept[:MOST_CANDIDATES]])


def _have_middle_in(boxes: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Which of the boxes, all with their middle in the image, have it in the mask."""
    middles = np.rint((boxes[:, :3] + boxes[:, 3:]) / 2)
    middles = np.clip(np.nan_to_num(middles), 0, np.array(mask.shape) - 1).astype(int)  # .5 beyond is the last voxel
    return np.asarray(mask[tuple(middles.T)], dtype=bool)


def _part(start: Sequence[int], window: Sequence[int]) -> list[slice]:
    return [slice(max(0, a), a + n) for a, n in zip(start, window, strict=True)]


def cut_window(image: torch.Tensor, start: Sequence[int], window: Sequence[int]) -> torch.Tensor:
    """A window of the image; beyond its sides the nearest voxels are repeated."""
    axes = [
        torch.arange(a, a + n).clamp(0, size - 1) for a, n, size in zip(start, window, image.shape[1:], strict=True)
    ]
    return image[:, axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]]
