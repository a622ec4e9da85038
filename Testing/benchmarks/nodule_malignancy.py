"""How good ``nodule-malignancy`` is against the nodule's size alone, how honest, and whether Hounsfield units matter.

Run, with folds of a run trained and evaluated (``docs/benchmarks.md`` has all commands)::

    CNNSEG_DATA=DATA python Testing/benchmarks/nodule_malignancy.py [RUN] [--against OTHER_RUN]

Without RUN it tells what size alone achieves on all nodules; with OTHER_RUN, of the same table and folds, how both
differ. Each nodule is judged by the one network that had not
seen its patient. ``size`` is what a reader who looks at nothing else would go by: the voxels that at least two readers
outlined, over all slices, or in the largest one. AUCs of one fold are averaged; the intervals and the paired test are
DeLong's over all nodules, with those of a patient together.
"""

import argparse
import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from image_folders import CLASSES, OUTLINED

from SlicerCNNSegLib.engine.evaluation.classification.calibration import expected_calibration_error
from SlicerCNNSegLib.engine.evaluation.classification.delong import auc_difference, auc_with_covariance
from SlicerCNNSegLib.engine.evaluation.statistics import Interval, mean_interval
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.package import ModelPackage
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import ClassificationSettings
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegTrainLib.engine.results.classified import whole
from SlicerCNNSegTrainLib.engine.results.temperature import fit_temperature, scaled
from SlicerCNNSegTrainLib.engine.run_folder import FoldFolder, RunFolder

MALIGNANT = "malignant"
MAPPINGS = {
    "0..255 is -1000..1000 HU": (1000.0, -1000.0),
    "0..255 is -1000..1400 HU": (1400.0, -1000.0),
    "50 HU brighter": (1250.0, -950.0),
    "50 HU darker": (1150.0, -1050.0),
}
"""Highest and lowest Hounsfield unit of other ways to read the 8 bits; the images were written with 1200 and -1000."""

WRITTEN = 1200.0, -1000.0


@dataclass(frozen=True)
class Judged:
    """The held-out nodules of all folds; arrays ``(nodule,)``."""

    cases: list[str]
    patients: np.ndarray
    folds: np.ndarray
    truth: np.ndarray
    probabilities: np.ndarray
    temperatures: list[float]


def judged(folds: list[FoldFolder]) -> Judged:
    """What the folds' evaluations left."""
    rows, number = [], []
    for fold in folds:
        with (fold.validation / "plain" / "probabilities.csv").open(encoding="utf-8", newline="") as stream:
            found = list(csv.DictReader(stream))
        rows += found
        number += [fold.number] * len(found)
    _, patients = np.unique([row["patient"] for row in rows], return_inverse=True)
    running = [ModelPackage.read(fold.model).inference["cnnseg"] for fold in folds]
    return Judged(
        [row["case"] for row in rows],
        patients,
        np.array(number),
        np.array([row["truth"] == MALIGNANT for row in rows]),
        np.array([float(row[f"probability_{MALIGNANT}"]) for row in rows]),
        [one["temperature"] for one in running],
    )


def sizes(data: Path) -> dict[str, dict[str, float]]:
    """Of each nodule by its case: outlined voxels in all slices, and in the largest."""
    file = np.load(data / "lidc_nodules" / "lidc_nodules_64.npz")
    votes, found = file["votes"], {}
    for row in file["table"]:
        areas = (votes[row["first"] : row["first"] + row["n"]] >= OUTLINED).sum(axis=(1, 2))
        found[f"{row['patient']}_{row['nodule']}"] = {"volume": float(areas.sum()), "area": float(areas.max())}
    return found


def tell_sizes(data: Path) -> None:
    """Print the AUCs of the sizes over all nodules that are benign or malignant."""
    table = np.load(data / "lidc_nodules" / "lidc_nodules_64.npz")["table"]
    rows = table[np.isin(table["malignancy"], list(CLASSES))]
    found, truth = sizes(data), np.array([CLASSES[int(row["malignancy"])] == MALIGNANT for row in rows])
    _, patients = np.unique(rows["patient"], return_inverse=True)
    for name in ("volume", "area"):
        scores = np.array([found[f"{row['patient']}_{row['nodule']}"][name] for row in rows])
        auc = auc_with_covariance(truth, scores[None], patients)
        print(f"size ({name}): {len(rows)} nodules, AUC {auc.values[0]:.4f}{_ends(auc.interval())}")


def tell_auc(found: Judged, size: Mapping[str, Mapping[str, float]]) -> None:
    """Print AUCs of the model and of the sizes, and their paired differences."""
    scores = {"model": found.probabilities}
    scores |= {f"size ({name})": np.array([size[case][name] for case in found.cases]) for name in ("volume", "area")}
    auc = auc_with_covariance(found.truth, np.stack(list(scores.values())), found.patients)
    for n, (name, values) in enumerate(scores.items()):
        each = [
            float(auc_with_covariance(found.truth[part], values[None, part]).values[0])
            for part in (found.folds == fold for fold in np.unique(found.folds))
        ]
        print(
            f"{name}: mean of the folds' AUCs {np.mean(each):.4f}{_ends(mean_interval(each))}, "
            f"{', '.join(f'{one:.3f}' for one in each)}; all together {auc.values[n]:.4f}{_ends(auc.interval(n))}"
        )
    for name, values in list(scores.items())[1:]:
        tell_difference(found, name, values)


def tell_difference(found: Judged, name: str, values: np.ndarray) -> None:
    """Print the paired test of the model's AUC against that of other values of the same nodules."""
    pair = auc_with_covariance(found.truth, np.stack([found.probabilities, values]), found.patients)
    test = auc_difference(pair)
    reach = 1.96 * test.standard_error
    print(
        f"model - {name}: {test.difference:+.4f} ({test.difference - reach:+.4f} to "
        f"{test.difference + reach:+.4f}), p = {test.p:.4f}"
    )


def tell_calibration(found: Judged) -> None:
    """Print the calibration error with each fold's own temperature, without, and with the other folds' temperature."""
    plain, other = np.empty(len(found.truth)), np.empty(len(found.truth))
    numbers = np.unique(found.folds)
    for fold, temperature in zip(numbers, found.temperatures, strict=True):
        part = found.folds == fold
        plain[part] = _with_temperature(found.probabilities[part], 1 / temperature)
    for fold in numbers:
        rest, part = found.folds != fold, found.folds == fold
        both = np.stack([1 - plain[rest], plain[rest]], axis=1)
        honest = fit_temperature(both, np.stack([~found.truth[rest], found.truth[rest]], axis=1), multi_label=False)
        other[part] = _with_temperature(plain[part], honest)
    for words, values in (
        ("each fold's own temperature", found.probabilities),
        ("the other folds' temperature", other),
        ("no temperature", plain),
    ):
        print(f"calibration error with {words}: {expected_calibration_error(found.truth, values):.4f}")


def tell_mappings(folds: list[FoldFolder], found: Judged) -> None:
    """Print how verdicts and AUC change when the images had been read with another mapping to Hounsfield units."""
    images = [(fold, one) for fold in folds for one in fold.images("held_out")]
    assert [one.id for _, one in images] == found.cases
    volumes = [read_volume(one.images[0]) for _, one in images]
    for words, (high, low) in MAPPINGS.items():
        values = []
        for (fold, _), volume in zip(images, volumes, strict=True):
            share = (volume.array.astype(np.float32) - WRITTEN[1]) / (WRITTEN[0] - WRITTEN[1])
            other = Volume(share * (high - low) + low, volume.ijk_to_ras)
            settings = ClassificationSettings(
                str(fold.model), device="cpu", precision="fp32", force=True, regions=(whole(other),)
            )
            result = run(settings, [other])
            values.append(result.rows()[0]["probabilities"][MALIGNANT])
        changed = np.mean((np.array(values) >= 0.5) != (found.probabilities >= 0.5))
        auc = auc_with_covariance(found.truth, np.array(values)[None]).values[0]
        print(f"{words}: {changed:.1%} of the verdicts change, AUC {auc:.4f}")


def _ends(interval: Interval | None) -> str:
    return f" ({interval.low:.4f} to {interval.high:.4f})" if interval else ""


def _with_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    both = np.stack([1 - probabilities, probabilities], axis=1)
    return np.asarray(scaled(both, temperature, multi_label=False)[:, 1])


def tell_run(folds: list[FoldFolder], data: Path) -> None:
    """Print all of a run."""
    found = judged(folds)
    print(f"{len(found.cases)} nodules of {len(set(found.patients))} patients, {found.truth.sum()} malignant")
    tell_auc(found, sizes(data))
    tell_calibration(found)
    tell_mappings(folds, found)


def main() -> None:
    """Print everything that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", nargs="?")
    parser.add_argument("--against", type=Path, metavar="OTHER_RUN")
    options = parser.parse_args()
    data = Path(os.environ["CNNSEG_DATA"])
    if options.run is None:
        tell_sizes(data)
    elif options.against is None:
        tell_run(RunFolder(options.run).folds, data)
    else:
        found, other = (judged(RunFolder(run).folds) for run in (options.run, options.against))
        assert found.cases == other.cases
        tell_auc(other, sizes(data))
        tell_difference(found, str(options.against), other.probabilities)


if __name__ == "__main__":
    main()
