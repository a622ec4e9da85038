"""Does an installed model still do what it did where it was made? Asked without any image of a patient.

The trainer leaves ``configs/self_check.json``: a synthetic image as a few numbers, and the labels that the model gave
for it. The same image must give the same labels here, but for voxels on the brink between two classes, which differ
between processors.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from ..bundles.workflow import load_network
from ..catalogue import CatalogueEntry
from ..errors import ModelError, WeightsError
from ..files.atomic import replacing
from ..networks import build_network
from ..package import OWN_BLOCK, ModelPackage
from ..progress import NoProgress, Progress, SubProgress, advance
from ..run import run
from ..settings import SegmentationSettings
from ..volume import Volume
from .contents import tensor_shapes

BUNDLE, WEIGHTS = "bundle is read", "weights fit the network"
CHECKSUM, LABELS = "checksum", "labels of the synthetic image"

FILE = Path("configs") / "self_check.json"
AGREEMENT = 0.999
"""Share of voxels that must have the stored label."""

FOREGROUND_DICE = 0.98
"""How well what is labelled must overlap, because a model that finds nothing agrees on most voxels."""

SEEDS = range(4)
LARGEST_SIDE = 96
DEFAULT_RANGE = (0.0, 1000.0)


@dataclass(frozen=True)
class Finding:
    """One question to a model: ``passed`` None when it could not be asked, ``detail`` why or with what outcome."""

    question: str
    passed: bool | None
    detail: str


@dataclass(frozen=True)
class Pattern:
    """A synthetic image: waves and a ball, in formulas that give the same everywhere.

    Parameters
    ----------
    seed:
        Which waves.
    size_ijk, spacing_mm:
        Its grid, along R, A, S.
    low, high:
        Range of its values.
    """

    seed: int
    size_ijk: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    low: float
    high: float

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pattern:
        """From the plain form.

        Raises
        ------
        ModelError
            Something is missing, or a size is out of reason.
        """
        try:
            i, j, k = (int(n) for n in data["size_ijk"])
            x, y, z = (float(mm) for mm in data["spacing_mm"])
            pattern = cls(int(data["seed"]), (i, j, k), (x, y, z), float(data["low"]), float(data["high"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"{FILE.as_posix()} has no right image ({error}); get the model anew.") from error
        numbers = np.array([*pattern.spacing_mm, pattern.low, pattern.high])
        sizes_fit = all(1 <= n <= LARGEST_SIDE for n in pattern.size_ijk) and 0 <= pattern.seed < 1000
        if not sizes_fit or not np.isfinite(numbers).all() or not all(0.05 <= mm <= 50 for mm in pattern.spacing_mm):
            raise ModelError(f"{FILE.as_posix()} has an image of impossible size or values; get the model anew.")
        return pattern

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}

    def volumes(self, package: ModelPackage) -> list[Volume]:
        """The image, once for each channel of the model, each with waves of its own."""
        volumes = []
        for number, channel in enumerate(package.channels):
            k, j, i = np.meshgrid(*(np.linspace(-1, 1, n) for n in reversed(self.size_ijk)), indexing="ij")
            turn = 0.7 * self.seed + 1.3 * number
            waves = np.sin((3 + self.seed) * i + turn) * np.cos(4 * j - turn) * np.sin(5 * k + 0.5 * turn)
            ball = 1 / (1 + np.exp(20 * (np.sqrt(i * i + j * j + k * k) - 0.5)))
            values = self.low + (self.high - self.low) * (0.2 + 0.5 * ball + 0.15 * (waves + 1))
            matrix = np.diag([*self.spacing_mm, 1.0])
            volumes.append(Volume(values[None].astype(np.float32), matrix, (channel.name,), channel.modality))
        return volumes


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
        findings.append(_asked(LABELS, lambda: _same_labels(package, SubProgress(progress, 0.3, 1.0))))
    return findings


def make_self_check(package: ModelPackage, progress: Progress | None = None) -> Path:
    """Write ``configs/self_check.json`` into a model's folder: what ``check_model`` will ask.

    Of a few synthetic images it takes the one in which the model labels most.

    Raises
    ------
    CNNSegError
        The model cannot be run, or the folder not be written to.
    """
    progress = progress or NoProgress()
    best: tuple[int, Pattern, np.ndarray] | None = None
    for number, seed in enumerate(SEEDS):
        pattern = _pattern_for(package, seed)
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
        stored = tensor_shapes(path)
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


def _pattern_for(package: ModelPackage, seed: int) -> Pattern:
    """An image of about the extent and intensities that the model was trained on."""
    transforms = package.inference.get("preprocessing", {}).get("transforms", ())
    spacing, (low, high) = np.ones(3), DEFAULT_RANGE
    for transform in transforms:
        if str(transform.get("_target_", "")).endswith("Spacingd"):
            spacing = np.array([float(mm) if mm > 0 else 1.0 for mm in transform["pixdim"]])
        if str(transform.get("_target_", "")).endswith("ScaleIntensityRanged"):
            low, high = float(transform["a_min"]), float(transform["a_max"])
    extent = np.mean(package.extent_mm, axis=0) if package.extent_mm else 48 * spacing
    size = [int(n) for n in np.clip(np.round(extent / spacing), 8, LARGEST_SIDE)]
    x, y, z = (float(mm) for mm in spacing)
    return Pattern(seed, (size[0], size[1], size[2]), (x, y, z), low, high)


def _labelmap(package: ModelPackage, pattern: Pattern, progress: Progress) -> np.ndarray:
    """What the model gives for the image, on the CPU in full precision, shape (k, j, i)."""
    settings = SegmentationSettings(model=str(package.folder), device="cpu", precision="fp32", force=True)
    return np.asarray(run(settings, pattern.volumes(package), progress).labelmap)
