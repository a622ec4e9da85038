"""One table of labels for the segments of many cases, as plain data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from SlicerCNNSegLib.engine.errors import InputError, SettingsError
from SlicerCNNSegLib.engine.labels import Label
from SlicerCNNSegLib.engine.wording import listed

UNCODED = ("SCT", "85756007")
"""*Tissue*: what Slicer gives a segment that nobody coded."""

BACKGROUND = "background"
NAMES_LENGTH = 60
"""Characters of names in a note."""

_Key = tuple[object, ...]


@dataclass(frozen=True)
class LabelTable:
    """The structures to learn, and which segments of which cases they are.

    Parameters
    ----------
    labels:
        Values 1, 2, ...; each name once.
    values:
        Case to segment id to value. Segments that are no structure to learn are not in it.
    notes:
        What a user should look at: segments that some cases lack, names and codes that don't agree.
    """

    labels: tuple[Label, ...]
    values: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...] = ()

    def only(self, names: Iterable[str]) -> LabelTable:
        """The table with the structures of these names alone, in its order, numbered anew.

        Raises
        ------
        SettingsError
            A name is not in the table, or none is given.
        """
        names = set(names)
        known = {label.name for label in self.labels}
        unknown = sorted(names - known)
        if unknown or not names:
            raise SettingsError(
                f"Expected structures out of {listed(sorted(known), NAMES_LENGTH)}, got "
                f"{listed(unknown, NAMES_LENGTH) if unknown else 'none'}."
            )
        kept = [label for label in self.labels if label.name in names]
        new = {label.value: value for value, label in enumerate(kept, 1)}
        values = {
            case: {segment: new[value] for segment, value in segments.items() if value in new}
            for case, segments in self.values.items()
        }
        return LabelTable(tuple(replace(label, value=new[label.value]) for label in kept), values, self.notes)


@dataclass
class _Structure:
    """Segments of several cases that are one structure."""

    segments: list[tuple[str, str, Label]] = field(default_factory=list)

    @property
    def cases(self) -> set[str]:
        return {case for case, _, _ in self.segments}

    @property
    def names(self) -> dict[str, str]:
        """Every name that it has, as it is compared, to how it is first written."""
        names: dict[str, str] = {}
        for _, _, label in self.segments:
            names.setdefault(_plain(label.name), _tidy(label.name))
        return names

    @property
    def name(self) -> str:
        return _tidy(self.segments[0][2].name)

    def label(self, value: int, name: str) -> Label:
        """Colour from its first segment, codes from the first that has any."""
        first = self.segments[0][2]
        coded = next((label for _, _, label in self.segments if _code(label)), None)
        if coded is None:
            return Label(value, name, first.color)
        return replace(coded, value=value, name=name, color=first.color)


def match_labels(cases: Mapping[str, Mapping[str, Label]]) -> LabelTable:
    """Which segments of the cases are one structure: by their codes, else by their names.

    Segments with the same codes are one structure whatever they are called, unless one case has these
    codes twice (two lesions), which then tell nothing. Segments without codes are one structure when
    their names are the same but for case and spaces, and belong to a coded structure of that name where
    there is just one.

    Parameters
    ----------
    cases:
        Case to segment id to label (name, colour, codes; its value is not looked at).

    Returns
    -------
    LabelTable
        Structures in the order in which they are met. Segments called *background* are left out.

    Raises
    ------
    InputError
        No case has a segment to learn.
    """
    segments = [
        (case, segment, label)
        for case, labels in cases.items()
        for segment, label in labels.items()
        if _plain(label.name) != BACKGROUND
    ]
    if not segments:
        raise InputError(f"Expected segments to learn in {len(cases)} cases, got none; draw or import some first.")
    structures = _structures(segments)
    names = _unique([structure.name for structure in structures])
    values: dict[str, dict[str, int]] = {case: {} for case in cases}
    for value, structure in enumerate(structures, 1):
        for case, segment, _ in structure.segments:
            values[case][segment] = value
    labels = tuple(
        structure.label(value, name) for value, (structure, name) in enumerate(zip(structures, names, strict=True), 1)
    )
    notes = [*_disagreements(structures), *_missing(structures, names, list(cases))]
    return LabelTable(labels, values, tuple(notes))


def _structures(segments: Sequence[tuple[str, str, Label]]) -> list[_Structure]:
    """The segments brought together, in the order in which they are met."""
    often = Counter((case, _code(label)) for case, _, label in segments)
    doubtful = {code for (_, code), count in often.items() if count > 1}
    coded: dict[str, set[_Key]] = defaultdict(set)
    for _, _, label in segments:
        code = _code(label)
        if code and code not in doubtful:
            coded[_plain(label.name)].add(code)
    structures: dict[_Key, _Structure] = defaultdict(_Structure)
    for case, segment, label in segments:
        key, name = _code(label), _plain(label.name)
        if not key or key in doubtful:
            key = next(iter(coded[name])) if len(coded[name]) == 1 else (name,)
        structures[key].segments.append((case, segment, label))
    return list(structures.values())


def _code(label: Label) -> _Key:
    """The codes without their meanings; empty for a label that nobody coded."""
    if label.type is None or (label.type.scheme, label.type.value) == UNCODED:
        return ()
    codes = (label.category, label.type, label.modifier, label.region, label.region_modifier)
    return tuple((code.scheme, code.value) if code else None for code in codes)


def _tidy(name: str) -> str:
    return " ".join(name.split()) or "unnamed"


def _plain(name: str) -> str:
    """A name as it is compared."""
    return _tidy(name).casefold()


def _unique(names: Sequence[str]) -> list[str]:
    """The names, with numbers behind those that were there before."""
    unique: list[str] = []
    for name in names:
        number, candidate = 1, name
        while _plain(candidate) in map(_plain, unique):
            number += 1
            candidate = f"{name} ({number})"
        unique.append(candidate)
    return unique


def _disagreements(structures: Sequence[_Structure]) -> list[str]:
    """Several names for one structure, and one name for several."""
    notes = [
        f"{listed([repr(name) for name in structure.names.values()], NAMES_LENGTH)} have the same codes and are taken "
        "for one structure."
        for structure in structures
        if len(structure.names) > 1
    ]
    owners: dict[str, list[_Structure]] = defaultdict(list)
    for structure in structures:
        for name in structure.names:
            owners[name].append(structure)
    for sharing in owners.values():
        if len(sharing) > 1:
            name = sharing[0].name
            examples = " and ".join(min(structure.cases) for structure in sharing)
            notes.append(
                f"{name!r} has different codes (in {examples}) and was kept apart; give it the same terminology "
                "in all cases, or none."
            )
    return notes


def _missing(structures: Sequence[_Structure], names: Sequence[str], cases: Sequence[str]) -> list[str]:
    """The structures that some cases lack."""
    notes = []
    for structure, name in zip(structures, names, strict=True):
        without = [case for case in cases if case not in structure.cases]
        if without:
            notes.append(
                f"{name!r} is in {len(cases) - len(without)} of {len(cases)} cases (not in "
                f"{listed(without, NAMES_LENGTH)}): there its place is learned as background, unless the recipe says "
                "absent_means_not_contoured."
            )
    return notes
