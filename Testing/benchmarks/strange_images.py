"""How many strange images a classifier's two checks find, and how often they warn of its own held-out images.

Run: ``python Testing/benchmarks/strange_images.py MODEL TABLE [--count 100] [--split validation]``. TABLE is one that
the model was trained or validated on. Made of each of its images: noise of the same range, the image upside down, the
image in reversed brightness, its left half twice, and a blurred one. None of them is an image of the model's kind.
"""

import argparse
import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import ClassificationSettings
from SlicerCNNSegLib.engine.volume import Volume

BLUR_VOXELS = 4.0


def noise(array: np.ndarray) -> np.ndarray:
    """Uniform, of the image's range."""
    return np.random.default_rng(0).uniform(array.min(), array.max(), array.shape)


def half(array: np.ndarray) -> np.ndarray:
    """The left half and its mirror image."""
    middle = array.shape[-1] // 2
    return np.concatenate([array[..., :middle], array[..., :middle][..., ::-1]], axis=-1)


STRANGE: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda array: array,
    "noise": noise,
    "upside down": lambda array: array[..., ::-1, :],
    "reversed": lambda array: array.max() + array.min() - array,
    "half twice": half,
    "blurred": lambda array: gaussian_filter(array, (0, 0, BLUR_VOXELS, BLUR_VOXELS)),
}


def main() -> None:
    """Print a row for each kind: share with a warning of the fingerprint, and of the features; median novelty."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("table", type=Path, metavar="TABLE")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--split", default="")
    options = parser.parse_args()
    with options.table.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if not options.split or row["split"] == options.split]
    some = rows[:: max(1, len(rows) // options.count)]
    settings = ClassificationSettings(options.model, device="cpu", precision="fp32", force=True)
    volumes = [read_volume(options.table.parent / row["image"]) for row in some]
    for name, change in STRANGE.items():
        results = [
            run(settings, [Volume(np.ascontiguousarray(change(one.array.astype(np.float32))), one.ijk_to_ras)])
            for one in volumes
        ]
        before = np.mean([any(text.startswith("Unlike") for text in one.record.warnings) for one in results])
        novelty = np.array([one.predictions[0].novelty for one in results])
        after, median = np.mean(novelty > 1), np.median(novelty)
        print(f"{name:>12}: before the run {before:.0%}, after it {after:.0%}, novelty {median:.2f}")


if __name__ == "__main__":
    main()
