"""Networks over an image, plane by plane, so that the classes' scores of the whole image are never held.

Everything here is in network space, ``(channel, x, y, z)``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import torch
from torch.nn.functional import pad

from ..lanes import UnderWay
from ..progress import Progress, advance
from .blank import stand_ins
from .grid import Grid, Triple, blending_weights
from .inferer import Inferer
from .ring import Ring

MOST_AHEAD = 64 * 2**20
"""Bytes of a batch's scores up to which the next batch is begun before they are added up: then both are held."""

LARGE = 2**19
"""Voxels of a window above which two at once are slower than one after the other: 1.9 against 1.5 s of processors for
a window of 96x96x96 in a SegResNet of 32 channels in half precision. What a thread's layers give is then more than the
64 MB that glibc keeps for it, and the system zeroes it anew each time. In float32 it takes the same time, and less
memory: 0.76 against 0.86 GiB for a U-Net over 144x144x144 voxels. Batches of more than there are threads would then
be held for nothing."""


@dataclass(frozen=True)
class Planes:
    """Scores or probabilities of an image's classes, one plane after the other.

    Parameters
    ----------
    size:
        Of the image, (x, y, z).
    axis:
        The axis (0, 1, 2) across which the planes lie.
    each:
        The planes in order, shape (class, a, b): float32, of the two other axes. Can be gone through once.
    """

    size: Triple
    axis: int
    each: Iterator[torch.Tensor]


def predict_planes(
    image: torch.Tensor,
    networks: Sequence[torch.nn.Module],
    inferer: Inferer,
    progress: Progress,
    *,
    mirror: bool = False,
    stitch_device: torch.device | None = None,
    autocast: torch.dtype | None = None,
    probabilities: bool = True,
) -> Planes:
    """Softmax probabilities averaged over networks and mirrorings, worked out as they are asked for.

    Parameters
    ----------
    image:
        ``(channel, x, y, z)`` float32, preprocessed.
    networks:
        Ensemble members, all on the device to compute on; faster where ``windows.network`` has prepared them for
        ``autocast``.
    progress:
        Reported per batch of windows; a cancellation is seen at each.
    mirror:
        Average over ``inferer.mirrorings``.
    stitch_device:
        Where windows are added up; None: where they are computed.
    autocast:
        bfloat16 or float16 for autocast, None for float32. Windows are added up in float32.
    probabilities:
        False where the order of the classes is enough: a single pass then gives scores before the softmax.

    Returns
    -------
    Planes
        On the stitch device; class 0 is background. Going through them raises ``Cancelled`` when the user asked to
        stop.
    """
    device = next(networks[0].parameters()).device
    stacked = _with_neighbours(image, inferer.slices) if inferer.slices else image
    size: Triple = tuple(image.shape[1:])  # type: ignore[assignment]
    passes = [(network, axes) for network in networks for axes in inferer.mirrorings(mirror)]
    grid = Grid.over(size, inferer)
    if device.type == "cpu" and math.prod(inferer.window) > LARGE:
        inferer = replace(inferer, batch=min(inferer.batch, torch.get_num_threads()))
    predict = _Predictor(inferer, device, autocast, progress, len(passes) * math.ceil(len(grid) / inferer.batch))

    def scores(network: torch.nn.Module, axes: tuple[int, ...]) -> Iterator[torch.Tensor]:
        return _mean_scores(stacked, network, axes, predict, stitch_device or device)

    if len(passes) == 1 and not probabilities:
        each = scores(*passes[0])
    else:
        # side by side each pass holds a window's depth of planes; where that is more, all planes of one sum are held
        side_by_side = len(passes) * grid.window[grid.axis] <= size[grid.axis]
        average = _average if side_by_side else _average_one_by_one
        each = average([_softmax(scores(*one)) for one in passes])
    return Planes(size, grid.axis, each)


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
    """The planes of ``predict_planes`` in one tensor ``(class, x, y, z)``; raises ``Cancelled``."""
    planes = predict_planes(
        image, networks, inferer, progress, mirror=mirror, stitch_device=stitch_device, autocast=autocast
    )
    return torch.stack(list(planes.each), dim=planes.axis + 1)


@dataclass
class _Predictor:
    """A network on a batch of windows, counted.

    ``inferer.slices`` sends windows of one slice to a 2-D network; ``batches`` is how many there will be.
    """

    inferer: Inferer
    device: torch.device
    autocast: torch.dtype | None
    progress: Progress
    batches: int
    done: int = 0

    def each(
        self, network: torch.nn.Module, batches: Iterable[torch.Tensor], axes: tuple[int, ...]
    ) -> Iterator[list[torch.Tensor]]:
        """The scores of each batch's windows, while the next batch is under way; not where the scores are large.

        ``axes`` are reversed before the network and after it.
        """
        scores_of = partial(self._scores, network, axes)
        singly = math.prod(self.inferer.window) > LARGE
        begun = (UnderWay(scores_of, self._sent(batch), singly=singly) for batch in batches)
        now, following, large = next(begun, None), None, True
        try:
            while now is not None:
                following = None if large else next(begun, None)
                scores = [one for part in now.results() for one in part]
                self.done += 1
                advance(self.progress, min(1.0, self.done / self.batches), "Running the network")
                large = sum(one.nbytes for one in scores) > MOST_AHEAD
                yield scores
                del scores
                now, following = following or next(begun, None), None
        finally:
            for one in (now, following):
                if one is not None:
                    one.drop()

    def _sent(self, batch: torch.Tensor) -> torch.Tensor:
        """On the device; to CUDA from pinned memory, so that nothing waits for the transfer but its own batch."""
        if self.device.type == "cuda":
            return batch.pin_memory().to(self.device, non_blocking=True)
        return batch.to(self.device)

    def _scores(self, network: torch.nn.Module, axes: tuple[int, ...], windows: torch.Tensor) -> torch.Tensor:
        dims = [axis + 2 for axis in axes]
        windows = windows.flip(dims) if dims else windows
        with torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            found: torch.Tensor = network(windows[..., 0])[..., None] if self.inferer.slices else network(windows)
        return found.flip(dims) if dims else found


def _mean_scores(
    image: torch.Tensor, network: torch.nn.Module, axes: tuple[int, ...], predict: _Predictor, device: torch.device
) -> Iterator[torch.Tensor]:
    """One pass: windows' scores blended, plane by plane."""
    inferer = predict.inferer
    grid = Grid.over(tuple(image.shape[1:]), inferer, axes)
    margins = [n for axis in (2, 1, 0) for n in (grid.before[axis], grid.after[axis])]
    padded = pad(image, margins) if any(margins) else image  # which would copy it for nothing
    first, *others = sorted(range(3), key=lambda axis: axis != grid.axis)
    weights = blending_weights(grid.window, device).movedim(first, 0)
    ring = Ring(weights, (grid.size[others[0]], grid.size[others[1]]))
    inside = [slice(grid.before[axis], grid.size[axis] - grid.after[axis]) for axis in range(3)]
    finished, alike = 0, stand_ins(padded, grid)
    seen = (start for start in grid.windows() if start not in alike)
    batches = list(iter(lambda: list(islice(seen, inferer.batch)), []))
    predict.done += math.ceil(len(grid) / inferer.batch) - len(batches)
    windows = (torch.stack([grid.cut(padded, start) for start in batch]) for batch in batches)

    def finish(until: int) -> Iterator[torch.Tensor]:
        for plane in range(finished, until):
            mean = ring.take(plane)
            if inside[first].start <= plane < inside[first].stop:
                yield mean[:, inside[others[0]], inside[others[1]]]

    found, wanted = _one_by_one(predict.each(network, windows, axes)), set(alike.values())
    kept: dict[Triple, torch.Tensor] = {}
    for start in grid.windows():
        scores = kept[alike[start]] if start in alike else next(found)
        if start in wanted:
            kept[start] = scores
        yield from finish(start[first])
        finished = max(finished, start[first])
        ring.add(scores.movedim(first + 1, 0), (start[first], start[others[0]], start[others[1]]))
        del scores
    yield from finish(grid.size[first])


def _one_by_one(batches: Iterable[list[torch.Tensor]]) -> Iterator[torch.Tensor]:
    """Scores of windows, none of which is held: with many classes they are larger than all that the network needs."""
    for scores in batches:
        while scores:
            yield scores.pop(0)


def _softmax(planes: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    return (torch.softmax(plane, dim=0) for plane in planes)


def _average(passes: Sequence[Iterator[torch.Tensor]]) -> Iterator[torch.Tensor]:
    """The mean of passes that go on side by side."""
    for first, *others in zip(*passes, strict=True):
        for other in others:
            first.add_(other)
        yield first.div_(len(passes))


def _average_one_by_one(passes: Sequence[Iterator[torch.Tensor]]) -> Iterator[torch.Tensor]:
    """The mean of passes, one after the other, added up for the whole image."""
    first, *others = passes
    total = list(first)
    for other in others:
        for sums, plane in zip(total, other, strict=True):
            sums.add_(plane)
    for sums in total:
        yield sums.div_(len(passes))


def _with_neighbours(image: torch.Tensor, slices: int) -> torch.Tensor:
    """Each slice's neighbours along z as channels: ``(channel * slices, x, y, z)``, edges repeated."""
    reach = slices // 2
    if reach == 0:
        return image
    padded = pad(image[None], (reach, reach, 0, 0, 0, 0), mode="replicate")[0]
    depth = image.shape[-1]
    return torch.cat([padded[..., shift : shift + depth] for shift in range(slices)])
