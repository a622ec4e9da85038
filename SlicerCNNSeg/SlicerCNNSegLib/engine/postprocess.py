"""Clean-up of a labelmap: largest component, small pieces, holes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from .errors import ModelError

FULL_CONNECTIVITY = np.ones((3, 3, 3), bool)
"""26-neighbourhood: thin oblique structures stay one piece."""


@dataclass(frozen=True)
class Postprocessing:
    """A model's clean-up, as data.

    Parameters
    ----------
    largest_component:
        Keep each structure's largest piece only.
    minimum_volume_mm3:
        Remove pieces below this volume.
    fill_holes:
        Fill background that a structure encloses.
    """

    largest_component: bool = False
    minimum_volume_mm3: float = 0.0
    fill_holes: bool = False

    @classmethod
    def from_config(cls, inference: Mapping[str, Any]) -> Postprocessing:
        """From the ``cnnseg.postprocess`` block of ``configs/inference.json``.

        Raises
        ------
        ModelError
            A key is unknown.
        """
        config = inference.get("cnnseg", {}).get("postprocess", {})
        try:
            return cls(**config)
        except TypeError as error:
            known = ", ".join(cls.__dataclass_fields__)
            raise ModelError(f"Unknown post-processing in {dict(config)}: expected {known}.") from error

    def apply(self, labelmap: np.ndarray, voxel_volume_mm3: float) -> np.ndarray:
        """A cleaned copy of ``labelmap`` (k, j, i); structures never grow over one another."""
        cleaned = labelmap.copy()
        if not (self.largest_component or self.minimum_volume_mm3 > 0 or self.fill_holes):
            return cleaned
        for value, box in enumerate(ndimage.find_objects(labelmap), start=1):
            if box is None:
                continue
            view = cleaned[box]
            mask = self._without_small_pieces(labelmap[box] == value, voxel_volume_mm3)
            view[(view == value) & ~mask] = 0
            if self.fill_holes:
                view[ndimage.binary_fill_holes(mask) & (view == 0)] = value
        return cleaned

    def _without_small_pieces(self, mask: np.ndarray, voxel_volume_mm3: float) -> np.ndarray:
        if not (self.largest_component or self.minimum_volume_mm3 > 0):
            return mask
        pieces, count = ndimage.label(mask, FULL_CONNECTIVITY)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        sizes[0] = 0
        keep = sizes * voxel_volume_mm3 >= self.minimum_volume_mm3
        if self.largest_component:
            keep &= np.arange(count + 1) == sizes.argmax()
        keep[0] = False
        kept: np.ndarray = keep[pieces]
        return kept
