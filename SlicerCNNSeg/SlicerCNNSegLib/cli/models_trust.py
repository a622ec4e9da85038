"""``cnnseg models trust`` and ``untrust``: bundles that run code of their own, by their user's word."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..engine.package import ModelPackage
from ..engine.wording import printable
from .status import DONE

TRUST_EPILOG = """\
A model's configuration is data here, and what it asks for beyond a list of harmless things is refused: 'cnnseg models
list' says what that is. Trust lets it run all the same, with everything that you may do on this machine, as long as
none of its files changes. Read its code before, and trust only whom you know.
"""


def add_parsers(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> list[argparse.ArgumentParser]:
    """Add the two actions; their parsers."""
    trusting = actions.add_parser(
        "trust",
        help="let an installed model run code of its own",
        description="Let an installed model, whose configuration is refused, run code of its own.",
        epilog=TRUST_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    trusting.add_argument("model", metavar="ID")
    trusting.add_argument("--yes", action="store_true", help="trust it without a question")
    trusting.set_defaults(execute=execute_trust)
    untrusting = actions.add_parser(
        "untrust", help="take that back", description="Take back the trust in an installed model."
    )
    untrusting.add_argument("model", metavar="ID")
    untrusting.set_defaults(execute=execute_untrust)
    return [trusting, untrusting]


def execute_trust(arguments: argparse.Namespace) -> int:
    """Trust a model; returns the exit status.

    Raises
    ------
    CNNSegError
        See ``engine/store/trusting.py``; nothing was changed.
    """
    from ..engine.store.trusting import trust

    package = trust(arguments.model, lambda *shown: _confirm(*shown, accepted=arguments.yes))
    print(f"Trusted {package.id} {package.version} as it is now (SHA-256 {package.sha256})")
    return DONE


def execute_untrust(arguments: argparse.Namespace) -> int:
    """Take trust back; returns the exit status.

    Raises
    ------
    CNNSegError
        See ``engine/store/trusting.py``; nothing was changed.
    """
    from ..engine.store.trusting import untrust

    untrust(arguments.model)
    print(f"{printable(arguments.model)} is not trusted any more")
    return DONE


def _confirm(package: ModelPackage, reason: str, code: list[Path], *, accepted: bool) -> bool:
    """Show what is trusted, and ask where somebody can answer."""
    files = [str(path.relative_to(package.folder)) for path in code] or ["none; the code is in the configuration"]
    lines = [f"{package.id} {package.version} in {package.folder}", reason, "Files with code:", *files]
    sys.stderr.write("".join(f"{printable(line)}\n" for line in lines))
    if accepted or not sys.stdin.isatty():
        return accepted
    sys.stderr.write("Its code will run with everything that you may do on this machine. Type its id to trust it: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == package.id
