"""How much better one model's Dice is than another's on the same cases, from two evaluation files.

Run: ``python Testing/benchmarks/paired_dice.py FIRST.json SECOND.json``, files that ``cnnseg evaluate
segmentation`` wrote. A case's Dice is the mean over its labels. Prints both means and the mean of
first - second with its 95 % paired bootstrap interval, for all labels and for each.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from SlicerCNNSegLib.engine.evaluation.statistics import paired_difference_interval


def dice_of(path: Path) -> dict[str, dict[str, float]]:
    """Case to Dice of each label, ``mean`` first; references without a prediction are left out."""
    cases = [case for case in json.loads(path.read_text(encoding="utf-8"))["cases"] if case["status"] != "missing"]
    if odd := [case["case"] for case in cases if case["status"] != "compared"]:
        sys.exit(f"{path}: expected cases that could be compared, got {len(odd)} others (first: {odd[0]}).")
    table = {}
    for case in cases:
        dice = {value: metrics["dice"] for value, metrics in case["labels"].items()}
        table[case["case"]] = {"mean": float(np.mean(list(dice.values())))} | dice
    return table


def compare(first: Mapping[str, Mapping[str, float]], second: Mapping[str, Mapping[str, float]]) -> None:
    """Print the comparison; both must have the same cases."""
    if first.keys() != second.keys():
        sys.exit(f"Expected the same cases, got {len(first.keys() ^ second.keys())} that only one has.")
    print(f"{len(first)} cases")
    for name in next(iter(first.values())):
        one, other = ([table[case][name] for case in first] for table in (first, second))
        interval = paired_difference_interval(one, other)
        span = f"[{interval.low:+.4f}, {interval.high:+.4f}]" if interval else "of one case"
        print(f"{name:>5}  {np.mean(one):.4f}  {np.mean(other):.4f}  {np.mean(one) - np.mean(other):+.4f} {span}")


if __name__ == "__main__":
    compare(*map(dice_of, map(Path, sys.argv[1:3])))
