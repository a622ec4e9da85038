"""The panel's view of a training under way: bar, time left, loss and score, plots, what the network sees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

from SlicerCNNSegLib.engine.errors import CNNSegError
from SlicerCNNSegLib.worker.estimate import TimeLeft, in_words

from ..command import TrainingProgress
from ..scene.curves import CurveNodes, show_curves
from .run_state import RECIPE, learned_by

if TYPE_CHECKING:
    from ..engine.results.curves import Curves

SHEET_HEIGHT_PX = 140
"""Of the contact sheet's thumbnail."""


class ProgressSection:
    """Shows how a training goes, and the curves of one that is done.

    Parameters
    ----------
    ui:
        The form's widgets.
    scene:
        Where curves are shown.
    """

    def __init__(self, ui, scene) -> None:
        self.ui, self._scene = ui, scene
        ui.plotLossButton.clicked.connect(self._plot_loss)
        ui.plotScoreButton.clicked.connect(self._plot_score)
        ui.sheetButton.clicked.connect(self._open_sheet)
        self.clear()

    def clear(self) -> None:
        """Show nothing of a run."""
        self._time_left = TimeLeft()
        self._curves: tuple[Path, Curves] | None = None
        self._sheet: Path | None = None
        self.ui.curvesLabel.text = ""
        self._update()

    def show_line(self, progress: TrainingProgress) -> None:
        """Move the bar; the stage goes below it, with the time that is left."""
        text = f"{progress.title}: {progress.stage}"
        seconds = self._time_left.update(progress.fraction, progress.title)
        if seconds is not None:
            text = _("{stage}, about {time} left").format(stage=text, time=in_words(seconds))
        self.ui.progressBar.value = round(100 * progress.fraction)
        self.ui.statusLabel.text = text

    def show_curves(self, path: Path, *, live: bool) -> None:
        """Take in a fold's ``curves.csv``; those of a training under way go into the scene at once."""
        from ..engine.results.curves import read_curves

        try:
            self._curves = (path, read_curves(path))
        except CNNSegError:  # no row yet
            return
        self.ui.curvesLabel.text = curves_words(self._curves[1])
        self.ui.plotScoreButton.text = _("Plot {metric}").format(metric=self._curves[1].title)
        if live:
            self._nodes()
        self._update()

    def show_sheet(self, path: Path) -> None:
        """Show a small picture of what the network sees."""
        picture = qt.QPixmap(str(path)).scaledToHeight(SHEET_HEIGHT_PX, qt.Qt.SmoothTransformation)
        self._sheet = path
        self.ui.sheetButton.icon = qt.QIcon(picture)
        self.ui.sheetButton.iconSize = picture.size()
        self._update()

    def _update(self) -> None:
        self.ui.sheetButton.visible = self._sheet is not None
        for widget in (self.ui.curvesLabel, self.ui.plotLossButton, self.ui.plotScoreButton):
            widget.visible = self._curves is not None
        self.ui.progressCollapsibleButton.visible = self._sheet is not None or self._curves is not None

    def _nodes(self) -> CurveNodes:
        """The nodes that show the curves, made or brought up to date."""
        path, curves = self._curves
        name = f"{path.parent.parent.name} {path.parent.name}"
        colors = {label.name: label.color for label in learned_by(path.with_name(RECIPE)).labels}
        return show_curves(self._scene, str(path.parent), curves, name=name, colors=colors)

    def _plot_loss(self, _checked=False) -> None:
        slicer.modules.plots.logic().ShowChartInLayout(self._nodes().loss_chart)

    def _plot_score(self, _checked=False) -> None:
        slicer.modules.plots.logic().ShowChartInLayout(self._nodes().score_chart)

    def _open_sheet(self, _checked=False) -> None:
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self._sheet)))


def curves_words(curves: Curves) -> str:
    """Loss and score after the last validation, and the best so far."""
    words = _("Step {step}: loss {loss}").format(step=curves.steps[-1], loss=f"{curves.loss[-1]:.3f}")
    if curves.best is None:
        return words
    return _("{words}, {metric} {score}; best {best} at step {best_step}").format(
        words=words,
        metric=curves.title,
        score=f"{curves.scores[-1]:.3f}",
        best=f"{curves.scores[curves.best]:.3f}",
        best_step=curves.steps[curves.best],
    )
