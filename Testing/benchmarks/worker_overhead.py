"""What a run in the resident worker costs beyond the same run in this process.

Run: ``python Testing/benchmarks/worker_overhead.py [--runs N] [--size 512 512 100]``. The model is a small 3-D U-Net
that is restricted to a region (its answer does not matter, its time is short), the volume is whole. Runs in the worker
and in this process take turns, so that a busy machine slows both alike. Prints the medians of

- the time by the clock from the call to the result, in the worker and here, and their difference: what the process
  costs (copying the volume, messages, mapping the result);
- the same time less what the run itself says its network took (``seconds`` of the record): all overhead, what the
  engine does around the network included;

and how much other work of the machine lengthens everything (seconds by the clock per processor second).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING), str(TESTING.parent / "SlicerCNNSeg")]

from tiny_model import RANDOM_UNET, write_tiny_model  # noqa: E402

from SlicerCNNSegLib.engine.region import Region  # noqa: E402
from SlicerCNNSegLib.engine.result import SegmentationResult  # noqa: E402
from SlicerCNNSegLib.engine.run import run  # noqa: E402
from SlicerCNNSegLib.engine.settings import SegmentationSettings  # noqa: E402
from SlicerCNNSegLib.engine.volume import Volume  # noqa: E402
from SlicerCNNSegLib.worker.client import WorkerClient  # noqa: E402

WARM_UP = 2
REGION = (200, 264, 200, 264, 20, 84)
"""Voxels i, j, k that the network looks at."""


def timed(call: Callable[[], SegmentationResult]) -> tuple[float, float]:
    """Milliseconds of a run, and those without its network."""
    started = time.perf_counter()
    result = call()
    whole = time.perf_counter() - started
    return 1000 * whole, 1000 * (whole - result.record.seconds["network"])


def slowdown() -> float:
    """Seconds by the clock per processor second, over one processor second."""
    clock, busy = time.perf_counter(), time.process_time()
    while time.process_time() < busy + 1:
        pass
    return time.perf_counter() - clock


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 100), metavar=("I", "J", "K"))
    arguments = parser.parse_args()
    i, j, k = arguments.size
    array = np.random.default_rng(0).integers(-1000, 1000, (1, k, j, i), np.int16)
    volume = Volume(array, np.eye(4), modality="MR")
    with tempfile.TemporaryDirectory() as folder, WorkerClient() as worker:
        model = write_tiny_model(Path(folder) / "tiny", network=RANDOM_UNET, window=(64, 64, 64))
        settings = SegmentationSettings(str(model), regions=(Region("ijk", REGION),), device="cpu", precision="fp32")
        for _ in range(WARM_UP):
            worker.run(settings, [volume])
            run(settings, [volume])
        pairs = [
            (timed(lambda: worker.run(settings, [volume])), timed(lambda: run(settings, [volume])))
            for _ in range(arguments.runs)
        ]
    medians = np.median(np.array(pairs), axis=0)
    costs = sorted(there[0] - here[0] for there, here in pairs)
    print(f"{i} x {j} x {k} voxels of int16, {arguments.runs} runs, medians in ms")
    print(f"from call to result: worker {medians[0, 0]:.0f}, this process {medians[1, 0]:.0f}")
    print(f"without the network: worker {medians[0, 1]:.0f}, this process {medians[1, 1]:.0f}")
    print(f"the worker's own cost: {statistics.median(costs):.0f} (from {costs[0]:.0f} to {costs[-1]:.0f})")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors, which lengthens all {slowdown():.1f} times")


if __name__ == "__main__":
    main()
