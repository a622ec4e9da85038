"""Operations, memory and speed of a training step."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegTrainLib.engine.planning.cost import cost_of
from SlicerCNNSegTrainLib.engine.planning.families import FAMILIES, Case
from SlicerCNNSegTrainLib.engine.planning.speed import measure_throughput
from SlicerCNNSegTrainLib.engine.training.hardware import Hardware

WINDOW = (32, 48, 40)
CASE = Case(WINDOW, (1.0, 1.0, 1.0), 2, 4)
DEFINITION = FAMILIES["dynunet"].define(CASE, 8)

MEMORY_FACTOR = 1.6
"""Within which the estimate of memory is of the real peak."""

REAL_PEAKS = """
import json, sys, torch
from pathlib import Path
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegTrainLib.engine.training.hardware import Hardware
from SlicerCNNSegTrainLib.engine.training.losses import SegmentationLoss

def memory(which):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(which))
    return 1024 * int(line.split()[1])

def peak(definition, window, batch, precision):
    hardware, classes = Hardware(torch.device("cpu"), precision), definition["out_channels"]
    loss = SegmentationLoss({"dice": 1.0, "cross_entropy": 1.0}, torch.ones(classes))
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is there
    network = hardware.place(build_network(definition), flat=False)
    optimizer = torch.optim.AdamW(network.parameters())
    for _ in range(2):
        image, label = torch.rand(batch, 1, *window), torch.zeros(batch, 1, *window, dtype=torch.long)
        with hardware.autocast():
            output = network(image)
        loss(output, label, torch.ones(batch, classes, dtype=torch.bool)).backward()
        optimizer.step()
    return memory("VmHWM") - before

asked = json.loads(sys.argv[1])
definition, *_ = asked[0]
peak({**definition, "filters": [2] * len(definition["filters"])}, [16] * 3, 1, "bf16")  # libraries take their memory
print(json.dumps([peak(*one) for one in asked]))
"""


def test_operations_are_those_of_all_convolutions():
    network = build_network(DEFINITION)
    counted = []

    def count(layer, inputs, output):
        # an output's channels times the kernel for each input of a transposed convolution, the other way round else
        voxels = (inputs[0] if isinstance(layer, torch.nn.ConvTranspose3d) else output)[0, 0].numel()
        counted.append(2 * layer.weight.numel() * voxels)

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
            layer.register_forward_hook(count)
    output = network.train()(torch.zeros(1, 2, *WINDOW))
    cost = cost_of(DEFINITION, WINDOW, 2)
    assert cost.flops == sum(counted)
    assert cost.scores == output.numel() == 3 * 4 * 32 * 48 * 40  # two levels beside the finest
    assert cost.parameters == sum(weight.numel() for weight in network.parameters())
    assert cost.step_flops(3) == 9 * cost.flops


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_counted_and_wider_networks_cost_more(name):
    family = FAMILIES[name]
    case = Case((64, 64, 64), (1.0, 1.0, 1.0), 1, 3)
    narrow, wide = (cost_of(family.define(case, width), case.window, 1) for width in family.widths[-1:-3:-1])
    for number in ("flops", "saved", "parameters"):
        assert 0 < getattr(narrow, number) < getattr(wide, number)
    assert narrow.step_bytes(2, "bf16") < wide.step_bytes(2, "bf16") < wide.step_bytes(2, "fp32")


def test_memory_is_estimated_within_a_factor_of_the_real_peak():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the peak memory of a process is read from Linux's /proc")
    asked, estimates = [], []
    for width, window, batch, classes, precision in (
        (16, (48, 64, 48), 2, 3, "bf16"),
        (24, (40, 40, 40), 2, 3, "fp32"),
        (12, (64, 64, 64), 1, 9, "bf16"),
    ):
        definition = FAMILIES["dynunet"].define(Case(window, (1.0,) * 3, 1, classes), width)
        asked.append([definition, window, batch, precision])
        estimates.append(cost_of(definition, window, 1).step_bytes(batch, precision))
    freed_at_once = {"MALLOC_MMAP_THRESHOLD_": "65536"}
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-W", "ignore", "-c", REAL_PEAKS, json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | paths | freed_at_once, check=True)
    for real, estimate in zip(json.loads(done.stdout), estimates, strict=True):
        assert real / MEMORY_FACTOR < estimate < real * MEMORY_FACTOR


class Ticks:
    """A clock whose passes take 4, 1, 3, 3 ... seconds."""

    def __init__(self):
        self._durations = iter([4.0, 1.0] + [3.0] * 100)
        self._now, self._inside = 0.0, False

    def __call__(self):
        if self._inside:
            self._now += next(self._durations)
        self._inside = not self._inside
        return self._now


def test_throughput_is_that_of_the_fastest_pass():
    probe = FAMILIES["dynunet"].define(Case((48, 48, 48), (1.0,) * 3, 1, 3), 16)
    expected = cost_of(probe, (48, 48, 48), 1).step_flops(1) / 1.0
    assert measure_throughput(Hardware(torch.device("cpu"), "fp32"), 8.0, Ticks()) == pytest.approx(expected)
