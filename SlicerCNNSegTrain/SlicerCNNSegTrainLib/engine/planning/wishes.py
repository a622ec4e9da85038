"""What a plan is asked for beside the budget."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    network: str = DEFAULT
    absent_means_not_contoured: bool = False
