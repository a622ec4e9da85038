"""Weights of networks that others wrote in plain PyTorch, described, give what those networks give."""

import json
import time

import numpy as np
import pytest
import torch
from torch import nn

from SlicerCNNSegLib.cli.main import main
from SlicerCNNSegLib.engine.errors import WeightsError
from SlicerCNNSegLib.engine.run import run
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.engine.volume import Volume

MINUTE = 60.0


class SomebodysMeshNet(nn.Module):
    """As it is published in several places: blocks in a list, GELU, dropout, and a last convolution of one voxel."""

    DILATIONS = (1, 2, 4, 8, 4, 2, 1)

    def __init__(self, channels=1, classes=3, width=5):
        super().__init__()
        blocks = [
            nn.Sequential(
                nn.Conv3d(width if number else channels, width, 3, padding=dilation, dilation=dilation, bias=False),
                nn.BatchNorm3d(width),
                nn.GELU(),
                nn.Dropout3d(0.1),
            )
            for number, dilation in enumerate(self.DILATIONS)
        ]
        self.model = nn.Sequential(*blocks, nn.Conv3d(width, classes, 1))

    def forward(self, image):
        return self.model(image)


class SomebodysUNet(nn.Module):
    """The U-Net as most programs have it, each convolution before its normalisation and activation."""

    def __init__(self, channels=1, classes=3, width=4, skip_first=True):
        super().__init__()
        self.inc = self.double(channels, width)
        self.down1, self.down2 = self.double(width, 2 * width), self.double(2 * width, 4 * width)
        self.up1, self.conv1 = nn.ConvTranspose3d(4 * width, 2 * width, 2, 2), self.double(4 * width, 2 * width)
        self.up2, self.conv2 = nn.ConvTranspose3d(2 * width, width, 2, 2), self.double(2 * width, width)
        self.outc = nn.Conv3d(width, classes, 1)
        self.skip_first = skip_first

    @staticmethod
    def double(channels, width):
        def single(n):
            return nn.Conv3d(n, width, 3, padding=1, bias=False), nn.BatchNorm3d(width), nn.ReLU(inplace=True)

        return nn.Sequential(*single(channels), *single(width))

    def forward(self, image):
        first = self.inc(image)
        second = self.down1(nn.functional.max_pool3d(first, 2))
        third = self.down2(nn.functional.max_pool3d(second, 2))
        second = self.conv1(self.joined(second, self.up1(third)))
        return self.outc(self.conv2(self.joined(first, self.up2(second))))

    def joined(self, skip, below):
        return torch.cat((skip, below) if self.skip_first else (below, skip), 1)


MESHNET = {
    "_target_": "MeshNet",
    "width": 5,
    "dilations": list(SomebodysMeshNet.DILATIONS),
    "act": "gelu",
    "dropout": 0.1,
    "bias": False,
}
UNET = {"_target_": "PlainUNet", "widths": [4, 8, 16], "bias": False}
NETWORKS = {
    "meshnet": (SomebodysMeshNet, MESHNET),
    "unet": (SomebodysUNet, UNET),
    "unet-below-first": (lambda: SomebodysUNet(skip_first=False), {**UNET, "skip_first": False}),
}
SIZE_KJI = (16, 20, 24)


def trained(make):
    """The network with statistics and weights of no special kind, which finds some of each class in noise."""
    torch.manual_seed(4)
    network = make()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
    *_, last = (module for module in network.eval().modules() if isinstance(module, nn.Conv3d))
    with torch.no_grad():
        last.bias -= network(torch.randn(1, 1, *SIZE_KJI)).mean((0, 2, 3, 4))
    return network


@pytest.fixture
def volume():
    array = np.random.default_rng(1).normal(40, 9, (1, *SIZE_KJI)).astype(np.float32)
    return Volume(array, np.diag([1.0, 1.0, 1.0, 1.0]), modality="MR")


def description_of(network):
    return {
        "id": "foreign",
        "network": network,
        "channels": ["T1:MR"],
        "labels": ["white matter", "grey matter"],
        "spacing_mm": [1, 1, 1],
        "orientation": "RAS",
        "normalisation": "z-score",
        "window": list(SIZE_KJI[::-1]),
        "match": "order",
        "licence": "MIT",
    }


def expected_labels(network, volume):
    image = torch.from_numpy(volume.array[0].transpose(2, 1, 0).copy())
    with torch.no_grad():
        scores = network(((image - image.mean()) / image.std(correction=0))[None, None])[0]
    return scores.argmax(0).numpy().transpose(2, 1, 0)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_described_network_gives_the_labels_of_the_original_within_a_minute(
    name, volume, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "models"))
    make, network = NETWORKS[name]
    original = trained(make)
    torch.save({"epoch": 3, "state_dict": original.state_dict()}, tmp_path / "weights.pt")
    (tmp_path / "foreign.json").write_text(json.dumps(description_of(network)))
    begin = time.perf_counter()
    line = ["models", "import", str(tmp_path / "weights.pt"), "--description", str(tmp_path / "foreign.json")]
    assert main(line) == 0
    assert time.perf_counter() - begin < MINUTE
    assert "All were taken by their order" in capsys.readouterr().out
    assert main(["models", "list"]) == 0
    assert "foreign" in capsys.readouterr().out
    found = run(SegmentationSettings("foreign", device="cpu", precision="fp32"), [volume])
    np.testing.assert_array_equal(found.labelmap, expected_labels(original, volume))
    assert set(np.unique(found.labelmap)) == {0, 1, 2}
    assert [label.name for label in found.labels] == ["white matter", "grey matter"]


def test_where_features_are_joined_matters(volume, tmp_path, monkeypatch):
    """The same weights fit both ways, and only one gives the original's labels: so the description says which."""
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "models"))
    original = trained(SomebodysUNet)
    torch.save(original.state_dict(), tmp_path / "weights.pt")
    (tmp_path / "foreign.json").write_text(json.dumps(description_of({**UNET, "skip_first": False})))
    assert (
        main(["models", "import", str(tmp_path / "weights.pt"), "--description", str(tmp_path / "foreign.json")]) == 0
    )
    found = run(SegmentationSettings("foreign", device="cpu", precision="fp32"), [volume])
    assert (found.labelmap != expected_labels(original, volume)).mean() > 0.05


def test_another_width_is_told_in_words(tmp_path):
    from SlicerCNNSegLib.engine.described.description import Description
    from SlicerCNNSegLib.engine.described.importing import write_described

    torch.save(SomebodysMeshNet().state_dict(), tmp_path / "weights.pt")
    said = Description.from_json(description_of({**MESHNET, "width": 6}))
    told = r"of another shape: blocks\.0\.conv\.weight \(5x1x3x3x3 instead of 6x1x3x3x3\), .* and \d+ more"
    with pytest.raises(WeightsError, match=told):
        write_described(tmp_path / "weights.pt", said, tmp_path / "model")
