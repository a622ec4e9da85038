"""Which precision and memory layout is the fastest for a network on this machine: a short trial, and what it found.

A trial runs every way over the same two windows of the image. Half precision is taken only where its labels are those
of single precision on nearly all of their voxels, or where the model's card says that it is as good
(docs/adr/0012-a-trial-of-precision-and-layout.md).
"""

from __future__ import annotations

import hashlib
import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from pathlib import Path

import torch

from ..device import AUTOCAST, choose_precision
from ..progress import Progress, SubProgress, advance
from ..recording import FORCED, RULE
from ..remembered import recalled, remember
from ..settings import AUTO
from .grid import Grid
from .inferer import Inferer
from .network import layouts_of, prepared
from .planes import predict_planes

WINDOWS = 2
"""In a trial: the first one also sets up (convolutions are compiled for their shapes), the second one counts."""

WORTH = 12
"""A trial takes place where the run has at least so many times its windows: it then costs a tenth of the run."""

MARGIN = 1.1
"""Only what is so much faster takes the place of the rule's way: shorter differences come and go with a machine's load,
and a choice between equals would change labels for nothing."""

AGREEMENT = 0.999
"""Share of the windows' voxels on which half precision must give the labels of single precision."""

TRIAL, CACHE = "trial", "cache"

Clock = Callable[[], float]


@dataclass(frozen=True)
class Way:
    """How a network computes.

    Parameters
    ----------
    precision, layout:
        Of the convolutions, and of tensors in memory.
    source:
        What decided: ``forced`` by the settings, the ``rule`` for the device, a ``trial`` in this run or in an
        earlier one (``cache``).
    seconds:
        Of a trial: per way, of one window.
    agreement:
        Of a trial: share of voxels on which half precision gave the labels of single precision; None where only
        one of them was tried.
    """

    precision: str
    layout: str
    source: str = RULE
    seconds: Mapping[str, float] = field(default_factory=dict)
    agreement: float | None = None

    @property
    def name(self) -> str:
        """Of the way, in tables."""
        return f"{self.precision} {self.layout}"

    def to_json(self) -> dict[str, object]:
        """The plain form, for the record and the file."""
        plain: dict[str, object] = {"precision": self.precision, "layout": self.layout, "source": self.source}
        measured = {"seconds": dict(self.seconds), "agreement": self.agreement} if self.seconds else {}
        return plain | measured


@dataclass(frozen=True, eq=False)
class Choice:
    """What there is to choose from for one image, and how it is chosen.

    Parameters
    ----------
    requested:
        A precision, or ``auto``.
    image:
        ``(channel, x, y, z)`` float32, preprocessed.
    networks:
        Of one architecture, all on the device to compute on.
    inferer:
        The run's windows.
    model_sha256:
        Of the networks with their weights: whether precisions agree is a matter of these.
    half_precision:
        Whether the model's card says that bfloat16 is as good; its labels need not agree then.
    passes:
        How many times each window is run (mirrorings, members).
    file:
        Where trials are remembered.

    Raises
    ------
    DeviceError
        The precision asked for does not work on the device.
    """

    requested: str
    image: torch.Tensor
    networks: Sequence[torch.nn.Module]
    inferer: Inferer
    model_sha256: str
    half_precision: bool
    passes: int
    file: Path
    ways: tuple[Way, ...] = field(init=False)

    def __post_init__(self) -> None:
        precision, layouts = choose_precision(self.requested, self._device), layouts_of(self.networks[0])
        precisions = (precision, "fp32") if self.requested == AUTO else (precision,)
        ways = tuple(Way(*one) for one in product(dict.fromkeys(precisions), layouts))
        object.__setattr__(self, "ways", ways)

    def settled(self) -> Way | None:
        """The way, where it is known without a trial."""
        if self.requested != AUTO:
            return replace(self.ways[0], source=FORCED)
        if self._device.type != "cpu" or len(self.ways) == 1:
            return self.ways[0]
        windows = len(Grid.over(tuple(self.image.shape[1:]), self.inferer)) * self.passes
        if windows < WORTH * WINDOWS * len(self.ways):  # also after a trial: an image's labels are not to change by it
            return self.ways[0]
        known = recalled(self.file, self._key()) or {}
        found = Way(str(known.get("precision")), str(known.get("layout")), CACHE)
        return found if found.name in {way.name for way in self.ways} else None

    def tried(self, progress: Progress, clock: Clock = time.process_time) -> Way:
        """The way that a trial finds, which is remembered.

        Parameters
        ----------
        progress:
            A cancellation is seen at each window.
        clock:
            Seconds; by default of this process's processors, which other processes hardly change.

        Raises
        ------
        Cancelled
            The user asked to stop.
        """
        advance(progress, 0.0, "Trying what is fastest")
        seconds, labels = {}, {}
        for way in self.ways:
            seconds[way.name], labels[way.name] = self.once(way, progress, clock)
        found = decided(self.ways, seconds, labels, 0.0 if self.half_precision else AGREEMENT)
        remember(self.file, self._key(), found.to_json())
        return found

    def once(self, way: Way, progress: Progress, clock: Clock = time.process_time) -> tuple[float, torch.Tensor]:
        """Seconds of a window, and the labels of all windows of the trial."""
        seconds, labels, inferer = math.inf, [], replace(self.inferer, batch=1)
        autocast = AUTOCAST[way.precision]
        network = prepared(self.networks[0], autocast, way.layout)
        for n in range(WINDOWS):
            window = _window(self.image, inferer.window, (n + 1) / (WINDOWS + 1))
            begin = clock()
            planes = predict_planes(
                window, [network], inferer, SubProgress(progress, 0.0, 0.0), autocast=autocast, probabilities=False
            )
            scores = torch.stack(list(planes.each))
            seconds = min(seconds, clock() - begin)
            labels.append(scores.argmax(1))
        return seconds, torch.stack(labels)

    @property
    def _device(self) -> torch.device:
        return next(self.networks[0].parameters()).device

    def _key(self) -> str:
        """All that the fastest way depends on, as one name."""
        network = (self.model_sha256, self.half_precision, self.inferer.window, self.inferer.slices)
        machine = (str(self._device), _processor(), str(torch.__version__), torch.get_num_threads())
        return hashlib.sha256(repr((*network, *machine)).encode()).hexdigest()


def decided(
    ways: Sequence[Way], seconds: Mapping[str, float], labels: Mapping[str, torch.Tensor], least: float = AGREEMENT
) -> Way:
    """The fastest of the ways whose labels are right; the first, that of the rule, unless another is clearly faster."""
    exact = next(way for way in ways if way.precision == "fp32")
    shares = {way.name: float((labels[way.name] == labels[exact.name]).float().mean()) for way in ways}
    right = [way for way in ways if way.precision == "fp32" or shares[way.name] >= least]
    fastest = min(right, key=lambda way: seconds[way.name])
    chosen = fastest if seconds[fastest.name] * MARGIN < seconds[right[0].name] else right[0]
    halves = [shares[way.name] for way in ways if way.precision != "fp32"]
    rounded = {name: round(value, 4) for name, value in seconds.items()}
    return Way(chosen.precision, chosen.layout, TRIAL, rounded, round(min(halves), 6) if halves else None)


def _window(image: torch.Tensor, size: Sequence[int], place: float) -> torch.Tensor:
    """A window at that share of the way from the image's first corner to its last."""
    for axis, n in enumerate(size, start=1):
        room = image.shape[axis] - n
        if room > 0:
            image = image.narrow(axis, round(place * room), n)
    return image


@lru_cache
def _processor() -> str:
    """The kind of processor: homes are shared by machines that differ."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor()} {torch.backends.cpu.get_cpu_capability()}"
