"""The training loop."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.files.atomic import replacing
from SlicerCNNSegLib.engine.progress import Progress

from ..recipe import Recipe
from ..run_folder import FoldFolder, write_json
from ..transfer.start import BASE, Learner
from .checkpoint import load_checkpoint, save_checkpoint
from .hardware import Hardware
from .optimizer import build_optimizer, set_rate, update_average
from .ranks import ALONE, Ranks
from .schedule import StepSchedule, TimeSchedule
from .task import Batch, Task

if TYPE_CHECKING:
    from ..results.observers import RunObserver


SAVE_SECONDS = 300.0
"""A run that is killed loses no more than this: between validations, too, it is saved so often."""


class Trainer:
    """One training run in one folder.

    Parameters
    ----------
    recipe:
        Everything that decides the result; written to ``recipe.json`` in the folder.
    folder:
        Where checkpoints and curves go; see ``run_folder.py``.
    task:
        What is learned.
    learner:
        What learns, with its first weights.
    hardware, ranks:
        Where, and in which of several processes.
    observers:
        Told of the run by the process that leads.
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
        folder: FoldFolder,
        task: Task,
        learner: Learner,
        *,
        hardware: Hardware,
        ranks: Ranks = ALONE,
        observers: Sequence[RunObserver] = (),
        resume: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._recipe, self._folder, self._task, self._clock = recipe, folder, task, clock
        self._learner, self._hardware, self._ranks, self._observers = learner, hardware, ranks, observers
        self._network = hardware.place(learner.network, flat=recipe.flat)
        self._average = deepcopy(self._network).requires_grad_(False)
        self._optimizer = build_optimizer(learner.groups, recipe)
        self._scaler = hardware.scaler()
        self._step, self._best, self._since_best = 0, -math.inf, 0
        self._rows: list[dict[str, str]] = []
        self._losses: list[float] = []
        self._begun = clock() - self._claim_folder(resume)
        self._saved = time.monotonic()
        self._parallel = ranks.together(self._network)
        self._schedule: StepSchedule | TimeSchedule = StepSchedule(recipe)
        if recipe.minutes:
            self._schedule = TimeSchedule(recipe, self._seconds, task.score_seconds(self._average, clock))

    def run(self, progress: Progress) -> float:
        """Train to the end of the schedule, or until cancelled (with a checkpoint); the best score.

        Raises
        ------
        SettingsError
            The loss is no longer a number.
        """
        sheet = self._folder.contact_sheet
        for observer in self._observers:
            observer.begun(sheet if self._step == 0 and sheet.exists() else None)
        try:
            self._go(progress)
        finally:
            for observer in self._observers:
                observer.ended()
        return self._best

    def _go(self, progress: Progress) -> None:
        score, batches, agree = "", self._hardware.batches(self._task, self._step), self._ranks.leader_says
        done = agree(self._schedule.fraction(self._step))  # looked at once a step: a clock goes on between two looks
        while done < 1:
            loss = self._train_step(next(batches))
            self._losses.append(loss)
            self._step += 1
            done = agree(self._schedule.fraction(self._step))
            if self._step % self._recipe.validate_every == 0 or done >= 1:
                score = self._validate()
                if self._recipe.patience and self._since_best >= self._recipe.patience:
                    done = 1.0
            progress.report(done, f"{self._schedule.words(self._step)}, loss {loss:.3f}{score}")
            if agree(progress.cancelled()):
                self._save()
                break
            if time.monotonic() - self._saved >= SAVE_SECONDS:
                self._save()

    def _seconds(self) -> float:
        """Seconds that the run has taken, those before a resume included."""
        return self._clock() - self._begun

    def _train_step(self, batch: Batch) -> float:
        recipe = self._recipe
        set_rate(self._optimizer, self._schedule.rate(self._step))
        self._learner.train()
        # dropout, too, is a function of the step
        torch.manual_seed(recipe.seed * 1_000_003 + self._step + self._ranks.rank * 1_000_000_007)
        with self._hardware.autocast():
            output = self._parallel(batch["image"])
        loss = self._task.loss(output, batch)
        if not torch.isfinite(loss):
            raise SettingsError(
                f"The loss is {float(loss.detach()):g} at step {self._step}: expected a number. Lower learning_rate in "
                "the recipe, or choose precision fp32; the last checkpoint is good."
            )
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), recipe.clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        update_average(self._average, self._network, min(recipe.ema_decay, (1 + self._step) / (10 + self._step)))
        return float(loss.detach())

    def _validate(self) -> str:
        """Score the averaged weights, keep them when none were better so far, and tell; the score in words.

        Of equally good ones the later are kept: they have learned for longer.
        """
        scores = self._task.score(self._average)
        score = scores[self._task.metric]
        row = {
            "step": str(self._step),
            "loss": f"{sum(self._losses) / len(self._losses):.4f}",
            "learning_rate": f"{self._schedule.rate(self._step):.3e}",
            **{name: f"{value:.4f}" for name, value in scores.items()},
            "seconds": f"{self._seconds():.0f}",
        }
        self._rows.append(row)
        self._losses.clear()
        self._since_best += 1
        kept = score >= self._best
        if score > self._best:
            self._best, self._since_best = score, 0
        if self._ranks.leads:
            self._write_curves()
            if kept:
                average = self._learner.stored(self._average)
                state = {"average": average, "step": self._step, self._task.metric: score, BASE: self._learner.base}
                save_checkpoint(self._folder.best, state)
            self._save()
            for observer in self._observers:
                observer.validated(row)
        return f", {self._task.metric} {score:.3f}"

    def _write_curves(self) -> None:
        with replacing(self._folder.curves) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, self._rows[-1])
            writer.writeheader()
            writer.writerows(self._rows)

    def _save(self) -> None:
        state: dict[str, Any] = {
            "network": self._learner.stored(self._network),
            "average": self._learner.stored(self._average),
            BASE: self._learner.base,
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "step": self._step,
            "best": self._best,
            "since_best": self._since_best,
            "seconds": self._seconds(),
            "rows": self._rows,
            "losses": self._losses,
        }
        if self._ranks.leads:
            save_checkpoint(self._folder.last, state)
        self._saved = time.monotonic()

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
            seconds = self._take_up(load_checkpoint(folder.last))
        if self._ranks.leads:
            write_json(folder.recipe, self._recipe.to_json())
        return seconds

    def _take_up(self, state: Mapping[str, Any]) -> float:
        """Go on from a checkpoint; the seconds that it had taken."""
        self._learner.restore(self._network, state, "network")
        self._learner.restore(self._average, state, "average")
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self._step, self._best, self._since_best = state["step"], state["best"], state["since_best"]
        self._rows, self._losses = state["rows"], state["losses"]
        return float(state["seconds"])
