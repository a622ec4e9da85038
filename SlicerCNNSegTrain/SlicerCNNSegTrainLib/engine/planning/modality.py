"""Which modality a channel is of, by its name in ``dataset.json`` or in a table."""

from __future__ import annotations

import re

CT, MR, PET, ULTRASOUND, XRAY = "CT", "MR", "PT", "US", "DX"
"""DICOM's codes, as bundles name modalities."""

_WORDS = {
    CT: {"ct", "cbct", "cta", "cect", "ncct", "hu"},
    MR: {
        *{"mr", "mri", "t1", "t1w", "t1c", "t1ce", "t1gd", "t1n", "t2", "t2w", "t2f", "flair", "adc", "dwi", "pd"},
        *{"swi", "mprage", "bold", "dce", "dixon", "cine", "mra", "t1map", "t2star"},
    },
    PET: {"pet", "pt", "suv", "fdg"},
    ULTRASOUND: {"us", "ultrasound"},
    XRAY: {"xray", "dx", "cr", "radiograph"},
}


def modality_of(name: str) -> str:
    """The modality that a channel's name tells, or "" when it tells none."""
    words = set(re.split(r"[^a-z0-9]+", name.lower().replace("x-ray", "xray")))
    return next((modality for modality, known in _WORDS.items() if words & known), "")
