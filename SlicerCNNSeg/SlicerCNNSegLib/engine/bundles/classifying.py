"""A classifier that others made, run on an image or on regions of it: its own transforms, network and activation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..device import AUTOCAST, choose_precision
from ..errors import GeometryError, ModelError, SettingsError
from ..inputs import check_voxels
from ..ladder import Rung
from ..package import ModelPackage
from ..parts import Stopwatch
from ..progress import Progress, advance
from ..settings import ClassificationSettings
from ..volume import Volume
from .reading import SIGMOID
from .running import Told, prepared, source_of
from .workflow import load_network, notes_on_trust, read_workflow

Box = tuple[tuple[int, int, int], tuple[int, int, int]]


class BundleClassifier:
    """Runs a bundle's preprocessing and network; ``warnings`` say what its user must know.

    Raises
    ------
    SettingsError
        Something is asked for that needs to know the network.
    ModelError
        A part of the bundle is of a kind that cannot be run.
    """

    def __init__(self, package: ModelPackage, settings: ClassificationSettings, stopwatch: Stopwatch) -> None:
        assert package.bundle is not None  # nothing else comes here
        if settings.explain or settings.dropout_samples:
            what = "heat maps" if settings.explain else "runs with dropout"
            raise SettingsError(f"There are no {what} of {package.id}, which others made; leave them out.")
        self._package, self._bundle, self._stopwatch = package, package.bundle, stopwatch
        self._precision = settings.precision
        workflow = read_workflow(package)
        self._preprocessing, self._inferer = workflow.preprocessing, workflow.inferer
        mirror = ["The bundle does not say along which axes it may be mirrored, so it was not."]
        self.warnings = [*notes_on_trust(package), *(mirror if settings.mirror else [])]

    def prepare(self, image: Volume, boxes: Sequence[Box]) -> None:
        """Bring the boxes of an image into the network's space; of each the middle slice for a 2-D network.

        Raises
        ------
        GeometryError
            A whole volume for a 2-D network, or a single slice for a 3-D one.
        InputError
            A box's voxels are all alike or not finite.
        """
        self._images = []
        for start, stop in boxes:
            part = image.cropped(start, stop)
            depth = part.geometry.size_ijk[2]
            check_voxels(self._package, part, 2 if self._bundle.flat else 3)
            if self._bundle.flat and depth > 1 and depth == image.geometry.size_ijk[2]:
                raise GeometryError(
                    f"The model {self._package.id} classifies single slices, but {image.source or 'the image'} has "
                    f"{depth}; name a region (--roi, --roi-ras): its middle slice is classified."
                )
            source = source_of(part, depth // 2 if self._bundle.flat else None)
            self._images.append(prepared(self._preprocessing, source, self._package)[1])

    def probabilities(self, rung: Rung, progress: Progress) -> np.ndarray:
        """Of each box and class, float64 ``(box, class)``.

        Raises
        ------
        ModelError
            The weights don't fit, or the network fails or gives more or fewer classes than the metadata name.
        """
        with self._stopwatch.stage("load model"):
            advance(progress, 0.0, "Loading the model")
            network, notes = load_network(self._package, rung.device)
            self.warnings += [note for note in notes if note not in self.warnings]
        kind = AUTOCAST[choose_precision(self._precision, rung.device)]
        autocast = torch.autocast(rung.device.type, kind, enabled=kind is not None)
        rows = []
        for number, image in enumerate(self._images):
            advance(progress, 0.1 + 0.9 * number / len(self._images), "Running the network")
            batch, shape = image.as_tensor().to(rung.device)[None], tuple(image.shape)
            told = Told(self._package.id, "network", shape)
            with self._stopwatch.stage("network"), torch.inference_mode(), autocast, told:
                scores = torch.as_tensor(self._inferer(batch, network)).double()
            rows.append(self._checked(scores, shape))
        return np.concatenate(rows)

    def _checked(self, scores: torch.Tensor, shape: tuple[int, ...]) -> np.ndarray:
        expected = (1, len(self._package.classes))
        if scores.shape != expected:
            raise ModelError(
                f"The network of {self._package.id} gives scores of shape {tuple(scores.shape)} for an image of "
                f"{shape}, but its metadata's channel_def asks for {expected}; correct configs/metadata.json."
            )
        activated = scores.sigmoid() if self._bundle.activation == SIGMOID else scores.softmax(1)
        return np.asarray(activated.cpu().numpy())
