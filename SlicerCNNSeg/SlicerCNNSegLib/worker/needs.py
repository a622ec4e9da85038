"""How much memory the next run of a model needs, before it begins.

What the process holds besides the image, and what a network works in, is taken from the model's last run on this
computer; what is held of an image, from how the engine holds it (``docs/adr/0007-planes-of-probabilities.md``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..engine.nnunet.plan import NnunetPlan
from ..engine.package import NNUNET, OWN, ModelPackage
from .last_runs import LastRun, Looked

LIBRARIES_BYTES = 280 * 2**20
"""A worker with PyTorch for a CPU, before it has loaded a model (Linux): what a first run takes at least."""

ABOUT, AT_LEAST, LAST_RUN = "about", "at least", "last run"
"""How a number is meant: for this image; without what the network works in; of the last run, whatever its image was."""

FLOAT_BYTES, HALF_BYTES = 4, 2
PREPARING_COPIES, RUNNING_COPIES = 3, 2
"""Of the image in network space: while it is resampled and normalised; while it is padded and cut into windows."""

LABELMAPS = 2
"""Of a byte a voxel: in network space's order, and in the image's."""

NNUNET_OVERLAP = 0.5
"""As ``nnunet/windows.py`` has it."""


@dataclass(frozen=True)
class Need:
    """Bytes of a run's process and of the graphics card (0: none, or not known), and how they are meant."""

    process: int
    card: int
    meant: str


@dataclass(frozen=True)
class Windows:
    """How a model goes over an image, along R, A, S.

    Parameters
    ----------
    spacing_mm:
        Of network space; 0 keeps the image's own.
    size, overlap, batch:
        Of the windows.
    whole_sums:
        Whether scores are added up for the whole image, in half precision; else for a window's depth of planes.
    """

    spacing_mm: tuple[float, ...]
    size: tuple[float, ...]
    overlap: float
    batch: int
    whole_sums: bool = False


@dataclass(frozen=True)
class Held:
    """What is held of an image, in bytes.

    Parameters
    ----------
    preparing:
        While it is resampled, before the network runs.
    running:
        While the network runs: images and labelmaps.
    scores:
        While the network runs: sums of scores, on the graphics card where one is used.
    windows:
        How many windows go through the network at once.
    """

    preparing: float
    running: float
    scores: float
    windows: int


def needed(package: ModelPackage, looked: Looked, last: LastRun | None) -> Need | None:
    """The memory of a run; None where nothing can be said before the model's first one."""
    windows = windows_of(package)
    memory = last.memory if last is not None else None
    if memory is None or last is None:
        if windows is None:
            return None
        held = held_of(package, windows, looked)
        least = LIBRARIES_BYTES + package.size_bytes + max(held.preparing, held.running + held.scores)
        return Need(round(least), 0, AT_LEAST)
    if windows is None:
        return Need(memory.peak, memory.card, LAST_RUN)
    before, now = held_of(package, windows, last.looked), held_of(package, windows, looked)
    more = now.windows / before.windows
    if memory.card:
        worked = max(0.0, memory.card - package.size_bytes - before.scores) * more
        other = max(0.0, memory.peak - memory.base - max(before.preparing, before.running))
        process = memory.base + other + max(now.preparing, now.running)
        return Need(round(process), round(package.size_bytes + worked + now.scores), ABOUT)
    worked = max(0.0, memory.peak - memory.base - before.running - before.scores) * more
    return Need(round(memory.base + max(now.preparing, now.running + now.scores + worked)), 0, ABOUT)


def windows_of(package: ModelPackage) -> Windows | None:
    """How a model goes over an image; None for a model that does otherwise, or does not say."""
    if package.task != "segmentation":
        return None
    if package.form == NNUNET:
        plan = NnunetPlan.from_config(package.inference)
        flat = plan.flat
        spacing, patch = (0.0,) * flat + plan.spacing_mm, (1,) * flat + plan.patch_size
        turned = [plan.transpose.index(axis) for axis in (2, 1, 0)]  # an array's axes are k, j, i
        mm, voxels = (tuple(values[n] for n in turned) for values in (spacing, patch))
        return Windows(mm, voxels, NNUNET_OVERLAP, 1, whole_sums=True)
    if package.form != OWN:
        return None
    try:
        inferer = package.inference["inferer"]
        transforms = package.inference["preprocessing"]["transforms"]
        spacing = next((t["pixdim"] for t in transforms if str(t["_target_"]).endswith("Spacingd")), (0.0, 0.0, 0.0))
        size = [*inferer["roi_size"], 1][:3]
        return Windows(
            tuple(max(0.0, float(mm)) for mm in spacing),
            tuple(int(n) for n in size),
            float(inferer.get("overlap", 0.25)),
            int(inferer.get("sw_batch_size", 1)),
        )
    except (KeyError, TypeError, ValueError):
        return None


def held_of(package: ModelPackage, windows: Windows, looked: Looked) -> Held:
    """What a segmentation holds of an image."""
    own_mm = (looked.volume_mm3 / looked.voxels) ** (1 / 3)
    wanted = [mm or own_mm for mm in windows.spacing_mm]
    size = [max(1.0, extent / mm) for extent, mm in zip(looked.extent_mm, wanted, strict=True)]
    padded = [max(n, window) for n, window in zip(size, windows.size, strict=True)]
    network = FLOAT_BYTES * len(package.channels) * math.prod(padded)
    source = FLOAT_BYTES * len(package.channels) * looked.voxels
    preparing = looked.given_bytes + source + PREPARING_COPIES * network
    running = looked.given_bytes + RUNNING_COPIES * network + LABELMAPS * looked.voxels
    classes = len(package.labels) + 1
    if windows.whole_sums:
        scores = HALF_BYTES * classes * math.prod(padded)
    else:
        depth, axis = min((window / n, axis) for axis, (n, window) in enumerate(zip(padded, windows.size, strict=True)))
        plane = math.prod(padded) / padded[axis]
        scores = FLOAT_BYTES * (classes + 1) * plane * depth * padded[axis]
    steps = [max(1, int(window * (1 - windows.overlap))) for window in windows.size]
    counts = [math.ceil((n - window) / step) + 1 for n, window, step in zip(padded, windows.size, steps, strict=True)]
    return Held(preparing, running, scores, min(windows.batch, math.prod(counts)))
