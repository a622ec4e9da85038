"""Two models on the same cases (heavy).

What ``compare`` gives is plain data::

    first, second   the models' names; differences are the first less the second
    overall         {metric: {difference, ci95}}, by resampling both models' cases together
    classes         {class: {metric: {difference, ci95}}}
    auc_tests       {class: {difference, standard_error, p, method}}, or None where nothing varies
    accuracy_test   {both_right, only_first_right, only_second_right, both_wrong, p, method}

p-values are two-sided, and of several classes not adjusted for their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from ...errors import InputError
from ...wording import listed
from .delong import auc_difference, auc_with_covariance
from .intervals import Resampled
from .mcnemar import mcnemar
from .metrics import OVERALL, Metrics
from .tables import LISTED_LENGTH, ClassificationTable


def paired(first: ClassificationTable, second: ClassificationTable) -> ClassificationTable:
    """The second table with its cases in the order of the first, and the first's reader and patients.

    Raises
    ------
    InputError
        The classes, the cases or their truth differ.
    """
    if (first.kind, first.classes, set(first.targets)) != (second.kind, second.classes, set(second.targets)):
        second = _with_columns_of(first, second)
    for one, more in ((first, second), (second, first)):
        known = set(one.cases)
        missing = [case for case in more.cases if case not in known]
        if missing:
            raise InputError(
                f"{one.path} lacks {len(missing)} cases of {more.path} ({listed(missing, LISTED_LENGTH)}); "
                "models are compared on the same cases."
            )
    place = {case: n for n, case in enumerate(second.cases)}
    order = np.array([place[case] for case in first.cases])
    differing = np.flatnonzero((second.truth[order] != first.truth).any(axis=1))
    if len(differing):
        raise InputError(
            f"The truth of the case {first.cases[differing[0]]!r} differs between {first.path} and {second.path}; "
            "models are compared on the same truth."
        )
    return replace(
        second,
        cases=first.cases,
        truth=first.truth,
        probabilities=second.probabilities[order],
        reader=first.reader,
        read=first.read,
        patients=first.patients,
    )


def _with_columns_of(first: ClassificationTable, second: ClassificationTable) -> ClassificationTable:
    """The second table with its classes in the order of the first."""
    if first.kind != second.kind or sorted(first.classes) != sorted(second.classes):
        raise InputError(
            f"{first.path} is a {first.kind} table of {listed(first.classes, LISTED_LENGTH)}, {second.path} a "
            f"{second.kind} table of {listed(second.classes, LISTED_LENGTH)}; models are compared on the same classes."
        )
    if first.targets != second.targets and len(first.targets) == 1:  # the other one of two classes is positive
        return replace(
            second,
            classes=first.classes,
            targets=first.targets,
            truth=~second.truth,
            probabilities=1 - second.probabilities,
        )
    columns = [second.targets.index(target) for target in first.targets]
    return replace(
        second,
        classes=first.classes,
        targets=first.targets,
        truth=second.truth[:, columns],
        probabilities=second.probabilities[:, columns],
    )


def compare(names: Sequence[str], models: Sequence[Metrics], samples: Sequence[Resampled | None]) -> dict[str, Any]:
    """Differences of two models, with paired intervals and tests.

    Parameters
    ----------
    names, models:
        Of the two, on the same cases in the same order.
    samples:
        Their metrics on the same resamples.
    """
    first, second = models
    table = first.table
    ones = np.ones((1, len(table.cases)))
    differences = dict(zip(first.keys, (first.values(ones) - second.values(ones))[0].tolist(), strict=True))
    sample = samples[0] - samples[1] if samples[0] and samples[1] else None
    blocks: dict[str, dict[str, Any]] = {block: {} for block in (OVERALL, *table.targets)}
    for n, (block, metric) in enumerate(first.keys):
        if metric == "kappa_reader_truth":  # no model's
            continue
        interval = sample.interval(n, basic=metric == "ece") if sample else None
        difference = differences[block, metric]
        blocks[block][metric] = {
            "difference": None if np.isnan(difference) else difference,
            "ci95": list(interval) if interval else None,
        }
    answers = mcnemar(first.right, second.right, table.groups)
    return {
        "first": names[0],
        "second": names[1],
        "overall": blocks.pop(OVERALL),
        "classes": blocks,
        "auc_tests": {target: _auc_test(first, second, n) for n, target in enumerate(table.targets)},
        "accuracy_test": {
            **asdict(answers),
            "method": "exact McNemar, by patient" if table.clustered else "exact McNemar",
        },
    }


def _auc_test(first: Metrics, second: Metrics, column: int) -> dict[str, Any] | None:
    """The AUCs of one class compared."""
    table = first.table
    truth = table.truth[:, column]
    if truth.all() or not truth.any():
        return None
    scores = np.stack([model.table.probabilities[:, column] for model in (first, second)])
    found = auc_difference(auc_with_covariance(truth, scores, table.groups if table.clustered else None))
    if found is None:
        return None
    return {**asdict(found), "method": "Obuchowski, by patient" if table.clustered else "DeLong"}
