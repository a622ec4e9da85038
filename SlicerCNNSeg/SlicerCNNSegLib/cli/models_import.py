"""``cnnseg models import``: bare weights and a description of them, made a model."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..engine.described.description import FURTHER_QUESTIONS, QUESTIONS, Description
from ..engine.wording import printable
from . import models_store
from .status import DONE

IMPORT_EPILOG = """\
example:
  cnnseg models import weights.pt --description brain-unet.json

brain-unet.json:
  {"id": "brain-unet", "network": {"_target_": "UNet", "channels": [16, 32, 64], "strides": [2, 2]},
   "channels": ["T1:MR"], "labels": ["white matter", "grey matter"], "spacing_mm": [1, 1, 1], "orientation": "RAS",
   "normalisation": "z-score", "window": [96, 96, 96], "licence": "MIT"}

What the description lacks is asked for in a terminal. Networks and their arguments: docs/extending.md. Weights are read
as tensors and nothing else; of TorchScript, which is code, only with --trust-torchscript, and then its weights alone.

exit status: 0 imported, 1 refused or failed, 2 wrong usage (also: the description is incomplete)
"""


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the action; its parser."""
    importing = actions.add_parser(
        "import",
        help="make a model of bare weights (a state_dict)",
        description="Make a model of bare weights (a state_dict) and a description of them, and install it.",
        epilog=IMPORT_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    importing.add_argument("weights", metavar="WEIGHTS.pt|.safetensors", type=Path)
    importing.add_argument("--description", metavar="FILE.json", type=Path, help="what the model is; see below")
    importing.add_argument("--write-description", metavar="FILE.json", type=Path, help="keep the answers in a file")
    importing.add_argument("--trust-torchscript", action="store_true", help="open TorchScript, which is code")
    importing.add_argument("--replace", action="store_true", help="take the place of an installed model of that id")
    importing.add_argument("--accept-licence", action="store_true", help="accept the licence without a question")
    importing.set_defaults(execute=execute_import)
    return importing


def execute_import(arguments: argparse.Namespace) -> int:
    """Import; returns the exit status.

    Raises
    ------
    CNNSegError
        See ``engine/described/importing.py`` and ``engine/store/store.py``; nothing was installed.
    """
    from ..engine.described.importing import write_described
    from ..engine.files.atomic import replacing
    from ..engine.store.store import install

    answers = _asked(Description.read(arguments.description) if arguments.description else {})
    description = Description.from_json(answers)
    with TemporaryDirectory() as folder:
        made = Path(folder) / description.id
        notes = write_described(arguments.weights, description, made, trust_script=arguments.trust_torchscript)
        package = install(
            made,
            replace=arguments.replace,
            acknowledge=lambda package, text: models_store.acknowledge(
                package, text, accepted=arguments.accept_licence
            ),
        )
    if arguments.write_description:
        with replacing(arguments.write_description) as temporary:
            temporary.write_text(json.dumps(answers, indent=2) + "\n", encoding="utf-8")
    print("\n".join(printable(note) for note in notes))
    print(f"Imported {package.id} {package.version} ({package.licence}) to {package.folder}")
    return DONE


def _asked(given: dict[str, Any]) -> dict[str, Any]:
    """The description with what it lacks, asked for where somebody can answer."""
    if not sys.stdin.isatty():
        return given
    answers = dict(given)
    for key, question in QUESTIONS.items():
        while key not in answers:
            line = _answer(question)
            if not line:
                return answers  # the end of the input: what is missing is told as an error
            if line.strip():
                answers[key] = _value(line.strip())
    for key, question in FURTHER_QUESTIONS.items() if answers != given else ():
        line = "" if key in answers else _answer(question).strip()
        answers.update({key: line} if line else {})
    return answers


def _answer(question: str) -> str:
    """A line from the terminal; "" at the end of the input."""
    sys.stderr.write(f"{question}: ")
    sys.stderr.flush()
    return sys.stdin.readline()


def _value(text: str) -> Any:
    """JSON where it is an object or a list, else the text."""
    try:
        return json.loads(text) if text[0] in "{[" else text
    except ValueError:
        return text
