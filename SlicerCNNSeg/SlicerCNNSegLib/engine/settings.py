"""What a run is asked to do: the command line's options, the panel's fields, the console's arguments."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .errors import SettingsError
from .region import Region

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DEFAULT_MODEL = "hippocampus-mr"


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
        if self.device.partition(":")[0] not in DEVICES:
            raise SettingsError(f"Expected a device out of {', '.join(DEVICES)} or cuda:N, got {self.device!r}.")
        if self.precision not in PRECISIONS:
            raise SettingsError(f"Expected a precision out of {', '.join(PRECISIONS)}, got {self.precision!r}.")
        if self.overlap is not None and not 0 <= self.overlap < 1:
            raise SettingsError(f"Expected an overlap from 0 to below 1, got {self.overlap}.")
        names = [region.name for region in self.regions]
        if any(names) and len(set(names)) < len(names):
            raise SettingsError(f"Expected each region to have a name of its own, or none to have one; got {names}.")
        object.__setattr__(self, "regions", tuple(self.regions))

    def to_json(self) -> dict[str, object]:
        """The plain form, for the run record."""
        return {**asdict(self), "regions": [str(region) for region in self.regions]}
