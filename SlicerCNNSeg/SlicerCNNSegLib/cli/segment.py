"""``cnnseg segment``: segment images and write the results."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..engine.catalogue import find_model
from ..engine.cohort.cases import Case, case_from_channels, cases_from_paths
from ..engine.cohort.outputs import OutputPlan
from ..engine.cohort.runner import FAILED, run_cohort
from ..engine.errors import SettingsError
from ..engine.files.paths import LABELMAP_FORMATS, stem
from ..engine.package import ModelPackage
from ..engine.region import Region
from ..engine.settings import DEFAULT_MODEL, DEVICES, PRECISIONS, SegmentationSettings
from .jsonlines import JsonObserver
from .status import DONE, SOME_FAILED, STOPPED, before_first_case
from .terminal import TerminalObserver

REGION_OPTIONS = ("--roi", "--roi-ras")

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


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``segment`` with its options."""
    parser = subparsers.add_parser(
        "segment",
        help="segment images",
        description="Segment images with a model. Cases run one after the other.",
        usage="cnnseg segment INPUT... -o OUT [options]",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    group = parser.add_argument_group("input")
    group.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="image file, DICOM folder, folder of images, or CSV table of cases"
    )
    group.add_argument(
        "--channel",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="one channel of a single case, instead of INPUT; repeat it for each channel",
    )
    group.add_argument("--series", default="", metavar="UID", help="series of a DICOM folder that holds several")
    add_model_options(parser)
    _add_region_options(parser)
    _add_output_options(parser)
    parser.set_defaults(execute=execute)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Options on the model and how it runs."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="ID|FOLDER", help="see 'cnnseg models list' (default: %(default)s)"
    )
    group.add_argument("--force", action="store_true", help="go on although the image is of another modality")
    group.add_argument(
        "--device", default="auto", help=f"{', '.join(DEVICES)}, or cuda:N (default: auto, the best that works)"
    )
    group.add_argument(
        "--precision",
        default="auto",
        help=f"{', '.join(PRECISIONS)} (default: auto, bf16 where the hardware has it)",
    )
    group.add_argument("--tta", action="store_true", help="average over mirrored images: slower, a little better")
    group.add_argument(
        "--overlap", type=float, metavar="SHARE", help="share that neighbouring windows overlap (default: the model's)"
    )
    group.add_argument("--no-postprocess", action="store_true", help="leave small components and holes as they are")


def _add_region_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "regions of interest", "Repeat for several. Named regions (left=...) give structures of their own."
    )
    group.add_argument(
        "--roi",
        action="append",
        default=[],
        metavar="[NAME=]i0,i1,j0,j1,k0,k1",
        help="voxel indices from 0, the upper ones excluded",
    )
    group.add_argument(
        "--roi-ras", action="append", default=[], metavar="[NAME=]r0,r1,a0,a1,s0,s1", help="RAS millimetres"
    )


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
    group.add_argument(
        "--resume", action="store_true", help="skip cases that are done with the same model and settings"
    )
    shown = group.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print one JSON object per line for programs")
    shown.add_argument("--quiet", action="store_true", help="print errors only")
    group.add_argument("--debug", action="store_true", help="show the traceback of errors")


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
        cases = _cases(arguments, package)
        plan = _plan(arguments.output, arguments.formats, arguments.report, cases)
        plan.prepare()
    observer: JsonObserver | TerminalObserver
    if arguments.json:
        observer = JsonObserver(package.id, plan.folder, debug=arguments.debug)
    else:
        observer = TerminalObserver(quiet=arguments.quiet, debug=arguments.debug)
    try:
        result = run_cohort(cases, settings, plan, observer, resume=arguments.resume)
    finally:
        observer.close()
    if result.stopped:
        return STOPPED
    return SOME_FAILED if result.count(FAILED) else DONE


def settings_from(arguments: argparse.Namespace) -> SegmentationSettings:
    """The options as settings.

    Raises
    ------
    SettingsError, RegionError
        A value makes no sense.
    """
    regions = [Region.parse("ijk", text) for text in arguments.roi]
    regions += [Region.parse("ras", text) for text in arguments.roi_ras]
    return SegmentationSettings(
        model=arguments.model,
        regions=tuple(regions),
        device=arguments.device,
        precision=arguments.precision,
        mirror=arguments.tta,
        overlap=arguments.overlap,
        postprocess=not arguments.no_postprocess,
        force=arguments.force,
    )


def _cases(arguments: argparse.Namespace, package: ModelPackage) -> list[Case]:
    """The cases of the command line, checked against the model's channels."""
    if package.task != "segmentation":
        raise SettingsError(f"The model {package.id} is for {package.task}; choose one for segmentation.")
    if bool(arguments.inputs) == bool(arguments.channel):
        raise SettingsError("Expected either INPUT or --channel NAME=FILE; see 'cnnseg segment --help'.")
    channels = [channel.name for channel in package.channels]
    if arguments.channel:
        cases = [case_from_channels([_channel(text) for text in arguments.channel], channels)]
    else:
        cases = cases_from_paths([Path(text) for text in arguments.inputs], channels)
    if not arguments.series:
        return cases
    if len(cases) != 1 or len(cases[0].files) != 1:
        raise SettingsError(
            f"--series needs one DICOM folder as INPUT, got {len(cases)} cases; use a CSV table for more."
        )
    only = cases[0]
    return [Case(only.id, only.files, arguments.series, only.regions)]


def _channel(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise SettingsError(f"Expected --channel NAME=FILE, got {text!r}.")
    return name, Path(path)


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
    _refuse_to_overwrite_inputs(plan, cases)
    return plan


def _refuse_to_overwrite_inputs(plan: OutputPlan, cases: Sequence[Case]) -> None:
    inputs = {path.resolve() for case in cases for _, path in case.files}
    for case in cases:
        for path in plan.files(case.id):
            if path.resolve() in inputs:
                raise SettingsError(f"The output {path} would overwrite an input; choose another folder with -o.")
