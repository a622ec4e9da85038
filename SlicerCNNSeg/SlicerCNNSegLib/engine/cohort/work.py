"""One case: read, run and written; an error that is its own becomes a failed outcome.

Collaborators are passed in: who runs a case, who reads its files, who is told.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from ..errors import Cancelled, ChannelError, DeviceError, ModelError, OutOfMemoryError, SettingsError
from ..progress import Progress, SubProgress
from ..settings import ClassificationSettings, DetectionSettings, SegmentationSettings
from ..volume import Volume
from .cases import Case
from .outputs import CasePlan, clear_case, fingerprint, is_intact, read_record, write_case
from .telling import DONE, FAILED, SKIPPED, Outcome

TaskSettings = SegmentationSettings | ClassificationSettings | DetectionSettings

READ_SHARE, RUN_SHARE = 0.05, 0.95
"""Fractions of a case's bar at which reading ends and writing begins (a run takes most of the time)."""


class Runner(Protocol):
    """Runs one case; ``engine.run.run`` is the real one."""

    def __call__(self, settings: Any, volumes: Sequence[Volume], progress: Progress) -> Any:
        """Run the model on one case's volumes; the settings' class decides the task and the result."""


class Reader(Protocol):
    """Reads one file or DICOM folder; ``engine.files.images.read_volume`` is the real one."""

    def __call__(self, path: Path, *, series: str, progress: Progress) -> Volume:
        """Read it; ``series`` picks one of several in a DICOM folder."""


def read_file(path: Path, *, series: str, progress: Progress) -> Volume:
    """Read with the engine's reader, which is imported when the first case needs it."""
    from ..files.images import read_volume

    return read_volume(path, series=series, progress=progress)


def read_case(case: Case, progress: Progress, reader: Reader = read_file) -> list[Volume]:
    """The case's volumes, named after their channels.

    Raises
    ------
    ChannelError
        A file that should be one channel has several.
    InputError
        A file cannot be read.
    """
    volumes = []
    for index, (channel, path) in enumerate(case.files):
        share = SubProgress(progress, index / len(case.files), (index + 1) / len(case.files))
        share.report(0.0, "Reading")
        volume = reader(path, series=case.series, progress=share)
        if channel and volume.channels != 1:
            raise ChannelError(
                f"Expected one channel ({channel}) in {path}, got {volume.channels}; "
                "give the file alone when it holds all channels of the model."
            )
        volumes.append(replace(volume, channel_names=(channel,)) if channel else volume)
    return volumes


@dataclass(frozen=True)
class Work:
    """What is the same for every case; ``done_by`` is the model whose finished cases are skipped."""

    settings: TaskSettings
    plan: CasePlan
    done_by: Mapping[str, str] | None
    free: SimpleQueue[Runner]
    reader: Reader

    def attempt(self, case: Case, progress: Progress, next_one: Callable[[], object]) -> Outcome:
        """Read a case, run it as soon as a runner is free, and write its files.

        Parameters
        ----------
        next_one:
            Called when the case has its runner, so that the next one may be read.

        Raises
        ------
        ModelError, DeviceError, SettingsError
            What would stop every case in the same way.
        Cancelled
            It was to stop; the case has no files.
        """
        start = time.monotonic()
        settings = replace(self.settings, regions=case.regions or self.settings.regions)
        try:
            # taken before reading, so that a file that changes meanwhile is noticed
            inputs = _input_files(case)
            record = self._record_of_done(case, inputs, settings)
            if record is not None:
                return self._outcome(case, SKIPPED, record, start)
            clear_case(self.plan, case.id)
            volumes = read_case(case, SubProgress(progress, 0.0, READ_SHARE), self.reader)
            begin = time.monotonic()
            runner = self.free.get()
            start += time.monotonic() - begin
            try:
                next_one()
                if progress.cancelled():
                    raise Cancelled
                result = runner(settings, volumes, SubProgress(progress, READ_SHARE, RUN_SHARE))
                progress.report(RUN_SHARE, "Writing")
            finally:
                self.free.put(runner)
            more = {**self.plan.asked, "case": case.id, "input_files": inputs}
            record = write_case(self.plan, case.id, volumes[0], result, more)
        except OutOfMemoryError as error:  # a DeviceError, yet a smaller case may still fit
            return Outcome(case, FAILED, time.monotonic() - start, error=error)
        except (ModelError, DeviceError, SettingsError, Cancelled):
            raise
        except Exception as error:  # whatever it is, the other cases go on; the observer tells it
            return Outcome(case, FAILED, time.monotonic() - start, error=error)
        return self._outcome(case, DONE, record, start)

    def _record_of_done(
        self, case: Case, inputs: list[dict[str, str]], settings: TaskSettings
    ) -> dict[str, Any] | None:
        """The record of a case that an earlier run has done, None when it must be done."""
        record = read_record(self.plan.record(case.id)) if self.done_by else None
        if record is None:
            return None
        wanted = {
            **(self.done_by or {}),
            **self.plan.asked,
            "case": case.id,
            "input_files": inputs,
            "settings": settings.to_json(),
        }
        same = _comparable(record, wanted.keys()) == _comparable(wanted, wanted.keys())
        return record if same and is_intact(self.plan, case.id, record) else None

    def _outcome(self, case: Case, status: str, record: Mapping[str, Any], start: float) -> Outcome:
        outputs = (*(self.plan.folder / name for name in record["outputs"]), self.plan.record(case.id))
        seconds, warnings = time.monotonic() - start, tuple(record.get("warnings", ()))
        return Outcome(case, status, seconds, outputs, tuple(record[self.plan.rows_key]), warnings)


def _comparable(record: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """What of a record decides whether its case is done, as it comes back from JSON.

    Not where model and files lie: they may move, their checksums and fingerprints tell whether they changed.
    """
    part: dict[str, Any] = json.loads(json.dumps({key: record.get(key) for key in keys}))
    part["settings"] = {**(part["settings"] or {}), "model": ""}
    part["input_files"] = [{**entry, "path": ""} for entry in part["input_files"] or ()]
    return part


def _input_files(case: Case) -> list[dict[str, str]]:
    """What the record says about the case's files: where they are, and how to notice that they changed."""
    return [
        {"channel": channel, "series": case.series, "path": str(path.absolute()), "fingerprint": fingerprint(path)}
        for channel, path in case.files
    ]
