"""Judge a classifier's probabilities, alone or against another model's (heavy).

The result of ``evaluate_classification`` is plain data, ready for JSON; undefined values are None::

    settings    threshold, bins, seed
    versions    of CNNSeg, Python and the packages that compute
    data        kind, classes, positive, cases, patients, cases_of_class {class: number}
    models      [{name, table, overall, classes, confusion_matrix, reliability}], one or two
    comparison  None, or what ``compare`` says of the first model against the second
    warnings    what a reader of the numbers must know

``overall`` and each of ``classes`` hold the metrics that ``metrics`` defines, each as {value, ci95,
method}. The method is ``wilson`` (shares of independent cases), ``delong`` (AUC of a class; by patient
``obuchowski``) or ``bootstrap``, in which whole patients are drawn. An AUC of a class has its
``bootstrap_ci95`` as well, a calibration error what it reaches ``by_chance`` in 2.5 % of samples from a
perfectly calibrated model: below it, the interval begins at 0. No interval is given where the
sample's variance is 0, as for a perfect score. A class also has its ``counts`` of cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ...errors import SettingsError
from ...progress import NoProgress, Progress, SubProgress, advance
from ...version import versions
from ...wording import listed
from ..statistics import RESAMPLES, Interval
from .calibration import DEFAULT_BINS, error_by_chance, reliability_bins
from .compare import compare, paired
from .delong import auc_with_covariance
from .intervals import Resampled, resampled, share_interval
from .metrics import OVERALL, Key, Metrics
from .tables import BINARY, HIGHEST, LISTED_LENGTH, MULTI_CLASS, MULTI_LABEL, ClassificationTable

DEFAULT_THRESHOLD = 0.5

FEW_CASES = 10
"""A class with fewer cases gets a warning: its numbers say little."""

Counts = dict[str, int]


def evaluate_classification(
    table: ClassificationTable,
    other: ClassificationTable | None = None,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    bins: int = DEFAULT_BINS,
    seed: int = 0,
    resamples: int = RESAMPLES,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Judge one model, or two on the same cases.

    Parameters
    ----------
    table:
        Truth and probabilities of the first model.
    other:
        Of a second model, in any order.
    threshold:
        Probability from which on a class is decided for, in binary and multi-label tables.
    bins:
        Of the calibration error.
    seed:
        Of the resampling.
    resamples:
        How many; fewer are quicker and leave the ends of intervals to chance.
    progress:
        Told how far it is; asked whether to stop.

    Returns
    -------
    dict
        See the top of this file.

    Raises
    ------
    SettingsError
        The threshold or the number of bins makes no sense.
    InputError
        The two tables are not of the same cases, classes and truth.
    Cancelled
        The user asked to stop.
    """
    if not 0 < threshold < 1:
        raise SettingsError(f"Expected a threshold between 0 and 1, got {threshold:g}; 0.5 is usual.")
    if bins < 2:
        raise SettingsError(f"Expected at least 2 bins for the calibration error, got {bins}; 10 is usual.")
    progress = progress or NoProgress()
    tables = [table] if other is None else [table, paired(table, other)]
    names = _names(tables)
    models = [Metrics(each, threshold=threshold, bins=bins) for each in tables]
    samples = []
    for n, model in enumerate(models):
        part = SubProgress(progress, n / len(models), (n + 1) / len(models))
        samples.append(resampled(model.values, table.groups, seed=seed, progress=part, resamples=resamples))
    advance(progress, 1.0, "Summarising")
    described = zip(names, models, samples, strict=True)
    return {
        "settings": {"threshold": float(threshold), "bins": int(bins), "seed": int(seed)},
        "versions": versions("numpy", "scipy"),
        "data": _data(table),
        "models": [_Described(model, sample, bins, seed).to_json(name) for name, model, sample in described],
        "comparison": None if other is None else compare(names, models, samples),
        "warnings": _warnings(tables),
    }


class _Described:
    """One model's numbers with their intervals."""

    def __init__(self, metrics: Metrics, sample: Resampled | None, bins: int, seed: int) -> None:
        self.metrics, self.table, self.sample = metrics, metrics.table, sample
        self.bins, self.seed = bins, seed
        values = metrics.values(np.ones((1, len(self.table.cases))))[0]
        self.values = dict(zip(metrics.keys, values.tolist(), strict=True))

    def to_json(self, name: str) -> dict[str, Any]:
        """One entry of ``models``."""
        counts = [self._counts(n) for n in range(len(self.table.targets))]
        overall = {metric: self._entry((block, metric)) for block, metric in self.values if block == OVERALL}
        if not self.table.clustered:
            right = int(self.metrics.right.sum())
            overall["accuracy"] |= _share_entry(right, len(self.metrics.right))
        return {
            "name": name,
            "table": str(self.table.path),
            "overall": overall,
            "classes": {target: self._class(n, counts[n]) for n, target in enumerate(self.table.targets)},
            "confusion_matrix": self._confusion(),
            "reliability": self._reliability(),
        }

    def _entry(self, key: Key) -> dict[str, Any]:
        """Value and bootstrap interval of one metric."""
        basic = key[1] == "ece"
        interval = self.sample.interval(self.metrics.keys.index(key), basic=basic) if self.sample else None
        value = None if np.isnan(self.values[key]) else self.values[key]
        entry: dict[str, Any] = {"value": value, "ci95": _ends(interval), "method": "bootstrap" if interval else None}
        chance = self._chance(key[0]) if basic else None
        if chance is not None:
            entry["by_chance"] = chance
            if interval and value is not None:
                # 0 is in the interval where the test of 0 does not refuse it; mirroring may miss the value itself
                low = 0.0 if value <= chance else max(0.0, interval.low)
                entry["ci95"] = [low, max(value, interval.high)]
        return entry

    def _chance(self, block: str) -> float | None:
        """The calibration error that a perfectly calibrated model reaches by chance; None for a mean of several."""
        probabilities = self.table.probabilities
        if block != OVERALL:
            return error_by_chance(probabilities[:, self.table.targets.index(block)], self.bins, seed=self.seed)
        if self.table.kind == MULTI_LABEL and len(self.table.targets) > 1:
            return None
        return error_by_chance(probabilities.max(axis=1), self.bins, seed=self.seed)

    def _counts(self, column: int) -> Counts:
        truth, decided = self.table.truth[:, column], self.metrics.decided[:, column]
        return {
            "true_positive": int((truth & decided).sum()),
            "false_positive": int((~truth & decided).sum()),
            "false_negative": int((truth & ~decided).sum()),
            "true_negative": int((~truth & ~decided).sum()),
        }

    def _class(self, column: int, counts: Counts) -> dict[str, Any]:
        """The metrics of one class against the rest."""
        target = self.table.targets[column]
        entries: dict[str, Any] = {
            metric: self._entry((block, metric)) for block, metric in self.values if block == target
        }
        if not self.table.clustered:
            tp, fp, fn, tn = counts.values()
            trials = {"sensitivity": (tp, tp + fn), "specificity": (tn, tn + fp), "ppv": (tp, tp + fp)}
            for metric, (part, whole) in {**trials, "npv": (tn, tn + fn)}.items():
                entries[metric] |= _share_entry(part, whole)
        entries["auc"] |= self._auc(column, entries["auc"])
        return {"counts": counts, **entries}

    def _auc(self, column: int, entry: dict[str, Any]) -> dict[str, Any]:
        """The interval of a class's AUC by DeLong, and the bootstrap's beside it."""
        if entry["value"] is None:
            return {"bootstrap_ci95": None}
        groups = self.table.groups if self.table.clustered else None
        scores = self.table.probabilities[:, column][None]
        interval = auc_with_covariance(self.table.truth[:, column], scores, groups).interval()
        method = "obuchowski" if self.table.clustered else "delong"
        return {"ci95": _ends(interval), "method": method if interval else None, "bootstrap_ci95": entry["ci95"]}

    def _confusion(self) -> dict[str, Any] | None:
        """Counts with the truth in rows and the decisions in columns; None where classes don't exclude each other."""
        if self.table.kind == MULTI_LABEL:
            return None
        classes = range(len(self.table.classes))
        chosen = [_class_numbers(array, self.table.kind) for array in (self.table.truth, self.metrics.decided)]
        counts = [[int(((chosen[0] == row) & (chosen[1] == column)).sum()) for column in classes] for row in classes]
        return {"classes": list(self.table.classes), "counts": counts}

    def _reliability(self) -> dict[str, list[dict[str, Any]]]:
        """The bins of the reliability diagram: of each class, or of the highest probability in a multi-class table."""
        if self.table.kind == MULTI_CLASS:
            top = self.table.probabilities.max(axis=1)
            return {HIGHEST: [asdict(each) for each in reliability_bins(self.metrics.right, top, self.bins)]}
        columns = zip(self.table.targets, self.table.truth.T, self.table.probabilities.T, strict=True)
        return {
            target: [asdict(each) for each in reliability_bins(truth, probabilities, self.bins)]
            for target, truth, probabilities in columns
        }


def _class_numbers(decided: np.ndarray, kind: str) -> np.ndarray:
    """The number of each case's class, shape ``(case,)``."""
    return decided[:, 0].astype(int) if kind == BINARY else decided.argmax(axis=1)


def _share_entry(part: int, whole: int) -> dict[str, Any]:
    interval = share_interval(part, whole)
    return {"ci95": _ends(interval), "method": "wilson" if interval else None}


def _ends(interval: Interval | None) -> list[float] | None:
    return list(interval) if interval else None


def _names(tables: Sequence[ClassificationTable]) -> list[str]:
    """The models' names: those of the files, with their folders where they are the same."""
    names = [table.path.stem for table in tables]
    if len(set(names)) < len(names):
        names = [f"{table.path.absolute().parent.name}/{table.path.stem}" for table in tables]
    return names if len(set(names)) == len(names) else [f"{name} ({n})" for n, name in enumerate(names, start=1)]


def _data(table: ClassificationTable) -> dict[str, Any]:
    positive = dict(zip(table.targets, table.truth.sum(axis=0).tolist(), strict=True))
    if table.kind == BINARY:
        positive = {table.classes[0]: len(table.cases) - positive[table.targets[0]], **positive}
    return {
        "kind": table.kind,
        "classes": list(table.classes),
        "positive": table.targets[0] if table.kind == BINARY else None,
        "cases": len(table.cases),
        "patients": None if table.patients is None else len(set(table.patients)),
        "cases_of_class": positive,
    }


def _warnings(tables: Sequence[ClassificationTable]) -> list[str]:
    first = tables[0]
    cases = _data(first)["cases_of_class"]
    total = len(first.cases)
    warnings = [f"No case is {name!r}; the class is left out of means." for name, count in cases.items() if not count]
    warnings += [
        f"All cases are {name!r}; the class is left out of means." for name, count in cases.items() if count == total
    ]
    few = [f"{name} ({count})" for name, count in cases.items() if 0 < count < FEW_CASES]
    if few:
        warnings.append(f"Fewer than {FEW_CASES} cases of {listed(few, LISTED_LENGTH)}; the numbers say little.")
    warnings += [
        f"Columns of {table.path.name} that are not used: {listed(table.unused, LISTED_LENGTH)}."
        for table in tables
        if table.unused
    ]
    return warnings
