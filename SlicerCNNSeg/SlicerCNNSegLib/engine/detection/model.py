"""What a detector's folder says beyond ``package.py``.

In ``configs/inference.json``, block ``cnnseg``, which the model's checksum covers: ``anchors`` (edges in voxels of
network space, by level), ``threshold`` (the score from which on a candidate is a finding), ``candidate_score`` (below
it nothing is kept) and ``merge_overlap`` (intersection over union from which on two boxes are one); as wanted,
``mirror_axes``, along which it was trained with mirroring, and ``always_averaged``, where boxes are always fused over
these, and the threshold is for that. The window and its overlap stand in ``inferer``, as MONAI has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ModelError, SettingsError
from ..mirrorings import mirrorings
from ..package import OWN_BLOCK, ModelPackage

TASK = "detection"


@dataclass(frozen=True)
class DetectionModel:
    """A detector as plain data.

    Parameters
    ----------
    package:
        Its folder.
    anchors:
        Edges in voxels, as ``anchors.as_levels`` takes them.
    threshold, candidate_score, merge_overlap, mirror_axes, always_averaged:
        See the top of this file; axes are network space's, 0 to 2.
    window:
        Voxels along network space's axes.
    overlap:
        Share of a window that its neighbour covers.
    """

    package: ModelPackage
    anchors: Any
    threshold: float
    candidate_score: float
    merge_overlap: float
    window: tuple[int, int, int]
    overlap: float
    mirror_axes: tuple[int, ...] = ()
    always_averaged: bool = False

    @classmethod
    def of(cls, package: ModelPackage) -> DetectionModel:
        """Read what a folder says.

        Raises
        ------
        SettingsError
            The model is for another task.
        ModelError
            A value is missing or makes no sense.
        """
        if package.task != TASK:
            raise SettingsError(f"The model {package.id} is for {package.task}; choose one for detection.")
        if len(package.channels) != 1 or len(package.labels) != 1:
            raise ModelError(f"The model {package.id} needs one channel and one label: what it finds.")
        inferer: Mapping[str, Any] = package.inference.get("inferer", {})
        own: Mapping[str, Any] = package.inference.get(OWN_BLOCK, {})
        try:
            x, y, z = (int(n) for n in inferer["roi_size"])
            model = cls(
                package,
                own["anchors"],
                float(own["threshold"]),
                float(own["candidate_score"]),
                float(own["merge_overlap"]),
                (x, y, z),
                float(inferer.get("overlap", 0.25)),
                tuple(int(axis) for axis in own.get("mirror_axes", ())),
                bool(own.get("always_averaged", False)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"The model {package.id} lacks a value in configs/inference.json, or has a wrong one: {error}."
            ) from error
        shares = {"threshold": model.threshold, "candidate_score": model.candidate_score}
        for name, value in {**shares, "merge_overlap": model.merge_overlap, "overlap": model.overlap}.items():
            if not 0 <= value < 1:
                raise ModelError(f"The model {package.id} needs {name} from 0 to below 1, got {value}.")
        if model.threshold < model.candidate_score:
            raise ModelError(f"The model {package.id} needs a candidate_score up to its threshold, {model.threshold}.")
        if not set(model.mirror_axes) <= {0, 1, 2}:
            raise ModelError(f"The model {package.id} needs mirror_axes out of 0, 1, 2, got {list(model.mirror_axes)}.")
        return model

    def mirrorings(self, mirror: bool) -> tuple[tuple[int, ...], ...]:
        """The sets of axes along which an image is reversed for a pass, when this is asked for or not."""
        return mirrorings(self.mirror_axes if mirror or self.always_averaged else ())
