"""``cnnseg models``: which models there are, what each is, and (``models_store.py``) the user's own."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from ..engine.catalogue import CatalogueEntry, find_model, list_models, user_models_folder
from ..engine.package import ModelPackage
from ..engine.wording import printable
from . import models_import, models_store, models_trust
from .status import DONE
from .terminal import table


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser], words: str) -> None:
    """Add ``models`` with its actions."""
    parser = subparsers.add_parser(
        "models",
        help=words,
        description="List and show models; install, remove, check and pack the user's own.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list", help="list all models", description="List all models, also those that cannot be used."
    )
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.add_argument(
        "--available", action="store_true", help="list what MONAI's Model Zoo offers, from a list that is shipped"
    )
    listing.set_defaults(execute=execute_list)
    showing = actions.add_parser("show", help="show one model", description="Show all that is known of one model.")
    showing.add_argument("model", metavar="ID|FOLDER")
    showing.add_argument("--json", action="store_true", help="print JSON")
    showing.set_defaults(execute=execute_show)
    others = (*models_store.add_parsers(actions), models_import.add_parser(actions), *models_trust.add_parsers(actions))
    for one in (listing, showing, *others):
        one.add_argument("--debug", action="store_true", help="show the traceback of errors")


def execute_list(arguments: argparse.Namespace) -> int:
    """Print all models, or those of the Model Zoo; returns the exit status."""
    if arguments.available:
        return models_store.show_available(as_json=arguments.json)
    entries = list_models()
    if arguments.json:
        print(json.dumps([_entry_json(entry) for entry in entries], indent=2))
        return DONE
    good = [entry.package for entry in entries if entry.package]
    if good:
        header = ("id", "task", "modality", "structures", "MB", "licence")
        print(table([_row(package) for package in good], header))
    else:
        print(f"There is no model; put model folders into {user_models_folder()}.")
    for entry in entries:
        if entry.package is None:
            print(printable(f"{entry.id}: cannot be used: {entry.problem}"))
    return DONE


def execute_show(arguments: argparse.Namespace) -> int:
    """Print one model; returns the exit status.

    Raises
    ------
    UnknownModelError
        There is no such model.
    ModelError
        It is broken.
    """
    package = find_model(arguments.model)
    if arguments.json:
        print(json.dumps(_package_json(package), indent=2))
        return DONE
    print(printable(f"{package.id} {package.version}: {package.title}\n\n{package.description}\n"))
    facts = {
        "task": package.task,
        "licence": package.licence,
        "training data": package.training_data,
        "intended use": package.intended_use,
        "weights": f"{len(package.weights_files)} file(s), {_megabytes(package)} MB, SHA-256 {package.sha256}",
        "folder": package.folder,
        "model card": _card(package) or "none",
    }
    print("\n".join(printable(f"{name + ':':<15}{value}") for name, value in facts.items()))
    print(
        "\n"
        + table([(c.name, c.modality or "any", c.description) for c in package.channels], ("channel", "modality", ""))
    )
    if package.classes:
        print("\n" + table([(x.name, str(x.code or "")) for x in package.classes], ("class", "code")))
    else:
        codes = [(x.value, x.name, str(x.type or ""), str(x.modifier or "")) for x in package.labels]
        print("\n" + table(codes, ("value", "structure", "code", "modifier")))
    if package.metrics:
        print("\n" + table(list(_flat(package.metrics).items()), ("metric", "value")))
    return DONE


def _row(package: ModelPackage) -> tuple[object, ...]:
    structures = models_store.counted([one.name for one in package.classes or package.labels])
    return package.id, package.task, package.modality or "any", structures, _megabytes(package), package.licence


def _megabytes(package: ModelPackage) -> float:
    return round(package.size_bytes / 1e6, 1)


def _card(package: ModelPackage) -> str:
    path = package.folder / "README.md"
    return str(path) if path.is_file() else ""


def _flat(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Nested metrics with dotted names."""
    flat: dict[str, object] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _entry_json(entry: CatalogueEntry) -> dict[str, object]:
    if entry.package is None:
        return {"id": entry.id, "folder": str(entry.folder), "problem": entry.problem}
    return _package_json(entry.package)


def _package_json(package: ModelPackage) -> dict[str, object]:
    return {
        "id": package.id,
        "version": package.version,
        "title": package.title,
        "description": package.description,
        "task": package.task,
        "channels": [vars(channel) for channel in package.channels],
        "labels": [label.to_json() for label in package.labels],
        "classes": [one.to_json() for one in package.classes],
        "licence": package.licence,
        "training_data": package.training_data,
        "intended_use": package.intended_use,
        "metrics": dict(package.metrics),
        "size_bytes": package.size_bytes,
        "folder": str(package.folder),
        "card": _card(package),
    }
