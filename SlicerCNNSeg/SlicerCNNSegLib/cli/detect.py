"""``cnnseg detect``: find nodules in chest CTs, measure them, and write the results."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..engine.catalogue import find_model
from ..engine.cohort.detections import DetectionPlan
from ..engine.cohort.follow_up import FollowUp
from ..engine.errors import SettingsError
from ..engine.settings import AUTO, DEFAULT_DETECTOR, DetectionSettings
from .inputs import (
    add_input_options,
    add_model_options,
    add_region_options,
    add_run_options,
    add_tta_option,
    cases_of,
    refuse_to_overwrite_inputs,
    regions_of,
    run_cases,
)
from .jsonlines import JsonObserver
from .status import before_first_case
from .terminal import TerminalObserver, table

EPILOG = """\
examples:
  cnnseg detect chest.nii.gz -o out
  cnnseg detect dicom_folder -o out --threshold 0.7
  cnnseg detect chest.nii.gz -o out --roi-ras 20,140,-90,90,-60,120
  cnnseg detect images/*.nii.gz -o out --model my-detector --resume
  cnnseg detect now.nii.gz -o later --prior earlier --days 183

The detector that comes with CNNSeg is a demonstration, trained on inserted nodules; --model takes another one.

A CSV table has the column 'image' and, as wanted, 'case', 'series', 'roi', 'roi_ras'. Its paths are relative to its
own folder.

For each case: CASE.findings.csv and CASE.findings.json (place, size, kind and size-based category of each finding),
CASE.findings.html (the same with pictures), CASE.findings.seg.nrrd (a segment of each), CASE.candidates.csv
(everything from the model's lowest score on, as LUNA16 has it), CASE.findings.run.json (how it came about, with
checksums), with --prior CASE.followup.json; and findings.csv for all cases in the folder. A case that fails
leaves no file and does not stop the rest.

Only the lungs are searched, and with a region of interest that part of them: what is found has its middle there. An
image without lungs, of another modality or of a single slice is refused; a lung that the image cuts off, or thick
slices, are told as warnings.

exit status: 0 all done, 1 some failed, 2 wrong usage (nothing was begun), 130 stopped by Ctrl-C
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser], words: str) -> None:
    """Add ``detect`` with its options."""
    parser = subparsers.add_parser(
        "detect",
        help=words,
        description="Find nodules in chest CTs, segment and measure them.",
        usage="cnnseg detect INPUT... -o OUT [options]",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_input_options(parser)
    group = add_model_options(parser, DEFAULT_DETECTOR)
    group.add_argument(
        "--threshold", type=float, metavar="SCORE", help="what is called a finding, 0 to 1 (default: the model's)"
    )
    group.add_argument(
        "--malignancy",
        default=AUTO,
        metavar="ID|FOLDER|none",
        help="classifier that rates each finding (default: nodule-malignancy where it is installed)",
    )
    add_tta_option(group)
    add_region_options(parser, "Only there is searched; the lungs are found in the whole image. Repeat for several.")
    group = parser.add_argument_group("follow-up")
    group.add_argument(
        "--prior", type=Path, metavar="FOLDER", help="outputs of an earlier 'cnnseg detect', to compare with"
    )
    group.add_argument("--days", type=float, help="between the earlier images and these; belongs to --prior")
    group = parser.add_argument_group("output")
    group.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="folder")
    add_run_options(group)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Run ``cnnseg detect``; returns the exit status.

    Raises
    ------
    UsageError
        Something that could be known before the first case is wrong.
    CNNSegError
        What stops every case (a broken model, an absent device).
    """
    with before_first_case():
        settings = DetectionSettings(
            model=arguments.model,
            regions=regions_of(arguments),
            threshold=arguments.threshold,
            malignancy=arguments.malignancy,
            device=arguments.device,
            precision=arguments.precision,
            mirror=arguments.tta,
            force=arguments.force,
        )
        package = find_model(settings.model)
        cases = cases_of(arguments, package, "detection")
        plan = DetectionPlan(arguments.output, f"{package.title} ({package.id})", _prior(arguments))
        refuse_to_overwrite_inputs(plan, cases)
        plan.prepare()
    observer: JsonObserver | TerminalObserver
    if arguments.json:
        observer = JsonObserver(package.id, plan.folder, debug=arguments.debug, rows_key=plan.rows_key)
    else:
        observer = TerminalObserver(
            quiet=arguments.quiet, debug=arguments.debug, rows_text=findings_text, content="findings"
        )
    return run_cases(cases, settings, plan, observer, arguments)


def _prior(arguments: argparse.Namespace) -> FollowUp | None:
    """What to compare with.

    Raises
    ------
    SettingsError
        The folder or the days are missing, or the folder is the output's.
    FileReadError
        The folder holds no detection.
    """
    if (arguments.prior is None) != (arguments.days is None):
        raise SettingsError("Expected both --prior FOLDER and --days N, or neither.")
    if arguments.prior is None:
        return None
    if arguments.prior.resolve() == arguments.output.resolve():
        raise SettingsError(f"{arguments.output} is the earlier run's folder; choose another with -o.")
    return FollowUp(arguments.prior, arguments.days)


def findings_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The findings of one case as text."""
    if not rows:
        return "No findings."
    lines = []
    for row in rows:
        measured = row["measurements"] or {}
        cells = [measured.get("kind", "-"), *(_rounded(measured, name) for name in ("mean_diameter_mm", "volume_mm3"))]
        lines.append((row["id"], row["location"] or "-", *cells, row["category"] or "-", f"{row['score']:.2f}"))
    return table(lines, ("finding", "location", "kind", "mean (mm)", "mm3", "category", "score"))


def _rounded(measured: Mapping[str, Any], name: str) -> str:
    return f"{measured[name]:.1f}" if name in measured else "-"
