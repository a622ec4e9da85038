"""The four parts of a bundle that a run needs, made from its own config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
from monai.inferers import SlidingWindowInferer
from monai.transforms import Compose, Invertd

from ..configs.components import FileStep
from ..configs.names import Names
from ..configs.resolving import ConfigReader
from ..errors import ModelError
from ..package import ModelPackage
from .checkpoints import load_into, read_tensors
from .names import (
    DETECTOR,
    DETECTOR_STEPS,
    DISCRETE,
    IDLE,
    INFERER,
    NETWORK,
    POSTPROCESSING,
    PREPROCESSING,
    UNREAD,
    WORLD_STEPS,
)
from .own_code import TrustedReader
from .reading import WEIGHTS_SUFFIXES, given_values

CPU = torch.device("cpu")
CACHED_NETWORKS = 2
"""Networks kept in memory between runs: the one in use and the one before."""


@dataclass(frozen=True)
class Workflow:
    """A bundle's parts, ready to be called.

    Parameters
    ----------
    preprocessing, postprocessing:
        Transforms of a dict with the image, and with ``pred``.
    inferer:
        Called with a batch and a network.
    notes:
        What is done otherwise than the config says, in words.
    """

    preprocessing: Compose
    inferer: Callable[..., Any]
    postprocessing: Compose
    notes: tuple[str, ...] = ()

    @property
    def windows(self) -> SlidingWindowInferer | None:
        """The inferer, when it goes over the image in windows."""
        return self.inferer if isinstance(self.inferer, SlidingWindowInferer) else None


def read_workflow(package: ModelPackage) -> Workflow:
    """Make a bundle's preprocessing, inferer and postprocessing.

    Raises
    ------
    ConfigError
        The config asks for something that is not allowed, or is broken.
    ModelError
        A part is of a kind that cannot be run.
    """
    reader = _reader(package)
    preprocessing, postprocessing = _transforms(package, reader)
    inferer = reader.get(INFERER)
    if not callable(inferer):
        raise ModelError(f"The bundle {package.id} has an inferer of type {type(inferer).__name__}, expected MONAI's.")
    notes = _adapted(postprocessing)
    return Workflow(preprocessing, inferer, postprocessing, (*notes, *notes_on_trust(package)))


def read_transforms(package: ModelPackage) -> tuple[Compose, Compose]:
    """Make a bundle's preprocessing and postprocessing alone; errors as of ``read_workflow``."""
    return _transforms(package, _reader(package))


def notes_on_trust(package: ModelPackage) -> tuple[str, ...]:
    """What a run has to tell of a bundle's own code."""
    trusted = package.bundle is not None and package.bundle.trusted
    return ("The bundle ran code of its own, which its user trusted.",) if trusted else ()


def _transforms(package: ModelPackage, reader: ConfigReader | TrustedReader) -> tuple[Compose, Compose]:
    preprocessing = _composed(reader.get(PREPROCESSING), package, PREPROCESSING)
    after = reader.get(POSTPROCESSING) if POSTPROCESSING in reader else []
    return preprocessing, _composed(after, package, POSTPROCESSING)


def load_network(package: ModelPackage, device: torch.device) -> tuple[torch.nn.Module, tuple[str, ...]]:
    """A bundle's network on a device, ready for inference, and notes about its weights.

    Kept in memory: a second run of the same model on the same device does not load again.

    Raises
    ------
    ModelError
        It cannot be made, or its weights don't fit.
    """
    return _load_cached(package.folder, package.sha256, str(device))


@lru_cache(maxsize=CACHED_NETWORKS)
def _load_cached(folder: Path, sha256: str, device: str) -> tuple[torch.nn.Module, tuple[str, ...]]:
    package = ModelPackage.read(folder)
    assert package.bundle is not None  # nothing else comes here
    return _loaded(package, _reader(package).get(NETWORK), torch.device(device))


def _loaded(package: ModelPackage, network: Any, device: torch.device) -> tuple[torch.nn.Module, tuple[str, ...]]:
    """The network with the bundle's weights, on a device; notes about the weights."""
    assert package.bundle is not None  # nothing else comes here
    if not isinstance(network, torch.nn.Module):
        raise ModelError(f"The bundle {package.id} has a network of type {type(network).__name__}, expected a module.")
    notes = load_into(network, package.bundle.weights, package.bundle.weights_key)
    return network.eval().to(device).requires_grad_(False), tuple(notes)


def load_detector(package: ModelPackage, device: torch.device) -> tuple[RetinaNetDetector, tuple[str, ...]]:
    """A bundle's detector with its network on a device, as ``load_network`` gives networks.

    Raises
    ------
    ModelError
        It cannot be made, or its weights don't fit.
    """
    return _load_detector_cached(package.folder, package.sha256, str(device))


@lru_cache(maxsize=CACHED_NETWORKS)
def _load_detector_cached(folder: Path, sha256: str, device: str) -> tuple[RetinaNetDetector, tuple[str, ...]]:
    package = ModelPackage.read(folder)
    reader = _reader(package)
    detector = reader.get(DETECTOR)
    if not isinstance(detector, RetinaNetDetector):
        raise ModelError(f"The bundle {package.id} has a detector of type {type(detector).__name__}, expected MONAI's.")
    reader.get(DETECTOR_STEPS)
    detector.network, notes = _loaded(package, detector.network, torch.device(device))
    return detector.eval(), notes


def _reader(package: ModelPackage) -> ConfigReader | TrustedReader:
    assert package.bundle is not None  # nothing else comes here
    config, given = package.bundle.config, given_values(package.folder, CPU)
    if package.bundle.trusted:
        return TrustedReader(package.folder, config, package.sha256, given)
    return ConfigReader.read(config, package.id, names=allowed_names(package.folder), given=given)


def allowed_names(folder: Path) -> Names:
    """What the config of the bundle in a folder may name.

    ``torch.load`` gives tensors from files of the bundle's own, however it is asked for; every device is the CPU, and
    the run brings network and image to where it computes.
    """

    def load(path: Any, **_: Any) -> Any:
        file = Path(str(path))
        inside = file.resolve().is_relative_to(folder.resolve())
        if not isinstance(path, str) or not inside or file.suffix not in WEIGHTS_SUFFIXES:
            raise ValueError(f"expected a .pt file of the bundle, got {str(path)[:200]!r}")
        return read_tensors(file)

    return Names({"torch.load": load, "torch.device": lambda *_, **__: CPU}, IDLE | WORLD_STEPS, UNREAD)


def _composed(made: Any, package: ModelPackage, at: str) -> Compose:
    transforms = made if isinstance(made, Compose) else Compose(made if isinstance(made, list) else [made])
    if not all(callable(step) for step in transforms.transforms):
        raise ModelError(f"The bundle {package.id} has a step in {at} that is no transform; it cannot be run.")
    return transforms


def _adapted(postprocessing: Compose) -> list[str]:
    """Make ready the steps behind the one that gives labels; says what was changed.

    Labels that are resampled by interpolation become other labels where two structures meet: 1 between 0 and 2.
    """
    notes, discrete = [], False
    for step in postprocessing.flatten().transforms:
        discrete = discrete or type(step).__name__ in DISCRETE
        if isinstance(step, FileStep) and step.name in UNREAD:
            notes.append(
                f"The bundle's last step, {step.name} with the function {str(step.arguments.get('func', ''))[:160]!r}, "
                "was left out: the structures are those of the network's output."
            )
        if discrete and isinstance(step, Invertd) and not all(step.nearest_interp):
            step.nearest_interp = (True,) * len(step.nearest_interp)
            notes.append("Labels were brought back to the image's grid by nearest neighbour; the bundle interpolates.")
    return notes
