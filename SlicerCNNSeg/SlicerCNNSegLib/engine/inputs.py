"""Is this image what the model wants? Checked before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .errors import ChannelError, GeometryError, InputError, ModalityError
from .package import ModelPackage
from .volume import Geometry, Volume

AIR_HU = -500.0
"""Below this only CT has values: MR is not negative, air in CT is -1000 HU, fat -100 HU."""

AIR_SHARE = 0.005
"""Share of voxels below ``AIR_HU`` from which on an image without a modality tag is taken for CT."""

PROBED_VOXELS = 200_000

EXTENT_TOLERANCE = 1.1
"""Factor by which an image may be larger or smaller than all training images before a warning is given.
Small, because a network that has only seen tight crops takes what lies around them for its structure:
``Testing/engine/test_hippocampus_model.py`` shows a box that is 8 mm larger on each side."""


def match_channels(package: ModelPackage, volumes: Sequence[Volume]) -> Volume:
    """The case's volumes as one, its channels in the model's order.

    Channels are matched by name where all have one of the model's names, else by order.

    Raises
    ------
    ChannelError
        The number of channels is not the model's, or a name is not one of its channels.
    GeometryError
        The channels lie on different grids.
    """
    wanted = [channel.name for channel in package.channels]
    came = sum(volume.channels for volume in volumes)
    if came != len(wanted):
        raise ChannelError(
            f"The model {package.id} expects {len(wanted)} channel(s) ({', '.join(wanted)}), got {came}; "
            "give one image per channel, for example --channel NAME=FILE."
        )
    names = [name for volume in volumes for name in (volume.channel_names or ("",) * volume.channels)]
    named = [name for name in names if name]
    unknown = sorted(set(named) - set(wanted))
    if unknown:
        raise ChannelError(
            f"The model {package.id} has no channel {', '.join(unknown)}; its channels are {', '.join(wanted)}."
        )
    if named and sorted(named) != sorted(wanted):
        raise ChannelError(f"Name each of the channels {', '.join(wanted)} once, or none; got {', '.join(named)}.")
    stacked = Volume.stacked(list(volumes), tuple(names) if named else tuple(wanted))
    if not named or names == wanted:
        return stacked
    order = [names.index(name) for name in wanted]
    return Volume(
        stacked.array[order],
        stacked.ijk_to_ras,
        tuple(wanted),
        stacked.modality,
        stacked.source,
        stacked.identifiers,
        stacked.notes,
    )


def guess_modality(volume: Volume) -> str:
    """The volume's modality: as tagged, else ``CT`` where the values can only be Hounsfield units, else ""."""
    if volume.modality:
        return volume.modality.upper()
    flat = volume.array[0].ravel()
    probe = flat[:: max(1, flat.size // PROBED_VOXELS)]
    return "CT" if float(np.mean(probe < AIR_HU)) > AIR_SHARE else ""


def check_modality(package: ModelPackage, volumes: Sequence[Volume], *, force: bool) -> list[str]:
    """Compare each volume's modality with the model's.

    Returns
    -------
    list of str
        Warnings for the record: what was forced.

    Raises
    ------
    ModalityError
        A volume is of another modality and ``force`` is off.
    """
    expected = {channel.modality.upper() for channel in package.channels} - {""}
    warnings = []
    for volume in volumes:
        found = guess_modality(volume)
        if not expected or not found or found in expected:
            continue
        how = "is tagged" if volume.modality else "has the Hounsfield values of a"
        what = f"{volume.source or 'the image'} {how} {found}"
        if not force:
            raise ModalityError(
                f"The model {package.id} expects {'+'.join(sorted(expected))}, but {what}; "
                "choose another model, or go on with --force."
            )
        warnings.append(f"Forced: the model expects {'+'.join(sorted(expected))}, but {what}.")
    return warnings


def check_extent(package: ModelPackage, geometry: Geometry) -> list[str]:
    """Compare the size of what is run on with the sizes that the model was trained on.

    Returns
    -------
    list of str
        A warning when it is far from them, with what to do about it.
    """
    if package.extent_mm is None:
        return []
    low, high = (np.array(end) for end in package.extent_mm)
    extent = geometry.extent_ras_mm
    too_large = bool((extent > EXTENT_TOLERANCE * high).any())
    if not too_large and not (extent < low / EXTENT_TOLERANCE).any():
        return []
    came = " x ".join(f"{mm:.0f}" for mm in extent)
    trained = " x ".join(f"{a:.0f}-{b:.0f}" for a, b in zip(low, high, strict=True))
    advice = "restrict the run to a region of interest of that size" if too_large else "choose a larger region"
    warning = (
        f"The model {package.id} was trained on images of {trained} mm (R-L x A-P x S-I), but ran on {came} mm: "
        f"the result is not to be relied on; {advice}."
    )
    return [warning]


def check_voxels(package: ModelPackage, volume: Volume, dimensions: int) -> None:
    """Refuse what no network can use.

    Raises
    ------
    GeometryError
        A single slice for a model of volumes.
    InputError
        Voxels that are not finite, or all alike.
    """
    where = volume.source or "The image"
    if dimensions == 3 and volume.is_2d:
        raise GeometryError(
            f"The model {package.id} expects a 3-D volume, but {where} is one slice; give the whole series."
        )
    if volume.array.dtype.kind == "f":
        bad = int(volume.array.size - np.count_nonzero(np.isfinite(volume.array)))
        if bad:
            raise InputError(f"{where} holds {bad} voxels that are NaN or infinite; replace them by a number first.")
    if volume.array.min() == volume.array.max():
        raise InputError(f"{where} is empty: every voxel is {volume.array.flat[0]}; choose another image or region.")
