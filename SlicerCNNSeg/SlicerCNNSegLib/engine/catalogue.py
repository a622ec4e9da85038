"""Which models there are: those shipped inside the module and those in the user's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .errors import ModelError, UnknownModelError
from .package import ModelPackage
from .places import user_models_folder

__all__ = ["EMBEDDED_MODELS", "CatalogueEntry", "find_model", "list_models", "user_models_folder"]

_LIBRARY = Path(__file__).resolve().parents[1]
_INSTALLED_MODELS = _LIBRARY / "models"
"""Where a wheel puts them; the source tree and Slicer keep them in the module's Resources."""

EMBEDDED_MODELS = _INSTALLED_MODELS if _INSTALLED_MODELS.is_dir() else _LIBRARY.parent / "Resources" / "Models"


@dataclass(frozen=True)
class CatalogueEntry:
    """A model folder: readable (``package``) or not (``problem`` says why)."""

    id: str
    folder: Path
    package: ModelPackage | None
    problem: str = ""

    @property
    def installed(self) -> bool:
        """Whether it is the user's own, and not one that came with CNNSeg."""
        return self.folder.parent.resolve() == user_models_folder().resolve()


def list_models() -> list[CatalogueEntry]:
    """Every model folder, the user's own first hiding embedded ones of the same id; sorted by id.

    A folder that cannot be read is listed with the reason, never left out.
    """
    entries: dict[str, CatalogueEntry] = {}
    for root in (EMBEDDED_MODELS, user_models_folder()):
        for folder in sorted(path for path in root.glob("*") if path.is_dir() and not path.name.startswith(".")):
            try:
                package = ModelPackage.read(folder)
                entry = CatalogueEntry(package.id, folder, package)
            except ModelError as error:
                entry = CatalogueEntry(folder.name, folder, None, str(error))
            entries[entry.id] = entry
    return [entries[key] for key in sorted(entries)]


def find_model(id_or_folder: str | Path) -> ModelPackage:
    """The model of that id, or in that folder.

    Raises
    ------
    UnknownModelError
        There is none; the message lists the known ids.
    ModelError
        There is one, but it is broken.
    """
    folder = Path(id_or_folder)
    if (folder / "configs").is_dir():
        return ModelPackage.read(folder)
    entries = list_models()
    for entry in entries:
        if entry.id == str(id_or_folder):
            if entry.package is None:
                raise ModelError(entry.problem)
            return entry.package
    known = ", ".join(entry.id for entry in entries) or "none"
    raise UnknownModelError(
        f"No model {str(id_or_folder)!r}: expected one of {known}, or a folder with configs/metadata.json; "
        "see 'cnnseg models list'."
    )
