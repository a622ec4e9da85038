"""How many inserted nodules a detector finds in backgrounds that its training never saw; their places and volumes.

Two kinds of background: lungs made by formulas from other seeds than the training's, and one real chest CT
(``pulmonary_ct_cropped.nii.gz`` of TotalSegmentator's samples, 1.5 mm), in which nodules are inserted anew for each
scan. Everything goes through the engine's front door; LUNA16's rules judge it::

    python Testing/benchmarks/nodule_detection.py MODEL -o OUT --made 12 --real 8

OUT gets ``made/``, ``real/`` and, of both together, ``all/`` with annotations, predictions and ``evaluation.json``, and
``summary.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / name) for name in ("Testing", "Testing/benchmarks", "SlicerCNNSeg", "SlicerCNNSegTrain")]

from nodule_scans import Mark, Scan, scan_with_nodules  # noqa: E402
from nodule_training_data import make_scan  # noqa: E402

from SlicerCNNSegLib.engine.evaluation.detection.tables import Points  # noqa: E402
from SlicerCNNSegLib.engine.files.images import read_volume  # noqa: E402
from SlicerCNNSegLib.engine.findings.boxes import marks_of  # noqa: E402
from SlicerCNNSegLib.engine.findings.finding import Finding  # noqa: E402
from SlicerCNNSegLib.engine.findings.lungs import find_lungs  # noqa: E402
from SlicerCNNSegLib.engine.progress import NoProgress  # noqa: E402
from SlicerCNNSegLib.engine.run import run  # noqa: E402
from SlicerCNNSegLib.engine.settings import NONE, DetectionSettings  # noqa: E402
from SlicerCNNSegTrainLib.engine.data.cases import Mark as TableMark  # noqa: E402
from SlicerCNNSegTrainLib.engine.data.cases import MarkedImage  # noqa: E402
from SlicerCNNSegTrainLib.engine.results.detected import judge_marks, summarise  # noqa: E402

SEED = 90_000
"""Of the first test scan; those of training begin at 20,000 and are a few hundred."""

NODULES = 7
REAL = "totalsegmentator_samples/pulmonary_ct_cropped.nii.gz"
ERRORS = ("centre_error_mm", "centre_error_voxels", "volume_error")
SIZES_MM = ((0, 6), (6, 8), (8, 12), (12, 20), (20, 40))
REAL_NOISE_HU, REAL_BLUR_MM = 20.0, 0.5
"""About what the lung of that image has."""


def made_scans(count: int) -> Iterator[Scan]:
    """Formula-made lungs."""
    for number in range(count):
        yield make_scan(SEED + number, NODULES)


def real_scans(count: int) -> Iterator[Scan]:
    """The real CT, with other nodules each time."""
    volume = read_volume(Path(os.environ.get("CNNSEG_DATA", ROOT.parent / "shared" / "data")) / REAL)
    lung = find_lungs(volume).mask
    for number in range(count):
        rng = np.random.default_rng(SEED + 1000 + number)
        yield scan_with_nodules(volume, lung, rng, NODULES, noise_hu=REAL_NOISE_HU, blur_mm=REAL_BLUR_MM)


@dataclass
class Judged:
    """Scans with their nodules, what was found in each, and the numbers."""

    images: list[MarkedImage]
    found: list[Points]
    numbers: dict[str, Any]


def judged(model: str, scans: Iterator[Scan], folder: Path, count: int) -> Judged:
    """The numbers on these scans, and the tables in a folder."""
    images, found, rows = [], [], []
    for number, scan in enumerate(scans):
        name = f"{folder.name}_{number:03d}"
        result = run(DetectionSettings(model, malignancy=NONE), [scan.volume], NoProgress())
        marks = marks_of(name, [one.box for one in result.candidates], [one.score for one in result.candidates])
        found.append(marks)
        images.append(MarkedImage(name, (), tuple(map(_as_table, scan.marks)), name))
        finest_mm = float(scan.volume.geometry.spacing_mm.min())
        rows += [{"scan": name, **_nodule(mark, marks, result.candidates, finest_mm)} for mark in scan.marks]
        print(f"{name}: {len(scan.marks)} nodules, {len(marks)} candidates ({number + 1} of {count})", flush=True)
    report, numbers = _numbers(folder, images, found)
    (folder / "nodules.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    threshold = numbers["threshold_at_1_false_positive"]
    medians = {key: [row[key] for row in rows if row[key] is not None] for key in ERRORS}
    numbers |= {
        **{f"median_{key}": round(float(np.median(values)), 3) for key, values in medians.items() if values},
        "found_at_1_false_positive": {f"{low}-{high} mm": _share(rows, low, high, threshold) for low, high in SIZES_MM},
        "sensitivity_without_limit": round(report["counts"]["found"] / report["counts"]["nodules"], 4),
    }
    return Judged(images, found, numbers)


def _numbers(folder: Path, images: Sequence[MarkedImage], found: list[Points]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The report, which is also left in the folder, and what of it is told."""
    folder.mkdir(parents=True, exist_ok=True)
    report = judge_marks(folder, images, _joined(found), NoProgress())
    told = {"scans": len(images), **summarise(report), "threshold_at_1_false_positive": _threshold(report)}
    return report, told


def _nodule(mark: Mark, marks: Points, candidates: Sequence[Finding], finest_mm: float) -> dict[str, Any]:
    """A nodule and the best candidate within it, whose values are None where there is none."""
    row = {"kind": mark.kind, "touching": mark.touching, "diameter_mm": mark.diameter_mm, "score": None}
    row |= dict.fromkeys(ERRORS)
    away = np.linalg.norm(marks.center_mm - mark.center_lps_mm, axis=1)
    inside = np.flatnonzero(away < mark.diameter_mm / 2)
    if not len(inside):
        return row
    best = int(inside[np.argmax(marks.value[inside])])
    row |= {"score": float(marks.value[best]), "centre_error_mm": float(away[best])}
    row["centre_error_voxels"] = float(away[best]) / finest_mm
    measured = candidates[best].measurements
    if measured is not None:
        true_mm3 = np.pi / 6 * mark.diameter_mm**3
        row["volume_error"] = abs(measured.volume_mm3 - true_mm3) / true_mm3
    return row


def _share(rows: Sequence[Mapping[str, Any]], low: float, high: float, threshold: float | None) -> str:
    """How many of the nodules of that size have a candidate of that score, as ``found of all``."""
    scores = [row["score"] or 0.0 for row in rows if low <= row["diameter_mm"] < high]
    return f"{sum(score >= (threshold or 0.0) for score in scores)} of {len(scores)}"


def _threshold(report: dict[str, Any]) -> float | None:
    """The lowest score at which there is at most one false positive per scan."""
    curve = report["froc"]["curve"]
    low = [t for rate, t in zip(curve["false_positives_per_scan"], curve["threshold"], strict=True) if rate <= 1 and t]
    return round(min(low), 3) if low else None


def _as_table(mark: Mark) -> TableMark:
    x, y, z = mark.center_lps_mm
    return TableMark((-x, -y, z), mark.diameter_mm)


def _joined(parts: list[Points]) -> Points:
    return Points(
        tuple(name for part in parts for name in part.series),
        np.concatenate([part.center_mm for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.size_mm for part in parts if part.size_mm is not None]),
    )


def main() -> None:
    """Judge a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--made", type=int, default=12)
    parser.add_argument("--real", type=int, default=8)
    options = parser.parse_args()
    summary: dict[str, Any] = {"model": options.model}
    parts = []
    for name, count, scans in (("made", options.made, made_scans), ("real", options.real, real_scans)):
        if count:
            parts.append(judged(options.model, scans(count), options.output / name, count))
            summary[name] = parts[-1].numbers
    images, found = ([one for part in parts for one in getattr(part, name)] for name in ("images", "found"))
    _, summary["all"] = _numbers(options.output / "all", images, found)
    text = json.dumps(summary, indent=1)
    (options.output / "summary.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
