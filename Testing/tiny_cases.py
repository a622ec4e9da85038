"""Images and a runner for tests of cohorts and of the command line: a bright box, found by a threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SlicerCNNSegLib.engine.catalogue import find_model
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.progress import Progress
from SlicerCNNSegLib.engine.result import RunRecord, SegmentationResult
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume

BLOB_VOXELS = 6 * 7 * 8
VOXEL_MM3 = 1.0 * 1.0 * 2.0


def write_image(path: Path, array: np.ndarray, spacing_mm: Sequence[float] = (1.0, 1.0, 2.0)) -> Path:
    """Write an array (k, j, i) as an image file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(s) for s in spacing_mm[: array.ndim]])
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def blob_array(seed: int = 0) -> np.ndarray:
    """Shape (20, 22, 24), noise with a box of ``BLOB_VOXELS`` bright voxels."""
    array = np.random.default_rng(seed).normal(0, 0.5, (20, 22, 24)).astype(np.float32)
    array[6:12, 8:15, 10:18] += 100
    return array


def write_blob(path: Path, seed: int = 0) -> Path:
    """Write such an image."""
    return write_image(path, blob_array(seed))


def files_in(folder: Path) -> list[str]:
    """Names of all files in a folder, hidden ones too; none when it is not there."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


class FakeRunner:
    """Runs a threshold instead of a network, and keeps what it was asked.

    Parameters
    ----------
    fail:
        Called with the volume before it is run; raises what the test wants.
    """

    def __init__(self, fail: Callable[[Volume], object] = lambda volume: None) -> None:
        self.fail = fail
        self.calls: list[tuple[SegmentationSettings, tuple[Volume, ...]]] = []

    def __call__(
        self, settings: SegmentationSettings, volumes: Sequence[Volume], progress: Progress
    ) -> SegmentationResult:
        """Label 1 where the first channel is over 50."""
        self.calls.append((settings, tuple(volumes)))
        progress.report(0.5, "Thresholding")
        volume = volumes[0]
        self.fail(volume)
        package = find_model(settings.model)
        record = RunRecord(
            task="segmentation",
            model_id=package.id,
            model_version=package.version,
            model_sha256=package.sha256,
            settings=settings.to_json(),
            device="cpu",
            precision="fp32",
            versions={},
            inputs=(),
            seconds={"network": 0.0},
            warnings=tuple(volume.notes),
            started="2026-01-01T00:00:00+00:00",
        )
        labels = (Label(1, "Blob", (1.0, 0.5, 0.0)),)
        return SegmentationResult((volume.array[0] > 50).astype(np.uint8), volume.geometry, labels, record)
