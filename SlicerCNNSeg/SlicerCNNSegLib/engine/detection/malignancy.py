"""How likely each finding is malignant, by a classifier of nodules (heavy)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..catalogue import find_model
from ..classification.around import regions_around_findings
from ..classification.classify import classify
from ..errors import SettingsError, UnknownModelError
from ..findings.finding import Finding
from ..progress import Progress
from ..settings import AUTO, NONE, ClassificationSettings, DetectionSettings
from ..volume import Volume

USUAL = "nodule-malignancy"
"""The classifier that is taken, where it is installed, when nobody names one."""

MALIGNANT = "malignant"
"""Name of the class whose probability is told."""


def classifier_for(settings: DetectionSettings) -> str:
    """The classifier to take; "" for none.

    Raises
    ------
    UnknownModelError
        The one asked for is not there.
    SettingsError
        It knows no class ``malignant``.
    """
    if settings.malignancy == NONE or (settings.malignancy == AUTO and not settings.measure):
        return ""
    try:
        package = find_model(USUAL if settings.malignancy == AUTO else settings.malignancy)
    except UnknownModelError:
        if settings.malignancy == AUTO:
            return ""
        raise
    names = [label.name for label in package.classes]
    if MALIGNANT not in names:
        raise SettingsError(
            f"Expected a classifier with the class {MALIGNANT!r}, but {package.id} has {', '.join(names) or 'none'}; "
            "choose another for the malignancy, or none."
        )
    return str(package.folder)


def rated(
    findings: Sequence[Finding], image: Volume, classifier: str, settings: DetectionSettings, progress: Progress
) -> tuple[list[Finding], tuple[str, ...]]:
    """The findings with their probability of being malignant, and what the classifier warns of.

    Those that could not be measured, such as boxes that reach beyond the image, are left as they are.

    Parameters
    ----------
    classifier:
        As ``classifier_for`` gives it.
    """
    measured = [one for one in findings if one.measurements is not None]
    if not classifier or not measured:
        return list(findings), ()
    how = ClassificationSettings(
        classifier,
        regions_around_findings(measured),
        device=settings.device,
        precision=settings.precision,
        force=settings.force,
    )
    alone = replace(image, channel_names=())  # the detector's name of its channel is not the classifier's
    result = classify(how, [alone], progress)
    at = result.names.index(MALIGNANT)
    by_id = {one.name: float(one.probabilities[at]) for one in result.predictions}
    warnings = tuple(f"Malignancy: {text}" for text in result.record.warnings)
    return [replace(one, malignancy=by_id.get(one.id)) for one in findings], warnings
