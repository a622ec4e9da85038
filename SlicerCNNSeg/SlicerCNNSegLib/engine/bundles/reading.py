"""A bundle's inference config looked through without torch: whether it can be run, and with what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..configs.limits import Place
from ..configs.outline import LightNames, Outline, outlined
from ..configs.reading import read_config
from ..configs.references import children
from ..configs.resolving import TARGET, ConfigReader
from ..errors import ConfigError, ModelError
from .names import (
    AFTER_CLASSES,
    CLASSIFICATION,
    DETECTION,
    DETECTION_INFERER,
    DETECTOR,
    DETECTOR_STEPS,
    DISCRETE,
    FORCE_WINDOWS,
    IDLE,
    INFERER,
    LOADING,
    NETWORK,
    POSTPROCESSING,
    PREPROCESSING,
    RAW_IMAGES,
    SEGMENTATION,
    SLICE_INFERER,
    TORCHVISION_KNOWN,
    TORCHVISION_NETWORK,
    UNREAD,
    WORLD_STEPS,
)

CONFIGS = ("inference.json", "inference.yaml", "inference.yml")
WEIGHTS_SUFFIXES = (".safetensors", ".pt", ".pth")
DEFAULT_WEIGHTS = Path("models") / "model.pt"
MAX_TRANSFORMS = 200
"""In one part of a config; published ones have at most twenty."""

ALLOWED_LAMBDA = "functions behind AsDiscreted in the postprocessing of a segmentation, which are left out"
SOFTMAX, SIGMOID = "softmax", "sigmoid"
ACTIVATION = "Activationsd"


@dataclass(frozen=True)
class Bundle:
    """What there is to know of a bundle before torch is loaded.

    Parameters
    ----------
    config, weights:
        Its files.
    image_keys:
        The keys that the preprocessing loads: one for all channels, or one for each.
    layered:
        The output's channels are thresholded one by one, so that structures may overlap; else each
        voxel gets one class.
    flat:
        It takes single slices (an inferer that goes through slices by itself takes volumes).
    activation:
        Of a classification: what makes probabilities of the network's scores.
    force_windows:
        Of a detection: windows also over a small image.
    weights_key:
        The name under which the weights stand in their file, where the config gives one.
    trusted:
        Its config is refused, and runs by its own code only (``own_code.py`` sees to it that its user trusts it).
    """

    config: Path
    weights: Path
    image_keys: tuple[str, ...] = ("image",)
    layered: bool = False
    flat: bool = False
    activation: str = SOFTMAX
    force_windows: bool = False
    weights_key: str = ""
    trusted: bool = False


def config_of(folder: Path) -> Path:
    """The inference config of a bundle.

    Raises
    ------
    ModelError
        There is none.
    """
    for name in CONFIGS:
        if (folder / "configs" / name).is_file():
            return folder / "configs" / name
    raise ModelError(f"The model {folder.name} lacks configs/inference.json (or .yaml).")


def given_values(folder: Path, device: object) -> dict[str, object]:
    """What stands in a bundle's config, by id, in place of what it has there."""
    return {"device": device, "bundle_root": str(folder), RAW_IMAGES: True}


def look_through(folder: Path, *, flat: bool, task: str = SEGMENTATION) -> Bundle:
    """Look a bundle through as its run will read it.

    Parameters
    ----------
    flat, task:
        Whether its network is made for 2-D images, and what it does, by its metadata.

    Raises
    ------
    ConfigError
        The config asks for something that is not allowed, or is broken.
    ModelError
        A file is missing.
    """
    config = config_of(folder)
    reader = ConfigReader.read(
        config,
        folder.name,
        names=LightNames({"torch.load": Outline}, IDLE | WORLD_STEPS, UNREAD),
        given=given_values(folder, Outline("torch.device")),
        make=outlined,
    )
    for at in (NETWORK, DETECTOR, DETECTOR_STEPS) if task == DETECTION else (NETWORK, INFERER):
        _check_arguments(folder.name, at, reader.get(at), set())
    _check_torchvision(folder.name, reader.get(NETWORK))
    before = _chain(folder.name, PREPROCESSING, reader.get(PREPROCESSING))
    after = _chain(folder.name, POSTPROCESSING, reader.get(POSTPROCESSING)) if POSTPROCESSING in reader else []
    _check_functions(folder.name, before, after, may_follow=task == SEGMENTATION)
    if task == CLASSIFICATION:
        _check_after_classes(folder.name, after)
    keys = [key for step in before if step.name in LOADING for key in _listed(step.arguments.get("keys", ()))]
    discrete = [step.arguments for step in after if step.name in DISCRETE]
    weights, key = _weights(folder, reader)
    return Bundle(
        config,
        weights,
        tuple(dict.fromkeys(str(key) for key in keys)) or ("image",),
        task == SEGMENTATION and _is_layered(discrete),
        flat and (task == DETECTION or getattr(reader.get(INFERER), "name", "") != SLICE_INFERER),
        _activation(step.arguments for step in after if step.name == ACTIVATION),
        task == DETECTION and _forces_windows(folder.name, reader),
        key,
    )


def without_looking(folder: Path, *, flat: bool, task: str = SEGMENTATION) -> Bundle:
    """A bundle whose config is refused, by what is plainly written in it; it runs when its user trusts it.

    Raises
    ------
    ConfigError
        The config is no data.
    ModelError
        A file is missing.
    """
    path = config_of(folder)
    config = read_config(path, folder.name)
    steps = {name: list(_written(config.get(at), names)) for at, name, names in _PLAIN}
    keys = [key for step in steps["loading"] for key in _listed(step.get("keys", ())) if str(key).isidentifier()]
    return Bundle(
        path,
        _existing(folder, folder / DEFAULT_WEIGHTS),
        tuple(dict.fromkeys(keys)) or ("image",),
        task == SEGMENTATION and _is_layered(steps["discrete"]),
        flat,
        _activation(steps["activation"]),
        trusted=True,
    )


_PLAIN = (
    (PREPROCESSING, "loading", LOADING),
    (POSTPROCESSING, "discrete", DISCRETE),
    (POSTPROCESSING, "activation", frozenset({ACTIVATION})),
)


def _written(value: Any, names: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The components of some names that are written in a part of a config, without anything resolved."""
    if isinstance(value, dict) and str(value.get(TARGET, "")).rpartition(".")[2] in names:
        yield value
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _written(part, names)


def _is_layered(discrete: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the steps that make labels threshold channels one by one."""
    return any(_on(step, "threshold") for step in discrete) and not any(_on(step, "argmax") for step in discrete)


def _chain(bundle: str, at: str, made: Any) -> list[Outline]:
    """The transforms of a part, unless they are more than any bundle has: shared ones count each time."""
    steps = list(islice(_steps(made), MAX_TRANSFORMS + 1))
    if len(steps) > MAX_TRANSFORMS:
        raise Place(bundle, at).fault(f"more than {MAX_TRANSFORMS} transforms")
    return steps


def _steps(made: Any) -> Iterator[Outline]:
    """The transforms in a ``Compose``, one after the other."""
    if isinstance(made, Outline) and made.name == "Compose":
        made = made.arguments.get("transforms", made.arguments.get(0, ()))
    if isinstance(made, Outline):
        yield made
    elif isinstance(made, list | tuple):
        for part in made:
            yield from _steps(part)


def _activation(steps: Iterable[Mapping[str, Any]]) -> str:
    """What makes probabilities of scores: what the steps say, softmax where they say nothing."""
    return SIGMOID if any(_on(step, SIGMOID) for step in steps) else SOFTMAX


def _check_after_classes(bundle: str, after: list[Outline]) -> None:
    """Refuse what would change the classes of a classification."""
    for step in after:
        if step.name not in AFTER_CLASSES | IDLE:
            allowed = f"{', '.join(sorted(AFTER_CLASSES))} behind a classification"
            raise Place(bundle, POSTPROCESSING, step.name).refuse(step.name, allowed)


def _forces_windows(bundle: str, reader: ConfigReader) -> bool:
    """Whether a detection's inferer goes over each image in windows.

    Raises
    ------
    ConfigError
        It is another one than the Model Zoo's, or has options that are not known.
    """
    given = reader.raw(INFERER) if INFERER in reader else {}
    if _mapping(given).get(TARGET) != DETECTION_INFERER or not set(given) <= {TARGET, DETECTOR, FORCE_WINDOWS}:
        raise Place(bundle, INFERER).refuse(str(given), f"{DETECTION_INFERER} with {DETECTOR} and {FORCE_WINDOWS}")
    return bool(reader.get(f"{INFERER}::{FORCE_WINDOWS}")) if FORCE_WINDOWS in given else False


def _check_functions(bundle: str, before: list[Outline], after: list[Outline], *, may_follow: bool) -> None:
    """Refuse functions in places where they do more than to write labels in another way."""
    last = len(after)
    first = next((number for number, step in enumerate(after) if may_follow and step.name in DISCRETE), last)
    seen: set[int] = set()
    for at, steps, last in ((PREPROCESSING, before, 0), (POSTPROCESSING, after, first)):
        for number, step in enumerate(steps):
            if step.name in UNREAD and (at == PREPROCESSING or number < last):
                raise _refusal(bundle, at, step)
            _check_arguments(bundle, at, step.arguments, seen)


def _check_arguments(bundle: str, at: str, made: Any, seen: set[int]) -> None:
    """Refuse functions inside of what a component is given: they would be left out without a word.

    ``seen`` are those that were looked at: components may be shared, and each is looked at once.
    """
    if isinstance(made, Outline):
        if made.name in UNREAD:
            raise _refusal(bundle, at, made)
        if id(made) in seen:
            return
        seen.add(id(made))
        made = made.arguments
    if isinstance(made, Mapping | list | tuple):
        for part in made.values() if isinstance(made, Mapping) else made:
            _check_arguments(bundle, at, part, seen)


def _check_torchvision(bundle: str, network: Any) -> None:
    """Refuse networks of torchvision's that are not built here."""
    if isinstance(network, Outline) and network.name == TORCHVISION_NETWORK:
        given = {name: network.arguments.get(name, "its default") for name in TORCHVISION_KNOWN}
        if given != TORCHVISION_KNOWN:
            asked = f"{TORCHVISION_NETWORK} with {given}"
            raise Place(bundle, NETWORK).refuse(asked, f"those with {TORCHVISION_KNOWN}, which need no torchvision,")


def _refusal(bundle: str, at: str, step: Outline) -> ConfigError:
    place = Place(bundle, at, f"{step.name} {step.arguments.get('func', '')}")
    return place.refuse(f"the function in {step.name}", ALLOWED_LAMBDA)


def _weights(folder: Path, reader: ConfigReader) -> tuple[Path, str]:
    """The weights file that the config's ``CheckpointLoader`` names, or MONAI's usual one; and the name in it."""
    for at in _loaders(reader.raw(""), ""):
        try:
            path = Path(str(reader.get(f"{at}::load_path")))
        except ConfigError:
            continue  # it is not run; the usual place is as good
        key = next(iter(_mapping(reader.raw(at).get("load_dict"))), "")
        return _existing(folder, path), str(key)
    return _existing(folder, folder / DEFAULT_WEIGHTS), ""


def _loaders(config: Any, at: str) -> Iterator[str]:
    """Ids of the ``CheckpointLoader``s in a config."""
    if isinstance(config, dict) and str(config.get(TARGET, "")).rpartition(".")[2] == "CheckpointLoader":
        yield at
    if isinstance(config, dict | list):
        for _, below, value in children(at, config):
            yield from _loaders(value, below)


def _existing(folder: Path, named: Path) -> Path:
    """The file itself, the one of another suffix that is read, or that of MONAI's usual name."""
    for path in (named, folder / DEFAULT_WEIGHTS):
        for suffix in WEIGHTS_SUFFIXES:
            candidate = path.with_suffix(suffix)
            if candidate.is_file() and candidate.resolve().is_relative_to(folder.resolve()):
                return candidate
    found = ", ".join(sorted(path.name for path in (folder / "models").glob("*"))) or "none"
    raise ModelError(
        f"The model {folder.name} has no weights that are read: expected models/{named.stem}.safetensors or "
        f"{named.stem}.pt, found {found}; get the model anew."
    )


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _on(arguments: Mapping[str, Any], name: str) -> bool:
    """Whether an argument is given and on, for any of the keys."""
    return any(value is not None and value is not False for value in _listed(arguments.get(name)))
