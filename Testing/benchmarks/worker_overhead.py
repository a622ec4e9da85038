"""What a run in the resident worker costs beyond its network, and beyond the same run in this process.

Run: ``OMP_NUM_THREADS=1 python Testing/benchmarks/worker_overhead.py [--runs N] [--size 512 512 100]``. The model is a
small 3-D U-Net on one window of the volume (its answer does not matter, its time is short); the volume and the
labelmap are whole. After two runs that load everything, runs in the worker and in this process take turns. Printed are
means per run, by the clock and in processor time of both processes together; on a busy machine the second is what the
first would be on an idle one, where one thread computes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING), str(TESTING.parent / "SlicerCNNSeg")]

from tiny_model import RANDOM_UNET, write_tiny_model  # noqa: E402

from SlicerCNNSegLib.engine import segment  # noqa: E402
from SlicerCNNSegLib.engine.region import Region  # noqa: E402
from SlicerCNNSegLib.engine.run import run  # noqa: E402
from SlicerCNNSegLib.engine.settings import SegmentationSettings  # noqa: E402
from SlicerCNNSegLib.engine.volume import Volume  # noqa: E402
from SlicerCNNSegLib.worker.client import WorkerClient  # noqa: E402

WARM_UP = 2
REGION = (200, 264, 200, 264, 20, 84)
"""Voxels i, j, k that the network looks at."""


@dataclass
class Times:
    """Sums over runs: by the clock, and of processors."""

    clock: float = 0.0
    processors: float = 0.0

    def begin(self, *processes: psutil.Process) -> None:
        """Count from here."""
        self.clock -= time.perf_counter()
        self.processors -= processor_time(*processes)

    def end(self, *processes: psutil.Process) -> None:
        """Count to here."""
        self.clock += time.perf_counter()
        self.processors += processor_time(*processes)

    def say(self, what: str, runs: int) -> None:
        """Print the means."""
        print(f"{what}: {1000 * self.clock / runs:.0f} by the clock, {1000 * self.processors / runs:.0f} of processors")


def processor_time(*processes: psutil.Process) -> float:
    """Seconds of processor time that this process and others have had."""
    others = sum(times.user + times.system for times in (process.cpu_times() for process in processes))
    return time.process_time() + others


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 100), metavar=("I", "J", "K"))
    arguments = parser.parse_args()
    i, j, k = arguments.size
    array = np.random.default_rng(0).integers(-1000, 1000, (1, k, j, i), np.int16)
    volume = Volume(array, np.eye(4), modality="MR")
    there, here, network = Times(), Times(), Times()
    plain = segment.most_probable

    def counted(*positional: Any, **named: Any) -> Any:
        network.begin()
        try:
            return plain(*positional, **named)
        finally:
            network.end()

    with tempfile.TemporaryDirectory() as folder, WorkerClient() as worker:
        model = write_tiny_model(Path(folder) / "tiny", network=RANDOM_UNET, window=(64, 64, 64))
        settings = SegmentationSettings(str(model), regions=(Region("ijk", REGION),), device="cpu", precision="fp32")
        for _ in range(WARM_UP):
            worker.run(settings, [volume])
            run(settings, [volume])
        child = psutil.Process(worker.pid)
        segment.most_probable = counted
        for _ in range(arguments.runs):
            there.begin(child)
            worker.run(settings, [volume])
            there.end(child)
            here.begin()
            run(settings, [volume])
            here.end()
    runs = arguments.runs
    beyond = Times(there.clock - network.clock, there.processors - network.processors)
    own = Times(there.clock - here.clock, there.processors - here.processors)
    print(f"{i} x {j} x {k} voxels of int16, {runs} runs, means in ms")
    there.say("a run in the worker", runs)
    here.say("a run in this process", runs)
    network.say("its network", runs)
    beyond.say("the worker beyond the network", runs)
    own.say("the worker beyond a run in this process", runs)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
