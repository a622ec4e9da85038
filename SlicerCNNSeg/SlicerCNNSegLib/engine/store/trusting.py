"""Trust in a bundle whose config is refused: given by its user alone, and taken back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..bundles.reading import look_through
from ..bundles.trust import record_trust, withdraw_trust
from ..errors import ConfigError, SettingsError
from ..package import ModelPackage
from ..places import user_models_folder
from .store import entry_of

CODE_SUFFIXES = (".py", ".pyc", ".so", ".pyd", ".dll", ".dylib")

Confirm = Callable[[ModelPackage, str, list[Path]], bool]
"""Shows a model, why it is refused and its files of code, and says whether the user trusts it."""


def trust(model: str, confirm: Confirm) -> ModelPackage:
    """Let a model of the user's folder run the code that its config asks for, as it is now.

    Raises
    ------
    UnknownModelError
        There is no model of that id.
    SettingsError
        It is not in the user's folder, runs without trust, or the user did not confirm.
    ModelError
        It is broken, which trust does not mend.
    OutputError
        The record cannot be written.
    """
    entry = entry_of(model)
    if entry.folder.resolve().parent != user_models_folder().resolve():
        raise SettingsError(f"The model {entry.id} is not in {user_models_folder()}; install it there before.")
    package = ModelPackage.read(entry.folder, refused=True)
    reason = "" if package.bundle is None else _refusal(package)
    if not reason:
        raise SettingsError(f"The model {entry.id} runs without code of its own; it needs no trust.")
    code = sorted(path for path in entry.folder.rglob("*") if path.suffix.lower() in CODE_SUFFIXES)
    if not confirm(package, reason, code):
        raise SettingsError(f"The model {entry.id} was not trusted; nothing was changed.")
    record_trust(package.id, package.sha256)
    return package


def untrust(model: str) -> None:
    """Take trust back.

    Raises
    ------
    SettingsError
        The model was not trusted.
    OutputError
        The record cannot be written.
    """
    if not withdraw_trust(model):
        raise SettingsError(f"The model {model!r} is not among those that were trusted; nothing was changed.")


def _refusal(package: ModelPackage) -> str:
    """Why the config is refused; "" when it is not."""
    try:
        look_through(package.folder, flat=False, task=package.task)
    except ConfigError as error:
        return str(error)
    return ""
