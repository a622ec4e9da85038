"""Makes the training data of the demonstration detector: lungs with inserted nodules, and their table.

Most lungs are made by formulas; some are one real body CT (``example_ct.nii.gz`` of TotalSegmentator's samples, 3 mm),
with other nodules in each scan::

    CNNSEG_DATA=DATA python Testing/benchmarks/nodule_training_data.py FOLDER
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "SlicerCNNSeg")]

from lung_backgrounds import lung_background, scanned  # noqa: E402
from nodule_scans import Mark, Scan, scan_with_nodules, write_scan, write_table  # noqa: E402

from SlicerCNNSegLib.engine.files.images import read_volume  # noqa: E402
from SlicerCNNSegLib.engine.findings.lungs import find_lungs  # noqa: E402

SEED = 20_000
"""The first scan's; the benchmark's test scans begin elsewhere."""


PLANE_MM, SLICES_MM = (0.65, 0.9), (1.0, 1.25, 1.5, 2.0)
"""Spacings of thin-slice chest CT."""

RESAMPLED_MM, RESAMPLED_SHARE = 1.5, 0.25
"""Of collections that are handed out on one coarser grid, and how many scans are like them."""

SMALLNESS = 2.0
"""Of training's nodules: half are below 6.6 mm. The benchmark's are not drawn like that."""

REAL = "totalsegmentator_samples/example_ct.nii.gz"
REAL_SEED = 60_000
REAL_SMALLEST_MM, REAL_NOISE_HU, REAL_BLUR_MM = 6.0, 15.0, 0.8
"""Voxels of 3 mm show little of a smaller nodule."""


def make_scan(seed: int, count: int, smallness: float = 1.0, resampled_share: float = RESAMPLED_SHARE) -> Scan:
    """A formula-made lung with about ``count`` nodules, as a scanner would show it."""
    rng = np.random.default_rng(seed)
    plane = float(rng.uniform(*PLANE_MM))
    spacing_mm = plane, plane, float(rng.choice(SLICES_MM))
    if rng.random() < resampled_share:
        spacing_mm = (RESAMPLED_MM,) * 3
    background, blur_mm = lung_background(rng, spacing_mm), float(rng.uniform(0.3, 0.7))
    scan = scan_with_nodules(
        background.volume, background.lung, rng, count, noise_hu=3.0, blur_mm=blur_mm, smallness=smallness
    )
    return replace(scan, volume=scanned(scan.volume, rng))


def real_scan(seed: int, count: int) -> Scan:
    """The real body CT with about ``count`` nodules in its lungs."""
    volume = read_volume(Path(os.environ.get("CNNSEG_DATA", Path(__file__).parents[3] / "shared" / "data")) / REAL)
    return scan_with_nodules(
        volume,
        find_lungs(volume).mask,
        np.random.default_rng(seed),
        count,
        noise_hu=REAL_NOISE_HU,
        blur_mm=REAL_BLUR_MM,
        smallest_mm=REAL_SMALLEST_MM,
    )


def main() -> None:
    """Make the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scans", type=int, default=140)
    parser.add_argument("--first", type=int, default=0, help="number of the first scan, to go on or to share the work")
    parser.add_argument("--validation", type=int, default=4, help="of these, held out to choose the weights by")
    parser.add_argument("--nodules", type=int, default=12, help="in each scan")
    parser.add_argument("--resampled", type=float, default=RESAMPLED_SHARE, help="share of scans of 1.5 mm voxels")
    parser.add_argument("--real", type=int, default=12, help="scans of the real CT, after the others")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, str, Sequence[Mark]]] = []

    def add(name: str, split: str, scan: Scan) -> None:
        write_scan(options.folder, name, scan)
        rows.append((name, split, scan.marks))
        write_table(options.folder / "nodules.csv", rows)
        print(name, len(scan.marks), flush=True)

    for number in range(options.first, options.first + options.scans):
        name, split = f"lung_{number:03d}", "validation" if number < options.validation else "train"
        add(name, split, make_scan(SEED + number, options.nodules, SMALLNESS, options.resampled))
    for number in range(options.first, options.first + options.real):
        add(f"real_{number:03d}", "train", real_scan(REAL_SEED + number, options.nodules))


if __name__ == "__main__":
    main()
