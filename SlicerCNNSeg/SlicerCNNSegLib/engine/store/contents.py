"""What an unpacked model must be like, before it takes its place: read as data, nothing is loaded or run."""

from __future__ import annotations

import re
import struct
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import WeightsError
from ..files.paths import safe_name
from ..package import ModelPackage, is_foreign
from .members import MIB, refusal, shown
from .torch_files import check_torch_file

TORCH_SUFFIXES = (".pt", ".pth")
"""Weights of bundles that others made; ``torch_files`` looks into them."""

RUNNABLE_SUFFIXES = (".pt", ".pth", ".ckpt", ".ts", ".bin", ".pkl", ".pickle", ".joblib", ".npy", ".npz")
"""Forms of weights and arrays that can carry code (pickles, TorchScript)."""

LARGEST_HEADER = 4 * MIB
"""Bytes of a safetensors header: room for 30 000 tensors."""

MOST_AXES = 16
"""Of a tensor; an axis takes two bytes of a header, and much more in memory."""

LONGEST_TEXT = 200_000
CARD = "model card"
ACTIVE_HTML = re.compile(
    r"<\s*(?:script|iframe|object|embed|svg|link|meta|base|form|style)\b|javascript:", re.IGNORECASE
)
"""What no model card needs; no part of CNNSeg renders one, other programs may."""

ANY_HTML = re.compile(r"<\s*[a-z/!][^>]*>", re.IGNORECASE)
"""What no name or description needs; Qt would render it in a tool tip, and read the files that it names."""


def bundle_root(folder: Path, source: str) -> Path:
    """The folder of the bundle in what was unpacked: that folder itself, or the only one in it that has a bundle.

    Raises
    ------
    ArchiveError
        There is none, or there are several.
    """
    roots = [path for path in (folder, *sorted(folder.iterdir())) if (path / "configs" / "metadata.json").is_file()]
    if len(roots) != 1:
        raise refusal(source, f"expected one model with configs/metadata.json, found {len(roots)}")
    return roots[0]


def leave_out_unread(root: Path) -> None:
    """Remove from a bundle that others made what is never read and could run code: TorchScript beside the weights."""
    if is_foreign(root):
        for path in _runnable(root):
            if path.is_file() and not _holds_tensors(path, root):
                path.unlink()


def check_contents(root: Path, source: str, *, keep_refused: bool = False) -> ModelPackage:
    """Read an unpacked model and see that nothing in it can do harm.

    Parameters
    ----------
    keep_refused:
        Also one that others made and whose config is refused; it lies there, and cannot be run.

    Raises
    ------
    ArchiveError
        It holds a form of weights that can run code, an id that is no file name, or texts with control characters or
        HTML.
    WeightsError
        A weights file is damaged or declares impossible sizes.
    ModelError
        The bundle cannot be read.
    """
    foreign = is_foreign(root)
    for path in _runnable(root):
        if foreign and _holds_tensors(path, root):
            check_torch_file(path)
        else:
            name = shown(path.relative_to(root).as_posix())
            raise refusal(
                source,
                f"{name} is a form of weights that can run code; only safetensors are read, and models/*.pt of bundles",
            )
    for path in sorted((root / "models").rglob("*.safetensors")):
        tensor_shapes(path)
    package = ModelPackage.read(root, refused=keep_refused)
    if safe_name(package.id) != package.id:
        raise refusal(source, f"its id {shown(package.id)} is no plain name of letters, digits, - and _")
    for where, text in _texts(package):
        fault = _fault_of_text(text, ACTIVE_HTML if where == CARD else ANY_HTML)
        if fault:
            raise refusal(source, f"its {where} {fault}")
    return package


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor in a safetensors file, by its header alone; no torch.

    Raises
    ------
    WeightsError
        The file is no safetensors file, is truncated, or its header declares what is not there.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with path.open("rb") as stream:
            start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(LARGEST_HEADER, path.stat().st_size - 8):
            raise WeightsError(
                f"The weights {path.name} are no safetensors file, or a damaged one (a header of {length} bytes in a "
                f"file of {path.stat().st_size}); get the model anew."
            )
        with safe_open(path, "numpy") as tensors:
            shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"The weights {path.name} cannot be read ({error}); get the model anew.") from error
    axes = max(map(len, shapes.values()), default=0)
    if axes > MOST_AXES:
        raise WeightsError(
            f"The weights {path.name} have a tensor of {axes} axes, over {MOST_AXES}; get the model anew."
        )
    return shapes


def _runnable(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.suffix.lower() in RUNNABLE_SUFFIXES)


def _holds_tensors(path: Path, root: Path) -> bool:
    """Whether a file is one of those that are read as weights, if it is what it says."""
    return path.suffix.lower() in TORCH_SUFFIXES and path.parent == root / "models"


def _texts(package: ModelPackage) -> Iterator[tuple[str, str]]:
    """Every text of a model that a terminal or a panel may show, with where it stands."""
    for name in ("id", "version", "title", "description", "licence", "training_data", "intended_use"):
        yield name, getattr(package, name)
    for channel in package.channels:
        for text in (channel.name, channel.modality, channel.description):
            yield "channels", text
    for label in package.labels:
        yield "labels", label.name
        for code in (label.category, label.type, label.modifier, label.region, label.region_modifier):
            yield "labels", str(code or "")
    for one in package.classes:
        yield "classes", one.name
        yield "classes", str(one.code or "")
    yield from (("metrics", text) for text in _strings(package.metrics))
    card = package.folder / "README.md"
    if card.is_file():
        with card.open("rb") as stream:  # a character takes at most four bytes: what is longer is seen to be so
            yield CARD, stream.read(4 * LONGEST_TEXT + 4).decode("utf-8", "replace")


def _strings(data: Any) -> Iterator[str]:
    """Every text in plain data; with a list of what is left, because the data may be nested deeper than calls can."""
    left = [data]
    while left:
        data = left.pop()
        if isinstance(data, Mapping):
            left += [*data.keys(), *data.values()]
        elif isinstance(data, list):
            left += data
        elif isinstance(data, str):
            yield data


def _fault_of_text(text: str, html: re.Pattern[str]) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in "\n\r\t" for character in text):
        return "has control characters"
    match = html.search(text)
    if match:
        return f"has HTML ({shown(match[0])})"
    return f"has over {LONGEST_TEXT} characters" if len(text) > LONGEST_TEXT else ""
