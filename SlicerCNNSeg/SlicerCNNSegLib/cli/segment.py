"""``cnnseg segment``: segment images and write the results."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..engine.catalogue import find_model
from ..engine.cohort.cases import Case
from ..engine.cohort.outputs import OutputPlan
from ..engine.errors import SettingsError
from ..engine.files.paths import LABELMAP_FORMATS, stem
from ..engine.settings import DEFAULT_MODEL, SegmentationSettings
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
from .terminal import TerminalObserver

EPILOG = """\
examples:
  cnnseg segment head.nii.gz -o out
  cnnseg segment dicom_folder -o hippocampi.seg.nrrd --roi-ras right=9,44,-45,6,-35,5
  cnnseg segment images/*.nii.gz -o out --format nii.gz --resume
  cnnseg segment cases.csv -o out --report
  cnnseg segment --channel T1=t1.nii.gz --channel FLAIR=flair.nii.gz -o out --model my-model

A CSV table has the column 'image', or one column for each channel of the model; and, as wanted, 'case',
'series', 'roi', 'roi_ras'. Its paths are relative to its own folder.

For each case: CASE.FORMAT, CASE.run.json (how it came about, with checksums), CASE.png with --report;
and volumes.csv for all cases in the folder. A case that fails leaves no file and does not stop the rest.
Inputs of one name in different folders get the folder's name in front.

exit status: 0 all done, 1 some failed, 2 wrong usage (nothing was begun), 130 stopped by Ctrl-C
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser], words: str) -> None:
    """Add ``segment`` with its options."""
    parser = subparsers.add_parser(
        "segment",
        help=words,
        description="Segment images with a model. One case runs after the other, or several at a time with --workers.",
        usage="cnnseg segment INPUT... -o OUT [options]",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_input_options(parser)
    group = add_model_options(parser, DEFAULT_MODEL)
    add_tta_option(group)
    group.add_argument(
        "--overlap", type=float, metavar="SHARE", help="share that neighbouring windows overlap (default: the model's)"
    )
    group.add_argument("--no-postprocess", action="store_true", help="leave small components and holes as they are")
    add_region_options(parser, "Repeat for several. Named regions (left=...) give structures of their own.")
    _add_output_options(parser)
    parser.set_defaults(execute=execute)


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o", "--output", required=True, type=Path, metavar="OUT", help="folder; or the labelmap's file, for one case"
    )
    group.add_argument(
        "--format",
        action="append",
        choices=LABELMAP_FORMATS,
        dest="formats",
        help="of the labelmap (default: seg.nrrd); repeat it for several",
    )
    group.add_argument("--report", action="store_true", help="also write a picture of the overlay in three planes")
    add_run_options(group)


def execute(arguments: argparse.Namespace) -> int:
    """Run ``cnnseg segment``; returns the exit status.

    Raises
    ------
    UsageError
        Something that could be known before the first case is wrong.
    CNNSegError
        What stops every case (a broken model, an absent device).
    """
    with before_first_case():
        settings = settings_from(arguments)
        package = find_model(settings.model)
        cases = cases_of(arguments, package, "segmentation")
        plan = _plan(arguments.output, arguments.formats, arguments.report, cases)
        plan.prepare()
    observer: JsonObserver | TerminalObserver
    if arguments.json:
        observer = JsonObserver(package.id, plan.folder, debug=arguments.debug)
    else:
        observer = TerminalObserver(quiet=arguments.quiet, debug=arguments.debug)
    return run_cases(cases, settings, plan, observer, arguments)


def settings_from(arguments: argparse.Namespace) -> SegmentationSettings:
    """The options as settings.

    Raises
    ------
    SettingsError, RegionError
        A value makes no sense.
    """
    return SegmentationSettings(
        model=arguments.model,
        regions=regions_of(arguments),
        device=arguments.device,
        precision=arguments.precision,
        mirror=arguments.tta,
        overlap=arguments.overlap,
        postprocess=not arguments.no_postprocess,
        force=arguments.force,
    )


def _plan(output: Path, formats: Sequence[str] | None, report: bool, cases: Sequence[Case]) -> OutputPlan:
    """Where the outputs go: OUT is a file when it ends like one and is no folder."""
    suffix = next((one for one in LABELMAP_FORMATS if output.name.lower().endswith(f".{one}")), None)
    if suffix and not output.is_dir():
        if len(cases) != 1:
            raise SettingsError(f"Expected a folder for the outputs of {len(cases)} cases, got the file {output}.")
        if formats and set(formats) != {suffix}:
            raise SettingsError(f"{output} says {suffix}, --format {formats[0]}; name a folder to have both.")
        plan = OutputPlan(output.parent, (suffix,), report, stem(output))
    else:
        plan = OutputPlan(output, tuple(dict.fromkeys(formats or LABELMAP_FORMATS[:1])), report)
    refuse_to_overwrite_inputs(plan, cases)
    return plan
