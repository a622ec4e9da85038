"""The registry: a network's builder and its facts under one name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import torch

from ..errors import ModelError
from .bounds import bounded_networks
from .facts import NetworkFacts

Builder = Callable[..., torch.nn.Module]
Refinement = Callable[[NetworkFacts, Mapping[str, Any]], NetworkFacts]

DEFAULT_DIMS = 3
"""Spatial dimensions where neither a definition nor the builder's own default says them, as MONAI has it."""


@dataclass(frozen=True)
class _Entry:
    """What is registered under a name."""

    builder: Builder
    facts: NetworkFacts
    refine: Refinement | None


_ENTRIES: dict[str, _Entry] = {}


def register_network(
    name: str, builder: Builder, facts: NetworkFacts | None = None, refine: Refinement | None = None
) -> None:
    """Make ``builder(**arguments)`` known as ``name``.

    Parameters
    ----------
    facts:
        What holds for every definition; without them a segmentation network that takes any window,
        and of whose parts nothing is known.
    refine:
        Gives the facts of one definition from those and from its arguments, the builder's defaults
        and ``spatial_dims`` filled in; for what depends on them.

    Raises
    ------
    ModelError
        The name is taken.
    """
    if name in _ENTRIES:
        raise ModelError(f"A network named {name!r} is registered already; choose another name.")
    _ENTRIES[name] = _Entry(builder, facts or NetworkFacts(), refine)


def network_names(task: str = "") -> tuple[str, ...]:
    """The registered names, sorted: all, or those that do a task."""
    return tuple(sorted(name for name, entry in _ENTRIES.items() if not task or task in entry.facts.tasks))


def name_of(definition: Mapping[str, Any]) -> str:
    """The registered name in a definition's ``_target_``.

    Raises
    ------
    ModelError
        It is unknown; the message lists the known ones, the most similar first.
    """
    name = str(definition.get("_target_", "")).rpartition(".")[2]
    if name not in _ENTRIES:
        similar = get_close_matches(name.lower(), [known.lower() for known in _ENTRIES])
        known = sorted(_ENTRIES, key=lambda known: (_place(known.lower(), similar), known))
        raise ModelError(f"Unknown network {name!r}: expected one of {', '.join(known)}.")
    return name


def facts_of(definition: Mapping[str, Any]) -> NetworkFacts:
    """What holds for the network of a definition (``_target_`` and the builder's arguments).

    Raises
    ------
    ModelError
        The name is unknown, the network is not made for the definition's ``spatial_dims``, or an
        argument is missing or impossible.
    """
    name = name_of(definition)
    entry, arguments = _ENTRIES[name], _arguments(definition)
    dims = arguments["spatial_dims"]
    if entry.refine is None:
        facts = entry.facts
    else:
        try:
            facts = entry.refine(entry.facts, arguments)
        except KeyError as error:
            raise ModelError(f"The definition of the network {name} lacks {error}; add it.") from error
        except (IndexError, TypeError, ValueError) as error:
            raise ModelError(f"The definition of the network {name} makes no sense: {error}.") from error
    stride = facts.stride * dims if len(facts.stride) == 1 else facts.stride
    if min(stride) < 1:
        raise ModelError(f"The definition of the network {name} makes no sense: its strides come to {stride}.")
    return replace(facts, spatial_dims=(dims,), stride=stride)


def build_network(definition: Mapping[str, Any]) -> torch.nn.Module:
    """Build the network that a bundle's ``network_def`` describes, with fresh weights.

    Parameters
    ----------
    definition:
        ``_target_`` (name, with or without module path) and the builder's arguments.

    Raises
    ------
    ModelError
        The name is unknown (the message lists the known ones), the arguments don't fit, ask for
        weights from elsewhere or for a network beyond all use, or a Python package is missing.
    """
    name = name_of(definition)
    if _arguments(definition).get("pretrained"):
        raise ModelError(
            f"The network {name} would fetch weights from elsewhere: "
            'write "pretrained": false into its definition; weights come with a model.'
        )
    arguments = {key: value for key, value in definition.items() if key != "_target_"}
    try:
        with bounded_networks(lambda fault: ModelError(f"The network {name} cannot be built: {fault}; correct it.")):
            return _ENTRIES[name].builder(**arguments)
    except ModelError:
        raise
    except ImportError as error:
        raise ModelError(f"The network {name} needs {_missing(error)}") from error
    except Exception as error:  # MONAI raises what comes: AssertionError, IndexError, KeyError, RuntimeError ...
        text = " ".join(str(error).split())
        raise ModelError(f"The network {name} cannot be built from {arguments}: {text}") from error


def _arguments(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The definition's arguments, and the builder's defaults for the others.

    Raises
    ------
    ModelError
        See ``facts_of``.
    """
    name = name_of(definition)
    parameters = inspect.signature(_ENTRIES[name].builder).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    arguments = {"spatial_dims": DEFAULT_DIMS} | defaults | dict(definition)
    known = _ENTRIES[name].facts.spatial_dims
    if arguments["spatial_dims"] not in known:
        raise ModelError(
            f"The network {name} is made for {' or '.join(map(str, known))} spatial dimensions; "
            f"its definition says {arguments['spatial_dims']!r}."
        )
    return arguments


def _place(name: str, similar: list[str]) -> int:
    return similar.index(name) if name in similar else len(similar)


def _missing(error: ImportError) -> str:
    """What is missing, and what to do; MONAI names it in words only (``from einops import ... (No module ...)``)."""
    words = re.match(r"(?:from|import) (\w+)", str(error))
    package = error.name or (words and words[1])
    if package:
        return f"the Python package {package}, which is not installed; install it (pip install {package}) and restart."
    return f"a Python package that is not installed: {' '.join(str(error).split())}"
