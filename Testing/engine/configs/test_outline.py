"""Configs looked through without torch, and the names that bundles may use besides."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import zoo_bundles
from zoo_bundles import STYLES

from SlicerCNNSegLib.engine.bundles.names import IDLE, UNREAD
from SlicerCNNSegLib.engine.configs.components import FileStep
from SlicerCNNSegLib.engine.configs.names import Names
from SlicerCNNSegLib.engine.configs.outline import LightNames, Outline, outlined
from SlicerCNNSegLib.engine.configs.resolving import ConfigReader
from SlicerCNNSegLib.engine.errors import ConfigError

PROJECT = Path(__file__).resolve().parents[3]
LIGHT = {"names": LightNames({"torch.load": Outline}, IDLE, UNREAD), "make": outlined}


def light(**config):
    return ConfigReader(config, "b", **LIGHT)


@pytest.mark.parametrize("name", STYLES)
def test_what_is_noted_is_what_a_run_makes(name):
    config = json.loads(json.dumps(STYLES[name].config))
    noting = ConfigReader(config, name, **LIGHT, given={"device": Outline("torch.device")})
    making = ConfigReader(config, name, names=Names({}, IDLE, UNREAD), given={"device": "cpu"})
    for part in ("preprocessing", "postprocessing"):
        noted = [step.name for step in noting.get(part).arguments["transforms"]]
        assert noted == [getattr(step, "name", type(step).__name__) for step in making.get(part).transforms]
    for part in ("network_def", "inferer"):
        assert noting.get(part).name == type(making.get(part)).__name__


def test_arguments_are_resolved():
    made = light(n=3, a={"_target_": "UNet", "channels": "$[2] * @n", "dims": "@n"}).get("a")
    assert (made.name, dict(made.arguments)) == ("UNet", {"channels": [2, 2, 2], "dims": 3})


@pytest.mark.parametrize(
    "source",
    [
        "torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "torch.float32",
        "torch.load('a.pt', map_location=torch.device('cuda'))['arch_code_a']",
        "torch.from_numpy(torch.load('a.pt')['node_a'])",
        "monai.networks.nets.resnet.resnet10(spatial_dims=3)",
        "torch.tensor([1]).shape[0]",
        "monai.networks.nets.resnet50(pretrained=False).eval().to('cpu')",
    ],
)
def test_what_only_torch_could_give_is_an_outline(source):
    assert isinstance(light(a=f"${source}").get("a"), Outline)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("$torch.hub.load('a', 'b')", r"asks for torch\.hub\.load"),
        ("$torch.load('a.pt')[0].__class__", "asks for the name __class__"),
        ("$torch.tensor([1]).numpy(os.system('true'))", r"asks for os\.system"),
        ({"_target_": "scripts.net.Net"}, r"asks for scripts\.net\.Net"),
        ({"_target_": "UNet", "channels": "$open('a')"}, "asks for open"),
        ({"_target_": "monai.networks.nets.Ensemble"}, "asks for monai.networks.nets.Ensemble"),
    ],
)
def test_what_is_refused_by_name_is_refused_here_too(value, message):
    with pytest.raises(ConfigError, match=message):
        light(a=value).get("a")


def test_nothing_heavy_is_loaded():
    probe = (
        "import sys, json; from SlicerCNNSegLib.engine.bundles.reading import look_through\n"
        "from pathlib import Path\n"
        "look_through(Path(sys.argv[1]), flat=False)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'monai', 'scipy', 'yaml'}))"
    )
    folder = PROJECT / "SlicerCNNSeg" / "Resources" / "Models" / "hippocampus-mr"
    line = [sys.executable, "-c", probe, str(folder)]
    done = subprocess.run(line, cwd=PROJECT / "SlicerCNNSeg", capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_names_of_a_batch_are_texts():
    reader = ConfigReader({"a": "$[monai.utils.CommonKeys.IMAGE, monai.utils.enums.CommonKeys.PRED]"}, "b")
    assert reader.get("a") == ["image", "pred"]
    with pytest.raises(ConfigError, match=r"asks for monai\.utils\.CommonKeys\.LOSS"):
        ConfigReader({"a": "$monai.utils.CommonKeys.LOSS"}, "b").get("a")


def test_idle_and_unread_transforms_do_nothing():
    config = {
        "a": {"_target_": "AddChanneld", "keys": "image"},
        "b": {"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: open(x)"},
        "c": {"_target_": "monai.transforms.EnsureChannelFirstd", "keys": "@k"},
        "k": "image",
    }
    reader = ConfigReader(config, "b", names=Names({}, IDLE, UNREAD))
    for at, name in (("a", "AddChanneld"), ("b", "Lambdad"), ("c", "EnsureChannelFirstd")):
        step = reader.get(at)
        assert isinstance(step, FileStep)
        assert (step.name, step({"image": 1})) == (name, {"image": 1})
    assert reader.get("b").arguments == {"keys": "pred", "func": "$lambda x: open(x)"}
    assert reader.get("c").arguments == {"keys": "image"}
    for at in ("a", "b"):
        with pytest.raises(ConfigError, match=r"asks for (AddChanneld|Lambdad)"):
            ConfigReader(config, "b").get(at)


def test_an_argument_that_monai_has_dropped_is_passed_over():
    network = {**zoo_bundles.SWIN_STYLE.config["network_def"], "feature_size": 12, "depths": [1, 1, 1, 1]}
    plain = ConfigReader({"n": network}, "b").get("n")
    sized = ConfigReader({"n": {**network, "img_size": [96, 96, 96]}}, "b").get("n")
    assert [p.shape for p in sized.parameters()] == [p.shape for p in plain.parameters()]
    with pytest.raises(ConfigError, match="unexpected keyword argument 'image_size'"):
        ConfigReader({"n": {**network, "image_size": 96}}, "b").get("n")
