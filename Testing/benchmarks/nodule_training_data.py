"""Makes the training data of the demonstration detector: formula-made lungs with inserted nodules, and their table.

::

    python Testing/benchmarks/nodule_training_data.py FOLDER --scans 60 --validation 8
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "SlicerCNNSeg")]

from lung_backgrounds import lung_background, scanned  # noqa: E402
from nodule_scans import Scan, scan_with_nodules, write_scan, write_table  # noqa: E402

SEED = 20_000
"""The first scan's; the benchmark's test scans begin elsewhere."""


def make_scan(seed: int, count: int) -> Scan:
    """A formula-made lung with about ``count`` nodules, as a scanner would show it."""
    rng = np.random.default_rng(seed)
    background = lung_background(rng)
    scan = scan_with_nodules(
        background.volume, background.lung, rng, count, noise_hu=3.0, blur_mm=float(rng.uniform(0.3, 0.7))
    )
    return replace(scan, volume=scanned(scan.volume, rng))


def main() -> None:
    """Make the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scans", type=int, default=60)
    parser.add_argument("--first", type=int, default=0, help="number of the first scan, to go on or to share the work")
    parser.add_argument("--validation", type=int, default=8, help="of these, held out to choose the weights by")
    parser.add_argument("--nodules", type=int, default=7, help="in each scan")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(options.first, options.first + options.scans):
        name, split = f"lung_{number:03d}", "validation" if number < options.validation else "train"
        scan = make_scan(SEED + number, options.nodules)
        write_scan(options.folder, name, scan)
        rows.append((name, split, scan.marks))
        write_table(options.folder / "nodules.csv", rows)
        print(name, len(scan.marks), flush=True)


if __name__ == "__main__":
    main()
