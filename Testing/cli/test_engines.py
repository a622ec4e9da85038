"""Where the cases of a cohort are run: options that contradict each other, and which runners come of them."""

import argparse
from contextlib import contextmanager

import pytest
from tiny_cases import files_in

from SlicerCNNSegLib.cli.engines import workers_of
from SlicerCNNSegLib.engine.settings import SegmentationSettings
from SlicerCNNSegLib.worker import cluster, crew

SETTINGS = SegmentationSettings("blob")


@pytest.mark.parametrize("line", [["--engine", "dask"], ["--scheduler", "tcp://there:8786"]])
def test_a_cluster_is_named_by_both_options(cnnseg, images, out, line):
    outcome = cnnseg("segment", *images, "-o", out, "--model", "blob", *line)
    outcome.assert_refused(2, "Expected --engine dask with --scheduler ADDRESS, or neither")
    assert files_in(out) == []


def test_a_scheduler_that_does_not_answer_is_an_error_of_usage(cnnseg, images, out):
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'cnnseg[dask]'")
    line = ["--engine", "dask", "--scheduler", "absent.json"]
    cnnseg("segment", *images, "-o", out, "--model", "blob", *line).assert_refused(2, "There is no file absent.json")
    assert files_in(out) == []


@pytest.mark.parametrize(
    ("workers", "engine", "cases", "asked"),
    [
        (None, "local", 3, None),
        (1, "local", 3, None),
        (2, "local", 1, None),
        (2, "local", 3, ("crew", 2)),
        (8, "local", 3, ("crew", 3)),
        (None, "dask", 3, ("cluster", 0)),
        (8, "dask", 3, ("cluster", 3)),
    ],
)
def test_how_many_runners_are_asked_for(monkeypatch, workers, engine, cases, asked):
    calls = []

    def recording(name, given):
        @contextmanager
        def runners(*arguments):
            calls.append((name, next(a for a in arguments if isinstance(a, int))))
            yield ["a runner"] * given

        return runners

    monkeypatch.setattr(crew, "crew", recording("crew", 2))
    monkeypatch.setattr(cluster, "cluster", recording("cluster", 5))
    arguments = argparse.Namespace(workers=workers, engine=engine, scheduler="tcp://there" if engine == "dask" else "")
    with workers_of(arguments, cases, SETTINGS) as runners:
        assert len(runners) == (0 if asked is None else min(5, cases) if asked[0] == "cluster" else 2)
    assert calls == ([asked] if asked else [])
