"""How long a first result takes: ``cnnseg segment`` on a small image in a new process, against the least there can be.

Run: ``OMP_NUM_THREADS=2 python Testing/benchmarks/inference_start.py IMAGE``. The least is another new process that
imports PyTorch, reads the image and runs the model's network over its windows, and nothing else. Both take turns;
printed are medians, by the clock and of processors. The first round brings the files into memory and is not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from SlicerCNNSegLib.engine.catalogue import find_model
from SlicerCNNSegLib.engine.settings import DEFAULT_MODEL

LEAST = """
import json, sys
from pathlib import Path
import nibabel, numpy, torch
from safetensors.torch import load_file
from SlicerCNNSegLib.engine.device import AUTOCAST, choose_precision
from SlicerCNNSegLib.engine.lean import lean_network
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegLib.engine.windows import Inferer, most_probable, predict_planes
from SlicerCNNSegLib.engine.windows.network import prepared
image = torch.from_numpy(numpy.asarray(nibabel.load(sys.argv[1]).dataobj, "float32"))[None]
config = json.loads((Path(sys.argv[2]) / "configs" / "inference.json").read_text())
network = lean_network(config["network_def"]).eval().requires_grad_(False)
network.load_state_dict(load_file(sys.argv[3]))
dtype = AUTOCAST[choose_precision("auto", torch.device("cpu"))]
with torch.inference_mode():
    inferer = Inferer.from_config(config)
    network = prepared(network, dtype)
    planes = predict_planes(image, [network], inferer, NoProgress(), autocast=dtype, probabilities=False)
    most_probable(planes, planes.size)
"""


def once(line: list[str]) -> tuple[float, float]:
    """Seconds of a command, by the clock and of processors."""
    begin = time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{line} failed with the status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    package = find_model(options.model)
    with tempfile.TemporaryDirectory() as folder:
        ours = [str(Path(sys.executable).with_name("cnnseg")), "segment", str(options.image), "-o", folder]
        ours += ["--model", options.model, "--device", "cpu", "--quiet"]
        least = [sys.executable, "-c", LEAST, str(options.image), str(package.folder), str(package.weights_files[0])]
        rounds = [(once(least), once(ours)) for _ in range(1 + options.rounds)][1:]
    for number, what in enumerate(("by the clock", "of processors")):
        lowest, own = (statistics.median(one[side][number] for one in rounds) for side in (0, 1))
        print(f"{what}: least {lowest:.2f} s, cnnseg {own:.2f} s, ratio {own / lowest:.2f}")


if __name__ == "__main__":
    main()
