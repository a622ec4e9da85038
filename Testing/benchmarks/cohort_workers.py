"""Many cases with several workers: how much faster than one, and what becomes of cases whose workers are killed.

Run: ``OMP_NUM_THREADS=1 python Testing/benchmarks/cohort_workers.py IMAGES [--cases 40] [--kills 30]``. IMAGES is a
folder of NIfTI images for the model. First ``cnnseg segment`` with one worker and with two, of one thread each, take
turns; for comparison, so do one and two processes that share nothing but the machine. Then there are runs with two
workers, in each of which one is killed at a random moment: every case must be there once, whole, and with the labels of
the run that was left alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil
from inference_start import once
from inference_windows import SIDE, Side

from SlicerCNNSegLib.engine.cohort.outputs import RECORD_SUFFIX, sha256
from SlicerCNNSegLib.engine.settings import DEFAULT_MODEL

WORKERS = 2
POLL_S = 0.02
BARE, BARE_ROUNDS = ("192", "96", "1"), 5
"""Size of the volume, of the window, and windows at once, of processes that share nothing but the machine."""


def command(images: list[Path], out: Path, model: str, workers: int) -> list[str]:
    """The command line."""
    line = [str(Path(sys.executable).with_name("cnnseg")), "segment", *map(str, images), "-o", str(out), "--quiet"]
    return [*line, "--model", model, "--format", "nii.gz", "--device", "cpu", "--workers", str(workers)]


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that a command has started; none when it has ended."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children()
    return []


def kill_a_worker(line: list[str], after_s: float, choose: random.Random) -> bool:
    """Run a command and kill one of its workers some time after they were started; False where it was too late."""
    killed = False
    with subprocess.Popen(line) as process:
        while process.poll() is None and len(workers_of(process)) < WORKERS:
            time.sleep(POLL_S)
        time.sleep(after_s)
        workers = workers_of(process)
        if workers:
            choose.choice(workers).kill()
            killed = True
        if process.wait():
            raise SystemExit(f"the run whose worker was killed ended with the status {process.returncode}")
    return killed


def check(out: Path, expected: Path, images: list[Path]) -> int:
    """How many voxels differ from the expected labels; ends the script where files are not those of a whole run."""
    names = sorted(image.name.removesuffix(".nii.gz") for image in images)
    found = sorted(path.name for path in out.iterdir())
    wanted = sorted(["volumes.csv", *(f"{n}{suffix}" for n in names for suffix in (".nii.gz", RECORD_SUFFIX))])
    if found != wanted:
        raise SystemExit(f"expected the files {wanted}, found {found}")
    with (out / "volumes.csv").open(newline="") as file:
        rows = [(row["case"], row["label"]) for row in csv.DictReader(file)]
    if len(set(rows)) != len(rows) or {case for case, _ in rows} != set(names):
        raise SystemExit("volumes.csv has a case too few or twice")
    different = 0
    for name in names:
        record = json.loads((out / f"{name}{RECORD_SUFFIX}").read_text(encoding="utf-8"))
        if record["outputs"] != {f"{name}.nii.gz": sha256(out / f"{name}.nii.gz")}:
            raise SystemExit(f"{name} is not what its record says")
        one, other = (np.asanyarray(nib.load(folder / f"{name}.nii.gz").dataobj) for folder in (out, expected))
        different += int((one != other).sum())
    return different


def machine_gain(rounds: int) -> float:
    """How many times as much two processes get done as one, each with a network over a volume in memory."""
    with tempfile.TemporaryDirectory() as folder:
        sides = [Side([sys.executable, str(SIDE), "cnnseg", "unet", "bf16", *BARE], folder) for _ in range(WORKERS)]
        gains = []
        for _ in range(rounds):
            sides[0].once()
            begin = time.perf_counter()
            for side in sides:
                side.begin()
            for side in sides:
                side.wait()
            gains.append(WORKERS * sides[0].times[-2]["clock"] / (time.perf_counter() - begin))
        for side in sides:
            side.end()
    return statistics.median(gains)


def kill_repeatedly(images: list[Path], options: argparse.Namespace, folder: Path) -> None:
    """Kill a worker in each of many runs; prints how many died."""
    choose, killed, runs, different = random.Random(0), 0, 0, 0
    alone = folder / "alone"
    longest, _ = once(command(images, alone, options.model, WORKERS))
    while killed < options.kills:
        out = folder / f"killed{runs}"
        killed += kill_a_worker(command(images, out, options.model, WORKERS), choose.uniform(0, longest), choose)
        different += check(out, alone, images)
        runs += 1
        print(f"run {runs}: {killed} workers killed so far, {different} voxels differ", flush=True)
    print(f"{runs} runs of {len(images)} cases, {killed} workers killed; all cases are there once, whole")
    print(f"{different} voxels differ")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--kill-cases", type=int, default=6, help="in each of the runs whose worker is killed")
    options = parser.parse_args()
    images = sorted(p for p in options.images.glob("*.nii.gz") if not p.name.startswith("."))[: options.cases]
    with tempfile.TemporaryDirectory() as temporary:
        folders = {workers: Path(temporary) / f"{workers}" for workers in (1, WORKERS)}
        for _ in range(options.rounds):
            for workers, folder in folders.items():
                clock, processors = once(command(images, folder, options.model, workers))
                print(
                    f"{len(images)} cases, workers {workers}: {clock:.1f} s, {processors:.1f} s of processors",
                    flush=True,
                )
        if options.rounds:
            print(f"two bare processes get {machine_gain(BARE_ROUNDS):.2f} times as much done as one", flush=True)
            print(f"{check(folders[WORKERS], folders[1], images)} voxels differ", flush=True)
        if options.kills:
            kill_repeatedly(images[: options.kill_cases], options, Path(temporary))


if __name__ == "__main__":
    main()
