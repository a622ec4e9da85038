"""Labelled cases, and how they are divided for training and validation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SlicerCNNSegLib.engine.errors import FileReadError, SettingsError


@dataclass(frozen=True)
class TrainingCase:
    """One image (one file per channel) with its label file; ``patient`` keeps folds apart."""

    id: str
    images: tuple[Path, ...]
    label: Path
    patient: str


def read_msd_folder(folder: Path) -> list[TrainingCase]:
    """Cases of a folder in Medical Segmentation Decathlon form: ``imagesTr`` and ``labelsTr``.

    Files of one name belong together. Every file is a patient of its own, unless ``dataset.json``
    has an object ``patients`` from case id to patient.

    Raises
    ------
    FileReadError
        A folder is missing, empty, or an image has no label.
    """
    images, labels = folder / "imagesTr", folder / "labelsTr"
    files = sorted(path for path in images.glob("*.nii*") if not path.name.startswith("."))
    if not files:
        raise FileReadError(f"Expected images in {images} (imagesTr/NAME.nii.gz, labelsTr/NAME.nii.gz), found none.")
    unlabelled = [path.name for path in files if not (labels / path.name).exists()]
    if unlabelled:
        raise FileReadError(
            f"{len(unlabelled)} images have no label in {labels} (first: {unlabelled[0]}); "
            "add their labels or move the images away."
        )
    described = folder / "dataset.json"
    patients = json.loads(described.read_text(encoding="utf-8")).get("patients", {}) if described.exists() else {}
    cases = []
    for path in files:
        case_id = path.name.removesuffix(".gz").removesuffix(".nii")
        cases.append(TrainingCase(case_id, (path,), labels / path.name, str(patients.get(case_id, case_id))))
    return cases


def split_fold(
    cases: list[TrainingCase], fold: int, folds: int = 5, seed: int = 0
) -> tuple[list[TrainingCase], list[TrainingCase]]:
    """Training and validation cases of one fold; no patient is in both.

    Patients are shuffled with ``seed`` and dealt out in turn, so folds differ by at most one patient.

    Raises
    ------
    SettingsError
        There is no such fold, or there are fewer patients than folds.
    """
    patients = sorted({case.patient for case in cases})
    if not 0 <= fold < folds:
        raise SettingsError(f"Expected a fold from 0 to {folds - 1}, got {fold}.")
    if len(patients) < folds:
        raise SettingsError(f"Expected at least {folds} patients for {folds} folds, got {len(patients)}.")
    shuffled = np.random.default_rng(seed).permutation(patients)
    held = set(shuffled[fold::folds].tolist())
    return [c for c in cases if c.patient not in held], [c for c in cases if c.patient in held]
