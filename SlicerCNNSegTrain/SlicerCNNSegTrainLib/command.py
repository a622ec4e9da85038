"""What the training panel and ``cnnseg-train`` say to each other; no Qt, nothing heavy."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LIBRARY_FOLDER = Path(__file__).resolve().parents[1]
RECIPES = LIBRARY_FOLDER / "Resources" / "Recipes"

LAUNCH = "import sys; sys.path[:0] = {folders!r}; from SlicerCNNSegTrainLib.cli.main import main; sys.exit(main())"
"""Runs the command from where the libraries lie, whatever Python's own search path is."""

VARIABLES = {"CNNSEG_LOG_SECONDS": "1"}
"""Environment of the command: a line of progress each second, as often as a bar needs."""

ERROR = "cnnseg-train: error: "
STOPPED = 130
"""Exit status after a wish to stop; ``cli.status`` is not imported here for one number."""

PROGRESS_LINE = re.compile(r"(?P<title>[^:]+): (?P<percent>\d+)%, (?P<stage>.+)")
"""What ``cli.progress`` writes where there is no terminal: ``Training: 12%, step 360/3000, loss 0.31``."""


@dataclass(frozen=True)
class TrainingRequest:
    """What to train, and how.

    Parameters
    ----------
    data:
        Folder with ``imagesTr`` and ``labelsTr``, or CSV table.
    run:
        Folder of the run.
    model:
        Model folder to write at the end.
    recipe:
        Name of a shipped recipe; empty for one made for the data.
    minutes:
        How long to train.
    start:
        Model to start from, by id; empty for none.
    freeze_encoder:
        Leave the weights of its encoder as they are.
    adapter_rank:
        Train low-rank adapters of this rank alone; 0 trains all weights.
    allow_empty:
        Labels without any structure are meant so.
    absent_not_contoured:
        A structure that a label does not hold is not learned as background there.
    device:
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    task:
        ``segmentation``, ``detection`` or ``classification``; empty for the one that the data allows.
    labels:
        Names of the labels to learn; empty for all, and for a shipped recipe, which has its own.
    """

    data: Path
    run: Path
    model: Path
    recipe: str = ""
    minutes: float = 30.0
    start: str = ""
    freeze_encoder: bool = False
    adapter_rank: int = 0
    allow_empty: bool = False
    absent_not_contoured: bool = False
    device: str = "auto"
    task: str = ""
    labels: tuple[str, ...] = ()

    def check(self, report: Path) -> list[str]:
        """Arguments that check the data, and write what was found."""
        recipe = ["--recipe", self.recipe] if self.recipe else []
        return ["check", str(self.data), *recipe, *["--allow-empty"] * self.allow_empty, "-o", str(report)]

    def plan(self) -> list[str]:
        """Arguments that make the run's folder."""
        return ["plan", str(self.data), "-o", str(self.run), *self._choices()]

    def begin(self) -> list[str]:
        """Arguments that plan, train and export."""
        return ["auto", str(self.data), "-o", str(self.model), "--run", str(self.run), *self._choices()]

    def go_on(self) -> list[str]:
        """Arguments that train by the recipe in the run's folder, from its last checkpoint if there is one."""
        run = ["--run", str(self.run), "--resume", "--device", self.device]
        return ["auto", str(self.data), "-o", str(self.model), *run]

    def export(self) -> list[str]:
        """Arguments that export the best weights so far."""
        return ["export", str(self.run), "-o", str(self.model)]

    def _choices(self) -> list[str]:
        """What decides the recipe."""
        arguments = ["--minutes", f"{self.minutes:g}", "--device", self.device]
        arguments += ["--task", self.task] if self.task else []
        if self.recipe:
            arguments += ["--recipe", self.recipe]
        else:
            arguments += [f"--labels={label}" for label in self.labels]
        if self.start:
            arguments += ["--from", self.start, *["--freeze-encoder"] * self.freeze_encoder]
            arguments += ["--adapter-rank", str(self.adapter_rank)] if self.adapter_rank else []
        arguments += ["--allow-empty"] * self.allow_empty
        return [*arguments, *["--absent-not-contoured"] * self.absent_not_contoured]


def python_arguments(command: Sequence[str], *library_folders: Path) -> list[str]:
    """Arguments for Python that run the command; the folders hold the two libraries."""
    return ["-c", LAUNCH.format(folders=[str(folder) for folder in library_folders]), *command]


@dataclass(frozen=True)
class TrainingProgress:
    """How far a stage (``Reading``, ``Training``, ``Evaluating``) is: a fraction, and words."""

    title: str
    fraction: float
    stage: str


def parse_progress(line: str) -> TrainingProgress | None:
    """The progress on a line, or None when it is another line."""
    match = PROGRESS_LINE.fullmatch(line)
    return TrainingProgress(match["title"], int(match["percent"]) / 100, match["stage"]) if match else None


def parse_error(line: str) -> str:
    """The error message on a line, or empty when it is another line."""
    return line.removeprefix(ERROR) if line.startswith(ERROR) else ""


def count_labels(data: Path, output: Path) -> list[str]:
    """Arguments that write what there is to learn in the data."""
    return ["labels", str(data), "-o", str(output)]


def shipped_recipes(task: str) -> list[str]:
    """Names of the shipped recipes for a task."""
    models = {path.stem: json.loads(path.read_text(encoding="utf-8"))["model"] for path in RECIPES.glob("*.json")}
    return sorted(name for name, model in models.items() if model["task"] == task)
