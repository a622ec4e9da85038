"""Filling a network with another one's weights, as far as they fit, and telling tensor by tensor what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from SlicerCNNSegLib.engine.errors import SettingsError
from SlicerCNNSegLib.engine.wording import listed

from .parts import input_names, tensor_names
from .source import Source

PREFIXES = ("module.", "network.", "_orig_mod.", "model.")
"""What wrappers (data-parallel, Lightning, torch.compile) put in front of names."""

LOADED = "loaded"
ADAPTED = "loaded, adapted to the channels"
OTHER_SHAPE = "shape differs"
MISSING = "missing in the source"
LEFT_OVER = "left over in the source"
OUTCOMES = (LOADED, ADAPTED, OTHER_SHAPE, MISSING, LEFT_OVER)

LONGEST_LIST = 300
"""Characters of names in a line of the report."""


@dataclass(frozen=True)
class Row:
    """What became of a tensor: its name and shape here and there, "" and () where there is none."""

    outcome: str
    name: str = ""
    shape: tuple[int, ...] = ()
    source_name: str = ""
    source_shape: tuple[int, ...] = ()

    def text(self) -> str:
        """The tensor, for people, with both shapes when they differ."""
        if self.outcome in (OTHER_SHAPE, ADAPTED):
            return f"{self.name} ({_size(self.shape)} here, {_size(self.source_shape)} there)"
        return self.name or self.source_name


@dataclass(frozen=True)
class TransferReport:
    """What was taken from where.

    Parameters
    ----------
    source:
        Id, SHA-256 and note of the weights; see ``Source``.
    rows:
        The network's tensors in order, then what the source has besides. A tensor with several names is
        there once, under its first.
    parameters:
        How many numbers the network learns.
    loaded_parameters:
        How many of them were loaded.
    """

    source: str
    source_id: str
    source_sha256: str
    rows: tuple[Row, ...]
    parameters: int
    loaded_parameters: int

    @property
    def fresh(self) -> tuple[str, ...]:
        """First names of the tensors that kept the values they had."""
        return tuple(row.name for row in self.rows if row.outcome in (OTHER_SHAPE, MISSING))

    @property
    def counts(self) -> dict[str, int]:
        """How many tensors had each outcome."""
        counted = Counter(row.outcome for row in self.rows)
        return {outcome: counted[outcome] for outcome in OUTCOMES}

    def text(self) -> str:
        """The report for people: a line on the whole, then one for each kind of tensor that was not simply loaded."""
        counts = self.counts
        taken, here = counts[LOADED] + counts[ADAPTED], sum(counts.values()) - counts[LEFT_OVER]
        share = self.loaded_parameters / self.parameters
        lines = [f"Started from {self.source}: {taken} of {here} tensors, {share:.1%} of the numbers to learn."]
        for outcome, words in (
            (ADAPTED, "Adapted to the number of channels"),
            (OTHER_SHAPE, "Left fresh, the shape differs"),
            (MISSING, "Left fresh, missing in the source"),
            (LEFT_OVER, "Not used of the source"),
        ):
            texts = [row.text() for row in self.rows if row.outcome == outcome]
            if texts:
                lines.append(f"{words}: {listed(texts, LONGEST_LIST)}.")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows], "counts": self.counts}


def load_partially(network: torch.nn.Module, source: Source, definition: Mapping[str, Any]) -> TransferReport:
    """Fill a network with the weights of a source, where name and shape fit; the others keep their values.

    Names are compared as they are, then without ``PREFIXES``. So heads with another number of classes stay fresh.
    A first convolution with another number of input channels gets, for each channel, the sum of the source's
    weights over its channels divided by the number of channels here: an image that is the same in all channels
    gives what it gave the source (the rule of Carreira and Zisserman, CVPR 2017, in both directions).

    Parameters
    ----------
    network:
        Changed in place, and not at all when an error is raised.
    source:
        See ``resolve_source``.
    definition:
        The network's, from which follows what its input layers are.

    Raises
    ------
    SettingsError
        Nothing fits.
    """
    tensors = network.state_dict(keep_vars=True)
    groups = tensor_names(network)
    partners, used = _partners(groups, source.state)
    adaptable = input_names(definition) & _plain_convolution_weights(network)
    rows, values = [], {}
    for names, partner in zip(groups, partners, strict=True):
        name, there = names[0], source.state.get(partner)
        outcome, value = _fitted(tensors[name], there, name in adaptable)
        if value is not None:
            values[name] = value
        rows.append(
            Row(outcome, name, tuple(tensors[name].shape), partner, () if there is None else tuple(there.shape))
        )
    rows += [
        Row(LEFT_OVER, source_name=name, source_shape=tuple(tensor.shape))
        for name, tensor in source.state.items()
        if name not in used
    ]
    loaded = sum(tensors[name].numel() for name in values if isinstance(tensors[name], torch.nn.Parameter))
    if not loaded:
        raise SettingsError(
            f"Expected weights of a network like {definition['_target_']} to start from, but nothing of "
            f"{source.text()} fits: of {len(groups)} tensors here and {len(source.state)} there, none has name and "
            "shape in common. Start from a model with the same network, or from none."
        )
    with torch.no_grad():
        for name, value in values.items():
            tensors[name].copy_(value)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return TransferReport(source.text(), source.id, source.sha256, tuple(rows), parameters, loaded)


def _fitted(here: torch.Tensor, there: torch.Tensor | None, adaptable: bool) -> tuple[str, torch.Tensor | None]:
    """What becomes of a tensor, and its values, if it gets any."""
    if there is None:
        return MISSING, None
    if here.shape == there.shape:
        return LOADED, there
    if adaptable and here.ndim == there.ndim and here[:, 0].shape == there[:, 0].shape:
        return ADAPTED, _adapted_to_channels(there, here.shape[1])
    return OTHER_SHAPE, None


def _partners(groups: Sequence[tuple[str, ...]], state: Mapping[str, torch.Tensor]) -> tuple[list[str], set[str]]:
    """The source's name for each tensor, or "", and all names of the source that stand for one of them."""
    plain: dict[str, list[str]] = {}
    for name in state:
        plain.setdefault(_plain(name), []).append(name)
    partners, used = [], set()
    for names in groups:
        same = [name for name in names if name in state] or [
            other for name in names for other in plain.get(_plain(name), ())
        ]
        partners.append(same[0] if same else "")
        used.update(same)
    return partners, used


def _plain(name: str) -> str:
    """The name without what wrappers put in front."""
    while name.startswith(PREFIXES):
        name = name.partition(".")[2]
    return name


def _plain_convolution_weights(network: torch.nn.Module) -> frozenset[str]:
    """Names of the weights ``(out, in, *kernel)`` of convolutions that are neither transposed nor in groups."""
    kinds = (torch.nn.Conv2d, torch.nn.Conv3d)
    parts = network.named_modules(remove_duplicate=False)
    return frozenset(f"{name}.weight" for name, part in parts if isinstance(part, kinds) and part.groups == 1)


def _adapted_to_channels(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """Weights ``(out, channels, *kernel)`` that answer to equal channels as ``weight`` does."""
    return (weight.float().sum(1, keepdim=True) / channels).repeat_interleave(channels, 1)


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
