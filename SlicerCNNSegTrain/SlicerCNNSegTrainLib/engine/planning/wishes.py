"""What a plan is asked for beside the budget."""

from __future__ import annotations

from dataclasses import dataclass

from ..data.label_choice import LabelChoice
from .families import DEFAULT


@dataclass(frozen=True)
class Wishes:
    """What only a person can say.

    Parameters
    ----------
    network:
        A name of ``families.py``.
    absent_means_not_contoured:
        A structure that a label does not hold was not drawn there.
    labels:
        What is learned of the data's labels; None for all.
    """

    network: str = DEFAULT
    absent_means_not_contoured: bool = False
    labels: LabelChoice | None = None
