"""Which Python is started, in which environment, and that nothing of it stays."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

from SlicerCNNSegLib.worker import processes

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
child.wait()
"""


def test_inside_slicer_it_is_slicers_python(monkeypatch):
    monkeypatch.setattr(processes.shutil, "which", lambda name: f"/slicer/bin/{name}")
    assert processes.child_python() == "/slicer/bin/PythonSlicer"


def test_elsewhere_it_is_this_python(monkeypatch):
    monkeypatch.setattr(processes.shutil, "which", lambda name: None)
    assert processes.child_python() == sys.executable


def test_no_outside_python_leaks_in():
    outside = {
        "PATH": "/bin",
        "PYTHONPATH": "/other",
        "PYTHONHOME": "/other",
        "VIRTUAL_ENV": "/env",
        "CNNSEG_MODELS": "m",
    }
    assert processes.child_environment(outside) == {
        "PATH": "/bin",
        "CNNSEG_MODELS": "m",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONNOUSERSITE": "1",
    }


def test_a_process_ends_with_all_that_it_started():
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        processes.end_process_tree(parent.pid)
        assert parent.wait(timeout=10) != 0
    deadline = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_process_that_has_gone_is_no_error():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    processes.end_process_tree(process.pid)
