"""How cases are divided for training, validation and test: by patient, the same at every call."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np

from SlicerCNNSegLib.engine.errors import SettingsError

from .cases import TEST, TRAIN, VALIDATION, AnyCase


@dataclass(frozen=True)
class Division(Generic[AnyCase]):
    """Which part each case belongs to.

    Parameters
    ----------
    cases:
        All cases, in the data's order.
    parts:
        Case id to part: ``train``, ``validation`` and ``test`` where the data fixes them, else
        ``fold 0``, ``fold 1``... and ``test``.
    folds:
        Number of folds; 0 when the data fixes what is held out.
    seed:
        What the patients were shuffled with.
    only_trained:
        Ids of cases that are never held out; where their part is, they are not trained on either.
    """

    cases: tuple[AnyCase, ...]
    parts: Mapping[str, str]
    folds: int
    seed: int
    only_trained: frozenset[str] = frozenset()

    @property
    def choices(self) -> tuple[int, ...]:
        """The folds that can be held out; one, of number 0, when the data fixes it."""
        return tuple(range(self.folds or 1))

    def held_out(self, fold: int) -> list[AnyCase]:
        """The cases that a run of this fold is validated on; a fixed division has the same for every fold.

        Raises
        ------
        SettingsError
            There is no such fold.
        """
        away = self._away(fold)
        return [case for case in self.cases if self.parts[case.id] == away and case.id not in self.only_trained]

    def training(self, fold: int) -> list[AnyCase]:
        """The cases that a run of this fold is trained on."""
        return [case for case in self.cases if self.parts[case.id] not in (self._away(fold), TEST)]

    @property
    def test(self) -> list[AnyCase]:
        """The cases that no run touches."""
        return [case for case in self.cases if self.parts[case.id] == TEST]

    def parts_in(self, fold: int) -> dict[str, str]:
        """Case id to ``train``, ``validation`` or ``test`` in a run of this fold."""
        names = {self._away(fold): VALIDATION, TEST: TEST}
        return {case_id: names.get(part, TRAIN) for case_id, part in self.parts.items()}

    def words(self, fold: int) -> str:
        """How a run of this fold was divided, for a model's card."""
        if self.folds:
            return f"fold {fold} of {self.folds}, patients shuffled with seed {self.seed}"
        return "as the data set's table divides them"

    def _away(self, fold: int) -> str:
        if self.folds and not 0 <= fold < self.folds:
            raise SettingsError(f"Expected a fold from 0 to {self.folds - 1}, got {fold}.")
        return f"fold {fold}" if self.folds else VALIDATION


def divide(
    cases: Sequence[AnyCase],
    folds: int,
    seed: int,
    presence: Mapping[str, frozenset[int]] | None = None,
    only_trained: Collection[str] = (),
) -> Division[AnyCase]:
    """Divide the cases as the data says, or into folds of patients.

    Patients are shuffled with ``seed``, those with the same structures brought together, and dealt out
    in turn: folds differ by at most one patient, no patient is in two, and each structure is spread,
    the rarest one evenly. Where all cases have the same structures the shuffled order is the deal.

    Parameters
    ----------
    cases:
        When one of them says ``validation``, their splits hold. ``test`` always holds.
    folds, seed:
        Number of folds, and what shuffles the patients.
    presence:
        Case id to the structures that its label holds; None spreads patients alone.
    only_trained:
        Ids of cases that are never held out.

    Raises
    ------
    SettingsError
        There are fewer patients than folds, or no case to train on.
    """
    cases = tuple(cases)
    if any(case.split == VALIDATION for case in cases):
        if not any(case.split == TRAIN for case in cases):
            raise SettingsError("Expected cases of the split 'train' beside those of 'validation', got none.")
        return Division(cases, {case.id: case.split for case in cases}, 0, seed, frozenset(only_trained))
    structures: dict[str, set[int]] = defaultdict(set)
    for case in cases:
        if case.split != TEST:
            structures[case.patient].update((presence or {}).get(case.id, ()))
    patients = sorted(structures)
    if len(patients) < folds:
        raise SettingsError(
            f"Expected at least {folds} patients for {folds} folds, got {len(patients)}; "
            "add cases, or choose fewer folds in the recipe."
        )
    shuffled = np.random.default_rng(seed).permutation(patients).tolist()
    counts = Counter(value for values in structures.values() for value in values)
    rarest_first = sorted(counts, key=lambda value: (counts[value], value))
    shuffled.sort(key=lambda patient: [value not in structures[patient] for value in rarest_first])
    fold_of = {patient: f"fold {place % folds}" for place, patient in enumerate(shuffled)}
    parts = {case.id: TEST if case.split == TEST else fold_of[case.patient] for case in cases}
    return Division(cases, parts, folds, seed, frozenset(only_trained))
