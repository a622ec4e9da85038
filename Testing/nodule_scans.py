"""Whole scans with nodules at known places, and the table of them that a detector is trained and judged with."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from nodule_phantoms import TOUCHING, Phantom, Triple, Truth, insert, places, random_nodule, surroundings, wall_mask

from SlicerCNNSegLib.engine.volume import Volume

COLUMNS = ("case", "image", "split", "x", "y", "z", "diameter", "kind", "touching")
WHOLE = 0.95
"""With so much of its ellipsoid in the lung a nodule's middle is the formula's, else that of what is left of it."""

SIZES_MM = (4.0, 30.0)


@dataclass(frozen=True)
class Mark:
    """A nodule as a row of the table: LPS mm, and the diameter of the ball of the same volume."""

    center_lps_mm: Triple
    diameter_mm: float
    kind: str
    touching: str


@dataclass(frozen=True, eq=False)
class Scan:
    """A CT with nodules."""

    volume: Volume
    marks: tuple[Mark, ...]


def scan_with_nodules(
    background: Volume,
    lung: np.ndarray,
    rng: np.random.Generator,
    count: int,
    *,
    noise_hu: float,
    blur_mm: float,
    smallness: float = 1.0,
    smallest_mm: float = SIZES_MM[0],
) -> Scan:
    """About ``count`` nodules of up to 30 mm, of all kinds, free, at vessels and at the pleura, that don't touch.

    Parameters
    ----------
    background, lung:
        A CT and its lungs, shape ``(k, j, i)``.
    noise_hu, blur_mm:
        Inside of nodules; as the background has it.
    smallness:
        1: as many from 4 to 8 mm as from 8 to 16; above 1: more small ones.
    smallest_mm:
        Their least diameter; coarse voxels show no smaller ones.
    """
    low, high = np.log((smallest_mm, SIZES_MM[1]))
    wall = wall_mask(background.array[0], background.geometry)
    around = surroundings(background, lung, wall)
    nodules, kinds_of_place = [], []
    for touching in rng.permutation(np.resize(TOUCHING, count)).tolist():
        diameter_mm = float(np.exp(low + (high - low) * rng.uniform() ** smallness))
        found = places(
            background, lung, rng, 4, radius_mm=diameter_mm / 2, touching=touching, apart_mm=1.0, around=around
        )
        free = [
            center
            for center in found
            if all(
                np.linalg.norm(np.subtract(center, other.center_ras_mm))
                > 0.75 * (diameter_mm + max(other.diameters_mm)) + 4
                for other in nodules
            )
        ]
        if free:
            share = 0.3 if touching == "vessel" else 0.1
            nodules.append(random_nodule(rng, free[0], diameter_mm=diameter_mm, vessel_share=share))
            kinds_of_place.append(touching)
    phantom = insert(background, nodules, rng, noise_hu=noise_hu, blur_mm=blur_mm, wall=wall)
    marks = [_mark(phantom, truth, touching) for truth, touching in zip(phantom.truths, kinds_of_place, strict=True)]
    return Scan(phantom.volume, tuple(marks))


def _mark(phantom: Phantom, truth: Truth, touching: str) -> Mark:
    whole_mm3 = float(np.prod(truth.nodule.diameters_mm)) * np.pi / 6
    center = np.asarray(truth.nodule.center_ras_mm)
    if truth.volume_mm3 < WHOLE * whole_mm3:
        kji = np.argwhere(phantom.labelmap == truth.value)
        center = phantom.volume.geometry.ras_from_ijk(kji.mean(axis=0)[::-1])
    x, y, z = (float(value) for value in center * (-1, -1, 1))
    return Mark((x, y, z), float(np.cbrt(6 * truth.volume_mm3 / np.pi)), truth.nodule.kind, touching)


def write_scan(folder: Path, name: str, scan: Scan) -> None:
    """Write the CT as ``folder/name.nii.gz``."""
    array = np.rint(scan.volume.array[0]).astype(np.int16).transpose(2, 1, 0)
    nibabel.save(nibabel.Nifti1Image(array, scan.volume.ijk_to_ras), folder / f"{name}.nii.gz")


def write_table(path: Path, scans: Sequence[tuple[str, str, Sequence[Mark]]]) -> None:
    """Write the nodules of scans ``(name, split, marks)``, one row each; a scan without any has one row without."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, split, marks in scans:
            image = f"{name}.nii.gz"
            for mark in marks:
                numbers = [f"{value:.4f}" for value in (*mark.center_lps_mm, mark.diameter_mm)]
                writer.writerow([name, image, split, *numbers, mark.kind, mark.touching])
            if not marks:
                writer.writerow([name, image, split, *[""] * 6])
