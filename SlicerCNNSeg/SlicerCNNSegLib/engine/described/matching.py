"""Do weights fit a network? Told in words: what is missing, what is too much, what has another shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from ..errors import WeightsError

SHOWN = 5
"""Names that a message gives of each kind."""


def matched(
    network: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path, by: str
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The weights under the network's names, and what was done for that, in words.

    Parameters
    ----------
    by:
        ``name``, or ``order`` for weights that stand in the order of the network's under other names.

    Raises
    ------
    WeightsError
        They don't fit; the message says what is missing, unexpected and of another shape.
    """
    own = network.state_dict()
    notes = [f"{len(state)} tensors in {path.name}, {len(own)} in the network."]
    if by == "order" and set(own) != set(state):
        if [tensor.shape for tensor in own.values()] != [tensor.shape for tensor in state.values()]:
            raise WeightsError(f"The weights {path} don't fit by order: {_difference(own, state, by_order=True)}.")
        notes.append("All were taken by their order; check a result.")
        return dict(zip(own, state.values(), strict=True)), notes
    difference = _difference(own, state)
    if difference:
        same = [tensor.shape for tensor in own.values()] == [tensor.shape for tensor in state.values()]
        advice = '; in order all shapes fit: if the layers do too, describe them with "match": "order"' if same else ""
        raise WeightsError(f"The weights {path} don't fit the network: {difference}{advice}.")
    return dict(state), notes


def _difference(own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], *, by_order: bool = False) -> str:
    pairs = (
        zip(own, own.values(), state.values(), strict=False)
        if by_order
        else ((name, own[name], state[name]) for name in own if name in state)
    )
    shapes = [
        f"{name} ({_size(came)} instead of {_size(want)})" for name, want, came in pairs if want.shape != came.shape
    ]
    kinds = {
        "missing": [] if by_order else [name for name in own if name not in state],
        "unexpected": [] if by_order else [name for name in state if name not in own],
        "of another shape": shapes,
    }
    told = [f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds.items() if names]
    if by_order and len(own) != len(state):
        told.append(f"the network has {len(own)} tensors, the file {len(state)}")
    return "; ".join(told)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"{name!s:.120}" for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def _size(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
