"""How fast this machine trains, measured on a small network."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from SlicerCNNSegLib.engine.networks import build_network

from ..training.hardware import Hardware
from .cost import cost_of
from .families import DEFAULT, Case, family_of

SECONDS = 2.0
"""Long enough for some ten steps of the probe on two cores."""

FEWEST_PASSES = 3

PROBES = {"cpu": (16, 48, 1)}
PROBE_ELSEWHERE = (32, 96, 2)
"""Filters, window's edge and batch: alike what is planned for such a device. A GPU is not busy with less."""

CLASSES = 3


def measure_throughput(
    hardware: Hardware, seconds: float = SECONDS, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Floating-point operations a second that a U-Net's forward and backward pass reaches.

    Not the device's peak, but what training gets of it in this precision. The fastest of as many passes
    as fit: what the machine is busy with at this moment should not decide about a long training.

    Parameters
    ----------
    hardware:
        Device and precision.
    seconds:
        How long to measure, at least ``FEWEST_PASSES``.
    clock:
        Seconds from any fixed point.
    """
    width, edge, batch = PROBES.get(hardware.device.type, PROBE_ELSEWHERE)
    window = (edge,) * 3
    definition = family_of(DEFAULT).define(Case(window, (1.0,) * 3, 1, CLASSES), width)
    network = hardware.place(build_network(definition), flat=False)
    image = torch.rand(batch, 1, *window, device=hardware.device)
    _step(network, image, hardware)  # kernels are chosen and compiled
    passes: list[float] = []
    while len(passes) < FEWEST_PASSES or sum(passes) < seconds:
        begun = clock()
        _step(network, image, hardware)
        passes.append(clock() - begun)
    return cost_of(definition, window, 1).step_flops(batch) / min(passes)


def _step(network: torch.nn.Module, image: torch.Tensor, hardware: Hardware) -> None:
    with hardware.autocast():
        output = network(image)
    output.float().sum().backward()
    if hardware.device.type != "cpu":
        next(network.parameters()).grad.sum().item()  # type: ignore[union-attr]  # waits for the device
