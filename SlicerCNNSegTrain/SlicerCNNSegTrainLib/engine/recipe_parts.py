"""What a recipe says in groups: what it starts from, whom it learns from, and what two tasks have of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from SlicerCNNSegLib.engine.errors import SettingsError


@dataclass(frozen=True)
class Start:
    """What a run starts from, other than fresh weights.

    Parameters
    ----------
    model:
        A model of the catalogue by id, a bundle folder, or a run's folder; "" starts from fresh weights.
    freeze:
        ``encoder`` keeps the encoder's weights as they are; "" trains all.
    encoder_rate:
        Share of the learning rate that the encoder gets.
    adapter_rank:
        Above 0 the network's own weights stay, and low-rank adapters of this rank are trained.
    prune:
        The network is that of ``model`` with fewer channels, and starts with those that have the largest weights.
    """

    model: str = ""
    freeze: str = ""
    encoder_rate: float = 1.0
    adapter_rank: int = 0
    prune: bool = False

    def __post_init__(self) -> None:
        one_of("start.freeze", self.freeze, ("", "encoder"))
        if not 0 < self.encoder_rate <= 1:
            raise SettingsError(f"Expected start.encoder_rate above 0 and up to 1, got {self.encoder_rate}.")
        if self.adapter_rank < 0:
            raise SettingsError(f"Expected start.adapter_rank of 0 or more, got {self.adapter_rank}.")
        if not self.model and (self.freeze or self.adapter_rank or self.encoder_rate != 1 or self.prune):
            raise SettingsError(
                "Expected start.model, a model to start from, with freeze, encoder_rate, adapter_rank or prune."
            )


@dataclass(frozen=True)
class Teacher:
    """A trained model whose scores a segmentation learns too (``distillation`` in its loss).

    Parameters
    ----------
    model:
        As ``Start.model``; "" for none.
    sha256:
        Of its weights: the run takes no others. "" takes what is found when the run begins.
    temperature:
        By which the scores of both are divided: above 1 what the teacher holds for less likely counts more.
    """

    model: str = ""
    sha256: str = ""
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise SettingsError(f"Expected teacher.temperature above 0, got {self.temperature}.")


@dataclass(frozen=True)
class Classes:
    """How a classification is learned, beyond what all tasks share.

    Parameters
    ----------
    balanced_sampling:
        Draw each class as often as the others; else each epoch goes once through all images.
    label_smoothing:
        Share of the truth that is spread over all classes (Szegedy et al. 2016, arXiv:1512.00567).
    mixup:
        Above 0 images are mixed in pairs, with shares drawn from Beta(mixup, mixup) (Zhang et al. 2018,
        arXiv:1710.09412).
    """

    balanced_sampling: bool = False
    label_smoothing: float = 0.0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise SettingsError(f"Expected classes.label_smoothing from 0 to below 1, got {self.label_smoothing}.")
        if self.mixup < 0:
            raise SettingsError(f"Expected classes.mixup of 0 or more, got {self.mixup}.")


@dataclass(frozen=True)
class Detection:
    """How a detection is learned, beyond what all tasks share.

    Parameters
    ----------
    anchors:
        The boxes that the network starts from: edges in voxels of network space, by level, finest first. Without any
        they are fitted to the training data's diameters when the run is planned.
    candidates:
        Anchors per level, each anchor's place, of which ATSS picks those that learn an object (Zhang et al. 2020,
        arXiv:1912.02424).
    positive_share:
        Of the anchors that the loss ``hard_negatives`` looks at; the others are those of the background with the
        highest scores.
    """

    anchors: tuple[tuple[tuple[float, float, float], ...], ...] = ()
    candidates: int = 4
    positive_share: float = 0.25

    def __post_init__(self) -> None:
        if self.candidates < 1 or not 0 < self.positive_share < 1:
            raise SettingsError(
                "Expected detection.candidates of 1 or more and detection.positive_share within 0 and 1, got "
                f"{self.candidates} and {self.positive_share}."
            )
        plain = tuple(tuple(tuple(float(n) for n in shape) for shape in level) for level in self.anchors)
        object.__setattr__(self, "anchors", plain)


def part_from_json(
    name: str, kind: type[Start] | type[Teacher] | type[Classes] | type[Detection], data: Mapping[str, Any]
) -> Start | Teacher | Classes | Detection:
    """One of the groups, from the plain form.

    Raises
    ------
    SettingsError
        A name in it is unknown.
    """
    try:
        return kind(**data)
    except TypeError as error:
        names = ", ".join(f.name for f in fields(kind))
        raise SettingsError(f"Expected {names} in the recipe's {name}, got {', '.join(data)}.") from error


def one_of(name: str, value: str, known: Sequence[str]) -> None:
    """See that a field has a value that is known.

    Raises
    ------
    SettingsError
        It has not.
    """
    if value not in known:
        raise SettingsError(f"Expected {name} of {', '.join(map(repr, known))}, got {value!r}.")
