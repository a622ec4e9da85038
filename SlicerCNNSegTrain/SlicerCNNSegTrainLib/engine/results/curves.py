"""The curves of a training run: reading ``curves.csv`` back (light: numpy alone, for the panel too)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SlicerCNNSegLib.engine.errors import InputError
from SlicerCNNSegLib.engine.files.rows import read_rows

LEADING, LAST = ("step", "loss", "learning_rate"), "seconds"
"""Columns before and after what the validations gave; the first between them is the metric."""


TITLES = {"auc": "AUC", "cpm": "CPM"}
"""Metrics that are abbreviations."""


@dataclass(frozen=True, eq=False)
class Curves:
    """What a run did from validation to validation; all arrays ``(validations,)`` float64, steps int64.

    Parameters
    ----------
    metric:
        Name of the score that chooses the best weights, for example ``dice``; higher is better.
    steps:
        Steps done at each validation.
    loss:
        Mean training loss since the validation before.
    learning_rate:
        Of the last step.
    scores:
        The metric.
    parts:
        The metric of each structure by its name; NaN where no case held it. Columns of other names
        than ``<metric> <structure>`` are not among them.
    seconds:
        Since the run's first step, pauses between resumes left out.
    """

    metric: str
    steps: np.ndarray
    loss: np.ndarray
    learning_rate: np.ndarray
    scores: np.ndarray
    parts: Mapping[str, np.ndarray]
    seconds: np.ndarray

    @property
    def title(self) -> str:
        """The metric as people write it."""
        return TITLES.get(self.metric, self.metric.capitalize())

    @property
    def best(self) -> int | None:
        """Index of the validation whose weights were kept: the first with the highest score; None without a score."""
        return int(np.nanargmax(self.scores)) if np.isfinite(self.scores).any() else None


def read_curves(path: Path) -> Curves:
    """The curves in a run's ``curves.csv``.

    Raises
    ------
    FileReadError
        The file is missing or no table.
    InputError
        It has no rows, other columns than a run's, or a cell that is no number.
    """
    columns, rows = read_rows(path)
    metric = metric_of(columns)
    if not metric:
        raise InputError(
            f"{path} has the columns {', '.join(columns)}; expected {', '.join(LEADING)}, a metric, ..., {LAST}: "
            "give the curves.csv of a training run."
        )
    values: dict[str, list[float]] = {name: [] for name in columns}
    for row in rows:
        for name, cell in row.cells.items():
            try:
                values[name].append(float(cell))
            except ValueError as error:
                raise InputError(f"Expected a number for {name} in {row.place} of {path}, got {cell!r}.") from error
    arrays = {name: np.array(column) for name, column in values.items()}
    return Curves(
        metric,
        arrays["step"].astype(np.int64),
        arrays["loss"],
        arrays["learning_rate"],
        arrays[metric],
        {name.removeprefix(f"{metric} "): arrays[name] for name in columns if name.startswith(f"{metric} ")},
        arrays[LAST],
    )


def metric_of(columns: Sequence[str]) -> str:
    """The metric's column in a run's row of ``curves.csv``; "" when these are no such columns."""
    fits = len(columns) > len(LEADING) + 1 and tuple(columns[: len(LEADING)]) == LEADING and columns[-1] == LAST
    return columns[len(LEADING)] if fits else ""
