"""The data check as text: a table of all cases, one of the structures, and the findings in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from SlicerCNNSegLib.cli.terminal import table
from SlicerCNNSegLib.engine.wording import elided

if TYPE_CHECKING:
    from ..engine.checking.findings import CheckReport

NAME_WIDTH = 28


def check_text(report: CheckReport) -> str:
    """All of it, the findings last, where a terminal shows them."""
    return "\n\n".join([cases_table(report), structures_table(report), findings_text(report)])


def marks_text(report: CheckReport) -> str:
    """The check of images with nodules: a row per image, the findings last."""
    rows = []
    for row in report.cases:
        diameters = sorted(row["diameters_mm"])
        sizes = f"{diameters[0]:.1f} to {diameters[-1]:.1f}" if diameters else "-"
        rows.append((row["case"], row["patient"], row["part"], len(diameters), sizes))
    return "\n\n".join([table(rows, ("image", "patient", "part", "nodules", "diameters (mm)")), findings_text(report)])


def images_text(report: CheckReport) -> str:
    """The check of images with classes: a row per image, one per class, the findings last."""
    rows = [(row["case"], row["patient"], row["part"], ", ".join(row["classes"]) or "-") for row in report.cases]
    counts = [(row["name"], row["cases"]) for row in report.structures]
    tables = [table(rows, ("image", "patient", "part", "class")), table(counts, ("class", "images"))]
    return "\n\n".join([*tables, findings_text(report)])


def findings_text(report: CheckReport) -> str:
    """A line per finding, and how many there are."""
    lines = [f"{finding.severity} ({finding.kind}): {finding.text}" for finding in report.findings]
    errors, warnings = (len(report.of(severity)) for severity in ("error", "warning"))
    counted = [f"{n} {what}{'s' * (n != 1)}" for n, what in ((len(report.cases), "case"), (errors, "error"))]
    return "\n".join([*lines, f"{counted[0]}: {counted[1]}, {warnings} warning{'s' * (warnings != 1)}."])


def cases_table(report: CheckReport) -> str:
    """A row per case: where it belongs, grid, intensities, volumes of the structures, and kinds of findings."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for finding in report.findings:
        for case_id in finding.cases:
            kind = finding.kind.upper() if finding.severity == "error" else finding.kind
            if kind not in kinds[case_id]:
                kinds[case_id].append(kind)
    structures = [str(row["value"]) for row in report.structures]
    header = ["case", "patient", "part", "size R-A-S", "spacing (mm)", "intensities"]
    header += [*(f"{elided(str(row['name']), NAME_WIDTH)} (mm3)" for row in report.structures), "findings"]
    # a column that says the case's own name again tells nothing
    own = all(row["patient"] == row["case"] for row in report.cases)
    rows = []
    for row in report.cases:
        found = ", ".join(kinds[row["case"]]) or "ok"
        cells = [row["case"], row["patient"], row["part"], *_grid_cells(row), *_volume_cells(row, structures), found]
        rows.append([cell for index, cell in enumerate(cells) if not (own and index == 1)])
    return table(rows, [name for name in header if not (own and name == "patient")])


def structures_table(report: CheckReport) -> str:
    """The balance of the structures."""
    total = len(report.cases)
    rows = [
        (
            row["value"],
            elided(str(row["name"]), NAME_WIDTH),
            f"{row['cases']} of {total}",
            f"{row['share']:.2%}",
            " / ".join(f"{volume:.0f}" for volume in row["volume_mm3"]) if row["volume_mm3"] else "-",
        )
        for row in report.structures
    ]
    return table(rows, ("value", "structure", "in cases", "of all voxels", "mm3: least / median / most"))


def _grid_cells(row: Mapping[str, Any]) -> list[str]:
    if "size" not in row:
        return ["-"] * 3
    intensities = "; ".join(" / ".join(f"{number:.4g}" for number in channel) for channel in row["intensities"])
    return [_by(row["size"]), _by(row["spacing_mm"]), intensities]


def _volume_cells(row: Mapping[str, Any], structures: Sequence[str]) -> list[int | str]:
    if "volumes_mm3" not in row:
        return ["-"] * len(structures)
    return [round(row["volumes_mm3"].get(value, 0)) for value in structures]


def _by(numbers: Sequence[float]) -> str:
    return "x".join(f"{number:.4g}" for number in numbers)
