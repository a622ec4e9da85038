"""What the sub-commands that run a model share: their inputs, models and regions, and how a cohort is run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..engine.cohort.cases import Case, case_from_channels, cases_from_paths
from ..engine.cohort.outputs import CasePlan
from ..engine.cohort.runner import FAILED, TaskSettings, run_cohort
from ..engine.errors import SettingsError
from ..engine.package import ModelPackage
from ..engine.region import Region
from ..engine.settings import DEVICES, PRECISIONS
from .engines import add_engine_options, workers_of
from .jsonlines import JsonObserver
from .status import DONE, SOME_FAILED, STOPPED
from .terminal import TerminalObserver


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """Options on what to run on."""
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


def add_model_options(parser: argparse.ArgumentParser, default: str = "") -> argparse._ArgumentGroup:
    """Options on the model and where it runs; without a default model one must be named. The group, for more."""
    group = parser.add_argument_group("model")
    told = " (default: %(default)s)" if default else ""
    group.add_argument(
        "--model", default=default, required=not default, metavar="ID|FOLDER", help=f"see 'cnnseg models list'{told}"
    )
    group.add_argument("--force", action="store_true", help="go on although the image is of another modality")
    group.add_argument(
        "--device", default="auto", help=f"{', '.join(DEVICES)}, or cuda:N (default: auto, the best that works)"
    )
    group.add_argument(
        "--precision",
        default="auto",
        help=f"{', '.join(PRECISIONS)} (default: auto, what the hardware has or a short trial finds fastest)",
    )
    return group


def add_tta_option(group: argparse._ArgumentGroup) -> None:
    """Add test-time augmentation, for tasks that have it."""
    group.add_argument("--tta", action="store_true", help="average over mirrored images: slower, a little better")


def add_region_options(parser: argparse.ArgumentParser, words: str) -> argparse._ArgumentGroup:
    """Options on regions; ``words`` say what they do. The group, for more."""
    group = parser.add_argument_group("regions of interest", words)
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
    return group


def add_run_options(group: argparse._ArgumentGroup) -> None:
    """Options on how a cohort is run and what is told of it."""
    group.add_argument(
        "--resume", action="store_true", help="skip cases that are done with the same model and settings"
    )
    add_engine_options(group)
    shown = group.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print one JSON object per line for programs")
    shown.add_argument("--quiet", action="store_true", help="print errors only")
    group.add_argument("--debug", action="store_true", help="show the traceback of errors")


def regions_of(arguments: argparse.Namespace) -> tuple[Region, ...]:
    """The regions that the options name.

    Raises
    ------
    SettingsError, RegionError
        A region makes no sense.
    """
    return (
        *(Region.parse("ijk", text) for text in arguments.roi),
        *(Region.parse("ras", text) for text in arguments.roi_ras),
    )


def cases_of(arguments: argparse.Namespace, package: ModelPackage, task: str) -> list[Case]:
    """The cases of the command line, checked against the model's channels.

    Raises
    ------
    SettingsError
        The model is for another task, or the options contradict each other.
    FileReadError
        A path does not exist.
    """
    if package.task != task:
        raise SettingsError(f"The model {package.id} is for {package.task}; choose one for {task}.")
    if bool(arguments.inputs) == bool(arguments.channel):
        raise SettingsError("Expected either INPUT or --channel NAME=FILE; see --help.")
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


def refuse_to_overwrite_inputs(plan: CasePlan, cases: Sequence[Case]) -> None:
    """Raise SettingsError where a case's output would be one of the inputs."""
    inputs = {path.resolve() for case in cases for _, path in case.files}
    for case in cases:
        for path in plan.files(case.id):
            if path.resolve() in inputs:
                raise SettingsError(f"The output {path} would overwrite an input; choose another folder with -o.")


def run_cases(
    cases: Sequence[Case],
    settings: TaskSettings,
    plan: CasePlan,
    observer: JsonObserver | TerminalObserver,
    arguments: argparse.Namespace,
) -> int:
    """Run a cohort to its end, as the options of ``add_run_options`` say; returns the exit status.

    Raises
    ------
    SettingsError
        There are no workers.
    CNNSegError
        What stops every case.
    """
    try:
        with workers_of(arguments, len(cases), settings) as workers:
            result = run_cohort(cases, settings, plan, observer, resume=arguments.resume, workers=workers)
    finally:
        observer.close()
    if result.stopped:
        return STOPPED
    return SOME_FAILED if result.count(FAILED) else DONE
