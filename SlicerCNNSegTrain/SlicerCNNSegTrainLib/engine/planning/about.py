"""What a planned recipe says about its model: what is known, the rest to be filled in."""

from __future__ import annotations

from typing import Any

import numpy as np

from SlicerCNNSegLib.engine.files.paths import safe_name
from SlicerCNNSegLib.engine.wording import listed

from ..data.cases import Description
from ..data.colors import label_color
from .fingerprint import ChannelFacts, Fingerprint, StructureFacts
from .modality import CT

UNKNOWN_LICENCE = "unknown: set it"

INTENDED_USE = "Research. Not a medical device; not for diagnosis or treatment."

LONGEST_TITLE = 60


def about_model(fingerprint: Fingerprint, description: Description, name: str) -> dict[str, Any]:
    """A recipe's ``model``.

    Parameters
    ----------
    description:
        What the data says about itself, and about the structures' colours and codes.
    name:
        Of the data's folder or table, where the description has none.
    """
    told = description.about
    name = told.get("name") or name
    structures = listed([structure.name for structure in fingerprint.structures], LONGEST_TITLE)
    modality = "+".join(dict.fromkeys(c.modality for c in fingerprint.channels if c.modality)) or "images"
    source = [told[key] for key in ("name", "reference", "licence") if key in told]
    return {
        "id": safe_name(name).lower().replace("_", "-"),
        "version": "0.1.0",
        "title": f"{structures} ({modality})",
        "description": told.get("description") or f"Segments {structures} on {modality}.",
        "task": "segmentation",
        "channels": [_channel(channel) for channel in fingerprint.channels],
        "labels": [_label(index, one, description) for index, one in enumerate(fingerprint.structures)],
        "licence": UNKNOWN_LICENCE,
        "data_source": ", ".join(source) or name,
        "intended_use": INTENDED_USE,
        "limits": _limits(fingerprint),
        "references": ["Isensee et al., nnU-Net, Nat Methods 18:203, 2021"],
    }


def _label(index: int, structure: StructureFacts, description: Description) -> dict[str, Any]:
    """With colour and codes where the data gives them."""
    told = description.structures.get(structure.value)
    known = told.to_json() if told else {"color": label_color(index)}
    return {**known, "value": structure.value, "name": structure.name}


def _channel(channel: ChannelFacts) -> dict[str, str]:
    description = f"{channel.name}, {channel.low:g} to {channel.high:g} in labelled voxels"
    return {"name": channel.name, "modality": channel.modality, "description": description}


def _limits(fingerprint: Fingerprint) -> list[str]:
    """What follows from the numbers alone; a person knows more."""
    spacings, extents = np.array(fingerprint.spacings_mm), np.array(fingerprint.sizes) * fingerprint.spacings_mm
    ranges = (
        " x ".join(f"{low:.3g}-{high:.3g}" for low, high in zip(values.min(axis=0), values.max(axis=0), strict=True))
        for values in (extents, spacings)
    )
    limits = [
        "Trained on {} images of {} mm (R-L x A-P x S-I) with voxels of {} mm; not tested on others.".format(
            fingerprint.cases, *ranges
        )
    ]
    if any(c.modality == CT and not c.hounsfield for c in fingerprint.channels):
        limits.append(
            "The training images are called CT, but have no Hounsfield units of air: other images need the same scale "
            "of intensities."
        )
    return limits
