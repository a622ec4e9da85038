"""OpenKBP's head-and-neck CTs as a Decathlon folder: HU and the five structures that every case has.

Run: ``CNNSEG_DATA=DATA python Testing/benchmarks/openkbp_folder.py OUT``; ``DATA/openkbp`` is read. Writes
``OUT/imagesTr``, ``OUT/labelsTr`` and ``OUT/dataset.json`` on the grids as stored. Esophagus and larynx
become background: they are contoured in some cases only, and are no targets here.
"""

import json
import os
import sys
from pathlib import Path

import SimpleITK

AIR = 1000
"""What is stored for 0 HU. The commonest largest values, 3976 and 4071, are then 2976 and 3071 HU, the ends of
scales of 4000 and of 12 bits; the brainstem's median over all cases is 29 HU, that of fat about -90."""

STRUCTURES = ("Brainstem", "Spinal cord", "Right parotid", "Left parotid", "Mandible")
VALUES = {5: 0, 6: 0, 7: 5}
"""Stored label value to new one, where they differ: esophagus, larynx, mandible."""

RIGHT, LEFT = 3, 4


def main() -> None:
    """Convert all cases, the data set's own division aside."""
    source, output = Path(os.environ["CNNSEG_DATA"]) / "openkbp", Path(sys.argv[1])
    for part in ("imagesTr", "labelsTr"):
        (output / part).mkdir(parents=True, exist_ok=True)
    files = sorted(source.glob("*/*_ct.nii.gz"))
    for file in files:
        name = file.name.replace("_ct", "")
        image = SimpleITK.ReadImage(file, SimpleITK.sitkInt16) - AIR
        label = SimpleITK.ChangeLabel(SimpleITK.ReadImage(file.with_name(file.name.replace("_ct", "_oar"))), VALUES)
        check_sides(name, label)
        SimpleITK.WriteImage(image, output / "imagesTr" / name, useCompression=True)
        SimpleITK.WriteImage(label, output / "labelsTr" / name, useCompression=True)
    names = dict(enumerate(("background", *STRUCTURES)))
    description = {"name": "OpenKBP", "modality": {"0": "CT"}, "labels": names, "numTraining": len(files)}
    (output / "dataset.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    print(f"{len(files)} cases in {output}")


def check_sides(name: str, label: SimpleITK.Image) -> None:
    """Stop unless all structures are there and the right parotid lies to the right of the left one."""
    shapes = SimpleITK.LabelShapeStatisticsImageFilter()
    shapes.Execute(label)
    if set(shapes.GetLabels()) != set(range(1, len(STRUCTURES) + 1)):
        sys.exit(f"{name}: expected labels 1 to {len(STRUCTURES)}, got {shapes.GetLabels()}.")
    right, left = (shapes.GetCentroid(value)[0] for value in (RIGHT, LEFT))  # LPS: x grows to the patient's left
    if right >= left:
        sys.exit(f"{name}: the right parotid's centre is at x = {right:.0f} mm (LPS), the left one's at {left:.0f}.")


if __name__ == "__main__":
    main()
