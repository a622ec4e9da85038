"""Which task the data is for, where a recipe is to be made for it."""

from __future__ import annotations

from pathlib import Path


def task_to_plan(data: Path, wanted: str) -> str:
    """In words, that the data is for a segmentation, and why: for other tasks no recipe can be made.

    Raises
    ------
    CNNSegError
        It is for another task, or for none.
    """
    from SlicerCNNSegLib.engine.errors import SettingsError

    from ..engine.data.tasks import choose_task
    from ..engine.recipe import SEGMENTATION, shipped_recipes

    task, why = choose_task(data, wanted)
    if task != SEGMENTATION:
        known = ", ".join(shipped_recipes(task))
        raise SettingsError(f"Expected --recipe for a {task} ({why}): {known}, or a file.")
    return f"Task: {task}, {why}."
