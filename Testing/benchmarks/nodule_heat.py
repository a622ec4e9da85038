"""Whether Grad-CAM of ``nodule-malignancy`` looks at the nodule, and whether its maps show what was learned.

Run, with folds of a run trained and evaluated (``docs/benchmarks.md`` has all commands)::

    CNNSEG_DATA=DATA python Testing/benchmarks/nodule_heat.py RUN [--layer LAYER]

For each malignant nodule that the network which had not seen its patient calls malignant: does the heat's centre of
mass lie inside the nodule, as at least two readers outlined it in that slice? By chance it would if it lay in the
window's middle, where every nodule is: that share is told as well. ``SANITY`` of the nodules are also compared with the
maps of five networks with random weights.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from image_folders import OUTLINED

from SlicerCNNSegLib.engine.evaluation.classification.intervals import share_interval
from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import ClassificationSettings
from SlicerCNNSegTrainLib.engine.results.classified import whole
from SlicerCNNSegTrainLib.engine.run_folder import FoldFolder, RunFolder

MALIGNANT = "malignant"
SANITY = 10
"""Every so many-th nodule of a fold is also compared with random networks, five to each."""


def middle_masks(data: Path) -> dict[str, np.ndarray]:
    """Of each nodule by its case: what was outlined in the slice that the network looks at, ``(j, i)``."""
    file = np.load(data / "lidc_nodules" / "lidc_nodules_64.npz")
    votes = file["votes"]
    return {
        f"{row['patient']}_{row['nodule']}": votes[row["first"] + row["n"] // 2] >= OUTLINED for row in file["table"]
    }


def centre_of_mass(heat: np.ndarray) -> tuple[int, int]:
    """Of a map ``(j, i)``, to the nearest voxel."""
    row, column = np.tensordot(np.indices(heat.shape), heat, axes=2) / heat.sum()
    return round(float(row)), round(float(column))


def look(fold: FoldFolder, masks: dict[str, np.ndarray], layer: str) -> tuple[list[bool], list[bool], list[float]]:
    """Of a fold's right calls: centre of heat inside, centre of the window inside; similarities."""
    inside, by_chance, similar = [], [], []
    malignant = [one for one in fold.images("held_out") if one.classes == (MALIGNANT,)]
    for number, one in enumerate(malignant):
        volume = read_volume(one.images[0])
        settings = ClassificationSettings(
            str(fold.model), device="cpu", precision="fp32", force=True, regions=(whole(volume),),
            explain="gradcam", explain_class=MALIGNANT, layer=layer, sanity=number % SANITY == 0,
        )  # fmt: skip
        result = run(settings, [volume])
        if result.rows()[0]["decided"] != [MALIGNANT]:
            continue
        heat = result.explanation.heat[volume.geometry.size_ijk[2] // 2]
        mask = masks[one.id]
        inside.append(bool(heat.any() and mask[centre_of_mass(heat)]))
        by_chance.append(bool(mask[mask.shape[0] // 2, mask.shape[1] // 2]))
        if result.explanation.similarity is not None:
            similar.append(result.explanation.similarity)
    return inside, by_chance, similar


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--layer", default="", help="default: the network's last features")
    options = parser.parse_args()
    masks = middle_masks(Path(os.environ["CNNSEG_DATA"]))
    inside, by_chance, similar = [], [], []
    for fold in RunFolder(options.run).folds:
        for all_folds, part in zip((inside, by_chance, similar), look(fold, masks, options.layer), strict=True):
            all_folds += part
    for words, found in (("the heat's centre of mass", inside), ("the window's middle", by_chance)):
        ends = share_interval(sum(found), len(found))
        print(
            f"{words} lies inside {sum(found)} of {len(found)} nodules: {np.mean(found):.1%} "
            f"({ends.low:.1%} to {ends.high:.1%})"
        )
    print(
        f"similarity to maps of random networks, {len(similar)} nodules: mean {np.mean(similar):.3f}, "
        f"median {np.median(similar):.3f}, below 0.3 in {np.mean(np.array(similar) < 0.3):.1%}"
    )


if __name__ == "__main__":
    main()
