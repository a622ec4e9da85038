"""What to do when memory runs out: the next, smaller rung, and say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

from .errors import OutOfMemoryError

T = TypeVar("T")


@dataclass(frozen=True)
class Rung:
    """One way to run: where windows are computed, how many at once, where they are added up."""

    device: torch.device
    batch: int
    stitch_device: torch.device

    def __str__(self) -> str:
        return f"{self.batch} window(s) at once on {self.device}, stitched on {self.stitch_device}"


def rungs(device: torch.device, batch: int) -> Iterator[Rung]:
    """From the fastest to the smallest: fewer windows, stitching on the host, then the CPU."""
    host = torch.device("cpu")
    yield Rung(device, batch, device)
    if batch > 1:
        yield Rung(device, 1, device)
    if device != host:
        yield Rung(device, 1, host)
        yield Rung(host, 1, host)


def climb_down(work: Callable[[Rung], T], device: torch.device, batch: int) -> tuple[T, Rung, list[str]]:
    """Do ``work`` on the first rung whose memory suffices.

    Returns
    -------
    result, rung, warnings
        What ``work`` gave, the rung it ran on, and a sentence for each rung that failed.

    Raises
    ------
    OutOfMemoryError
        Even the last rung failed.
    """
    warnings: list[str] = []
    for rung in rungs(device, batch):
        try:
            return work(rung), rung, warnings
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            warnings.append(f"Memory ran out with {rung}.")
        if device.type == "cuda":
            torch.cuda.empty_cache()
    raise OutOfMemoryError(
        f"Memory ran out even with the smallest setting ({warnings[-1]}) Restrict the run to a region (--roi), "
        "close other programs, or use a machine with more memory."
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on any of the devices."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return any(words in text for words in ("out of memory", "not enough memory", "can't allocate memory"))
