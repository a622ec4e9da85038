"""The command line as a script, for a Slicer without main window and for plain Python.

::

    Slicer --no-main-window --python-script .../SlicerCNNSegLib/batch.py -- segment head.nii.gz -o out
    python .../SlicerCNNSegLib/batch.py segment head.nii.gz -o out --save-scene out/head.mrb

The options are those of ``cnnseg``; ``segment`` and ``detect`` have one more, ``--save-scene FILE.mrb``: the images
and segmentations, or findings, of all finished cases in the output folder as one MRML scene. On Linux a Slicer needs a
display even without a main window (``xvfb-run``).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import slicer

LIBRARY = Path(__file__).resolve().parent
SCENE_OPTION = "--save-scene"
SCENE_SUFFIX = ".mrb"
SCENE_COMMANDS = ("segment", "detect")


def main(argv: Sequence[str]) -> int:
    """Run one command; returns the exit status, as ``cli.main.main`` does.

    Parameters
    ----------
    argv:
        Arguments without the script's name.
    """
    from SlicerCNNSegLib.cli.main import main as command_line
    from SlicerCNNSegLib.cli.status import SOME_FAILED, USAGE, say_error
    from SlicerCNNSegLib.engine.errors import CNNSegError, SettingsError

    try:
        rest, scene_file = split_scene_option(argv)
    except SettingsError as error:
        say_error(str(error))
        return USAGE
    status = command_line(rest)
    if scene_file is None or status not in (0, SOME_FAILED):
        return status
    try:
        save_scene(scene_file, _records(rest))
    except CNNSegError as error:
        say_error(str(error))
        return SOME_FAILED
    return status


def split_scene_option(argv: Sequence[str]) -> tuple[list[str], Path | None]:
    """The arguments without ``--save-scene FILE``, and its file.

    Raises
    ------
    SettingsError
        It is not followed by a file ``.mrb``, or stands with another command than ``segment`` and ``detect``.
    """
    from SlicerCNNSegLib.engine.errors import SettingsError

    # one form to look for, whichever was given
    rest = [part for text in argv for part in (text.split("=", 1) if text.startswith(f"{SCENE_OPTION}=") else [text])]
    if SCENE_OPTION not in rest:
        return rest, None
    at = rest.index(SCENE_OPTION)
    file = rest[at + 1] if at + 1 < len(rest) else ""
    if rest[0] not in SCENE_COMMANDS or not file.endswith(SCENE_SUFFIX):
        commands = " or ".join(SCENE_COMMANDS)
        raise SettingsError(f"Expected {commands} ... {SCENE_OPTION} FILE{SCENE_SUFFIX}, got {' '.join(argv)!r}.")
    return rest[:at] + rest[at + 2 :], Path(file)


def save_scene(file: Path, records: Sequence[Path]) -> None:
    """Put the cases of run records into an MRML scene and write it.

    Parameters
    ----------
    file:
        The ``.mrb`` to write.
    records:
        Their images are read again from where the records say they are.

    Raises
    ------
    FileReadError
        A record, its segmentation or its image cannot be read.
    OutputError
        There are no records, or the scene cannot be written.
    """
    import slicer

    from SlicerCNNSegLib.engine.cohort.follow_up import FINDINGS_RECORD
    from SlicerCNNSegLib.engine.errors import OutputError
    from SlicerCNNSegLib.engine.files.atomic import replacing

    if not records:
        raise OutputError(f"No case is done, so there is nothing to save as {file}.")
    scene = slicer.vtkMRMLScene()
    for path in records:
        show = _show_findings if path.name.endswith(FINDINGS_RECORD) else _show_segmentation
        show(scene, path)
    with replacing(file) as temporary, tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / file.name  # the bundle's inner folder is called after its file
        if not scene.WriteToMRB(str(named)):
            raise OutputError(f"The scene {file} could not be written; check that the disk has room.")
        shutil.move(named, temporary)


def _show_segmentation(scene: slicer.vtkMRMLScene, record: Path) -> None:
    from SlicerCNNSegLib.engine.cohort.outputs import RECORD_SUFFIX
    from SlicerCNNSegLib.engine.cohort.saved import read_result
    from SlicerCNNSegLib.scene.segmentations import show_segmentation
    from SlicerCNNSegLib.scene.tables import show_volumes

    name, result = record.name.removesuffix(RECORD_SUFFIX), read_result(record)
    show_segmentation(scene, result, _images(scene, record, name)[0])
    show_volumes(scene, result).SetName(f"{name} volumes")


def _show_findings(scene: slicer.vtkMRMLScene, record: Path) -> None:
    from SlicerCNNSegLib.engine.cohort.follow_up import FINDINGS_RECORD
    from SlicerCNNSegLib.engine.cohort.saved import read_detection
    from SlicerCNNSegLib.scene.findings import show_findings

    name, result = record.name.removesuffix(FINDINGS_RECORD), read_detection(record)
    show_findings(scene, result, _images(scene, record, name)[0])


def _images(scene: slicer.vtkMRMLScene, record: Path, name: str) -> list[slicer.vtkMRMLVolumeNode]:
    """The nodes of a record's images, which are read again."""
    from SlicerCNNSegLib.engine.cohort.outputs import read_record
    from SlicerCNNSegLib.engine.files.images import read_volume
    from SlicerCNNSegLib.scene.volumes import node_from_volume

    entries = (read_record(record) or {})["input_files"]
    return [
        node_from_volume(scene, read_volume(one["path"], series=one["series"]), f"{name} {one['channel']}".strip())
        for one in entries
    ]


def script_arguments(argv: Sequence[str]) -> list[str]:
    """The script's own arguments: those after ``--``, by which Slicer's options are parted from them."""
    return list(argv[argv.index("--") + 1 :] if "--" in argv else argv[1:])


def _records(argv: Sequence[str]) -> list[Path]:
    """The run records of the command's finished cases."""
    from SlicerCNNSegLib.cli.main import parse
    from SlicerCNNSegLib.engine.cohort.follow_up import FINDINGS_RECORD
    from SlicerCNNSegLib.engine.cohort.outputs import RECORD_SUFFIX
    from SlicerCNNSegLib.engine.files.paths import stem

    output = parse(argv).output
    if argv[0] == "detect":
        return sorted(output.glob(f"*{FINDINGS_RECORD}"))
    if output.is_dir():
        return [path for path in sorted(output.glob(f"*{RECORD_SUFFIX}")) if _of_segmentation(path)]
    return [output.parent / f"{stem(output)}{RECORD_SUFFIX}"]


def _of_segmentation(record: Path) -> bool:
    """Whether it is a segmentation's: other tasks may have left theirs in the folder."""
    from SlicerCNNSegLib.engine.cohort.outputs import OutputPlan, read_record

    return OutputPlan.rows_key in (read_record(record) or {})


def _leave(status: int) -> None:
    """End the process, or the Slicer in it."""
    sys.stdout.flush()
    sys.stderr.flush()
    application = getattr(sys.modules.get("slicer"), "app", None)
    if application is None:
        sys.exit(status)
    import slicer.util

    slicer.util.exit(status)


if __name__ == "__main__":
    # Python puts the script's folder first; its files (console.py, ...) are parts of a package, not modules
    sys.path[:] = [str(LIBRARY.parent), *(path for path in sys.path if Path(path or ".").resolve() != LIBRARY)]
    try:
        exit_status = main(script_arguments(sys.argv))
    except BaseException:  # whatever it is: a Slicer without main window would wait for ever
        traceback.print_exc()
        exit_status = 1
    _leave(exit_status)
