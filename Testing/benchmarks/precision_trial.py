"""What a trial of precisions and layouts finds on this machine: each way's time, and how many labels bf16 changes.

Run: ``OMP_NUM_THREADS=1 python Testing/benchmarks/precision_trial.py [--rounds 3]``. MONAI's U-Net and the DynUNet in
nnU-Net's shape of ``inference_side.py`` with random weights, and the model ``hippocampus-mr`` on an image, where one is
given. The ways take turns; seconds are medians, of this process's processors, and ratios are to fp32, contiguous, which
is how PyTorch comes.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path

import torch
from inference_side import monai_network

from SlicerCNNSegLib.engine.catalogue import find_model
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.heap import kept_memory
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegLib.engine.remembered import trials_file
from SlicerCNNSegLib.engine.segment import Plan
from SlicerCNNSegLib.engine.weights import load_networks
from SlicerCNNSegLib.engine.windows import Inferer
from SlicerCNNSegLib.engine.windows.network import CONTIGUOUS
from SlicerCNNSegLib.engine.windows.trial import Choice, Way, decided

NETWORKS = ("unet", "dynunet")
PLAIN = Way("fp32", CONTIGUOUS).name


def random_choice(name: str, window: int) -> Choice:
    """A network with random weights and an image of noise, a window and a half wide."""
    network = monai_network(name).eval().requires_grad_(False)
    image = torch.randn(1, *[window * 3 // 2] * 3, generator=torch.Generator().manual_seed(0))
    return Choice("auto", image, [network], Inferer((window,) * 3), "", False, 1, trials_file())


def trained_choice(model: str, path: Path) -> Choice:
    """A model on an image, as a run prepares it."""
    plan = Plan.of(find_model(model))
    image, _ = plan.preprocessing.prepare(read_volume(path))
    return Choice(
        "auto", image, load_networks(plan.package, torch.device("cpu")), plan.inferer, "", False, 1, trials_file()
    )


def measure(choice: Choice, rounds: int) -> Way:
    """The way that would be taken by medians over the rounds."""
    times: dict[str, list[float]] = {way.name: [] for way in choice.ways}
    labels = {}
    with torch.inference_mode(), kept_memory():
        for _ in range(rounds):
            for way in choice.ways:
                seconds, labels[way.name] = choice.once(way, NoProgress())
                times[way.name].append(seconds)
    return decided(choice.ways, {name: statistics.median(many) for name, many in times.items()}, labels)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=NETWORKS, help="those with random weights")
    parser.add_argument("--window", type=int, default=96)
    parser.add_argument("--image", type=Path, help="for hippocampus-mr")
    options = parser.parse_args()
    choices = {name: random_choice(name, options.window) for name in options.networks}
    if options.image is not None:
        choices["hippocampus-mr"] = trained_choice("hippocampus-mr", options.image)
    print(f"threads {torch.get_num_threads()}, load {', '.join(f'{n:.1f}' for n in os.getloadavg())}")
    print("| network | way | s a window | times faster | |\n| --- | --- | --- | --- | --- |")
    for name, choice in choices.items():
        found = measure(choice, options.rounds)
        for way, seconds in found.seconds.items():
            taken = f"taken; bf16 gives {found.agreement:.3%} of the labels" if way == found.name else ""
            print(f"| {name} | {way} | {seconds:.3f} | {found.seconds[PLAIN] / seconds:.2f} | {taken} |", flush=True)
    print(f"load {', '.join(f'{n:.1f}' for n in os.getloadavg())}")


if __name__ == "__main__":
    main()
