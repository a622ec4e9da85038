"""The page of findings: one HTML file with its pictures inside, to be read in any browser.

``key_images`` makes the pictures. Every text that comes from outside is escaped, and the page holds
no script and loads nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from ..files.atomic import replacing
from .category import TITLE, scan_category
from .finding import REJECTED, Finding
from .growth import Growth
from .match import Match

NOT_TOLD = "–"  # noqa: RUF001 - the dash that tables have for nothing

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8886; }
td.number, th.number { text-align: right; }
.warning { border-left: 4px solid #d90; padding: .2rem .8rem; margin: .6rem 0; }
.rejected { opacity: .55; } img { max-width: 100%; border-radius: 4px; } footer { margin-top: 2rem; opacity: .75; }
"""


def write_page(
    path: str | Path,
    findings: Sequence[Finding],
    pictures: Mapping[str, bytes],
    *,
    title: str,
    notes: Sequence[str] = (),
    warnings: Sequence[str] = (),
    matches: Sequence[Match] = (),
) -> None:
    """Write the page; it appears whole or not at all.

    Parameters
    ----------
    path:
        The file, ``.html``.
    findings:
        In the order in which they are to be listed.
    pictures:
        PNG files by the findings' ids; a finding may have none.
    title:
        What was searched.
    notes:
        By which model, when; a line each.
    warnings:
        What a reader must know.
    matches:
        Against an earlier date, if there is one.

    Raises
    ------
    OutputError
        The place cannot be written to.
    """
    text = page_html(findings, pictures, title=title, notes=notes, warnings=warnings, matches=matches)
    with replacing(Path(path)) as part:
        part.write_text(text, encoding="utf-8")


def page_html(
    findings: Sequence[Finding],
    pictures: Mapping[str, bytes],
    *,
    title: str,
    notes: Sequence[str] = (),
    warnings: Sequence[str] = (),
    matches: Sequence[Match] = (),
) -> str:
    """The page as text; parameters as in ``write_page``."""
    count = len(findings)
    heading = f"{count} finding{'s' * (count != 1)}" if count else "No findings"
    parts = [
        f"<h1>{escape(title)}</h1>",
        *(f"<p>{escape(note)}</p>" for note in notes),
        *(f'<p class="warning">{escape(warning)}</p>' for warning in warnings),
        f"<h2>{heading}</h2>",
    ]
    if findings:
        parts += [_table(findings), f"<p>{escape(_category_line(findings))}</p>"]
    if matches:
        parts += ["<h2>Against the earlier date</h2>", _match_table(matches)]
    parts += [_section(finding, pictures.get(finding.id)) for finding in findings]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n"
        "<footer>Found and measured by software, for research; not for diagnosis without a reader. Radiological "
        "convention: the patient's right is on the picture's left.</footer>\n</body></html>\n"
    )


def _table(findings: Sequence[Finding]) -> str:
    """One row per finding, with a link to its pictures."""
    head = (
        ("Finding", ""),
        ("Location", ""),
        ("Kind", ""),
        ("Mean diameter", "number"),
        ("Volume", "number"),
        ("Score", "number"),
        ("Malignancy", "number"),
        (TITLE, ""),
        ("Review", ""),
    )
    rows = []
    for finding in findings:
        m = finding.measurements
        cells = [
            f'<a href="#{escape(finding.id)}">{escape(finding.id)}</a>',
            escape(finding.location or NOT_TOLD),
            m.kind if m else NOT_TOLD,
            f"{m.mean_diameter_mm:.1f} mm" if m else NOT_TOLD,
            f"{m.volume_mm3:,.0f} mm³" if m else NOT_TOLD,
            f"{finding.score:.2f}",
            NOT_TOLD if finding.malignancy is None else f"{finding.malignancy:.2f}",
            escape(finding.category or NOT_TOLD),
            escape(finding.status),
        ]
        kind = ' class="rejected"' if finding.status == REJECTED else ""
        rows.append(f"<tr{kind}>{_cells(cells, [cls for _, cls in head])}</tr>")
    return _as_table(head, rows)


def _match_table(matches: Sequence[Match]) -> str:
    """One row per nodule of either date."""
    head = (
        ("Earlier", ""),
        ("Now", ""),
        ("Verdict", ""),
        ("Apart", "number"),
        ("Volume (95 % interval)", "number"),
        ("Doubling time (95 % interval)", "number"),
    )
    rows = []
    for match in matches:
        change, doubling = (NOT_TOLD, NOT_TOLD) if match.growth is None else _growth_words(match.growth)
        apart = NOT_TOLD if match.distance_mm is None else f"{match.distance_mm:.1f} mm"
        ids = [escape(match.earlier or NOT_TOLD), escape(match.later or NOT_TOLD)]
        cells = [*ids, escape(match.verdict or NOT_TOLD), apart, change, doubling]
        rows.append(f"<tr>{_cells(cells, [cls for _, cls in head])}</tr>")
    return _as_table(head, rows)


def _growth_words(growth: Growth) -> tuple[str, str]:
    """The change in percent, and the doubling time in days."""
    low, high = growth.change_95
    change = f"{growth.change:+z.0%} ({low:+z.0%} to {high:+z.0%})"
    shortest, longest = growth.doubling_days_95
    if shortest == float("inf"):
        return change, NOT_TOLD
    until = "no growth" if longest == float("inf") else f"{longest:.0f}"
    middle = f"{growth.doubling_days:.0f} days" if 0 < growth.doubling_days < float("inf") else NOT_TOLD
    return change, f"{middle} ({shortest:.0f} to {until})"


def _section(finding: Finding, picture: bytes | None) -> str:
    """A finding's heading, measurements and pictures."""
    m = finding.measurements
    right, anterior, superior = finding.center_ras_mm
    lines = [f"Middle at R {right:.1f}, A {anterior:.1f}, S {superior:.1f} mm"]
    if m is not None:
        lines.append(f"Axial diameters {m.longest_mm:.1f} x {m.perpendicular_mm:.1f} mm")
        if m.kind == "part-solid":
            lines.append(f"Solid part {m.solid_mean_mm:.1f} mm, {m.solid_volume_mm3:,.0f} mm³")
        lines.append(f"Mean {m.mean_hu:.0f} HU, lowest {m.min_hu:.0f} HU")
    else:
        lines.append("Nothing in the box stands out from the lung, so it was not measured")
    words = "; ".join(lines)
    name = escape(finding.id)
    image = ""
    if picture is not None:
        image = (
            f'<img alt="Three planes through {name}" src="data:image/png;base64,{base64.b64encode(picture).decode()}">'
        )
    where = f", {escape(finding.location)}" if finding.location else ""
    return f'<section id="{name}"><h2>{name}{where}</h2><p>{escape(words)}.</p>{image}</section>'


def _category_line(findings: Iterable[Finding]) -> str:
    """The scan's category by its findings that were not rejected."""
    counted = [x.category for x in findings if x.status != REJECTED and x.category]
    left_out = "growth, shape and benign features are not considered"
    return f"{TITLE} of the scan: {scan_category(counted)} (rejected findings left out; {left_out})."


def _cells(cells: Sequence[str], classes: Sequence[str]) -> str:
    pairs = zip(cells, classes, strict=True)
    return "".join(f'<td class="{cls}">{cell}</td>' if cls else f"<td>{cell}</td>" for cell, cls in pairs)


def _as_table(head: Sequence[tuple[str, str]], rows: Sequence[str]) -> str:
    names = "".join(
        f'<th class="{cls}">{escape(name)}</th>' if cls else f"<th>{escape(name)}</th>" for name, cls in head
    )
    return f"<table><thead><tr>{names}</tr></thead><tbody>\n" + "\n".join(rows) + "\n</tbody></table>"
