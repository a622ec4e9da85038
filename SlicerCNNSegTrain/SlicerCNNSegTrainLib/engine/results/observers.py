"""Who is told how a run goes on: its picture of curves, and TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from matplotlib.image import imread

from .curves import LAST, LEADING, read_curves
from .curves_plot import write_curves_plot

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Row = Mapping[str, str | float]
"""A row of ``curves.csv``, its columns in their order; numbers may be text."""

WITHOUT_TENSORBOARD = (
    'TensorBoard is not installed, so this run writes no event files; for them: pip install "cnnseg[train]". '
    "The curves are in curves.csv and curves.png all the same."
)


class RunObserver(Protocol):
    """Told of a run, in the order of these methods; ``validated`` as often as there are validations."""

    def begun(self, contact_sheet: Path | None) -> None:
        """The first step comes next; None when the run goes on from a checkpoint, or has no contact sheet."""

    def validated(self, row: Row) -> None:
        """A validation was made; ``curves.csv`` holds its row by now."""

    def ended(self) -> None:
        """No step follows, for whatever reason."""


class CurvesPicture:
    """Draws the curves anew after each validation.

    Parameters
    ----------
    curves, picture:
        The run's ``curves.csv``, which is read, so that a resumed run shows all of its rows; and the PNG.
    """

    def __init__(self, curves: Path, picture: Path) -> None:
        self._curves, self._picture = curves, picture

    def begun(self, contact_sheet: Path | None) -> None:
        """Nothing to draw yet."""

    def validated(self, row: Row) -> None:
        """Draw, whole or not at all."""
        write_curves_plot(self._picture, read_curves(self._curves))

    def ended(self) -> None:
        """The last picture stays."""


class TensorBoardLog:
    """Writes event files: the numbers of each validation, and the contact sheet as an image.

    Tags are ``training/loss``, ``training/learning_rate`` and ``validation/<metric>``; what else the
    validation gave is ``validation/<its column>``. Events that a resumed run makes anew are dropped.

    Parameters
    ----------
    folder:
        Of the event files; made where it is missing.
    say:
        Takes one line where TensorBoard is not installed; ``functools.cache`` around it says the line once
        for several logs.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._writer: SummaryWriter | None = None
        self._absent = False

    def begun(self, contact_sheet: Path | None) -> None:
        """Write the sheet, before the first step; a run that goes on has written it before."""
        if contact_sheet is not None:
            writer = self._open(0)
            if writer is not None:
                writer.add_image("contact_sheet", imread(contact_sheet)[..., :3], 0, dataformats="HWC")
                writer.flush()

    def validated(self, row: Row) -> None:
        """Write the row's numbers, at its step."""
        step = int(row[LEADING[0]])
        writer = self._writer or self._open(step)
        if writer is None:
            return
        for name, value in row.items():
            if name not in (LEADING[0], LAST):
                group = "training" if name in LEADING else "validation"
                writer.add_scalar(f"{group}/{name}", float(value), step)
        writer.flush()

    def ended(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self, step: int) -> SummaryWriter | None:
        """The writer; events of earlier files from ``step`` on no longer count. None without TensorBoard."""
        if self._absent:
            return None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._absent = True
            self._say(WITHOUT_TENSORBOARD)
            return None
        self._writer = SummaryWriter(str(self._folder), purge_step=step)
        return self._writer
