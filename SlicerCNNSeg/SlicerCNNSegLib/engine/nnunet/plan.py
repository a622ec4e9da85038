"""How a model of nnU-Net runs, as plain data: the block ``nnunet`` of its ``configs/inference.json``.

Axes are those of nnU-Net: an image's array ``(channel, k, j, i)``, its axes in the order of ``transpose`` where that is
not ``(0, 1, 2)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import ModelError

BLOCK = "nnunet"
"""What tells these models from those of our own trainer."""

ANISOTROPY = 3.0
"""Largest over smallest spacing from which on nnU-Net resamples slices apart from the axis across them."""

SPLINES, TORCH = "resample_data_or_seg_to_shape", "resample_torch_fornnunet"
"""nnU-Net's two functions for resampling; the first is its default."""

ORIENTATIONS = ("", "RAS")
"""The image's own axes, or reoriented."""


@dataclass(frozen=True)
class Intensity:
    """How one channel is normalised.

    Parameters
    ----------
    scheme:
        Name of nnU-Net's class, one of ``SCHEMES``.
    masked:
        Only where the image is not zero (after holes are filled); the rest stays zero.
    mean, std, low, high:
        Of the foreground of the training images, for CT; ``low`` and ``high`` are its percentiles .5 and 99.5.
    """

    scheme: str
    masked: bool = False
    mean: float = 0.0
    std: float = 1.0
    low: float = 0.0
    high: float = 0.0

    SCHEMES = (
        "ZScoreNormalization",
        "CTNormalization",
        "NoNormalization",
        "RescaleTo01Normalization",
        "RGBTo01Normalization",
    )

    def __post_init__(self) -> None:
        if self.scheme not in self.SCHEMES:
            raise ModelError(
                f"The normalisation {self.scheme!r} of nnU-Net is not known: expected one of {', '.join(self.SCHEMES)}."
            )


@dataclass(frozen=True)
class Resampling:
    """How images, or scores, are resampled.

    Parameters
    ----------
    function:
        ``SPLINES`` or ``TORCH``.
    order:
        Of the splines.
    separate:
        Whether slices are resampled apart from the axis across them (by nearest neighbour); None decides it by
        ``anisotropy``.
    """

    function: str = SPLINES
    order: int = 3
    separate: bool | None = None
    anisotropy: float = ANISOTROPY

    def __post_init__(self) -> None:
        if self.function not in (SPLINES, TORCH):
            raise ModelError(f"nnU-Net's resampling by {self.function!r} is not known: expected {SPLINES} or {TORCH}.")
        if not 0 <= self.order <= 5:
            raise ModelError(f"Expected a spline order from 0 to 5 for nnU-Net's resampling, got {self.order}.")


LABELS_RESAMPLED = Resampling(order=1)
"""nnU-Net's default for labelmaps."""


@dataclass(frozen=True)
class NnunetPlan:
    """What nnU-Net's plans and its checkpoint say of a run.

    Parameters
    ----------
    configuration:
        Name in the plans, for example ``3d_fullres``.
    patch_size:
        Of a window, three sizes, or two for a network of slices.
    spacing_mm:
        Along the (transposed) axes; two numbers, without that across the slices, for a network of slices.
    transpose:
        The order in which nnU-Net takes the array's axes.
    orientation:
        One of ``ORIENTATIONS``.
    intensities:
        One per channel.
    images, scores:
        How the image, and the scores on their way back, are resampled.
    mirror_axes:
        Axes of a window along which the network was trained with mirroring.
    region_values:
        Values of the labelmap for the network's regions, which may overlap; a later one goes over an earlier one.
        Empty for classes that exclude each other.
    first_labels:
        Of the second stage of a cascade: values of the first stage's labelmap, each of which is an input channel
        behind the image's. Empty for a model of one stage.
    labels:
        How that labelmap is resampled.
    """

    configuration: str
    patch_size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    transpose: tuple[int, int, int]
    orientation: str
    intensities: tuple[Intensity, ...]
    images: Resampling
    scores: Resampling
    mirror_axes: tuple[int, ...] = ()
    region_values: tuple[int, ...] = ()
    first_labels: tuple[int, ...] = ()
    labels: Resampling = LABELS_RESAMPLED

    def __post_init__(self) -> None:
        dims = len(self.patch_size)
        if dims not in (2, 3) or len(self.spacing_mm) != dims or min(self.patch_size) < 1 or min(self.spacing_mm) <= 0:
            raise ModelError(
                f"Expected 2 or 3 positive sizes and spacings in nnU-Net's configuration {self.configuration}, got "
                f"{self.patch_size} and {self.spacing_mm}."
            )
        if sorted(self.transpose) != [0, 1, 2]:
            raise ModelError(f"Expected an order of the axes 0, 1, 2 in nnU-Net's plans, got {self.transpose}.")
        if any(axis not in range(dims) for axis in self.mirror_axes):
            raise ModelError(f"Expected axes below {dims} for mirroring, got {self.mirror_axes}.")
        if self.orientation not in ORIENTATIONS or not self.intensities:
            raise ModelError(
                f"Expected a normalisation and an orientation out of {ORIENTATIONS}, got {len(self.intensities)} and "
                f"{self.orientation!r}."
            )

    @property
    def flat(self) -> bool:
        """Whether the network takes single slices."""
        return len(self.patch_size) == 2

    @classmethod
    def from_config(cls, inference: Mapping[str, Any]) -> NnunetPlan:
        """From ``configs/inference.json``.

        Raises
        ------
        ModelError
            Something is missing or impossible.
        """
        try:
            block = dict(inference[BLOCK])
            return cls(
                configuration=str(block["configuration"]),
                patch_size=tuple(int(n) for n in block["patch_size"]),
                spacing_mm=tuple(float(mm) for mm in block["spacing_mm"]),
                transpose=_three(block["transpose"]),
                orientation=str(block["orientation"]),
                intensities=tuple(Intensity(**one) for one in block["intensities"]),
                images=Resampling(**block["images"]),
                scores=Resampling(**block["scores"]),
                mirror_axes=tuple(int(axis) for axis in block["mirror_axes"]),
                region_values=tuple(int(value) for value in block["region_values"]),
                first_labels=tuple(int(value) for value in block.get("first_labels", ())),
                labels=Resampling(**block["labels"]) if "labels" in block else LABELS_RESAMPLED,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"The block {BLOCK!r} of configs/inference.json is damaged ({error}); install the model again."
            ) from error

    def to_config(self) -> dict[str, Any]:
        """The plain form."""
        return asdict(self)


def _three(values: Sequence[int]) -> tuple[int, int, int]:
    first, second, third = (int(value) for value in values)
    return first, second, third
