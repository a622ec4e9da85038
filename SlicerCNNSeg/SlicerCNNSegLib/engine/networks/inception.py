"""Inception v3 (Szegedy et al. 2015, arXiv:1512.00567), its layers named as torchvision names them.

It is not among the registered networks: bundles of others bring weights for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

LAST_FEATURES = 2048
IMAGENET_CLASSES = 1000
"""Outputs of the auxiliary head, which only a training looks at."""

IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""By which other networks' input is normalised; this one's is 0.5 and 0.5, and its weights expect the latter."""


@dataclass(frozen=True)
class Conv:
    """A convolution with batch normalisation and ReLU: its name, channels that come out, kernel and stride.

    It is padded so that the size stays, but where the stride is 2.
    """

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1

    def build(self, in_channels: int) -> ConvUnit:
        """The layer."""
        padding = (self.kernel[0] // 2, self.kernel[1] // 2) if self.stride == 1 else (0, 0)
        return ConvUnit(in_channels, self.channels, self.kernel, self.stride, padding)


class ConvUnit(torch.nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: tuple[int, int],
        stride: int = 1,
        padding: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(in_channels, channels, kernel, stride, padding, bias=False)
        self.bn = torch.nn.BatchNorm2d(channels, eps=0.001)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Features of images ``(batch, channel, x, y)``."""
        return functional.relu(self.bn(self.conv(image)), inplace=True)


Path = tuple[Conv, ...]


class Mixed(torch.nn.Module):
    """Paths side by side, their channels one after the other; paths that begin alike share these layers.

    Parameters
    ----------
    paths:
        In the order of their channels.
    pooled:
        The path behind a 3x3 mean, or, without layers, a 3x3 maximum with stride 2.
    """

    def __init__(self, in_channels: int, paths: Sequence[Path], pooled: Path = ()) -> None:
        super().__init__()
        self._paths, self._pooled = tuple(paths), pooled
        for path in (*paths, pooled):
            channels = in_channels
            for conv in path:
                if conv.name not in self._modules:
                    self.add_module(conv.name, conv.build(channels))
                channels = conv.channels

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Features of images ``(batch, channel, x, y)``."""
        done: dict[str, torch.Tensor] = {}
        found = [self._along(path, image, done) for path in self._paths]
        if self._pooled:
            found.append(self._along(self._pooled, functional.avg_pool2d(image, 3, stride=1, padding=1), done))
        else:
            found.append(functional.max_pool2d(image, 3, stride=2))
        return torch.cat(found, dim=1)

    def _along(self, path: Path, image: torch.Tensor, done: dict[str, torch.Tensor]) -> torch.Tensor:
        for conv in path:
            if conv.name not in done:
                done[conv.name] = self.get_submodule(conv.name)(image)
            image = done[conv.name]
        return image


def _a(in_channels: int, pooled: int) -> Mixed:
    """35 x 35: kernels of 1, 5, and 3 twice."""
    five = (Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, (5, 5)))
    double = (Conv("branch3x3dbl_1", 64), *(Conv(f"branch3x3dbl_{n}", 96, (3, 3)) for n in (2, 3)))
    return Mixed(in_channels, [(Conv("branch1x1", 64),), five, double], (Conv("branch_pool", pooled),))


def _b(in_channels: int) -> Mixed:
    """From 35 x 35 to 17 x 17."""
    single = (Conv("branch3x3", 384, (3, 3), 2),)
    double = (Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, (3, 3)), Conv("branch3x3dbl_3", 96, (3, 3), 2))
    return Mixed(in_channels, [single, double])


def _c(in_channels: int, between: int) -> Mixed:
    """17 x 17: kernels of 7 as rows and columns."""
    wide, high = (1, 7), (7, 1)
    seven = (Conv("branch7x7_1", between), Conv("branch7x7_2", between, wide), Conv("branch7x7_3", 192, high))
    double = (
        Conv("branch7x7dbl_1", between),
        Conv("branch7x7dbl_2", between, high),
        Conv("branch7x7dbl_3", between, wide),
        Conv("branch7x7dbl_4", between, high),
        Conv("branch7x7dbl_5", 192, wide),
    )
    return Mixed(in_channels, [(Conv("branch1x1", 192),), seven, double], (Conv("branch_pool", 192),))


def _d(in_channels: int) -> Mixed:
    """From 17 x 17 to 8 x 8."""
    three = (Conv("branch3x3_1", 192), Conv("branch3x3_2", 320, (3, 3), 2))
    seven = (
        Conv("branch7x7x3_1", 192),
        Conv("branch7x7x3_2", 192, (1, 7)),
        Conv("branch7x7x3_3", 192, (7, 1)),
        Conv("branch7x7x3_4", 192, (3, 3), 2),
    )
    return Mixed(in_channels, [three, seven])


def _e(in_channels: int) -> Mixed:
    """8 x 8: kernels of 3 as rows and columns side by side."""
    three = (Conv("branch3x3_1", 384),)
    double = (Conv("branch3x3dbl_1", 448), Conv("branch3x3dbl_2", 384, (3, 3)))
    split = [
        (*begin, Conv(f"{name}{letter}", 384, kernel))
        for begin, name in ((three, "branch3x3_2"), (double, "branch3x3dbl_3"))
        for letter, kernel in (("a", (1, 3)), ("b", (3, 1)))
    ]
    return Mixed(in_channels, [(Conv("branch1x1", 320),), *split], (Conv("branch_pool", 192),))


class _Auxiliary(torch.nn.Module):
    """The head that a training hangs on in the middle; here it only takes its weights."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv0 = ConvUnit(in_channels, 128, (1, 1))
        self.conv1 = ConvUnit(128, 768, (5, 5))
        self.fc = torch.nn.Linear(768, IMAGENET_CLASSES)


class InceptionV3(torch.nn.Module):
    """Inception v3 up to its last features, for inference.

    Parameters
    ----------
    renormalise:
        The input is normalised by the mean and deviation of other networks, and is brought to this one's.
    auxiliary:
        Its weights come with those of the auxiliary head.
    """

    def __init__(self, *, renormalise: bool = False, auxiliary: bool = True) -> None:
        super().__init__()
        self._renormalise = renormalise
        self.Conv2d_1a_3x3 = ConvUnit(3, 32, (3, 3), stride=2)
        self.Conv2d_2a_3x3 = ConvUnit(32, 32, (3, 3))
        self.Conv2d_2b_3x3 = ConvUnit(32, 64, (3, 3), padding=(1, 1))
        self.Conv2d_3b_1x1 = ConvUnit(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = ConvUnit(80, 192, (3, 3))
        fine = {"5b": _a(192, 32), "5c": _a(256, 64), "5d": _a(288, 64), "6a": _b(288)}
        middle = {"6b": _c(768, 128), "6c": _c(768, 160), "6d": _c(768, 160), "6e": _c(768, 192)}
        for name, block in {**fine, **middle}.items():
            self.add_module(f"Mixed_{name}", block)
        if auxiliary:
            self.AuxLogits = _Auxiliary(768)
        for name, block in {"7a": _d(768), "7b": _e(1280), "7c": _e(2048)}.items():
            self.add_module(f"Mixed_{name}", block)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Features ``(batch, 2048)`` of images ``(batch, 3, x, y)``."""
        if self._renormalise:
            mean, deviation = (image.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_SD))
            image = (image * deviation + mean - 0.5) / 0.5
        image = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(image)))
        image = functional.max_pool2d(image, 3, stride=2)
        image = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(image))
        image = functional.max_pool2d(image, 3, stride=2)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                image = block(image)
        return functional.adaptive_avg_pool2d(image, 1).flatten(1)
