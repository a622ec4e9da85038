"""What the panel and the command line say to each other; no Qt.

The panel starts ``cnnseg segment ... --json`` and reads one JSON object per line from its standard
output; ``cli/jsonlines.py`` says which there are.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..engine.settings import SegmentationSettings

BATCH_SCRIPT = Path(__file__).resolve().parents[1] / "batch.py"
"""Runs the command line from its path, whatever Python's own search path is."""

REGION_OPTIONS = {"ijk": "--roi", "ras": "--roi-ras"}

LOG_LINES = 200
"""Kept of what the process writes besides its messages: enough for a traceback with its causes."""


def segment_arguments(settings: SegmentationSettings, images: Sequence[Path], folder: Path) -> list[str]:
    """Arguments for Python that segment one case and write ``.seg.nrrd`` and the record into ``folder``."""
    arguments = [str(BATCH_SCRIPT), "segment", *(str(path) for path in images), "-o", str(folder)]
    arguments += ["--model", settings.model, "--device", settings.device, "--precision", settings.precision]
    for region in settings.regions:
        # joined by "=", because a region's first number may be negative
        name = f"{region.name}=" if region.name else ""
        arguments.append(f"{REGION_OPTIONS[region.kind]}={name}{','.join(map(repr, region.bounds))}")
    arguments += ["--tta"] * settings.mirror + ["--force"] * settings.force
    return [*arguments, "--format", "seg.nrrd", "--json"]


@dataclass
class Conversation:
    """What a process has said so far.

    Parameters
    ----------
    fraction, stage:
        How far it is (0..1) and what is under way.
    case:
        The last ``case`` message, empty before.
    problem:
        The reason why it failed, in one line; empty as long as it has not said one.
    log:
        Its other lines, the last ones.
    """

    fraction: float = 0.0
    stage: str = ""
    case: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))

    def hear(self, line: str) -> Mapping[str, Any]:
        """Take in one line; returns the message in it, or an empty one when it is none."""
        message = parse_message(line)
        match message.get("event"):
            case "progress":
                self.fraction, self.stage = float(message["fraction"]), str(message["stage"])
            case "case":
                self.case = message
                self.problem = str(message.get("message", ""))
            case "error":
                self.problem = str(message["message"])
            case None:
                self.log.append(line)
        return message

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files of the finished case, its record last; empty when it did not finish."""
        return tuple(Path(path) for path in self.case.get("outputs", ()))


def parse_message(line: str) -> Mapping[str, Any]:
    """The JSON object on a line, or an empty one when the line is something else."""
    if not line.startswith("{"):
        return {}
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) and "event" in message else {}


class LineBuffer:
    """Whole lines out of the pieces in which a pipe delivers them."""

    def __init__(self) -> None:
        self._rest = b""

    def lines(self, data: bytes) -> list[str]:
        """The lines that ``data`` completes, without their ends."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", "replace").rstrip("\r") for line in whole]

    def last(self) -> list[str]:
        """What stands after the last line's end, when the pipe is closed."""
        rest, self._rest = self._rest, b""
        return [rest.decode("utf-8", "replace")] if rest else []
