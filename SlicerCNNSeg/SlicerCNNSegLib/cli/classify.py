"""``cnnseg classify``: classify images, regions or what surrounds segments, and write the results."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..engine.catalogue import find_model
from ..engine.classification.around import MARGIN_MM, regions_around_findings, regions_around_segments
from ..engine.cohort.cases import Case
from ..engine.cohort.classes import HEAT_FORMATS, ClassPlan
from ..engine.errors import SettingsError
from ..engine.region import Region
from ..engine.settings import EXPLANATIONS, ClassificationSettings
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
  cnnseg classify thorax.png -o out --model pneumonia-xray --explain gradcam
  cnnseg classify images/*.nii.gz -o out --model my-model --resume
  cnnseg classify ct.nii.gz -o out --model my-model --roi-ras nodule=9,44,-45,6,-35,5
  cnnseg classify ct.nii.gz -o out --model my-model --segments nodules.seg.nrrd --margin-mm 8
  cnnseg classify ct.nii.gz -o out --model my-model --findings ct.findings.csv

A CSV table has the column 'image', or one column for each channel of the model; and, as wanted, 'case',
'series', 'roi', 'roi_ras'. Its paths are relative to its own folder.

For each case: CASE.classes.json, CASE.classes.run.json (how it came about, with checksums), with --explain
CASE.heat.nii.gz on the image's grid and CASE.heat.png; and classes.csv for all cases in the folder. A case
that fails leaves no file and does not stop the rest.

exit status: 0 all done, 1 some failed, 2 wrong usage (nothing was begun), 130 stopped by Ctrl-C
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser], words: str) -> None:
    """Add ``classify`` with its options."""
    parser = subparsers.add_parser(
        "classify",
        help=words,
        description="Tell how probable each of a model's classes is, and why.",
        usage="cnnseg classify INPUT... -o OUT --model ID [options]",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_input_options(parser)
    group = add_model_options(parser)
    add_tta_option(group)
    group.add_argument(
        "--dropout-samples",
        type=int,
        default=0,
        metavar="N",
        help="run N times with dropout left on; gives the mean and the spread (default: one run without)",
    )
    group = add_region_options(parser, "Each is classified by itself. Repeat for several, and name them (a=...).")
    group.add_argument("--segments", type=Path, metavar="FILE", help="classify around each segment; for one case")
    group.add_argument(
        "--findings",
        type=Path,
        metavar="FILE",
        help="classify each finding of a table (.csv, .json) that was not rejected; for one case",
    )
    group.add_argument(
        "--margin-mm",
        type=float,
        default=MARGIN_MM,
        metavar="MM",
        help="how far around a segment or finding (default: %(default)s)",
    )
    _add_explanation_options(parser)
    group = parser.add_argument_group("output")
    group.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="folder")
    group.add_argument(
        "--heat-format", default=HEAT_FORMATS[0], choices=HEAT_FORMATS, help="of heat maps (default: %(default)s)"
    )
    add_run_options(group)
    parser.set_defaults(execute=execute)


def _add_explanation_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("explanation")
    group.add_argument(
        "--explain", default="", choices=EXPLANATIONS[1:], help="heat map; features: what the layer answers to"
    )
    group.add_argument(
        "--explain-class", default="", metavar="NAME", help="of this class (default: the most probable one)"
    )
    group.add_argument("--layer", default="", help="that Grad-CAM looks at (default: the network's last features)")
    group.add_argument(
        "--sanity",
        action="store_true",
        help="also compare with heat maps of networks with random weights",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run ``cnnseg classify``; returns the exit status.

    Raises
    ------
    UsageError
        Something that could be known before the first case is wrong.
    CNNSegError
        What stops every case (a broken model, an absent device).
    """
    with before_first_case():
        settings = _settings(arguments)
        package = find_model(settings.model)
        cases = cases_of(arguments, package, "classification")
        if arguments.segments is not None or arguments.findings is not None:
            cases = [_with_regions(arguments, cases)]
        plan = ClassPlan(arguments.output, arguments.heat_format if settings.explain else "")
        refuse_to_overwrite_inputs(plan, cases)
        plan.prepare()
    observer: JsonObserver | TerminalObserver
    if arguments.json:
        observer = JsonObserver(package.id, plan.folder, debug=arguments.debug, rows_key=plan.rows_key)
    else:
        observer = TerminalObserver(
            quiet=arguments.quiet, debug=arguments.debug, rows_text=classes_text, content="classes"
        )
    return run_cases(cases, settings, plan, observer, arguments)


def _settings(arguments: argparse.Namespace) -> ClassificationSettings:
    return ClassificationSettings(
        model=arguments.model,
        regions=regions_of(arguments),
        device=arguments.device,
        precision=arguments.precision,
        mirror=arguments.tta,
        explain=arguments.explain,
        explain_class=arguments.explain_class,
        layer=arguments.layer,
        sanity=arguments.sanity,
        dropout_samples=arguments.dropout_samples,
        force=arguments.force,
    )


def _with_regions(arguments: argparse.Namespace, cases: Sequence[Case]) -> Case:
    """The one case, with a region around each segment or finding.

    Raises
    ------
    SettingsError
        There are several cases, or regions are given as well.
    FileReadError, InputError, RegionError
        The segmentation or table cannot be read, or is empty.
    """
    option = "--segments" if arguments.segments is not None else "--findings"
    if len(cases) != 1:
        raise SettingsError(f"{option} belongs to one case, got {len(cases)}; run them one by one.")
    both = arguments.segments is not None and arguments.findings is not None
    if both or arguments.roi or arguments.roi_ras or cases[0].regions:
        raise SettingsError("Expected --segments, --findings or regions of interest, got several; keep one.")
    return replace(cases[0], regions=_regions_around(arguments))


def _regions_around(arguments: argparse.Namespace) -> tuple[Region, ...]:
    if arguments.segments is not None:
        from ..engine.files.labelmaps import read_labelmap

        file = read_labelmap(arguments.segments)
        return regions_around_segments(file.labelmap, file.geometry, file.labels, arguments.margin_mm)
    from ..engine.findings.tables import read_findings_csv, read_findings_json

    read = read_findings_json if arguments.findings.suffix.lower() == ".json" else read_findings_csv
    return regions_around_findings(read(arguments.findings), arguments.margin_mm)


def classes_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The probabilities of one case as text, the most probable class of each region first."""
    lines = [
        (row["region"] or "image", name, f"{probability:.3f}")
        for row in rows
        for name, probability in sorted(row["probabilities"].items(), key=lambda item: -item[1])
    ]
    return table(lines, ("region", "class", "probability"))
