#!/usr/bin/env python3
"""Set up and run everything, with nothing but Python present.

    python3 dev.py demo           make the environment, run the demo, leave its results in out/
    python3 dev.py test [ARG...]  make the environment, run every check and test (ARGs go to pytest)
    python3 dev.py lint           only the checks: ruff and mypy
    python3 dev.py format         let ruff put the code into shape

The environment is the folder .venv beside this file. It is made once, and brought up to date only
when pyproject.toml or constraints.txt has changed. Standard library only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
STAMP = ENVIRONMENT / "cnnseg-environment.json"
RESULTS = ROOT / "out"
OLDEST_PYTHON = (3, 11)
INPUTS = ("pyproject.toml", "constraints.txt")
"""The files that decide what is installed."""

EXTRAS = {"demo": "demo", "test": "test", "lint": "test", "format": "test"}
"""The extra that each command needs; ``test`` includes ``demo``."""

WORKERS = 2
"""Test processes. Each loads torch (about 0.5 GB), and the test run is to fit a laptop."""

THREADS = max(1, (os.cpu_count() or 1) // WORKERS)
"""Threads that torch may use in each of them, so that they don't wait for one another."""


class SetupError(Exception):
    """Something that the user has to put right; its text says how."""


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    command, more = (arguments[0], arguments[1:]) if arguments else ("", [])
    if command not in EXTRAS:
        print(__doc__)
        return 0 if command in ("-h", "--help") else 2
    if more and command != "test":
        print(f"dev.py {command} takes no arguments, got: {shlex.join(more)}", file=sys.stderr)
        return 2
    try:
        check_python()
        prepare(EXTRAS[command])
        status = run_all(steps(command, more))
        if command == "demo" and status == 0:
            print(f"\nThe results are in {RESULTS}")
        return status
    except SetupError as error:
        print(f"dev.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndev.py: stopped.", file=sys.stderr)
        return 130


def steps(command: str, pytest_arguments: list[str]) -> list[tuple[str, list[str]]]:
    """What a command runs inside the environment: (name, command line) of each step."""
    python = str(tool("python"))
    checks = [
        ("ruff check", [python, "-m", "ruff", "check", "."]),
        ("ruff format --check", [python, "-m", "ruff", "format", "--check", "."]),
        ("mypy", [python, "-m", "mypy"]),
    ]
    tests = [python, "-m", "pytest", "-n", str(WORKERS), *pytest_arguments]
    return {
        "demo": [("demo", [str(tool("cnnseg")), "demo", "-o", str(RESULTS)])],
        "test": [*checks, ("pytest", tests)],
        "lint": checks,
        "format": [
            ("ruff check --fix", [python, "-m", "ruff", "check", "--fix", "."]),
            ("ruff format", [python, "-m", "ruff", "format", "."]),
        ],
    }[command]


def run_all(todo: list[tuple[str, list[str]]]) -> int:
    """Run every step, also after a failed one; returns the first status that is not 0."""
    outcomes = []
    for number, (name, line) in enumerate(todo, start=1):
        announce(f"{number}/{len(todo)}", name, line)
        start = time.perf_counter()
        status = run(line)
        outcomes.append((name, status, time.perf_counter() - start))
    print("\n== summary")
    for name, status, seconds in outcomes:
        print(f"   {'passed' if status == 0 else f'FAILED (exit status {status})'}  {seconds:6.1f} s  {name}")
    sys.stdout.flush()
    return next((status for _, status, _ in outcomes if status), 0)


def prepare(extra: str) -> None:
    """Make or update the environment, unless it is as it should be.

    Raises
    ------
    SetupError
        A step failed; the output above it says why.
    """
    stamp = read_stamp()
    if stamp.get("extra") == "test":  # holds the others too, and is not to shrink
        extra = "test"
    wanted = {"fingerprint": fingerprint(), "extra": extra}
    if tool("python").exists() and stamp == wanted:
        return
    if not tool("python").exists() or run([str(tool("python")), "-m", "pip", "--version"], quiet=True):
        line = [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)]
        announce("set-up", "make the environment", line)
        if run(line):
            raise SetupError(f"could not make {ENVIRONMENT}; see the message above.")
    STAMP.unlink(missing_ok=True)
    line = [str(tool("python")), "-m", "pip", "install", "-c", "constraints.txt", "-e", f".[{extra}]"]
    announce("set-up", "install (some minutes and about 2 GB the first time)", line)
    start = time.perf_counter()
    if run(line):
        raise SetupError("the installation failed; see the message above, then run the same command again.")
    STAMP.write_text(json.dumps(wanted), encoding="utf-8")
    print(f"   installed in {time.perf_counter() - start:.0f} s", flush=True)


def read_stamp() -> dict[str, str]:
    """What the environment was made from, or nothing."""
    try:
        return dict(json.loads(STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def fingerprint() -> str:
    """SHA-256 over what decides what the environment holds, and over the folder that it points to."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def check_python() -> None:
    """Refuse a Python that cannot do it.

    Raises
    ------
    SetupError
        Too old, or without the modules that make an environment.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(
            "Python {}.{} or newer is needed, this is {}.{} ({}); install a newer one and run this with it.".format(
                *OLDEST_PYTHON, *sys.version_info[:2], sys.executable
            )
        )
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"this Python ({sys.executable}) lacks {' and '.join(missing)}; on Debian and Ubuntu install "
            f"python{sys.version_info[0]}.{sys.version_info[1]}-venv, elsewhere Python from python.org."
        )


def tool(name: str) -> Path:
    """Path of a program inside the environment."""
    return ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin") / (f"{name}.exe" if os.name == "nt" else name)


def run(line: list[str], quiet: bool = False) -> int:
    """Run a command line in the project's folder; returns its exit status."""
    variables = {"PYTHONUNBUFFERED": "1", **os.environ}
    if "pytest" in line:
        variables.setdefault("OMP_NUM_THREADS", str(THREADS))
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run(line, cwd=ROOT, env=variables, stdout=output, stderr=output, check=False).returncode


def announce(place: str, name: str, line: list[str]) -> None:
    """Say what comes next."""
    print(f"\n== [{place}] {name}\n   {shlex.join(line)}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
