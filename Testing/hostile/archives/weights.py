"""Weights."""

from __future__ import annotations

import json
from pathlib import Path

from .making import Files, artefact, gadget, safetensors, with_changes, with_members, write_zip


@artefact(r"'models/model.pt' is a form of weights that can run code")
def pickle_beside_weights(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("models/model.pt", gadget(folder)))


@artefact(r"can run code; only safetensors are read")
def array_with_pickle(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("configs/table.NPY", b"\x93NUMPY\x01\x00" + gadget(folder)))


@artefact(r"model_0.safetensors are no safetensors file", "WeightsError")
def pickle_renamed(folder: Path, files: Files) -> Path:
    return with_changes(folder, files, {"models/model_0.safetensors": gadget(folder)})


@artefact(r"model_0.safetensors are no safetensors file", "WeightsError")
def zip_renamed(folder: Path, files: Files) -> Path:
    content = write_zip(folder / "inner", [("archive/data.pkl", gadget(folder))]).read_bytes()
    return with_changes(folder, files, {"models/model_0.safetensors": content})


@artefact(r"model_0.safetensors (cannot be read|are no safetensors)", "WeightsError")
def weights_truncated(folder: Path, files: Files) -> Path:
    content = files["models/model_0.safetensors"]
    return with_changes(folder, files, {"models/model_0.safetensors": content[:-4]})


@artefact(r"a header of 0 bytes in a file of 0", "WeightsError")
def weights_empty(folder: Path, files: Files) -> Path:
    return with_changes(folder, files, {"models/model_0.safetensors": b""})


@artefact(r"a header of 9223372036854775808 bytes", "WeightsError")
def weights_huge_header(folder: Path, files: Files) -> Path:
    return with_changes(folder, files, {"models/model_0.safetensors": safetensors(b"{}", length=2**63)})


@artefact(r"cannot be read", "WeightsError")
def weights_huge_shape(folder: Path, files: Files) -> Path:
    header = {"w": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}
    content = safetensors(json.dumps(header).encode(), b"1234")
    return with_changes(folder, files, {"models/model_0.safetensors": content})


@artefact(r"cannot be read", "WeightsError")
def weights_overlap(folder: Path, files: Files) -> Path:
    header = {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "ab"}
    content = safetensors(json.dumps(header).encode(), b"1234")
    return with_changes(folder, files, {"models/model_0.safetensors": content})


@artefact(r"cannot be read", "WeightsError")
def weights_nested_header(folder: Path, files: Files) -> Path:
    content = safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    return with_changes(folder, files, {"models/model_0.safetensors": content})
