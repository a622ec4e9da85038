"""Kill a training ten times at random moments, resume it each time, and compare with one that was left alone.

Run: ``python Testing/benchmarks/interrupts.py RUN OTHER [--seed N]``, RUN and OTHER being two folders that
``cnnseg-train plan`` made of the same data and recipe. The kill is SIGKILL: nothing can be saved at it.
After each one the last checkpoint must be readable; in the end both runs' weights must be the same to the bit.
"""

import argparse
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from SlicerCNNSegTrainLib.engine.run_folder import RunFolder
from SlicerCNNSegTrainLib.engine.training.checkpoint import load_checkpoint

KILLS = 10
POLL_S = 0.02


def start(run: RunFolder) -> subprocess.Popen[bytes]:
    """Train, or go on training, in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "SlicerCNNSegTrainLib.cli.main",
        "run",
        str(run.path),
        "--resume",
        "--device",
        "cpu",
    ]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def kill_at_random(run: RunFolder, chance: random.Random, longest_s: float) -> int:
    """Start, wait until a new checkpoint has been written and then for a random time, kill; the checkpoint's step."""
    last = run.fold(0).last
    before = last.stat().st_mtime_ns if last.exists() else 0
    process = start(run)
    while process.poll() is None and not (last.exists() and last.stat().st_mtime_ns != before):
        time.sleep(POLL_S)
    time.sleep(chance.uniform(0, longest_s))
    process.send_signal(signal.SIGKILL)
    process.wait()
    return int(load_checkpoint(last)["step"])


def main() -> int:
    """Kill, resume, compare; 0 when the weights are the same."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest-s", type=float, default=2.0, help="longest wait between a checkpoint and the kill")
    options = parser.parse_args()
    killed, alone = RunFolder(options.run), RunFolder(options.other)
    chance = random.Random(options.seed)
    for number in range(KILLS):
        print(
            f"kill {number + 1}: the checkpoint is readable, step {kill_at_random(killed, chance, options.longest_s)}"
        )
    statuses = [start(run).wait() for run in (killed, alone)]
    states = [load_checkpoint(run.fold(0).last) for run in (killed, alone)]
    names = [(part, name) for part in ("network", "average") for name in states[0][part]]
    same = sum(torch.equal(states[0][part][name], states[1][part][name]) for part, name in names)
    print(
        f"exit statuses {statuses}, steps {[state['step'] for state in states]}, {same} of {len(names)} tensors equal"
    )
    return 0 if same == len(names) and not any(statuses) else 1


if __name__ == "__main__":
    sys.exit(main())
