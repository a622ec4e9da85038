"""The lines that a panel reads: their schema, their pace, and that stopping is clean."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_cases import BLOB_VOXELS, VOXEL_MM3, blob_array, files_in, write_image
from tiny_model import RANDOM_UNET, write_tiny_model

from SlicerCNNSegLib.cli import main as main_module
from SlicerCNNSegLib.cli.jsonlines import JsonObserver
from SlicerCNNSegLib.engine.cohort.cases import Case
from SlicerCNNSegLib.engine.cohort.runner import FAILED, Outcome
from SlicerCNNSegLib.engine.errors import InputError

LIBRARY = Path(main_module.__file__).parents[2]


def objects(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_progress_is_told_at_most_ten_times_a_second(capsys):
    times = iter(n * 0.03 for n in range(100))
    observer = JsonObserver("blob", Path("out"), clock=lambda: next(times))
    observer.started([Case("a", ()), Case("b", ())])
    for position in range(2):
        for step in range(50):
            observer.progressed(position, step / 50, "Thresholding")
        observer.finished(position, Outcome(observer.cases[position], FAILED, error=InputError("no")))
    reports = [line for line in objects(capsys.readouterr().out) if line["event"] == "progress"]
    assert len(reports) == 25  # 100 reports, 30 ms apart: every fourth is 100 ms after the one before
    assert reports[-1] == {
        "event": "progress",
        "case": "b",
        "position": 1,
        "fraction": 0.96,
        "case_fraction": 0.92,
        "stage": "Thresholding",
    }


def test_a_run_from_start_to_end(cnnseg, images, out):
    images[1].write_bytes(images[1].read_bytes()[:-2000])
    outcome = cnnseg("segment", *images, "-o", out, "--model", "blob", "--json")
    assert (outcome.status, outcome.err) == (1, "")
    lines = objects(outcome.out)
    assert lines[0] == {
        "event": "start",
        "schema": 1,
        "cases": ["a", "b", "c"],
        "model": "blob",
        "folder": str(out),
    }
    ends = [line for line in lines if line["event"] == "case"]
    ends.sort(key=lambda line: line["position"])  # one that cannot be read may end before the one that is run
    assert [(line["case"], line["position"], line["status"]) for line in ends] == [
        ("a", 0, "done"),
        ("b", 1, "failed"),
        ("c", 2, "done"),
    ]
    assert ends[0].keys() == {"event", "case", "position", "status", "seconds", "outputs", "volumes", "warnings"}
    assert ends[0]["outputs"] == [str(out / "a.seg.nrrd"), str(out / "a.run.json")]
    assert ends[0]["volumes"] == [
        {"label": 1, "name": "Blob", "voxels": BLOB_VOXELS, "volume_mm3": BLOB_VOXELS * VOXEL_MM3}
    ]
    assert ends[1].keys() == {"event", "case", "position", "status", "seconds", "error", "message"}
    assert ends[1]["error"] == "FileReadError"
    assert lines[-1] == {
        "event": "end",
        "total": 3,
        "done": 2,
        "skipped": 0,
        "failed": 1,
        "stopped": False,
        "table": str(out / "volumes.csv"),
    }
    reports = [line for line in lines if line["event"] == "progress"]
    keys = {"event", "case", "position", "fraction", "case_fraction", "stage"}
    assert reports
    assert all(line.keys() == keys for line in reports)
    fractions = [line["fraction"] for line in reports]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1


def test_wrong_usage_is_told_on_both_ways(cnnseg, images, out):
    outcome = cnnseg("segment", images[0], "-o", out, "--model", "absent", "--json")
    outcome.assert_refused(2, "No model 'absent'")
    (line,) = objects(outcome.out)
    assert (line["event"], line["error"], line["status"]) == ("error", "UnknownModelError", 2)
    assert f"cnnseg: error: {line['message']}\n" == outcome.err


def test_wrong_arguments_too(cnnseg):
    outcome = cnnseg("segment", "a.nii.gz", "--json")
    (line,) = objects(outcome.out)
    assert (line["event"], line["error"], line["status"]) == ("error", "SettingsError", 2)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_a_process_that_is_terminated_leaves_finished_cases_and_nothing_half_written(images, out, models):
    write_tiny_model(models / "unet", network=RANDOM_UNET)
    large = [write_image(images[0].with_name(f"large{n}.nii.gz"), np.tile(blob_array(n), (5, 5, 5))) for n in (1, 2)]
    line = [sys.executable, "-m", "SlicerCNNSegLib.cli", "segment", images[0], *large, "-o", out, "--model", "unet"]
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY), "CNNSEG_MODELS": str(models), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*line, "--json"], env=environment, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for text in process.stdout:
            lines.append(json.loads(text))
            if lines[-1]["event"] == "progress" and lines[-1]["case"] == "large1" and lines[-1]["case_fraction"] > 0.1:
                process.terminate()
                break
        lines += [json.loads(text) for text in process.stdout]
    assert process.returncode == 130
    assert lines[-1]["event"] == "end"
    assert (lines[-1]["stopped"], lines[-1]["done"], lines[-1]["total"]) == (True, 1, 3)
    assert files_in(out) == ["a.run.json", "a.seg.nrrd", "volumes.csv"]
