"""Bundles looked through without torch: what they are, and what of them is refused, by name."""

import json
import re
import time

import pytest
from zoo_bundles import INVERT, STYLES, step, transforms, write_bundle

from SlicerCNNSegLib.engine import catalogue
from SlicerCNNSegLib.engine.catalogue import find_model, list_models
from SlicerCNNSegLib.engine.errors import ConfigError, ModelError
from SlicerCNNSegLib.engine.package import ModelPackage


@pytest.fixture
def folder(tmp_path):
    return write_bundle(tmp_path / "spleen", STYLES["spleen"])


def edit(path, change):
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def edit_config(folder, **changes):
    edit(folder / "configs" / "inference.json", lambda data: data.update(changes))


def test_the_metadata_say_what_it_is(folder):
    package = ModelPackage.read(folder)
    assert (package.id, package.task, package.modality, package.licence) == (
        "spleen", "segmentation", "CT", "Apache-2.0"
    )  # fmt: skip
    assert package.title == "Segmentation in the manner of the Model Zoo"
    assert [(label.value, label.name, label.type.value) for label in package.labels] == [(1, "spleen", "78961009")]
    assert package.weights_files == (folder / "models" / "model.pt",)
    assert package.size_bytes == (folder / "models" / "model.pt").stat().st_size
    assert not package.bundle.layered
    assert not package.bundle.flat


def test_what_the_config_says_is_found(tmp_path):
    found = {name: ModelPackage.read(write_bundle(tmp_path / name, style)) for name, style in STYLES.items()}
    assert [name for name, package in found.items() if package.bundle.layered] == ["brats"]
    assert [name for name, package in found.items() if package.bundle.flat] == ["endoscopic"]
    assert [channel.name for channel in found["brats"].channels] == ["T1c", "T1", "T2", "FLAIR"]
    assert [label.name for label in found["brats"].labels] == ["Tumor core", "Whole tumor", "Enhancing tumor"]
    assert [label.name for label in found["template"].labels] == ["category 1 1", "category 1 2", "category 1 3"]
    assert found["pediatric"].bundle.weights.name == "dynunet_FT.pt"
    assert found["endoscopic"].modality == ""


def test_label_def_does_for_channel_def(folder):
    def rename(data):
        output = data["network_data_format"]["outputs"]["pred"]
        output["label_def"] = output.pop("channel_def")

    edit(folder / "configs" / "metadata.json", rename)
    assert [label.name for label in ModelPackage.read(folder).labels] == ["spleen"]


def test_safetensors_go_before_pickles(folder):
    (folder / "models" / "model.safetensors").write_bytes(b"")
    assert ModelPackage.read(folder).bundle.weights.name == "model.safetensors"


def test_the_checksum_covers_every_file(folder):
    before = ModelPackage.read(folder).sha256
    (folder / "scripts").mkdir()
    (folder / "scripts" / "own.py").write_text("1")
    assert ModelPackage.read(folder).sha256 != before


LAMBDA = "$lambda x: x > 0"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network_def": {"_target_": "scripts.networks.unest.UNesT"}},
         r'The bundle spleen asks for scripts.networks.unest.UNesT in "network_def"'),
        ({"network_def": "$os.system('true')"}, r"asks for os.system in \"network_def\": \$os.system\('true'\)"),
        ({"inferer": {"_target_": "scripts.inferer.Vista3dInferer"}}, r"asks for scripts.inferer.Vista3dInferer"),
        ({"preprocessing": transforms(step("LoadImaged"), step("Lambdad", func=LAMBDA))},
         r"asks for the function in Lambdad in \"preprocessing\": Lambdad \$lambda x: x > 0; only functions behind"),
        ({"postprocessing": transforms(step("Lambdad", "pred", func=LAMBDA), step("AsDiscreted", "pred", argmax=True))},
         r"asks for the function in Lambdad in \"postprocessing\""),
        ({"postprocessing": transforms(step("AsDiscreted", "pred", argmax=True), step(
            "Invertd", "pred", **{**INVERT, "post_func": {"_target_": "Lambda", "func": LAMBDA}}))},
         r"asks for the function in Lambda in \"postprocessing\""),
        ({"preprocessing": "$monai.transforms.Compose([@a])", "a": step("Lambdad", func=LAMBDA)},
         r"asks for the function in Lambdad in \"preprocessing\""),
        ({"network_def": {"_target_": "UNet", "act": {"_target_": "Lambda", "func": LAMBDA}}},
         r"asks for the function in Lambda in \"network_def\""),
        ({"postprocessing": transforms(step("Invertd", "pred", **{**INVERT, "post_func": "$lambda x: x"}))},
         r"asks for a lambda in \"postprocessing::transforms::0::post_func\""),
    ],
)  # fmt: skip
def test_what_is_refused_is_named_with_its_expression(folder, changes, message):
    edit_config(folder, **changes)
    with pytest.raises(ConfigError, match=message):
        ModelPackage.read(folder)


def test_shared_transforms_that_double_are_told_soon(folder):
    """Eighteen lines, 262144 transforms; the reader itself refuses deeper ones."""
    shared = {f"a{n}": transforms(f"@a{n + 1}", f"@a{n + 1}") for n in range(18)}
    last = {"a18": step("ScaleIntensityd")}
    edit_config(folder, **shared, **last, preprocessing="@a0")
    start = time.perf_counter()
    with pytest.raises(ConfigError, match='has a fault in "preprocessing": more than 200 transforms'):
        ModelPackage.read(folder)
    nested = {"_target_": "Invertd", "keys": "pred", "transform": "@a0", "orig_keys": ["@a0", "@a0"]}
    edit_config(folder, **shared, **last, preprocessing="@a18", postprocessing=transforms(nested))
    assert ModelPackage.read(folder).bundle.image_keys == ("image",)
    assert time.perf_counter() - start < 5


def test_a_refused_bundle_is_listed_with_the_reason(folder, monkeypatch):
    monkeypatch.setenv("CNNSEG_MODELS", str(folder.parent))
    monkeypatch.setattr(catalogue, "EMBEDDED_MODELS", folder / "none")
    edit_config(folder, network_def={"_target_": "scripts.networks.unest.UNesT"})
    (entry,) = list_models()
    assert (entry.id, entry.package) == ("spleen", None)
    assert "asks for scripts.networks.unest.UNesT" in entry.problem
    with pytest.raises(ModelError, match=re.escape(entry.problem)):
        find_model("spleen")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("network_data_format"), "lacks 'network_data_format' in configs/metadata.json"),
        (lambda d: d.update(network_data_format=[]), "has a wrong value in configs/metadata.json"),
        (lambda d: d["network_data_format"]["outputs"]["pred"].update(format="probabilities"),
         "The bundle spleen gives no segmentation .*format 'probabilities'"),
        (lambda d: d["network_data_format"]["outputs"]["pred"].update(type="object"), "gives no segmentation"),
        (lambda d: d["network_data_format"]["outputs"]["pred"].update(channel_def={"0": "background"}, num_channels=1),
         "names no structure"),
        (lambda d: d["network_data_format"]["outputs"]["pred"].update(num_channels=10**9), "1000000000 channels"),
        (lambda d: d["network_data_format"]["outputs"]["pred"].update(channel_def={"-1": "a"}), "wrong value"),
    ],
)  # fmt: skip
def test_metadata_that_do_not_do_are_told(folder, change, message):
    edit(folder / "configs" / "metadata.json", change)
    with pytest.raises(ModelError, match=message):
        ModelPackage.read(folder)


def test_missing_files_are_told(folder):
    (folder / "models" / "model.pt").rename(folder / "models" / "model.ts")
    with pytest.raises(ModelError, match=r"expected models/model.safetensors or model.pt, found model.ts"):
        ModelPackage.read(folder)
    (folder / "configs" / "inference.json").unlink()
    with pytest.raises(ModelError, match=r"lacks configs/inference.json \(or .yaml\)"):
        ModelPackage.read(folder)


def test_weights_elsewhere_are_not_taken(folder, tmp_path):
    (tmp_path / "other.pt").write_bytes(b"")
    handler = {"_target_": "CheckpointLoader", "load_path": str(tmp_path / "other.pt"), "load_dict": {}}
    edit_config(folder, handlers=[handler])
    assert ModelPackage.read(folder).bundle.weights == folder / "models" / "model.pt"
