"""Many cases: a failing one is reported, the rest go on, finished ones stay.

While the network runs on one case the next one is read and the one before is written. Collaborators are passed in: who
runs a case, who reads its files, who is told. The defaults are the engine's own front door and reader;
``RecordingObserver`` is the fake for tests.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

from ..catalogue import find_model
from ..errors import Cancelled
from ..run import run
from .cases import Case
from .desk import Desk
from .outputs import CasePlan, write_table
from .telling import DONE, FAILED, SKIPPED, CohortResult, Observer, Outcome, RecordingObserver
from .work import Reader, Runner, TaskSettings, Work, read_case, read_file

__all__ = [
    "DONE",
    "FAILED",
    "SKIPPED",
    "CohortResult",
    "Observer",
    "Outcome",
    "Reader",
    "RecordingObserver",
    "Runner",
    "TaskSettings",
    "read_case",
    "run_cohort",
]


def run_cohort(
    cases: Sequence[Case],
    settings: TaskSettings,
    plan: CasePlan,
    observer: Observer,
    *,
    resume: bool = False,
    runner: Runner = run,
    workers: Sequence[Runner] = (),
    reader: Reader = read_file,
) -> CohortResult:
    """Run a task on every case and write its files; then the table of all cases.

    Parameters
    ----------
    resume:
        Skip a case that is done and verified: its record has the same model, settings and input
        files, and its outputs are all there and unchanged.
    runner:
        Runs one case after the other, in the calling thread; the observer is told in their order what became of them.
    workers:
        Take its place where there are any: each runs a case, at the same time as the others, when it is called in
        another thread. One case more than there are of them is held in memory, and each is told as it comes to its end.

    Returns
    -------
    CohortResult
        An outcome for each case that came to an end, in the order of ``cases``. After KeyboardInterrupt or
        ``Cancelled`` the cases that were finished stay, and those under way leave nothing.

    Raises
    ------
    ModelError, DeviceError, SettingsError
        What would stop every case in the same way stops the run at once.
    OutputError
        The table cannot be written.
    """
    observer.started(cases)
    desk = Desk()
    free: SimpleQueue[Runner] = SimpleQueue()
    for one in workers or [partial(desk.ask, runner)]:
        free.put(one)
    work = Work(settings, plan, _model_identity(settings) if resume else None, free, reader)
    course = _Course(work, observer, desk, cases, in_order=not workers)
    try:
        course.run(free.qsize() + 1)
    finally:
        table = write_table(plan)
    stopped = isinstance(course.error, KeyboardInterrupt | Cancelled)
    if course.error is not None and not stopped:
        raise course.error
    outcomes = tuple(course.outcomes[position] for position in sorted(course.outcomes))
    result = CohortResult(len(cases), outcomes, stopped, table)
    observer.ended(result)
    return result


class _Course:
    """The way of the cases: each of some threads takes the next one when it is done with one.

    Whoever waits for a runner has read already, and who has had it writes.
    """

    def __init__(self, work: Work, observer: Observer, desk: Desk, cases: Sequence[Case], *, in_order: bool) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self._in_order, self._told = in_order, 0
        self.error: BaseException | None = None
        self._work, self._observer, self._desk = work, observer, desk
        self._coming = enumerate(cases)
        self._reading = threading.Lock()
        self._stop = threading.Event()
        self._at_work = 0

    def run(self, at_once: int) -> None:
        """Attempt all cases; after an error those under way are waited for, and leave nothing."""
        self._at_work = at_once
        for _ in range(at_once):
            threading.Thread(target=self._go_on, daemon=True).start()
        try:
            self._desk.serve(self._all_gone)
        except KeyboardInterrupt as error:
            self._halt(error)
            self._desk.serve(self._all_gone)
        if self._in_order:  # those after one that came to no end
            for position in sorted(position for position in self.outcomes if position >= self._told):
                self._observer.finished(position, self.outcomes[position])

    def _go_on(self) -> None:
        """Take cases until there are no more; in a thread of its own."""
        while not self._stop.is_set():
            with ExitStack() as turn:
                turn.enter_context(self._reading)
                position, case = next(self._coming, (0, None))
                if case is None:
                    break
                progress = _CaseProgress(self._desk, self._observer, position, self._stop)
                try:
                    outcome = self._work.attempt(case, progress, turn.close)
                except BaseException as error:
                    self._desk.tell(self._halt, error)
                    break
                self._desk.tell(self._finish, position, outcome)
        self._desk.tell(self._leave)

    def _leave(self) -> None:
        self._at_work -= 1

    def _all_gone(self) -> bool:
        return self._at_work == 0

    def _halt(self, error: BaseException) -> None:
        """No case is begun any more, and those under way stop; the first error is the reason."""
        self.error = self.error or error
        self._stop.set()
        self._desk.close()

    def _finish(self, position: int, outcome: Outcome) -> None:
        self.outcomes[position] = outcome
        if not self._in_order:
            self._observer.finished(position, outcome)
        while self._in_order and self._told in self.outcomes:  # a case is overtaken while its files are written
            self._told += 1
            self._observer.finished(self._told - 1, self.outcomes[self._told - 1])


@dataclass(frozen=True)
class _CaseProgress:
    """A case's progress, told to the observer."""

    desk: Desk
    observer: Observer
    position: int
    stop: threading.Event

    def report(self, fraction: float, stage: str) -> None:
        self.desk.tell(self.observer.progressed, self.position, fraction, stage)

    def cancelled(self) -> bool:
        return self.stop.is_set()


def _model_identity(settings: TaskSettings) -> dict[str, str]:
    package = find_model(settings.model)
    return {"model_id": package.id, "model_version": package.version, "model_sha256": package.sha256}
