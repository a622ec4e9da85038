"""Train a run with a budget of processor time, which a busy machine does not shorten as it does minutes.

Run::

    cnnseg-train plan DATA -o RUN --recipe hippocampus-mr --minutes 30
    python Testing/benchmarks/training_budget.py RUN [--cores 2] [--resume]
    cnnseg-train export RUN -o MODEL

The run's minutes are minutes of so many cores. ``nnunet_training.py`` keeps the same budget, with nnU-Net's trainer.
"""

import argparse
import time
from pathlib import Path

from SlicerCNNSegLib.engine.progress import NoProgress
from SlicerCNNSegTrainLib.cli.progress import BarProgress
from SlicerCNNSegTrainLib.engine.run_folder import RunFolder
from SlicerCNNSegTrainLib.engine.training.hardware import Hardware
from SlicerCNNSegTrainLib.engine.workflow import read_checked, train_fold


def main() -> None:
    """Train, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    run = RunFolder(options.run)
    recipe = run.read_recipe()
    data = read_checked(run, recipe, [recipe.fold], NoProgress())
    data.report.stop_at_errors()
    begun = time.perf_counter(), time.process_time()
    with BarProgress("Training", stop_cleanly=True) as bar:
        best = train_fold(
            run.fold(recipe.fold),
            recipe,
            data,
            Hardware.choose("cpu", recipe.precision),
            bar,
            resume=options.resume,
            clock=lambda: time.process_time() / options.cores,
        )
    wall, processor = time.perf_counter() - begun[0], time.process_time() - begun[1]
    print(f"best score {best:.4f}; {wall:.0f} s, {processor:.0f} s of processor time")


if __name__ == "__main__":
    main()
