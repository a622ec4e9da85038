"""What a training may cost: time, memory, and how fast the machine is."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from SlicerCNNSegLib.engine.errors import SettingsError

from ..training.hardware import Hardware
from .speed import measure_throughput

DEFAULT_MINUTES = {"cpu": 60.0}
DEFAULT_MINUTES_ELSEWHERE = 240.0
"""What a training without a budget is planned for; its recipe then has a number of steps."""

STEPS_IN_30_MINUTES = 1500
"""Steps wanted of half an hour. The shipped recipe's 3000 steps in 51 minutes on two cores, of a network whose
window holds the whole image, come near to what nnU-Net reaches (model card of hippocampus-mr); where images are
larger, larger windows pay more than more steps."""

FEWEST_STEPS = 300
"""With fewer a network has seen too little, however large its windows are."""

LARGEST_STEP = 0.01
"""Share of the time that one step may take."""

VALIDATION = 0.1
"""Share of the time that validations may take."""

USABLE = 0.8
"""Share of the free memory that is planned with: estimates are off by some tenths (``cost.py``)."""

GIB = 2**30


@dataclass(frozen=True)
class Budget:
    """What is there to train with.

    Parameters
    ----------
    minutes:
        Of training, validations included; 0 for none given.
    steps:
        Wanted number of steps; 0 leaves it to the plan.
    device:
        ``cpu``, ``cuda``, ``mps``.
    precision:
        That will be used there: ``bf16``, ``fp16`` or ``fp32``.
    memory_gib:
        Free memory of the device.
    host_memory_gib:
        Free memory for the data; that of the device when it is the CPU.
    throughput_flops:
        Floating-point operations a second in training, see ``speed.py``.

    Raises
    ------
    SettingsError
        A number makes no sense.
    """

    minutes: float
    device: str
    precision: str
    memory_gib: float
    host_memory_gib: float
    throughput_flops: float
    steps: int = 0

    def __post_init__(self) -> None:
        for name in ("minutes", "steps"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"Expected {name} of 0 or more, got {getattr(self, name)}.")
        for name in ("memory_gib", "host_memory_gib", "throughput_flops"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"Expected {name} above 0, got {getattr(self, name)}.")

    @classmethod
    def here(
        cls,
        minutes: float = 0.0,
        steps: int = 0,
        device: str = "auto",
        memory_gib: float = 0.0,
        precision: str = "auto",
    ) -> Budget:
        """The budget on this machine: memory as far as it is free (or ``memory_gib``), speed as measured now.

        Raises
        ------
        DeviceError
            The device does not work, or has no such precision.
        SettingsError
            A number makes no sense.
        """
        import psutil

        hardware = Hardware.choose(device, precision)
        host = psutil.virtual_memory().available / GIB
        free = torch.cuda.mem_get_info(hardware.device)[0] / GIB if hardware.device.type == "cuda" else host
        on_host = hardware.device.type != "cuda"
        budget = cls(
            minutes=minutes,
            steps=steps,
            device=hardware.device.type,
            precision=hardware.precision,
            memory_gib=round(memory_gib or free, 2),
            host_memory_gib=round(memory_gib if memory_gib and on_host else host, 2),
            throughput_flops=1.0,
        )
        return replace(budget, throughput_flops=float(f"{measure_throughput(hardware):.3g}"))

    @property
    def planned_minutes(self) -> float:
        """The minutes given, else the default."""
        return self.minutes or DEFAULT_MINUTES.get(self.device, DEFAULT_MINUTES_ELSEWHERE)

    @property
    def training_s(self) -> float:
        """Seconds for steps, without validations."""
        return 60 * self.planned_minutes * (1 - VALIDATION)

    @property
    def wanted_steps(self) -> float:
        """Steps that should fit: as given, else growing with the root of the time, so that windows grow, too."""
        return self.steps or max(FEWEST_STEPS, STEPS_IN_30_MINUTES * math.sqrt(self.planned_minutes / 30))

    def step_flops(self, stretch: float = 1.0) -> float:
        """Operations that one step may have, where ``stretch`` times fewer steps than wanted will do."""
        step_s = min(stretch * self.training_s / self.wanted_steps, LARGEST_STEP * 60 * self.planned_minutes)
        return step_s * self.throughput_flops

    def step_bytes(self, data_bytes: float) -> float:
        """Memory that one step may take, beside data of that size where both are in the same memory."""
        shared = 0.0 if self.device == "cuda" else data_bytes
        return USABLE * self.memory_gib * GIB - shared

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return asdict(self)
