"""What a segmentation's weights are for: without this they can be started from, but neither pruned nor asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from SlicerCNNSegLib.engine.errors import ModelError, SettingsError
from SlicerCNNSegLib.engine.package import OWN, ModelPackage
from SlicerCNNSegLib.engine.preprocess import Preprocessing

from ..recipe import SEGMENTATION, Recipe

if TYPE_CHECKING:
    from .source import Source


@dataclass(frozen=True)
class Purpose:
    """A network and what it was trained on.

    Parameters
    ----------
    network:
        Its definition.
    labels:
        Value and name of each structure, in the order of the network's scores.
    channels:
        Names, in order.
    preprocessing:
        Of the images.
    """

    network: Mapping[str, Any]
    labels: tuple[tuple[int, str], ...]
    channels: tuple[str, ...]
    preprocessing: Preprocessing

    @classmethod
    def of_recipe(cls, recipe: Recipe) -> Purpose | None:
        """Of what a recipe trains; None of another task than segmentation."""
        if recipe.task != SEGMENTATION:
            return None
        labels = tuple((int(label["value"]), str(label["name"])) for label in recipe.model["labels"])
        return cls(recipe.network, labels, recipe.channel_names, recipe.prepared)

    @classmethod
    def of_package(cls, package: ModelPackage) -> Purpose | None:
        """Of a model; None of another task, and of a form that others made.

        Raises
        ------
        ModelError
            Its configs are incomplete.
        """
        if package.task != SEGMENTATION or package.form != OWN:
            return None
        labels = tuple((label.value, label.name) for label in package.labels)
        channels = tuple(channel.name for channel in package.channels)
        try:
            network, transforms = package.inference["network_def"], package.inference["preprocessing"]["transforms"]
        except KeyError as error:
            raise ModelError(f"The model {package.id} lacks {error} in configs/inference.json; get it anew.") from error
        return cls(network, labels, channels, Preprocessing.from_transforms(transforms))

    @classmethod
    def of(cls, source: Source, what: str) -> Purpose:
        """Of weights; ``what`` is to be done with them.

        Raises
        ------
        SettingsError
            It is not known.
        ModelError
            The model's configs are incomplete.
        """
        origin, purpose = source.origin, None
        if isinstance(origin, ModelPackage):
            purpose = cls.of_package(origin)
        elif origin is not None and origin.is_file():
            purpose = cls.of_recipe(Recipe.read(origin))
        if purpose is None:
            raise SettingsError(
                f"Expected a segmentation of CNNSeg's own to {what}, with its recipe or its configs, but "
                f"{source.text()} is none; choose another model."
            )
        return purpose

    def check_for(self, recipe: Recipe, source: Source, what: str) -> None:
        """See that a recipe has the same labels, channels and preprocessing.

        Raises
        ------
        SettingsError
            It has not, or is no segmentation.
        """
        wanted = Purpose.of_recipe(recipe)
        if wanted is None:
            raise SettingsError(
                f"Expected the recipe of a segmentation to {what} a model, got that of a {recipe.task}; leave it out."
            )
        for field in fields(self):
            here, there = getattr(wanted, field.name), getattr(self, field.name)
            if field.name != "network" and here != there:
                raise SettingsError(
                    f"Expected a model with the recipe's {field.name} to {what}, {here}, but {source.text()} has "
                    f"{there}; choose another model, or its own recipe."
                )
