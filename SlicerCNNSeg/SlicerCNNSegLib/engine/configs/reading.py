"""Config files to plain data: dicts, lists, texts, numbers, truth values and None; nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .limits import MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, Budget, Place, check_size

SUFFIXES = (".json", ".yaml", ".yml")


def read_config(path: Path | str, bundle: str = "") -> dict[str, Any]:
    """Read one config file.

    Parameters
    ----------
    path:
        A ``.json``, ``.yaml`` or ``.yml`` file.
    bundle:
        The bundle's name for messages; the folder above ``configs`` when not given.

    Raises
    ------
    ConfigError
        The file is missing, too large, too deep, no valid JSON or YAML, or holds more than data; or
        it is YAML and PyYAML is not installed.
    """
    path = Path(path)
    place = Place(bundle or path.absolute().parent.parent.name, path.name)
    if path.suffix.lower() not in SUFFIXES:
        raise place.fault(f"expected a file that ends with {', '.join(SUFFIXES)}, got {path.name}")
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise place.fault(f"cannot be read ({error})") from error
    except UnicodeDecodeError as error:
        raise place.fault(f"is no UTF-8 text ({error})") from error
    if len(data) > MAX_FILE_BYTES:
        raise place.fault(f"larger than {MAX_FILE_BYTES} bytes, which no config needs")
    return parse_config(text, place, yaml=path.suffix.lower() != ".json")


def parse_config(text: str, place: Place, *, yaml: bool = False) -> dict[str, Any]:
    """The data of a config's text; see ``read_config``."""
    config = _parse_yaml(text, place) if yaml else _parse_json(text, place)
    if not isinstance(config, dict):
        raise place.fault(f"expected an object with names and values, got {type(config).__name__}")

    def check_leaf(value: Any) -> None:
        if not (value is None or isinstance(value, str | int | float)):
            raise place.fault(f"a value of type {type(value).__name__}; a config holds texts, numbers and lists")

    check_size(config, Budget(), place, check_leaf)
    return config


def _parse_json(text: str, place: Place) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1)
            raise place.fault(f"the name {twice!r} stands twice in one object; remove one")
        return found

    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError as error:
        raise place.fault(f"nested more than {MAX_DEPTH} deep") from error
    except ValueError as error:
        raise place.fault(f"no valid JSON ({error})") from error


def _parse_yaml(text: str, place: Place) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise ConfigError(
            f"The bundle {place.bundle} has a YAML config ({place.id}), and PyYAML is not installed; "
            "install it (pip install pyyaml)."
        ) from error
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_yaml_events(yaml, yaml.parse(text, Loader=loader), place)
        return yaml.load(text, Loader=loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise place.fault(f"no YAML of plain data ({' '.join(str(error).split())})") from error


def _check_yaml_events(yaml: Any, events: Any, place: Place) -> None:
    """Refuse, before anything is built, what makes YAML more than JSON: aliases, tags, and any depth."""
    depth = 0
    for count, event in enumerate(events):
        if isinstance(event, yaml.AliasEvent):
            raise place.fault(f"the YAML alias *{event.anchor}; write the value out, or use an @ reference")
        if getattr(event, "tag", None):
            raise place.fault(f"the YAML tag {event.tag}; only plain values are read")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise place.fault(f"nested more than {MAX_DEPTH} deep")
        if count > 3 * MAX_NODES:
            raise place.fault(f"more than {MAX_NODES} values")
