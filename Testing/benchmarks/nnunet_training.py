r"""nnU-Net's own trainer on a budget of processor time: the peer side of the training benchmark.

Run by a Python that has nnunetv2 2.8 (not the project's)::

    OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=34359738368 \
        python Testing/benchmarks/nnunet_training.py DATA SPLIT -o OUT [--configuration 3d_fullres|2d]
        [--minutes 30] [--cores 2] [--clock processor|wall] [--no-mirror]

DATA has ``imagesTr`` and ``labelsTr``; SPLIT is a JSON file with the case ids ``training`` and ``held_out``,
such as a run's ``split.json``. Plans, preprocessing and prediction are nnU-Net's own and not counted. The
trainer differs from nnU-Net's in what the budget needs alone: it stops when ``minutes`` of ``cores`` are
used, and the learning rate, still polynomial, falls to zero with the budget, at every step. Data
augmentation runs in the training process, since the budget is processor time. ``OUT/prediction`` gets the
held-out cases, ``OUT/run.json`` what was done; a repeated run in the same OUT trains anew.

The environment makes most of a budget: threads that wait do not spin, and the C library keeps freed memory,
which spares the kernel from clearing it at every step (5.1 instead of 7.9 processor seconds a step of
hippocampus 3d_fullres on two cores of an AMD EPYC). A rival in the comparison is to get the same.
"""

import argparse
import json
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from nnunet_setup import Workplace, link_raw, preprocess
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

CLOCKS = {"processor": time.process_time, "wall": time.perf_counter}
STEPS_AN_EPOCH = 50
VALIDATION_STEPS_AN_EPOCH = 2


class Budget:
    """How much of a training's time is used.

    Parameters
    ----------
    seconds:
        On the clock, for the training as a whole.
    clock:
        ``processor`` counts the seconds of all threads of this process.
    """

    def __init__(self, seconds: float, clock: str) -> None:
        self.seconds = seconds
        self._clock = CLOCKS[clock]
        self._begin = self._clock()

    def start(self) -> None:
        """Begin to count."""
        self._begin = self._clock()

    def share(self) -> float:
        """The used share, at most 1."""
        return min((self._clock() - self._begin) / self.seconds, 1.0)


class BudgetSchedule(PolyLRScheduler):
    """nnU-Net's polynomial decay over the used share of a budget, whatever step it is told."""

    def __init__(self, optimizer: torch.optim.Optimizer, initial_lr: float, budget: Budget) -> None:
        self.budget = budget
        super().__init__(optimizer, initial_lr, max_steps=1)

    def step(self, current_step: int | None = None) -> None:
        """Set the learning rate."""
        super().step(self.budget.share())


class BudgetTrainer(nnUNetTrainer):
    """nnU-Net's trainer that stops when ``budget``, to be set before training, is used."""

    budget: Budget
    mirror = True

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple[Any, ...]:  # noqa: N802
        """nnU-Net's augmentation, as in its trainer without mirroring where that is asked."""
        *others, axes = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        if self.mirror:
            return *others, axes
        self.inference_allowed_mirroring_axes = None
        return *others, None

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, BudgetSchedule]:
        """nnU-Net's optimiser with the budget's schedule."""
        optimizer, _ = super().configure_optimizers()
        return optimizer, BudgetSchedule(optimizer, self.initial_lr, self.budget)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's step at the learning rate of the moment."""
        self.lr_scheduler.step()
        result = super().train_step(batch)
        self.steps += 1
        return result

    def run_training(self) -> None:
        """nnU-Net's loop, for as long as the budget lasts."""
        self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = STEPS_AN_EPOCH, VALIDATION_STEPS_AN_EPOCH
        self.steps = 0
        self.on_train_start()
        self.budget.start()
        while self.budget.share() < 1:
            self.on_epoch_start()
            self.on_train_epoch_start()
            outputs: list[dict[str, Any]] = []
            while len(outputs) < self.num_iterations_per_epoch and self.budget.share() < 1:
                outputs.append(self.train_step(next(self.dataloader_train)))
            self.on_train_epoch_end(outputs)
            with torch.no_grad():
                self.on_validation_epoch_start()
                self.on_validation_epoch_end(
                    [self.validation_step(next(self.dataloader_val)) for _ in range(self.num_val_iterations_per_epoch)]
                )
            self.on_epoch_end()
            self.print_to_log_file(f"{self.steps} steps, {self.budget.share():.3f} of the budget")
        self.on_train_end()


# Checkpoint and results folder are named by the class; under nnU-Net's name its predictor and other readers know them.
BudgetTrainer.__name__ = nnUNetTrainer.__name__


def train(
    workplace: Workplace, configuration: str, budget: Budget, *, mirror: bool
) -> tuple[nnUNetTrainer, dict[str, Any]]:
    """Train; returns the trainer and the facts of the run."""
    plans, dataset = (
        json.loads((workplace.preprocessed / name).read_text(encoding="utf-8"))
        for name in ("nnUNetPlans.json", "dataset.json")
    )
    trainer = BudgetTrainer(plans | {"continue_training": False}, configuration, 0, dataset, torch.device("cpu"))
    trainer.budget, trainer.mirror = budget, mirror
    trainer.initialize()
    wall, processor = time.perf_counter(), time.process_time()
    trainer.run_training()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    facts = {
        "configuration": configuration,
        "steps": trainer.steps,
        "batch_size": trainer.configuration_manager.batch_size,
        "patch_size": [int(size) for size in trainer.configuration_manager.patch_size],
        "processor_seconds": processor,
        "wall_seconds": wall,
        "processor_seconds_per_step": processor / trainer.steps,
        "wall_seconds_per_step": wall / trainer.steps,
        "last_pseudo_dice": [float(one) for one in trainer.logger.get_value("dice_per_class_or_region", step=-1)],
    }
    return trainer, facts


def predict(workplace: Workplace, model: Path, cases: list[str], output: Path, *, mirror: bool) -> None:
    """Predict the cases with the last weights, as nnU-Net does, with or without its mirroring."""
    predictor = nnUNetPredictor(
        use_mirroring=mirror, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(str(model), (0,))
    output.mkdir(parents=True, exist_ok=True)
    predictor.predict_from_files_sequential(
        [[str(workplace.image(case))] for case in cases], [str(output / case) for case in cases]
    )


def main() -> None:
    """Preprocess, train, predict, and write what was done."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("split", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--configuration", choices=("3d_fullres", "2d"), default="3d_fullres")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="processor")
    parser.add_argument("--no-mirror", dest="mirror", action="store_false", help="no mirrored copies")
    options = parser.parse_args()
    split = json.loads(options.split.read_text(encoding="utf-8"))
    workplace = Workplace(options.output / "nnunet", "Benchmark")
    workplace.announce()
    link_raw(workplace, options.data, split["training"] + split["held_out"])
    preprocess(workplace, options.configuration, split["training"], split["held_out"])
    minutes = options.minutes * (options.cores if options.clock == "processor" else 1)
    budget = Budget(60 * minutes, options.clock)
    trainer, facts = train(workplace, options.configuration, budget, mirror=options.mirror)
    facts |= {
        "budget": {"minutes": options.minutes, "cores": options.cores, "clock": options.clock},
        "mirror": options.mirror,
        "threads": torch.get_num_threads(),
        "environment": {name: os.environ[name] for name in sorted(os.environ) if name.startswith(("OMP_", "MALLOC_"))},
        "versions": {name: version(name) for name in ("nnunetv2", "torch")},
    }
    (options.output / "run.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(facts, indent=2))
    predict(
        workplace,
        Path(trainer.output_folder_base),
        split["held_out"],
        options.output / "prediction",
        mirror=options.mirror,
    )


if __name__ == "__main__":
    main()
