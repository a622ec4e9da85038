"""What a run will take, in words, before it begins: time and memory."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from ..engine.package import ModelPackage
from ..scene.regions import covered_mm
from ..worker.estimate import in_words
from ..worker.last_runs import LastRun, Looked, recall
from ..worker.needs import ABOUT, AT_LEAST, LAST_RUN, Need, needed


def estimate_in_words(package: ModelPackage, volume_node: Any, around: Any = None, margin_mm: float = 0.0) -> str:
    """Time and memory of a run on a volume, or on its part in a node's box, a line each; "" where there is no image."""
    if volume_node.GetImageData() is None:
        return ""
    looked = looked_at(volume_node, len(package.channels), around, margin_mm)
    if looked.voxels < 1:
        return _("Nothing of the volume lies in the region.")
    last = recall(package)
    return "\n".join([_time(package, looked, last), _memory(needed(package, looked, last), last)])


def looked_at(volume_node: Any, channels: int, around: Any = None, margin_mm: float = 0.0) -> Looked:
    """How much a run looks at, where each channel is an image like this one."""
    image = volume_node.GetImageData()
    whole, part = covered_mm(volume_node), covered_mm(volume_node, around, margin_mm)
    voxels = image.GetNumberOfPoints() * float(np.prod(part / whole))
    given = image.GetNumberOfPoints() * image.GetNumberOfScalarComponents() * image.GetScalarSize()
    x, y, z = part.tolist()
    return Looked((x, y, z), voxels * float(np.prod(volume_node.GetSpacing())), voxels, given * channels)


def _time(package: ModelPackage, looked: Looked, last: LastRun | None) -> str:
    if last is None:
        return _("Time: known after the model's first run here")
    seconds = last.seconds_for(package, looked.volume_mm3)
    return _("Time: about {time} on {device}").format(time=in_words(seconds), device=last.device)


def _memory(need: Need | None, last: LastRun | None) -> str:
    if need is None:
        return _("Memory: known after the model's first run here")
    meant = {ABOUT: _("about {size}"), AT_LEAST: _("at least {size}"), LAST_RUN: _("{size} in the last run")}
    text = _("Memory: {size}").format(size=meant[need.meant].format(size=in_gigabytes(need.process)))
    if need.card and last is not None:
        text += _(", and {size} on {device}").format(size=in_gigabytes(need.card), device=last.device)
    free = _free_bytes()
    if free is not None and free < need.process:
        text += _(". Only {size} are free: restrict the run to a region, or close other programs").format(
            size=in_gigabytes(free)
        )
    return text


def in_gigabytes(size_bytes: float) -> str:
    """A size in memory in gigabytes (10^9 bytes), with one digit."""
    return f"{max(size_bytes / 1e9, 0.1):.1f}\N{NO-BREAK SPACE}GB"


def _free_bytes() -> int | None:
    """Memory that programs can still get; None where the package that knows is not installed yet."""
    with suppress(ImportError):
        import psutil

        return int(psutil.virtual_memory().available)
    return None
