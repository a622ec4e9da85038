"""What lies in a run's folder.

::

    recipe.json      everything that decided the result
    split.json       where the data is, which cases were trained on, which held out, which kept for a test
    check.json       what the data check found
    curves.csv       loss and validation Dice over the steps
    last.pt          the whole state, to resume from
    best.pt          the weights with the best validation Dice
    validation/      predictions of the exported model beside the truth, and evaluation.json
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from SlicerCNNSegLib.engine.errors import FileReadError
from SlicerCNNSegLib.engine.files.atomic import replacing

from .data.cases import TrainingCase
from .data.read import read_data
from .data.splits import Division
from .recipe import Recipe


@dataclass(frozen=True)
class RunFolder:
    """The paths in one run's folder."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe of the run."""
        return self.path / "recipe.json"

    @property
    def split(self) -> Path:
        """Which cases were trained on."""
        return self.path / "split.json"

    @property
    def check(self) -> Path:
        """What the data check found."""
        return self.path / "check.json"

    @property
    def curves(self) -> Path:
        """Loss and Dice over the steps."""
        return self.path / "curves.csv"

    @property
    def last(self) -> Path:
        """The checkpoint to resume from."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation Dice."""
        return self.path / "best.pt"

    @property
    def validation(self) -> Path:
        """Predictions and truth of the held-out cases."""
        return self.path / "validation"

    def write_split(self, data: Path, division: Division, fold: int) -> None:
        """Keep where the data is and how it was divided."""
        split = {
            "data": str(data.resolve()),
            "division": division.words(fold),
            "training": [case.id for case in division.training(fold)],
            "held_out": [case.id for case in division.held_out(fold)],
            "test": [case.id for case in division.test],
        }
        with replacing(self.split) as temporary:
            temporary.write_text(json.dumps(split, indent=2) + "\n", encoding="utf-8")

    def cases(self, part: str) -> list[TrainingCase]:
        """The run's cases of a part, ``training``, ``held_out`` or ``test``.

        Raises
        ------
        FileReadError
            The folder is no run, or its data has changed since.
        """
        try:
            split = json.loads(self.split.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileReadError(f"{self.path} is no training run: it has no readable {self.split.name}.") from error
        data = read_data(Path(split["data"]), Recipe.read(self.recipe).channel_names)
        cases = {case.id: case for case in data.cases}
        gone = [case_id for case_id in split[part] if case_id not in cases]
        if gone:
            raise FileReadError(f"{len(gone)} cases of the run are no longer in {split['data']} (first: {gone[0]}).")
        return [cases[case_id] for case_id in split[part]]
