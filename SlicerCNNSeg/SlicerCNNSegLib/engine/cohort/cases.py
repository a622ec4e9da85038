"""What a case is, and how cases are named on the command line or in a table.

A case is one image, or one image per input channel. Its id names its output files.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import FileReadError, SettingsError
from ..files.paths import safe_name, stem, suffix
from ..region import Region

TABLE_SUFFIX = ".csv"
SEGMENTATION_SUFFIX = ".seg.nrrd"
IMAGE_COLUMN = "image"
REGION_COLUMNS = {"roi": "ijk", "roi_ras": "ras"}
OTHER_COLUMNS = ("case", "series", *REGION_COLUMNS)


@dataclass(frozen=True)
class Case:
    """One patient's input.

    Parameters
    ----------
    id:
        Names the output files.
    files:
        Channel name and path (a file or DICOM folder) of each input; the one input of an unnamed
        channel has the name "".
    series:
        Series UID, for a DICOM folder that holds several.
    regions:
        The case's own regions of interest; none means those of the settings.
    """

    id: str
    files: tuple[tuple[str, Path], ...]
    series: str = ""
    regions: tuple[Region, ...] = ()

    def __str__(self) -> str:
        return ", ".join(str(path) for _, path in self.files)


def cases_from_paths(inputs: Sequence[Path], channels: Sequence[str] = ()) -> list[Case]:
    """The cases that the inputs name, in their order, each with an id of its own.

    An input is an image file, a DICOM folder, a folder of images (each a case) or a CSV table.
    Inputs of one name in different folders get the folder's name in front (``sub-01_T1``).

    Parameters
    ----------
    inputs:
        Paths of files and folders.
    channels:
        The model's channel names, for the columns of a table.

    Raises
    ------
    FileReadError
        A path does not exist.
    SettingsError
        A table is wrong, or two inputs would have the same id.
    """
    cases: list[Case] = []
    for path in inputs:
        if path.is_file() and path.suffix.lower() == TABLE_SUFFIX:
            cases += read_table(path, channels)
        else:
            cases += [_case("", [("", image)]) for image in _images(_existing(path))]
    return with_unique_ids(cases)


def case_from_channels(files: Iterable[tuple[str, Path]], channels: Sequence[str]) -> Case:
    """One case out of one file per channel, in the order of the model's ``channels``.

    Raises
    ------
    SettingsError
        A channel is unknown, given twice or missing.
    FileReadError
        A path does not exist.
    """
    given: dict[str, Path] = {}
    for name, path in files:
        if name not in channels:
            raise SettingsError(f"The model has no channel {name!r}; its channels are {', '.join(channels)}.")
        if name in given:
            raise SettingsError(f"The channel {name!r} is given twice: {given[name]} and {path}; give it once.")
        given[name] = _existing(path)
    missing = [name for name in channels if name not in given]
    if missing:
        raise SettingsError(f"The model needs the channels {', '.join(channels)}; {', '.join(missing)} missing.")
    return _case("", [(name, given[name]) for name in channels])


def read_table(path: Path, channels: Sequence[str] = ()) -> list[Case]:
    """Cases from a CSV table (comma, semicolon or tab).

    Columns: ``image``, or one for each of the model's channels; and, as wanted, ``case`` (the id),
    ``series``, ``roi`` and ``roi_ras`` (regions as on the command line, several parted by spaces).
    Paths are relative to the table's folder.

    Raises
    ------
    SettingsError
        A column is unknown or missing, or a row lacks a file.
    FileReadError
        The table cannot be read, or a path in it does not exist.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileReadError(f"{path} cannot be read as a table ({error}); save it as CSV in UTF-8.") from error
    header = lines[0] if lines else ""
    rows = csv.DictReader(lines, delimiter=max(",;\t", key=header.count), skipinitialspace=True)
    columns = tuple(rows.fieldnames or ())
    sources = _source_columns(path, columns, channels)
    cases = []
    for row in rows:
        place = f"{path.name}, row {rows.line_num}"
        if None in row:
            raise SettingsError(f"{place} has more cells than the header; put cells with commas in double quotes.")
        cells = {key: (value or "").strip() for key, value in row.items()}
        empty = [column for column in sources if not cells[column]]
        if empty:
            raise SettingsError(f"{place} has no file in the column {empty[0]!r}; fill it in or remove the row.")
        files = [
            ("" if column == IMAGE_COLUMN else column, _existing(path.parent / cells[column])) for column in sources
        ]
        regions = tuple(
            Region.parse(kind, text)
            for column, kind in REGION_COLUMNS.items()
            for text in cells.get(column, "").split()
        )
        cases.append(_case(cells.get("case", ""), files, cells.get("series", ""), regions))
    if not cases:
        raise SettingsError(f"{path} lists no case; give a header and a row for each case.")
    return cases


def with_unique_ids(cases: Sequence[Case]) -> list[Case]:
    """The same cases; those that share an id get their folder's name in front.

    Ids are compared without case, because some file systems do.

    Raises
    ------
    SettingsError
        Two cases still have the same id.
    """
    named = [
        replace(case, id=safe_name(f"{_first(case).absolute().parent.name}_{case.id}")) if len(group) > 1 else case
        for case, group in zip(cases, _groups(cases), strict=True)
    ]
    for case, group in zip(named, _groups(named), strict=True):
        if len(group) > 1:
            raise SettingsError(
                f"Two inputs have the case id {case.id!r}: {group[0]} and {group[1]}; "
                "give each once, or name them in a CSV table with the column 'case'."
            )
    return named


def _groups(cases: Sequence[Case]) -> list[list[Case]]:
    """For each case, all cases of its id."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.id.casefold()].append(case)
    return [groups[case.id.casefold()] for case in cases]


def _first(case: Case) -> Path:
    return case.files[0][1]


def _case(name: str, files: Sequence[tuple[str, Path]], series: str = "", regions: tuple[Region, ...] = ()) -> Case:
    return Case(safe_name(name or stem(files[0][1].absolute())), tuple(files), series, regions)


def _source_columns(path: Path, columns: tuple[str, ...], channels: Sequence[str]) -> tuple[str, ...]:
    """The columns that hold files: ``image``, or all channels in the model's order."""
    sources = (IMAGE_COLUMN,) if IMAGE_COLUMN in columns else tuple(channels)
    unknown = [name for name in columns if name not in (*sources, *OTHER_COLUMNS)]
    if unknown:
        known = ", ".join(dict.fromkeys((IMAGE_COLUMN, *sources, *OTHER_COLUMNS)))
        raise SettingsError(f"{path} has an unknown column {unknown[0]!r}; expected some of {known}.")
    missing = [name for name in sources if name not in columns] if sources else [IMAGE_COLUMN]
    if missing:
        raise SettingsError(
            f"{path} lacks the column {missing[0]!r}; expected {IMAGE_COLUMN!r}, "
            f"or one column for each channel of the model ({', '.join(channels)})."
        )
    return sources


def _existing(path: Path) -> Path:
    if not path.exists():
        raise FileReadError(f"There is no file or folder {path}; check the path.")
    return path


def _images(path: Path) -> list[Path]:
    """The images in a folder of images; the path itself when it is a file or a DICOM folder.

    Segmentations (``.seg.nrrd``) that lie beside the images are no images.
    """
    if not path.is_dir():
        return [path]
    from ..files.dicom import is_dicom_file  # heavy, and needed for folders only
    from ..files.images import READABLE

    kinds = set(READABLE) - {SEGMENTATION_SUFFIX}
    files = sorted(child for child in path.iterdir() if child.is_file() and not child.name.startswith("."))
    images = [file for file in files if suffix(file) in kinds]
    # a DICOM export with a NIfTI or a JPEG beside it is still one DICOM case
    return images if images and not any(map(is_dicom_file, files)) else [path]
