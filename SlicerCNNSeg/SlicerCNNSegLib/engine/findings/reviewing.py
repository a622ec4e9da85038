"""Findings that are there already: two dates compared, the page with pictures (heavy: scipy, SimpleITK, matplotlib)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import InputError
from ..progress import Progress, SubProgress, advance
from ..volume import Volume
from .finding import Finding
from .growth import GONE
from .key_images import key_image_png
from .lungs import find_lungs
from .matching import match_findings
from .page import page_html
from .registration import align
from .review import Comparison, ComparisonSettings, Page, PageSettings
from .segmenting import segment_nodule


def compare(settings: ComparisonSettings, volumes: Sequence[Volume], progress: Progress) -> Comparison:
    """Align two dates and pair their findings; see ``engine/run.py`` for the contract."""
    if len(volumes) != 2:
        raise InputError(f"Expected the CTs of two dates, the earlier one first, got {len(volumes)}.")
    lungs = []
    for number, volume in enumerate(volumes):
        advance(progress, 0.2 * number, "Finding the lungs")
        lungs.append(find_lungs(volume))
    advance(progress, 0.4, "Aligning the two dates")
    alignment = align(volumes[0], lungs[0], volumes[1], lungs[1], SubProgress(progress, 0.4, 0.95))
    matches = match_findings(settings.earlier, settings.later, alignment, settings.days)
    gone = {match.earlier for match in matches if match.verdict == GONE}
    advance(progress, 1.0, "Done")
    return Comparison(
        tuple(matches),
        tuple(replace(x, box=alignment.box_at_later(x.box)) for x in settings.earlier if x.id in gone),
        alignment.warnings,
    )


def make_page(settings: PageSettings, volumes: Sequence[Volume], progress: Progress) -> Page:
    """Draw the pictures of the findings and write the page; see ``engine/run.py`` for the contract."""
    (volume,) = volumes
    pictures: dict[str, bytes] = {}
    for number, finding in enumerate(settings.findings):
        advance(progress, number / len(settings.findings), "Drawing the findings")
        pictures[finding.id] = _picture(volume, finding)
    html = page_html(
        settings.findings,
        pictures,
        title=settings.title,
        notes=settings.notes,
        warnings=settings.warnings,
        matches=settings.matches,
    )
    advance(progress, 1.0, "Done")
    return Page(html)


def _picture(volume: Volume, finding: Finding) -> bytes:
    """Three planes; with the outline where the finding was measured."""
    box = finding.box.along(volume.geometry)
    nodule = segment_nodule(volume, box) if finding.measurements is not None else None
    return key_image_png(volume, replace(finding, box=box), nodule)
