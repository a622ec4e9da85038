"""Bundles that others made, whose weights are pickles."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

from .making import MIB, Files, Gadget, artefact, gadget, write_zip

METADATA = {
    "version": "1",
    "task": "A bundle of somebody's",
    "network_data_format": {
        "inputs": {"image": {"type": "image", "num_channels": 1, "spatial_shape": [8, 8, 8]}},
        "outputs": {
            "pred": {
                "type": "image",
                "format": "segmentation",
                "num_channels": 2,
                "channel_def": {"0": "background", "1": "spleen"},
            }
        },
    },
}
INFERENCE = {
    "network_def": {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2,
                    "channels": [2, 2], "strides": [2]},
    "preprocessing": {"_target_": "Compose", "transforms": [{"_target_": "LoadImaged", "keys": "image"}]},
    "inferer": {"_target_": "SimpleInferer"},
}  # fmt: skip


def foreign(folder: Path, weights: bytes, inference: Mapping[str, object] = INFERENCE, **more: bytes) -> Path:
    """A zip file with a bundle that others made, and these weights."""
    files = {
        "LICENSE": b"MIT License",
        "configs/metadata.json": json.dumps(METADATA).encode(),
        "configs/inference.json": json.dumps(inference).encode(),
        "models/model.pt": weights,
        **more,
    }
    return write_zip(folder / "model.zip", files.items())


def torch_file(folder: Path, pickled: bytes, compression: int = 0, **more: bytes) -> bytes:
    """What looks like a weights file of PyTorch, with that pickle."""
    members = {"archive/data.pkl": pickled, "archive/version": b"3\n", **more}
    path = write_zip(folder / "weights", members.items(), compression)
    content = path.read_bytes()
    path.unlink()
    return content


@artefact(r"model.pt are refused: it names 'posix.mkdir', which could run code|names 'nt.mkdir'", "WeightsError")
def foreign_pickle(folder: Path, files: Files) -> Path:
    return foreign(folder, torch_file(folder, pickle.dumps(Gadget(folder / "executed"), protocol=2)))


@artefact(r"its pickle does STACK_GLOBAL", "WeightsError")
def foreign_pickle_of_another_protocol(folder: Path, files: Files) -> Path:
    return foreign(folder, torch_file(folder, gadget(folder)))


@artefact(r"it names 'torch.load', which could run code", "WeightsError")
def foreign_pickle_names_a_function_of_torch(folder: Path, files: Files) -> Path:
    return foreign(folder, torch_file(folder, b"\x80\x02ctorch\nload\nX\x01\x00\x00\x00a\x85R."))


@artefact(r"its pickle does INST", "WeightsError")
def foreign_pickle_of_instances(folder: Path, files: Files) -> Path:
    return foreign(folder, torch_file(folder, b"(S'true'\nios\nsystem\n."))


@artefact(r"damaged, or older than PyTorch 1.6", "WeightsError")
def foreign_plain_pickle(folder: Path, files: Files) -> Path:
    return foreign(folder, gadget(folder))


@artefact(r"it is TorchScript, which is code", "WeightsError")
def foreign_torchscript(folder: Path, files: Files) -> Path:
    more = {"archive/constants.pkl": gadget(folder), "archive/code/a.py": b"import os"}
    return foreign(folder, torch_file(folder, b"\x80\x02}.", **more))


@artefact(r"it is compressed, which PyTorch's files are not", "WeightsError")
def foreign_bomb_of_weights(folder: Path, files: Files) -> Path:
    return foreign(folder, torch_file(folder, b"\x80\x02}.", zipfile.ZIP_DEFLATED, **{"archive/data/0": bytes(MIB)}))


@artefact(r"it is no weights file of PyTorch", "WeightsError")
def foreign_two_pickles(folder: Path, files: Files) -> Path:
    return foreign(folder, torch_file(folder, b"\x80\x02}.", **{"other/data.pkl": gadget(folder)}))


@artefact(r"its pickle is damaged", "WeightsError")
def foreign_broken_pickle(folder: Path, files: Files) -> Path:
    return foreign(folder, torch_file(folder, b"\x80\x02ctorch"))


@artefact(r"asks for os\.system in \"network_def\"", "ConfigError")
def foreign_config_that_runs(folder: Path, files: Files) -> Path:
    run = {**INFERENCE, "imports": ["$import os"], "network_def": "$os.system('true')"}
    return foreign(folder, torch_file(folder, b"\x80\x02}."), run)


@artefact(r"asks for scripts\.net\.Net", "ConfigError")
def foreign_code_of_its_own(folder: Path, files: Files) -> Path:
    code = f"import os; os.mkdir({str(folder / 'executed')!r})".encode()
    own = {**INFERENCE, "network_def": {"_target_": "scripts.net.Net"}}
    return foreign(folder, torch_file(folder, b"\x80\x02}."), own, **{"scripts/net.py": code})


@artefact(r"asks for the function in Lambdad", "ConfigError")
def foreign_function(folder: Path, files: Files) -> Path:
    step = {"_target_": "Lambdad", "keys": "image", "func": f"$lambda x: __import__('os').mkdir('{folder}/executed')"}
    return foreign(folder, torch_file(folder, b"\x80\x02}."), {**INFERENCE, "preprocessing": [step]})


@artefact(r"its title has control characters")
def foreign_title(folder: Path, files: Files) -> Path:
    metadata = json.dumps({**METADATA, "name": "\x1b]0;evil\x07"}).encode()
    return foreign(folder, torch_file(folder, b"\x80\x02}."), **{"configs/metadata.json": metadata})


@artefact(r"its labels has HTML")
def foreign_label(folder: Path, files: Files) -> Path:
    text = json.dumps(METADATA).replace("spleen", "<img src=x>").encode()
    return foreign(folder, torch_file(folder, b"\x80\x02}."), **{"configs/metadata.json": text})
