"""What a classifier's folder says beyond ``package.py``: its classes, and how their scores become probabilities.

In ``configs/metadata.json``, block ``cnnseg``: ``classes``, a list of objects with ``name`` and, as wanted,
``code`` (``[scheme, value, meaning]``); ``multi_label``, true where classes don't exclude each other; both are
read by ``package.py``. In ``configs/inference.json``, block ``cnnseg``, which the model's checksum covers:
``slices`` (0 for a 3-D network, 1 for a 2-D one, an odd number more for one that takes neighbouring slices as
channels), ``mirror_axes``, ``temperature``, by which scores are divided (Guo et al. 2017, arXiv:1706.04599), and, as
the trainer measured them, ``fingerprint`` and ``familiarity``, a list with an entry for each weights file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import ModelError, SettingsError
from ..labels import ClassLabel
from ..package import OWN_BLOCK, ModelPackage
from .familiarity import Familiarity
from .fingerprint import Fingerprint

TASK = "classification"


@dataclass(frozen=True)
class ClassificationModel:
    """A classifier as plain data.

    Parameters
    ----------
    package:
        Its folder.
    classes:
        In the order of the network's scores.
    multi_label:
        Each class is there or not, whatever the others are.
    temperature:
        Scores are divided by it.
    slices:
        0 for a 3-D network; 1 for a 2-D one; 3, 5, ... neighbouring slices as channels of a 2-D one.
    mirror_axes:
        Network axes along which test-time augmentation reverses the image.
    quarter_turns:
        Whether test-time augmentation also turns it by 90 degrees, around the third axis.
    always_averaged:
        Whether its probabilities are those of the mean over test-time augmentation, asked for or not.
    fingerprint:
        What its training images looked like; None where nobody measured it.
    familiarity:
        Of each network's features; empty where nobody measured them.
    """

    package: ModelPackage
    classes: tuple[ClassLabel, ...]
    multi_label: bool = False
    temperature: float = 1.0
    slices: int = 0
    mirror_axes: tuple[int, ...] = ()
    quarter_turns: bool = False
    always_averaged: bool = False
    fingerprint: Fingerprint | None = None
    familiarity: tuple[Familiarity, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(label.name for label in self.classes)

    @classmethod
    def of(cls, package: ModelPackage) -> ClassificationModel:
        """Read what a folder says.

        Raises
        ------
        SettingsError
            The model is for another task.
        ModelError
            A value is missing or makes no sense.
        """
        if package.task != TASK:
            raise SettingsError(f"The model {package.id} is for {package.task}; choose one for classification.")
        running = package.inference.get(OWN_BLOCK, {})
        fingerprint = running.get("fingerprint")
        try:
            model = cls(
                package,
                package.classes,
                package.multi_label,
                float(running.get("temperature", 1.0)),
                int(running.get("slices", 1 if package.bundle is not None and package.bundle.flat else 0)),
                tuple(int(axis) for axis in running.get("mirror_axes", ())),
                bool(running.get("quarter_turns", False)),
                bool(running.get("always_averaged", False)),
                None if fingerprint is None else Fingerprint.from_json(fingerprint),
                tuple(Familiarity.from_json(one) for one in running.get("familiarity", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"The model {package.id} has a wrong value in the block cnnseg of configs/inference.json: {error}."
            ) from error
        model._check()
        return model

    def _check(self) -> None:
        least = 1 if self.multi_label else 2
        if len(set(self.names)) != len(self.names) or len(self.names) < least or "" in self.names:
            raise ModelError(
                f"The model {self.package.id} needs at least {least} classes whose names differ, "
                f"got {', '.join(self.names) or 'none'}."
            )
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ModelError(f"The model {self.package.id} needs a temperature above 0, got {self.temperature:g}.")
        if self.familiarity and len(self.familiarity) != len(self.package.weights_files):
            raise ModelError(
                f"The model {self.package.id} has {len(self.package.weights_files)} weights files and familiarity of "
                f"{len(self.familiarity)}; correct configs/inference.json."
            )
        axes = 2 if self.slices else 3
        if self.slices < 0 or (self.slices and self.slices % 2 == 0) or not set(self.mirror_axes) <= set(range(axes)):
            raise ModelError(
                f"The model {self.package.id} needs 0 or an odd number of slices and mirror_axes below {axes}, "
                f"got {self.slices} and {list(self.mirror_axes)}."
            )
        if self.quarter_turns and not {0, 1} <= set(self.mirror_axes):
            raise ModelError(
                f"The model {self.package.id} has quarter_turns, which need 0 and 1 among the mirror_axes, got "
                f"{list(self.mirror_axes)}; correct configs/inference.json."
            )
