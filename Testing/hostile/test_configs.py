"""No hostile config gets anywhere: nothing is run or opened; each is refused in words, soon, in little memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hostile import configs

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = 5.0
KIB = 128 * 1024
UNREAD = ("target_Lambdad",)
"""Comes out as a step that does nothing; where it is no last step, ``bundles/reading.py`` refuses it."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[tuple[str, str], dict]:
    """What became of each artefact, all read by one process of its own."""
    pytest.importorskip("resource", reason="peak memory is measured where there is getrusage")
    folder = tmp_path_factory.mktemp("hostile")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (PROJECT / "SlicerCNNSeg", PROJECT / "Testing"))),
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
    }
    line = [sys.executable, "-m", "hostile.configs", str(folder)]
    done = subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = {(row["way"], row["name"]): row for row in map(json.loads, done.stdout.splitlines())}
    strange = [path.name for path in folder.iterdir() if not path.name.startswith("bundle")]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not strange, "something was written"
    assert 3 * len(files) == len(found)
    return found


@pytest.mark.parametrize("name", sorted(configs.ARTEFACTS))
def test_a_hostile_config_is_refused_and_nothing_happens(name, outcomes):
    outcome = outcomes[configs.STRICT, name]
    assert outcome["error"] == "ConfigError", outcome["message"]
    assert re.search(configs.ARTEFACTS[name].reason, outcome["message"]), outcome["message"]
    assert_harmless(outcome)


@pytest.mark.parametrize("name", sorted(configs.ARTEFACTS))
def test_nothing_happens_when_it_is_looked_through_or_run_as_a_bundle(name, outcomes):
    """Looked through, what depends on arguments is left to the run; there only the unread functions are let be."""
    for way in (configs.LIGHT, configs.BUNDLE):
        assert outcomes[way, name]["error"] in ("ConfigError", "none"), outcomes[way, name]["message"]
        assert_harmless(outcomes[way, name])
    assert (outcomes[configs.BUNDLE, name]["error"] == "none") == (name in UNREAD)


def assert_harmless(outcome):
    assert "\n" not in outcome["message"]
    assert len(outcome["message"]) < 1000
    assert not outcome["events"], "the audit hook saw something done"
    assert outcome["seconds"] < SECONDS
    assert outcome["grown_kib"] < KIB


def test_the_watch_sees_what_happens(tmp_path):
    """An artefact that works would be noticed: the hook reports an opened file and a started process."""
    pytest.importorskip("resource", reason="peak memory is measured where there is getrusage")
    probe = (
        "import sys; from hostile import configs\n"
        "from SlicerCNNSegLib.engine.configs import resolving\n"
        "def get(self, at): open(sys.argv[1] + '/mark', 'w'); import os; os.system('true')\n"
        "configs.ARTEFACTS = dict(list(configs.ARTEFACTS.items())[:1])\n"
        "from pathlib import Path\n"
        "honest = resolving.ConfigReader.get\n"
        "def first_honest(self, at):\n"
        "    resolving.ConfigReader.get = get\n"
        "    return honest(self, at)\n"
        "resolving.ConfigReader.get = first_honest\n"
        "configs.main(Path(sys.argv[1]))\n"
    )
    paths = os.pathsep.join([str(PROJECT / "SlicerCNNSeg"), str(PROJECT / "Testing")])
    done = subprocess.run(
        [sys.executable, "-c", probe, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    outcome = json.loads(done.stdout.splitlines()[0])
    assert outcome["error"] == "none"
    assert any(event.startswith("open") for event in outcome["events"])
    assert any(event.startswith("os.system") for event in outcome["events"])


def test_the_corpus_is_large_enough():
    assert len(configs.ARTEFACTS) >= 200
