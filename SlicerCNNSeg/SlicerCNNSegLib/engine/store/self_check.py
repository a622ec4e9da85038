"""Does an installed model still do what it did where it was made? Asked without any image of a patient.

The trainer leaves ``configs/self_check.json``: a synthetic image as a few numbers, and the labels that the model gave
for it. The same image must give the same labels here, but for voxels on the brink between two classes, which differ
between processors. Of a classifier it holds probabilities: ``class_check.py``; of a detector boxes: ``box_check.py``.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from ..bundles.workflow import load_network
from ..catalogue import CatalogueEntry
from ..eight_bits import without_scales
from ..errors import ModelError, WeightsError
from ..files.atomic import replacing
from ..networks import CLASSIFICATION, DETECTION, build_network
from ..package import OWN_BLOCK, ModelPackage
from ..progress import NoProgress, Progress, SubProgress, advance
from ..run import run
from ..settings import SegmentationSettings
from .box_check import make_box_check, same_boxes
from .class_check import make_class_check, same_probabilities
from .contents import tensor_shapes
from .pattern import FILE, SEEDS, Pattern, pattern_for

BUNDLE, WEIGHTS = "bundle is read", "weights fit the network"
CHECKSUM, LABELS = "checksum", "labels of the synthetic image"
PROBABILITIES = "probabilities of the synthetic image"
BOXES = "boxes in the synthetic image"

AGREEMENT = 0.999
"""Share of voxels that must have the stored label."""

FOREGROUND_DICE = 0.98
"""How well what is labelled must overlap, because a model that finds nothing agrees on most voxels."""


@dataclass(frozen=True)
class Finding:
    """One question to a model: ``passed`` None when it could not be asked, ``detail`` why or with what outcome."""

    question: str
    passed: bool | None
    detail: str


def check_model(entry: CatalogueEntry, progress: Progress | None = None) -> list[Finding]:
    """Ask a model all questions; what cannot be asked after a failure is left out.

    Raises
    ------
    Cancelled
        The user asked to stop.
    """
    progress = progress or NoProgress()
    if entry.package is None:
        return [Finding(BUNDLE, False, entry.problem)]
    package = entry.package
    findings = [Finding(BUNDLE, True, f"{package.id} {package.version}")]
    advance(progress, 0.1, "Checking the weights")
    findings.append(_asked(WEIGHTS, lambda: _weights_fit(package)))
    advance(progress, 0.2, "Checking the checksum")
    findings.append(_asked(CHECKSUM, lambda: _checksum(package)))
    if all(finding.passed is not False for finding in findings):
        share = SubProgress(progress, 0.3, 1.0)
        ask = {CLASSIFICATION: _same_probabilities, DETECTION: _same_boxes}.get(package.task, _same_labels)
        question = {CLASSIFICATION: PROBABILITIES, DETECTION: BOXES}.get(package.task, LABELS)
        findings.append(_asked(question, lambda: ask(package, share)))
    return findings


def make_self_check(package: ModelPackage, progress: Progress | None = None) -> Path:
    """Write ``configs/self_check.json`` into a model's folder: what ``check_model`` will ask.

    Of a few synthetic images it takes the one in which the model labels most; of others see
    ``class_check.py`` and ``box_check.py``.

    Raises
    ------
    CNNSegError
        The model cannot be run, or the folder not be written to.
    """
    progress = progress or NoProgress()
    make = {CLASSIFICATION: make_class_check, DETECTION: make_box_check}.get(package.task)
    if make is not None:
        return make(package, progress)
    best: tuple[int, Pattern, np.ndarray] | None = None
    for number, seed in enumerate(SEEDS):
        pattern = pattern_for(package, seed)
        share = SubProgress(progress, number / len(SEEDS), (number + 1) / len(SEEDS))
        labelmap = _labelmap(package, pattern, share)
        count = int(np.count_nonzero(labelmap))
        if best is None or count > best[0]:
            best = count, pattern, labelmap
    assert best is not None  # there are seeds
    _, pattern, labelmap = best
    stored = base64.b64encode(zlib.compress(labelmap.astype("<u2").tobytes(), 9)).decode("ascii")
    with replacing(package.folder / FILE) as temporary:
        text = json.dumps({"image": pattern.to_json(), "labels": stored}, indent=2)
        temporary.write_text(text + "\n", encoding="utf-8")
    return package.folder / FILE


def _asked(question: str, ask: Callable[[], Finding]) -> Finding:
    try:
        return ask()
    except ModelError as error:
        return Finding(question, False, str(error))


def _weights_fit(package: ModelPackage) -> Finding:
    """Compare the names and shapes in the weights' headers with those of the network, which takes no memory.

    The weights of a bundle that others made are loaded, into the network that its config makes.
    """
    if package.bundle is not None:
        loaded, notes = load_network(package, torch.device("cpu"))
        return Finding(WEIGHTS, True, " ".join([f"1 file(s), {len(loaded.state_dict())} tensors each", *notes]))
    with _WithoutMemory():
        try:
            network = build_network(package.inference["network_def"])
        except KeyError as error:
            raise ModelError(f"The model {package.id} lacks {error} in configs/inference.json.") from error
        except (RuntimeError, MemoryError, OverflowError, ImportError) as error:
            raise ModelError(f"The network of {package.id} cannot be built: {error}") from error
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict(keep_vars=True).items()}
    shared = _shared_names(network)
    for path in package.weights_files:
        stored = without_scales(tensor_shapes(path))
        present = set(stored) | {twin for name in stored for twin in shared.get(name, ())}
        wrong = sorted((set(own) - present) | (set(stored) - set(own)))
        wrong += sorted(name for name in set(own) & set(stored) if own[name] != stored[name])
        if wrong:
            raise WeightsError(
                f"The weights {path.name} don't fit their network: {len(wrong)} tensors are missing, unexpected or of "
                f"another shape (first: {wrong[0]!a}); get the model anew."
            )
    return Finding(WEIGHTS, True, f"{len(package.weights_files)} file(s), {len(own)} tensors each")


def _shared_names(network: torch.nn.Module) -> dict[str, tuple[str, ...]]:
    """The names of each tensor that has several (as in MONAI's DynUNet): a file holds it under one of them."""
    names: dict[int, list[str]] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        names.setdefault(id(tensor), []).append(name)
    return {name: tuple(twins) for twins in names.values() for name in twins}


class _WithoutMemory(TorchFunctionMode):
    """Parameters get shapes and no memory, so that a configuration's absurd sizes cost nothing.

    Not simply ``torch.device("meta")``: networks compute a few numbers with small tensors while they are built.
    """

    FILLED = frozenset({torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self.FILLED:
            kwargs = {**(kwargs or {}), "device": "meta"}
        return func(*args, **(kwargs or {}))


def _checksum(package: ModelPackage) -> Finding:
    metadata = json.loads((package.folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
    given = metadata.get(OWN_BLOCK, {}).get("sha256")
    if given is None:
        return Finding(CHECKSUM, None, "configs/metadata.json gives none")
    if given != package.sha256:
        raise ModelError(
            f"The model {package.id} should have the checksum {given}, but has {package.sha256}; its configuration or "
            "weights were changed: get it anew."
        )
    return Finding(CHECKSUM, True, package.sha256)


def _same_probabilities(package: ModelPackage, progress: Progress) -> Finding:
    return Finding(PROBABILITIES, *same_probabilities(package, progress))


def _same_boxes(package: ModelPackage, progress: Progress) -> Finding:
    return Finding(BOXES, *same_boxes(package, progress))


def _same_labels(package: ModelPackage, progress: Progress) -> Finding:
    if not (package.folder / FILE).is_file():
        return Finding(LABELS, None, f"the model has no {FILE.as_posix()}")
    pattern, expected = _read_self_check(package.folder / FILE)
    found = _labelmap(package, pattern, progress)
    agreement = float(np.mean(found == expected))
    labelled = np.count_nonzero(found) + np.count_nonzero(expected)
    same = np.count_nonzero((found == expected) & (found > 0))
    dice = 2 * same / labelled if labelled else 1.0
    detail = f"{agreement:.4%} of voxels agree, Dice of what is labelled {dice:.4f}"
    return Finding(LABELS, bool(agreement >= AGREEMENT and dice >= FOREGROUND_DICE), detail)


def _read_self_check(path: Path) -> tuple[Pattern, np.ndarray]:
    """The stored image, and its labels, shape (k, j, i)."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        pattern = Pattern.from_json(data["image"])
        size = int(np.prod(pattern.size_ijk))
        packed = zlib.decompressobj()
        plain = packed.decompress(base64.b64decode(data["labels"], validate=True), 2 * size + 1)
        labels = np.frombuffer(plain, "<u2").reshape(tuple(reversed(pattern.size_ijk)))
    except (OSError, KeyError, TypeError, ValueError, RecursionError, zlib.error) as error:
        raise ModelError(f"{FILE.as_posix()} cannot be read ({error}); get the model anew.") from error
    return pattern, labels


def _labelmap(package: ModelPackage, pattern: Pattern, progress: Progress) -> np.ndarray:
    """What the model gives for the image, on the CPU in full precision, shape (k, j, i)."""
    settings = SegmentationSettings(model=str(package.folder), device="cpu", precision="fp32", force=True)
    return np.asarray(run(settings, pattern.volumes(package), progress).labelmap)
