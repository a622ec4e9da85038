"""Installing, removing and packing models of the user's folder."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ..catalogue import CatalogueEntry, find_model, list_models, user_models_folder
from ..errors import DownloadError, LicenceError, ModelError, OutputError, SettingsError, UnknownModelError
from ..files.paths import safe_name
from ..nnunet.reading import Choice, trained_models
from ..package import ModelPackage
from ..progress import NoProgress, Progress, SubProgress
from .archives import pack, unpack
from .contents import bundle_root, check_contents, leave_out_unread
from .downloads import OFFLINE, Checksum, download, is_offline
from .licences import is_permissive
from .wheels import wheels_in
from .zoo import REFUSED, WITH_TRUST, zoo_entries

Acknowledge = Callable[[ModelPackage, str], bool]
"""Shows a model's licence (its text, or "" when the model has none) and says whether the user accepts it."""

LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "data_license.txt")
LICENCE_BYTES = 100_000
DOWNLOADS = ".downloads"


def install(
    source: str | Path,
    *,
    checksum: Checksum | None = None,
    replace: bool = False,
    offline: bool = False,
    keep_refused: bool = False,
    choice: Choice | None = None,
    acknowledge: Acknowledge | None = None,
    progress: Progress | None = None,
) -> ModelPackage:
    """Put a model into the user's folder.

    It is fetched when ``source`` is an address, verified, unpacked beside its place with every member checked, read,
    and takes its place by one rename: it is there whole or not at all.

    Parameters
    ----------
    source:
        A zip or tar file, a folder, an http(s) address, or the id of a bundle of MONAI's Model Zoo. What nnU-Net v2
        trained is turned into a model folder of our own form (``nnunet/importing.py``).
    checksum:
        What the file must have; an address needs one.
    replace:
        Take the place of a model of that id; the old one stays until the new one is there.
    offline:
        Never use the network, as under ``CNNSEG_OFFLINE``.
    keep_refused:
        Install a bundle that others made also when its config is refused: it is listed with the reason, and can be
        trusted (``trusting.py``).
    choice:
        Id and configuration of what nnU-Net trained, where there is a choice.
    acknowledge:
        Asked when the licence is not a permissive one; None accepts none of those.

    Raises
    ------
    SettingsError
        A bundle of the Model Zoo that cannot be run; the address has no checksum; a folder cannot have one; the
        model is there already; LicenceError when the licence was not accepted.
    ArchiveError, ModelError, WeightsError
        The model is not safe to install, or broken.
    DownloadError, FileReadError, OutputError, Cancelled
        As they say; nothing was installed.
    """
    progress = progress or NoProgress()
    store = user_models_folder()
    source, checksum = _published(str(source), checksum, keep_refused)
    fetched = _verified(source, store, checksum, offline, SubProgress(progress, 0.0, 0.7))
    with _staging(store) as staging:
        try:
            share = SubProgress(progress, 0.7 if fetched else 0.0, 0.95)
            root = _model_in(fetched or Path(source), str(source), staging, choice, share)
            package = check_contents(root, str(source), keep_refused=keep_refused)
        except ModelError:
            if fetched:  # another try would be refused as well
                fetched.unlink()
            raise
        target = _free_place(store, package, replace)
        _ask_for_licence(package, root, acknowledge)
        _place(root, target)
    if fetched:
        fetched.unlink()
    progress.report(1.0, "Installed")
    return ModelPackage.read(target, refused=keep_refused)


def _model_in(path: Path, source: str, staging: Path, choice: Choice | None, progress: Progress) -> Path:
    """The model folder in a file or folder, copied below ``staging``; what nnU-Net trained is turned into one."""
    trained = trained_models(path) if path.is_dir() else []  # read where it lies: there are large files beside
    if not trained:
        unpacked = staging / _name_of(source)
        unpacked.mkdir()
        unpack(path, unpacked, SubProgress(progress, 0.0, 0.5))
        trained = trained_models(unpacked)
    if trained:
        from ..nnunet.importing import import_trained

        return import_trained(trained, staging / "imported", choice or Choice(), SubProgress(progress, 0.5, 1.0))
    if choice not in (None, Choice()):
        raise SettingsError(f"{source} holds no folder that nnU-Net v2 trained; there is nothing to choose.")
    root = bundle_root(unpacked, source)
    leave_out_unread(root)
    return root


def _published(source: str, checksum: Checksum | None, keep_refused: bool) -> tuple[str, Checksum | None]:
    """Address and checksum of the Model Zoo's bundle of that id, or what was given."""
    entry = next((entry for entry in zoo_entries() if entry.id == source), None)
    if entry is None or Path(source).exists():
        return source, checksum
    if entry.status == REFUSED:
        raise SettingsError(f"The Model Zoo's {entry.id} cannot be run here ({entry.reason}); choose another model.")
    if entry.status == WITH_TRUST and not keep_refused:
        raise SettingsError(
            f"The Model Zoo's {entry.id} runs when it is trusted alone ({entry.reason}); install it with "
            "--keep-refused, read its code, and see 'cnnseg models trust --help'."
        )
    return entry.url, checksum or Checksum("sha1", entry.sha1)


def _verified(source: str, store: Path, checksum: Checksum | None, offline: bool, progress: Progress) -> Path | None:
    """See that the source is what its checksum says; the file that an address was fetched into."""
    if source.lower().startswith(("http://", "https://")):
        if checksum is None:
            raise SettingsError(f"Give the published checksum of {source} with --checksum sha256:HEX.")
        if offline or is_offline():
            raise DownloadError(
                f"{source} is not fetched: the network is forbidden ({OFFLINE}, --offline); give a file."
            )
        return download(source, store / DOWNLOADS, checksum, progress)
    if checksum is not None:
        if not Path(source).is_file():
            raise SettingsError(f"Expected a file to verify the checksum of, got {source}.")
        checksum.verify(Path(source))
    return None


def _name_of(source: str) -> str:
    """The name of a source, as published: without version and suffix. A bundle that others made has no other id."""
    name = re.sub(
        r"(\.zip|\.tar|\.tar\.gz|\.tgz)$", "", PurePosixPath(source.replace("\\", "/")).name.partition("?")[0]
    )
    return safe_name(re.sub(r"_v\d+(\.\d+)*$", "", name))


def remove(model: str) -> Path:
    """Delete a model of the user's folder, also a broken one; returns where it was.

    Raises
    ------
    UnknownModelError
        There is no model of that id.
    SettingsError
        It is a model that came with CNNSeg.
    OutputError
        It cannot be deleted.
    """
    entry = entry_of(model)
    store = user_models_folder()
    if not entry.installed:
        raise SettingsError(f"The model {entry.id} came with CNNSeg and stays; models in {store} can be removed.")
    try:
        if entry.folder.is_symlink():  # somebody's own folder, linked in: only the link is ours
            entry.folder.unlink()
            return entry.folder
        grave = entry.folder.rename(store / f".removed-{secrets.token_hex(4)}")
        shutil.rmtree(grave)
    except OSError as error:
        raise OutputError(f"Cannot remove {entry.folder}: {error.strerror or error}.") from error
    return entry.folder


def pack_model(model: str, path: Path, progress: Progress | None = None, *, wheels: Path | None = None) -> ModelPackage:
    """Write a model as the zip file that ``install`` takes; the same model gives the same bytes.

    Parameters
    ----------
    wheels:
        A folder of wheels to be packed beside the model (``wheels.py``); ``install`` leaves them out.

    Raises
    ------
    UnknownModelError, ModelError, ArchiveError
        There is none, it is broken, or it holds what cannot be installed.
    OutputError, SettingsError
        The place cannot be written to, or the name does not end in .zip; what is given as wheels are none.
    """
    if path.suffix.lower() != ".zip":
        raise SettingsError(f"Expected a file name that ends in .zip, got {path}.")
    package = find_model(model)
    beside = wheels_in(wheels) if wheels else {}
    check_contents(package.folder, package.id)
    pack(package.folder, path, package.id, progress or NoProgress(), beside)
    return package


def entry_of(model: str) -> CatalogueEntry:
    """What the list has under an id, also a model that cannot be used.

    Raises
    ------
    UnknownModelError
        Nothing.
    """
    entries = list_models()
    for entry in entries:
        if entry.id == model:
            return entry
    known = ", ".join(entry.id for entry in entries) or "none"
    raise UnknownModelError(f"No model {model!r}: expected one of {known}; see 'cnnseg models list'.")


def _free_place(store: Path, package: ModelPackage, replace: bool) -> Path:
    """Where the model goes: its id's folder, or the one that the user's model of that id has."""
    same = next((entry.folder for entry in list_models() if entry.id == package.id), None)
    in_store = same is not None and same.parent.resolve() == store.resolve()
    target = same if same is not None and in_store else store / package.id
    if (same or target.exists()) and not replace:
        where = same or target
        raise SettingsError(f"The model {package.id} is there already ({where}); install with --replace to replace it.")
    return target


def _ask_for_licence(package: ModelPackage, root: Path, acknowledge: Acknowledge | None) -> None:
    """See that a licence is a permissive one, or accepted."""
    if not is_permissive(package.licence) and not (acknowledge and acknowledge(package, _licence_text(root))):
        raise LicenceError(
            f"The model {package.id} has the licence {package.licence!r}; read it, and accept it with --accept-licence."
        )


def _licence_text(root: Path) -> str:
    """The licence files of a model, without control characters."""
    texts = []
    for name in LICENCE_FILES:
        if (root / name).is_file():
            with (root / name).open("rb") as stream:
                text = stream.read(LICENCE_BYTES).decode("utf-8", "replace")
            texts.append("".join(c for c in text if c.isprintable() or c in "\n\t"))
    return "\n\n".join(texts)


@contextmanager
def _staging(store: Path) -> Iterator[Path]:
    """A folder beside the models, hidden from their list, that goes whatever happens."""
    folder = store / f".installing-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"Cannot write to {store}: {error.strerror or error}.") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _place(root: Path, target: Path) -> None:
    """Rename a checked model into its place; what was there goes only when that has succeeded."""
    old = target.with_name(f".replaced-{secrets.token_hex(4)}")
    try:
        if target.exists() or target.is_symlink():
            target.rename(old)
        try:
            root.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
    except OSError as error:
        raise OutputError(f"Cannot put the model into {target}: {error.strerror or error}.") from error
    if old.is_symlink():
        old.unlink()
    else:
        shutil.rmtree(old, ignore_errors=True)
