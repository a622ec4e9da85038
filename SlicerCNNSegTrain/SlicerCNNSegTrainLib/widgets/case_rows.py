"""Cases as rows: as listed in a folder or table, as found in the scene, as judged by the data check."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from .tables import ERROR, WARNING, Row

if TYPE_CHECKING:
    from ..engine.data.contents import Contents
    from ..scene.cases import SceneCases

ORDER = {ERROR: 0, WARNING: 1, "": 2}
"""What is to be looked at comes first."""


def listed_rows(contents: Contents) -> list[Row]:
    """The cases of a folder or table, unread; they are the same for every task."""
    cases = next(iter(contents.cases.values()), ())
    return [Row((name, split, _("not checked"))) for name, split in cases]


def scene_rows(found: SceneCases) -> list[Row]:
    """The cases of a scene, each with its nodes, and the scene's notes before them."""
    notes = [Row((_("Note"), "", note), (note,), WARNING) for note in found.notes]
    cases = []
    for case in found.cases:
        volumes = ", ".join(node.GetName() for node in case.volumes)
        truth = case.truth.GetName()
        cases.append(Row((case.name, "", truth), (_("{image} with {truth}").format(image=volumes, truth=truth),)))
    return [*notes, *cases]


def checked_rows(report: Mapping[str, Any]) -> list[Row]:
    """What the data check found: first what concerns all cases, then case by case, errors first."""
    kinds: dict[str, list[str]] = defaultdict(list)
    reasons: dict[str, list[str]] = defaultdict(list)
    worst: dict[str, str] = {}
    whole = []
    for finding in report["findings"]:
        severity, kind, message = finding["severity"], finding["kind"], finding["message"]
        if not finding["cases"]:
            whole.append(Row((_("All cases"), "", f"{kind}: {message}"), (f"{kind}: {message}",), severity))
        for case in finding["cases"]:
            if kind not in kinds[case]:
                kinds[case].append(kind)
            reasons[case].append(f"{kind}: {message}")
            worst[case] = min(worst.get(case, ""), severity, key=ORDER.__getitem__)
    rows = [
        Row(
            (row["case"], row["part"], ", ".join(kinds[row["case"]]) or _("ok")),
            tuple(reasons[row["case"]]),
            worst.get(row["case"], ""),
        )
        for row in report["cases"]
    ]
    return sorted(whole, key=_order) + sorted(rows, key=_order)


def checked_words(report: Mapping[str, Any]) -> str:
    """The check in one line."""
    return _("{cases} cases checked; errors: {errors}, warnings: {warnings}.").format(
        cases=len(report["cases"]), errors=report["errors"], warnings=report["warnings"]
    )


def _order(row: Row) -> int:
    return ORDER[row.severity]
