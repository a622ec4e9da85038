"""What nnU-Net is said to have trained: plans that name others' code, or ask for a network beyond all use."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .foreign import torch_file
from .making import Files, Gadget, artefact

Change = Callable[[dict[str, Any]], object]


def trained(folder: Path, change: Change = lambda settings: None, plans: Change = lambda plans: None) -> Path:
    """A trained model's folder with changes in its one configuration, and in the plans."""
    from nnunet_shapes import write_case  # imports torch

    root = write_case(folder / "Dataset999_Tiny" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    data = json.loads((root / "plans.json").read_text(encoding="utf-8"))
    change(data["configurations"]["3d_fullres"])
    plans(data)
    (root / "plans.json").write_text(json.dumps(data), encoding="utf-8")
    return root.parent


def network(folder: Path, **arguments: object) -> Path:
    """The same with other arguments of the network."""
    return trained(folder, lambda settings: settings["architecture"]["arch_kwargs"].update(arguments))


@artefact(r"nnU-Net's network 'system' is not known here", "ModelError")
def trained_names_a_function(folder: Path, files: Files) -> Path:
    return trained(folder, lambda settings: settings["architecture"].update(network_class_name="os.system"))


@artefact(r"The layer 'subprocess.Popen' \(conv_op\) of nnU-Net's network is not known", "ModelError")
def trained_names_a_layer(folder: Path, files: Files) -> Path:
    return network(folder, conv_op="subprocess.Popen")


@artefact(r"resampling by 'os.system' is not known", "ModelError")
def trained_names_a_resampling(folder: Path, files: Files) -> Path:
    return trained(folder, lambda settings: settings.update(resampling_fn_data="os.system"))


@artefact(r"normalisation 'os.system' of nnU-Net is not known", "ModelError")
def trained_names_a_normalisation(folder: Path, files: Files) -> Path:
    return trained(folder, lambda settings: settings.update(normalization_schemes=["os.system"]))


@artefact(r"reader 'builtins.eval'", "ModelError")
def trained_names_a_reader(folder: Path, files: Files) -> Path:
    return trained(folder, plans=lambda plans: plans.update(image_reader_writer="builtins.eval"))


@artefact(r"has no usable configuration '3d_fullres'", "ModelError")
def trained_inherits_from_itself(folder: Path, files: Files) -> Path:
    return trained(folder, lambda settings: settings.update(inherits_from="3d_fullres"))


@artefact(r"cannot be built: a network of more than 300000000 parameters", "ModelError")
def trained_huge_network(folder: Path, files: Files) -> Path:
    return network(folder, features_per_stage=[4_000, 4_000])


@artefact(r"Expected at most 64 layers in a stage of nnU-Net's network, got 10000000", "ModelError")
def trained_deep_network(folder: Path, files: Files) -> Path:
    return network(folder, n_conv_per_stage=[10**7, 1])


@artefact(r"Expected 1 to 16 stages of nnU-Net's network, got 1000000000", "ModelError")
def trained_many_stages(folder: Path, files: Files) -> Path:
    return network(folder, n_stages=10**9, features_per_stage=4)


@artefact(r"checkpoint_final.pth are refused: it names '(posix|nt).mkdir', which could run code", "WeightsError")
def trained_checkpoint_that_runs(folder: Path, files: Files) -> Path:
    root = trained(folder)
    for checkpoint in root.rglob("checkpoint_final.pth"):
        checkpoint.write_bytes(torch_file(folder, pickle.dumps(Gadget(folder / "executed"), protocol=2)))
    return root
