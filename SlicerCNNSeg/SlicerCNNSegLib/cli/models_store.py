"""``cnnseg models install``, ``remove``, ``check`` and ``pack``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

from ..engine.catalogue import CatalogueEntry, find_model, list_models
from ..engine.nnunet.reading import CHECKPOINTS, Choice
from ..engine.package import ModelPackage
from ..engine.progress import Progress
from .jsonlines import JsonProgress, emit
from .status import DONE, SOME_FAILED
from .terminal import TerminalProgress, table

Actions: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

INSTALL_EPILOG = """\
examples:
  cnnseg models install my-model.zip
  cnnseg models install https://example.org/my-model.zip --checksum sha256:HEX
  cnnseg models install spleen_ct_segmentation
  cnnseg models install nnUNet_results/Dataset004_Hippocampus --configuration 3d_fullres --id hippocampus-nnunet

The third one is a bundle of MONAI's Model Zoo ('cnnseg models list --available'), the last one what nnU-Net v2 trained
(a folder, or the zip file that it exports). Every member of an archive is checked before it is unpacked; weights are
safetensors, or PyTorch files that hold tensors and nothing else. A download that breaks off goes on where it stopped.

exit status: 0 installed, 1 refused or failed, 2 wrong usage (also: it is there already, licence not accepted)
"""

NAMES_WIDTH = 44
"""Characters of a list's column of structures; ``models show`` gives them all."""

ANSWERS = {None: "not asked", True: "passed", False: "FAILED"}


def add_parsers(actions: Actions) -> list[argparse.ArgumentParser]:
    """Add the four actions; their parsers."""
    return [add(actions) for add in (_add_install, _add_remove, _add_check, _add_pack)]


def _add_install(actions: Actions) -> argparse.ArgumentParser:
    installing = actions.add_parser(
        "install",
        help="install a model from a zip file, a folder or an address",
        description="Install a model into the user's folder.",
        epilog=INSTALL_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    installing.add_argument("source", metavar="FILE.zip|FOLDER|URL|ID")
    installing.add_argument(
        "--checksum",
        metavar="ALGORITHM:HEX",
        help="what the file must have, verified before it is opened (sha256, sha1 or md5); an address needs it",
    )
    installing.add_argument("--replace", action="store_true", help="take the place of an installed model of that id")
    installing.add_argument(
        "--accept-licence", action="store_true", help="accept the model's licence without a question"
    )
    installing.add_argument(
        "--keep-refused",
        action="store_true",
        help="install a bundle also when its configuration is refused; see 'cnnseg models trust --help'",
    )
    trained = installing.add_argument_group("for what nnU-Net v2 trained")
    trained.add_argument("--id", metavar="ID", default="", help="what to call the model")
    trained.add_argument(
        "--configuration", metavar="NAME", default="", help="which, where there are several (3d_fullres)"
    )
    trained.add_argument(
        "--checkpoint",
        choices=CHECKPOINTS,
        default="",
        help="of each fold (default: final, or best where there is none)",
    )
    installing.add_argument(
        "--offline", action="store_true", help="never use the network (as CNNSEG_OFFLINE=1 in the environment)"
    )
    installing.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object per line for programs: progress, licence (to be accepted), installed, error",
    )
    installing.set_defaults(execute=execute_install)
    return installing


def _add_remove(actions: Actions) -> argparse.ArgumentParser:
    removing = actions.add_parser(
        "remove", help="delete an installed model", description="Delete a model of the user's folder."
    )
    removing.add_argument("model", metavar="ID")
    removing.set_defaults(execute=execute_remove)
    return removing


def _add_check(actions: Actions) -> argparse.ArgumentParser:
    checking = actions.add_parser(
        "check",
        help="check that models are intact and work",
        description="Check that a model, or all, can be read, that the weights fit, that nothing was changed, and "
        "that a synthetic image gives the labels that it gave where the model was made.",
        epilog="exit status: 0 nothing failed, 1 something failed, 2 wrong usage",
    )
    checking.add_argument("model", metavar="ID|FOLDER", nargs="?", help="default: all models")
    checking.add_argument("--json", action="store_true", help="print JSON")
    checking.set_defaults(execute=execute_check)
    return checking


def _add_pack(actions: Actions) -> argparse.ArgumentParser:
    packing = actions.add_parser(
        "pack",
        help="write a model as a zip file for another machine",
        description="Write a model as the zip file that 'cnnseg models install' takes; the same model gives the same "
        "bytes.",
    )
    packing.add_argument("model", metavar="ID|FOLDER")
    packing.add_argument("-o", "--output", metavar="FILE.zip", type=Path, required=True)
    packing.add_argument(
        "--wheels",
        metavar="FOLDER",
        type=Path,
        help="put the wheels in this folder beside the model, for a machine without network; 'pip download cnnseg -d "
        "FOLDER' makes one, and 'install' leaves them out",
    )
    packing.set_defaults(execute=execute_pack)
    return packing


def show_available(*, as_json: bool) -> int:
    """Print what the Model Zoo offers; returns the exit status."""
    from ..engine.store.zoo import zoo_entries, zoo_source

    entries = zoo_entries()
    if as_json:
        print(json.dumps([asdict(entry) for entry in entries], indent=2))
        return DONE
    rows = [
        (e.id, e.version, e.task, e.modality or "any", counted(e.labels), f"{e.status}: {e.reason}".removesuffix(": "))
        for e in entries
    ]
    print(table(rows, ("id", "version", "task", "modality", "structures", "status")))
    print(f"\n{zoo_source()}. What runs is known from the published configs; 'cnnseg models install ID' fetches one.")
    return DONE


def counted(names: Sequence[str]) -> str:
    """How many names there are, and as many of them as a column takes."""
    joined = ", ".join(names)
    short = joined if len(joined) <= NAMES_WIDTH else joined[: NAMES_WIDTH - 3].rstrip(", ") + "..."
    return f"{len(names)}: {short}" if names else "not given"


def execute_install(arguments: argparse.Namespace) -> int:
    """Install; returns the exit status.

    Raises
    ------
    CNNSegError
        See ``engine/store/store.py``; nothing was installed.
    """
    from ..engine.store.downloads import Checksum
    from ..engine.store.store import install

    checksum = Checksum.parse(arguments.checksum) if arguments.checksum else None

    show_licence = _tell_licence if arguments.json else acknowledge
    with _progress(as_json=arguments.json) as progress:
        package = install(
            arguments.source,
            checksum=checksum,
            replace=arguments.replace,
            offline=arguments.offline,
            keep_refused=arguments.keep_refused,
            choice=Choice(arguments.id, arguments.configuration, arguments.checkpoint),
            acknowledge=lambda package, text: show_licence(package, text, accepted=arguments.accept_licence),
            progress=progress,
        )
    if arguments.json:
        about = {"id": package.id, "version": package.version, "title": package.title, "licence": package.licence}
        emit("installed", **about, task=package.task, folder=str(package.folder))
    else:
        print(f"Installed {package.id} {package.version} ({package.licence}) in {package.folder}")
    return DONE


def execute_remove(arguments: argparse.Namespace) -> int:
    """Remove; returns the exit status.

    Raises
    ------
    CNNSegError
        See ``engine/store/store.py``.
    """
    from ..engine.store.store import remove

    print(f"Removed {arguments.model} from {remove(arguments.model)}")
    return DONE


def execute_check(arguments: argparse.Namespace) -> int:
    """Check one model or all; returns the exit status.

    Raises
    ------
        There is no such model.
    """
    from ..engine.store.self_check import Finding, check_model

    found: list[tuple[str, list[Finding]]] = []
    with _progress() as progress:
        found += [(entry.id, check_model(entry, progress)) for entry in _entries(arguments.model)]
    if arguments.json:
        print(
            json.dumps([{"id": name, "findings": [asdict(f) for f in findings]} for name, findings in found], indent=2)
        )
    else:
        rows = [(name, f.question, ANSWERS[f.passed], f.detail) for name, findings in found for f in findings]
        print(table(rows, ("id", "question", "answer", "")))
    failed = any(finding.passed is False for _, findings in found for finding in findings)
    return SOME_FAILED if failed else DONE


def execute_pack(arguments: argparse.Namespace) -> int:
    """Pack; returns the exit status.

    Raises
    ------
    CNNSegError
        See ``engine/store/store.py``; no file was written.
    """
    import hashlib

    from ..engine.store.store import pack_model

    with _progress() as progress:
        pack_model(arguments.model, arguments.output, progress, wheels=arguments.wheels)
    with arguments.output.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    print(f"{arguments.output}\nsha256:{digest}")
    return DONE


@contextmanager
def _progress(*, as_json: bool = False) -> Iterator[Progress]:
    if as_json:
        yield JsonProgress()
        return
    progress = TerminalProgress()
    try:
        yield progress
    finally:
        progress.close()


def _entries(model: str | None) -> list[CatalogueEntry]:
    """The entries to check: all, the one of that id (also a broken one), or that folder."""
    if model is None:
        return list_models()
    named = [entry for entry in list_models() if entry.id == model]
    if named:
        return named
    package = find_model(model)
    return [CatalogueEntry(package.id, package.folder, package)]


def acknowledge(package: ModelPackage, text: str, *, accepted: bool) -> bool:
    """Show the licence, and ask where somebody can answer."""
    sys.stderr.write("".join(f"{line}\n" for line in (f"Licence of {package.id}: {package.licence}", text) if line))
    if accepted or not sys.stdin.isatty():
        return accepted
    sys.stderr.write(f"Do you accept the licence {package.licence}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tell_licence(package: ModelPackage, text: str, *, accepted: bool) -> bool:
    """Tell a program of the licence; it asks its user, and comes again with --accept-licence."""
    emit("licence", id=package.id, title=package.title, licence=package.licence, text=text)
    return accepted
