"""The model card: what the model is, what it was trained on, by which command, and how good it is."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from SlicerCNNSegLib.engine.files.atomic import replacing
from SlicerCNNSegLib.engine.package import ModelPackage

from ..recipe import Recipe, shipped_recipes
from ..run_folder import RunFolder
from .evaluate import in_words
from .export import write_json

CARD = "README.md"
COLUMNS = {"dice": "Dice", "nsd": "NSD at 1 mm", "hd95_mm": "HD95 (mm)"}


def complete_bundle(
    bundle: Path, recipe: Recipe, run: RunFolder, plain: dict[str, Any], mirrored: dict[str, Any]
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


def card_text(recipe: Recipe, run: RunFolder, plain: dict[str, Any], mirrored: dict[str, Any]) -> str:
    """The card as Markdown."""
    model = recipe.model
    # runs from before tables: folds alone
    folds = f"fold {recipe.fold} of {recipe.folds}, patients shuffled with seed {recipe.seed}"
    split = {"division": folds, "test": []} | json.loads(run.split.read_text(encoding="utf-8"))
    with run.curves.open(encoding="utf-8", newline="") as stream:
        last = list(csv.DictReader(stream))[-1]
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
            _data_paragraph(recipe, split),
            "",
            "## Training",
            "",
            "```",
            f"cnnseg-train run DATA -o RUN --recipe {_recipe_name(recipe)} --export BUNDLE",
            "```",
            "",
            _training_paragraph(recipe, int(last["step"]), float(last["seconds"]) / 60),
            "",
            "## How good it is",
            "",
            f"On the {len(split['held_out'])} held-out cases, by the command above: mean, 95 % bootstrap interval.",
            "",
            *_table(plain, mirrored),
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


def _data_paragraph(recipe: Recipe, split: dict[str, Any]) -> str:
    test = f", {len(split['test'])} were kept for a test" if split["test"] else ""
    return (
        f"{recipe.model['data_source']}. {len(split['training'])} cases were trained on, {len(split['held_out'])} were "
        f"held out{test} ({split['division']})."
    )


def _recipe_name(recipe: Recipe) -> str:
    """How to name the recipe on the command line: the shipped one where it is that, else the run's own file."""
    name = str(recipe.model["id"])
    shipped = name in shipped_recipes() and Recipe.read(name).decisive() == recipe.decisive()
    return name if shipped else "recipe.json"


def _training_paragraph(recipe: Recipe, steps: int, minutes: float) -> str:
    window = "x".join(map(str, recipe.patch_size))
    return (
        f"DATA is the data set's folder or table. {steps} steps of {recipe.batch_size} windows of {window} "
        f"voxels in {recipe.precision} took {minutes:.0f} minutes. The weights are the exponential moving average at "
        "the step with the best validation Dice, kept in float16. That step was chosen on the held-out cases, so the "
        "numbers below are slightly optimistic."
    )


def _table(plain: dict[str, Any], mirrored: dict[str, Any]) -> list[str]:
    lines = ["| structure | mirroring | " + " | ".join(COLUMNS.values()) + " |", "| --- " * (2 + len(COLUMNS)) + "|"]
    for name in plain:
        for how, numbers in (("off", plain), ("on", mirrored)):
            cells = [in_words(numbers[name].get(metric), 3) for metric in COLUMNS]
            lines.append(f"| {name} | {how} | " + " | ".join(cells) + " |")
    return lines
