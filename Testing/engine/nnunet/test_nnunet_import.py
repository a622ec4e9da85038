"""What nnU-Net trained, installed: the folder that comes of it, what is refused, and what cannot do harm."""

import json
import os
import pickle
import shutil
import zipfile
from copy import deepcopy

import pytest
import torch
from nnunet_shapes import write_case
from tiny_nnunet import CASES, REGIONS

from SlicerCNNSegLib.cli.main import main
from SlicerCNNSegLib.engine import catalogue
from SlicerCNNSegLib.engine.catalogue import find_model
from SlicerCNNSegLib.engine.errors import LicenceError, ModelError, SettingsError, WeightsError
from SlicerCNNSegLib.engine.nnunet.reading import Choice, Trained
from SlicerCNNSegLib.engine.package import NNUNET
from SlicerCNNSegLib.engine.store.self_check import check_model, make_self_check
from SlicerCNNSegLib.engine.store.store import install, pack_model, remove

FOLDER = "nnUNetTrainer__nnUNetPlans__3d_fullres"


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNSEG_MODELS", str(tmp_path / "store"))
    monkeypatch.setattr(catalogue, "EMBEDDED_MODELS", tmp_path / "shipped")
    return tmp_path / "store"


@pytest.fixture
def trained(tmp_path):
    """A trained model as nnU-Net leaves it."""
    return write_case(tmp_path / "nnUNet_results" / "Dataset999_Tiny" / FOLDER)


def change(path, **values):
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**data, **values}), encoding="utf-8")


def settings_with(**changed):
    """Plans of the first case with other values in its configuration."""
    plans = deepcopy(CASES["ct"]["plans"])
    plans["configurations"]["3d_fullres"].update(changed)
    return plans


def test_a_folder_becomes_a_model_of_our_form(store, trained):
    (trained / "fold_0" / "validation").mkdir()
    (trained / "fold_0" / "validation" / "summary.json").write_text("{}")
    package = install(trained)
    assert package.folder == store / "Dataset999_Tiny-3d_fullres"
    assert (package.id, package.form, package.task) == ("Dataset999_Tiny-3d_fullres", NNUNET, "segmentation")
    assert [(channel.name, channel.modality) for channel in package.channels] == [("CT", "CT")]
    assert [(label.value, label.name, str(label.type.meaning)) for label in package.labels] == [
        (1, "liver", "Liver"),
        (2, "left kidney", "Kidney"),
    ]
    assert "nnUNetTrainer, 2 fold(s), checkpoint_final" in package.description
    files = sorted(path.relative_to(package.folder).as_posix() for path in package.folder.rglob("*") if path.is_file())
    assert files == [
        "configs/inference.json",
        "configs/metadata.json",
        "models/fold_0.safetensors",
        "models/fold_1.safetensors",
    ]
    assert (trained / "fold_0" / "checkpoint_final.pth").is_file()  # nothing of the source is touched


def test_it_is_listed_checked_packed_and_removed_as_every_other(store, trained, tmp_path, capsys):
    install(trained, choice=Choice(id="tiny"))
    assert main(["models", "list"]) == 0
    assert "tiny segmentation CT 2: liver, left kidney" in " ".join(capsys.readouterr().out.split())
    make_self_check(find_model("tiny"))
    findings = check_model(catalogue.list_models()[0])
    assert [(finding.question, finding.passed) for finding in findings] == [
        ("bundle is read", True),
        ("weights fit the network", True),
        ("checksum", True),
        ("labels of the synthetic image", True),
    ]
    before = pack_model("tiny", tmp_path / "tiny.zip").sha256
    remove("tiny")
    assert not list(store.glob("[!.]*"))
    assert install(tmp_path / "tiny.zip").sha256 == before


def test_a_changed_weight_fails_the_check(store, trained):
    package = install(trained)
    shutil.copy(package.weights_files[0], package.weights_files[1])
    found = {finding.question: finding.passed for finding in check_model(catalogue.list_models()[0])}
    assert found["checksum"] is False


def test_nnunets_zip_file_is_installed(store, trained, tmp_path):
    path = shutil.make_archive(str(tmp_path / "export"), "zip", tmp_path / "nnUNet_results")
    assert install(path, choice=Choice(id="zipped")).id == "zipped"
    assert [path.name for path in store.iterdir()] == ["zipped"]


def test_the_command_line_installs_and_segments(store, trained, tmp_path, capsys):
    import SimpleITK as sitk
    from tiny_nnunet import images

    assert main(["models", "install", str(trained.parent), "--configuration", "3d_fullres", "--id", "ours"]) == 0
    assert "Installed ours 1.0 (CC0-1.0)" in capsys.readouterr().out
    sitk.WriteImage(images(CASES["ct"])[0], str(tmp_path / "image.nii.gz"))
    command = [
        "segment",
        str(tmp_path / "image.nii.gz"),
        "--model",
        "ours",
        "-o",
        str(tmp_path / "out"),
        "--device",
        "cpu",
    ]
    assert main(command) == 0
    written = next((tmp_path / "out").rglob("*.seg.nrrd"))
    assert len(set(sitk.GetArrayFromImage(sitk.ReadImage(str(written))).ravel())) == 3


def test_of_several_one_is_chosen(store, trained):
    other = trained.with_name("nnUNetTrainer__nnUNetPlans__3d_lowres")
    write_case(other, "residual", plans=CASES["residual"]["plans"])
    with pytest.raises(SettingsError, match="found Dataset999_Tiny 3d_fullres, Dataset999_Tiny 3d_lowres; give one of"):
        install(trained.parent)
    with pytest.raises(SettingsError, match="Expected one trained model of nnU-Net"):
        install(trained.parent, choice=Choice(configuration="2d"))
    package = install(trained.parent, choice=Choice(configuration="3d_lowres"))
    assert [label.name for label in package.labels] == [
        "whole tumor without core, enhancing",
        "core without enhancing",
        "enhancing",
    ]
    assert [label.value for label in package.labels] == REGIONS["whole tumor"]


def test_the_best_checkpoint_where_there_is_no_final_one(store, tmp_path):
    trained = write_case(tmp_path / FOLDER, kind="best")
    assert "checkpoint_best" in install(trained).description
    with pytest.raises(ModelError, match=r"has no fold_\*/checkpoint_final\.pth"):
        install(trained, choice=Choice(checkpoint="final"), replace=True)
    with pytest.raises(SettingsError, match="a checkpoint out of final, best, latest, got 'worst'"):
        Choice(checkpoint="worst")


def test_all_folds_together_only_where_there_is_no_other(trained):
    shutil.copytree(trained / "fold_0", trained / "fold_all")
    assert [path.parent.name for path in Trained.read(trained).checkpoints("final")] == ["fold_0", "fold_1"]
    shutil.rmtree(trained / "fold_0")
    shutil.rmtree(trained / "fold_1")
    assert [path.parent.name for path in Trained.read(trained).checkpoints("final")] == ["fold_all"]


def test_a_licence_that_nobody_stated_is_asked_for(store, trained):
    change(trained / "dataset.json", licence="")
    with pytest.raises(LicenceError, match="has the licence 'not stated'"):
        install(trained)
    assert install(trained, acknowledge=lambda package, text: True).licence == "not stated"


def test_a_choice_is_for_nnunet_alone(store, tmp_path):
    from tiny_model import write_tiny_model

    with pytest.raises(SettingsError, match="holds no folder that nnU-Net v2 trained"):
        install(write_tiny_model(tmp_path / "tiny"), choice=Choice(id="other"))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"preprocessor_name": "os.system"}, "preprocessor 'os.system'; only DefaultPreprocessor"),
        ({"normalization_schemes": ["Mine"]}, "normalisation 'Mine' of nnU-Net is not known"),
        ({"resampling_fn_data": "no_resampling_hack"}, "resampling by 'no_resampling_hack' is not known"),
        ({"resampling_fn_data_kwargs": {"order_z": 1}}, "arguments that are not known here"),
        ({"patch_size": [15, 12, 12]}, "multiples of 2 x 2 x 2 voxels, .* got 15 x 12 x 12"),
        ({"previous_stage": "3d_lowres"}, "no usable configuration '3d_lowres'"),
        ({"inherits_from": "3d_lowres"}, "no usable configuration '3d_lowres'"),
        ({"inherits_from": "3d_fullres"}, "no usable configuration '3d_fullres'"),
        ({"normalization_schemes": []}, "shorter than|lacks something"),
        ({"spacing": "x"}, "lacks something or is damaged"),
    ],
)
def test_plans_that_cannot_be_run_are_refused_with_the_reason(store, trained, changed, reason):
    change(trained / "plans.json", **settings_with(**changed))
    with pytest.raises(ModelError, match=reason):
        install(trained)
    assert not list(store.iterdir())


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("network_class_name", "os.system", "network 'system' is not known here: expected PlainConvUNet or"),
        ("conv_op", "subprocess.Popen", r"layer 'subprocess.Popen' \(conv_op\)"),
        ("norm_op", "torch.nn.LayerNorm", r"\(norm_op\) of nnU-Net's network is not known here: InstanceNorm"),
        ("nonlin", "torch.nn.Softmax", r"layer 'torch.nn.Softmax' \(nonlin\)"),
        ("nonlin_first", True, "arguments that are not known here: nonlin_first"),
        ("features_per_stage", [4, 5], "of another shape"),
    ],
)
def test_networks_are_looked_up_never_imported(store, trained, key, value, reason):
    plans = settings_with()
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    (architecture if key == "network_class_name" else architecture["arch_kwargs"])[key] = value
    change(trained / "plans.json", **plans)
    with pytest.raises(ModelError, match=reason):
        install(trained)
    assert not list(store.iterdir())


@pytest.mark.parametrize(
    ("labels", "more", "reason"),
    [
        ({"background": 0, "a": 2}, {}, r"Expected labels 1 to 1 in dataset.json, got \[2\]"),
        ({"background": 0, "a": [1, 2], "b": 2}, {"regions_class_order": [1, 2, 3]}, "has 2 regions, but 3"),
        ({"background": 0, "a": [1, 2], "b": 2}, {}, "lacks something"),
        ({"background": 0, "a": 1}, {}, "of another shape"),
    ],
)
def test_labels_that_do_not_fit_are_refused(store, trained, labels, more, reason):
    change(trained / "dataset.json", labels=labels, **more)
    with pytest.raises(ModelError, match=reason):
        install(trained)


def test_an_ignored_label_gets_no_score(trained):
    change(trained / "dataset.json", labels={"background": 0, "a": 1, "b": 2, "ignore": 3})
    assert [label.name for label in Trained.read(trained).labels()] == ["a", "b"]


def test_plans_before_2_4_give_the_same_network(trained):
    settings = CASES["ct"]["plans"]["configurations"]["3d_fullres"]
    made = settings["architecture"]["arch_kwargs"]
    old = {key: value for key, value in settings.items() if key != "architecture"} | {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 6,
        "n_conv_per_stage_encoder": made["n_conv_per_stage"],
        "n_conv_per_stage_decoder": made["n_conv_per_stage_decoder"],
        "conv_kernel_sizes": made["kernel_sizes"],
        "pool_op_kernel_sizes": made["strides"],
    }
    new = Trained.read(trained).network("3d_fullres", "nnUNetTrainer")
    change(trained / "plans.json", configurations={"3d_fullres": old})
    assert Trained.read(trained).network("3d_fullres", "nnUNetTrainer") == new


def test_batch_normalisation_of_its_trainer(store, tmp_path):
    trained = write_case(tmp_path / FOLDER, trainer="nnUNetTrainerBN")
    assert install(trained).inference["network_def"]["norm"][0] == "batch"
    checkpoint = torch.load(trained / "fold_0" / "checkpoint_final.pth", weights_only=False)
    for fold in (0, 1):
        torch.save({**checkpoint, "trainer_name": "x"}, trained / f"fold_{fold}" / "checkpoint_final.pth")
    with pytest.raises(WeightsError, match=r"unexpected \(first: .*running_mean|unexpected \(first: .*num_batches"):
        install(trained, replace=True)


class Harm:
    """Writes a file as soon as it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_checkpoint_that_holds_code_is_refused_and_not_run(store, trained, tmp_path):
    path = trained / "fold_0" / "checkpoint_final.pth"
    checkpoint = torch.load(path, weights_only=False)
    torch.save({**checkpoint, "logging": Harm(tmp_path / "harm")}, path)
    with pytest.raises(WeightsError, match=r"it names 'posix.system', which could run code"):
        install(trained)
    path.write_bytes(pickle.dumps(Harm(tmp_path / "harm")))
    with pytest.raises(WeightsError, match="is damaged, or older than"):
        install(trained)
    assert not (tmp_path / "harm").exists()
    assert not list(store.iterdir())


def test_a_checkpoint_of_something_else_is_told(store, trained):
    torch.save({"state_dict": {}}, trained / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(WeightsError, match="is no checkpoint of nnU-Net v2"):
        install(trained)


def test_folds_of_different_configurations(store, trained):
    path = trained / "fold_1" / "checkpoint_final.pth"
    checkpoint = torch.load(path, weights_only=False)
    torch.save({**checkpoint, "init_args": {"configuration": "2d"}}, path)
    with pytest.raises(ModelError, match="are of different configurations"):
        install(trained)


def test_a_damaged_json_file_is_told(store, trained):
    (trained / "plans.json").write_text("[]")
    with pytest.raises(ModelError, match=r"plans.json must hold a JSON object, got list"):
        install(trained)
    (trained / "plans.json").write_text("{")
    with pytest.raises(ModelError, match=r"plans.json cannot be read as JSON"):
        install(trained)


def test_a_zip_file_that_climbs_out_is_refused(store, trained, tmp_path):
    path = tmp_path / "climbing.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(trained / "plans.json", "../plans.json")
    with pytest.raises(ModelError, match="climbs out of its folder"):
        install(path)
