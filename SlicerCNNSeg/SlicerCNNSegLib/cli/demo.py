"""``cnnseg demo``: both hippocampi of a real head, from an image that comes with a Python package.

The image is the MNI ICBM152 2009a symmetric T1 template inside nilearn: an average of 152 healthy
heads, copyright (C) 1993-2004 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological
Institute, McGill University, free to use with this notice.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from ..engine.catalogue import find_model
from ..engine.cohort.cases import Case
from ..engine.cohort.outputs import OutputPlan
from ..engine.cohort.runner import FAILED, run_cohort
from ..engine.errors import FileReadError
from ..engine.region import Region
from ..engine.settings import DEFAULT_MODEL, SegmentationSettings
from .status import DONE, SOME_FAILED, STOPPED, before_first_case
from .terminal import TerminalObserver

IMAGE = Path("datasets", "data", "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
"""In the folder of nilearn."""

NOTICE = """\
Image: MNI ICBM152 2009a T1 template (symmetric), as it comes with nilearn. It is an average
of 152 heads, not one person's, and both its sides are alike. Copyright (C) 1993-2004 Louis
Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill University.
"""

REGIONS = (
    Region("ras", (9, 44, -45, 6, -35, 5), "right"),
    Region("ras", (-44, -9, -45, 6, -35, 5), "left"),
)
"""A box around each hippocampus, of about the size of the images that the model was trained on."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser], words: str) -> None:
    """Add ``demo``."""
    parser = subparsers.add_parser(
        "demo",
        help=words,
        description="Segment both hippocampi of the MNI ICBM152 head, an average of 152 people's.",
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("out"), metavar="FOLDER", help="for the results (default: out)"
    )
    parser.add_argument("--device", default="auto", help="as in 'cnnseg segment' (default: auto)")
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Run the demo; returns the exit status.

    Raises
    ------
    UsageError
        nilearn or the model is not there, or the folder cannot be written to.
    """
    with before_first_case():
        settings = SegmentationSettings(DEFAULT_MODEL, REGIONS, device=arguments.device, mirror=True)
        find_model(settings.model)
        cases = [Case("mni_icbm152", (("", demo_image()),))]
        plan = OutputPlan(arguments.output, ("seg.nrrd", "nii.gz"), report=True)
        plan.prepare()
    print(NOTICE, flush=True)
    observer = TerminalObserver(debug=arguments.debug)
    try:
        result = run_cohort(cases, settings, plan, observer)
    finally:
        observer.close()
    if result.stopped:
        return STOPPED
    return SOME_FAILED if result.count(FAILED) else DONE


def demo_image() -> Path:
    """The template's file, found without importing nilearn.

    Raises
    ------
    FileReadError
        nilearn is not installed, or came without the file.
    """
    spec = importlib.util.find_spec("nilearn")
    places = list(spec.submodule_search_locations or ()) if spec else []
    image = next((Path(place) / IMAGE for place in places if (Path(place) / IMAGE).is_file()), None)
    if image is None:
        raise FileReadError("The demo's image comes with the package nilearn; run: python3 -m pip install nilearn")
    return image
