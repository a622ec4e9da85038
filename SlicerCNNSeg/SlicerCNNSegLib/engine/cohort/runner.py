"""Many cases, one after the other: a failing one is reported, the rest go on, finished ones stay.

Collaborators are passed in: who runs a case, who reads its files, who is told. The defaults are the
engine's own front door and reader; ``RecordingObserver`` is the fake for tests.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ..catalogue import find_model
from ..errors import Cancelled, ChannelError, DeviceError, ModelError, OutOfMemoryError, SettingsError
from ..progress import Progress, SubProgress
from ..run import run
from ..settings import ClassificationSettings, DetectionSettings, SegmentationSettings
from ..volume import Volume
from .cases import Case
from .outputs import (
    CasePlan,
    clear_case,
    fingerprint,
    is_intact,
    read_record,
    write_case,
    write_table,
)

DONE, SKIPPED, FAILED = "done", "skipped", "failed"

TaskSettings = SegmentationSettings | ClassificationSettings | DetectionSettings

READ_SHARE, RUN_SHARE = 0.05, 0.95
"""Fractions of a case's bar at which reading ends and writing begins (a run takes most of the time)."""


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Parameters
    ----------
    status:
        ``done``, ``skipped`` (done by an earlier run, and verified) or ``failed``.
    seconds:
        Wall clock time of this case in this run.
    outputs:
        The files written, the record last.
    rows:
        Of the task's table: per structure label (value), name, voxels, volume_mm3; per region what
        ``ClassificationResult.rows`` says; per finding what ``Finding.to_json`` says.
    warnings:
        What a reader of the result must know.
    error:
        Why it failed.
    """

    case: Case
    status: str
    seconds: float = 0.0
    outputs: tuple[Path, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    error: Exception | None = None


@dataclass(frozen=True)
class CohortResult:
    """What became of all cases; ``stopped`` when the user stopped before the last."""

    total: int
    outcomes: tuple[Outcome, ...]
    stopped: bool
    table: Path | None

    def count(self, status: str) -> int:
        """Number of cases with that status."""
        return sum(outcome.status == status for outcome in self.outcomes)


class Runner(Protocol):
    """Runs one case; ``engine.run.run`` is the real one."""

    def __call__(self, settings: Any, volumes: Sequence[Volume], progress: Progress) -> Any:
        """Run the model on one case's volumes; the settings' class decides the task and the result."""


class Reader(Protocol):
    """Reads one file or DICOM folder; ``engine.files.images.read_volume`` is the real one."""

    def __call__(self, path: Path, *, series: str, progress: Progress) -> Volume:
        """Read it; ``series`` picks one of several in a DICOM folder."""


class Observer(Protocol):
    """Who is told how a cohort goes: the terminal, a parent process, a test."""

    def started(self, cases: Sequence[Case]) -> None:
        """Begin: these cases, in this order."""

    def progressed(self, position: int, fraction: float, stage: str) -> None:
        """Tell that ``fraction`` (0..1) of the case at ``position`` is done and ``stage`` under way."""

    def finished(self, position: int, outcome: Outcome) -> None:
        """Tell what became of the case at ``position``."""

    def ended(self, result: CohortResult) -> None:
        """End: nothing comes after this."""


@dataclass
class RecordingObserver:
    """The fake for tests: keeps what it is told."""

    cases: tuple[Case, ...] = ()
    reports: list[tuple[int, float, str]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    results: list[CohortResult] = field(default_factory=list)

    def started(self, cases: Sequence[Case]) -> None:
        """Keep the cases."""
        self.cases = tuple(cases)

    def progressed(self, position: int, fraction: float, stage: str) -> None:
        """Keep the report."""
        self.reports.append((position, fraction, stage))

    def finished(self, position: int, outcome: Outcome) -> None:
        """Keep the outcome."""
        self.outcomes.append(outcome)

    def ended(self, result: CohortResult) -> None:
        """Keep the result."""
        self.results.append(result)


@dataclass(frozen=True)
class _CaseProgress:
    """A case's progress, told to the observer; it is stopped by KeyboardInterrupt instead."""

    observer: Observer
    position: int

    def report(self, fraction: float, stage: str) -> None:
        self.observer.progressed(self.position, fraction, stage)

    def cancelled(self) -> bool:
        return False


def read_file(path: Path, *, series: str, progress: Progress) -> Volume:
    """Read with the engine's reader, which is imported when the first case needs it."""
    from ..files.images import read_volume

    return read_volume(path, series=series, progress=progress)


def run_cohort(
    cases: Sequence[Case],
    settings: TaskSettings,
    plan: CasePlan,
    observer: Observer,
    *,
    resume: bool = False,
    runner: Runner = run,
    reader: Reader = read_file,
) -> CohortResult:
    """Run a task on every case and write its files; then the table of all cases.

    Parameters
    ----------
    resume:
        Skip a case that is done and verified: its record has the same model, settings and input
        files, and its outputs are all there and unchanged.

    Returns
    -------
    CohortResult
        An outcome for each case that was begun. After KeyboardInterrupt or ``Cancelled`` the cases
        that were finished stay, and the one under way leaves nothing.

    Raises
    ------
    ModelError, DeviceError, SettingsError
        What would stop every case in the same way stops the run at once.
    OutputError
        The table cannot be written.
    """
    observer.started(cases)
    work = _Work(settings, plan, _model_identity(settings) if resume else None, runner, reader)
    outcomes: list[Outcome] = []
    stopped = False
    try:
        for position, case in enumerate(cases):
            outcome = work.attempt(case, _CaseProgress(observer, position))
            outcomes.append(outcome)
            observer.finished(position, outcome)
    except (KeyboardInterrupt, Cancelled):
        stopped = True
    finally:
        table = write_table(plan)
    result = CohortResult(len(cases), tuple(outcomes), stopped, table)
    observer.ended(result)
    return result


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
class _Work:
    """What is the same for every case; ``done_by`` is the model whose finished cases are skipped."""

    settings: TaskSettings
    plan: CasePlan
    done_by: Mapping[str, str] | None
    runner: Runner
    reader: Reader

    def attempt(self, case: Case, progress: Progress) -> Outcome:
        """Run a case; an error that is the case's own becomes a failed outcome."""
        start = time.monotonic()
        settings = self.settings
        if not isinstance(settings, DetectionSettings):
            settings = replace(settings, regions=case.regions or settings.regions)
        try:
            # taken before reading, so that a file that changes meanwhile is noticed
            inputs = _input_files(case)
            record = self._record_of_done(case, inputs, settings)
            if record is not None:
                return self._outcome(case, SKIPPED, record, start)
            clear_case(self.plan, case.id)
            volumes = read_case(case, SubProgress(progress, 0.0, READ_SHARE), self.reader)
            result = self.runner(settings, volumes, SubProgress(progress, READ_SHARE, RUN_SHARE))
            progress.report(RUN_SHARE, "Writing")
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


def _model_identity(settings: TaskSettings) -> dict[str, str]:
    package = find_model(settings.model)
    return {"model_id": package.id, "model_version": package.version, "model_sha256": package.sha256}


def _input_files(case: Case) -> list[dict[str, str]]:
    """What the record says about the case's files: where they are, and how to notice that they changed."""
    return [
        {"channel": channel, "series": case.series, "path": str(path.absolute()), "fingerprint": fingerprint(path)}
        for channel, path in case.files
    ]
