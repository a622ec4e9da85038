"""What the reader does on its own terms: what it refuses and how it says so, and what its maker can hand in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import bundle_configs as bundles
import pytest
import torch
from monai.data import MetaTensor

from SlicerCNNSegLib.engine.configs.components import FileStep
from SlicerCNNSegLib.engine.configs.limits import Place
from SlicerCNNSegLib.engine.configs.names import COMPONENTS, VALUES, Component, Names
from SlicerCNNSegLib.engine.configs.resolving import ConfigReader
from SlicerCNNSegLib.engine.errors import ConfigError
from SlicerCNNSegLib.engine.networks import bounds
from SlicerCNNSegLib.engine.networks.bounds import bounded_networks


def read(**config):
    return ConfigReader(config, "spleen")


def test_a_refusal_names_bundle_place_expression_and_what_is_allowed():
    reader = read(imports=["$import os"], network_def="$os.system('touch x')")
    with pytest.raises(ConfigError) as caught:
        reader.get("network_def")
    assert str(caught.value) == (
        "The bundle spleen asks for os.system in \"network_def\": $os.system('touch x'); only os.path.basename, "
        "os.path.dirname, os.path.join, os.path.normpath are allowed; use a bundle without it."
    )


def test_a_long_expression_is_cut_and_stays_on_one_line():
    with pytest.raises(ConfigError) as caught:
        read(x="$open('" + "\n" * 500 + "')").get("x")
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "at", "reason"),
    [
        (bundles.SPLEEN, "datalist", r"asks for glob\.glob"),
        (bundles.SPLEEN, "dataset", "asks for Dataset"),
        (bundles.SPLEEN, "evaluator", "asks for SupervisedEvaluator"),
        (bundles.SPLEEN, "initialize", "asks for setattr"),
        (bundles.SPLEEN, "run", "asks for SupervisedEvaluator"),
        (bundles.SPLEEN, "imports", "asks for an import statement as a value"),
        (bundles.BRATS, "postprocessing", "asks for Lambdad .* networks, inferers and transforms"),
        (bundles.LUNG_NODULE, "inferer", r"asks for scripts\.detection_inferer\.RetinaNetInferer|torchvision"),
    ],
)
def test_what_a_run_does_not_need_is_refused_when_it_is_asked_for(config, at, reason):
    with pytest.raises(ConfigError, match=reason):
        ConfigReader(config, "zoo").get(at)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"_target_": "AddChanneld", "keys": "a"}, "asks for AddChanneld"),
        ({"_target_": "AsChannelFirstd", "keys": "a"}, "is not in the installed MONAI; the bundle is for an older one"),
        ({"_target_": "UNet"}, "UNet cannot be made: TypeError: missing a required argument: 'spatial_dims'"),
        ({"_target_": "Flipd", "keys": "a", "nothing": 1}, "got an unexpected keyword argument 'nothing'"),
        ({"_target_": "Flipd", "keys": ["a"], "spatial_axis": [0, 10**7]}, "asks for Flipd with spatial_axis=10000000"),
        ({"_target_": "EnsureTyped", "keys": "a", "dtype": "S9"}, "asks for EnsureTyped with the number type S9"),
        ({"_target_": ".UNet"}, r"asks for \.UNet"),
        ("$max([1], key=len)", "asks for the function len as a value"),
        ({"_target_": "torch.device", "device": "marble"}, "torch.device fails with RuntimeError"),
        ("$monai.transforms.LoadImaged('a')", "LoadImaged needs its arguments by name"),
        ("$1 +", "no valid expression"),
        ("$", "expected one expression, got 0"),
        ("$1 / 0", "fails with ZeroDivisionError"),
        ("$[1] - [1]", "asks for Sub of list and list"),
        ("$[1] @ [1]", "no valid expression"),
        ("$lambda x: x", "asks for a lambda"),
        ("$-'a'", "asks for a sign before a str"),
        ("$(-8) ** 0.5", "the result is no real number"),
        ("$[1]['a']", "asks for an index of type str"),
        ("$(1)[0]", "asks for an item of a int"),
        ("$[x for x in 1]", "asks for the items of a int"),
        ("$[1 async for x in []]", "no valid expression|asks for async"),
        ("$torch.tensor([1]) == torch.tensor([1])", "asks for a comparison of arrays"),
        ("$1j", "asks for a value of type complex"),
        ("$str([1])", "expected a number or a text, got list"),
        ("$np.array([2 ** 70])", "expected numbers of at most 62 bits"),
        ("$pow(2, 3)", "asks for pow"),
        ("$import " + "a" * 3000, "an import statement of 3008 characters"),
    ],
)
def test_what_cannot_be_read_is_told(value, reason):
    with pytest.raises(ConfigError, match=reason):
        read(x=value).get("x")


def test_a_value_is_made_once():
    reader = read(**bundles.SPLEEN)
    assert reader.get("preprocessing") is reader.get("postprocessing::transforms::1").transform
    assert reader.get("network") is reader.get("network_def")


def test_reading_and_writing_become_steps_that_do_neither():
    reader = read(x={"_target_": "LoadImaged", "keys": "image", "reader": "os.system"})
    step = reader.get("x")
    assert step == FileStep("LoadImaged", {"keys": "image", "reader": "os.system"})
    assert step({"image": 1}) == {"image": 1}


def test_the_transforms_run_on_an_image_that_is_there_already():
    reader = read(**bundles.SPLEEN)
    image = MetaTensor(torch.rand(6, 7, 8) * 100, meta={"original_channel_dim": "no_channel"})
    data = reader.get("preprocessing")({"image": image})
    assert data["image"].shape == (1, 4, 5, 4)
    data["pred"] = MetaTensor(torch.rand(2, 4, 5, 4), meta=data["image"].meta)
    assert reader.get("postprocessing")(data)["pred"].shape == (1, 6, 7, 8)


def test_given_values_take_the_place_of_those_of_the_config():
    device = torch.device("cpu")
    reader = ConfigReader({"device": "$open('a')", "x": "$@device.type"}, "spleen", given={"device": device})
    assert reader.get("x") == "cpu"
    assert reader.get("device") is device


def test_a_given_function_allows_its_name_and_no_other():
    names = Names({"torch.load": lambda path, **options: {"code": path}})
    reader = ConfigReader({"x": "$torch.load('a.pt')['code']", "y": "$torch.save(1)"}, "pancreas", names)
    assert reader.get("x") == "a.pt"
    with pytest.raises(ConfigError, match=r"asks for torch\.save .* torch\.load"):
        reader.get("y")


def test_what_is_written_can_be_looked_at_and_asked_for():
    reader = read(a={"b": "%c"}, c="$1 + 1")
    assert reader.raw("a#b") == "$1 + 1"
    assert "a::b" in reader
    assert "a::c" not in reader
    with pytest.raises(ConfigError, match="nothing stands at @a::c"):
        reader.raw("a::c")


def test_the_config_that_is_handed_in_stays_as_it_is():
    config = {"a": {"b": "@::c", "c": 1}, "x": "%a"}
    ConfigReader(config, "spleen").get("x")
    assert config == {"a": {"b": "@::c", "c": 1}, "x": "%a"}


def test_networks_of_other_threads_are_not_counted_and_no_hook_stays(monkeypatch):
    monkeypatch.setattr(bounds, "MAX_MODULES", 0)
    with bounded_networks(Place("spleen", "x").fault):
        with ThreadPoolExecutor() as pool:
            pool.submit(torch.nn.Sequential, torch.nn.Identity()).result()
        with pytest.raises(ConfigError, match="a network of more than 0 modules"):
            torch.nn.Sequential(torch.nn.Identity())
    torch.nn.Sequential(torch.nn.Identity())


def test_a_network_beyond_all_use_is_stopped_before_it_fills_memory():
    with (
        bounded_networks(Place("spleen", "x").fault),
        pytest.raises(ConfigError, match="more than 300000000 parameters"),
    ):
        torch.nn.Module().register_parameter("p", torch.nn.Parameter(torch.empty(600_000_000, device="meta")))


@pytest.mark.parametrize("module", sorted(COMPONENTS))
def test_the_components_of_the_table_exist(module):
    older = {"AsChannelFirst", "AsChannelFirstd"}
    assert [name for name in sorted(COMPONENTS[module] - older) if Component(module, name).fetch() is None] == []


@pytest.mark.parametrize("module", sorted(VALUES))
def test_the_values_of_the_table_exist(module):
    for name in VALUES[module]:
        assert Names().value(f"{module}.{name}") is not None
