"""The data check: everything about labelled cases that would spoil a training, before it begins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.wording import listed

from ..data.cases import TrainingCase, TrainingData
from ..data.label_choice import generic_name
from ..data.reading import Reading
from ..data.splits import Division, divide
from ..recipe import Recipe
from .facts import CaseFacts
from .findings import ERROR, SHOWN_NAMES, WARNING, CheckReport, Finding
from .leaks import find_leaks, find_patient_leaks
from .outliers import find_outliers

FOLDS, SEED = 5, 0
"""A recipe's defaults, for a check without one."""


def check_data(
    data: TrainingData,
    reading: Reading,
    recipe: Recipe | None = None,
    *,
    fold: int | None = None,
    allow_empty: bool = False,
) -> CheckReport:
    """Judge cases that were read.

    Parameters
    ----------
    data:
        The cases and what is told about them.
    reading:
        What came of reading all of them.
    recipe:
        Says which channels and structures are wanted, and how to divide; without one, what
        ``dataset.json`` names or what occurs is wanted, in five folds.
    fold:
        Judge the division of a run of this fold; None judges all folds.
    allow_empty:
        Labels without any structure are meant so: a warning, no error.
    """
    facts = list(reading.facts.values())
    names = structure_names(data, facts, recipe)
    findings = [Finding(ERROR, "unreadable", (case_id,), problem) for case_id, problem in reading.unreadable.items()]
    findings += _image_faults(facts) + _channel_faults(data, facts, recipe)
    findings += _label_faults(data, facts, recipe, names, allow_empty)
    try:
        division = divide_read(data.cases, reading, recipe)
    except SettingsError as error:
        findings.append(Finding(ERROR, "division", (), str(error)))
        parts: Mapping[str, str] = {case.id: "" for case in data.cases}
    else:
        parts = division.parts if fold is None else division.parts_in(fold)
        findings += find_patient_leaks(data.cases, parts)
        folds = division.choices if fold is None else (fold,)
        findings += _missing_structures(division, folds, reading.presence(tuple(names)), names)
    findings += find_leaks(facts, parts) + find_outliers(facts, names)
    findings.sort(key=lambda finding: finding.severity != ERROR)
    rows = tuple(_row(case, parts[case.id], reading.facts.get(case.id)) for case in data.cases)
    return CheckReport(tuple(findings), rows, _structure_rows(facts, names))


def divide_read(cases: Sequence[TrainingCase], reading: Reading, recipe: Recipe | None = None) -> Division:
    """The division of cases that were read, each structure of the recipe spread over the folds.

    Raises
    ------
    SettingsError
        As ``divide``.
    """
    if recipe is None:
        return divide(cases, FOLDS, SEED, reading.presence())
    return divide(cases, recipe.folds, recipe.seed, reading.presence(recipe.label_values))


def structure_names(data: TrainingData, facts: Sequence[CaseFacts], recipe: Recipe | None) -> dict[int, str]:
    """Label value to name of the structures that are wanted: the recipe's, else the data's own, else all."""
    if recipe is not None:
        return {int(label["value"]): str(label["name"]) for label in recipe.model["labels"]}
    described = {value: name for value, name in data.description.labels.items() if value}
    occurring = sorted({value for one in facts for value in one.voxels})
    return described or {value: generic_name(value) for value in occurring}


def _image_faults(facts: Sequence[CaseFacts]) -> list[Finding]:
    findings = []
    for one in facts:
        case = (one.case.id,)
        if one.grid_fault:
            message = f"{one.grid_fault}; make the label on the image's grid again."
            findings.append(Finding(ERROR, "geometry", case, message))
        if one.bad_voxels:
            message = f"{one.bad_voxels} voxels are NaN or infinite; replace them by a number."
            findings.append(Finding(ERROR, "not a number", case, message))
        if one.constant:
            message = f"all voxels of {', '.join(one.constant)} are alike; export the image again."
            findings.append(Finding(ERROR, "constant image", case, message))
    return findings


def _channel_faults(data: TrainingData, facts: Sequence[CaseFacts], recipe: Recipe | None) -> list[Finding]:
    """Where the number or the order of the channels is not the recipe's, or, without one, not the data's own."""
    told = list(data.description.channels)
    wanted = list(recipe.channel_names) if recipe else told
    findings = []
    other = tuple(one.case.id for one in facts if wanted and len(one.intensities) != len(wanted))
    if other:
        by = "the recipe has" if recipe else "dataset.json names"
        message = f"expected the {len(wanted)} channels that {by} ({', '.join(wanted)}); add or take away files."
        findings.append(Finding(ERROR, "channels", other, message))
    if told != wanted and sorted(told) == sorted(wanted):
        message = (
            f"dataset.json orders the channels {', '.join(told)}, the recipe {', '.join(wanted)}; make them agree."
        )
        findings.append(Finding(ERROR, "channels", (), message))
    return findings


def _label_faults(
    data: TrainingData, facts: Sequence[CaseFacts], recipe: Recipe | None, names: Mapping[int, str], allow_empty: bool
) -> list[Finding]:
    """Values that nobody named or the recipe leaves out, and labels without any wanted structure."""
    described = data.description.labels
    holders: dict[int, list[str]] = defaultdict(list)
    for one in facts:
        for value in (set(one.voxels) - set(names)) | one.left_out:
            holders[value].append(one.case.id)
    by_choice = frozenset[int]().union(*(one.left_out for one in facts))
    findings = []
    for value, ids in sorted(holders.items()):
        if value in described or value in by_choice:
            name = f" ({described[value]})" if value in described else ""
            message = f"label value {value}{name} is no structure of the recipe: learned as background."
            findings.append(Finding(WARNING, "left out", tuple(ids), message))
        else:
            by = "the recipe and dataset.json do" if recipe else "dataset.json does"
            message = f"label value {value} is one that {by} not name; correct the label, or name it in dataset.json."
            findings.append(Finding(ERROR, "unknown value", tuple(ids), message))
    without = [one for one in facts if not set(one.voxels) & set(names)]
    drawn = tuple(one.case.id for one in without if one.left_out)
    if drawn:
        message = "the label holds nothing but what was left out: all of the image is learned as background."
        findings.append(Finding(WARNING, "empty label", drawn, message))
    empty = tuple(one.case.id for one in without if not one.left_out)
    if empty:
        what = f"the label holds no {listed(list(names.values()), SHOWN_NAMES)}" if names else "the label is all zero"
        advice = "." if allow_empty else "; draw it, remove the case, or say --allow-empty if there is none to draw."
        findings.append(Finding(WARNING if allow_empty else ERROR, "empty label", empty, what + advice))
    return findings


def _missing_structures(
    division: Division, folds: Sequence[int], presence: Mapping[str, frozenset[int]], names: Mapping[int, str]
) -> list[Finding]:
    """Structures that a fold cannot learn (an error) or cannot measure (a warning, unless it can measure none)."""
    findings = []
    for fold in folds:
        where = f"fold {fold}: " if division.folds else ""
        trained, held = (
            frozenset[int]().union(*(presence.get(case.id, frozenset()) for case in cases))
            for cases in (division.training(fold), division.held_out(fold))
        )
        unlearned, unmeasured = ([name for value, name in names.items() if value not in s] for s in (trained, held))
        if unlearned:
            message = f"{where}no training case holds {listed(unlearned, SHOWN_NAMES)}; add cases, or take it out."
            findings.append(Finding(ERROR, "missing structure", (), message))
        if unmeasured:
            message = f"{where}no held-out case holds {listed(unmeasured, SHOWN_NAMES)}, so it cannot be measured."
            severity = ERROR if len(unmeasured) == len(names) else WARNING
            findings.append(Finding(severity, "missing structure", (), message))
    return findings


def _row(case: TrainingCase, part: str, facts: CaseFacts | None) -> dict[str, Any]:
    row: dict[str, Any] = {"case": case.id, "patient": case.patient, "part": part}
    if facts is None:
        return row
    return row | {
        "size": facts.size.tolist(),
        "spacing_mm": facts.spacing_mm.round(4).tolist(),
        "extent_mm": facts.extent_mm.round(2).tolist(),
        "intensities": [[float(f"{number:.6g}") for number in channel] for channel in facts.intensities],
        "volumes_mm3": {str(value): round(n * facts.voxel_mm3, 2) for value, n in facts.voxels.items()},
    }


def _structure_rows(facts: Sequence[CaseFacts], names: Mapping[int, str]) -> tuple[dict[str, Any], ...]:
    """The balance of the structures."""
    total = sum(int(one.size.prod()) for one in facts)
    rows = []
    for value, name in names.items():
        holding = [one for one in facts if one.voxels.get(value)]
        volumes = [one.voxels[value] * one.voxel_mm3 for one in holding]
        rows.append(
            {
                "value": value,
                "name": name,
                "cases": len(holding),
                "share": sum(one.voxels[value] for one in holding) / total if total else 0.0,
                "volume_mm3": np.percentile(volumes, [0, 50, 100]).round(2).tolist() if volumes else None,
            }
        )
    return tuple(rows)
