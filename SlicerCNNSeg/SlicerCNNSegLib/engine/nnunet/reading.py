"""Folders that nnU-Net v2 left behind a training: what their JSON files say, and what of it is refused.

``plans.json`` and ``dataset.json`` are data here: a network, a normalisation, a reader that they name is looked up in a
list, and nothing is imported because they say so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..bundles.facts import MODALITIES
from ..bundles.terms import label_of
from ..errors import ModelError, SettingsError
from ..labels import Label
from .networks import definition_of
from .plan import ANISOTROPY, LABELS_RESAMPLED, SPLINES, Intensity, NnunetPlan, Resampling

PLANS, DATASET, FOLDS = "plans.json", "dataset.json", "fold_*"
CHECKPOINTS = ("final", "best", "latest")
"""Of which nnU-Net predicts with the first unless it is told otherwise."""

SEARCH_DEPTH = 5
"""How deep below what was given a trained model may lie: nnU-Net's zip files have three levels above it."""

READERS = {
    "SimpleITKIO": "",
    "NibabelIO": "",
    "NaturalImage2DIO": "",
    "SimpleITKIOWithReorient": "RAS",
    "NibabelIOWithReorient": "RAS",
}
"""nnU-Net's readers, and into which orientation they bring an image."""

MR_WORDS = ("t1", "t2", "flair", "adc", "dwi", "pd", "swi")
"""Beginnings of channel names that only MR has."""


@dataclass(frozen=True)
class Choice:
    """What to make of nnU-Net's folders, where they leave a choice.

    Parameters
    ----------
    id:
        Of the model; "" makes one of the dataset's name and the configuration.
    configuration:
        Which, where there are several.
    checkpoint:
        One of ``CHECKPOINTS``; "" takes ``final``, and where there is none ``best``.
    """

    id: str = ""
    configuration: str = ""
    checkpoint: str = ""

    def __post_init__(self) -> None:
        if self.checkpoint not in ("", *CHECKPOINTS):
            raise SettingsError(f"Expected a checkpoint out of {', '.join(CHECKPOINTS)}, got {self.checkpoint!r}.")


@dataclass(frozen=True)
class Trained:
    """A trained model's folder, read.

    Parameters
    ----------
    folder:
        With ``plans.json``, ``dataset.json`` and folders of folds.
    plans, dataset:
        The two files.
    """

    folder: Path
    plans: Mapping[str, Any]
    dataset: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Trained:
        """Read the two files.

        Raises
        ------
        ModelError
            One of them is no JSON object.
        """
        return cls(folder, _read_json(folder / PLANS), _read_json(folder / DATASET))

    @property
    def configuration(self) -> str:
        """As the folder's name has it (``TRAINER__PLANS__CONFIGURATION``)."""
        return self.folder.name.rpartition("__")[2]

    @property
    def dataset_name(self) -> str:
        """For example ``Dataset004_Hippocampus``."""
        return str(self.plans.get("dataset_name") or self.folder.parent.name)

    def checkpoints(self, kind: str) -> list[Path]:
        """The folds' checkpoints of a kind; ``fold_all`` only where there is no other."""
        found = sorted(self.folder.glob(f"{FOLDS}/checkpoint_{kind}.pth"))
        numbered = [path for path in found if path.parent.name != "fold_all"]
        return numbered or found

    def settings_of(self, configuration: str) -> dict[str, Any]:
        """A configuration of the plans, with what it inherits.

        Raises
        ------
        ModelError
            There is no such one, or it inherits from itself.
        """
        known = self.plans.get("configurations", {})
        settings: dict[str, Any] = {}
        name, visited = configuration, []
        while name:
            if name not in known or name in visited:
                raise ModelError(
                    f"{PLANS} of {self.folder.name} has no usable configuration {name!r}: it has {', '.join(known)}."
                )
            visited.append(name)
            settings = {**known[name], **settings}
            name = str(known[name].get("inherits_from", ""))
        return settings

    def network(self, configuration: str, trainer: str) -> dict[str, Any]:
        """The definition of the network, for ``engine/networks``.

        Raises
        ------
        ModelError
            Its class, or a layer's, is not one of those that are known.
        """
        inputs = len(self.channels()) + len(self.first_labels(configuration))
        outputs = len(self.region_values()) or len(self.labels()) + 1
        return definition_of(self.settings_of(configuration), inputs, outputs, trainer)

    def first_stage(self, configuration: str) -> str:
        """Of the second stage of a cascade the configuration that goes before it; "" of others."""
        return str(self.settings_of(configuration).get("previous_stage") or "")

    def first_labels(self, configuration: str) -> tuple[int, ...]:
        """What ``NnunetPlan.first_labels`` has."""
        if not self.first_stage(configuration):
            return ()
        given = (value for name, value in self.dataset["labels"].items() if name != "ignore")
        members = {int(one) for value in given for one in (value if isinstance(value, list) else [value])}
        return tuple(sorted(members - {0}))

    def plan(self, configuration: str, mirror_axes: Sequence[int]) -> NnunetPlan:
        """How the model runs.

        Raises
        ------
        ModelError
            It asks for what is not done here, or is damaged.
        """
        settings = self.settings_of(configuration)
        for what, default, given in (
            ("preprocessor", "DefaultPreprocessor", settings.get("preprocessor_name")),
            ("label manager", "LabelManager", self.plans.get("label_manager")),
        ):
            self._refuse_others(what, given or default, default)
        reader = str(self.plans.get("image_reader_writer", "SimpleITKIO"))
        self._refuse_others("reader", reader, *READERS)
        first, second, third = (int(axis) for axis in self.plans["transpose_forward"])
        return NnunetPlan(
            configuration=configuration,
            patch_size=tuple(int(n) for n in settings["patch_size"]),
            spacing_mm=tuple(float(mm) for mm in settings["spacing"]),
            transpose=(first, second, third),
            orientation=READERS[reader],
            intensities=self._intensities(settings),
            images=_resampling(settings, "data"),
            scores=_resampling(settings, "probabilities"),
            mirror_axes=tuple(int(axis) for axis in mirror_axes),
            region_values=self.region_values(),
            first_labels=self.first_labels(configuration),
            labels=_resampling(settings, "seg") if self.first_stage(configuration) else LABELS_RESAMPLED,
        )

    def channels(self) -> list[tuple[str, str]]:
        """Names of the input channels and their modalities ("" where the name does not say)."""
        given = self.dataset.get("channel_names") or self.dataset.get("modality") or {}
        names = [str(given[key]) for key in sorted(given, key=int)]
        return [(name, _modality(name)) for name in names]

    def region_values(self) -> tuple[int, ...]:
        """``regions_class_order`` where the model was trained on regions, else nothing."""
        if not any(isinstance(value, list) and len(value) > 1 for value in self.dataset["labels"].values()):
            return ()
        return tuple(int(value) for value in self.dataset["regions_class_order"])

    def labels(self) -> list[Label]:
        """What the labelmap's values mean, without background.

        Of overlapping regions the later ones go over the earlier ones, which their names say.

        Raises
        ------
        ModelError
            Values are not 1, 2, 3 and so on.
        """
        given = {str(n): v for n, v in self.dataset["labels"].items() if n != "ignore" and v not in (0, [0])}
        order = self.region_values()
        if order:
            members = [(name, set(value if isinstance(value, list) else [value])) for name, value in given.items()]
            if len(members) != len(order):
                raise ModelError(f"{DATASET} has {len(members)} regions, but {len(order)} in regions_class_order.")
            return [label_of(value, _visible_name(members[n:])) for n, value in enumerate(order)]
        values = {name: int(value[0] if isinstance(value, list) else value) for name, value in given.items()}
        if sorted(values.values()) != list(range(1, len(values) + 1)):
            raise ModelError(
                f"Expected labels 1 to {len(values)} in {DATASET}, got {sorted(values.values())}; nnU-Net's are such."
            )
        return [label_of(value, name) for name, value in sorted(values.items(), key=lambda item: item[1])]

    def _intensities(self, settings: Mapping[str, Any]) -> tuple[Intensity, ...]:
        properties = self.plans.get("foreground_intensity_properties_per_channel") or self.plans.get(
            "foreground_intensity_properties_by_modality", {}
        )
        found = []
        for number, (scheme, masked) in enumerate(
            zip(settings["normalization_schemes"], settings["use_mask_for_norm"], strict=True)
        ):
            facts = properties[str(number)] if scheme == "CTNormalization" else {}
            names = {"mean": "mean", "std": "std", "low": "percentile_00_5", "high": "percentile_99_5"}
            numbers = {name: float(facts[key]) for name, key in names.items() if facts}
            found.append(Intensity(str(scheme), bool(masked), **numbers))
        if len(found) != len(self.channels()):
            raise ModelError(f"{PLANS} normalises {len(found)} channels, {DATASET} has {len(self.channels())}.")
        return tuple(found)

    def _refuse_others(self, what: str, name: str, *known: str) -> None:
        if name not in known:
            raise ModelError(
                f"The model {self.folder.name} was trained with nnU-Net's {what} {name!r}; only {', '.join(known)} "
                "can be done here."
            )


def trained_models(folder: Path) -> list[Path]:
    """Folders of trained models: that folder, or those in it."""
    near = (plans.parent for depth in range(SEARCH_DEPTH) for plans in sorted(folder.glob("*/" * depth + PLANS)))
    return [one for one in near if (one / DATASET).is_file() and any(path.is_dir() for path in one.glob(FOLDS))]


def _resampling(settings: Mapping[str, Any], of: str) -> Resampling:
    """``data``, ``probabilities`` or ``seg``: the function and its arguments."""
    given = dict(settings.get(f"resampling_fn_{of}_kwargs", {}))
    function = str(settings.get(f"resampling_fn_{of}", SPLINES))
    labels, depth, mode = given.pop("is_seg", of == "seg"), given.pop("order_z", 0), given.pop("mode", "linear")
    if labels != (of == "seg") or depth or mode != "linear":
        raise ModelError(f"nnU-Net's resampling of {of} has arguments that are not known here.")
    separate = given.get("force_separate_z")
    return Resampling(
        function,
        int(given.get("order", 1 if of == "seg" else 3)),
        None if separate is None else bool(separate),
        float(given.get("separate_z_anisotropy_threshold", ANISOTROPY)),
    )


def _visible_name(regions: Sequence[tuple[str, set[int]]]) -> str:
    """The name of what is seen of the first region when the others lie over it."""
    (name, own), later = regions[0], [other for other, labels in regions[1:] if labels & regions[0][1]]
    return f"{name} without {', '.join(later)}" if later and own else name


def _modality(channel: str) -> str:
    word = channel.strip().upper()
    if word in MODALITIES:
        return MODALITIES[word]
    return "MR" if channel.strip().lower().startswith(MR_WORDS) else ""


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read as JSON ({error}); copy the model again.") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path} must hold a JSON object, got {type(data).__name__}.")
    return data
