"""The table of truth and probabilities that a classifier is judged by.

One row for each case. Columns:

``case``                  name of the case, each once
``truth``                 its class
``probability_<class>``   one for each class; or only the positive class's own, where there are two
``probability``           binary short form: of class 1, with ``truth`` 0 or 1
``reader``                the class that a second reader chose, or empty where none did
``patient``               cases of one patient are no independent evidence: intervals take them together

Multi-label tables have ``truth_<class>`` (0 or 1) for each ``probability_<class>``, and ``reader_<class>``.
Two probability columns are a binary table, whose positive class is the last unless it is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InputError, SettingsError
from ...files.rows import Row, read_rows
from ...wording import listed

BINARY, MULTI_CLASS, MULTI_LABEL = "binary", "multi-class", "multi-label"

HIGHEST = "highest"
"""The reliability of a multi-class table is that of each case's highest probability."""

CASE, TRUTH, PROBABILITY, READER, PATIENT = "case", "truth", "probability", "reader", "patient"

SUM_TOLERANCE = 0.01
"""How far the probabilities of one case may be from 1 in sum: what rounding to three decimals does to
twenty classes."""

LISTED_LENGTH = 60
"""Characters of names in a message."""


@dataclass(frozen=True)
class ClassificationTable:
    """Truth and probabilities of the same cases.

    Parameters
    ----------
    path:
        Where they were read.
    kind:
        ``binary``, ``multi-class`` or ``multi-label``.
    classes:
        All classes; of a binary table the negative and the positive one.
    targets:
        The classes that are judged against the rest, in the order of the arrays' columns: all, or of
        a binary table the positive one.
    cases:
        Their names.
    truth:
        Booleans, shape ``(case, target)``.
    probabilities:
        0..1, shape ``(case, target)``.
    reader:
        What a second reader decided, like ``truth``; None without one.
    read:
        Which cases the reader decided, shape ``(case,)``.
    patients:
        The patient of each case; None when each case counts for itself.
    unused:
        Columns that are not looked at.
    """

    path: Path
    kind: str
    classes: tuple[str, ...]
    targets: tuple[str, ...]
    cases: tuple[str, ...]
    truth: np.ndarray
    probabilities: np.ndarray
    reader: np.ndarray | None
    read: np.ndarray
    patients: tuple[str, ...] | None
    unused: tuple[str, ...]

    @property
    def clustered(self) -> bool:
        """Whether several cases belong to one patient."""
        return self.patients is not None and len(set(self.patients)) < len(self.patients)

    @property
    def groups(self) -> np.ndarray:
        """The number of the independent group, 0 and up, that each case belongs to: shape ``(case,)``."""
        names = self.cases if self.patients is None else self.patients
        return np.unique(names, return_inverse=True)[1]


def read_classification_table(path: Path, *, positive: str = "") -> ClassificationTable:
    """Read a table of the form that the top of this file describes.

    Parameters
    ----------
    path:
        A CSV file in UTF-8 (comma, semicolon or tab).
    positive:
        Name of the positive class of a binary table; "" takes the last one.

    Raises
    ------
    FileReadError
        The file cannot be read.
    InputError
        A column is missing, or a cell is wrong.
    SettingsError
        ``positive`` is not a class of a binary table.
    """
    columns, rows = read_rows(path)
    form = _Form(path, columns)
    probabilities = np.array([[_probability(row, column) for column in form.probability_columns] for row in rows])
    cases = _cases(path, rows)
    patients = tuple(_filled(row, PATIENT) for row in rows) if PATIENT in columns else None
    unused = tuple(name for name in columns if name not in form.used)
    if form.multi_label:
        classes = targets = form.classes
        kind = MULTI_LABEL
        truth = np.array([[_zero_or_one(row, f"{TRUTH}_{name}") for name in targets] for row in rows])
        reader, read = _labels_of_reader(rows, form)
    else:
        classes = form.classes if len(form.classes) > 1 else _two_classes(path, rows, form.classes[0])
        kind = BINARY if len(classes) == 2 else MULTI_CLASS
        targets = classes
        if kind == BINARY:
            targets = (_positive_class(path, classes, positive),)
            classes = (next(name for name in classes if name != targets[0]), targets[0])
        _check_sums(rows, probabilities)
        truth = np.array([_chosen(row, TRUTH, classes, targets) for row in rows])
        reader, read = _choices_of_reader(rows, form, classes, targets)
        if kind == BINARY:
            probabilities = _of_positive(probabilities, form.classes, targets[0])
    if positive and kind != BINARY:
        raise SettingsError(f"{path} is a {kind} table, every class of which is judged; leave --positive out.")
    _check_both(path, kind, truth)
    return ClassificationTable(
        path, kind, classes, targets, cases, truth, probabilities, reader, read, patients, unused
    )


class _Form:
    """What the header says: which classes there are, and which columns are used.

    Raises
    ------
    InputError
        A column is missing, or columns contradict each other.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        named = [name for name in columns if name.startswith(f"{PROBABILITY}_")]
        self.short = PROBABILITY in columns
        self.classes = ("1",) if self.short else tuple(name.removeprefix(f"{PROBABILITY}_") for name in named)
        self.probability_columns = (PROBABILITY,) if self.short else tuple(named)
        self.multi_label = any(name.startswith(f"{TRUTH}_") for name in columns)
        truths = [f"{TRUTH}_{name}" for name in self.classes] if self.multi_label else [TRUTH]
        self.readers = [f"{READER}_{name}" for name in self.classes] if self.multi_label else [READER]
        self.has_reader = any(name in columns for name in self.readers)
        needed = [CASE, *truths, *(self.readers if self.has_reader else [])]
        self.used = {*needed, *self.probability_columns, PATIENT}
        if self.short and named:
            raise InputError(
                f"{path} has the columns {PROBABILITY!r} and {named[0]!r}; keep the first for 0 and 1, or the others."
            )
        if not self.classes or "" in self.classes:
            raise InputError(
                f"{path} has no column 'probability_<class>' (nor 'probability' for 0 and 1); "
                f"its columns are {listed(columns, LISTED_LENGTH)}."
            )
        if self.multi_label and (TRUTH in columns or self.short):
            raise InputError(
                f"{path} mixes columns for one class per case ('truth', 'probability') with those for several "
                "('truth_<class>', 'probability_<class>'); keep one kind."
            )
        missing = [name for name in needed if name not in columns]
        if missing:
            raise InputError(
                f"{path} lacks the column {missing[0]!r}; its columns are {listed(columns, LISTED_LENGTH)}."
            )


def _cases(path: Path, rows: Sequence[Row]) -> tuple[str, ...]:
    cases = tuple(_filled(row, CASE) for row in rows)
    seen: set[str] = set()
    for case in cases:
        if case in seen:
            raise InputError(f"{path} has the case {case!r} twice; give each case once.")
        seen.add(case)
    return cases


def _filled(row: Row, column: str) -> str:
    if not row.cells[column]:
        raise InputError(f"{row.place} has nothing in the column {column!r}; fill it in or remove the row.")
    return row.cells[column]


def _probability(row: Row, column: str) -> float:
    text = row.cells[column]
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:  # NaN is not either
        raise InputError(f"{row.place}: expected a probability of 0 to 1 in the column {column!r}, got {text!r}.")
    return value


def _zero_or_one(row: Row, column: str) -> bool:
    if row.cells[column] not in ("0", "1"):
        raise InputError(f"{row.place}: expected 0 or 1 in the column {column!r}, got {row.cells[column]!r}.")
    return row.cells[column] == "1"


def _chosen(row: Row, column: str, classes: Sequence[str], targets: Sequence[str]) -> list[bool]:
    """The class in a cell, as one boolean for each target."""
    if row.cells[column] not in classes:
        raise InputError(
            f"{row.place}: unknown class {row.cells[column]!r} in the column {column!r}; "
            f"expected one of {listed(classes, LISTED_LENGTH)}."
        )
    return [row.cells[column] == target for target in targets]


def _choices_of_reader(
    rows: Sequence[Row], form: _Form, classes: Sequence[str], targets: Sequence[str]
) -> tuple[np.ndarray | None, np.ndarray]:
    """What the reader chose, and in which cases the reader did."""
    if not form.has_reader:
        return None, np.zeros(len(rows), dtype=bool)
    read = np.array([bool(row.cells[READER]) for row in rows])
    nothing = [False] * len(targets)
    chosen = [
        _chosen(row, READER, classes, targets) if was_read else nothing
        for row, was_read in zip(rows, read, strict=True)
    ]
    return np.array(chosen), read


def _labels_of_reader(rows: Sequence[Row], form: _Form) -> tuple[np.ndarray | None, np.ndarray]:
    """What the reader decided for each label; a case is read when its cells are filled."""
    if not form.has_reader:
        return None, np.zeros(len(rows), dtype=bool)
    read = np.array([any(row.cells[name] for name in form.readers) for row in rows])
    nothing = [False] * len(form.readers)
    decided = [
        [_zero_or_one(row, name) for name in form.readers] if was_read else nothing
        for row, was_read in zip(rows, read, strict=True)
    ]
    return np.array(decided), read


def _two_classes(path: Path, rows: Sequence[Row], named: str) -> tuple[str, str]:
    """The two classes of a table that has the probability of one: the other one stands in ``truth``."""
    others = sorted({_filled(row, TRUTH) for row in rows} - {named})
    if named == "1":
        others = sorted({"0", *others})
    if len(others) != 1:
        raise InputError(
            f"{path} has a probability for {named!r} alone, so 'truth' must hold {named!r} and one other class, "
            f"but it holds {listed(others, LISTED_LENGTH) or 'no other'}; "
            "give a column 'probability_<class>' for each class."
        )
    return others[0], named


def _positive_class(path: Path, classes: Sequence[str], wanted: str) -> str:
    if wanted and wanted not in classes:
        raise SettingsError(f"{path} has no class {wanted!r} to be positive; its classes are {', '.join(classes)}.")
    return wanted or classes[-1]


def _of_positive(probabilities: np.ndarray, named: Sequence[str], positive: str) -> np.ndarray:
    """The positive class's probability, shape ``(case, 1)``: its column, or 1 less the other's."""
    if positive in named:
        column = named.index(positive)
        return probabilities[:, column : column + 1]
    return 1 - probabilities


def _check_sums(rows: Sequence[Row], probabilities: np.ndarray) -> None:
    """Raise InputError where the probabilities of several classes are not 1 in sum."""
    if probabilities.shape[1] == 1:
        return
    sums = probabilities.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE)
    if len(wrong):
        raise InputError(
            f"{rows[wrong[0]].place}: the probabilities are {sums[wrong[0]]:.4g} in sum, expected 1; "
            "for classes that exclude each other give softmax probabilities, else columns 'truth_<class>'."
        )


def _check_both(path: Path, kind: str, truth: np.ndarray) -> None:
    """Raise InputError unless some class is there in some cases, but not in all."""
    if (truth.all(axis=0) | ~truth.any(axis=0)).all():
        what = "each label is the same in all cases" if kind == MULTI_LABEL else "all cases are of one class"
        raise InputError(f"{path}: {what} according to the truth, so nothing can be told apart; add cases of others.")
