"""Pictures of the panels for README and extension page: ``python Testing/desktop/take_screenshots.py``.

Runs the embedded model on a case of the real data (``CNNSEG_DATA``), so the picture shows a real result.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SCREENSHOTS = PROJECT / "Resources" / "Screenshots"
CASE = "hippocampus/imagesTr/hippocampus_001.nii.gz"


def main() -> int:
    """Write the pictures; returns the exit status."""
    sys.path[:0] = [str(PROJECT / "Testing"), str(PROJECT / "SlicerCNNSeg"), str(PROJECT / "SlicerCNNSegTrain")]
    from desktop.host import start

    desktop = start()
    desktop.show_properties_to(__name__)
    import slicer

    from SlicerCNNSegLib.engine.files.images import read_volume
    from SlicerCNNSegLib.scene.volumes import node_from_volume

    data = Path(os.environ.get("CNNSEG_DATA") or PROJECT.parent / "shared" / "data")
    node_from_volume(slicer.mrmlScene, read_volume(data / CASE), "hippocampus_001")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    panel = desktop.open("SlicerCNNSeg")
    panel.ui.applyButton.click()
    desktop.wait_until(lambda: not panel.logic.running)
    if not panel.ui.resultsCollapsibleButton.visible:
        print(panel.ui.statusLabel.text, file=sys.stderr)
        return 1
    desktop.picture(panel).save(str(SCREENSHOTS / "segment-panel.png"))
    desktop.close(panel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
