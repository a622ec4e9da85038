"""What the planner and the trainer have to know of a network, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SEGMENTATION, CLASSIFICATION, DETECTION = "segmentation", "classification", "detection"


@dataclass(frozen=True)
class NetworkFacts:
    """What holds for a network, or for one definition of it (``registry.facts_of``).

    The encoder and the heads are told by the beginnings of parameter names as ``named_parameters()``
    gives them, cut at a dot: ``down`` means ``down.0.weight``, not ``down_1.weight``.

    Parameters
    ----------
    classes:
        For each task that the network does, the argument that takes the number of classes. A network
        of several tasks gives a mapping from task to scores, others the scores alone: ``(batch,
        class, ...)`` on the input's grid for a segmentation, ``(batch, class)`` for a classification,
        and a mapping of lists of maps for a detection (``detection.py``).
    channels:
        The argument that takes the number of input channels.
    spatial_dims:
        Dimensions of the images that it can be built for; of a definition the one that it says.
    stride:
        By how much the deepest level is coarser than the image, one number for all axes or one for
        each; of a definition one for each axis. No side of a window may be smaller.
    divisible:
        Whether each side of a window must be a multiple of ``stride``.
    deepest:
        Voxels that the deepest level needs at least: 2 where it is normalised over them alone.
    size:
        The one window that it takes, where its weights are made for one; else empty.
    levels:
        Scores that it gives in training: more than 1 is deep supervision, ``(batch, level, class, ...)``.
    encoder:
        The parts from the image to the deepest level: what a pretraining fills, and what may be
        frozen or trained more slowly.
    heads:
        The parts whose shapes depend on the number of classes: they start afresh when it changes.
    widths:
        The argument that takes the numbers of channels of the levels, one for each, or one number that all follow from;
        "" where there is none, or where channels cannot be left out.
    last_features:
        The layer with the last features that still have places, which a heat map is made of; "" when
        nobody named it.
    """

    classes: Mapping[str, str] = field(default_factory=lambda: {SEGMENTATION: "out_channels"})
    channels: str = "in_channels"
    spatial_dims: tuple[int, ...] = (2, 3)
    stride: tuple[int, ...] = (1,)
    divisible: bool = True
    deepest: int = 1
    size: tuple[int, ...] = ()
    levels: int = 1
    encoder: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    widths: str = ""
    last_features: str = ""

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it does: ``segmentation``, ``classification``, ``detection``, or several of them."""
        return tuple(self.classes)

    @property
    def divisor(self) -> tuple[int, ...]:
        """What each side of a window must be a multiple of."""
        return self.stride if self.divisible else (1,) * len(self.stride)

    def in_encoder(self, parameter: str) -> bool:
        """Whether the parameter of that name is part of the encoder."""
        return _begins(parameter, self.encoder)

    def in_heads(self, parameter: str) -> bool:
        """Whether the parameter of that name is part of a head."""
        return _begins(parameter, self.heads)


def _begins(parameter: str, parts: tuple[str, ...]) -> bool:
    return any(parameter.startswith(f"{part}.") for part in parts)
