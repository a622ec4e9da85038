"""What must not lie on both sides of a division: patients, and images that come twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from ..data.cases import PatientCase
from .duplicates import equal_groups, near_groups
from .facts import CaseFacts
from .findings import ERROR, WARNING, Finding

GIVE_ONE_PATIENT = "give them one patient (the table's column 'patient', or 'patients' in dataset.json)"


def find_leaks(facts: Sequence[CaseFacts], parts: Mapping[str, str]) -> list[Finding]:
    """Duplicates and near-duplicates, the worse when they lie in different parts, and labels that come twice."""
    by_id = {one.case.id: one for one in facts}
    findings = []
    equal = equal_groups({case_id: one.image_hash for case_id, one in by_id.items()})
    for group in equal:
        places = _places(group, parts)
        if len(places) > 1:
            message = f"one image, voxel for voxel, in {_joined(places)}; remove all but one, or {GIVE_ONE_PATIENT}."
            findings.append(Finding(ERROR, "duplicate", group, message))
        else:
            findings.append(Finding(WARNING, "duplicate", group, "one image, voxel for voxel; remove all but one."))
    for group in near_groups({case_id: one.signature for case_id, one in by_id.items() if one.signature.any()}):
        places = _places(group, parts)
        patients = {by_id[case_id].case.patient for case_id in group}
        alike = len({by_id[case_id].image_hash for case_id in group}) == 1
        if alike or (len(places) < 2 and len(patients) < 2):
            continue
        where = f", in {_joined(places)}" if len(places) > 1 else ""
        message = f"images that look like copies of one another{where}; if they are of one patient, {GIVE_ONE_PATIENT}."
        findings.append(Finding(WARNING, "near-duplicate", group, message))
    images = {frozenset(group) for group in equal}
    for group in equal_groups({case_id: one.label_hash for case_id, one in by_id.items() if one.voxels}):
        if frozenset(group) not in images:
            message = "one label, voxel for voxel, for different images; see which image it belongs to."
            findings.append(Finding(WARNING, "same label", group, message))
    return findings


def find_patient_leaks(cases: Sequence[PatientCase], parts: Mapping[str, str]) -> list[Finding]:
    """Patients of whom cases lie in several parts; one error each."""
    patients: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        patients[case.patient].append(case.id)
    return [
        Finding(
            ERROR,
            "patient leak",
            tuple(ids),
            f"the patient {patient!r} is in {_joined(places)}; give all cases of a patient one split.",
        )
        for patient, ids in patients.items()
        if len(places := _places(ids, parts)) > 1
    ]


def _places(ids: Sequence[str], parts: Mapping[str, str]) -> list[str]:
    return sorted({parts[case_id] for case_id in ids if case_id in parts})


def _joined(places: Sequence[str]) -> str:
    return f"{', '.join(places[:-1])} and {places[-1]}"
