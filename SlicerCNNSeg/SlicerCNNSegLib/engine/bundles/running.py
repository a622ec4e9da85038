"""What the runs of bundles of all tasks share: the image as their transforms want it, and errors in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from monai.data import MetaTensor
from monai.data.utils import dense_patch_slices
from monai.inferers import SliceInferer, SlidingWindowInferer
from monai.transforms import Compose

from ..errors import CNNSegError, ModelError, OutOfMemoryError
from ..ladder import is_out_of_memory
from ..package import ModelPackage
from ..volume import Volume
from .faults import reason_of


def source_of(volume: Volume, k: int | None = None) -> MetaTensor:
    """The image as MONAI loads it, ``(channel, i, j, k)`` float32, or its slice ``k`` as ``(channel, i, j)``."""
    i, j, _ = volume.geometry.size_ijk
    part = volume if k is None else volume.cropped((0, 0, k), (i, j, k + 1))
    array = part.to_metatensor().as_tensor().float()
    source = MetaTensor(array if k is None else array[..., 0], affine=torch.from_numpy(part.ijk_to_ras.copy()))
    grid = tuple(source.shape[1:])
    source.meta |= {"original_affine": source.affine.clone(), "spatial_shape": grid, "space": "RAS"}
    return source


def prepared(preprocessing: Compose, source: MetaTensor, package: ModelPackage) -> tuple[dict[str, Any], MetaTensor]:
    """What a bundle's preprocessing makes of an image, and the image in it.

    Raises
    ------
    ModelError, OutOfMemoryError
        It fails.
    """
    assert package.bundle is not None  # nothing else comes here
    keys = package.bundle.image_keys
    alone = len(keys) == 1
    with Told(package.id, "preprocessing", tuple(source.shape[1:])):
        data = preprocessing({key: source if alone else source[[n]] for n, key in enumerate(keys)})
        return data, data["image" if "image" in data else keys[0]]


def applied(transforms: Compose, data: dict[str, Any]) -> dict[str, Any]:
    """What a chain of transforms makes of data, as the chain itself does, in less memory.

    ``data`` is emptied, so that what a step has worked on goes before the next one begins: scores of all classes of a
    volume are often the largest thing in memory.
    """
    if transforms.lazy or type(transforms) is not Compose:  # of others, such as OneOf, a chain is not all there is
        return dict(transforms(data))
    left = dict(data)
    data.clear()
    for step in transforms.flatten().transforms:
        left = step(left)
    return left


def count_batches(inferer: SlidingWindowInferer, size: tuple[int, ...]) -> int:
    """How often a network is called for an image of that size."""
    given: Any = inferer.roi_size
    window = list(given) if isinstance(given, list | tuple) else [given] * len(size)
    if isinstance(inferer, SliceInferer) and len(window) == len(size) - 1:
        window.insert(inferer.spatial_dim, 1)
    window = [int(w) if w and w > 0 else n for w, n in zip(window, size, strict=True)]
    overlaps = inferer.overlap if isinstance(inferer.overlap, list | tuple) else [inferer.overlap] * len(size)
    padded = [max(n, w) for n, w in zip(size, window, strict=True)]
    steps = [w if w == n else max(1, int(w * (1 - o))) for n, w, o in zip(padded, window, overlaps, strict=True)]
    return math.ceil(len(dense_patch_slices(padded, window, steps)) / inferer.sw_batch_size)


@dataclass(frozen=True)
class Told:
    """Makes what MONAI and torch raise inside of a bundle's own parts an error of the model.

    Parameters
    ----------
    model:
        The bundle's id.
    what:
        The part: ``network``, whose lack of memory the memory ladder sees to, or another.
    shape:
        Of the image.
    """

    model: str
    what: str
    shape: tuple[int, ...]

    def __enter__(self) -> None:
        """Nothing is needed."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, CNNSegError):
            return
        if is_out_of_memory(error):
            if self.what == "network":
                return  # the memory ladder knows what to do
            raise OutOfMemoryError(
                f"Memory ran out in the {self.what} of {self.model} on an image of {self.shape}; restrict the run to a "
                "region (--roi), or use a machine with more memory."
            ) from error
        raise ModelError(
            f"The {self.what} of {self.model} fails on an image of {self.shape}: {reason_of(error)}; "
            "run it on an image as those that it was made for."
        ) from error
