"""Where to compute and in which precision, proven by a real operation."""

from __future__ import annotations

from functools import lru_cache

import torch

from .errors import DeviceError

SELF_TEST_TOLERANCE = 1e-2
"""Largest difference to the CPU's fp32 in the self-test; TF32 and fp16 accumulation stay below it."""

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(requested: str) -> tuple[torch.device, list[str]]:
    """The device to run on, and warnings about devices that failed.

    Parameters
    ----------
    requested:
        ``auto`` tries CUDA, then MPS, then the CPU; anything else must work.

    Raises
    ------
    DeviceError
        The requested device is absent or fails its self-test.
    """
    if requested != "auto":
        fault = self_test(requested)
        if fault:
            raise DeviceError(f"The device {requested} does not work: {fault}; use --device auto or cpu.")
        return torch.device(requested), []
    warnings: list[str] = []
    for name, present in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())):
        if not present:
            continue
        fault = self_test(name)
        if not fault:
            return torch.device(name), warnings
        warnings.append(f"The device {name} failed its self-test ({fault}); the run went on elsewhere.")
    return torch.device("cpu"), warnings


@lru_cache
def self_test(name: str) -> str:
    """Run a small 3-D convolution on the device and compare with the CPU; "" when it works, else the fault.

    ``is_available`` alone proves nothing: builds without kernels for the card, or broken drivers, say yes.
    """
    generator = torch.Generator().manual_seed(0)
    image, kernel = torch.rand(1, 2, 8, 8, 8, generator=generator), torch.rand(4, 2, 3, 3, 3, generator=generator)
    expected = torch.nn.functional.conv3d(image, kernel, padding=1)
    try:
        found = torch.nn.functional.conv3d(image.to(name), kernel.to(name), padding=1).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    worst = float((found - expected).abs().max())
    return "" if worst < SELF_TEST_TOLERANCE else f"a convolution is wrong by {worst:.2g}"


def choose_precision(requested: str, device: torch.device) -> str:
    """``fp32``, ``bf16`` or ``fp16``: ``auto`` takes a half precision only where the hardware has it.

    Raises
    ------
    DeviceError
        fp16 on the CPU, which has no fast kernels for it.
    """
    if requested == "fp16" and device.type == "cpu":
        raise DeviceError("The CPU has no fp16 kernels; use --precision bf16 or fp32.")
    if requested != "auto":
        return requested
    if device.type == "cpu":
        return "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "fp32"


def use_threads(count: int) -> None:
    """Let a CPU's work be done by so many threads, whatever the environment said when this process began."""
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
