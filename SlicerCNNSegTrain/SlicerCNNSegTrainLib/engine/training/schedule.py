"""How far a run is, by steps or by time, and the learning rate that follows from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from SlicerCNNSegLib.engine.errors import SettingsError

from ..recipe import Recipe

POLY_EXPONENT = 0.9


def learning_rate(recipe: Recipe, step: int, share: float) -> float:
    """Linear warm-up over the first steps, then decay to zero.

    Half a cosine (Loshchilov and Hutter, 2017), or a polynomial as in nnU-Net (Isensee et al., 2021).
    ``share`` is how much of what comes after the warm-up is done, 0..1.
    """
    warm, share = min(1.0, (step + 1) / max(1, recipe.warmup_steps)), min(1.0, share)
    rest = 0.5 * (1 + math.cos(math.pi * share)) if recipe.decay == "cosine" else (1 - share) ** POLY_EXPONENT
    return recipe.learning_rate * warm * rest


@dataclass
class StepSchedule:
    """A run of the recipe's number of steps: the same weights on every run."""

    recipe: Recipe

    def fraction(self, step: int) -> float:
        """How much of the run is done after ``step`` steps, 0..1."""
        return step / self.recipe.steps

    def rate(self, step: int) -> float:
        """Learning rate of step ``step``."""
        warmup = self.recipe.warmup_steps
        return learning_rate(self.recipe, step, max(0, step - warmup) / max(1, self.recipe.steps - warmup))

    def words(self, step: int) -> str:
        """Where the run is, for people."""
        return f"step {step}/{self.recipe.steps}"


@dataclass
class TimeSchedule:
    """A run of the recipe's ``minutes``: as many steps as the machine makes in them.

    The learning rate follows the time spent, so that it ends at zero whatever the machine's speed; the
    weights therefore differ a little from run to run.

    Parameters
    ----------
    recipe:
        With ``minutes`` above 0.
    elapsed_s:
        Gives the seconds that the run has taken so far, those before a resume included.
    reserve_s:
        What the validation at the end will take.

    Raises
    ------
    SettingsError
        The validation alone takes longer than the budget.
    """

    recipe: Recipe
    elapsed_s: Callable[[], float]
    reserve_s: float

    def __post_init__(self) -> None:
        if self.reserve_s >= 60 * self.recipe.minutes:
            raise SettingsError(
                f"Expected more than {self.recipe.minutes:g} minutes: validating the held-out cases alone takes "
                f"{self.reserve_s:.0f} s here; give more minutes."
            )

    def fraction(self, step: int) -> float:
        """How much of the time is spent, 0..1."""
        return min(1.0, self.elapsed_s() / (60 * self.recipe.minutes - self.reserve_s))

    def rate(self, step: int) -> float:
        """Learning rate now, at step ``step``."""
        return learning_rate(self.recipe, step, self.fraction(step))

    def words(self, step: int) -> str:
        """Where the run is, for people."""
        return f"step {step}, {self.elapsed_s() / 60:.1f} of {self.recipe.minutes:g} minutes"
