"""Where the time of a training step goes, and what the memory layout is worth.

Run: ``python Testing/benchmarks/training_step.py DATA [--recipe NAME] [--steps N]``. Prints the processor time of each
part of a step, as a share of the whole, and the forward and backward pass in channels-last layout as a ratio of the
contiguous one; layouts take turns, so that a busy machine slows both alike.
"""

import argparse
import statistics
import time
from collections import defaultdict
from copy import deepcopy
from pathlib import Path

import torch

from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegTrainLib.engine.data.read import read_data
from SlicerCNNSegTrainLib.engine.data.reading import read_cases
from SlicerCNNSegTrainLib.engine.recipe import Recipe
from SlicerCNNSegTrainLib.engine.training.hardware import Hardware
from SlicerCNNSegTrainLib.engine.training.optimizer import build_optimizer, update_average
from SlicerCNNSegTrainLib.engine.training.segmentation import SegmentationTask
from SlicerCNNSegTrainLib.engine.transfer.start import start_network

CASES = 20
"""Enough that a case's own size does not count; reading all would take longer than the measurement."""

WARM_UP = 3


class Stopwatch:
    """Processor time since the last look, by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._last = time.process_time()

    def note(self, part: str) -> None:
        """Add the time since the last look to a part; "" only looks."""
        now = time.process_time()
        if part:
            self.seconds[part].append(now - self._last)
        self._last = now


def shares(task: SegmentationTask, recipe: Recipe, hardware: Hardware, steps: int) -> dict[str, float]:
    """Median processor seconds of each part of a step."""
    learner = start_network(recipe)
    network = hardware.place(learner.network, flat=recipe.flat)
    average, optimizer = deepcopy(network), build_optimizer(learner.groups, recipe)
    watch = Stopwatch()
    for step in range(WARM_UP + steps):
        watch.note("")
        batch = task.batch(step)
        watch.note("data and augmentation")
        with hardware.autocast():
            output = network(batch["image"])
        watch.note("forward")
        loss = task.loss(output, batch)
        watch.note("loss")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        watch.note("backward")
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
        optimizer.step()
        update_average(average, network, recipe.ema_decay)
        watch.note("optimizer and average")
    return {part: statistics.median(seconds[WARM_UP:]) for part, seconds in watch.seconds.items()}


def layouts(task: SegmentationTask, recipe: Recipe, hardware: Hardware, steps: int) -> dict[str, float]:
    """Median processor seconds of a forward and backward pass in each layout."""
    contiguous = start_network(recipe).network
    networks = {"contiguous": contiguous, "channels last": hardware.place(deepcopy(contiguous), flat=recipe.flat)}
    batch, watch = task.batch(0), Stopwatch()
    for _ in range(WARM_UP + steps):
        for name, network in networks.items():
            watch.note("")
            with hardware.autocast():
                output = network(batch["image"])
            task.loss(output, batch).backward()
            watch.note(name)
    return {name: statistics.median(seconds[WARM_UP:]) for name, seconds in watch.seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="hippocampus-mr")
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    recipe = Recipe.read(options.recipe)
    cases = read_data(options.data, recipe.channel_names).cases[:CASES]
    samples = list(read_cases(cases, NoProgress(), recipe).samples.values())
    task, hardware = SegmentationTask(recipe, samples, samples[:1]), Hardware.choose("cpu", recipe.precision)
    seconds = shares(task, recipe, hardware, options.steps)
    whole = sum(seconds.values())
    print(f"{whole:.3f} s of processor time a step, {hardware.precision}, {torch.get_num_threads()} threads")
    for part, each in seconds.items():
        print(f"  {part}: {100 * each / whole:.1f} %")
    medians = layouts(task, recipe, hardware, options.steps)
    for name, median in medians.items():
        print(f"{name}: {median:.3f} s, {median / medians['contiguous']:.2f} of contiguous")


if __name__ == "__main__":
    main()
