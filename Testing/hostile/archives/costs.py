"""Small files, or plain ones, that want much memory, disk or time."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from pathlib import Path

from .foreign import foreign, torch_file
from .making import MIB, Files, artefact, safetensors, with_changes, write_folder


@artefact(r"its model card has (control characters|over)")
def endless_card(folder: Path, files: Files) -> Path:
    root = write_folder(folder, files)
    with (root / "README.md").open("wb") as card:
        card.truncate(60 * MIB)
    return root


@artefact(r"a header of 16\d{6} bytes", "WeightsError")
def weights_of_300_000_tensors(folder: Path, files: Files) -> Path:
    names = ",".join(f'"a{n:06}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for n in range(280_000))
    return with_changes(folder, files, {"models/model_0.safetensors": safetensors(f"{{{names}}}".encode())})


@artefact(r"a tensor of 1000000 axes, over 16", "WeightsError")
def weights_of_many_axes(folder: Path, files: Files) -> Path:
    header = {"a": {"dtype": "F32", "shape": [0] * 1_000_000, "data_offsets": [0, 0]}}
    packed = json.dumps(header, separators=(",", ":")).encode()
    return with_changes(folder, files, {"models/model_0.safetensors": safetensors(packed)})


@artefact(r"cannot be read", "WeightsError")
def weights_nested_header(folder: Path, files: Files) -> Path:
    header = b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"
    return with_changes(folder, files, {"models/model_0.safetensors": safetensors(header)})


@artefact(r"its pickle has over 320000 operations", "WeightsError")
def foreign_endless_pickle(folder: Path, files: Files) -> Path:
    return foreign(folder, torch_file(folder, b"\x80\x02" + b"N0" * 2_000_000 + b"}."))


@artefact(r"it is no weights file of PyTorch", "WeightsError")
def foreign_large_pickle(folder: Path, files: Files) -> Path:
    return foreign(folder, torch_file(folder, b"\x80\x02" + b"N0" * 5 * MIB + b"}."))


@artefact(r"table of members, or a header, is too large")
def foreign_weights_of_many_members(folder: Path, files: Files) -> Path:
    return foreign(folder, torch_file(folder, b"\x80\x02}.", **{f"archive/data/{n:0200}": b"" for n in range(9_000)}))


@artefact(r"its members lie over one another")
def zip_overlapping(folder: Path, files: Files) -> Path:
    """Many members whose content is the same bytes of the file."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr("zeros", bytes(MIB))
        for number in range(400):
            again = copy.copy(archive.getinfo("zeros"))
            again.filename = again.orig_filename = f"again{number}"
            archive.filelist.append(again)
    path = folder / "model.zip"
    path.write_bytes(written.getvalue())
    return path
