"""Training in several processes at once (``torchrun``), each with its share of every batch.

A run in N processes gives the numbers of a run in one: losses are computed over the batch of all
processes (sums are exchanged, with their gradients), not averaged over shares.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from SlicerCNNSegLib.engine.errors import SettingsError


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those of a run: ``rank`` of ``size``."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def share(self, positions: range) -> range:
        """The part of a batch's positions that this process makes.

        Raises
        ------
        SettingsError
            They cannot be divided evenly.
        """
        if len(positions) % self.size:
            raise SettingsError(
                f"Expected a batch_size that {self.size} processes can divide evenly, got {len(positions)}."
            )
        return positions[self.rank :: self.size]

    def total(self, part: torch.Tensor) -> torch.Tensor:
        """The sum over all processes; gradients flow through it."""
        return part if self.size == 1 else all_reduce(part)

    def leader_says(self, value: float) -> float:
        """The leader's number, on all processes: each with its own, they would wait for one another forever."""
        if self.size == 1:
            return value
        said: list[Any] = [value]
        distributed.broadcast_object_list(said, src=0)
        return float(said[0])

    def gather(self, mine: list[Any]) -> list[Any]:
        """What all processes have, in the order in which ``items[rank::size]`` divided it."""
        if self.size == 1:
            return mine
        parts: list[Any] = [None] * self.size
        distributed.all_gather_object(parts, mine)
        rows: list[Any] = [None] * sum(map(len, parts))
        for rank, part in enumerate(parts):
            rows[rank :: self.size] = part
        return rows

    def together(self, network: torch.nn.Module) -> torch.nn.Module:
        """The network whose gradients are those of all processes' batches."""
        return network if self.size == 1 else DistributedDataParallel(network)


ALONE = Ranks()
"""A run in one process."""


@contextmanager
def join_ranks(device: str) -> Iterator[Ranks]:
    """Join the processes that ``torchrun`` started; without it, a run in this process alone.

    Parameters
    ----------
    device:
        ``cuda`` talks through NCCL, anything else through gloo.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks()
        return
    rank = int(os.environ["RANK"])
    distributed.init_process_group(
        "nccl" if device == "cuda" else "gloo", store=_meeting_place(rank, size), rank=rank, world_size=size
    )
    try:
        yield Ranks(rank, size)
    finally:
        distributed.destroy_process_group()


def _meeting_place(rank: int, size: int) -> PrefixStore:
    """Where the processes tell one another their addresses, those of each restart apart.

    torchrun keeps one store over restarts; without a prefix a process may find the address of one that is gone.
    """
    kept_by_torchrun = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        size,
        is_master=rank == 0 and not kept_by_torchrun,
    )
    return PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def restarted() -> bool:
    """Whether ``torchrun`` started this process again after a failure; the run then goes on where it was."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
