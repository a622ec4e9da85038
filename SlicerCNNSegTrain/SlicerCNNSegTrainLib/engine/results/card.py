"""The model card: what the model is, what it was trained on, by which command, and how good it is."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from SlicerCNNSegLib.engine.files.atomic import replacing
from SlicerCNNSegLib.engine.package import ModelPackage

from ..recipe import Recipe, shipped_recipes
from ..run_folder import FoldFolder, write_json
from ..transfer.source import SHOWN_DIGITS
from .evaluate import in_words
from .export import HALF

CARD = "README.md"
STORED = {
    "int8": "int8 with a scale for each output\nchannel (symmetric quantisation after training), and become float32 "
    "when they are loaded: this saves\nroom, not time"
}
"""More on how weights are stored than the name of the type."""

COLUMNS = {"dice": "Dice", "nsd": "NSD at 1 mm", "hd95_mm": "HD95 (mm)"}
CLASS_COLUMNS = {"auc": "AUC", "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "ece": "ECE"}
DETECTOR_COLUMNS = {"cpm": "CPM", "sensitivity": "sensitivity at 1 false positive per image"}


def complete_bundle(bundle: Path, metrics: Mapping[str, Any], text: str) -> None:
    """Write the metrics and the checksum into the bundle's metadata, and its card.

    Parameters
    ----------
    metrics:
        By what they were measured on.
    text:
        The card.
    """
    path = bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["eval_metrics"] = dict(metrics)
    metadata["cnnseg"]["sha256"] = ModelPackage.read(bundle).sha256
    write_json(path, metadata)
    with replacing(bundle / CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")


def card_text(recipe: Recipe, run: FoldFolder, numbers: Mapping[str, dict[str, Any]]) -> str:
    """The card of one training, as Markdown; ``numbers`` without mirroring (``off``) and perhaps with it (``on``)."""
    split = json.loads(run.split.read_text(encoding="utf-8"))
    test = f", {len(split['test'])} were kept for a test" if split["test"] else ""
    data = (
        f"{recipe.model['data_source']}. {len(split['training'])} cases were trained on, {len(split['held_out'])} were "
        f"held out{test} ({split['division']})."
    )
    how = [
        f"On the {len(split['held_out'])} held-out cases, by the commands above: mean, 95 % bootstrap interval.",
        "The step was chosen on the same cases, so the numbers are slightly optimistic.",
        "",
        *_table(numbers, "mirroring"),
    ]
    return _card(recipe, data, [_training_paragraph(recipe, run)], how, _weights_type(run))


def ensemble_card(recipe: Recipe, folds: Sequence[FoldFolder], numbers: dict[str, Any]) -> str:
    """The card of an ensemble of folds, as Markdown."""
    held_out = sum(len(json.loads(fold.split.read_text(encoding="utf-8"))["held_out"]) for fold in folds)
    data = (
        f"{recipe.model['data_source']}. {len(folds)} networks, each trained with another of {recipe.folds} folds of "
        f"patients held out (shuffled with seed {recipe.seed}); their probabilities are averaged."
    )
    how = [
        f"On {held_out} cases, each segmented by the one network that had not seen it: mean, 95 % bootstrap interval.",
        "The ensemble itself has seen all of them, so it is not measured here.",
        "",
        *_table({"off": numbers}, "mirroring"),
    ]
    training = [_training_paragraph(recipe, fold) for fold in folds]
    return _card(recipe, data, training, how, _weights_type(folds[0]))


def class_card(recipe: Recipe, run: FoldFolder, numbers: dict[str, Any], temperature: float) -> str:
    """The card of one training of a classifier, as Markdown."""
    split = json.loads(run.split.read_text(encoding="utf-8"))
    test = f", {len(split['test'])} were kept for a test" if split["test"] else ""
    data = (
        f"{recipe.model['data_source']}. {len(split['training'])} images were trained on, {len(split['held_out'])} "
        f"were held out{test} ({split['division']})."
    )
    how = [
        f"On the {len(split['held_out'])} held-out images, by the commands above, with 95 % intervals.",
        "The step was chosen on the same images, and the temperature, by which scores are divided, was fitted to them",
        f"({temperature:.3f}), so the numbers are slightly optimistic.",
        "",
        *_class_table(numbers),
    ]
    return _card(recipe, data, [_training_paragraph(recipe, run)], how)


def class_ensemble_card(recipe: Recipe, folds: Sequence[FoldFolder], numbers: dict[str, Any]) -> str:
    """The card of an ensemble of classifiers, as Markdown."""
    data = (
        f"{recipe.model['data_source']}. {len(folds)} networks, each trained with another of {recipe.folds} folds of "
        f"patients held out (shuffled with seed {recipe.seed}); their probabilities are averaged."
    )
    how = [
        "On all images, each classified by the one network that had not seen it, with 95 % intervals.",
        "The ensemble itself has seen all of them, so it is not measured here.",
        "",
        *_class_table(numbers),
    ]
    return _card(recipe, data, [_training_paragraph(recipe, fold) for fold in folds], how)


def detector_card(recipe: Recipe, run: FoldFolder, numbers: Mapping[str, Any]) -> str:
    """The card of one training of a detector, as Markdown."""
    split = json.loads(run.split.read_text(encoding="utf-8"))
    test = f", {len(split['test'])} were kept for a test" if split["test"] else ""
    data = (
        f"{recipe.model['data_source']}. {len(split['training'])} images were trained on, {len(split['held_out'])} "
        f"were held out{test} ({split['division']})."
    )
    how = [
        f"On the {len(split['held_out'])} held-out images, by the commands above, with 95 % bootstrap intervals.",
        "The step was chosen on the same images, so the numbers are slightly optimistic.",
        "",
        *_detector_table(numbers),
    ]
    return _card(recipe, data, [_training_paragraph(recipe, run)], how)


def detector_ensemble_card(recipe: Recipe, folds: Sequence[FoldFolder], numbers: dict[str, Any]) -> str:
    """The card of an ensemble of detectors, as Markdown."""
    data = (
        f"{recipe.model['data_source']}. {len(folds)} networks, each trained with another of {recipe.folds} folds of "
        f"patients held out (shuffled with seed {recipe.seed}); their boxes are fused."
    )
    how = [
        "On all images, each searched by the one network that had not seen it, with 95 % bootstrap intervals.",
        "The ensemble itself has seen all of them, so it is not measured here.",
        "",
        *_detector_table(numbers),
    ]
    return _card(recipe, data, [_training_paragraph(recipe, fold) for fold in folds], how)


def _detector_table(numbers: Mapping[str, Any]) -> list[str]:
    lines = [f"| what | {' | '.join(DETECTOR_COLUMNS.values())} |", "| --- " * (1 + len(DETECTOR_COLUMNS)) + "|"]
    for name, values in numbers.items():
        cells = [in_words(values.get(metric), 3) for metric in DETECTOR_COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _class_table(numbers: Mapping[str, Any]) -> list[str]:
    lines = ["| class | " + " | ".join(CLASS_COLUMNS.values()) + " |", "| --- " * (1 + len(CLASS_COLUMNS)) + "|"]
    for name, values in numbers.items():
        cells = [in_words(values.get(metric), 3) for metric in CLASS_COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _weights_type(fold: FoldFolder) -> str:
    """What a fold's exported model stores its weights as."""
    metadata = json.loads((fold.model / "configs" / "metadata.json").read_text(encoding="utf-8"))
    return str(metadata["cnnseg"].get("weights", HALF))


def _card(recipe: Recipe, data: str, training: Sequence[str], numbers: Sequence[str], weights: str = HALF) -> str:
    model, option = recipe.model, "" if weights == HALF else f" --weights {weights}"
    return "\n".join(
        [
            f"# {model['id']}: {model['title']}",
            "",
            model["description"],
            "",
            f"Licence of the weights: {model['licence']}. Version {model['version']}.",
            "",
            "## Input and output",
            "",
            *(f"- Input: {c['name']} ({c['modality']}): {c['description']}." for c in model["channels"]),
            *(f"- Output {label['value']}: {label['name']}." for label in model["labels"]),
            *(f"- Class: {name}." for name in recipe.class_names),
            "",
            "## Data",
            "",
            data,
            "",
            "## Training",
            "",
            "```",
            f"cnnseg-train plan DATA -o RUN --recipe {_recipe_words(recipe)}",
            "cnnseg-train run RUN",
            f"cnnseg-train export RUN -o MODEL{option}",
            "```",
            "",
            "DATA is the data set's folder or table. The weights are the exponential moving average at the step with",
            f"the best score on the held-out cases, kept in {STORED.get(weights, weights)}.",
            "",
            *training,
            "",
            "## How good it is",
            "",
            *numbers,
            "",
            "## Intended use",
            "",
            model["intended_use"],
            "",
            "## Limits",
            "",
            *(f"- {limit}" for limit in model["limits"]),
            "",
            "## References",
            "",
            *(f"- {reference}" for reference in model["references"]),
            "",
        ]
    )


def _origins(recipe: Recipe, fold: FoldFolder) -> str:
    """Which models a smaller one comes from, in words; "" for others."""
    teacher, lines = recipe.teacher, []
    if recipe.start.prune:
        source = json.loads(fold.start.read_text(encoding="utf-8"))["source"]
        lines.append(f"It started from the model {source}.")
    if teacher.model:
        whose = f"{Path(teacher.model).name} (sha256 {teacher.sha256[:SHOWN_DIGITS]})"
        lines.append(
            f"It learned from the labels and from the model {whose}: distillation, T = {teacher.temperature:g}."
        )
    return " ".join(["", *lines])


def _recipe_words(recipe: Recipe) -> str:
    """The recipe on the command line: the shipped one, with what differs in time, or the run's own file."""
    name = str(recipe.model["id"])
    if name not in shipped_recipes():
        return "recipe.json"
    shipped = Recipe.read(name)
    if replace(shipped, steps=recipe.steps, minutes=recipe.minutes).decisive() != recipe.decisive():
        return "recipe.json"
    if recipe.minutes != shipped.minutes:
        return f"{name} --minutes {recipe.minutes:g}"
    return name if recipe.steps == shipped.steps else f"{name} --steps {recipe.steps}"


def _training_paragraph(recipe: Recipe, run: FoldFolder) -> str:
    with run.curves.open(encoding="utf-8", newline="") as stream:
        last = list(csv.DictReader(stream))[-1]
    window = "x".join(map(str, recipe.patch_size))
    return (
        f"Fold {run.number}: {last['step']} steps of {recipe.batch_size} windows of {window} voxels took "
        f"{float(last['seconds']) / 60:.0f} minutes.{_origins(recipe, run)}"
    )


def _table(rows: Mapping[str, dict[str, Any]], what: str) -> list[str]:
    """Structures and, for each, one line per entry of ``rows``."""
    lines = [f"| structure | {what} | " + " | ".join(COLUMNS.values()) + " |", "| --- " * (2 + len(COLUMNS)) + "|"]
    for name in next(iter(rows.values())):
        for how, numbers in rows.items():
            cells = [in_words(numbers[name].get(metric), 3) for metric in COLUMNS]
            lines.append(f"| {name} | {how} | " + " | ".join(cells) + " |")
    return lines
