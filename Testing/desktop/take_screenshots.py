"""Pictures of the panels for README and extension page: ``python Testing/desktop/take_screenshots.py [segment|train]``.

Runs the embedded model on a case of the real data (``CNNSEG_DATA``), and trains one on some cases for a
minute, so the pictures show real results.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
SCREENSHOTS = PROJECT / "Resources" / "Screenshots"
CASE = "hippocampus/imagesTr/hippocampus_001.nii.gz"
DESCRIPTION = {"labels": {"background": 0, "anterior": 1, "posterior": 2}, "channel_names": {"0": "MR"}}
TRAINING_CASES = 10
TRAINING_MINUTES = 1.0
DOCKED_PX = 380
"""Width of a docked panel."""


def main() -> int:
    """Write the pictures; returns the exit status."""
    sys.path[:0] = [str(PROJECT / "Testing"), str(PROJECT / "SlicerCNNSeg"), str(PROJECT / "SlicerCNNSegTrain")]
    from desktop.host import start

    desktop = start()
    desktop.show_properties_to(__name__)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    data = Path(os.environ.get("CNNSEG_DATA") or PROJECT.parent / "shared" / "data")
    wanted = sys.argv[1:] or ["segment", "train"]
    takes = {"segment": take_segment_panel, "train": take_training_panel}
    problems = [problem for name in wanted if (problem := takes[name](desktop, data))]
    print("\n".join(problems), file=sys.stderr)
    return bool(problems)


def take_segment_panel(desktop: Any, data: Path) -> str:
    """A volume segmented; gives what went wrong, or an empty text."""
    import slicer

    from SlicerCNNSegLib.engine.files.images import read_volume
    from SlicerCNNSegLib.scene.volumes import node_from_volume

    node_from_volume(slicer.mrmlScene, read_volume(data / CASE), "hippocampus_001")
    panel = desktop.open("SlicerCNNSeg")
    panel.ui.applyButton.click()
    desktop.wait_until(lambda: not panel.logic.running)
    if not panel.ui.resultsCollapsibleButton.visible:
        return panel.ui.statusLabel.text
    desktop.picture(panel, DOCKED_PX).save(str(SCREENSHOTS / "segment-panel.png"))
    desktop.close(panel)
    return ""


def take_training_panel(desktop: Any, data: Path) -> str:
    """A training planned and done; gives what went wrong, or an empty text."""
    with tempfile.TemporaryDirectory(prefix="cnnseg-") as temporary:
        os.environ["CNNSEG_MODELS"] = f"{temporary}/models"
        folder = Path(temporary, "hippocampi")
        cases = [path.name for path in sorted((data / "hippocampus" / "imagesTr").glob("*.nii.gz"))[:TRAINING_CASES]]
        for place in ("imagesTr", "labelsTr"):
            (folder / place).mkdir(parents=True)
            for case in cases:
                shutil.copyfile(data / "hippocampus" / place / case, folder / place / case)
        (folder / "dataset.json").write_text(json.dumps(DESCRIPTION), encoding="utf-8")
        panel = desktop.open("SlicerCNNSegTrain")
        ui = panel.ui
        ui.dataPathEdit.currentPath = str(folder)
        ui.minutesSpinBox.value = TRAINING_MINUTES
        ui.startButton.click()
        desktop.wait_until(lambda: not panel.logic.running, timeout_s=1800)
        if not ui.resultsCollapsibleButton.visible:
            return ui.statusLabel.text
        desktop.picture(panel, DOCKED_PX).save(str(SCREENSHOTS / "training-panel.png"))
        desktop.close(panel)
    return ""


if __name__ == "__main__":
    sys.exit(main())
