"""A recipe: everything that decides what a training run gives, in one readable file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from SlicerCNNSegLib.engine.classification.model import TASK as CLASSIFICATION
from SlicerCNNSegLib.engine.errors import FileReadError, SettingsError
from SlicerCNNSegLib.engine.preprocess import Preprocessing

from .recipe_parts import Classes, Detection, Start, Teacher, one_of, part_from_json

if TYPE_CHECKING:
    from SlicerCNNSegLib.engine.classification.framing import Framing

SEGMENTATION, DETECTION = "segmentation", "detection"

_LIBRARY = Path(__file__).resolve().parents[1]
_INSTALLED_RECIPES = _LIBRARY / "recipes"
"""Where a wheel puts them; the source tree and Slicer keep them in the module's Resources."""

RECIPES = _INSTALLED_RECIPES if _INSTALLED_RECIPES.is_dir() else _LIBRARY.parent / "Resources" / "Recipes"


def shipped_recipes(task: str = "") -> list[str]:
    """Names of the recipes that come with CNNSeg; those of one task alone, when it is named."""
    files = sorted(RECIPES.glob("*.json"))
    return [file.stem for file in files if task in ("", json.loads(file.read_text(encoding="utf-8"))["model"]["task"])]


CHOICES = {
    "class_weights": ("", "balanced"),
    "optimizer": ("adamw", "sgd"),
    "decay": ("cosine", "poly"),
    "precision": ("auto", "bf16", "fp16", "fp32"),
}
"""What a recipe's fields may say."""


@dataclass(frozen=True)
class Recipe:
    """How to train one model.

    Parameters
    ----------
    model:
        What goes into the bundle's ``metadata.json`` and card: id, title, task, channels, labels,
        licence, limits, ...
    network:
        Network definition (``_target_`` and arguments), see ``engine/networks``.
    preprocessing:
        MONAI transforms as plain data, see ``engine/preprocess.py``; of a classification
        ``engine/classification/framing.py``.
    augmentation:
        Probability of each augmentation, see ``training/augmentation.py``; 0 switches it off.
    inference:
        ``overlap``, ``mirror_axes`` and ``postprocess`` of the exported model; of a detection ``overlap``,
        ``threshold``, ``candidate_score``, ``merge_overlap`` and, where it is not the patch, ``window``; of a detection
        or classification as wanted ``always_averaged``: the exported model is always averaged over its mirrorings.
    patch_size:
        Window of the network along network space's axes, voxels; a third size of 1 is for a 2-D network.
    batch_size, steps:
        Samples per step over all processes, number of steps.
    minutes:
        Instead of ``steps``: train for so long, the validations included; 0 trains for ``steps``.
    loss:
        Weight of each term, see ``training/losses.py``.
    class_weights:
        ``balanced`` weighs voxels by how rare their class is, see ``training/losses.py``; "" weighs all alike.
    ignore_value:
        Label value in the files of voxels that nobody labelled, kept out of loss and scores; 0 when there is none.
    relabelled:
        Pairs of label values in the files and what each is read as: a structure, into which it is merged, or 0.
    absent_means_not_contoured:
        A structure that a case's label does not hold was not contoured there: it is not learned as background.
    mirrored:
        Pairs of label values that change places when an image is flipped right-left.
    optimizer:
        ``adamw``, or ``sgd`` with Nesterov momentum of 0.99.
    learning_rate, warmup_steps, decay:
        Linear warm-up, then decay to zero: ``cosine``, or ``poly`` with exponent 0.9.
    weight_decay, clip_norm:
        Of the weights; gradient norm above which it is scaled down.
    ema_decay:
        Decay per step of the exponential moving average of the weights, which is what is validated
        and exported (ramped up as (1 + step) / (10 + step) at the start).
    foreground_share:
        Share of the samples whose window is centred on a labelled voxel, each structure as often.
    precision:
        ``auto``, ``bf16``, ``fp16`` (both autocast) or ``fp32``.
    validate_every:
        Steps between validations.
    patience:
        Stop after so many validations without a better one; 0 never stops early.
    start:
        What to start from.
    teacher:
        Of a segmentation: whom to learn from, beside the labels.
    classes:
        Of a classification; its classes themselves stand in ``model``.
    detection:
        Of a detection; ``foreground_share`` is then the share of windows around an object, and ``loss`` has the
        weights of ``score`` and ``box``.
    folds, fold, seed:
        Number of folds and which one is held out, and every random number.
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
    loss: Mapping[str, float] = field(default_factory=lambda: {"dice": 1.0, "cross_entropy": 1.0})
    class_weights: str = ""
    ignore_value: int = 0
    relabelled: tuple[tuple[int, int], ...] = ()
    absent_means_not_contoured: bool = False
    mirrored: tuple[tuple[int, int], ...] = ()
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    decay: str = "cosine"
    weight_decay: float = 1e-2
    clip_norm: float = 5.0
    ema_decay: float = 0.995
    foreground_share: float = 0.5
    precision: str = "auto"
    validate_every: int = 500
    patience: int = 0
    start: Start = field(default_factory=Start)
    teacher: Teacher = field(default_factory=Teacher)
    classes: Classes = field(default_factory=Classes)
    detection: Detection = field(default_factory=Detection)
    folds: int = 5
    fold: int = 0
    seed: int = 0
    prepared: Preprocessing = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("batch_size", "steps", "validate_every", "learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"Expected {name} above 0, got {getattr(self, name)}.")
        for name in ("minutes", "patience", "ignore_value", "warmup_steps", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"Expected {name} of 0 or more, got {getattr(self, name)}.")
        for name, known in CHOICES.items():
            one_of(name, getattr(self, name), known)
        object.__setattr__(self, "patch_size", tuple(int(n) for n in self.patch_size))
        object.__setattr__(self, "preprocessing", tuple(self.preprocessing))
        for name in ("mirrored", "relabelled"):
            object.__setattr__(self, name, tuple((int(a), int(b)) for a, b in getattr(self, name)))
        for name, kind in (("start", Start), ("teacher", Teacher), ("classes", Classes), ("detection", Detection)):
            if isinstance(getattr(self, name), Mapping):
                object.__setattr__(self, name, part_from_json(name, kind, getattr(self, name)))
        strangers = sorted({value for pair in self.mirrored for value in pair} - set(self.label_values))
        if strangers:
            raise SettingsError(
                f"Expected label values of the recipe in mirrored, got {', '.join(map(str, strangers))}."
            )
        replaced = [old for old, _ in self.relabelled]
        kept = {0, self.ignore_value, *self.label_values}
        strangers = sorted({new for _, new in self.relabelled} - {0, *self.label_values})
        if strangers or set(replaced) & kept or len(set(replaced)) < len(replaced):
            raise SettingsError(
                "Expected in relabelled label values that are no structure of the recipe, each once, and what it is "
                f"read as: 0 or one of {', '.join(map(str, self.label_values))}; got {list(self.relabelled)}."
            )
        if self.ignore_value in self.label_values:
            raise SettingsError(f"The label value {self.ignore_value} is ignore_value and a structure; choose another.")
        one_of("model.task", self.task, (SEGMENTATION, CLASSIFICATION, DETECTION))
        if bool(self.teacher.model) != bool(self.loss.get("distillation")):
            raise SettingsError(
                f"Expected a weight of distillation in the loss with teacher.model, and neither without the other, got "
                f"{self.loss.get('distillation', 0)} and {self.teacher.model!r}."
            )
        if self.task == CLASSIFICATION:
            size = (*self.framing.size, 1) if self.flat else self.framing.size
            if size != self.patch_size:
                raise SettingsError(f"Expected patch_size {size}, the preprocessing's size, got {self.patch_size}.")
        if self.augmentation.get("quarter_turns") and self.patch_size[0] != self.patch_size[1]:
            raise SettingsError(f"Expected a patch_size as wide as high for quarter_turns, got {self.patch_size}.")
        steps = () if self.task == CLASSIFICATION else self.preprocessing
        object.__setattr__(self, "prepared", Preprocessing.from_transforms(steps))

    @property
    def task(self) -> str:
        """What is learned."""
        return str(self.model.get("task", SEGMENTATION))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of a classification: the classes, in the order of the network's scores."""
        return tuple(str(one["name"]) for one in self.model.get("classes", ()))

    @property
    def multi_label(self) -> bool:
        """Of a classification: whether classes don't exclude each other."""
        return bool(self.model.get("multi_label", False))

    @property
    def framing(self) -> Framing:
        """Of a classification: the way from an image to the network's window."""
        from SlicerCNNSegLib.engine.classification.framing import Framing

        return Framing.from_transforms(self.preprocessing, int(self.inference.get("slices", int(self.flat))))

    @property
    def flat(self) -> bool:
        """Whether the network is a 2-D one."""
        return self.patch_size[2] == 1

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
        model = values.pop("model")
        structures = [label["value"] for label in model["labels"]]
        del values["inference"]
        return values | {"structures": structures, "classes_of_model": model.get("classes", [])}

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
