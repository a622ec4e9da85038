"""Who runs the cases of a cohort: this process, workers of its own, or those of a Dask cluster."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..engine.cohort.runner import Runner, TaskSettings
from ..engine.errors import SettingsError

LOCAL, DASK = "local", "dask"


def add_engine_options(group: argparse._ArgumentGroup) -> None:
    """Options on where cases are run."""
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="cases at the same time, each in a process of its own (default: 1, in this one; of a cluster all)",
    )
    group.add_argument(
        "--engine", choices=(LOCAL, DASK), default=LOCAL, help="this machine, or a cluster (default: %(default)s)"
    )
    group.add_argument("--scheduler", default="", metavar="ADDRESS", help="of Dask: tcp://HOST:PORT, or its .json file")


@contextmanager
def workers_of(arguments: argparse.Namespace, cases: int, settings: TaskSettings) -> Iterator[Sequence[Runner]]:
    """Runners that work at the same time; none where this process is to do it.

    Raises
    ------
    SettingsError
        The options contradict each other, or the cluster cannot be reached.
    """
    asked = arguments.workers
    if asked is not None and asked < 1:
        raise SettingsError(f"Expected at least one worker, got --workers {asked}.")
    if (arguments.engine == DASK) != bool(arguments.scheduler):
        raise SettingsError(
            "Expected --engine dask with --scheduler ADDRESS, or neither; for several processes on this machine "
            "use --workers N alone."
        )
    if arguments.engine == DASK:
        from ..worker.cluster import cluster

        with cluster(arguments.scheduler, min(asked or 0, cases), settings) as runners:
            yield runners[:cases]
    elif (asked or 1) == 1 or cases == 1:
        yield ()
    else:
        from ..worker.crew import crew

        with crew(min(asked, cases)) as runners:
            yield runners
