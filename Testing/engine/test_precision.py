"""What half precision does to a trained model's answer, on real cases that it was not trained on."""

import numpy as np
import pytest

from SlicerCNNSegLib.engine.files.images import read_volume
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings

HELD_OUT = ("hippocampus_001", "hippocampus_006", "hippocampus_015")


@pytest.mark.parametrize("case", HELD_OUT)
def test_bf16_gives_what_fp32_gives(data_folder, case):
    volume = read_volume(data_folder / "hippocampus" / "imagesTr" / f"{case}.nii.gz")
    full, half = (
        run(SegmentationSettings("hippocampus-mr", device="cpu", precision=precision), [volume])
        for precision in ("fp32", "bf16")
    )
    assert (full.record.precision, half.record.precision) == ("fp32", "bf16")
    assert full.labelmap.any()
    for value in np.unique(full.labelmap)[1:]:
        a, b = full.labelmap == value, half.labelmap == value
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) >= 0.999
