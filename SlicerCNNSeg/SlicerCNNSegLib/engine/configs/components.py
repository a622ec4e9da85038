"""Components of a config (``_target_``): allow-listed classes, made with arguments that are looked at first."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import CNNSegError
from ..networks.bounds import bounded_networks
from .limits import Budget, Place, check_size
from .names import VALUES, Component

_OFF = ("pretrained", "pretrained_backbone", "pretrained_url", "cache_roi_weight_map", "save_mask")
"""Arguments that fetch something from the network, or fill memory beforehand; they must be off."""

_FETCHES_NOTHING = frozenset({"TorchVisionFCModel"})
"""What is built here in another way (``stand_ins.py``), so that ``pretrained`` does no more than to scale the input."""

_ONLY = {"TorchVisionFCModel": ("model_name", "inception_v3")}
"""Components that are built for one value of an argument alone."""

_MOST = {"num_blocks": 64, "num_depths": 8, "window_size": 16, "depths": 64, "layers": 256, "block_config": 256}
"""Arguments with which the work grows faster than the network does."""

_GONE = {"SwinUNETR": frozenset({"img_size"})}
"""Arguments that MONAI has dropped, and which made no difference to what the component computes."""

MAX_NUMBER = 1_000_000
"""Largest whole number as an argument: more blocks, channels or voxels along an axis than anything has."""


@dataclass(frozen=True)
class FileStep:
    """Stands where a bundle reads or writes a file, or does what the run does by itself; hands on what it gets.

    Parameters
    ----------
    name:
        MONAI's name (``LoadImaged``).
    arguments:
        What the bundle gives it.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, data: Any) -> Any:
        """The data, untouched: reading and writing are done by the run."""
        return data


def build(component: Component, arguments: tuple[Any, ...], named: dict[str, Any], place: Place, budget: Budget) -> Any:
    """Make a component.

    Raises
    ------
    ConfigError
        The installed MONAI has none of that name, the arguments don't fit or are not allowed, or it
        would be too large.
    """
    check_size([*arguments, named], budget, place)
    if component.idle:
        if arguments:
            raise place.fault(f"{component.name} needs its arguments by name")
        return FileStep(component.name, named)
    maker = component.fetch()
    if maker is None:
        raise place.fault(f"{component.path} is not in the installed MONAI; the bundle is for an older one")
    try:
        signature = inspect.signature(maker)
        for name in _GONE.get(component.name, frozenset()) - set(signature.parameters):
            named.pop(name, None)
        bound = signature.bind(*arguments, **named)
        bound.apply_defaults()
        _check_arguments(component, bound, place)
        with bounded_networks(place.fault):
            return maker(*arguments, **named)
    except CNNSegError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise place.fault(f"{component.name} cannot be made: {type(error).__name__}: {text}") from error


def check_call(what: str, function: Any, arguments: tuple[Any, ...], named: dict[str, Any], place: Place) -> None:
    """Refuse arguments of a method that fetch something, or fill memory, as those of components are refused."""
    try:
        bound = inspect.signature(function).bind(*arguments, **named)
    except (TypeError, ValueError):
        return  # a method of torch's own has no signature; one that does not fit says so itself
    bound.apply_defaults()
    _check_given(what, _given(bound), place)


def _check_arguments(component: Component, bound: inspect.BoundArguments, place: Place) -> None:
    given = _given(bound)
    only, value = _ONLY.get(component.name, ("", None))
    if given.get(only) != value:
        raise place.refuse(f"{component.name} with {only}={given.get(only)!r}", f"those with {only}={value!r}")
    ignored = _OFF if component.name in _FETCHES_NOTHING else ()
    _check_given(component.name, {name: value for name, value in given.items() if name not in ignored}, place)


def _given(bound: inspect.BoundArguments) -> dict[str, Any]:
    """Arguments by name, those without a parameter of their own among them."""
    given = dict(bound.arguments)
    for name, parameter in bound.signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            given |= given.pop(name, {})
    return given


def _check_given(what: str, given: Mapping[str, Any], place: Place) -> None:
    for name in _OFF:
        if given.get(name):
            raise place.refuse(f"{what} with {name}={given[name]!r}", f"components with {name} off (false)")
    for name, value in given.items():
        _check_numbers(value, _MOST.get(name, MAX_NUMBER), f"{what} with {name}", place)
        if name == "dtype" or name.endswith("_dtype"):
            _check_type(value, what, place)


def _check_numbers(value: Any, most: int, what: str, place: Place) -> None:
    """Refuse whole numbers above ``most``, also inside of lists; ``check_size`` has bounded those."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            _check_numbers(item, most, what, place)
    elif isinstance(value, int) and abs(value) > most:
        raise place.refuse(f"{what}={value}", f"numbers up to {most}")


def _check_type(value: Any, what: str, place: Place) -> None:
    """Refuse number types as text that are more: ``(100000, 100000)f8`` makes any number a large array."""
    for item in value if isinstance(value, list | tuple) else (value,):
        if isinstance(item, str) and item.removeprefix("torch.") not in (*VALUES["numpy"], *VALUES["torch"]):
            raise place.refuse(f"{what} with the number type {item}", "plain ones such as float32")
