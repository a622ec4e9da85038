"""Cases that stick out of the others in size, spacing, intensity or volume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .facts import CaseFacts
from .findings import WARNING, Finding

LIMIT = 3.5
"""Robust z-score from which on a value is an outlier (Iglewicz and Hoaglin, 1993)."""

FEWEST = 8
"""Cases below which nothing is called an outlier: a median deviation of fewer says little."""

LEAST_LOG = np.log(1.1)
"""The least SD taken for sizes, on a logarithmic scale: where all cases are alike (every spacing 1 mm),
a value is an outlier from a factor of ``1.1 ** LIMIT`` = 1.4 on, and not at the first rounding."""

LEAST_SHARE = 0.03
"""The same for what is counted in shares of the range of intensities."""

COMMON = 0.1
"""Share of the cases from which on outliers are no exceptions: the data is of several kinds."""

ADVICE = {
    "spacing": "see whether the header is right",
    "extent": "see whether the spacing in the header is right and the image whole",
    "intensity": "see whether it is of the same kind as the others, and in the same unit",
    "volume": "look at the label, and at the spacing in the header",
}


@dataclass(frozen=True)
class Feature:
    """One number of each case.

    Parameters
    ----------
    kind:
        A key of ``ADVICE``.
    name, unit:
        For the message.
    values:
        Case id to value, as it is shown.
    unit_size:
        What differences are counted in; None counts factors.
    """

    kind: str
    name: str
    unit: str
    values: Mapping[str, float]
    unit_size: float | None = None


def robust_z(values: np.ndarray, least: float) -> np.ndarray:
    """Distance from the median in SD, the SD as 1.4826 times the median deviation but at least ``least``."""
    away = values - np.median(values)
    return away / max(1.4826 * float(np.median(np.abs(away))), least)


def find_outliers(facts: Sequence[CaseFacts], names: Mapping[int, str]) -> list[Finding]:
    """One warning for each case and kind, by the feature in which it sticks out most.

    Parameters
    ----------
    facts:
        Of all readable cases.
    names:
        Label value to name, of the structures whose volumes are compared.
    """
    worst: dict[str, dict[str, tuple[float, str]]] = defaultdict(dict)
    for feature in features(facts, names):
        ids, values = list(feature.values), np.array(list(feature.values.values()))
        if len(values) < FEWEST:
            continue
        if feature.unit_size is None:
            scores = robust_z(np.log(values), LEAST_LOG)
        else:
            scores = robust_z(values / feature.unit_size, LEAST_SHARE)
        for case_id, value, score in zip(ids, values, np.abs(scores), strict=True):
            if score > max(LIMIT, worst[feature.kind].get(case_id, (0.0, ""))[0]):
                unit = f" {feature.unit}" if feature.unit else ""
                middle = f"the median of {len(values)} is {_number(np.median(values))}, robust z {score:.1f}"
                worst[feature.kind][case_id] = float(score), f"{feature.name} is {_number(value)}{unit}, {middle}"
    findings = []
    for kind, found in worst.items():
        if len(found) > COMMON * len(facts):
            found_of = f"{len(found)} of {len(facts)} cases stick out in {kind}, for example: "
            example = max(found.values())[1]
            message = f"{found_of}{example}; the data is of several kinds, so the recipe's preprocessing must even it"
            findings.append(Finding(WARNING, kind, tuple(found), f"{message} out."))
        else:
            findings += [
                Finding(WARNING, kind, (case_id,), f"{text}; {ADVICE[kind]}.") for case_id, (_, text) in found.items()
            ]
    return findings


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def features(facts: Sequence[CaseFacts], names: Mapping[int, str]) -> Iterator[Feature]:
    """Everything that is compared between cases."""
    for axis, direction in enumerate(("R-L", "A-P", "S-I")):
        yield Feature(
            "spacing", f"the spacing {direction}", "mm", {f.case.id: float(f.spacing_mm[axis]) for f in facts}
        )
        yield Feature("extent", f"the extent {direction}", "mm", {f.case.id: float(f.extent_mm[axis]) for f in facts})
    sound = [one for one in facts if not one.constant and not one.bad_voxels]
    for channel in range(min((len(one.intensities) for one in sound), default=0)):
        yield from _intensity_features(sound, channel)
    for value, name in names.items():
        volumes = {f.case.id: f.voxels[value] * f.voxel_mm3 for f in facts if f.voxels.get(value)}
        yield Feature("volume", f"the volume of {name}", "mm3", volumes)


def _intensity_features(facts: Sequence[CaseFacts], channel: int) -> Iterator[Feature]:
    """The range of a channel's intensities, where it begins, and where in it the middle lies."""
    low, middle, high = np.array([one.intensities[channel] for one in facts]).T
    width = np.maximum(high - low, np.finfo(np.float32).tiny)  # nearly constant: the ends are percentiles
    of = f" of channel {channel}" if len(facts[0].intensities) > 1 else ""
    for name, numbers, unit_size in (
        (f"the range of intensities{of}", width, None),
        (f"the lowest intensity{of}", low, float(np.median(width))),
        (f"the middle of the intensities{of}, from 0 (lowest) to 1 (highest),", (middle - low) / width, 1.0),
    ):
        values = dict(zip((one.case.id for one in facts), numbers.tolist(), strict=True))
        yield Feature("intensity", name, "", values, unit_size)
