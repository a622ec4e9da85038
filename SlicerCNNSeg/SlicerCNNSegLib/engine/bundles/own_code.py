"""A trusted bundle's config, read by MONAI's own ``ConfigParser``: its expressions and its code run.

Nothing comes here but what the bundle's user has trusted, with the checksum of all of its files.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from ..configs.components import FileStep
from ..configs.reading import read_config
from ..configs.resolving import TARGET
from ..errors import CNNSegError, ModelError
from .faults import reason_of
from .names import IDLE
from .trust import trusted_sha256

FILE_STEP = f"{FileStep.__module__}.{FileStep.__qualname__}"


class TrustedReader:
    """Gives the values of a trusted bundle's config by id, as ``ConfigReader`` does of others.

    Raises
    ------
    ModelError
        The bundle is not trusted, or was changed since.
    """

    def __init__(self, folder: Path, config: Path, sha256: str, given: dict[str, Any]) -> None:
        if trusted_sha256(folder) != sha256:
            raise ModelError(
                f"The bundle {folder.name} was changed after it was trusted; look at what was changed, and trust it "
                f"again with 'cnnseg models trust {folder.name}'."
            )
        self._folder = folder
        self._parser = ConfigParser(config=_without_files(read_config(config, folder.name)))
        for at, value in given.items():
            self._parser[at] = value

    def __contains__(self, at: str) -> bool:
        """Whether something stands at an id."""
        return at in self._parser

    def get(self, at: str) -> Any:
        """The value at an id; the bundle's code runs.

        Raises
        ------
        ModelError
            It fails.
        """
        try:
            with _importable(self._folder):
                return self._parser.get_parsed_content(at)
        except CNNSegError:
            raise
        except Exception as error:
            raise ModelError(f"The trusted bundle {self._folder.name} fails in {at!r}: {reason_of(error)}.") from error


def _without_files(value: Any) -> Any:
    """The config with steps that hand on what they get, where the run does the reading and writing."""
    if isinstance(value, list):
        return [_without_files(item) for item in value]
    if not isinstance(value, dict):
        return value
    name = str(value.get(TARGET, "")).rpartition(".")[2]
    if name in IDLE and "_disabled_" not in value:
        return {TARGET: FILE_STEP, "name": name}
    return {key: _without_files(item) for key, item in value.items()}


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """A bundle's ``scripts`` can be imported, and leave neither their name nor files behind."""
    before, bytecode = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = bytecode
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).resolve().is_relative_to(folder.resolve()):
                del sys.modules[name]
