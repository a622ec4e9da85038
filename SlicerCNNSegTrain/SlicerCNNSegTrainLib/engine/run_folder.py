"""What lies in a run's folder.

::

    recipe.json            how to train: made by ``plan``, to be edited, read by ``run``
    data.json              where the data is
    plan.json              what the data is like, and why the recipe is as it is
    check.json             what the data check found
    fold_0/                a training with fold 0 held out
        recipe.json        the recipe that it was trained with
        split.json         which cases were trained on, which held out, which kept for a test
        start.json         which weights were taken from another model
        contact_sheet.png  what the network saw
        curves.csv, .png   loss and score over the steps
        tensorboard/       the same for TensorBoard
        last.pt            the whole state, to resume from
        best.pt            the weights with the best validation score
        model/             the exported model
        validation/        its predictions beside the truth, and evaluation.json
    out_of_fold.json       the held-out cases of all folds together
    test/                  the model on the test cases, once
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from SlicerCNNSegLib.engine.errors import FileReadError
from SlicerCNNSegLib.engine.files.atomic import replacing

from .data.cases import AnyCase, ClassifiedImage, MarkedImage, TrainingCase, TrainingData
from .data.classes import read_classified
from .data.marks import read_marked
from .data.read import read_data
from .data.splits import Division
from .recipe import Recipe

FOLD = "fold_"


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write an indented JSON file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class FoldFolder:
    """The paths of one training."""

    path: Path

    @property
    def number(self) -> int:
        """Which fold is held out."""
        return int(self.path.name.removeprefix(FOLD))

    @property
    def recipe(self) -> Path:
        """The recipe that it was trained with."""
        return self.path / "recipe.json"

    @property
    def split(self) -> Path:
        """Which cases were trained on."""
        return self.path / "split.json"

    @property
    def start(self) -> Path:
        """Which weights were taken from another model."""
        return self.path / "start.json"

    @property
    def contact_sheet(self) -> Path:
        """What the network saw."""
        return self.path / "contact_sheet.png"

    @property
    def curves(self) -> Path:
        """Loss and score over the steps."""
        return self.path / "curves.csv"

    @property
    def curves_picture(self) -> Path:
        """The same, drawn."""
        return self.path / "curves.png"

    @property
    def tensorboard(self) -> Path:
        """The same, for TensorBoard."""
        return self.path / "tensorboard"

    @property
    def last(self) -> Path:
        """The checkpoint to resume from."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation score."""
        return self.path / "best.pt"

    @property
    def model(self) -> Path:
        """The exported model."""
        return self.path / "model"

    @property
    def validation(self) -> Path:
        """Predictions and truth of the held-out cases."""
        return self.path / "validation"

    def write_split(self, data: Path, division: Division[AnyCase], fold: int) -> None:
        """Keep where the data is and how it was divided."""
        split = {
            "data": str(data.resolve()),
            "division": division.words(fold),
            "training": [case.id for case in division.training(fold)],
            "held_out": [case.id for case in division.held_out(fold)],
            "test": [case.id for case in division.test],
        }
        write_json(self.split, split)

    def cases(self, part: str) -> list[TrainingCase]:
        """The training's cases of a part, ``training``, ``held_out`` or ``test``.

        Raises
        ------
        FileReadError
            The folder holds no training, or its data has changed since.
        """
        split = self._read_split()
        data = read_data(Path(split["data"]), Recipe.read(self.recipe).channel_names)
        return _named(data.cases, split, part)

    def images(self, part: str) -> list[ClassifiedImage]:
        """The same of a classification.

        Raises
        ------
        FileReadError, InputError
            The folder holds no training, or its table has changed since.
        """
        split = self._read_split()
        return _named(classified_images(Path(split["data"]), Recipe.read(self.recipe)), split, part)

    def marked(self, part: str) -> list[MarkedImage]:
        """The same of a detection.

        Raises
        ------
        FileReadError, InputError
            The folder holds no training, or its table has changed since.
        """
        split = self._read_split()
        return _named(read_marked(Path(split["data"])), split, part)

    def _read_split(self) -> dict[str, Any]:
        try:
            split: dict[str, Any] = json.loads(self.split.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileReadError(f"{self.path} holds no training: it has no readable {self.split.name}.") from error
        return split


def _named(cases: Sequence[AnyCase], split: Mapping[str, Any], part: str) -> list[AnyCase]:
    """The cases of a part, in the order in which the split names them."""
    by_id = {case.id: case for case in cases}
    gone = [case_id for case_id in split[part] if case_id not in by_id]
    if gone:
        raise FileReadError(f"{len(gone)} cases of the run are no longer in {split['data']} (first: {gone[0]}).")
    return [by_id[case_id] for case_id in split[part]]


def classified_images(table: Path, recipe: Recipe) -> list[ClassifiedImage]:
    """The images of a classification's table.

    Raises
    ------
    FileReadError, InputError
        See ``read_classified``.
    """
    return read_classified(table, recipe.channel_names, recipe.class_names, multi_label=recipe.multi_label)


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run."""

    path: Path

    @property
    def recipe(self) -> Path:
        """How to train."""
        return self.path / "recipe.json"

    @property
    def data(self) -> Path:
        """Where the data is."""
        return self.path / "data.json"

    @property
    def plan(self) -> Path:
        """What the data is like, and why the recipe is as it is."""
        return self.path / "plan.json"

    @property
    def check(self) -> Path:
        """What the data check found."""
        return self.path / "check.json"

    @property
    def out_of_fold(self) -> Path:
        """The held-out cases of all folds together."""
        return self.path / "out_of_fold.json"

    @property
    def test(self) -> Path:
        """The model on the test cases."""
        return self.path / "test"

    def fold(self, number: int) -> FoldFolder:
        """The training that holds out a fold."""
        return FoldFolder(self.path / f"{FOLD}{number}")

    @property
    def folds(self) -> list[FoldFolder]:
        """The trainings that have weights to export.

        Raises
        ------
        FileReadError
            There is none.
        """
        folds = sorted((FoldFolder(path.parent) for path in self.path.glob(f"{FOLD}*/best.pt")), key=lambda f: f.number)
        if not folds:
            raise FileReadError(
                f"{self.path} has no {FOLD}0/best.pt yet; let 'cnnseg-train run' reach its first validation."
            )
        return folds

    def read_recipe(self) -> Recipe:
        """How to train.

        Raises
        ------
        FileReadError, SettingsError
            The folder is no run, or the recipe was edited into one that makes no sense.
        """
        self._kept_data()
        return Recipe.read(self.recipe)

    def write_data(self, data: Path, *, allow_empty: bool) -> None:
        """Keep where the data is, and whether labels without any structure are meant so."""
        write_json(self.data, {"data": str(data.resolve()), "allow_empty": allow_empty})

    def read_data(self, recipe: Recipe) -> tuple[TrainingData, bool]:
        """The run's data, and whether labels without any structure are meant so.

        Raises
        ------
        FileReadError
            The folder is no run.
        """
        kept = self._kept_data()
        return read_data(Path(kept["data"]), recipe.channel_names), bool(kept["allow_empty"])

    def read_images(self, recipe: Recipe) -> tuple[Path, list[ClassifiedImage]]:
        """The run's table and its images, of a classification.

        Raises
        ------
        FileReadError, InputError
            The folder is no run, or the table is wrong.
        """
        table = Path(self._kept_data()["data"])
        return table, classified_images(table, recipe)

    def read_marked(self) -> tuple[Path, list[MarkedImage]]:
        """The run's table and its images, of a detection.

        Raises
        ------
        FileReadError, InputError
            The folder is no run, or the table is wrong.
        """
        table = Path(self._kept_data()["data"])
        return table, read_marked(table)

    def _kept_data(self) -> dict[str, Any]:
        try:
            kept: dict[str, Any] = json.loads(self.data.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileReadError(
                f"{self.path} is no run: it has no readable {self.data.name}; make one with 'cnnseg-train plan'."
            ) from error
        return kept
