"""A network over a whole volume: how many times faster than MONAI's inferer or nnU-Net's predictor, in which memory.

Run: ``OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive python Testing/benchmarks/inference_windows.py --network unet``. Both
sides are processes of their own that take turns, so that a busy machine slows both alike; the ratios are of medians.
On a busy machine the one of processor time is what the one by the clock would be on an idle one. The fraction of the
machine's convolution peak is that of the network's operations, in the processor time within the network.

``--peer nnunet --peer-python PYTHON`` takes an interpreter that has nnunetv2.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from inference_side import OVERLAP, monai_network
from torch.utils.flop_counter import FlopCounterMode

from SlicerCNNSegLib.engine.device import AUTOCAST
from SlicerCNNSegLib.engine.windows import Inferer
from SlicerCNNSegLib.engine.windows.grid import Grid

SIDE = Path(__file__).with_name("inference_side.py")
PEAK_CHANNELS, PEAK_SIZE, PEAK_ROUNDS = 128, 32, 30
"""A convolution on which the library reaches its best."""


class Side:
    """A process that makes the labels when it is asked to."""

    def __init__(self, command: list[str], folder: str) -> None:
        self.times: list[dict[str, float]] = []
        self._process = subprocess.Popen(command, cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def once(self) -> None:
        """Make the labels."""
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Have the labels made."""
        assert self._process.stdin
        print("again", file=self._process.stdin, flush=True)

    def wait(self) -> None:
        """Until the labels are made."""
        self.times.append(self._answer())

    def end(self) -> int:
        """Its largest memory in bytes."""
        assert self._process.stdin
        self._process.stdin.close()
        return int(self._answer()["peak_bytes"])

    def median(self, what: str) -> float:
        """Of the rounds' seconds."""
        return statistics.median(times[what] for times in self.times)

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, float] = json.loads(line)
                return answer
        raise SystemExit(f"{self._process.args} ended without an answer")


def in_turn(ours: Side, peer: Side, peer_name: str, rounds: int) -> None:
    """Run both and print their times and memory."""
    for _ in range(rounds):
        peer.once()
        ours.once()
    for name, side in (("CNNSeg", ours), (peer_name, peer)):
        seconds = f"{side.median('clock'):.1f} s, {side.median('processors'):.1f} s of processors"
        print(f"{name}: {seconds}, {side.end() / 2**30:.2f} GiB")


def report(ours: Side, peer: Side, operations: float, precision: str) -> None:
    """Print the ratios, and how much of the machine's peak our network's operations reach."""
    print(f"within the network {ours.median('network'):.1f} of {ours.median('processors'):.1f} s of processors")
    for what in ("clock", "processors"):
        print(f"ratio, {what}: {peer.median(what) / ours.median(what):.2f}")
    peak = convolution_peak(precision)
    share = operations / ours.median("network") / peak
    print(f"convolution peak {peak / 1e9:.0f} GFLOP/s of a processor; reached {share:.0%}")


def operations(network: torch.nn.Module, window: int) -> float:
    """Floating-point operations of a network on a window."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 1, window, window, window))
    return float(counter.get_total_flops())


def convolution_peak(precision: str) -> float:
    """Floating-point operations of a large convolution per second of processor time."""
    dtype = AUTOCAST[precision] or torch.float32
    layer = torch.nn.Conv3d(PEAK_CHANNELS, PEAK_CHANNELS, 3, padding=1).to(dtype, memory_format=torch.channels_last_3d)
    image = torch.randn(1, PEAK_CHANNELS, *[PEAK_SIZE] * 3).to(dtype, memory_format=torch.channels_last_3d)
    rates = []
    with torch.inference_mode():
        layer(image)
        for _ in range(PEAK_ROUNDS):
            begin = time.process_time()
            layer(image)
            rates.append(2 * 27 * PEAK_CHANNELS**2 * PEAK_SIZE**3 / (time.process_time() - begin))
    return max(rates)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=("unet", "spleen", "segresnet", "swinunetr", "dynunet"), default="unet")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16", help="ours; the peer's is fp32")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--window", type=int, default=96)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", choices=("monai", "nnunet"), default="monai")
    parser.add_argument("--peer-python", default=sys.executable)
    options = parser.parse_args()
    numbers = [str(n) for n in (options.size, options.window, options.batch)]
    with tempfile.TemporaryDirectory() as folder:
        ours = Side([sys.executable, str(SIDE), "cnnseg", options.network, options.precision, *numbers], folder)
        peer = Side([options.peer_python, str(SIDE), options.peer, options.network, "fp32", *numbers], folder)
        in_turn(ours, peer, options.peer, options.rounds)
        if options.peer == "monai":
            found, expected = (np.load(Path(folder) / f"{name}.npy") for name in ("cnnseg", "monai"))
            print(f"labels equal in {(found == expected).mean():.6%} of the voxels")
    windows = len(Grid.over((options.size,) * 3, Inferer((options.window,) * 3, OVERLAP)))
    report(ours, peer, windows * operations(monai_network(options.network), options.window), options.precision)


if __name__ == "__main__":
    main()
