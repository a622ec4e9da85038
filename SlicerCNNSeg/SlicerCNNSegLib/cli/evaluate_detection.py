"""``cnnseg evaluate detection``: how good found nodules are, by LUNA16's protocol."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path

from .json_file import json_file
from .status import DONE, before_first_case
from .terminal import TerminalProgress

EPILOG = """\
example:
  cnnseg evaluate detection --annotations annotations.csv --excluded annotations_excluded.csv \\
      --series seriesuids.csv --predictions marks.csv -o detection.json

Beside FILE.json, the FROC curve is drawn into FILE_froc.png and FILE_froc.svg.

columns (commas or tabs), positions in one world frame in mm, LUNA16's is LPS:
  annotations, excluded  seriesuid,coordX,coordY,coordZ,diameter_mm
  predictions            seriesuid,coordX,coordY,coordZ,probability
                         for the boxes' AP also sizeX_mm,sizeY_mm,sizeZ_mm or diameter_mm
  series                 one seriesuid per line

exit status: 0 compared, 2 wrong usage or tables
"""


def add_parser(tasks: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``detection`` to the tasks of ``cnnseg evaluate``."""
    parser = tasks.add_parser(
        "detection",
        help="nodules: LUNA16's FROC and CPM, box AP, AUROC over scans",
        description="Compare marks with nodules: FROC curve and CPM by the protocol of LUNA16, with bootstrap "
        "confidence intervals; average precision of boxes; average precision and AUROC over scans.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    table = {"type": Path, "metavar": "FILE.csv"}
    parser.add_argument("--annotations", required=True, **table, help="nodules that are to be found")
    parser.add_argument("--excluded", **table, help="findings on which marks are ignored (default: none)")
    parser.add_argument("--series", required=True, **table, help="all scans that were searched")
    parser.add_argument("--predictions", required=True, **table, help="marks with probabilities")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE.json", help="for all the numbers")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Compare, draw the curve, write the JSON file, print the summary; returns the exit status.

    Raises
    ------
    UsageError
        An option or a table is wrong, a file cannot be written, or nothing can be compared.
    """
    from ..engine.evaluation.detection.evaluate import evaluate_detection
    from ..engine.evaluation.detection.plot import write_froc_plot
    from ..engine.evaluation.detection.summary import detection_summary

    output: Path = arguments.output
    plots = [output.with_name(f"{output.stem}_froc{suffix}") for suffix in (".png", ".svg")]
    with before_first_case(), json_file(output) as part:
        with closing(TerminalProgress(quiet=arguments.quiet)) as progress:
            evaluation = evaluate_detection(
                arguments.annotations,
                arguments.series,
                arguments.predictions,
                excluded=arguments.excluded,
                seed=arguments.seed,
                progress=progress,
            )
        part.write_text(json.dumps(evaluation, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        for plot in plots:
            write_froc_plot(plot, evaluation)
    if not arguments.quiet:
        files = "\n".join(str(path) for path in (output, *plots))
        print(f"{detection_summary(evaluation)}\n\n{files}")
    return DONE
