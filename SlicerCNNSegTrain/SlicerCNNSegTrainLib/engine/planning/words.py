"""Why a plan is as it is, for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from SlicerCNNSegLib.engine.wording import listed

from .augment import Augmentation
from .balance import IMBALANCE, imbalance
from .budget import FEWEST_STEPS, GIB, Budget
from .course import LARGE_VALIDATION, OVERLAP, Course
from .fingerprint import Fingerprint
from .preprocessing import intensity
from .size import COVERED, FEWEST_WINDOWS, Size, step_seconds
from .topology import Numbers
from .wishes import Wishes

WIDTH = 120
"""Characters of a line of the table."""

LONGEST_NAMES = 80


@dataclass(frozen=True)
class Reason:
    """One choice: the recipe's field, its value, and why."""

    field: str
    value: str
    why: str


@dataclass(frozen=True)
class Chosen:
    """All parts of a plan; see the modules that they come from."""

    fingerprint: Fingerprint
    budget: Budget
    wishes: Wishes
    axcodes: str
    size: Size
    course: Course
    augmentation: Augmentation
    recipe: Mapping[str, Any]


def reasons_of(chosen: Chosen) -> Iterator[Reason]:
    """The choices, in the order in which people ask."""
    yield from _data(chosen)
    yield from _space(chosen)
    yield from _network(chosen)
    yield from _learning(chosen)
    yield from _course(chosen)


def table(reasons: Sequence[Reason]) -> str:
    """What, value and why, in three columns."""
    left = max(len(reason.field) for reason in reasons)
    middle = min(36, max(len(reason.value) for reason in reasons))
    lines = []
    for reason in reasons:
        values = textwrap.wrap(reason.value, middle) or [""]
        whys = textwrap.wrap(reason.why, WIDTH - left - middle - 4) or [""]
        for row in range(max(len(values), len(whys))):
            cells = (
                reason.field if row == 0 else "",
                *(part[row] if row < len(part) else "" for part in (values, whys)),
            )
            lines.append(f"{cells[0]:{left}}  {cells[1]:{middle}}  {cells[2]}".rstrip())
    return "\n".join(lines)


def _data(chosen: Chosen) -> Iterator[Reason]:
    data = chosen.fingerprint
    size, spacing = _by(data.median_size, "{:.0f}"), _by(data.median_spacing_mm)
    modality = "+".join(dict.fromkeys(channel.modality or "unknown modality" for channel in data.channels))
    why = f"median image {size} voxels of {spacing} mm (R x A x S)"
    if not all(channel.modality for channel in data.channels):
        why += "; name the modality in dataset.json's channel_names (CT, T1 MR ...), and the plan will suit it"
    yield Reason("data", f"{data.cases} cases, {modality}", why)
    names = listed(list(data.names.values()), LONGEST_NAMES)
    yield Reason("model.labels", f"{len(data.structures)} structures", names)
    choice = chosen.wishes.labels
    if choice is not None and choice.left_out:
        names = listed(list(choice.left_out.values()), LONGEST_NAMES)
        yield Reason("model.labels", "left out", f"as asked, learned as background: {names}")
    for name, parts in choice.merged.items() if choice is not None else ():
        yield Reason("relabelled", name, f"as asked, one structure out of {listed(list(parts), LONGEST_NAMES)}")
    if data.never_seen:
        yield Reason("model.labels", "left out", f"no case holds {listed(data.never_seen, LONGEST_NAMES)}")
    if data.ignore_value:
        yield Reason(
            "ignore_value", str(data.ignore_value), "dataset.json names it 'ignore': kept out of loss and scores"
        )
    absent = [f"{one.name} ({one.cases} of {data.cases})" for one in data.structures if one.cases < data.cases]
    if absent:
        asked = chosen.wishes.absent_means_not_contoured
        meaning = (
            "where it is absent it was not contoured, and is not learned as background"
            if asked
            else "where it is absent it is learned as background; if it was just not drawn there, say so "
            "(absent_means_not_contoured)"
        )
        why = f"not in every case: {listed(absent, LONGEST_NAMES)}; {meaning}"
        yield Reason("absent_means_not_contoured", str(asked).lower(), why)


def _space(chosen: Chosen) -> Iterator[Reason]:
    size = chosen.size
    flat = len(size.window) == 2
    why = "every image is one slice: a 2-D network" if flat else "R, A, S: the same in every image"
    yield Reason("preprocessing, orientation", chosen.axcodes, why)
    full, spacing = _by(size.full_spacing_mm), _by(size.spacing_mm)
    image = _by(size.image, "{:.0f}")
    why = f"as in the data: the median image has {image} voxels"
    if spacing != full:
        why = (
            f"coarser than the data's {full}, so that a window sees more of the image (which has {image} voxels then); "
            "no coarser than thin structures allow, unless memory asks for it"
        )
    yield Reason("preprocessing, spacing", f"{spacing} mm", why)
    name, _, why = intensity(chosen.fingerprint)
    yield Reason("preprocessing, intensities", name, why)


def _network(chosen: Chosen) -> Iterator[Reason]:
    size, budget = chosen.size, chosen.budget
    name = str(size.definition["_target_"]).rpartition(".")[2]
    millions = size.cost.parameters / 1e6
    why = (
        f"{millions:.1f} million weights: as wide as {_steps(budget)} steps in {budget.planned_minutes:g} minutes allow"
    )
    yield Reason("network", f"{name}, {size.width} filters", why)
    limits = {
        "image": "no larger one is of use",
        "time": "a larger one would take too long a step",
        "memory": f"a larger one would not fit into {budget.memory_gib:g} GiB",
    }
    covered = f"{100 * size.covered:.0f} % of the median image; {limits[size.limit]}"
    if size.covered < COVERED:
        covered += f"; less than the {100 * COVERED:.0f} % that would be good"
    yield Reason("patch_size", _by(size.window, "{:.0f}"), covered)
    gib = size.cost.step_bytes(size.batch, budget.precision) / GIB
    seconds = step_seconds(size.cost, size.batch, budget)
    why = f"a step takes about {gib:.1f} GiB and {seconds:.2g} s ({budget.precision} on {budget.device})"
    if size.batch < FEWEST_WINDOWS:
        why += "; two windows would not fit"
    yield Reason("batch_size", str(size.batch), why)


def _learning(chosen: Chosen) -> Iterator[Reason]:
    recipe, data, augmentation = chosen.recipe, chosen.fingerprint, chosen.augmentation
    share = f"{100 * data.foreground_share:.2g} % of the median image is labelled"
    yield Reason("foreground_share", str(recipe["foreground_share"]), share)
    ratio = imbalance(data)
    why = f"the largest structure is {ratio:.3g} times the smallest"
    if not recipe["class_weights"]:
        why += f", less than {IMBALANCE:.0f}: Dice, and windows on each structure as often, are enough"
    yield Reason("class_weights", recipe["class_weights"] or "none", why)
    flip = f"{recipe['augmentation']['flip_rl']:g}"
    yield Reason("augmentation.flip_rl", flip, augmentation.flip_why)
    yield Reason("augmentation.rotation", f"{recipe['augmentation']['rotation']:g}", augmentation.turn_why)
    why = "uneven coils, in MR only"
    yield Reason("augmentation.bias_field", f"{recipe['augmentation']['bias_field']:g}", why)
    yield Reason("learning_rate", f"{recipe['learning_rate']:g}", "AdamW's usual rate for this kind of network")


def _course(chosen: Chosen) -> Iterator[Reason]:
    course, budget = chosen.course, chosen.budget
    if budget.minutes:
        why = f"about {course.steps} steps, at {budget.throughput_flops / 1e9:.0f} GFLOP/s in training"
        if course.steps < FEWEST_STEPS:
            why += f", which is few; {FEWEST_STEPS} are the least that is worth while"
        yield Reason("minutes", f"{budget.minutes:g}", why)
    else:
        minutes = course.steps * course.step_s / 60
        yield Reason("steps", str(course.steps), f"no minutes were given; about {minutes:.0f} minutes on this machine")
    held = "as the data divides them" if chosen.fingerprint.held_out else f"{course.folds} folds of patients"
    yield Reason("folds", str(course.folds), f"{held}: {course.held_out} cases are held out")
    why = f"{course.windows} windows over the median image"
    if course.overlap < OVERLAP:
        why += f"; with {OVERLAP:g} one validation would take over {100 * LARGE_VALIDATION:.0f} % of the time"
    yield Reason("inference.overlap", f"{course.overlap:g}", why)
    every = f"a validation takes about {course.validation_s:.0f} s; all of them about a tenth of the time, at most"
    yield Reason("validate_every", str(course.validate_every), every)


def _steps(budget: Budget) -> str:
    return f"{float(f'{budget.wanted_steps:.2g}'):.0f}"


def _by(numbers: Numbers, form: str = "{:.3g}") -> str:
    return " x ".join(form.format(number) for number in numbers)
