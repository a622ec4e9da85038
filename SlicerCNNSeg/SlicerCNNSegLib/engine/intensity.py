"""MONAI's transforms of intensities in PyTorch alone: importing MONAI takes longer than the run of a small image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch

Intensity = Callable[[Any], Any]
"""Takes and gives an image (channel, ...)."""


@dataclass(frozen=True)
class NormalizeIntensity:
    """Less ``subtrahend``, by default the mean, and divided by ``divisor``, by default the standard deviation.

    Parameters
    ----------
    subtrahend, divisor:
        With ``channel_wise`` one for each channel.
    nonzero:
        Leave voxels of value 0 as they are, and out of mean and standard deviation.
    channel_wise:
        Each channel by itself.
    """

    subtrahend: Any = None
    divisor: Any = None
    nonzero: bool = False
    channel_wise: bool = False

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """The normalised image, float32."""
        if not self.channel_wise:
            return self._normalised(image.float(), self.subtrahend, self.divisor)
        given = [self._of_channels(values, len(image)) for values in (self.subtrahend, self.divisor)]
        return torch.stack([self._normalised(*one) for one in zip(image.float(), *given, strict=True)])

    def _of_channels(self, values: Sequence[float] | None, channels: int) -> Sequence[float | None]:
        if values is not None and len(values) != channels:
            raise ValueError(f"the image has {channels} channels, but subtrahend or divisor {len(values)} values")
        return [None] * channels if values is None else values

    def _normalised(self, image: torch.Tensor, subtrahend: float | None, divisor: float | None) -> torch.Tensor:
        counted = image != 0 if self.nonzero else torch.ones_like(image, dtype=torch.bool)
        if not counted.any():
            return image
        values = image[counted] if self.nonzero else image
        less = values.mean().item() if subtrahend is None else subtrahend
        by = values.std(unbiased=False).item() if divisor is None else divisor
        return torch.where(counted, (image - less) / (by or 1.0), image)


@dataclass(frozen=True)
class ScaleIntensityRange:
    """From the range ``a_min`` to ``a_max`` linearly to ``b_min`` to ``b_max``, with ``clip`` nothing outside of it."""

    a_min: float
    a_max: float
    b_min: float | None = None
    b_max: float | None = None
    clip: bool = False

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """The scaled image, float32."""
        if self.a_max == self.a_min:
            return image.float() - self.a_min + (self.b_min or 0.0)
        scaled = (image.float() - self.a_min) / (self.a_max - self.a_min)
        if self.b_min is not None and self.b_max is not None:
            scaled = scaled * (self.b_max - self.b_min) + self.b_min
        return scaled.clamp(self.b_min, self.b_max) if self.clip else scaled


def intensity(kind: type[NormalizeIntensity] | type[ScaleIntensityRange], **arguments: Any) -> Intensity:
    """The transform of MONAI's name and arguments; MONAI's own where an argument is not known here."""
    if set(arguments) <= {field.name for field in fields(kind)}:
        return kind(**arguments)
    from monai import transforms

    transform: Intensity = getattr(transforms, kind.__name__)(**arguments)
    return transform
