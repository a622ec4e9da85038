"""Fingerprints and budgets to plan with, without any image."""

from SlicerCNNSegTrainLib.engine.planning.budget import Budget
from SlicerCNNSegTrainLib.engine.planning.fingerprint import ChannelFacts, Fingerprint, StructureFacts

LAPTOP = 2e11
"""FLOP/s in training of two cores with bf16."""

GPU = 3e13


def fingerprint(
    size=(36, 50, 35),
    spacing_mm=(1.0, 1.0, 1.0),
    cases=100,
    names=("Liver",),
    thickness_mm=(12.0, 12.0, 12.0),
    channels=(("T1", "MR"),),
    **others,
):
    """A data set of cases that are all alike."""
    facts = {
        "channels": tuple(ChannelFacts(name, kind, -100.0, 300.0, 50.0, 80.0, kind == "CT") for name, kind in channels),
        "structures": tuple(
            StructureFacts(value, name, cases, 5000.0, 0.02, thickness_mm) for value, name in enumerate(names, start=1)
        ),
        "sizes": (size,) * cases,
        "spacings_mm": (spacing_mm,) * cases,
        "patients": cases,
        "filled": 1.0,
        "foreground_share": 0.02,
    }
    return Fingerprint(**facts | others)


def cpu_budget(minutes=30.0, memory_gib=16.0, throughput=LAPTOP, **others):
    """Two cores with bf16; data and step share the memory."""
    facts = {
        "minutes": minutes,
        "device": "cpu",
        "precision": "bf16",
        "memory_gib": memory_gib,
        "host_memory_gib": memory_gib,
        "throughput_flops": throughput,
    }
    return Budget(**facts | others)


def gpu_budget(minutes=240.0, memory_gib=24.0, throughput=GPU, **others):
    """A GPU beside 64 GiB for the data."""
    return cpu_budget(minutes, memory_gib, throughput, device="cuda", host_memory_gib=64.0, **others)
