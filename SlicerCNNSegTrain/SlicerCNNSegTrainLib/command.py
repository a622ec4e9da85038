"""What the training panel and ``cnnseg-train`` say to each other; no Qt, nothing heavy."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path

LIBRARY_FOLDER = Path(__file__).resolve().parents[1]
RECIPES = LIBRARY_FOLDER / "Resources" / "Recipes"

LAUNCH = "import sys; sys.path[:0] = {folders!r}; from SlicerCNNSegTrainLib.cli.main import main; sys.exit(main())"
"""Runs the command from where the libraries lie, whatever Python's own search path is."""

ERROR = "cnnseg-train: error: "
STOPPED = 130
"""Exit status after a wish to stop; ``cli.status`` is not imported here for one number."""

PROGRESS_LINE = re.compile(r"(?P<title>[^:]+): (?P<percent>\d+)%, (?P<stage>.+)")
"""What ``cli.progress`` writes where there is no terminal: ``Training: 12%, step 360/3000, loss 0.31``."""


@dataclass(frozen=True)
class TrainingRequest:
    """What to train.

    Parameters
    ----------
    data:
        Folder with ``imagesTr`` and ``labelsTr``.
    run:
        Folder for checkpoints and curves.
    model:
        Model folder to write at the end.
    recipe:
        Name of a shipped recipe.
    steps:
        Number of training steps.
    resume:
        Go on from the last checkpoint in ``run``.
    """

    data: Path
    run: Path
    model: Path
    recipe: str
    steps: int
    resume: bool = False

    def arguments(self, *library_folders: Path) -> list[str]:
        """Arguments for Python that train and export; the folders hold the two libraries."""
        launch = LAUNCH.format(folders=[str(folder) for folder in library_folders])
        arguments = ["-c", launch, "auto", str(self.data), "-o", str(self.model), "--run", str(self.run)]
        return [*arguments, "--recipe", self.recipe, "--steps", str(self.steps), *["--resume"] * self.resume]


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


def shipped_recipes() -> dict[str, int]:
    """Names of the shipped recipes, and their numbers of steps."""
    return {
        path.stem: int(json.loads(path.read_text(encoding="utf-8"))["steps"]) for path in sorted(RECIPES.glob("*.json"))
    }


def last_validation(run: Path) -> str:
    """The last validation of a run in words, or empty before the first."""
    try:
        newest = max(run.glob("fold_*/curves.csv"), key=lambda path: path.stat().st_mtime)
        with newest.open(encoding="utf-8", newline="") as stream:
            *_, last = csv.DictReader(stream)
    except (OSError, ValueError):  # not there yet, or without a row
        return ""
    return f"Dice {float(last['dice']):.3f} on held-out cases at step {last['step']}"
