"""The model of a run: one network, or one of each fold together."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from SlicerCNNSegLib.engine.errors import OutputError
from SlicerCNNSegLib.engine.files.atomic import replacing
from SlicerCNNSegLib.engine.networks import CLASSIFICATION, DETECTION
from SlicerCNNSegLib.engine.package import ModelPackage

from ..recipe import Recipe
from ..run_folder import FoldFolder, write_json
from .card import CARD, class_ensemble_card, detector_ensemble_card, ensemble_card
from .classified import mean_temperature, store_running
from .export import WEIGHTS
from .familiar import merge_studies


@contextmanager
def replacing_model(bundle: Path) -> Iterator[Path]:
    """Make a model in a folder that takes ``bundle``'s place only when the block succeeds.

    Raises
    ------
    OutputError
        ``bundle`` is there and is no model, or the disk fails.
    """
    if bundle.exists() and not (bundle / "configs" / "metadata.json").exists() and any(bundle.iterdir()):
        raise OutputError(f"Expected a new folder or a model to replace, but {bundle} holds something else.")
    temporary = bundle.with_name(f".{bundle.name}-{secrets.token_hex(4)}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        old = bundle.with_name(f".{bundle.name}-{secrets.token_hex(4)}")
        if bundle.exists():
            bundle.rename(old)
        temporary.rename(bundle)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"Cannot write the model {bundle}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def assemble_model(folds: Sequence[FoldFolder], bundle: Path, numbers: dict[str, Any] | None) -> None:
    """Copy the folds' evaluated models into one.

    Parameters
    ----------
    folds:
        One, whose model is taken as it is, or several, whose networks become an ensemble.
    bundle:
        An empty folder.
    numbers:
        ``summarise``'s, of all held-out cases together, for an ensemble's card; None leaves the card out.
    """
    shutil.copytree(folds[0].model, bundle, dirs_exist_ok=True)
    if len(folds) == 1:
        return
    (bundle / WEIGHTS).unlink()
    for fold in folds:
        shutil.copyfile(fold.model / WEIGHTS, bundle / Path(WEIGHTS).with_name(f"fold_{fold.number}.safetensors"))
    recipe = Recipe.read(folds[0].recipe)
    if recipe.task == CLASSIFICATION:
        models = [fold.model for fold in folds]
        store_running(bundle, {"temperature": mean_temperature(models), **merge_studies(models)})
    path = bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["eval_metrics"] = {"out_of_fold": numbers} if numbers else {}
    metadata["cnnseg"]["sha256"] = ModelPackage.read(bundle).sha256
    write_json(path, metadata)
    (bundle / CARD).unlink()
    if numbers:
        cards = {CLASSIFICATION: class_ensemble_card, DETECTION: detector_ensemble_card}
        card = cards.get(recipe.task, ensemble_card)
        with replacing(bundle / CARD) as temporary:
            temporary.write_text(card(recipe, folds, numbers), encoding="utf-8")
