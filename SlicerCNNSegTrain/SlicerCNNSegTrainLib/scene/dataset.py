"""Labelled cases of a scene as a folder that ``cnnseg-train`` takes, and nnU-Net too.

::

    imagesTr/CASE_0000.nii.gz    one file per channel
    labelsTr/CASE.nii.gz         on the image's own grid
    dataset.json                 channels, labels, patients; colours and codes under ``structures``

Patients are numbered: their names and IDs stay in the scene.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SlicerCNNSegLib.engine.errors import ChannelError, InputError, OutputError
from SlicerCNNSegLib.engine.progress import NoProgress, Progress, advance
from SlicerCNNSegLib.engine.volume import Volume
from SlicerCNNSegLib.engine.wording import listed
from SlicerCNNSegLib.scene.volumes import volume_from_node

from .cases import SceneCase
from .label_table import LabelTable, match_labels
from .truth import labelmap_on, segments_of

ENDING = ".nii.gz"
UNNAMED_CHANNEL = "image"
NAMES_LENGTH = 60
"""Characters of names in a message."""


@dataclass(frozen=True)
class WrittenDataset:
    """What was written.

    Parameters
    ----------
    folder:
        Where.
    voxels:
        Case to structure's name to number of voxels.
    notes:
        What was done to images, and what a user should look at.
    """

    folder: Path
    voxels: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...]


def label_table(cases: Sequence[SceneCase]) -> LabelTable:
    """The table of labels of these cases, see ``match_labels``."""
    return match_labels({case.name: segments_of(case.truth) for case in cases})


def write_dataset(
    cases: Sequence[SceneCase],
    table: LabelTable,
    folder: Path,
    *,
    channels: Sequence[str] = (),
    later_wins: bool = False,
    progress: Progress | None = None,
) -> WrittenDataset:
    """Write the cases; the folder is there whole at the end, or not at all.

    Images lie where the scene shows them: linear parent transforms go into the files' geometry, under
    a non-linear one the voxels are resampled, and a sheared image is put on a straight grid. The label
    is sampled on the image's grid.

    Parameters
    ----------
    cases, table:
        What to write, and the table of labels of these cases.
    folder:
        One that does not exist, or is empty.
    channels:
        Names of the channels; empty takes the images' modality.
    later_wins:
        Where segments overlap, that further down in the table holds; else overlaps are refused.
    progress:
        Told case by case.

    Raises
    ------
    OutputError
        The folder holds files, or cannot be written to.
    InputError
        Segments overlap, or one is empty in all cases.
    ChannelError
        The cases, or the names, are of different numbers of channels.
    GeometryError
        A case's channels lie on different grids.
    Cancelled
        The user asked to stop; nothing was written.
    """
    progress = progress or NoProgress()
    counts: dict[str, Counter[int]] = {}
    notes, modalities, channel_counts = [], Counter[str](), {}
    with _whole(folder) as temporary:
        for place in ("imagesTr", "labelsTr"):
            (temporary / place).mkdir()
        for number, case in enumerate(cases):
            advance(progress, number / len(cases), f"Writing {case.name}")
            volume = _image_of(case, channels)
            channel_counts[case.name] = volume.channels
            _check_channels(channel_counts, channels)
            labelmap = labelmap_on(case.truth, volume.geometry, table.values[case.name], later_wins=later_wins)
            _write_case(temporary, case.name, volume, labelmap, table)
            values, voxels = np.unique(labelmap, return_counts=True)
            counts[case.name] = Counter(dict(zip(values.tolist(), voxels.tolist(), strict=True)))
            notes += [f"{case.name}: {note}" for note in volume.notes]
            modalities[volume.modality] += 1
        notes += _check_content(table, counts)
        names = tuple(channels) or _channel_names(modalities, channel_counts, notes)
        description = _description(folder.name, cases, table, names)
        (temporary / "dataset.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        advance(progress, 1.0, f"Wrote {len(cases)} cases")
    voxels_by_name = {
        name: {label.name: count[label.value] for label in table.labels} for name, count in counts.items()
    }
    return WrittenDataset(folder, voxels_by_name, tuple(notes))


def _image_of(case: SceneCase, channels: Sequence[str]) -> Volume:
    """The image in the world, its volumes as channels, on an orthogonal grid."""
    from SlicerCNNSegLib.engine.files.regrid import without_shear

    volumes = [volume_from_node(node) for node in case.volumes]
    volume = Volume.stacked(volumes, tuple(channels) if len(channels) == len(volumes) > 1 else ())
    return without_shear(volume, "shear of the axes")


def _write_case(folder: Path, name: str, volume: Volume, labelmap: np.ndarray, table: LabelTable) -> None:
    import SimpleITK as sitk

    from SlicerCNNSegLib.engine.files.itk import itk_cause
    from SlicerCNNSegLib.engine.files.labelmaps import write_labelmap

    for number in range(volume.channels):
        channel = Volume(volume.array[number : number + 1], volume.ijk_to_ras)
        path = folder / "imagesTr" / f"{name}_{number:04d}{ENDING}"
        try:
            sitk.WriteImage(channel.to_sitk(), str(path), True)
        except RuntimeError as error:
            raise OutputError(f"Cannot write {path} ({itk_cause(error)}); check the disk's free space.") from error
    write_labelmap(folder / "labelsTr" / f"{name}{ENDING}", labelmap, volume.geometry, table.labels)


def _check_channels(counts: Mapping[str, int], channels: Sequence[str]) -> None:
    """Raise unless every case has as many channels as the first, and as there are names."""
    (first, expected), (last, found) = next(iter(counts.items())), list(counts.items())[-1]
    if channels and found != len(channels):
        raise ChannelError(
            f"Expected {len(channels)} channels ({', '.join(channels)}) in {last}, got {found}; name each channel."
        )
    if found != expected:
        raise ChannelError(
            f"Expected {expected} channels in {last}, as in {first}, got {found}; leave out the cases of other kinds."
        )


def _check_content(table: LabelTable, counts: Mapping[str, Counter[int]]) -> list[str]:
    """Notes on cases without any label; raises for a structure that no case has a voxel of."""
    nowhere = [label.name for label in table.labels if not any(count[label.value] for count in counts.values())]
    if nowhere:
        raise InputError(
            f"{listed([repr(name) for name in nowhere], NAMES_LENGTH)} has no voxel in any of {len(counts)} cases; "
            "draw it, or leave it out of what is to be learned."
        )
    empty = [name for name, count in counts.items() if not set(count) - {0}]
    return [f"No label at all in {listed(empty, NAMES_LENGTH)}: learned as background."] if empty else []


def _channel_names(modalities: Counter[str], counts: Mapping[str, int], notes: list[str]) -> tuple[str, ...]:
    """Names for channels that nobody named: the images' modality, where they have one in common."""
    if len(modalities) > 1:
        kinds = ", ".join(f"{count} {kind or 'unknown'}" for kind, count in modalities.items())
        notes.append(f"The images are of different modalities ({kinds}).")
    name = (next(iter(modalities)) if len(modalities) == 1 else "") or UNNAMED_CHANNEL
    number = next(iter(counts.values()))
    return (name,) if number == 1 else tuple(f"{name} {n}" for n in range(1, number + 1))


def _description(
    name: str, cases: Sequence[SceneCase], table: LabelTable, channels: Sequence[str]
) -> dict[str, object]:
    """``dataset.json`` in the words of nnU-Net, with what else is known of the labels; ``name`` becomes the model's."""
    patients = list(dict.fromkeys(case.patient for case in cases if case.patient))
    return {
        "name": name,
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": {"background": 0, **{label.name: label.value for label in table.labels}},
        "numTraining": len(cases),
        "file_ending": ENDING,
        "patients": {case.name: f"patient_{patients.index(case.patient) + 1:03d}" for case in cases if case.patient},
        "structures": [label.to_json() for label in table.labels],
    }


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Write into a temporary folder beside ``folder``, which takes its place only when the block succeeds."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputError(f"Expected a new or an empty folder, but {folder} holds something; choose another one.")
    temporary = folder.with_name(f".{secrets.token_hex(4)}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if folder.exists():
            folder.rmdir()  # Windows renames onto no folder, not even an empty one
        temporary.rename(folder)
    except OSError as error:
        raise OutputError(
            f"Cannot write {folder} ({error}); check the disk's free space, or choose another."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
