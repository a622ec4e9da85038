"""The model card: what the model is, what it was trained on, by which command, and how good it is."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from SlicerCNNSegLib.engine.files.atomic import replacing
from SlicerCNNSegLib.engine.package import ModelPackage

from ..recipe import Recipe, shipped_recipes
from ..run_folder import FoldFolder, write_json
from .evaluate import in_words

CARD = "README.md"
COLUMNS = {"dice": "Dice", "nsd": "NSD at 1 mm", "hd95_mm": "HD95 (mm)"}


def complete_bundle(
    bundle: Path, recipe: Recipe, run: FoldFolder, plain: dict[str, Any], mirrored: dict[str, Any]
) -> None:
    """Write the metrics and the checksum into the bundle's metadata, and its card.

    Parameters
    ----------
    plain, mirrored:
        ``summarise``'s numbers without and with test-time mirroring.
    """
    path = bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["eval_metrics"] = {"held_out": plain, "held_out_mirrored": mirrored}
    metadata["cnnseg"]["sha256"] = ModelPackage.read(bundle).sha256
    write_json(path, metadata)
    with replacing(bundle / CARD) as temporary:
        temporary.write_text(card_text(recipe, run, plain, mirrored), encoding="utf-8")


def card_text(recipe: Recipe, run: FoldFolder, plain: dict[str, Any], mirrored: dict[str, Any]) -> str:
    """The card of one training, as Markdown."""
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
        *_table({"off": plain, "on": mirrored}, "mirroring"),
    ]
    return _card(recipe, data, [_training_paragraph(recipe, run)], how)


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
    return _card(recipe, data, [_training_paragraph(recipe, fold) for fold in folds], how)


def _card(recipe: Recipe, data: str, training: Sequence[str], numbers: Sequence[str]) -> str:
    model = recipe.model
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
            "",
            "## Data",
            "",
            data,
            "",
            "## Training",
            "",
            "```",
            f"cnnseg-train plan DATA -o RUN --recipe {_recipe_name(recipe)}",
            "cnnseg-train run RUN",
            "cnnseg-train export RUN -o MODEL",
            "```",
            "",
            "DATA is the data set's folder or table. The weights are the exponential moving average at the step with",
            "the best score on the held-out cases, kept in float16.",
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


def _recipe_name(recipe: Recipe) -> str:
    """How to name the recipe on the command line: the shipped one where it is that, else the run's own file."""
    name = str(recipe.model["id"])
    shipped = name in shipped_recipes() and Recipe.read(name).decisive() == recipe.decisive()
    return name if shipped else "recipe.json"


def _training_paragraph(recipe: Recipe, run: FoldFolder) -> str:
    with run.curves.open(encoding="utf-8", newline="") as stream:
        last = list(csv.DictReader(stream))[-1]
    window = "x".join(map(str, recipe.patch_size))
    return (
        f"Fold {run.number}: {last['step']} steps of {recipe.batch_size} windows of {window} voxels took "
        f"{float(last['seconds']) / 60:.0f} minutes."
    )


def _table(rows: Mapping[str, dict[str, Any]], what: str) -> list[str]:
    """Structures and, for each, one line per entry of ``rows``."""
    lines = [f"| structure | {what} | " + " | ".join(COLUMNS.values()) + " |", "| --- " * (2 + len(COLUMNS)) + "|"]
    for name in next(iter(rows.values())):
        for how, numbers in rows.items():
            cells = [in_words(numbers[name].get(metric), 3) for metric in COLUMNS]
            lines.append(f"| {name} | {how} | " + " | ".join(cells) + " |")
    return lines
