"""Image files and tables of the data sets of classified images, as ``cnnseg-train`` reads them.

Run: ``CNNSEG_DATA=DATA python Testing/benchmarks/image_folders.py pneumonia|mednist|nodules OUT``. Writes the
images into ``OUT`` and their table ``OUT/images.csv``:

``pneumonia``  PneumoniaMNIST, 28 x 28, classes normal and pneumonia, divided as published (train, validation)
``mednist``    MedNIST, 64 x 64, six kinds, not divided
``nodules``    LIDC-IDRI, the five middle slices of each nodule, benign (malignancy 1-2) and malignant (4-5),
               with what a rating says for either; those rated 3 have no class and are only trained on;
               with patients, and as masks what at least two readers outlined. The data are 8-bit and without
               spacing: they are taken back to Hounsfield units, about, and given the spacing of a usual chest
               CT (``HU`` and ``SPACING_MM`` below)

Images without any contrast are left out (two of MedNIST), and so is what comes a second time, voxel for voxel.
"""

import csv
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import SimpleITK

SLICES = 5
"""Of each nodule: three that the network sees, and one more on each side for a training that moves along."""

CLASSES = {1: "benign", 2: "benign", 4: "malignant", 5: "malignant"}
"""Of a malignancy; 3 belongs to neither, and 0 is that of a nodule without a rating."""

MALIGNANT = {1: 0.05, 2: 0.15, 3: 0.5, 4: 0.85, 5: 0.95}
"""How much a rating ("highly unlikely" to "highly suspicious") is taken to speak for malignant, when training."""

HU = -1000.0, 1200.0
"""What 0 and 255 are taken for. The commonest values of lung and soft tissue, median over all nodules, are 15 and 118;
so they come to -871 and 18 HU, about what they are in any chest CT. Single nodules differ: soft tissue lies between 80
and 170 in nine of ten."""

SPACING_MM = 0.7, 0.7, 2.0
"""About the median of chest CTs; nothing in the data says which one a nodule had."""

Row = tuple[str, dict[str, SimpleITK.Image], dict[str, str]]
"""A file's name, the images of that name by folder ("" is the table's own), and the table's cells."""

MASKS, OUTLINED = "masks", 2
"""Folder of the masks, and readers that must have outlined a voxel."""


def pneumonia(data: Path) -> Iterator[Row]:
    """Images of PneumoniaMNIST; the published parts keep their names."""
    file = np.load(data / "pneumonia_xray" / "pneumonia_28.npz")
    for part, split in (("train", "train"), ("val", "validation")):
        for number, (image, label) in enumerate(zip(file[f"{part}_images"], file[f"{part}_labels"], strict=True)):
            name = f"{part}_{number:04d}.png"
            yield (
                name,
                {"": SimpleITK.GetImageFromArray(image)},
                {"class": ("normal", "pneumonia")[int(label[0])], "split": split},
            )


def mednist(data: Path) -> Iterator[Row]:
    """Images of MedNIST."""
    file = np.load(data / "mednist" / "mednist_6x300.npz")
    for number, (image, label) in enumerate(zip(file["images"], file["labels"], strict=True)):
        files = {"": SimpleITK.GetImageFromArray(image)}
        yield f"image_{number:04d}.png", files, {"class": str(file["classes"][label])}


def nodules(data: Path) -> Iterator[Row]:
    """The middle slices of each nodule with a rating."""
    file = np.load(data / "lidc_nodules" / "lidc_nodules_64.npz")
    images, outlined = file["images"], (file["votes"] >= OUTLINED).astype(np.uint8)
    for row in file["table"]:
        rating = int(row["malignancy"])
        if rating not in MALIGNANT:
            continue
        middle, last = row["n"] // 2, row["n"] - 1
        picked = np.clip(np.arange(SLICES) - SLICES // 2 + middle, 0, last) + row["first"]
        name, image = f"{row['patient']}_{row['nodule']}.nii.gz", chest_ct(images[picked])
        mask = SimpleITK.GetImageFromArray(outlined[picked])
        mask.CopyInformation(image)
        shares = {"share_benign": f"{1 - MALIGNANT[rating]:g}", "share_malignant": f"{MALIGNANT[rating]:g}"}
        cells = {"class": CLASSES.get(rating, ""), **shares, "patient": row["patient"], "mask": f"{MASKS}/{name}"}
        yield name, {"": image, MASKS: mask}, cells


def chest_ct(slices: np.ndarray) -> SimpleITK.Image:
    """Slices of 8 bits, ``(k, j, i)``, as a piece of a chest CT, see ``HU`` and ``SPACING_MM``."""
    low, high = HU
    image = SimpleITK.GetImageFromArray(np.round(low + (high - low) * slices / 255.0).astype(np.int16))
    image.SetSpacing(SPACING_MM)
    return image


SETS: dict[str, Callable[[Path], Iterator[Row]]] = {
    function.__name__: function for function in (pneumonia, mednist, nodules)
}


def write_folder(rows: Iterator[Row], output: Path) -> Path:
    """Write the images, slices last in the file's order, and the table; the table."""
    output.mkdir(parents=True, exist_ok=True)
    table = output / "images.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer: csv.DictWriter[str] | None = None
        seen: set[bytes] = set()
        for name, files, cells in rows:
            array = SimpleITK.GetArrayViewFromImage(files[""])
            if array.min() == array.max() or array.tobytes() in seen:
                continue
            seen.add(array.tobytes())
            for folder, image in files.items():
                (output / folder).mkdir(exist_ok=True)
                SimpleITK.WriteImage(image, str(output / folder / name))
            row = {"image": name, **cells}
            if writer is None:
                writer = csv.DictWriter(stream, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow(row)
    return table


def main() -> None:
    """Write the folder that the arguments name."""
    if len(sys.argv) != 3 or sys.argv[1] not in SETS:
        sys.exit(f"Expected {'|'.join(SETS)} and a folder, got {' '.join(sys.argv[1:]) or 'nothing'}.")
    print(write_folder(SETS[sys.argv[1]](Path(os.environ["CNNSEG_DATA"])), Path(sys.argv[2])))


if __name__ == "__main__":
    main()
