"""Hostile models, made anew by each test.

Archives, folders and weights that want to write, read or run what they must not, or to fill the memory or the disk.
Each maker is registered with the error that must come of it, and what its message must say.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import pickle
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
SECRET = "secret.txt"
"""A file beside the artefacts that none of them may read."""

Files = dict[str, bytes]
Maker = Callable[[Path, Files], Path]
"""Writes an artefact into a folder, out of the files of an honest model; returns what to install."""


@dataclass(frozen=True)
class Artefact:
    """A maker; the name of the error that it must lead to; a pattern of the reason."""

    make: Maker
    error: str
    reason: str


ARTEFACTS: dict[str, Artefact] = {}


def artefact(reason: str, error: str = "ArchiveError") -> Callable[[Maker], Maker]:
    """Register a maker under its function's name."""

    def register(make: Maker) -> Maker:
        ARTEFACTS[make.__name__] = Artefact(make, error, reason)
        return make

    return register


class Gadget:
    """Unpickling one writes a file: the mark of an execution."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.mark),)


def gadget(folder: Path) -> bytes:
    """A pickle that runs code when it is loaded."""
    return pickle.dumps(Gadget(folder / "executed"))


def write_zip(path: Path, members: Iterable[tuple[str | zipfile.ZipInfo, bytes]], compression: int = 0) -> Path:
    """A zip file of exactly these members, also of impossible ones."""
    with zipfile.ZipFile(path, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # duplicate names
        for name, content in members:
            archive.writestr(name, content)
    return path


def with_members(folder: Path, files: Files, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    """The honest model as a zip file, with further members."""
    return write_zip(folder / "model.zip", [*files.items(), *members])


def with_changes(folder: Path, files: Files, changes: Mapping[str, bytes]) -> Path:
    """The honest model as a zip file, with other content in some files."""
    return write_zip(folder / "model.zip", ({**files, **changes}).items())


def special(name: str, mode: int) -> zipfile.ZipInfo:
    """A zip member that says it is of that kind."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (mode | 0o777) << 16
    return info


def raw_name(name: str, raw: str) -> zipfile.ZipInfo:
    """A zip member with a name that ``ZipInfo`` would have cleaned."""
    info = zipfile.ZipInfo(name)
    info.filename = raw
    return info


def patched(path: Path, signature: bytes, offset: int, value: bytes) -> Path:
    """Overwrite a field in every record of a zip file that begins with the signature."""
    data = bytearray(path.read_bytes())
    at = data.find(signature)
    while at >= 0:
        data[at + offset : at + offset + len(value)] = value
        at = data.find(signature, at + 4)
    path.write_bytes(data)
    return path


def metadata_with(files: Files, change: Callable[[dict], object]) -> Files:
    """The metadata after a change."""
    data = json.loads(files["configs/metadata.json"])
    change(data)
    return {"configs/metadata.json": json.dumps(data).encode()}


def write_tar(folder: Path, files: Files, *infos: tuple[tarfile.TarInfo, bytes], compressed: bool = True) -> Path:
    """The honest model as a tar file, with further members."""
    path = folder / ("model.tar.gz" if compressed else "model.tar")
    with tarfile.open(path, "w:gz" if compressed else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info, content in infos:
            archive.addfile(info, io.BytesIO(content) if content else None)
    return path


def tar_info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    """A tar member of that kind."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def write_folder(folder: Path, files: Files) -> Path:
    """The honest model as a folder."""
    root = folder / "model"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def safetensors(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file of any header."""
    return struct.pack("<Q", len(header) if length is None else length) + header + data


# Names that lead elsewhere


@artefact(r"'../evil.txt' climbs out of its folder")
def parent(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("../evil.txt", b"x"))


@artefact(r"climbs out of its folder")
def parent_inside(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("models/../../evil.txt", b"x"))


@artefact(r"has an absolute path")
def absolute(folder: Path, files: Files) -> Path:
    return with_members(folder, files, (str(folder / "evil.txt"), b"x"))


@artefact(r"has a drive letter")
def drive(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("C:/evil.txt", b"x"))


@artefact(r"has a backslash in its name")
def backslash(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("..\\evil.txt", b"x"))


@artefact(r"has an impossible name")
def nul_in_name(folder: Path, files: Files) -> Path:
    path = with_members(folder, files, ("readme@.txt", b"x"))
    path.write_bytes(path.read_bytes().replace(b"readme@.txt", b"readme\0.txt"))
    return path


@artefact(r"has control characters in its name")
def escape_in_name(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("\x1b[2Jevil.txt", b"x"))


@artefact(r"has control characters in its name")
def reversed_name(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("card\u202etxt.exe", b"x"))


@artefact(r"has the name of a device")
def device_name(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("models/con.txt", b"x"))


@artefact(r"has a name that not every disk can hold")
def second_stream(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("README.md:evil.exe", b"x"))


@artefact(r"too deep or too long")
def deep(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("/".join("d" * 60) + "/x", b"x"))


@artefact(r"are one on some disks")
def duplicate(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("configs/metadata.json", b"{}"))


@artefact(r"'README.md' and 'readme.MD' are one on some disks")
def other_case(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("README.md", b"x"), ("readme.MD", b"y"))


@artefact(r"are one on some disks")
def other_unicode_form(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("caf\u00e9.txt", b"x"), ("cafe\u0301.txt", b"y"))


@artefact(r"lies below 'docs', which is a file")
def file_as_folder(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("docs", b"x"), ("docs/evil.txt", b"y"))


# Members that are no files


@artefact(r"'models/link' is a symbolic link")
def zip_link(folder: Path, files: Files) -> Path:
    return with_members(folder, files, (special("models/link", stat.S_IFLNK), b"/etc/passwd"))


@artefact(r"is a symbolic link")
def zip_through_link(folder: Path, files: Files) -> Path:
    link = special("out", stat.S_IFLNK)
    return with_members(folder, files, (link, str(folder).encode()), ("out/evil.txt", b"x"))


@artefact(r"is a device, a pipe or a socket")
def zip_device(folder: Path, files: Files) -> Path:
    return with_members(folder, files, (special("models/null", stat.S_IFCHR), b""))


@artefact(r"'models/copy' is a hard link")
def tar_hard_link(folder: Path, files: Files) -> Path:
    return write_tar(folder, files, (tar_info("models/copy", tarfile.LNKTYPE, f"../../{SECRET}"), b""))


@artefact(r"is a symbolic link")
def tar_link(folder: Path, files: Files) -> Path:
    return write_tar(folder, files, (tar_info("models/copy", tarfile.SYMTYPE, f"../../{SECRET}"), b""))


@artefact(r"is no plain file")
def tar_pipe(folder: Path, files: Files) -> Path:
    return write_tar(folder, files, (tar_info("models/pipe", tarfile.FIFOTYPE), b""))


@artefact(r"is no plain file")
def tar_device(folder: Path, files: Files) -> Path:
    return write_tar(folder, files, (tar_info("models/null", tarfile.CHRTYPE), b""), compressed=False)


@artefact(r"climbs out of its folder")
def tar_parent(folder: Path, files: Files) -> Path:
    return write_tar(folder, files, (tar_info("../evil.txt", size=1), b"x"))


@artefact(r"is a symbolic link")
def folder_link_to_file(folder: Path, files: Files) -> Path:
    root = write_folder(folder, files)
    (root / "models" / "copy.txt").symlink_to(folder / SECRET)
    return root


@artefact(r"is a symbolic link")
def folder_link_to_folder(folder: Path, files: Files) -> Path:
    root = write_folder(folder, files)
    (root / "docs").symlink_to(folder, target_is_directory=True)
    return root


@artefact(r"is a device, a pipe or a socket")
def folder_pipe(folder: Path, files: Files) -> Path:
    root = write_folder(folder, files)
    os.mkfifo(root / "models" / "pipe")
    return root


@artefact(r"'docs/' is a folder with content of its own")
def folder_with_content(folder: Path, files: Files) -> Path:
    return with_members(folder, files, ("docs/", b"x"))


# Too much of everything


@artefact(r"unpacks to over 200 times its packed size")
def zip_bomb(folder: Path, files: Files) -> Path:
    path = folder / "model.zip"
    return write_zip(path, [*files.items(), ("models/zeros.txt", bytes(64 * MIB))], zipfile.ZIP_DEFLATED)


@artefact(r"it unpacks to over 200 times its packed size")
def tar_bomb(folder: Path, files: Files) -> Path:
    return write_tar(folder, files, (tar_info("zeros.txt", size=64 * MIB), bytes(64 * MIB)))


@artefact(r"has \d+ members, over 5000")
def many_members(folder: Path, files: Files) -> Path:
    return with_members(folder, files, *((f"docs/{n}", b"") for n in range(6000)))


@artefact(r"table of members, or a header, is too large")
def huge_table(folder: Path, files: Files) -> Path:
    infos = []
    for number in range(50):
        info = zipfile.ZipInfo(f"docs/{number}")
        info.comment = b"c" * 65_000
        infos.append((info, b""))
    return with_members(folder, files, *infos)


@artefact(r"unpacks to over 200 times its packed size")
def zip_declares_4_gb(folder: Path, files: Files) -> Path:
    return patched(with_members(folder, files), b"PK\1\2", 24, struct.pack("<I", 2**32 - 2))


@artefact(r"it would unpack to \d+ MB, over")
def zip_declares_20_gb(folder: Path, files: Files) -> Path:
    path = with_members(folder, files, ("a", b"x"), ("b", b"x"), ("c", b"x"))
    return patched(path, b"PK\1\2", 20, struct.pack("<II", 2**32 - 2, 2**32 - 2))


@artefact(r"it is damaged or of a form that is not read")
def zip_declares_less(folder: Path, files: Files) -> Path:
    return patched(with_members(folder, files), b"PK\1\2", 24, struct.pack("<I", 5))


@artefact(r"it unpacks to over 200 times")
def tar_declares_7_gb(folder: Path, files: Files) -> Path:
    path = write_tar(folder, files, compressed=False)
    header = tar_info("weights", size=7 * 2**30).tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(header + path.read_bytes())
    return path


@artefact(r"table of members, or a header, is too large")
def tar_huge_header(folder: Path, files: Files) -> Path:
    path = folder / "model.tar.gz"
    long_name = tar_info("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=32 * MIB).tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(gzip.compress(long_name + b"n" * (32 * MIB)))
    return path


# Damage and odd forms


@artefact(r"it is damaged")
def zip_truncated(folder: Path, files: Files) -> Path:
    path = with_members(folder, files)
    path.write_bytes(path.read_bytes()[:-30])
    return path


@artefact(r"it is damaged")
def zip_altered(folder: Path, files: Files) -> Path:
    path = with_members(folder, files, ("notes.txt", b"honest words"))
    path.write_bytes(path.read_bytes().replace(b"honest words", b"hostile word"))
    return path


@artefact(r"it is damaged")
def tar_truncated(folder: Path, files: Files) -> Path:
    path = write_tar(folder, files)
    path.write_bytes(path.read_bytes()[:200])
    return path


@artefact(r"it is damaged")
def gzip_of_nothing(folder: Path, files: Files) -> Path:
    path = folder / "model.tar.gz"
    path.write_bytes(b"\x1f\x8b\x07 hostile")
    return path


@artefact(r"it is encrypted")
def encrypted(folder: Path, files: Files) -> Path:
    return patched(with_members(folder, files), b"PK\1\2", 8, struct.pack("<H", 1))


@artefact(r"compressed in another way than deflate")
def other_compression(folder: Path, files: Files) -> Path:
    return write_zip(folder / "model.zip", files.items(), zipfile.ZIP_BZIP2)


@artefact(r"none of them", "FileReadError")
def other_archive(folder: Path, files: Files) -> Path:
    path = folder / "model.bz2"
    path.write_bytes(bz2.compress(b"".join(files.values())))
    return path


@artefact(r"expected one model with configs/metadata.json, found 0")
def no_model(folder: Path, files: Files) -> Path:
    return write_zip(folder / "model.zip", [("notes.txt", b"nothing")])


@artefact(r"expected one model with configs/metadata.json, found 2")
def two_models(folder: Path, files: Files) -> Path:
    members = [(f"{top}/{name}", content) for top in ("a", "b") for name, content in files.items()]
    return write_zip(folder / "model.zip", members)


# Weights


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


# Bundles that others made, whose weights are pickles

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


# Texts


@artefact(r"its title has control characters")
def escape_in_title(folder: Path, files: Files) -> Path:
    title = "Spleen\x1b]0;evil\x07\x1b[2J"
    return with_changes(folder, files, metadata_with(files, lambda data: data["cnnseg"].update(title=title)))


@artefact(r"its labels has control characters")
def reversed_label(folder: Path, files: Files) -> Path:
    changed = metadata_with(files, lambda data: data["cnnseg"]["labels"][0].update(name="Left \u202ethgir"))
    return with_changes(folder, files, changed)


@artefact(r"its description has over 200000 characters")
def endless_description(folder: Path, files: Files) -> Path:
    text = "very " * 50_000
    return with_changes(folder, files, metadata_with(files, lambda data: data.update(description=text)))


@artefact(r"its description has HTML \('<img src=")
def html_in_description(folder: Path, files: Files) -> Path:
    text = f'A model. <img src="file://{folder / SECRET}">'
    return with_changes(folder, files, metadata_with(files, lambda data: data.update(description=text)))


@artefact(r"its metrics has HTML")
def html_in_metrics(folder: Path, files: Files) -> Path:
    metrics = {"dice": [{"<b onclick=alert(1)>": 1}]}
    return with_changes(folder, files, metadata_with(files, lambda data: data.update(eval_metrics=metrics)))


@artefact(r"its metrics has HTML|is no valid JSON", "ModelError")
def nested_metrics(folder: Path, files: Files) -> Path:
    text = files["configs/metadata.json"].decode().strip()[:-1]
    metrics = '{"a":' * 800 + '"<b>"' + "}" * 800
    return with_changes(folder, files, {"configs/metadata.json": f'{text}, "eval_metrics": {metrics}}}'.encode()})


@artefact(r"its model card has HTML \('<script'\)")
def script_in_card(folder: Path, files: Files) -> Path:
    return with_changes(folder, files, {"README.md": b"# Card\n<script>fetch('http://127.0.0.1')</script>"})


@artefact(r"its id '../../evil' is no plain name")
def id_that_climbs(folder: Path, files: Files) -> Path:
    return with_changes(folder, files, metadata_with(files, lambda data: data["cnnseg"].update(id="../../evil")))


@artefact(r"metadata.json is no valid JSON", "ModelError")
def nested_metadata(folder: Path, files: Files) -> Path:
    return with_changes(folder, files, {"configs/metadata.json": b"[" * 200_000})


@artefact(r"is no valid JSON", "ModelError")
def huge_number(folder: Path, files: Files) -> Path:
    return with_changes(folder, files, {"configs/inference.json": b'{"a": ' + b"9" * 1_000_000 + b"}"})


@artefact(r"is a configuration of \d+ bytes, over")
def huge_configuration(folder: Path, files: Files) -> Path:
    return with_changes(folder, files, {"configs/inference.json": b'{"a": "' + bytes(range(65, 91)) * 400_000 + b'"}'})
