"""Tables of truth and probabilities for tests: made arrays, and files of them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from SlicerCNNSegLib.engine.evaluation.classification.tables import (
    BINARY,
    MULTI_CLASS,
    MULTI_LABEL,
    ClassificationTable,
)


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def table_of(
    kind: str,
    truth: np.ndarray,
    probabilities: np.ndarray,
    *,
    reader: np.ndarray | None = None,
    read: np.ndarray | None = None,
    patients: Sequence[str] | None = None,
    name: str = "model",
) -> ClassificationTable:
    """A table out of arrays ``(case, target)``; classes are c0, c1, ..."""
    cases, width = truth.shape
    targets = ("c1",) if kind == BINARY else tuple(f"c{n}" for n in range(width))
    return ClassificationTable(
        path=Path(f"{name}.csv"),
        kind=kind,
        classes=("c0", "c1") if kind == BINARY else targets,
        targets=targets,
        cases=tuple(f"case{n}" for n in range(cases)),
        truth=truth,
        probabilities=probabilities,
        reader=reader,
        read=np.full(cases, reader is not None) if read is None else read,
        patients=None if patients is None else tuple(patients),
        unused=(),
    )


def random_table(kind: str, cases: int = 120, seed: int = 0, *, skill: float = 1.5, decimals: int = 2, **more):
    """A table of a model with some skill; rounding makes tied probabilities."""
    rng = np.random.default_rng(seed)
    if kind == MULTI_CLASS:
        chosen = np.r_[0, 1, 2, 3, rng.integers(0, 4, cases - 4)]
        truth = np.eye(4, dtype=bool)[chosen]
        scores = np.exp(rng.normal(skill * truth, 1))
        probabilities = np.round(scores / scores.sum(axis=1, keepdims=True), decimals)
    else:
        prevalence = [0.4] if kind == BINARY else [0.2, 0.5, 0.3]
        truth = rng.random((cases, len(prevalence))) < prevalence
        probabilities = np.round(1 / (1 + np.exp(skill / 2 - rng.normal(skill * truth, 1))), decimals)
    return table_of(kind, truth, probabilities, **more)


KINDS = (BINARY, MULTI_CLASS, MULTI_LABEL)
