"""A recipe: everything that decides what a training run gives, in one readable file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from SlicerCNNSegLib.engine.errors import FileReadError, SettingsError
from SlicerCNNSegLib.engine.preprocess import Preprocessing

_LIBRARY = Path(__file__).resolve().parents[1]
_INSTALLED_RECIPES = _LIBRARY / "recipes"
"""Where a wheel puts them; the source tree and Slicer keep them in the module's Resources."""

RECIPES = _INSTALLED_RECIPES if _INSTALLED_RECIPES.is_dir() else _LIBRARY.parent / "Resources" / "Recipes"


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with CNNSeg."""
    return sorted(file.stem for file in RECIPES.glob("*.json"))


@dataclass(frozen=True)
class Recipe:
    """How to train one model.

    Parameters
    ----------
    model:
        What goes into the bundle's ``metadata.json`` and card: id, title, task, channels, labels,
        licence, limits, ...
    network:
        Network definition (``_target_`` and arguments), see ``engine/networks.py``.
    preprocessing:
        MONAI transforms as plain data, see ``engine/preprocess.py``.
    augmentation:
        Probability of each augmentation, see ``augmentation.py``; 0 switches it off.
    inference:
        ``overlap``, ``mirror_axes`` and ``postprocess`` of the exported model.
    patch_size:
        Window of the network along network space's axes, voxels.
    batch_size, steps:
        Samples per step, number of steps.
    minutes:
        Instead of ``steps``: train for so long, the validations included; 0 trains for ``steps``.
    learning_rate, warmup_steps, weight_decay, clip_norm:
        AdamW with linear warm-up, then cosine decay to zero; gradient norm clipped.
    ema_decay:
        Decay per step of the exponential moving average of the weights, which is what is validated
        and exported (ramped up as (1 + step) / (10 + step) at the start).
    foreground_share:
        Share of the samples whose window is centred on a labelled voxel.
    precision:
        ``bf16`` (autocast) or ``fp32``.
    validate_every:
        Steps between validations.
    folds, fold, seed:
        Which patients are held out, and every random number.
    """

    model: Mapping[str, Any]
    network: Mapping[str, Any]
    preprocessing: tuple[Mapping[str, Any], ...]
    augmentation: Mapping[str, float]
    inference: Mapping[str, Any]
    patch_size: tuple[int, int, int]
    batch_size: int
    steps: int
    minutes: float = 0.0
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 1e-2
    clip_norm: float = 5.0
    ema_decay: float = 0.995
    foreground_share: float = 0.5
    precision: str = "bf16"
    validate_every: int = 500
    folds: int = 5
    fold: int = 0
    seed: int = 0
    prepared: Preprocessing = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("batch_size", "steps", "validate_every", "learning_rate"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"Expected {name} above 0, got {getattr(self, name)}.")
        if not self.minutes >= 0:
            raise SettingsError(f"Expected minutes of 0 or more, got {self.minutes}.")
        if self.precision not in ("bf16", "fp32"):
            raise SettingsError(f"Expected precision 'bf16' or 'fp32', got {self.precision!r}.")
        object.__setattr__(self, "patch_size", tuple(int(n) for n in self.patch_size))
        object.__setattr__(self, "preprocessing", tuple(self.preprocessing))
        object.__setattr__(self, "prepared", Preprocessing.from_transforms(self.preprocessing))

    @property
    def label_values(self) -> tuple[int, ...]:
        """Values of the structures to learn, without background."""
        return tuple(int(label["value"]) for label in self.model["labels"])

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels, in order."""
        return tuple(str(channel["name"]) for channel in self.model["channels"])

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {key: value for key, value in asdict(self).items() if key != "prepared"}

    def decisive(self) -> dict[str, Any]:
        """The part that decides the weights: not what is only told about the model, nor how it is run later."""
        values = json.loads(json.dumps(self.to_json()))  # tuples and lists alike
        structures = [label["value"] for label in values.pop("model")["labels"]]
        del values["inference"]
        return values | {"structures": structures}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """From the plain form.

        Raises
        ------
        SettingsError
            A field is unknown, missing or has a wrong value.
        """
        known = {f.name for f in fields(cls) if f.init}
        unknown = sorted(set(data) - known)
        if unknown:
            raise SettingsError(f"Unknown in the recipe: {', '.join(unknown)}; expected {', '.join(sorted(known))}.")
        try:
            return cls(**data)
        except TypeError as error:
            raise SettingsError(f"The recipe is incomplete: {error}.") from error

    @classmethod
    def read(cls, name_or_file: str | Path) -> Recipe:
        """A shipped recipe by name, or a recipe file.

        Raises
        ------
        FileReadError
            There is no such file, or it is no JSON.
        """
        path = RECIPES / f"{name_or_file}.json"
        path = path if path.exists() else Path(name_or_file)
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            shipped = ", ".join(shipped_recipes())
            raise FileReadError(f"No recipe {str(name_or_file)!r}: expected one of {shipped}, or a file.") from error
        except ValueError as error:
            raise FileReadError(f"{path} is no valid JSON: {error}.") from error
