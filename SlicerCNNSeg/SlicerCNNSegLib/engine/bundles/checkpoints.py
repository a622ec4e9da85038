"""Weights of bundles that others made: tensors out of safetensors or PyTorch files, and never anything else."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from ..errors import WeightsError
from ..weights import fill, read_weights
from .arrays import plain_arrays
from .names import LARGEST_OF_ARRAYS

WRAPPERS = ("model", "state_dict", "network", "net", "model_state_dict")
"""Names under which training programs put a network's weights beside other things."""

PREFIXES = ("module.", "model.", "network.", "net.", "_orig_mod.")
"""What wrappers of networks (DataParallel, Lightning, torch.compile) put before each name."""


def read_tensors(path: Path, *, with_arrays: bool = False) -> Any:
    """What a ``.pt`` file holds, read with ``weights_only=True``; a small one may also hold arrays of numpy.

    Parameters
    ----------
    with_arrays:
        A large one may as well.

    Raises
    ------
    WeightsError
        It cannot be read, or holds more than tensors and plain containers.
    """
    try:
        with_arrays = with_arrays or path.stat().st_size <= LARGEST_OF_ARRAYS
        with plain_arrays() if with_arrays else nullcontext():
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()[-1]
        raise WeightsError(
            f"The weights {path} hold more than tensors, which could run code, and are not read ({reason}); ask its "
            "author for safetensors."
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"The weights {path} cannot be read ({reason}); install the model again.") from error


def load_into(network: torch.nn.Module, path: Path, key: str = "") -> list[str]:
    """Fill a network from a bundle's weights file.

    Parameters
    ----------
    key:
        The name under which the bundle's ``CheckpointLoader`` says that they stand.

    Returns
    -------
    list of str
        What was done to make the names fit, in words.

    Raises
    ------
    WeightsError
        The file cannot be read, holds no weights, or names or shapes don't fit.
    """
    state, notes = without_prefix(network, read_state(path, key))
    fill(network, state, path)
    return notes


def read_state(path: Path, key: str = "") -> dict[str, torch.Tensor]:
    """A network's weights by name out of a safetensors or ``.pt`` file, also where they stand beside other things.

    Raises
    ------
    WeightsError
        The file cannot be read, or holds no weights.
    """
    if path.suffix == ".safetensors":
        return read_weights(path)
    return _unwrapped(read_tensors(path), path, key)


def without_prefix(
    network: torch.nn.Module, state: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The weights without what wrappers put before each name, and what that was, in words."""
    found, notes = dict(state), []
    own = network.state_dict()
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in found) and not any(name.startswith(prefix) for name in own):
            found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
            notes.append(f"The names of the weights all began with {prefix!r}, which was left out.")
    return found, notes


def _unwrapped(found: Any, path: Path, key: str) -> dict[str, torch.Tensor]:
    """The network's weights out of what a file holds."""
    for name in (key, *WRAPPERS):
        if isinstance(found, Mapping) and name in found and isinstance(found[name], Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not found:
        raise WeightsError(f"The weights {path} hold a {type(found).__name__}, expected tensors by name.")
    strange = [str(name) for name, value in found.items() if not isinstance(value, torch.Tensor)]
    if strange:
        raise WeightsError(f"The weights {path} hold what is no tensor (first: {strange[0]!a}); expected tensors only.")
    return {str(name): tensor for name, tensor in found.items()}
