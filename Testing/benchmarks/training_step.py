"""Seconds per training step of a recipe's network, memory layouts side by side in one process.

Run: ``python Testing/benchmarks/training_step.py [RECIPE]``. Prints the median of each layout and
their ratio; layouts take turns, so that a busy machine slows both alike.
"""

import statistics
import sys
import time
from copy import deepcopy

import torch

from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegTrainLib.engine.recipe import Recipe
from SlicerCNNSegTrainLib.engine.training.losses import DeepSupervisionLoss

ROUNDS = 10


def step_seconds(network: torch.nn.Module, image: torch.Tensor, label: torch.Tensor) -> float:
    """Seconds of one forward and backward pass in bf16."""
    begin = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        output = network(image)
    DeepSupervisionLoss()(output, label).backward()
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print."""
    recipe = Recipe.read(sys.argv[1] if len(sys.argv) > 1 else "hippocampus-mr")
    contiguous = build_network(recipe.network)
    networks = {
        "contiguous": contiguous,
        "channels last": deepcopy(contiguous).to(memory_format=torch.channels_last_3d),
    }
    image = torch.randn(recipe.batch_size, len(recipe.model["channels"]), *recipe.patch_size)
    label = torch.zeros(recipe.batch_size, 1, *recipe.patch_size, dtype=torch.long)
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(ROUNDS + 1):
        for name, network in networks.items():
            seconds[name].append(step_seconds(network, image, label))
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.3f} s a step, {median / medians['contiguous']:.2f} of contiguous")


if __name__ == "__main__":
    main()
