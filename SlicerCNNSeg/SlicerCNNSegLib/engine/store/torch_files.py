"""PyTorch's weights files (``.pt``), looked into without torch: whether they hold tensors and nothing else.

They are zip files with a pickle. A pickle is a program for a small machine, of which only what builds plain containers
and calls named functions is let through here, and only names that rebuild tensors. Loading is done with
``weights_only=True`` all the same (``bundles/checkpoints.py``); this says it before a model takes its place.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path
from typing import IO

from ..bundles.names import LARGEST_OF_ARRAYS
from ..errors import WeightsError
from .archives import BoundedFile
from .members import MIB, shown

LARGEST_PICKLE, MOST_OPERATIONS = 8 * MIB, 320_000
"""Bytes and operations of a pickle: 10 000 tensors, ten times what the largest networks have, take 1 MB and 32 each."""

LARGEST_WITH_NUMBERS, MOST_WITH_NUMBERS = 32 * MIB, 5_000_000
"""The same for checkpoints of nnU-Net, which hold a number for each class and epoch besides: 104 classes in 1000 epochs
are 5 MiB and 1.5 million operations. The most take about 4 s to look through."""

NAMES = re.compile(
    r"collections OrderedDict"
    r"|torch (Size|device|(Float|Double|Half|BFloat16|Byte|Char|Short|Int|Long|Bool)Storage)"
    r"|torch\.storage UntypedStorage"
    r"|torch\._utils (_rebuild_tensor|_rebuild_tensor_v2|_rebuild_parameter)"
)
"""What the pickle may name."""

NUMBER_NAMES = re.compile(r"numpy(\._core|\.core)\.multiarray scalar|numpy dtype|_codecs encode")
"""What that of a file with numpy's numbers may name besides; ``bundles/arrays.py`` says in which form."""

ARRAY_NAMES = re.compile(NUMBER_NAMES.pattern + r"|numpy(\._core|\.core)\.multiarray _reconstruct|numpy ndarray")
"""The same for that of a small file, which may hold arrays."""

OTHER_NAMES = ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID")
"""Operations that name or make objects in other ways than PyTorch's files do."""


def check_torch_file(path: Path, *, with_numbers: bool = False) -> None:
    """See that a ``.pt`` file holds tensors in plain containers.

    Parameters
    ----------
    with_numbers:
        Let numpy's numbers through in a large file too.

    Raises
    ------
    WeightsError
        It is damaged, of a form that is not read (TorchScript, PyTorch before 1.6), or names what could run code.
    """
    try:
        with path.open("rb", buffering=0) as raw, BoundedFile(raw, path.name) as file, zipfile.ZipFile(file) as archive:
            pickles = [info for info in archive.infolist() if info.filename.endswith("/data.pkl")]
            if any(info.filename.endswith(("/constants.pkl", ".py")) for info in archive.infolist()):
                raise _refusal(path, "it is TorchScript, which is code")
            largest, most = (
                (LARGEST_WITH_NUMBERS, MOST_WITH_NUMBERS) if with_numbers else (LARGEST_PICKLE, MOST_OPERATIONS)
            )
            if len(pickles) != 1 or pickles[0].file_size > largest:
                raise _refusal(path, "it is no weights file of PyTorch")
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise _refusal(path, "it is compressed, which PyTorch's files are not")
            with archive.open(pickles[0]) as stream:
                small = path.stat().st_size <= LARGEST_OF_ARRAYS
                _check_pickle(stream, path, ARRAY_NAMES if small else NUMBER_NAMES if with_numbers else None, most)
    except zipfile.BadZipFile as error:
        raise _refusal(path, f"it is damaged, or older than PyTorch 1.6 ({error})") from error
    except OSError as error:
        raise WeightsError(f"The weights {path.name} cannot be read ({error}); get the model anew.") from error


def _check_pickle(stream: IO[bytes], path: Path, more: re.Pattern[str] | None, most: int) -> None:
    def is_known(name: str) -> bool:
        return bool(NAMES.fullmatch(name) or (more and more.fullmatch(name)))

    try:
        content = b"".join(iter(lambda: stream.read(MIB), b""))
        for number, (operation, argument, _) in enumerate(pickletools.genops(content)):
            if number > most:
                raise _refusal(path, f"its pickle has over {most} operations")
            if operation.name in OTHER_NAMES:
                raise _refusal(path, f"its pickle does {operation.name}, which PyTorch's do not")
            if operation.name == "GLOBAL" and not is_known(str(argument)):
                raise _refusal(path, f"it names {shown(str(argument).replace(' ', '.'))}, which could run code")
    except (ValueError, IndexError, OverflowError, MemoryError, zipfile.BadZipFile, NotImplementedError) as error:
        raise _refusal(path, f"its pickle is damaged ({error})") from error


def _refusal(path: Path, reason: str) -> WeightsError:
    return WeightsError(f"The weights {path.name} are refused: {reason}; only tensors are read.")
