"""Where a run computes, in which precision, and how batches get there."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset

from SlicerCNNSegLib.engine.device import AUTOCAST, choose_device, choose_precision

from .task import Batch, Task

MOST_WORKERS = 8
"""Processes that make batches for a GPU; beyond, they wait for one another's memory."""


@dataclass(frozen=True)
class Hardware:
    """A device and the precision of the forward pass on it."""

    device: torch.device
    precision: str

    @classmethod
    def choose(cls, device: str, precision: str, local_rank: int = 0) -> Hardware:
        """The device asked for (``auto`` takes the best that works) and the precision that suits it.

        Parameters
        ----------
        device, precision:
            As in ``engine/device.py``.
        local_rank:
            Which of several CUDA devices.

        Raises
        ------
        DeviceError
            The device does not work, or has no such precision.
        """
        chosen, _ = choose_device(device)
        precision = choose_precision(precision, chosen)
        if chosen.type == "cuda":
            chosen = torch.device("cuda", local_rank)
            torch.cuda.set_device(chosen)
        return cls(chosen, precision)

    def place(self, network: torch.nn.Module, *, flat: bool) -> torch.nn.Module:
        """The network, ``flat`` for a 2-D one, on the device, channels last where that is faster.

        On CPUs with bf16 it takes less time a step (Testing/benchmarks/training_step.py), and CUDA's
        half-precision kernels want it; other devices don't gain.
        """
        if AUTOCAST[self.precision] is not None and self.device.type in ("cpu", "cuda"):
            network.to(memory_format=torch.channels_last if flat else torch.channels_last_3d)  # type: ignore[call-overload]
        return network.to(self.device)

    def autocast(self) -> torch.autocast:
        """The context of a forward pass."""
        dtype = AUTOCAST[self.precision]
        return torch.autocast(self.device.type, dtype, enabled=dtype is not None)

    def scaler(self) -> torch.amp.GradScaler:
        """Keeps fp16's small gradients from becoming zero; does nothing in other precisions."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

    def batches(self, task: Task, first_step: int) -> Iterator[Batch]:
        """The batches from a step on, on the device.

        On the CPU, where the network uses all cores, they are made in between; for a GPU, ahead and in processes
        of their own.
        """
        gpu = self.device.type == "cuda"
        loader = DataLoader(
            _Steps(task),
            batch_size=None,
            sampler=itertools.count(first_step),
            num_workers=self.workers,
            pin_memory=gpu,
        )
        for batch in loader:
            yield {key: value.to(self.device, non_blocking=gpu) for key, value in batch.items()}

    @property
    def workers(self) -> int:
        """Processes that make batches; 0 makes them in the training's own."""
        return min(MOST_WORKERS, (os.cpu_count() or 2) - 1) if self.device.type == "cuda" else 0


class _Steps(Dataset[Batch]):
    """A task's batches by step."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getitem__(self, step: int) -> Batch:
        return self._task.batch(step)
