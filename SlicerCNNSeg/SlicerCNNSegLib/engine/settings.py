"""What a run is asked to do: the command line's options, the panel's fields, the console's arguments."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .errors import SettingsError
from .region import Region

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DEFAULT_MODEL, DEFAULT_DETECTOR = "hippocampus-mr", "nodule-detection-demo"
AUTO, NONE = "auto", "none"
EXPLANATIONS = ("", "gradcam", "gradcam++", "occlusion", "features")


@dataclass(frozen=True)
class SegmentationSettings:
    """How to segment.

    Parameters
    ----------
    model:
        Id from the catalogue, or the path of a model folder.
    regions:
        Boxes to which the run is restricted; none means the whole image. Intensities are
        normalised inside each box. Named regions give their own labels (``Left ...``).
    device:
        ``auto`` (the best that passes its self-test), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    precision:
        ``auto`` (bf16 where the device has it in hardware), ``fp32``, ``bf16``, ``fp16``.
    mirror:
        Test-time augmentation: average over the mirrorings that the model was trained with.
    overlap:
        Share of a window that its neighbour covers, 0 <= overlap < 1; None takes the model's.
    postprocess:
        Apply the model's clean-up of components and holes.
    force:
        Go on although the image's modality is not the model's.

    Raises
    ------
    SettingsError
        A value is not one of those listed.
    """

    model: str = DEFAULT_MODEL
    regions: tuple[Region, ...] = ()
    device: str = "auto"
    precision: str = "auto"
    mirror: bool = False
    overlap: float | None = None
    postprocess: bool = True
    force: bool = False

    def __post_init__(self) -> None:
        _check_hardware(self.device, self.precision)
        if self.overlap is not None and not 0 <= self.overlap < 1:
            raise SettingsError(f"Expected an overlap from 0 to below 1, got {self.overlap}.")
        _check_names(self.regions)
        object.__setattr__(self, "regions", tuple(self.regions))

    def to_json(self) -> dict[str, object]:
        """The plain form, for the run record."""
        return {**asdict(self), "regions": [str(region) for region in self.regions]}


@dataclass(frozen=True)
class ClassificationSettings:
    """How to classify.

    Parameters
    ----------
    model:
        Id from the catalogue, or the path of a model folder.
    regions:
        Boxes that are classified, each by itself; none means the whole image.
    device, precision:
        As in ``SegmentationSettings``.
    mirror:
        Test-time augmentation: average over the mirrorings that the model was trained with.
    explain:
        ``gradcam``, ``gradcam++``, ``occlusion`` or ``features`` gives a heat map; "" gives none.
    explain_class:
        Name of the class to explain; "" is the most probable one of each region.
    layer:
        Layer of the network whose features Grad-CAM takes; "" is the network's last.
    sanity:
        Also make the heat maps of networks with random weights, and say whether these are much the same.
    dropout_samples:
        Runs with dropout left on, as in training: their mean is given, and their spread. 0 is one run without.
    force:
        Go on although the image's modality is not the model's.

    Raises
    ------
    SettingsError
        A value is not one of those listed.
    """

    model: str
    regions: tuple[Region, ...] = ()
    device: str = "auto"
    precision: str = "auto"
    mirror: bool = False
    explain: str = ""
    explain_class: str = ""
    layer: str = ""
    sanity: bool = False
    dropout_samples: int = 0
    force: bool = False

    def __post_init__(self) -> None:
        _check_hardware(self.device, self.precision)
        _check_names(self.regions)
        if self.explain not in EXPLANATIONS:
            known = ", ".join(EXPLANATIONS[1:])
            raise SettingsError(f"Expected an explanation out of {known}, or none, got {self.explain!r}.")
        if not self.explain and (self.explain_class or self.layer or self.sanity):
            raise SettingsError("Expected a kind of explanation with its class, layer or sanity check, got none.")
        if self.layer and self.explain == "occlusion":
            raise SettingsError(f"Occlusion looks at no layer, got {self.layer!r}; choose gradcam, or leave it out.")
        if self.dropout_samples < 0 or self.dropout_samples == 1:
            raise SettingsError(f"Expected 0, or 2 and more runs with dropout, got {self.dropout_samples}.")
        object.__setattr__(self, "regions", tuple(self.regions))

    def to_json(self) -> dict[str, object]:
        """The plain form, for the run record."""
        return {**asdict(self), "regions": [str(region) for region in self.regions]}


@dataclass(frozen=True)
class DetectionSettings:
    """How to detect.

    Parameters
    ----------
    model:
        Id from the catalogue, or the path of a model folder.
    regions:
        Boxes to which the search is restricted: what is found has its middle in one of them. None means the whole
        lungs. Names say nothing here.
    threshold:
        Score from which on a candidate is a finding, 0 to 1; None takes the model's. Candidates below it are kept too,
        down to the model's lowest score.
    measure:
        Segment and measure each candidate.
    malignancy:
        Classifier that says how likely each candidate is malignant: id or folder, ``auto`` for ``nodule-malignancy``
        where it is installed and candidates are measured, or ``none``.
    device, precision:
        As in ``SegmentationSettings``.
    mirror:
        Test-time augmentation: fuse the boxes of the mirrorings that the model was trained with. A bundle in MONAI's
        form has none.
    force:
        Go on although the image's modality is not the model's.

    Raises
    ------
    SettingsError
        A value is not one of those listed.
    """

    model: str
    regions: tuple[Region, ...] = ()
    threshold: float | None = None
    measure: bool = True
    malignancy: str = AUTO
    device: str = "auto"
    precision: str = "auto"
    mirror: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        _check_hardware(self.device, self.precision)
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise SettingsError(f"Expected a threshold from 0 to 1, got {self.threshold}.")
        object.__setattr__(self, "regions", tuple(self.regions))

    def to_json(self) -> dict[str, object]:
        """The plain form, for the run record."""
        return {**asdict(self), "regions": [str(region) for region in self.regions]}


def _check_hardware(device: str, precision: str) -> None:
    if device.partition(":")[0] not in DEVICES:
        raise SettingsError(f"Expected a device out of {', '.join(DEVICES)} or cuda:N, got {device!r}.")
    if precision not in PRECISIONS:
        raise SettingsError(f"Expected a precision out of {', '.join(PRECISIONS)}, got {precision!r}.")


def _check_names(regions: tuple[Region, ...]) -> None:
    names = [region.name for region in regions]
    if any(names) and len(set(names)) < len(names):
        raise SettingsError(f"Expected each region to have a name of its own, or none to have one; got {names}.")
