"""The training loop."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.files.atomic import replacing
from SlicerCNNSegLib.engine.networks import build_network
from SlicerCNNSegLib.engine.progress import Progress
from SlicerCNNSegLib.engine.windows import Inferer

from ..recipe import Recipe
from ..run_folder import RunFolder
from .checkpoint import load_checkpoint, save_checkpoint
from .losses import DeepSupervisionLoss
from .samples import Sample, Sampler
from .schedule import StepSchedule, TimeSchedule
from .validation import mean_dice


class Trainer:
    """One training run in one folder.

    Parameters
    ----------
    recipe:
        Everything that decides the result; written to ``recipe.json`` in the folder.
    folder:
        Where checkpoints and curves go; see ``run_folder.py``.
    training, validation:
        The cases in network space.
    resume:
        Go on from the folder's last checkpoint, if there is one: the weights come out as if the run
        had never stopped (with a number of steps; with a number of minutes the clock has its say).
    clock:
        Seconds from any fixed point.

    Raises
    ------
    SettingsError
        The folder holds a run with another recipe, or the recipe's minutes are too few.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: RunFolder,
        training: Sequence[Sample],
        validation: Sequence[Sample],
        *,
        resume: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._recipe, self._folder, self._validation, self._clock = recipe, folder, validation, clock
        torch.manual_seed(recipe.seed)
        self._sampler = Sampler(training, recipe)
        self._network = build_network(recipe.network)
        # less time a step on CPUs with bf16: Testing/benchmarks/training_step.py
        self._network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self._average = deepcopy(self._network).requires_grad_(False)
        self._loss = DeepSupervisionLoss()
        self._optimizer = torch.optim.AdamW(
            self._network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._inferer = Inferer(recipe.patch_size, overlap=float(recipe.inference["overlap"]))
        self._step, self._best = 0, -1.0
        self._curves: list[list[int | str]] = [["step", "loss", "learning_rate", "dice", "seconds"]]
        self._begun = clock() - self._claim_folder(resume)
        self._schedule: StepSchedule | TimeSchedule = StepSchedule(recipe)
        if recipe.minutes:
            self._schedule = TimeSchedule(recipe, self._seconds, self._validation_seconds())

    def run(self, progress: Progress) -> float:
        """Train to the end of the schedule, or until cancelled (with a checkpoint); the best mean Dice."""
        schedule = self._schedule
        losses: list[float] = []
        done = schedule.fraction(self._step)  # looked at once a step: a clock goes on between two looks
        while done < 1:
            losses.append(self._train_step())
            self._step += 1
            recent, done = losses[-1], schedule.fraction(self._step)
            if self._step % self._recipe.validate_every == 0 or done >= 1:
                self._validate(sum(losses) / len(losses))
                losses = []
            progress.report(done, f"{schedule.words(self._step)}, loss {recent:.3f}")
            if progress.cancelled():
                self._save()
                break
        return self._best

    def _seconds(self) -> float:
        """Seconds that the run has taken, those before a resume included."""
        return self._clock() - self._begun

    def _validation_seconds(self) -> float:
        """What a validation takes, from its first case."""
        started = self._clock()
        mean_dice(self._average, self._validation[:1], self._inferer, self._recipe.precision)
        return (self._clock() - started) * len(self._validation)

    def _train_step(self) -> float:
        recipe = self._recipe
        for group in self._optimizer.param_groups:
            group["lr"] = self._schedule.rate(self._step)
        image, label = self._sampler.batch(self._step)
        self._network.train()
        torch.manual_seed(recipe.seed * 1_000_003 + self._step)  # dropout, too, is a function of the step
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
            output = self._network(image)
        loss = self._loss(output, label)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), recipe.clip_norm)
        self._optimizer.step()
        _average_weights(self._average, self._network, min(recipe.ema_decay, (1 + self._step) / (10 + self._step)))
        return float(loss.detach())

    def _validate(self, loss: float) -> None:
        dice = float(mean_dice(self._average, self._validation, self._inferer, self._recipe.precision).mean())
        rate = self._schedule.rate(self._step)
        self._curves.append([self._step, f"{loss:.4f}", f"{rate:.3e}", f"{dice:.4f}", f"{self._seconds():.0f}"])
        with replacing(self._folder.curves) as temporary, temporary.open("w", newline="") as stream:
            csv.writer(stream).writerows(self._curves)
        if dice > self._best:
            self._best = dice
            save_checkpoint(
                self._folder.best, {"average": self._average.state_dict(), "step": self._step, "dice": dice}
            )
        self._save()

    def _save(self) -> None:
        state: dict[str, Any] = {
            "network": self._network.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self._step,
            "best": self._best,
            "seconds": self._seconds(),
            "curves": self._curves,
        }
        save_checkpoint(self._folder.last, state)

    def _claim_folder(self, resume: bool) -> float:
        """Take the folder, and its last state on ``resume``; the seconds that the run has taken before."""
        folder, seconds = self._folder, 0.0
        if folder.last.exists():
            if not resume:
                raise SettingsError(
                    f"{folder.path} holds a run already; add --resume to go on, or choose another folder."
                )
            if Recipe.read(folder.recipe).decisive() != self._recipe.decisive():
                raise SettingsError(
                    f"The recipe differs from {folder.recipe}; go on with that one, or choose another folder."
                )
            state = load_checkpoint(folder.last)
            self._network.load_state_dict(state["network"])
            self._average.load_state_dict(state["average"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._step, self._best, self._curves = state["step"], state["best"], state["curves"]
            seconds = state["seconds"]
        with replacing(folder.recipe) as temporary:
            temporary.write_text(json.dumps(self._recipe.to_json(), indent=2) + "\n", encoding="utf-8")
        return float(seconds)


@torch.no_grad()
def _average_weights(average: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    """One step of the exponential moving average; buffers are copied."""
    # parameters(), unlike state_dict(), gives a tensor that two modules share (as in DynUNet) once
    for ours, current in zip(average.parameters(), network.parameters(), strict=True):
        ours.lerp_(current, 1 - decay)
    for kept, now in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(now)
