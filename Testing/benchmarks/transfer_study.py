r"""What a start from other weights gains when few cases are labelled: equal time, several seeds, the same cases.

Run::

    python Testing/benchmarks/transfer_study.py DATA OUT --recipe hippocampus-mr \
        --start openkbp=RUN --start pretrained=RUN --labelled 10 --minutes 2 --seeds 5

The arm ``scratch`` starts from fresh weights, each ``--start NAME=MODEL`` from that model or run. For every seed the
arms get the same labelled cases, drawn from the recipe's training cases, and the same processor time (minutes of
``--cores``). Batches are small and the warm-up is short, for a run this short has few steps. Scored is the Dice of
the held-out cases in network space. What is done already in OUT is kept.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from SlicerCNNSegLib.engine.device import AUTOCAST
from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegLib.engine.windows import Inferer
from SlicerCNNSegTrainLib.engine.checking.check import divide_read
from SlicerCNNSegTrainLib.engine.data.read import read_data
from SlicerCNNSegTrainLib.engine.data.reading import read_cases
from SlicerCNNSegTrainLib.engine.recipe import Recipe, Start
from SlicerCNNSegTrainLib.engine.run_folder import FoldFolder, write_json
from SlicerCNNSegTrainLib.engine.training.checkpoint import load_checkpoint
from SlicerCNNSegTrainLib.engine.training.hardware import Hardware
from SlicerCNNSegTrainLib.engine.training.samples import Sample
from SlicerCNNSegTrainLib.engine.training.segmentation import SegmentationTask
from SlicerCNNSegTrainLib.engine.training.trainer import Trainer
from SlicerCNNSegTrainLib.engine.training.validation import dice_rows
from SlicerCNNSegTrainLib.engine.transfer.start import start_network, trained_network

SCRATCH = "scratch"


def train(
    recipe: Recipe, folder: Path, labelled: list[Sample], held_out: list[Sample], hardware: Hardware, cores: int
) -> list[float]:
    """Train with the time given; each held-out case's mean Dice over structures."""
    fold = FoldFolder(folder)
    # the last weights are the ones scored: one case is enough for the trainer's own validation at the end
    task = SegmentationTask(recipe, labelled, held_out[:1], precision=hardware.precision)
    clock = lambda: time.process_time() / cores  # noqa: E731
    Trainer(recipe, fold, task, start_network(recipe), hardware=hardware, clock=clock).run(NoProgress())
    network = trained_network(recipe, load_checkpoint(fold.best))
    inferer = Inferer(recipe.patch_size, overlap=float(recipe.inference["overlap"]))
    return np.nanmean(dice_rows(network, held_out, inferer, AUTOCAST[hardware.precision]), axis=1).tolist()


def interval(differences: np.ndarray) -> tuple[float, float, float]:
    """Mean and 95 % interval by Student's t over seeds, each the mean of its held-out cases' differences."""
    seeds = differences.mean(axis=1)
    half = student.ppf(0.975, len(seeds) - 1) * seeds.std(ddof=1) / np.sqrt(len(seeds))
    return float(seeds.mean()), float(seeds.mean() - half), float(seeds.mean() + half)


def main() -> None:
    """Train what is missing, and print each arm and what it gains over fresh weights."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", default="hippocampus-mr")
    parser.add_argument("--start", action="append", default=[], metavar="NAME=MODEL")
    parser.add_argument("--labelled", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--warmup-steps", type=int, default=10)
    options = parser.parse_args()
    recipe = replace(
        Recipe.read(options.recipe),
        batch_size=options.batch_size,
        warmup_steps=options.warmup_steps,
        validate_every=10**9,
    )
    data = read_data(options.data, recipe.channel_names)
    reading = read_cases(data.cases, NoProgress(), recipe)
    division = divide_read(data.cases, reading, recipe)
    held_out = [reading.samples[case.id] for case in division.held_out(recipe.fold)]
    pool = [case.id for case in division.training(recipe.fold)]
    hardware = Hardware.choose("cpu", recipe.precision)
    arms = {SCRATCH: ""} | dict(word.split("=", 1) for word in options.start)
    dice: dict[str, list[list[float]]] = {arm: [] for arm in arms}
    for seed in range(options.seeds):
        chosen = np.random.default_rng([seed, options.labelled]).choice(pool, options.labelled, replace=False)
        for arm, model in arms.items():
            folder = options.out / f"{arm}_{seed}"
            kept = folder / "dice.json"
            if not kept.exists():
                timed = replace(recipe, seed=seed, minutes=options.minutes, start=Start(model))
                rows = train(timed, folder, [reading.samples[c] for c in chosen], held_out, hardware, options.cores)
                write_json(kept, {"labelled": chosen.tolist(), "dice": rows})
            dice[arm].append(json.loads(kept.read_text(encoding="utf-8"))["dice"])
            print(f"seed {seed}, {arm}: mean Dice {np.mean(dice[arm][-1]):.4f}", flush=True)
    for arm in arms:
        line = f"{arm}: mean Dice {np.mean(dice[arm]):.4f}"
        if arm != SCRATCH and options.seeds > 1:
            gain, low, high = interval(np.array(dice[arm]) - np.array(dice[SCRATCH]))
            line += f", gain {gain:+.4f} (95 % interval over {options.seeds} seeds {low:+.4f} to {high:+.4f})"
        print(line)


if __name__ == "__main__":
    main()
